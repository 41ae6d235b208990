"""Makes a folder that runs on a machine with a GPU, without Rust and without a network there.

Usage: kit.py [FOLDER]          the tests and the bench of CUDA code, built with NVIDIA's compiler from PyPI
       kit.py --standin --try   the same for the stand-in, which needs no GPU, run at once with a few rows: what CI does

FOLDER (`gpu-kit` where not given) gets the stripped programs, PyTorch's side of the bench, and `run.sh OUT`, which writes
`OUT/gpu-tests.txt` and `OUT/gpu-steps.csv`. It stays under 55 MB.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

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
LIMIT = 55 << 20

RUN = r"""#!/bin/sh
# Tests CUDA code on this machine's GPU, and times a training step beside the CPU's and PyTorch's. Usage: run.sh OUT
set -u
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && out=$(cd "$1" && pwd) && cd "$here" || exit 1
export LD_LIBRARY_PATH="/usr/local/cuda/lib64:${LD_LIBRARY_PATH:-}"
{ nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null || echo "no nvidia-smi"; } > "$out/gpu-tests.txt"
timeout 120 ./gpu-tests --test-threads 1 >> "$out/gpu-tests.txt" 2>&1
status=$?
timeout 90 ./gpu-steps > "$out/gpu-steps.csv" 2>> "$out/gpu-tests.txt" || status=1
timeout 60 python3 ./peer.py >> "$out/gpu-steps.csv" 2>> "$out/gpu-tests.txt" || echo "PyTorch's side did not run" >> "$out/gpu-tests.txt"
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
    """Builds the tests and the bench; where they are."""
    command = ["cargo", "build", "--release", "--locked", "--features", feature, "--message-format", "json-render-diagnostics"]
    if feature == "cuda-check":
        # As `just test` builds them: what runs on the stand-in is not waited for, but built.
        command += ["--config", "profile.release.package.limbeck.opt-level=0"]
    found = {}
    for kind in ("test", "bench"):
        run = subprocess.run([*command, f"--{kind}", "gpu"], cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True)
        if run.returncode:
            sys.exit(f"the {kind} gpu was not built")
        for line in run.stdout.splitlines():
            message = json.loads(line)
            target = message.get("target", {})
            if message.get("executable") and target.get("name") == "gpu" and target.get("kind") == [kind]:
                found[kind] = message["executable"]
    return found["test"], found["bench"]


def main(arguments):
    standin = "--standin" in arguments
    names = [a for a in arguments if not a.startswith("--")]
    folder = pathlib.Path(names[0] if names else ROOT / "gpu-kit").resolve()
    if standin and not names:
        folder = CACHE / "gpu-kit-standin"
    feature, environment = ("cuda-check", {}) if standin else real()
    tests, steps = programs(feature, environment)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for program, name in ((tests, "gpu-tests"), (steps, "gpu-steps")):
        subprocess.run(["strip", "-o", str(folder / name), program], check=True)
    shutil.copy(ROOT / "benches" / "peers" / "gpu.py", folder / "peer.py")
    (folder / "run.sh").write_text(RUN)
    (folder / "run.sh").chmod(0o755)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e6:.1f} MB")
    if size > LIMIT:
        sys.exit(f"more than {LIMIT >> 20} MB: it does not fit where it is to go")
    if "--try" in arguments:
        run = subprocess.run([str(folder / "run.sh"), str(folder / "out")], env=os.environ | {"ROWS": "2"})
        steps = (folder / "out" / "gpu-steps.csv").read_text().splitlines()
        # Its first line, and three steps on each of two devices.
        if run.returncode or len(steps) < 7:
            sys.exit(f"the kit failed: status {run.returncode}, {len(steps)} lines of steps")


if __name__ == "__main__":
    main(sys.argv[1:])
