//! Which head rows belong to, and how often they count.

use crate::{
    Error, Result,
    circuits::{Circuit, Scalar},
    evidence::Fingerprint,
};
use sha2::{Digest, Sha256};

/// Which of a circuit's heads rows belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Heads<'a> {
    /// There is one.
    #[default]
    Only,
    /// The head of each row.
    Labels(&'a [u32]),
    /// The mixture of heads of each row: their weights, `(rows, heads)`.
    Weights(&'a [f32]),
}

/// What rows say besides their values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowWeights<'a> {
    /// Which head each row belongs to.
    pub(crate) heads: Heads<'a>,
    /// How often each row counts in learning: `(rows,)`. Once, where there are none.
    pub(crate) weights: Option<&'a [f32]>,
}

impl Heads<'_> {
    /// What tells rows of these heads from the same rows of others.
    pub(crate) fn describe(self) -> String {
        let hash = |bytes: &mut dyn Iterator<Item = [u8; 4]>| {
            let mut hash = Sha256::new();
            bytes.for_each(|bytes| hash.update(bytes));
            format!(", heads {}", Fingerprint::of(hash))
        };
        match self {
            Self::Only => String::new(),
            Self::Labels(labels) => hash(&mut labels.iter().map(|label| label.to_le_bytes())),
            Self::Weights(weights) => hash(&mut weights.iter().map(|weight| weight.to_le_bytes())),
        }
    }

    /// The weights of these rows for `k` heads, `(heads, stride)`.
    pub(in crate::circuits) fn fill<T: Scalar>(self, rows: &[usize], k: usize, stride: usize, into: &mut [T]) {
        for (b, row) in rows.iter().enumerate() {
            let of = |head: usize| match self {
                Self::Only => 1.0,
                Self::Labels(labels) => f64::from(u8::from(labels[*row] as usize == head)),
                Self::Weights(weights) => f64::from(weights[row * k + head]),
            };
            (0..k).for_each(|head| into[head * stride + b] = T::of(of(head)));
        }
    }
}

impl<T: Scalar> Circuit<T> {
    /// Refuses weights of another number of rows or heads, and none where there are several heads.
    pub(crate) fn check_weights(&self, row_weights: RowWeights, rows: usize) -> Result<()> {
        let k = self.graph.heads();
        let number = |name: &str, given: usize, each: usize| match given == rows * each {
            true => Ok(()),
            false => Err(Error::invalid(format!("{name}: {given} numbers for {rows} rows, {each} each"))),
        };
        let none_below_zero = |name: &str, weights: &[f32], each: usize| {
            number(name, weights.len(), each)?;
            let wrong = weights.iter().position(|w| !(*w >= 0.0 && w.is_finite()));
            let message = |i: usize| format!("{name}: row {} has weight {}", i / each, weights[i]);
            wrong.map_or(Ok(()), |i| Err(Error::invalid(message(i))))
        };
        match row_weights.heads {
            Heads::Only if k > 1 => {
                return Err(Error::invalid(format!("a circuit with {k} heads: say which each row belongs to")));
            }
            Heads::Only => {}
            Heads::Weights(weights) => none_below_zero("heads", weights, k)?,
            Heads::Labels(labels) => {
                number("heads", labels.len(), 1)?;
                if let Some(row) = labels.iter().position(|label| *label as usize >= k) {
                    return Err(Error::invalid(format!("heads: row {row} belongs to head {} of {k}", labels[row])));
                }
            }
        }
        row_weights.weights.map_or(Ok(()), |weights| none_below_zero("weights", weights, 1))
    }
}
