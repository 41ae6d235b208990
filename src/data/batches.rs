//! Which rows go into which batch, and which into training, validation and test.

use crate::random::{Seed, permutation};

/// Disjoint sets of row indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Rows to learn from.
    pub train: Vec<usize>,
    /// Rows to choose by.
    pub valid: Vec<usize>,
    /// Rows to report on.
    pub test: Vec<usize>,
}

impl Split {
    /// A random split of `n` rows; `valid` and `test` are fractions of `n`, rounded down.
    pub fn random(n: usize, valid: f64, test: f64, seed: Seed) -> Self {
        let mut order = permutation(n, &mut seed.stream("split", 0));
        let part = |fraction: f64| ((n as f64 * fraction.clamp(0.0, 1.0)) as usize).min(n);
        let test = order.split_off(n - part(test));
        let valid = order.split_off(order.len() - part(valid).min(order.len()));
        Self { train: order, valid, test }
    }
}

/// The batches of one epoch: every row once, in an order that the seed and the epoch decide.
///
/// ```
/// # use limbeck::{data::Batches, random::Seed};
/// let sizes = |least| Batches::new(10, (4, least), Seed(1), 0).map(|batch| batch.len()).collect::<Vec<_>>();
/// assert_eq!(sizes(1), [4, 4, 2]);
/// assert_eq!(sizes(3), [4, 6]);
/// ```
#[derive(Clone, Debug)]
pub struct Batches {
    order: Vec<usize>,
    size: usize,
    least: usize,
    next: usize,
}

impl Batches {
    /// Batches of `size` rows (at least one) out of `rows`. The last may be smaller; a rest of fewer than `least` rows joins the
    /// batch before it.
    pub fn new(rows: usize, (size, least): (usize, usize), seed: Seed, epoch: u64) -> Self {
        Self { order: permutation(rows, &mut seed.stream("batches", epoch)), size: size.max(1), least, next: 0 }
    }

    /// Number of batches in the epoch.
    pub fn count(rows: usize, size: usize, least: usize) -> usize {
        let (whole, rest) = (rows / size.max(1), rows % size.max(1));
        if rest >= least.max(1) || (rest > 0 && whole == 0) { whole + 1 } else { whole }
    }
}

impl Iterator for Batches {
    type Item = Vec<usize>;

    fn next(&mut self) -> Option<Vec<usize>> {
        let n = self.order.len();
        let end = (self.next + self.size).min(n);
        let end = if n - end < self.least { n } else { end };
        let batch = self.order[self.next..end].to_vec();
        self.next = end;
        (!batch.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_loses_and_repeats_no_row() {
        let split = Split::random(101, 0.1, 0.25, Seed(3));
        assert_eq!((split.train.len(), split.valid.len(), split.test.len()), (66, 10, 25));
        let mut all: Vec<_> = [split.train, split.valid, split.test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..101).collect::<Vec<_>>());
    }

    #[test]
    fn there_are_as_many_batches_as_are_counted() {
        for (rows, size, least) in
            [(10, 4, 1), (10, 4, 3), (385, 128, 16), (8, 16, 4), (3, 16, 4), (32, 16, 16), (1, 1, 1)]
        {
            let batches: Vec<_> = Batches::new(rows, (size, least), Seed(0), 0).collect();
            assert_eq!(batches.len(), Batches::count(rows, size, least), "{rows}, {size}, {least}");
            assert!(batches.iter().all(|b| b.len() >= least.min(rows)), "{rows}, {size}, {least}");
            assert_eq!(batches.concat().len(), rows);
        }
    }

    #[test]
    fn an_epoch_sees_every_row_once_and_differs_from_the_next() {
        let epoch = |e| Batches::new(37, (5, 3), Seed(0), e).flatten().collect::<Vec<_>>();
        let mut sorted = epoch(0);
        assert_ne!(sorted, epoch(1));
        sorted.sort_unstable();
        assert_eq!(sorted, (0..37).collect::<Vec<_>>());
    }
}
