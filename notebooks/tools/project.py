"""Where things are, and the environment in which the book's programs run. Standard library only."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "notebooks"
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
PYTHON = VENV / "bin" / "python"
EVCXR = TOOLS / "bin" / "evcxr_jupyter"
KERNEL = "limbeck"
KERNEL_SPEC = VENV / "share" / "jupyter" / "kernels" / KERNEL / "kernel.json"


def cache():
    """The one folder outside the project that is written to, beside cargo's and pip's own: build caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "limbeck"


def target():
    """Cargo's target folder: CARGO_TARGET_DIR where it is set."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or cache() / "target").absolute()


def jupyter_environment(**more):
    """A copy of the environment in which Jupyter keeps all it writes inside the project's virtual environment."""
    home = VENV / "jupyter"
    environment = dict(os.environ)
    environment.update(
        JUPYTER_CONFIG_DIR=str(home / "config"),
        JUPYTER_DATA_DIR=str(home / "data"),
        JUPYTER_RUNTIME_DIR=str(home / "runtime"),
        IPYTHONDIR=str(home / "ipython"),
        JUPYTER_PREFER_ENV_PATH="1",
        **more,
    )
    return environment


def enter_venv():
    """Goes on under the virtual environment's Python, with Jupyter's folders inside it."""
    if not PYTHON.exists():
        sys.exit("no .venv in the project: run `python3 notebooks/tools/setup.py` first")
    os.environ.update(jupyter_environment())
    if Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
