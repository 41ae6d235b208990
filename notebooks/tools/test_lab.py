"""The reader's copies of the book."""

import tempfile
import unittest
from pathlib import Path

from lab import copy


class Copies(unittest.TestCase):
    def test_a_reader_keeps_what_is_changed_and_gets_what_is_new(self):
        with tempfile.TemporaryDirectory() as folder:
            book, mine = Path(folder), Path(folder) / "mine"
            chapters = [book / "01-a.ipynb", book / "02-b.ipynb"]
            for chapter in chapters:
                chapter.write_text("first")
            self.assertEqual(copy(book, mine), [])
            (mine / "02-b.ipynb").write_text("a reader's own")
            self.assertEqual(copy(book, mine), [])
            for chapter in chapters:
                chapter.write_text("second")
            self.assertEqual(copy(book, mine), ["02-b.ipynb"])
            self.assertEqual((mine / "01-a.ipynb").read_text(), "second")
            self.assertEqual((mine / "02-b.ipynb").read_text(), "a reader's own")
            self.assertEqual((mine / ".gitignore").read_text(), "*\n")


if __name__ == "__main__":
    unittest.main()
