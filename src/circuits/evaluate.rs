//! The pass upward: values of every region for a tile of rows at a time.

use super::{
    Hclt, Real,
    kernels::{Strides, column_maxima, multiply, product, rescale, vectorised},
};
use crate::{
    Error, Result,
    data::{MISSING, Rows},
    evidence::{Evidence, Exact, Space},
};
use rayon::prelude::*;

/// Columns of a tile: what one thread takes through the whole tree.
pub(super) const TILE: usize = 128;
/// The most memory that the tiles of one block of rows take where flows are summed, bytes. Independent of the number of
/// threads, as results are.
const BLOCK_BYTES: usize = 192 << 20;

/// The values and flows of all regions for up to [`TILE`] rows.
#[derive(Debug)]
pub(super) struct Tile<T> {
    /// Rows in use.
    pub(super) n: usize,
    /// Codes, `(variables, TILE)`.
    pub(super) codes: Vec<u16>,
    /// `P_v`, `(variables, states, TILE)`, each column scaled.
    pub(super) products: Vec<T>,
    /// `S_v`, `(variables, states, TILE)`; after the pass downward the flow over it, `F / S`. One region's, used again
    /// for each, where no flows are wanted.
    pub(super) sums: Vec<T>,
    /// `F_v`, `(variables, states, TILE)`; empty where no flows are wanted.
    pub(super) flows: Vec<T>,
    /// Log-likelihood of each row, nats.
    pub(super) log_probs: Vec<f64>,
    /// Rows whose values here are not to be used: they were computed in log space.
    pub(super) faint: Vec<bool>,
}

impl<T: Real> Tile<T> {
    fn new(circuit: &Hclt<T>, flows: bool) -> Self {
        let values = |regions: usize| vec![T::ZERO; regions * circuit.states * TILE];
        let vars = circuit.vars();
        Self {
            n: 0,
            codes: vec![MISSING; vars * TILE],
            products: values(vars),
            sums: values(if flows { vars } else { 1 }),
            flows: values(if flows { vars } else { 0 }),
            log_probs: vec![0.0; TILE],
            faint: vec![false; TILE],
        }
    }

    /// The codes of row `b` of the tile.
    pub(super) fn row(&self, b: usize) -> Vec<u16> {
        self.codes.iter().skip(b).step_by(TILE).copied().collect()
    }
}

/// The tiles of one block of rows, used again for the next.
#[derive(Debug)]
pub(super) struct Workspace<T> {
    tiles: Vec<Tile<T>>,
    with_flows: bool,
    codes: Vec<u16>,
}

impl<T: Real> Workspace<T> {
    pub(super) fn new(with_flows: bool) -> Self {
        Self { tiles: Vec::new(), with_flows, codes: Vec::new() }
    }

    /// Evaluates `rows` block by block, and hands each block's tiles to `each`.
    pub(super) fn for_each_block(
        &mut self,
        circuit: &Hclt<T>,
        source: &dyn Rows,
        rows: &[usize],
        mut each: impl FnMut(&mut [Tile<T>]) -> Result<()>,
    ) -> Result<()> {
        let vars = circuit.vars();
        if source.schema().len() != vars {
            return Err(Error::invalid(format!(
                "rows of {} values; the circuit has {vars} variables",
                source.schema().len()
            )));
        }
        let tile_bytes = 3 * vars * circuit.states * TILE * size_of::<T>();
        let most = match self.with_flows {
            true => (BLOCK_BYTES / tile_bytes).clamp(2, 32),
            // The likelihood of a row does not depend on the others: as few tiles as keep the threads busy stay in the cache.
            false => rayon::current_num_threads().max(2),
        };
        for block in rows.chunks(most * TILE) {
            source.read(block, &mut self.codes)?;
            let needed = block.len().div_ceil(TILE);
            while self.tiles.len() < needed {
                self.tiles.push(Tile::new(circuit, self.with_flows));
            }
            let tiles = &mut self.tiles[..needed];
            tiles.par_iter_mut().zip(self.codes.par_chunks(TILE * vars)).for_each(|(tile, codes)| {
                tile.n = codes.len() / vars;
                for (b, row) in codes.chunks_exact(vars).enumerate() {
                    row.iter().enumerate().for_each(|(v, code)| tile.codes[v * TILE + b] = *code);
                }
                vectorised(|| circuit.upward(tile));
            });
            each(tiles)?;
        }
        Ok(())
    }
}

