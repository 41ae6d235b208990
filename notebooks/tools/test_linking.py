"""Why the kernel loads the library as it does: in its default mode, every cell has its own copy of dfdx's tensor ids.

Should a newer kernel or dfdx make the default mode right, `test_linked_into_each_cell_it_is_wrong` says so by failing.
"""

import shutil
import subprocess
import unittest

from project import ROOT, cache
from session import Session

FOLDER = cache() / "trap"
MANIFEST = """[package]
name = "trap"
version = "0.1.0"
edition = "2024"

[dependencies]
dfdx = { version = "=0.13.0", default-features = false, features = ["std", "cpu"] }
"""
# The library's own check, without the rest of the library.
LIBRARY = """pub use dfdx;
pub mod notebook {
    mod display;
    mod env;
    mod init;
    mod job;
    mod lines;
    mod shared;
    pub use env::strict;
    pub use init::init;
    pub use job::Job;
    pub use shared::check_shared;
}
#[derive(Debug)]
pub struct Error(String);
impl Error {
    pub fn invalid(what: impl std::fmt::Display) -> Self { Self(what.to_string()) }
}
impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { f.write_str(&self.0) }
}
pub type Result<T, E = Error> = std::result::Result<T, E>;
"""
MODEL = """use {crate_name}::dfdx::prelude::*;
let dev: Cpu = Cpu::default();
let w: Tensor<Rank1<3>, f32, Cpu> = dev.tensor([1.0, 2.0, 3.0]);"""
# d/dw of the sum of 2 w² is 4 w.
GRADIENT = """{
    let gradients = (w.leaky_trace().square() * 2.0).sum().backward();
    println!("{:?}", gradients.get(&w).array());
}"""
RIGHT = "[4.0, 8.0, 12.0]"


def write(path, content):
    """Keeps the time of a file that is right, so that cargo finds nothing to do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != content:
        path.write_text(content)


def trap_crate():
    write(FOLDER / "crate/Cargo.toml", MANIFEST)
    write(FOLDER / "crate/src/lib.rs", LIBRARY)
    for name in ["display", "env", "init", "job", "lines", "shared"]:
        write(FOLDER / f"crate/src/notebook/{name}.rs", (ROOT / f"src/notebook/{name}.rs").read_text())
    # The versions that the project builds with, which are the ones that cargo has at hand.
    (FOLDER / "cells").mkdir(exist_ok=True)
    if not (FOLDER / "cells/Cargo.lock").exists():
        shutil.copy(ROOT / "Cargo.lock", FOLDER / "cells/Cargo.lock")
    return FOLDER / "crate"


class Linking(unittest.TestCase):
    def test_shared_it_is_right(self):
        with Session() as kernel:
            ready = kernel.run("use limbeck::prelude::*;\nnotebook::init();\nnotebook::check_shared().unwrap();")
            self.assertEqual(ready.error, "")
            made = kernel.run(MODEL.format(crate_name="limbeck"))
            self.assertEqual(made.error, "")
            for _ in range(2):
                right = kernel.run(GRADIENT)
                self.assertEqual((right.text.strip(), right.error), (RIGHT, ""))

    def test_linked_into_each_cell_it_is_wrong(self):
        crate = trap_crate()
        # The kernel moves what it has linked up by one folder, and under a home folder the path to libstd then misses.
        libstd = subprocess.run(["rustc", "--print", "target-libdir"], capture_output=True, text=True, check=True).stdout.strip()
        default = {"CARGO_ENCODED_RUSTFLAGS": None, "EVCXR_TMPDIR": str(FOLDER / "cells"), "LD_LIBRARY_PATH": libstd}
        with Session(**default) as kernel:
            loaded = kernel.run(f':dep trap = {{ path = "{crate}" }}', timeout=900)
            self.assertEqual(loaded.error, "")
            made = kernel.run(MODEL.format(crate_name="trap"), timeout=900)
            self.assertEqual(made.error, "")
            wrong = kernel.run(GRADIENT)
            self.assertEqual(wrong.error, "")
            self.assertNotIn(RIGHT, wrong.text)
            self.assertTrue("[6.0, 10.0, 14.0]" in wrong.text or "panicked" in wrong.stderr, (wrong.text, wrong.stderr))

            refused = kernel.run("trap::notebook::init();")
            self.assertIn("Subprocess terminated", refused.error)
            self.assertIn("notebook::init refuses to go on: limbeck is linked into libcode_", refused.text)
            self.assertIn("setup.py", refused.text)


if __name__ == "__main__":
    unittest.main()
