"""The library in the environment: whose it is, and when it is made anew."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parent


class Project:
    """A checkout with a crate `limbeck` of one function, and an environment that is otherwise taken for made."""

    def __init__(self, folder, target, text):
        self.folder, self.target = folder, target
        for name in ["setup.py", "project.py"]:
            (folder / "notebooks/tools").mkdir(parents=True, exist_ok=True)
            shutil.copy(TOOLS / name, folder / "notebooks/tools")
        for name in [".venv/bin/python", ".venv/lib/rust-std/copied-from", ".tools/bin/evcxr_jupyter"]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        shutil.copy(TOOLS.parents[1] / "build.rs", folder)
        (folder / "Cargo.toml").write_text('[package]\nname = "limbeck"\nversion = "0.1.0"\nedition = "2024"\n')
        (folder / "src").mkdir()
        self.write(text)

    def write(self, text):
        source = self.folder / "src/lib.rs"
        source.write_text(f"#[inline(never)]\npub fn text() -> &'static str {{ {json.dumps(text)} }}\n")

    def setup(self):
        environment = dict(os.environ, CARGO_TARGET_DIR=str(self.target), CARGO_NET_OFFLINE="true")
        command = [sys.executable, "notebooks/tools/setup.py", "--library"]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(done.stderr)
        return done.stdout

    def flags(self):
        spec = json.loads((self.folder / ".venv/share/jupyter/kernels/limbeck/kernel.json").read_text())
        return spec["env"]["CARGO_ENCODED_RUSTFLAGS"].split("\x1f")

    def library(self):
        (extern,) = [flag for flag in self.flags() if flag.startswith("limbeck=")]
        return Path(extern.split("=", 1)[1])

    def build_as_just_does(self):
        environment = dict(os.environ, CARGO_TARGET_DIR=str(self.target), LIMBECK_CHECKOUT=str(self.folder))
        subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=self.folder, env=environment, check=True)


class Library(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        self.target = self.folder / "target"

    def project(self, name, text):
        return Project(self.folder / name, self.target, text)

    def test_two_checkouts_that_share_a_target_folder_load_their_own(self):
        one, two = self.project("one", "from the first"), self.project("two", "from the second")
        for _ in range(2):
            for project, own, other in [(one, b"from the first", b"from the second"), (two, b"from the second", b"from the first")]:
                project.setup()
                content = project.library().read_bytes()
                self.assertIn(own, content)
                self.assertNotIn(other, content)
                self.assertTrue(project.library().is_relative_to(project.folder))

    def test_an_edit_makes_a_new_file_and_leaves_the_old_to_the_kernel_that_runs(self):
        project = self.project("one", "before the edit")
        self.assertIn("built", project.setup())
        before = project.library()
        project.write("after the edit")
        self.assertIn("restart", project.setup())
        self.assertIn(b"after the edit", project.library().read_bytes())
        self.assertIn(b"before the edit", before.read_bytes())

    def test_done_twice_it_does_nothing(self):
        project = self.project("one", "the same")
        project.setup()
        before = project.library().stat()
        self.assertIn("up to date", project.setup())
        after = project.library().stat()
        self.assertEqual((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))

    def test_the_build_of_just_and_this_one_are_one(self):
        project = self.project("one", "one of two")
        project.setup()
        project.build_as_just_does()
        self.assertIn("up to date", project.setup())
        rlib = (self.target / "release/liblimbeck.rlib").stat().st_mtime_ns
        project.build_as_just_does()
        self.assertEqual((self.target / "release/liblimbeck.rlib").stat().st_mtime_ns, rlib)

    def test_a_lost_copy_comes_back(self):
        project = self.project("one", "lost and found")
        project.setup()
        shutil.rmtree(project.folder / ".venv/lib/limbeck")
        project.setup()
        self.assertIn(b"lost and found", project.library().read_bytes())

    def test_a_crate_that_does_not_compile_is_an_error(self):
        project = self.project("one", "good")
        (project.folder / "src/lib.rs").write_text("pub fn broken( {}")
        with self.assertRaisesRegex(AssertionError, "setup: `cargo build"):
            project.setup()


if __name__ == "__main__":
    unittest.main()
