"""The headless run from end to end: one small book for each way to fail, in the kernel itself."""

import os
import re
import subprocess
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat

from project import PYTHON

RUN = Path(__file__).resolve().parent / "run.py"
INIT = "use limbeck::prelude::*;\nnotebook::init();"
GOOD = 'println!("one");'


def text(*cells):
    return "# A chapter\n\n" + "\n".join(f"```{{code-cell}}\n{cell}\n```\n" for cell in cells)


JOB_THAT_PANICS = """let job: Job<u8> = Job::spawn("j", |_| panic!("as meant"));
println!("{}", job.join().unwrap_err());"""
PANIC = """println!("before");
let v: Vec<u8> = vec![];
v[v.len()];"""
END_OF_THE_KERNEL = """let kernel = std::os::unix::process::parent_id().to_string();
std::process::Command::new("kill").args(["-9", &kernel]).status().unwrap();
std::thread::sleep(std::time::Duration::from_secs(2));"""
WARNING = 'eprintln!("careful");'
TAGGED = ":tags: [allow-stderr]\n\n" + WARNING

# Name: the cells after the first, options, which cell fails and what is said of it (or None, where all pass).
RUNS = {
    "never ends": (["loop { std::hint::black_box(1); }"], ["--timeout", "15"], (2, "timeout: it took more than 15 s")),
    "passes": ([GOOD, "Page::new().text(\"1\")", JOB_THAT_PANICS, TAGGED], [], None),
    "does not compile": (["let x: u8 = true;"], [], (2, "error: .*mismatched types")),
    "panics": ([PANIC, GOOD], [], (2, "panic: PANIC: index out of bounds")),
    "question": (['"x".parse::<u8>()?;'], [], (2, "lint: line 1: a `\\?` at top level")),
    "stderr": ([WARNING], [], (2, "stderr: careful")),
    "aborts": (["std::process::abort();"], [], (2, "error: .*SIGABRT")),
    "kills the kernel": ([END_OF_THE_KERNEL], [], (2, "the kernel died")),
}


class Book:
    """A book of one chapter, 01-one, in a folder of its own."""

    def __init__(self, folder, *cells):
        self.folder = folder
        (folder / "text").mkdir(parents=True)
        self.write(*cells)

    def write(self, *cells, name="01-one"):
        (self.folder / f"text/{name}.md").write_text(text(INIT, *cells))

    def notebook(self, name="01-one"):
        return self.folder / f"{name}.ipynb"

    def run(self, *options):
        command = [PYTHON, RUN, "--book", self.folder, "--out", self.folder / "out", *options]
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, LIMBECK_SCALE="small"))
        return done.returncode, done.stdout + done.stderr


def children_left():
    """The processes of cells that are still alive: children of a kernel that is not."""
    listed = subprocess.run(["ps", "-eo", "ppid,pid,args"], capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if re.match(r"\s*1\s.*evcxr_jupyter", line)]


class EachWayToFail(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.books = {name: Book(Path(folder.name) / str(n), *cells) for n, (name, (cells, _, _)) in enumerate(RUNS.items())}
        before = children_left()
        with ThreadPoolExecutor(2) as pool:
            runs = {name: pool.submit(cls.books[name].run, *options) for name, (_, options, _) in RUNS.items()}
            cls.results = {name: run.result() for name, run in runs.items()}
        # A sleeping cell sees only when it wakes that its kernel is gone; one that computes for ever never would.
        deadline = time.monotonic() + 10
        while (left := set(children_left()) - set(before)) and time.monotonic() < deadline:
            time.sleep(0.2)
        cls.left = left

    def test_each(self):
        for name, (_, _, failure) in RUNS.items():
            with self.subTest(name):
                status, said = self.results[name]
                if failure is None:
                    self.assertEqual(status, 0, said)
                    self.assertRegex(said, r"ok   01-one  \d+\.\d s\n1 passed, 0 failed")
                else:
                    cell, pattern = failure
                    self.assertEqual(status, 1, said)
                    self.assertRegex(said, rf"FAIL 01-one  .*\n  01-one, code cell {cell} `.*`: {pattern}")
                    self.assertIn("0 passed, 1 failed", said)

    def test_a_failed_chapter_is_not_written_over_the_committed_one(self):
        self.assertFalse(self.books["panics"].notebook().exists())
        self.assertTrue((self.books["panics"].folder / "out/01-one.ipynb").exists())

    def test_the_outputs_are_in_the_notebook(self):
        made = nbformat.read(self.books["passes"].notebook(), as_version=4)
        nbformat.validate(made)
        outputs = [cell.outputs for cell in made.cells if cell.cell_type == "code"]
        self.assertEqual(outputs[1][0].text, "one\n")
        self.assertEqual(sorted(outputs[2][0].data), ["text/html", "text/plain"])
        self.assertRegex(outputs[3][0].text, r"^job `j` failed: as meant \(.*:\d+\)\n$")

    def test_nothing_of_a_cell_that_never_ends_is_left_running(self):
        self.assertEqual(self.left, set())


class Check(unittest.TestCase):
    """--check, in one book through its life."""

    def test_what_differs_from_the_committed_notebook(self):
        with tempfile.TemporaryDirectory() as folder:
            book = Book(Path(folder), "let shown: bool = notebook::env(\"SHOWN\", false).unwrap();", "if shown { println!(\"1\"); };")
            self.assertEqual(self.says(book, "--check"), (1, "a text with no notebook: 01-one.ipynb is not there"))
            self.assertEqual(book.run()[0], 0)
            committed = book.notebook().read_bytes()

            status, said = book.run("--check")
            self.assertEqual(status, 0, said)
            again = (book.folder / "out/01-one.ipynb").read_bytes()
            self.assertEqual(again, committed, "two runs wrote different bytes")

            os.environ["SHOWN"] = "true"
            self.addCleanup(os.environ.pop, "SHOWN", None)
            self.assertEqual(self.says(book, "--check"), (1, "kinds of output: stdout, committed: none"))
            self.assertEqual(book.notebook().read_bytes(), committed, "--check wrote over the committed notebook")

            book.write(GOOD)
            self.assertEqual(self.says(book, "--check"), (1, "stale: 01-one.ipynb was not made from this text"))
            (book.folder / "text/01-one.md").unlink()
            status, said = book.run("--check")
            self.assertEqual(status, 1)
            self.assertIn("FAIL 01-one: a notebook with no text", said)

    def says(self, book, *options):
        status, said = book.run(*options)
        found = re.search(r"^  01-one[^:]*: (.*?)(; run.*)?$", said, re.MULTILINE)
        return status, found.group(1) if found else said


if __name__ == "__main__":
    unittest.main()
