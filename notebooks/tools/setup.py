#!/usr/bin/env python3
"""Makes the notebook environment inside the project; does only what is not done yet.

    python3 notebooks/tools/setup.py            everything
    python3 notebooks/tools/setup.py --library  the library alone, after an edit of src/ (then restart the kernel)

 .venv/    JupyterLab and the tools, pinned in requirements.txt; the kernel spec `limbeck`; the library as the kernel loads it;
           what the kernel reads of the standard library's sources
 .tools/   the kernel itself (evcxr_jupyter), and Rust's own sources where rustup cannot install them

Build caches are in $XDG_CACHE_HOME/limbeck (~/.cache/limbeck); CARGO_TARGET_DIR is respected.
"""

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from project import EVCXR, KERNEL_SPEC, PYTHON, ROOT, TOOLS, VENV, cache, target

EVCXR_VERSION = "0.22.0"
LIBRARIES = VENV / "lib" / "limbeck"
STD = VENV / "lib" / "rust-std"
STD_CRATES = ["alloc", "core", "panic_abort", "panic_unwind", "proc_macro", "std", "test", "unwind"]
LIBRARY = "liblimbeck.dylib" if sys.platform == "darwin" else "liblimbeck.so"
KEPT_LIBRARIES = 3


class Failed(Exception):
    """What went wrong and what to do about it."""


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--library", action="store_true", help="only build the library and point the kernel to it")
    only_library = arguments.parse_args().library
    steps = [venv, kernel, rust_src, library]
    try:
        if only_library and not (PYTHON.exists() and EVCXR.exists() and STD.exists()):
            raise Failed("there is no environment yet: run it without --library first")
        for step in [library] if only_library else steps:
            started = time.monotonic()
            done = step()
            print(f"{step.__name__:9} {done}  {time.monotonic() - started:.1f} s", flush=True)
    except Failed as why:
        sys.exit(f"setup: {why}")


def run(*command, env=None, cwd=ROOT, **options):
    """Runs a program that must succeed."""
    try:
        return subprocess.run([str(part) for part in command], check=True, cwd=cwd, env=env, **options)
    except FileNotFoundError:
        raise Failed(f"{command[0]} is not installed or not on PATH") from None
    except subprocess.CalledProcessError as error:
        raise Failed(f"`{' '.join(map(str, command[:4]))} …` failed with status {error.returncode}") from None


