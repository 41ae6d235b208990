"""A chapter as text and as an executed notebook: reading, the stable form that is committed, comparison, lint."""

import re
from pathlib import Path

import jupytext
import nbformat

from lint import QUESTION, top_level_question
from project import ROOT

KERNELSPEC = {"name": "limbeck", "display_name": "Rust (limbeck)", "language": "rust"}
LANGUAGE = {
    "name": "rust",
    "codemirror_mode": "rust",
    "file_extension": ".rs",
    "mimetype": "text/rust",
    "pygments_lexer": "rust",
}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# What evcxr prints for a value whose picture it could not show, and for none.
EMPTY = re.compile(r"^(Figure\(.*\)|\(\))$")
INIT = re.compile(r"\bnotebook::init\(\)")


def read_text(path):
    """The notebook of a MyST text, without outputs."""
    return jupytext.reads(path.read_text(encoding="utf-8"), fmt="md:myst")


def code_cells(notebook):
    """Each code cell that has any code, with its number, from 1, as the reader counts them."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip())
    return list(enumerate(cells, 1))


def tags(cell):
    return cell.metadata.get("tags", [])


def first_line(cell):
    return cell.source.strip().splitlines()[0][:70]


def normalise(notebook):
    """Drops from an executed notebook all that differs between two equal runs, in place."""
    notebook.metadata.clear()
    notebook.metadata.update(kernelspec=dict(KERNELSPEC), language_info=dict(LANGUAGE))
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    counts = {id(cell): number for number, cell in code_cells(notebook)}
    for place, cell in enumerate(notebook.cells, 1):
        cell["id"] = f"cell-{place:03d}"
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        cell.execution_count = counts.get(id(cell))
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count


def kinds(cell):
    """What a cell shows, without what it says: names of streams, and the types of each value."""
    shown = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            shown.append(output.name)
        elif output.output_type == "error":
            shown.append("error")
        else:
            shown.append(" + ".join(sorted(output.data)))
    return shown


def sources(notebook):
    """What the author wrote."""
    return [(cell.cell_type, cell.source.strip(), sorted(tags(cell))) for cell in notebook.cells]


def is_stale(text, executed):
    return sources(text) != sources(executed)


def lint(notebook):
    """What is wrong with the text of the cells, as (number, cell, problem)."""
    cells = code_cells(notebook)
    if cells and not INIT.search(cells[0][1].source):
        yield *cells[0], "lint: the first code cell does not call notebook::init(), so a panic would pass for a success"
    for number, cell in cells:
        line = top_level_question(cell.source)
        if line:
            yield number, cell, f"lint: line {line}: {QUESTION}"


def problems(notebook):
    """What went wrong in the cells that were executed, as (number, cell, problem), one a cell at most."""
    for number, cell in code_cells(notebook):
        problem = problem_of(cell)
        if problem:
            yield number, cell, problem


def problem_of(cell):
    allowed = tags(cell)
    said = {"stdout": "", "stderr": ""}
    error = None
    for output in cell.outputs:
        if output.output_type == "stream":
            said[output.name] += output.text
        elif output.output_type == "error":
            error = output.evalue or "\n".join(output.traceback)
        elif set(output.data) == {"text/plain"} and EMPTY.match(output.data["text/plain"].strip()):
            return f"shows nothing but {output.data['text/plain'].strip()}: does its last expression move a kept variable?"
    # The panic first: the error that follows it says only that the process has ended.
    panic = re.search(r"^PANIC:.*", said["stdout"], re.MULTILINE)
    if panic and "raises-exception" not in allowed:
        return "panic: " + panic.group()
    if error is not None and "raises-exception" not in allowed:
        return "error: " + clean(said["stdout"][-300:] + " " + error if "Subprocess terminated" in error else error)
    if said["stderr"].strip() and "allow-stderr" not in allowed:
        return "stderr: " + clean(said["stderr"])
    return None


def clean(text, most=400):
    """On one line, in no colour, not too long."""
    text = " ".join(COLOURS.sub("", text).split())
    return text if len(text) <= most else text[:most] + " …"


def machine_paths(written):
    """A path of this machine in a notebook that is about to be committed, or None."""
    folders = [f"{folder}/" for folder in (ROOT, Path.home()) if len(folder.parts) > 1]
    return next((folder for folder in folders if folder in written), None)


def changed_kinds(executed, committed):
    """The cells whose kinds of output differ from the committed ones', as (number, cell, problem)."""
    for (number, cell), (_, before) in zip(code_cells(executed), code_cells(committed)):
        now, then = kinds(cell), kinds(before)
        if now != then:
            yield number, cell, f"kinds of output: {listed(now)}, committed: {listed(then)}"


def listed(shown):
    return ", ".join(shown) or "none"


def as_json(notebook):
    return nbformat.writes(notebook) + "\n"