impl<T: Real> Hclt<T> {
    /// Fills products, sums and log-likelihoods of a tile from its codes.
    #[inline(always)]
    fn upward(&self, tile: &mut Tile<T>) {
        let n = tile.n;
        let mut exponents = [0_i32; TILE];
        let mut largest = [T::ZERO; TILE];
        tile.faint.fill(false);
        for &v in self.tree.downward().iter().rev() {
            let block = self.block(v, TILE);
            self.gather(v, &tile.codes[v * TILE..v * TILE + n], &mut tile.products[block.clone()]);
            if self.tree.children(v).is_empty() {
                column_maxima(&tile.products[block.clone()], TILE, &mut largest[..n]);
                rescale(&mut tile.products[block.clone()], TILE, &mut largest[..n], &mut exponents, &mut tile.faint);
            }
            for &c in self.tree.children(v) {
                let child = self.block(c, TILE);
                let sum = self.block(if tile.flows.is_empty() { 0 } else { c }, TILE);
                let h = self.states;
                product(
                    [h, n, h],
                    &mut tile.sums[sum.clone()],
                    Strides(TILE as isize, 1),
                    false,
                    (&self.weights.edges[c], Strides(h as isize, 1)),
                    (&tile.products[child], Strides(TILE as isize, 1)),
                );
                multiply(&mut tile.products[block.clone()], &tile.sums[sum], TILE, &mut largest[..n]);
                rescale(&mut tile.products[block.clone()], TILE, &mut largest[..n], &mut exponents, &mut tile.faint);
            }
        }
        let root = &tile.products[self.block(self.tree.root(), TILE)];
        for b in 0..n {
            let values = self.weights.root.iter().zip(root[b..].iter().step_by(TILE));
            let p: f64 = values.map(|(w, p)| w.f64() * p.f64()).sum();
            tile.log_probs[b] = p.ln() + f64::from(exponents[b]) * std::f64::consts::LN_2;
            // A root weight that is tiny where the values are large loses as much as a product can.
            tile.faint[b] |= p < T::FAINT.f64();
            if tile.faint[b] {
                tile.log_probs[b] = self.log_values(&tile.row(b)).log_prob;
            }
        }
    }

    /// `P_v[h] = p(x_v | h)`, or 1 where `x_v` is missing.
    #[inline(always)]
    fn gather(&self, v: usize, codes: &[u16], block: &mut [T]) {
        let leaves = self.weights.leaves[v].chunks_exact(self.categories(v));
        for (row, leaf) in block.chunks_exact_mut(TILE).zip(leaves) {
            for (value, code) in row.iter_mut().zip(codes) {
                *value = leaf.get(*code as usize).copied().unwrap_or(T::ONE);
            }
        }
    }

    /// Log-likelihood of each row, nats. A missing value is summed over: the likelihood of a row is its marginal.
    ///
    /// # Errors
    /// When the rows have another number of variables, a category the circuit does not know, or cannot be read.
    pub fn log_prob(&self, rows: &dyn Rows) -> Result<Vec<f64>> {
        Ok(self.score(rows)?.0)
    }

    /// The likelihoods of the rows as exact evidence, in the space of the categories themselves.
    ///
    /// # Errors
    /// As [`Self::log_prob`]; also when there is no row, or no row with a value.
    pub fn evidence(&self, rows: &dyn Rows) -> Result<Evidence<Exact>> {
        let (log_probs, known) = self.score(rows)?;
        Evidence::new(log_probs, Space::Raw, self.vars())?.of_known(known)
    }

    /// Log-likelihoods, and the number of values that are not missing.
    fn score(&self, rows: &dyn Rows) -> Result<(Vec<f64>, usize)> {
        self.check(rows)?;
        let all: Vec<usize> = (0..rows.len()).collect();
        let (mut log_probs, mut known) = (Vec::with_capacity(rows.len()), 0);
        Workspace::new(false).for_each_block(self, rows, &all, |tiles| {
            for tile in tiles {
                log_probs.extend_from_slice(&tile.log_probs[..tile.n]);
                let columns = tile.codes.chunks_exact(TILE).flat_map(|codes| &codes[..tile.n]);
                known += columns.filter(|code| **code != MISSING).count();
            }
            Ok(())
        })?;
        Ok((log_probs, known))
    }

    /// Refuses rows of other variables or with more categories.
    pub(super) fn check(&self, rows: &dyn Rows) -> Result<()> {
        let (ours, theirs) = (&self.schema.variables, &rows.schema().variables);
        if ours.len() != theirs.len() {
            return Err(Error::invalid(format!(
                "rows of {} values; the circuit has {} variables",
                theirs.len(),
                ours.len()
            )));
        }
        match ours.iter().zip(theirs).find(|(a, b)| a.categories < b.categories) {
            None => Ok(()),
            Some((a, b)) => Err(Error::invalid(format!(
                "variable {} has {} categories; the circuit knows {}",
                a.name, b.categories, a.categories
            ))),
        }
    }
}
