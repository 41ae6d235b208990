//! Sets of variables.

/// A set of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope(Vec<u64>);

impl Scope {
    pub(super) fn of(variable: usize, variables: usize) -> Self {
        let mut bits = vec![0; variables.div_ceil(64)];
        bits[variable / 64] |= 1 << (variable % 64);
        Self(bits)
    }

    pub(super) fn has(&self, variable: usize) -> bool {
        self.0[variable / 64] >> (variable % 64) & 1 == 1
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    /// A variable of both.
    pub(super) fn shared(&self, other: &Self) -> Option<usize> {
        let both = |i: usize| self.0[i] & other.0[i];
        (0..self.0.len()).find(|i| both(*i) != 0).map(|i| i * 64 + both(i).trailing_zeros() as usize)
    }
}
