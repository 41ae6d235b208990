//! Frequencies of sequences of letters, as a text is modelled without learning.

use crate::data::{Discrete, Rows};
use std::collections::HashMap;

/// How often each letter followed each context within windows, contexts of up to some letters.
pub(super) struct Grams {
    letters: usize,
    /// By context: how often each letter followed.
    followed: HashMap<Vec<u16>, Vec<u32>>,
}

/// [`Grams`] with contexts of fewer than `order` letters.
pub(super) struct UpTo<'a> {
    grams: &'a Grams,
    order: usize,
}

impl Grams {
    pub(super) fn new(rows: &Discrete, order: usize) -> Self {
        let (letters, length) = (rows.schema().variables[0].categories, rows.schema().len());
        let mut followed: HashMap<Vec<u16>, Vec<u32>> = HashMap::new();
        for row in rows.codes().chunks_exact(length) {
            for i in 0..length {
                for known in 0..order.min(i + 1) {
                    let counts = followed.entry(row[i - known..i].to_vec()).or_insert_with(|| vec![0; letters]);
                    counts[row[i] as usize] += 1;
                }
            }
        }
        Self { letters, followed }
    }

    pub(super) fn up_to(&self, order: usize) -> UpTo<'_> {
        UpTo { grams: self, order }
    }
}

impl UpTo<'_> {
    /// Probabilities of what follows: each context's frequencies, mixed with those of the one shorter by a letter by how many
    /// different letters have followed (Witten and Bell 1991).
    fn after(&self, before: &[u16]) -> Vec<f64> {
        let k = self.grams.letters;
        let mut law = vec![1.0 / k as f64; k];
        for known in 0..self.order.min(before.len() + 1) {
            let Some(counts) = self.grams.followed.get(&before[before.len() - known..]) else { break };
            let all: u32 = counts.iter().sum();
            let kinds = counts.iter().filter(|c| **c > 0).count() as f64;
            let total = f64::from(all) + kinds;
            law.iter_mut().zip(counts).for_each(|(p, count)| *p = (f64::from(*count) + kinds * *p) / total);
        }
        law
    }

    /// Bits a letter of windows.
    pub(super) fn bits(&self, rows: &Discrete) -> f64 {
        let length = rows.schema().len();
        let nats: f64 = rows
            .codes()
            .chunks_exact(length)
            .flat_map(|row| (0..length).map(move |i| -self.after(&row[..i])[row[i] as usize].ln()))
            .sum();
        nats / (rows.codes().len() as f64 * std::f64::consts::LN_2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Schema;

    #[test]
    fn frequencies_mix_as_they_should() {
        let rows = Discrete::new(Schema::uniform(&[3], 2), vec![0, 1, 0, 0, 1, 1]).unwrap();
        let grams = Grams::new(&rows, 2);
        // Three zeros and three ones, of two kinds: (3 + 2/2) / 8.
        assert_eq!(grams.up_to(1).after(&[0]), [0.5, 0.5]);
        // After a zero twice a one, of one kind: (0 + ½) / 3 and (2 + ½) / 3.
        assert_eq!(grams.up_to(2).after(&[0]), [0.5 / 3.0, 2.5 / 3.0]);
        assert_eq!(grams.up_to(1).bits(&rows), 1.0);
        // Every law is one.
        assert!((grams.up_to(2).after(&[1]).iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
