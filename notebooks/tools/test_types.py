"""Types that a cell leaves out are inferred from the copied sources of the standard library."""

import unittest

from session import Session

WRITE = """let words = "to be or not to be".split(' ').map(str::to_owned).collect::<Vec<_>>();
let mut counts = std::collections::BTreeMap::new();
for word in &words { *counts.entry(word.clone()).or_insert(0_usize) += 1; }
let longest = words.iter().map(|word| word.len()).max();
let first = words.first().cloned().unwrap_or_default();
let halves = [1.0_f64, 3.0].map(|x| x / 2.0);"""
READ = 'println!("{} {counts:?} {longest:?} {first} {halves:?}", words.len());'


class Types(unittest.TestCase):
    def test_variables_of_the_standard_library_persist_without_a_type(self):
        with Session() as kernel:
            wrote = kernel.run(WRITE)
            read = kernel.run(READ)
        self.assertEqual((wrote.error, read.error), ("", ""))
        self.assertEqual(read.text, '6 {"be": 2, "not": 1, "or": 1, "to": 2} Some(3) to [0.5, 1.5]\n')


if __name__ == "__main__":
    unittest.main()
