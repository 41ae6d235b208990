"""Builds the stand-in for libcuda and dfdx's kernels once, and runs a command on them.

Usage: build.py [--once] COMMAND [ARGUMENT...]

The result lies in `limbeck/cuda-standin` of the user's cache folder, in a folder named by the hash of all that goes into it.
The command runs once for each order of threads (`EMU_ORDER`), or in the first alone where `--once` says so, with
`LIMBECK_CUDA_STANDIN` set for the crate's build script.
Where it cannot be built (no g++, or not an x86-64 Linux) the reason is printed and nothing runs.
"""

import hashlib
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PARTS = ["fakecuda.cpp", "cuda_emu.h", "cuda_fp16.h", "mkkernels.py"]
ORDERS = ["fwd", "rev-greedy", "shuffle-greedy"]


def dfdx_sources():
    """The folder of the dfdx that Cargo.lock names."""
    command = ["cargo", "metadata", "--format-version", "1", "--features", "cuda-check"]
    metadata = json.loads(subprocess.run(command, cwd=HERE, check=True, capture_output=True).stdout)
    manifest = next(p["manifest_path"] for p in metadata["packages"] if p["name"] == "dfdx")
    return pathlib.Path(manifest).parent / "src"


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "limbeck" / "cuda-standin"


def build():
    """The folder that holds `libfakecuda.so` and `libkernels.so`."""
    source = dfdx_sources()
    kernels, headers = sorted(source.rglob("*.cu")), sorted(source.rglob("*.cuh"))
    key = hashlib.sha256(subprocess.run(["g++", "--version"], check=True, capture_output=True).stdout)
    for path in [HERE / part for part in PARTS] + kernels + headers:
        key.update(path.name.encode() + b"\0" + path.read_bytes())
    folder = cache() / key.hexdigest()[:16]
    if folder.exists():
        return folder
    print(f"building the CUDA stand-in: {len(kernels)} files of kernels, about two minutes, once", flush=True)
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as scratch:
        made = pathlib.Path(scratch) / "made"
        made.mkdir()
        library = ["g++", "-std=c++17", "-O1", "-g", "-fPIC", "-shared", str(HERE / "fakecuda.cpp")]
        subprocess.run([*library, "-o", str(made / "libfakecuda.so"), "-ldl"], check=True)
        includes = sorted({str(header.parent) for header in headers})
        maker = [sys.executable, str(HERE / "mkkernels.py"), str(made / "libkernels.so"), *includes]
        subprocess.run([*maker, "--", *map(str, kernels)], check=True)
        try:
            made.rename(folder)
        except OSError:
            # Another run was first; what it made is the same.
            if not folder.exists():
                raise
    return folder


def main(command):
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        print(f"skipped: the CUDA stand-in needs x86-64 Linux, this is {platform.system()} on {platform.machine()}")
        return 0
    if shutil.which("g++") is None:
        print("skipped: the CUDA stand-in needs g++, which is not installed")
        return 0
    folder = build()
    environment = os.environ | {
        "LIMBECK_CUDA_STANDIN": str(folder),
        "FAKECUDA_KERNELS": str(folder / "libkernels.so"),
        "FAKECUDA_MK": str(HERE / "mkkernels.py"),
    }
    once = command[:1] == ["--once"]
    for order in ORDERS[:1] if once else ORDERS:
        code = subprocess.run(command[once:], env=environment | {"EMU_ORDER": order}).returncode
        if code:
            print(f"failed with EMU_ORDER={order}")
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