def replace(path, text):
    """Writes a file so that nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + ".half")
    half.write_text(text)
    half.replace(path)


def venv():
    if sys.version_info < (3, 10):
        raise Failed("JupyterLab needs Python 3.10 or newer; run this file with such a one")
    wanted = hashlib.sha256((ROOT / "notebooks/tools/requirements.txt").read_bytes()).hexdigest()
    stamp = VENV / "requirements.sha256"
    # The scripts in bin/ hold the folder's path, so a moved project needs a new one.
    identity = f"{wanted} {VENV}\n"
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == identity:
        return "is there"
    if stamp.exists():
        stamp.unlink()
    clear = ["--clear"] if VENV.exists() else []
    try:
        run(sys.executable, "-m", "venv", *clear, VENV)
    except Failed as why:
        raise Failed(f"{why}; on Debian and Ubuntu, `apt install python3-venv` provides it") from None
    replace(VENV / ".gitignore", "*\n")
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "-r", ROOT / "notebooks/tools/requirements.txt")
    (VENV / "jupyter").mkdir(exist_ok=True)
    replace(stamp, identity)
    return "made"


def kernel():
    installed = TOOLS / ".crates.toml"
    if EVCXR.exists() and installed.exists() and f"evcxr_jupyter {EVCXR_VERSION} " in installed.read_text():
        return "is there"
    replace(TOOLS / ".gitignore", "*\n")
    environment = dict(os.environ, CARGO_TARGET_DIR=str(cache() / "tools"))
    run("cargo", "install", "--locked", "--root", TOOLS, "--version", EVCXR_VERSION, "evcxr_jupyter", env=environment)
    return "installed"


def rust_src():
    """Copies the sources of the standard library from which the kernel, by rust-analyzer, infers the types of variables.

    The kernel reads all that is there whenever it starts; without tests, tools and processor intrinsics that takes half as long.
    """
    found, how = find_rust_src(), "copied"
    if found is None and shutil.which("rustup"):
        with contextlib.suppress(subprocess.SubprocessError):
            subprocess.run(["rustup", "component", "add", "rust-src"], cwd=ROOT, capture_output=True, timeout=180)
        found, how = find_rust_src(), "installed by rustup, copied"
    if found is None:
        unpack_debian_sources()
        found, how = find_rust_src(), "unpacked from a Debian package, copied"
    if found is None:
        raise Failed(
            "the sources of Rust's standard library are missing, and neither rustup nor apt could fetch them.\n"
            "  With a network: `rustup component add rust-src`, then this again.\n"
            f"  Without: unpack the sources of Rust {rustc_version()} anywhere and set RUST_SRC_PATH to their folder `library`."
        )
    stamp = STD / "copied-from"
    identity = f"{found} {rustc('--version')}\n"
    if stamp.exists() and stamp.read_text() == identity:
        return "is there"
    shutil.rmtree(STD, ignore_errors=True)
    for crate in STD_CRATES:
        if (found / crate).is_dir():
            shutil.copytree(found / crate, STD / "library" / crate, ignore=shutil.ignore_patterns("tests", "benches"))
    replace(stamp, identity)
    return how


def find_rust_src():
    """The folder `library` of Rust's sources, or None."""
    folders = [Path(rustc("--print", "sysroot")) / "lib/rustlib/src/rust/library"]
    folders += [Path(os.environ["RUST_SRC_PATH"])] if os.environ.get("RUST_SRC_PATH") else []
    folders += sorted(TOOLS.glob("rust-src/usr/src/rustc-*/library"), reverse=True)
    return next((folder for folder in folders if (folder / "std").is_dir()), None)


def rustc(*question):
    return run("rustc", *question, capture_output=True, text=True).stdout.strip()


def rustc_version():
    return re.search(r"\d+\.\d+", rustc("--version")).group()


