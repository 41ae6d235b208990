#!/usr/bin/env python3
"""Measures how long a reader waits: the kernel's start, and cells of the usual kinds.

    python3 notebooks/tools/latency.py [--repeats 7] [--json]

Needs the environment of setup.py. Exits 0 whether or not a budget is met; look at the load before believing a number.
"""

import argparse
import json
import os
import statistics
import sys
import time

from project import enter_venv

if __name__ == "__main__":
    enter_venv()

from session import Session

START_BUDGET = 5.0
CELL_BUDGET = 0.7
INIT = "use limbeck::prelude::*;\nnotebook::init();"
# `{n}` differs in each repeat, so that no cell is one that was compiled before.
CELLS = {
    "println": 'println!("{n}");',
    "call the library": 'println!("{}", notebook::base64(&[{n}]));',
    "figure shown inline": """Figure::new(&Lines::new("Run {n}", "x", "sin x").with(
    Series::new("sine", (0..200).map(|i| (f64::from(i) / 20.0, (f64::from(i) / 20.0).sin()))),
)).unwrap()""",
    "let that persists": "let kept_{n}: Vec<f32> = vec![{n}.0; 1000];",
    "let without a type": "let guessed_{n} = vec![{n}.0_f32; 1000];",
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--repeats", type=int, default=7, help="times each cell runs")
    arguments.add_argument("--starts", type=int, default=3, help="times a kernel starts")
    arguments.add_argument("--json", action="store_true", help="print the numbers as JSON")
    options = arguments.parse_args()
    load = os.getloadavg()[0]
    try:
        rows = measure(options.starts, options.repeats)
    except RuntimeError as why:
        sys.exit(f"latency: {why}")
    if options.json:
        print(json.dumps({"load": load, "rows": rows}, indent=1))
    else:
        show(rows, load)


def measure(starts, repeats):
    """Rows of name, first (s, before anything of its kind was warm), times (s) and budget (s)."""
    rows = [{"name": "kernel start to first output", "budget": START_BUDGET, "first": None, "times": []}]
    for _ in range(starts):
        began = time.monotonic()
        with Session() as kernel:
            ready = time.monotonic() - began
            rows[0]["times"].append(ready + run(kernel, 'println!("ready");').seconds_to_first_output)
    with Session() as kernel:
        run(kernel, INIT)
        for name, code in CELLS.items():
            times = [run(kernel, code.replace("{n}", str(n))).seconds for n in range(repeats + 1)]
            rows.append({"name": name, "budget": CELL_BUDGET, "first": times[0], "times": times[1:]})
    for row in rows:
        row["min"], row["median"] = min(row["times"]), statistics.median(row["times"])
        row["pass"] = row["median"] <= row["budget"]
    return rows


def run(kernel, code):
    reply = kernel.run(code)
    if reply.error or reply.stderr.strip():
        raise RuntimeError(f"a cell failed: {code}\n{reply.error or reply.stderr}")
    return reply


def show(rows, load):
    print(f"{'seconds (load ' + format(load, '.1f') + ')':30} {'first':>6} {'min':>6} {'median':>6} {'budget':>6}")
    for row in rows:
        first = "" if row["first"] is None else f"{row['first']:.2f}"
        verdict = "pass" if row["pass"] else "over"
        print(f"{row['name']:30} {first:>6} {row['min']:6.2f} {row['median']:6.2f} {row['budget']:6.1f} {verdict}")


if __name__ == "__main__":
    main()
