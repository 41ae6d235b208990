#!/usr/bin/env python3
"""Measures how long a reader waits: for the kernel's start, and for every cell of some chapters beyond the cell's own work.

    python3 notebooks/tools/latency.py [NAME ..] [--cells] [--json]

A cell's wait is what passes before its code runs: the kernel's reading of it, and the compiler. Its own work is what passes after
the last compiler has ended. Needs the environment of setup.py. Exits 0 whether or not a budget is met; look at the load before
believing a number.
"""

import argparse
import json
import os
import statistics
import sys
import threading
import time

from project import BOOK, enter_venv

if __name__ == "__main__":
    enter_venv()

import psutil

import chapter
from session import Session

START_BUDGET = 5.0
CELL_BUDGET = 0.7
CHAPTERS = ["01-circuit", "03-learning", "07-change-of-variables"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("names", nargs="*", default=CHAPTERS, metavar="NAME", help=f"chapters (default: {CHAPTERS})")
    arguments.add_argument("--cells", action="store_true", help="show every cell")
    arguments.add_argument("--json", action="store_true", help="print the numbers as JSON")
    options = arguments.parse_args()
    load = os.getloadavg()[0]
    try:
        measured = {name: measure(BOOK / "text" / f"{name}.md") for name in options.names}
    except (RuntimeError, FileNotFoundError) as why:
        sys.exit(f"latency: {why}")
    if options.json:
        print(json.dumps({"load": load, "chapters": measured}, indent=1))
    else:
        show(measured, load, options.cells)


def measure(text):
    """Of a chapter: seconds till its first cell has run, and of every later one what it is, its wait and its work."""
    cells = [cell for _, cell in chapter.code_cells(chapter.read_text(text))]
    began = time.monotonic()
    rows, first = [], 0.0
    with Session() as kernel:
        for cell in cells:
            with Compilers(kernel) as compilers:
                reply = kernel.run(cell.source)
            if reply.error and "raises-exception" not in chapter.tags(cell):
                raise RuntimeError(f"a cell failed: {chapter.first_line(cell)}\n{reply.error}")
            if not rows:
                first = time.monotonic() - began
            work = compilers.since_the_last()
            rows.append({"cell": chapter.first_line(cell), "compiled": compilers.count, "work": work})
            rows[-1]["wait"] = reply.seconds - work
    return {"first": first, "cells": rows[1:]}


class Compilers:
    """Watches how often the kernel calls cargo during a cell, and when the last one has ended."""

    def __init__(self, kernel):
        self.kernel = psutil.Process(kernel.manager.provisioner.pid)
        self.seen, self.ended = set(), None

    def __enter__(self):
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.left = time.monotonic()
        self.over.set()
        self.thread.join()

    def watch(self):
        while not self.over.wait(0.01):
            running = {child.pid for child in self.kernel.children() if is_cargo(child)}
            self.seen |= running
            if running:
                self.ended = time.monotonic()

    @property
    def count(self):
        return len(self.seen)

    def since_the_last(self):
        return self.left - self.ended if self.ended else 0.0


def is_cargo(process):
    try:
        return process.name() in ("cargo", "mold")
    except psutil.Error:
        return False


def show(measured, load, every_cell):
    def verdict(seconds, budget):
        return f"{seconds:6.2f} s  {'within' if seconds <= budget else 'OVER'} {budget} s"

    print(f"load {load:.1f}")
    waits = []
    for name, found in measured.items():
        print(f"{name:28} start and first cell  {verdict(found['first'], START_BUDGET)}")
        for row in found["cells"] if every_cell else []:
            compiled = f"{row['compiled']} ×" if row["compiled"] else "  –"
            print(f"  wait {row['wait']:5.2f} s  compiled {compiled}  work {row['work']:5.2f} s  {row['cell']}")
        waits += [row["wait"] for row in found["cells"]]
    if not waits:
        return
    print(f"{'a cell beyond its own work':28} median of {len(waits):<11}  {verdict(statistics.median(waits), CELL_BUDGET)}")
    if len(waits) > 1:
        print(f"{'':28} nine of ten           {statistics.quantiles(waits, n=10)[-1]:6.2f} s")


if __name__ == "__main__":
    main()
