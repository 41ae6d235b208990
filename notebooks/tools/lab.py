#!/usr/bin/env python3
"""Opens JupyterLab on copies of the book in notebooks/mine: python3 notebooks/tools/lab.py [OPTIONS OF JUPYTER LAB ..]

What a reader changes stays there; a chapter that is as it was copied is copied again where the book's has changed.
"""

import hashlib
import json
import os
import subprocess
import sys

from project import BOOK, KERNEL, PYTHON, VENV, enter_venv

MINE = BOOK / "mine"


def main():
    enter_venv()
    for name in copy(BOOK, MINE):
        print(f"{name}: yours has changes, and the book's is newer; remove yours to get it", flush=True)
    # Figures of a notebook that was not run here are shown only if it is trusted; these come with the project.
    notebooks = sorted(str(path) for path in MINE.glob("[0-9][0-9]-*.ipynb"))
    if notebooks:
        subprocess.run([VENV / "bin" / "jupyter", "trust", *notebooks], check=True, stdout=subprocess.DEVNULL)
    options = [f"--notebook-dir={MINE}", f"--MultiKernelManager.default_kernel_name={KERNEL}", *sys.argv[1:]]
    os.execv(PYTHON, [str(PYTHON), "-m", "jupyter", "lab", *options])


def copy(book, mine):
    """Copies the chapters; the names of those that have changed in the book while the reader's copy has changes of its own."""
    mine.mkdir(exist_ok=True)
    (mine / ".gitignore").write_text("*\n")
    known = mine / ".copied.json"
    copied = json.loads(known.read_bytes()) if known.exists() else {}
    kept = []
    for path in sorted(book.glob("[0-9][0-9]-*.ipynb")):
        own, news = mine / path.name, path.read_bytes()
        mine_now = own.read_bytes() if own.exists() else news
        if mine_now != news and digest(mine_now) != copied.get(path.name):
            if digest(news) != copied.get(path.name):
                kept.append(path.name)
            continue
        replace(own, news)
        copied[path.name] = digest(news)
        replace(known, (json.dumps(copied, indent=1) + "\n").encode())
    return kept


def replace(path, content):
    """Writes a file so that nobody ever reads half of it."""
    half = path.with_name(path.name + ".half")
    half.write_bytes(content)
    half.replace(path)


def digest(content):
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()