def unpack_debian_sources():
    """Unpacks, without installing it, the first Debian package whose sources are of about our compiler's age."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return
    folder = TOOLS / "rust-src"
    minor = int(rustc_version().split(".")[1])
    for package in ["rust-web-src", "rust-src"]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            quiet = {"cwd": folder, "check": True, "capture_output": True, "timeout": 600}
            subprocess.run(["apt-get", "download", package], **quiet)
            (archive,) = folder.glob("*.deb")
            subprocess.run(["dpkg", "-x", archive.name, "."], **quiet)
            archive.unlink()
        except (subprocess.SubprocessError, ValueError):
            continue
        for sources in folder.glob("usr/src/rustc-*"):
            age = re.match(r"rustc-1\.(\d+)", sources.name)
            if age and abs(int(age.group(1)) - minor) <= 10:
                return
    shutil.rmtree(folder, ignore_errors=True)


def library():
    """Builds the crate, links it as one shared library in the environment, and points the kernel to that.

    Each build gets a folder of its own: a kernel that runs goes on compiling its cells against the library it has loaded.
    """
    LIBRARIES.mkdir(parents=True, exist_ok=True)
    with build_lock():
        rlib, metadata = build()
        folder = LIBRARIES / digest(rlib)[:12]
        news = not folder.exists()
        if news:
            link(rlib, metadata, folder)
    folder.touch()
    write_spec(folder / LIBRARY, metadata.parent)
    forget_old_libraries()
    return "built; restart running kernels" if news else "is up to date"


@contextlib.contextmanager
def build_lock():
    """One such build at a time in a target folder, till the copy is made."""
    import fcntl

    target().mkdir(parents=True, exist_ok=True)
    with open(target() / "limbeck-library.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build():
    """The crate as cargo builds it for the command line and the tests, too: the library, and what the compiler reads of it."""
    command = ["cargo", "build", "--lib", "--release", "--message-format=json-render-diagnostics"]
    # What build.rs goes by: checkouts that share a target folder must not take each other's crate for their own.
    environment = dict(os.environ, CARGO_TARGET_DIR=str(target()), LIMBECK_CHECKOUT=str(ROOT))
    messages = run(*command, env=environment, stdout=subprocess.PIPE, text=True).stdout
    for line in messages.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message["target"]["name"] == "limbeck":
            files = {Path(name).suffix: Path(name) for name in message["filenames"]}
            if files.keys() >= {".rlib", ".rmeta"}:
                return files[".rlib"], files[".rmeta"]
    raise Failed("cargo did not say where it put the library")


def link(rlib, metadata, folder):
    """Makes one shared library of the built crate and all it depends on.

    It is a crate of one line that hands on the built one. That takes a second; `cargo rustc --crate-type dylib` would compile
    the crate once more.
    """
    with tempfile.TemporaryDirectory(dir=LIBRARIES) as name:
        half = Path(name) / "half"
        half.mkdir()
        shim = Path(name) / "shim.rs"
        shim.write_text("pub use built::*;\n")
        command = ["rustc", "--crate-name=limbeck", "--crate-type=dylib", "--edition=2024", "-Cmetadata=notebook", "-Copt-level=3"]
        command += ["-Cprefer-dynamic", "-Cstrip=debuginfo", "--extern", f"built={rlib}", "-L", f"dependency={metadata.parent}"]
        run(*command, "--out-dir", half, shim)
        # Cells are compiled against both crates; cargo's own copy changes with the next edit.
        shutil.copyfile(metadata, half / "liblimbeck-built.rmeta")
        half.replace(folder)


def digest(path):
    content = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            content.update(block)
    return content.hexdigest()


def write_spec(library, dependencies):
    """The kernel's cells are compiled by cargo, whose only way to take our flags from outside is this variable."""
    flags = [
        "-Cprefer-dynamic",
        "--extern",
        f"limbeck={library}",
        "-L",
        f"dependency={library.parent}",
        "-L",
        f"dependency={dependencies}",
        f"-Clink-arg=-Wl,-rpath,{library.parent}",
        # The kernel moves what it has linked, so the relative path to libstd that rustc writes misses where TMPDIR is in $HOME.
        f"-Clink-arg=-Wl,-rpath,{rustc('--print', 'target-libdir')}",
    ]
    environment = {
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags),
        "RUST_SRC_PATH": str(STD / "library"),
        "EVCXR_CONFIG_DIR": str(ROOT / "notebooks/tools"),
    }
    toolchain = active_toolchain()
    if toolchain:
        environment["RUSTUP_TOOLCHAIN"] = toolchain
    spec = {
        "argv": [str(EVCXR), "--control_file", "{connection_file}"],
        "display_name": "Rust (limbeck)",
        "language": "rust",
        "interrupt_mode": "message",
        "env": environment,
    }
    replace(KERNEL_SPEC, json.dumps(spec, indent=1) + "\n")


def active_toolchain():
    """The project's toolchain: cells are compiled in a folder elsewhere, where another may be the default."""
    if not shutil.which("rustup"):
        return None
    shown = subprocess.run(["rustup", "show", "active-toolchain"], cwd=ROOT, capture_output=True, text=True)
    return shown.stdout.split()[0] if shown.returncode == 0 and shown.stdout.strip() else None


def forget_old_libraries():
    """Removes all but the newest few; a kernel that runs may still need the one before."""
    folders = [path for path in LIBRARIES.iterdir() if path.is_dir()]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT_LIBRARIES:]:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
