//! Maps whose every cell is one of `K` classes.

use crate::{Error, Result, data::Discrete};

/// Maps of `H` rows and `W` columns of classes `0..K`.
#[derive(Clone, PartialEq)]
pub struct LabelMaps<const K: usize, const H: usize, const W: usize> {
    cells: Vec<u8>,
}

/// How many maps there are, and of which size.
impl<const K: usize, const H: usize, const W: usize> std::fmt::Debug for LabelMaps<K, H, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} maps of {H} × {W} cells, {K} classes", self.len())
    }
}

impl<const K: usize, const H: usize, const W: usize> LabelMaps<K, H, W> {
    /// `cells` map after map, row after row.
    ///
    /// # Errors
    /// When there is no whole number of maps, or a class is not below `K`.
    pub fn new(cells: Vec<u8>) -> Result<Self> {
        const { assert!(K > 0 && K <= 256 && H * W > 0, "a map needs a cell, and 1 to 256 classes") };
        if cells.is_empty() || !cells.len().is_multiple_of(H * W) {
            return Err(Error::invalid(format!("{} cells are not whole maps of {H} × {W}", cells.len())));
        }
        if let Some(i) = cells.iter().position(|c| *c as usize >= K) {
            let (map, cell) = (i / (H * W), i % (H * W));
            return Err(Error::invalid(format!("map {map}, cell {cell}: class {} is outside 0..={}", cells[i], K - 1)));
        }
        Ok(Self { cells })
    }

    /// Number of maps.
    pub fn len(&self) -> usize {
        self.cells.len() / (H * W)
    }

    /// Never true: a set without maps cannot be made.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The `H · W` cells of one map.
    pub fn map(&self, i: usize) -> &[u8] {
        &self.cells[i * H * W..(i + 1) * H * W]
    }

    /// One variable a cell.
    pub fn discrete(&self) -> Discrete {
        super::discrete(&[H, W], K, &self.cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_beyond_the_last_is_named() {
        let error = LabelMaps::<3, 1, 2>::new(vec![0, 1, 2, 3]).unwrap_err();
        assert_eq!(error.to_string(), "map 1, cell 1: class 3 is outside 0..=2");
        assert_eq!(LabelMaps::<3, 1, 2>::new(vec![0, 1, 2, 0]).unwrap().map(1), [2, 0]);
    }
}
