"""The committed form of a chapter, and what counts as a difference or a failure."""

import unittest

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import chapter


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def shown(**data):
    return new_output("execute_result", data={key.replace("_", "/"): value for key, value in data.items()}, execution_count=7)


def notebook(*cells):
    return new_notebook(cells=[new_code_cell(source, outputs=outputs) for source, *outputs in cells])


class Normalise(unittest.TestCase):
    def test_two_runs_become_the_same_bytes(self):
        def run(count, session):
            cell = new_code_cell("1", execution_count=count, outputs=[shown(text_plain="1")])
            cell.metadata["execution"] = {"iopub.execute_input": session}
            made = new_notebook(cells=[new_markdown_cell("Text"), new_code_cell(" "), cell])
            made.metadata["kernelspec"] = {"name": session, "path": "/somewhere/" + session}
            made.metadata["jupytext"] = {"version": session}
            chapter.normalise(made)
            return chapter.as_json(made)

        self.assertEqual(run(3, "a"), run(8, "b"))

    def test_language_and_kernel_are_named_for_the_viewer(self):
        made = notebook(["1"])
        chapter.normalise(made)
        self.assertEqual(made.metadata.language_info.name, "rust")
        self.assertEqual(made.metadata.kernelspec.name, "limbeck")
        self.assertEqual((made.cells[0].execution_count, made.cells[0].id), (1, "cell-001"))


class Kinds(unittest.TestCase):
    def test_what_is_said_may_change_but_not_its_kind(self):
        before = notebook(["a", stream("loss 1")], ["b", shown(image_png="x", text_plain="y")])
        same = notebook(["a", stream("loss 2")], ["b", shown(text_plain="z", image_png="w")])
        self.assertEqual(list(chapter.changed_kinds(same, before)), [])
        other = notebook(["a", stream("loss 2"), stream("note", "stderr")], ["b", shown(text_html="<b/>")])
        first, second = chapter.changed_kinds(other, before)
        self.assertEqual(first[0], 1)
        self.assertEqual(first[2], "kinds of output: stdout, stderr, committed: stdout")
        self.assertEqual(second[2], "kinds of output: text/html, committed: image/png + text/plain")

    def test_a_text_with_another_source_type_or_tag_is_stale(self):
        self.assertFalse(chapter.is_stale(notebook(["a"]), notebook(["a\n", stream("x")])))
        self.assertTrue(chapter.is_stale(notebook(["a"]), notebook(["b"])))
        self.assertTrue(chapter.is_stale(notebook(["a"]), notebook(["a"], ["a"])))
        self.assertTrue(chapter.is_stale(notebook(["a"]), new_notebook(cells=[new_markdown_cell("a")])))
        tagged = notebook(["a"])
        tagged.cells[0].metadata["tags"] = ["allow-stderr"]
        self.assertTrue(chapter.is_stale(notebook(["a"]), tagged))


class Problems(unittest.TestCase):
    def found(self, *outputs, tags=()):
        made = notebook(["let a = 1;", *outputs])
        made.cells[0].metadata["tags"] = list(tags)
        return [problem for _, _, problem in chapter.problems(made)]

    def test_each_kind_of_failure_is_one(self):
        error = new_output("error", ename="Error", evalue="\x1b[31mexpected\x1b[0m\n  `f32`", traceback=[])
        self.assertEqual(self.found(error), ["error: expected `f32`"])
        self.assertEqual(self.found(stream("warned\n", "stderr")), ["stderr: warned"])
        self.assertEqual(self.found(stream("1\nPANIC: lost (a.rs:1)\n")), ["panic: PANIC: lost (a.rs:1)"])
        self.assertEqual(self.found(stream("no PANIC: here\n")), [])

    def test_a_figure_that_is_only_named_is_one(self):
        def result(**data):
            return new_output("execute_result", data={key.replace("_", "/"): text for key, text in data.items()})

        self.assertEqual(len(self.found(result(text_plain="Figure(620 × 400)"))), 1)
        self.assertEqual(len(self.found(result(text_plain="()"))), 1)
        self.assertEqual(self.found(result(text_plain="Figure(620 × 400)", image_png="…")), [])
        self.assertEqual(self.found(result(text_plain="0.5")), [])

    def test_a_panic_is_said_before_the_end_of_the_process_that_it_caused(self):
        ended = new_output("error", ename="Error", evalue="Subprocess terminated with status: 101", traceback=[])
        self.assertEqual(self.found(stream("PANIC: lost\n"), ended), ["panic: PANIC: lost"])

    def test_a_tag_allows_what_it_names_and_nothing_else(self):
        error = new_output("error", ename="Error", evalue="no", traceback=[])
        warning = stream("warned", "stderr")
        self.assertEqual(self.found(error, tags=["raises-exception"]), [])
        self.assertEqual(self.found(warning, tags=["allow-stderr"]), [])
        self.assertEqual(len(self.found(error, tags=["allow-stderr"])), 1)
        self.assertEqual(len(self.found(warning, tags=["raises-exception"])), 1)


class Lint(unittest.TestCase):
    def test_the_first_code_cell_prepares_the_kernel(self):
        self.assertEqual(list(chapter.lint(notebook(["use limbeck::prelude::*;\nnotebook::init();"], ["1"]))), [])
        ((number, _, problem),) = chapter.lint(notebook(["use limbeck::prelude::*;"], ["notebook::init();"]))
        self.assertEqual(number, 1)
        self.assertIn("notebook::init()", problem)

    def test_a_question_is_named_with_its_cell_and_line(self):
        ((number, _, problem),) = chapter.lint(notebook(["notebook::init();"], ["let a = 1;\nf()?;"]))
        self.assertEqual(number, 2)
        self.assertIn("line 2", problem)


if __name__ == "__main__":
    unittest.main()
