//! Frequencies of classes beside and below each other, as a map is modelled without learning.

use crate::{
    Error, Result,
    data::{Discrete, Rows},
    random::{Seed, categorical},
};

/// How often each class of a cell followed each pair of the ones to its left and above.
///
/// ```text
/// P(k | left, above) = (n_k + ½) / (n + ½ K)
/// ```
pub(super) struct Neighbours {
    width: usize,
    classes: usize,
    /// By pair, with one class more for the edge: what each class counts, and half of one.
    counts: Vec<Vec<f64>>,
}

impl Neighbours {
    /// Of maps in rows of so many cells.
    pub(super) fn new(maps: &Discrete, width: usize) -> Self {
        let classes = maps.schema().variables[0].categories;
        let mut found = Self { width, classes, counts: vec![vec![0.5; classes]; (classes + 1) * (classes + 1)] };
        for map in maps.codes().chunks_exact(maps.schema().len()) {
            for (i, class) in map.iter().enumerate() {
                let pair = found.pair(map, i);
                found.counts[pair][*class as usize] += 1.0;
            }
        }
        found
    }

    /// The pair that a cell is guessed from.
    fn pair(&self, map: &[u16], i: usize) -> usize {
        let left = if i.is_multiple_of(self.width) { self.classes } else { map[i - 1] as usize };
        let above = if i < self.width { self.classes } else { map[i - self.width] as usize };
        (self.classes + 1) * left + above
    }

    /// Bits a cell of maps.
    pub(super) fn bits(&self, maps: &Discrete) -> f64 {
        let of_cell = |map: &[u16], i: usize| {
            let counts = &self.counts[self.pair(map, i)];
            -(counts[map[i] as usize] / counts.iter().sum::<f64>()).log2()
        };
        let of_map = |map: &[u16]| (0..map.len()).map(|i| of_cell(map, i)).sum::<f64>();
        maps.codes().chunks_exact(maps.schema().len()).map(of_map).sum::<f64>() / maps.codes().len() as f64
    }

    /// `n` maps like the given ones.
    pub(super) fn sample(&self, like: &Discrete, n: usize, seed: Seed) -> Result<Discrete> {
        let cells = like.schema().len();
        let mut codes = Vec::with_capacity(n * cells);
        for map in 0..n {
            let mut rng = seed.stream("neighbours", map as u64);
            for i in 0..cells {
                let drawn = categorical(&self.counts[self.pair(&codes[map * cells..], i)], &mut rng);
                codes.push(drawn.ok_or_else(|| Error::invalid("counts of nothing"))? as u16);
            }
        }
        Discrete::new(like.schema().clone(), codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Schema;

    #[test]
    fn cells_are_guessed_from_two_neighbours() {
        // One map of 2 × 2: every pair is met once, and its class has 1½ of 2.
        let map = Discrete::new(Schema::uniform(&[2, 2], 2), vec![0, 1, 1, 0]).unwrap();
        let found = Neighbours::new(&map, 2);
        assert_eq!(found.bits(&map), -(0.75_f64.log2()));
        // Two of its pairs were met, with the other class; of the rest nothing is known.
        let other = Discrete::new(Schema::uniform(&[2, 2], 2), vec![1, 1, 1, 1]).unwrap();
        assert_eq!(found.bits(&other), 1.5);
        assert_eq!(found.sample(&map, 3, Seed(0)).unwrap().len(), 3);
    }
}
