//! Unit `h` is category `h` for certain: nothing is learned.

use super::{Leaves, family::Family};
use crate::{circuits::Scalar, random::Stream};

pub(super) struct Indicator;

impl<T: Scalar> Family<T> for Indicator {
    fn unfit(&self, k: usize, units: usize) -> Option<String> {
        (k != units).then(|| format!("as many as units, {units}"))
    }

    fn parameters(&self, _: &Leaves<T>) -> usize {
        0
    }

    fn randomise(&self, leaves: &mut Leaves<T>, _: &mut Stream) {
        let (units, k) = (leaves.units, leaves.categories());
        for (a, unit) in (0..k).flat_map(|a| (0..units).map(move |u| (a, u))) {
            leaves.table[a * units + unit] = if a == unit { T::ONE } else { T::ZERO };
        }
    }

    fn maximise(&self, _: &mut Leaves<T>, _: &[T], _: f64, _: f64) {}

    fn is_valid(&self, leaves: &Leaves<T>) -> bool {
        leaves.rows_are_distributions()
    }
}
