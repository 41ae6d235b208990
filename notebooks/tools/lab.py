#!/usr/bin/env python3
"""Opens JupyterLab on the book: python3 notebooks/tools/lab.py [OPTIONS OF JUPYTER LAB ..]"""

import os
import subprocess
import sys

from project import BOOK, KERNEL, PYTHON, VENV, enter_venv

if __name__ == "__main__":
    enter_venv()
    # Figures of a notebook that was not run here are shown only if it is trusted; these come with the project.
    notebooks = sorted(str(path) for path in BOOK.glob("[0-9][0-9]-*.ipynb"))
    if notebooks:
        subprocess.run([VENV / "bin" / "jupyter", "trust", *notebooks], check=True, stdout=subprocess.DEVNULL)
    options = [f"--notebook-dir={BOOK}", f"--MultiKernelManager.default_kernel_name={KERNEL}", *sys.argv[1:]]
    os.execv(PYTHON, [str(PYTHON), "-m", "jupyter", "lab", *options])
