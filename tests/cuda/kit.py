"""Makes a folder that runs on a machine with a GPU, without Rust and without a network there.

Usage: kit.py [FOLDER]          the tests and the bench of CUDA code, built with NVIDIA's compiler from PyPI
       kit.py --standin --try   the same for the stand-in, which needs no GPU, run at once with a few rows: what CI does

FOLDER (`gpu-kit` where not given) gets the stripped programs in an archive, PyTorch's side of the bench, and `run.sh OUT`,
which writes `OUT/gpu-tests.txt` and `OUT/gpu-steps.csv`; `run.sh OUT DATA` learns Fashion-MNIST, too, from the IDX files in DATA, into
`OUT/gpu-fashion.csv`, and the addresses, which the kit has, into `OUT/gpu-text.csv`. `FOLDER/limbeck`, which it leaves behind, is the command line with code for a GPU.
It stays under 30 MB.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "limbeck"
# What this compiler writes, a driver for CUDA 13.0 reads; what a later one writes, it does not.
TOOLKIT = ["nvidia-cuda-nvcc==13.0.88", "nvidia-cuda-nvrtc==13.0.88", "nvidia-cuda-runtime==13.0.*", "nvidia-nvvm==13.0.*"]
TOOLKIT += ["nvidia-cuda-crt==13.0.*", "nvidia-cuda-cccl==13.0.*"]
CAPABILITY = "9.0"
# Where cudarc declares what it calls of each library, and the file that a GPU machine has of it.
LIBRARIES = {
    "cuda": ("driver", "libcuda.so.1"),
    "nvrtc": ("nvrtc", "libnvrtc.so.13"),
    "cublas": ("cublas", "libcublas.so.13"),
    "cublasLt": ("cublaslt", "libcublasLt.so.13"),
    "curand": ("curand", "libcurand.so.10"),
}
LIMIT = 30 << 20

RUN = r"""#!/bin/sh
# Tests CUDA code on this machine's GPU, and times training steps beside the CPU's and those of PyTorch and PyJuice.
# Usage: run.sh OUT [DATA], where DATA is a folder with Fashion-MNIST to learn; then the addresses are learned, too.
set -u
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && out=$(cd "$1" && pwd) && data=$(cd "${2:-.}" && pwd) && cd "$here" || exit 1
python3 -c 'import tarfile; tarfile.open("programs.tar.xz").extractall()' || exit 1
# dfdx compiles some kernels where it runs, from headers at the places where it was built.
at() { [ -e "$1" ] || { mkdir -p "$(dirname "$1")" && ln -s "$2" "$1"; }; }
{places}
export LD_LIBRARY_PATH="/usr/local/cuda/lib64:${LD_LIBRARY_PATH:-}"
{ nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null || echo "no nvidia-smi"; } > "$out/gpu-tests.txt"
timeout 200 ./gpu-tests --test-threads 1 >> "$out/gpu-tests.txt" 2>&1
status=$?
timeout 240 ./gpu-steps > "$out/gpu-steps.csv" 2>> "$out/gpu-tests.txt" || status=1
timeout 150 python3 ./peer.py >> "$out/gpu-steps.csv" 2>> "$out/gpu-tests.txt" || echo "the peers' side did not run to its end" >> "$out/gpu-tests.txt"
[ -z "${2:-}" ] || python3 ./fashion.py ./limbeck "$data" "$out/gpu-fashion.csv" >> "$out/gpu-tests.txt" 2>&1 || status=1
[ -z "${2:-}" ] || python3 ./text.py ./limbeck sotu.txt.gz "$out/gpu-text.csv" >> "$out/gpu-tests.txt" 2>&1 || status=1
cat "$out/gpu-tests.txt" "$out/gpu-steps.csv"
exit $status
"""


def package(name):
    """The folder of a package that Cargo.lock names."""
    command = ["cargo", "metadata", "--format-version", "1", "--features", "cuda-check"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    return pathlib.Path(next(p["manifest_path"] for p in metadata["packages"] if p["name"] == name)).parent


def toolkit():
    """The folder of NVIDIA's compiler, installed once into the cache."""
    environment = CACHE / "cuda-13.0"
    if not (environment / "done").exists():
        shutil.rmtree(environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        subprocess.run([str(environment / "bin" / "pip"), "install", "--quiet", *TOOLKIT], check=True)
        (environment / "done").touch()
    return next(environment.glob("lib/python3*/site-packages/nvidia/cu13"))


def stubs(folder):
    """Libraries without content to link against, by the names that the real ones have on a GPU machine."""
    sources = package("cudarc") / "src"
    for library, (module, soname) in LIBRARIES.items():
        text = (sources / module / "sys.rs").read_text()
        names = sorted(set(re.findall(r"pub fn (\w+)\s*\(", text)))
        code = folder / f"{library}.c"
        code.write_text("".join(f"void {name}(void) {{}}\n" for name in names))
        shared = ["-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", str(folder / f"lib{library}.so")]
        subprocess.run(["gcc", "-w", "-fno-builtin", *shared, str(code)], check=True)


def real():
    """The features and the environment of a build for a GPU."""
    home, work = toolkit(), CACHE / "cuda-kit"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    # dfdx asks which GPU there is, and compiles for it.
    shim = work / "nvidia-smi"
    shim.write_text(f"#!/bin/sh\nprintf 'compute_cap\\n{CAPABILITY}\\n'\n")
    shim.chmod(0o755)
    stubs(work)
    path = os.pathsep.join([str(work), str(home / "bin"), os.environ["PATH"]])
    flags = f"{os.environ.get('RUSTFLAGS', '')} -L native={work}".strip()
    # Another set of flags would rebuild all that lies in the usual folder.
    target = CACHE / "target-gpu"
    return "cuda", {"PATH": path, "CUDA_PATH": str(home), "CUDA_ROOT": str(home), "RUSTFLAGS": flags, "CARGO_TARGET_DIR": str(target)}


def programs(feature, environment):
    """Builds the tests, the bench and the command line; where they are, and where dfdx has its headers."""
    command = ["cargo", "build", "--release", "--locked", "--features", feature, "--message-format", "json-render-diagnostics"]
    if feature == "cuda-check":
        # As `just test` builds them: what runs on the stand-in is not waited for, but built.
        command += ["--config", "profile.release.package.limbeck.opt-level=0"]
    found, headers = {}, None
    for kind, name in (("test", "gpu"), ("bench", "gpu"), ("bin", "limbeck")):
        run = subprocess.run([*command, f"--{kind}", name], cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True)
        if run.returncode:
            sys.exit(f"the {kind} {name} was not built")
        for line in run.stdout.splitlines():
            message = json.loads(line)
            target = message.get("target", {})
            if message.get("executable") and target.get("name") == name and target.get("kind") == [kind]:
                found[kind] = message["executable"]
            if message.get("reason") == "build-script-executed" and "dfdx" in message["package_id"].split("/")[-1]:
                headers = pathlib.Path(message["out_dir"])
    return {"gpu-tests": found["test"], "gpu-steps": found["bench"], "limbeck": found["bin"]}, headers


def main(arguments):
    standin = "--standin" in arguments
    names = [a for a in arguments if not a.startswith("--")]
    folder = pathlib.Path(names[0] if names else ROOT / "gpu-kit").resolve()
    if standin and not names:
        folder = CACHE / "gpu-kit-standin"
    feature, environment = ("cuda-check", {}) if standin else real()
    built, headers = programs(feature, environment)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, program in built.items():
        subprocess.run(["strip", "-o", str(folder / name), program], check=True)
    with tarfile.open(folder / "programs.tar.xz", "w:xz", preset=1 if standin else 6) as archive:
        for name in built:
            archive.add(folder / name, name)
            (folder / name).unlink()
    places = ""
    if not standin:
        (folder / "headers").mkdir()
        for header in headers.glob("*.cuh"):
            shutil.copy(header, folder / "headers")
        places = f'at "{headers}" "$here/headers"\nat "{environment["CUDA_PATH"]}/include" /usr/local/cuda/include'
    shutil.copy(ROOT / "benches" / "peers" / "gpu.py", folder / "peer.py")
    for file in (ROOT / "benches" / "peers" / "diffusion.py", HERE / "fashion.py", HERE / "text.py", ROOT / "datasets" / "sotu.txt.gz"):
        shutil.copy(file, folder)
    (folder / "run.sh").write_text(RUN.replace("{places}", places))
    (folder / "run.sh").chmod(0o755)
    size = sum(path.stat().st_size for path in folder.rglob("*"))
    print(f"{folder}: {size / 1e6:.1f} MB")
    if size > LIMIT:
        sys.exit(f"more than {LIMIT >> 20} MB: it does not fit where it is to go")
    if "--try" in arguments:
        run = subprocess.run([str(folder / "run.sh"), str(folder / "out")], env=os.environ | {"ROWS": "2"})
        steps = (folder / "out" / "gpu-steps.csv").read_text().splitlines()
        # Its first line, and seven steps on each of two devices.
        if run.returncode or len(steps) < 15:
            sys.exit(f"the kit failed: status {run.returncode}, {len(steps)} lines of steps")


if __name__ == "__main__":
    main(sys.argv[1:])
