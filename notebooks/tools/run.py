#!/usr/bin/env python3
"""Executes the book headless and fails on whatever a reader would call a failure.

    python3 notebooks/tools/run.py [NAME ..]           text/NAME.md -> NAME.ipynb, for all names or those given
    python3 notebooks/tools/run.py --check [NAME ..]   the same into a folder of its own, compared with what is committed

Chapters run side by side, as many as `--jobs` says. The kernel calls a panic and a failed `?` successful cells; this does not. Tags of a cell: `raises-exception` (its error is
meant), `allow-stderr`.
"""

import argparse
import os
import queue
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from project import BOOK, KERNEL, VENV, enter_venv

if __name__ == "__main__":
    enter_venv()

import nbformat
import psutil
from jupyter_client.kernelspec import NoSuchKernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

import chapter
from project import jupyter_environment

# Seconds to listen for late stderr after each cell.
LATE = 0.15


def main():
    options = parse_arguments()
    texts = {path.stem: path for path in sorted((options.book / "text").glob("[0-9][0-9]-*.md"))}
    committed = {path.stem: path for path in sorted(options.book.glob("[0-9][0-9]-*.ipynb"))}
    unknown = [name for name in options.names if name not in texts]
    if unknown:
        sys.exit(f"no such text: {', '.join(unknown)}; there are: {', '.join(texts) or 'none'}")
    names = list(dict.fromkeys(options.names)) or list(texts)
    passed = failed = 0
    if options.check and not options.names:
        for name in sorted(set(committed) - set(texts)):
            failed += 1
            print(f"FAIL {name}: a notebook with no text: text/{name}.md is missing")
    began = time.monotonic()
    # Whoever ends it by a signal ends the chapters that have not begun, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chapters = ThreadPoolExecutor(max(1, options.jobs))
    try:
        # Those that are compiled with care take longest, and would otherwise be waited for alone.
        order = sorted(names, key=lambda name: ":opt 2" not in texts[name].read_text(encoding="utf-8"))
        runs = {chapters.submit(timed, name, texts[name], committed.get(name), options): name for name in order}
        for run in as_completed(runs):
            failures, seconds = run.result()
            print(f"{'FAIL' if failures else 'ok  '} {runs[run]}  {seconds:.1f} s")
            for failure in failures:
                print("  " + failure, flush=True)
            passed, failed = passed + (not failures), failed + bool(failures)
    finally:
        chapters.shutdown(wait=False, cancel_futures=True)
        for kernel in psutil.Process().children() if sys.exc_info()[0] else []:
            kernel.kill()
    print(f"{passed} passed, {failed} failed, in {time.monotonic() - began:.0f} s", flush=True)
    return 1 if failed else 0


def timed(name, *arguments):
    """The failures of a chapter, and how long it took. What it raises is its failure, and not that of the others."""
    started = time.monotonic()
    try:
        failures = check(name, *arguments)
    except Exception as why:
        failures = [f"{name}: {type(why).__name__}: {why}"]
    return failures, time.monotonic() - started


def parse_arguments():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("names", nargs="*", metavar="NAME", help="chapters, as 01-name (default: all)")
    arguments.add_argument("--check", action="store_true", help="change nothing; compare with the committed notebooks")
    arguments.add_argument("--book", type=Path, default=BOOK, help="the folder with text/ and the notebooks")
    arguments.add_argument("--out", type=Path, default=VENV / "executed", help="where checked and failed notebooks go")
    jobs = max(2, (os.cpu_count() or 1) // 2)
    arguments.add_argument("--jobs", type=int, default=jobs, help=f"chapters at a time (default: {jobs})")
    arguments.add_argument("--timeout", type=int, default=900, help="seconds a cell may take")
    arguments.add_argument("--startup", type=int, default=120, help="seconds the kernel may take to start")
    arguments.add_argument("--kernel", default=KERNEL, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    options.names = [Path(name).stem for name in options.names]
    return options


def check(name, text, committed, options):
    """Executes one chapter and writes its notebook. The failures, each a line."""
    notebook = chapter.read_text(text)
    before = None
    found = list(chapter.lint(notebook))
    if options.check:
        if committed is None:
            return [f"{name}: a text with no notebook: {name}.ipynb is not there; run `just notebooks`"]
        before = nbformat.read(committed, as_version=4)
        if chapter.is_stale(notebook, before):
            return [f"{name}: stale: {name}.ipynb was not made from this text; run `just notebooks`"]
    if found:
        return [describe(name, *one) for one in found]
    found = list(execute(notebook, options))
    chapter.normalise(notebook)
    if before is not None and not found:
        found = list(chapter.changed_kinds(notebook, before))
    written = chapter.as_json(notebook)
    folder = chapter.machine_paths(written)
    if folder and not found:
        found = [(None, None, f"the notebook contains a path of this machine, under {folder}")]
    place = options.out if found or options.check else options.book
    place.mkdir(parents=True, exist_ok=True)
    half = place / f"{name}.ipynb.half"
    half.write_text(written, encoding="utf-8")
    half.replace(place / f"{name}.ipynb")
    failures = [describe(name, *one) for one in found]
    return failures + [f"{name}: as far as it came: {place / name}.ipynb"] if failures else []


def describe(name, number, cell, problem):
    where = f", code cell {number} `{chapter.first_line(cell)}`" if cell is not None else ""
    return f"{name}{where}: {problem}"


def execute(notebook, options):
    """Runs the cells in one kernel, outputs into `notebook`. What went wrong, as (number, cell, problem)."""
    at = {"cell": None}

    async def wait_for_stderr(cell, cell_index, execute_reply):
        """The kernel may say that a cell is done before it has passed on all of its stderr, which nobody then reads."""
        asked = execute_reply["parent_header"]["msg_id"]
        while True:
            try:
                message = await client.kc.get_iopub_msg(timeout=LATE)
            except queue.Empty:
                return
            if message["parent_header"].get("msg_id") == asked and message["msg_type"] == "stream":
                client.process_message(message, cell, cell_index)

    client = NotebookClient(
        notebook,
        kernel_name=options.kernel,
        timeout=options.timeout,
        startup_timeout=options.startup,
        resources={"metadata": {"path": str(options.book)}},
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
        shell_timeout_interval=1,
        on_cell_start=lambda cell, cell_index: at.update(cell=cell),
        on_cell_executed=wait_for_stderr,
    )
    stopped = None
    try:
        # What the kernel says on its own stdout is about its configuration, and for nobody.
        client.execute(env=jupyter_environment(NB_STRICT="1"), stdout=subprocess.DEVNULL)
    except CellExecutionError as error:
        stopped = f"error: {chapter.clean(error.evalue)}"
    except CellTimeoutError:
        stopped = f"timeout: it took more than {options.timeout} s"
    except DeadKernelError:
        stopped = "the kernel died"
    except NoSuchKernel:
        return [(None, None, f"no kernel `{options.kernel}`: run `python3 notebooks/tools/setup.py`")]
    except RuntimeError as error:
        stopped = f"the kernel did not start: {chapter.clean(str(error))}"
    cells = chapter.code_cells(notebook)
    found = list(chapter.problems(notebook))
    # After a timeout the cell also shows the end of its process, which is ours.
    if stopped and (not found or stopped.startswith("timeout")):
        found = [(number, cell, stopped) for number, cell in cells if cell is at["cell"]] or [(None, None, stopped)]
    if not found:
        found = [(number, cell, "no reply from the kernel") for number, cell in cells if cell.execution_count is None]
    return found


if __name__ == "__main__":
    sys.exit(main())
