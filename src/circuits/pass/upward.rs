//! The pass upward: values of every block for a tile of rows at a time.

use crate::{
    Error, Result,
    circuits::{
        Circuit, Scalar,
        graph::Kind,
        pass::heads::{Heads, RowWeights},
        pass::inputs::{Inputs, Read, Row},
        pass::kernels::{TILE, Then, align, column_maxima, multiply, settle},
        pass::plan::{fused, two},
        pass::wide::Wide,
    },
    data::{Rows, fingerprint},
    evidence::{Evidence, Exact, Space},
    simd::vectorised,
};
use rayon::prelude::*;
use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

/// The most memory that the tiles of one block of rows take where flows are summed, bytes. Independent of the number of
/// threads, as results are.
const BLOCK_BYTES: usize = 192 << 20;

/// What values are computed for: how much of them is kept, and for how many rows at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The likelihood of each row: no value outlives its last reader.
    Likelihoods,
    /// The same under each head.
    Heads,
    /// Draws, which go down by the values of each row.
    Draws,
    /// The flows of each row.
    Flows,
    /// Sums of flows over many rows.
    Sums,
}

/// The values and flows of all blocks for up to [`TILE`] rows.
#[derive(Debug)]
pub(crate) struct Tile<T> {
    /// Rows in use.
    pub(crate) n: usize,
    /// Whether every block has a place of its own for its values.
    keeps: bool,
    /// What the rows say.
    pub(crate) inputs: Inputs<T>,
    /// Values of each block, `(units, TILE)`, each column scaled by a power of two. After the pass downward a sum block has
    /// there what flows over it, `F / S`.
    pub(crate) values: Vec<T>,
    /// Flows of each block, `(units, TILE)`; empty where none are wanted.
    pub(crate) flows: Vec<T>,
    /// The powers of two, `(blocks, TILE)`.
    exponents: Vec<i32>,
    /// Weight of each head for each row, `(heads, TILE)`.
    pub(crate) heads: Vec<T>,
    /// How often each row counts.
    pub(crate) weights: Vec<T>,
    /// Log-likelihood of each row, nats.
    pub(crate) log_probs: Vec<f64>,
    /// Rows whose values here are not to be used: they were computed in double precision, or in log space.
    pub(crate) underflowed: Vec<bool>,
    pub(crate) scratch: Vec<T>,
    /// Whether a block's flows have been begun by a parent; where not, they are overwritten.
    pub(crate) begun: Vec<bool>,
    /// Rows that were computed in double precision.
    pub(super) wide: Option<Box<Wide>>,
}

impl<T: Scalar> Tile<T> {
    pub(crate) fn new(circuit: &Circuit<T>, purpose: Purpose) -> Self {
        let plan = &circuit.plan;
        let keeps = !matches!(purpose, Purpose::Likelihoods | Purpose::Heads);
        let values = if keeps { plan.kept_len } else { plan.passing_len };
        let flows = if matches!(purpose, Purpose::Flows | Purpose::Sums) { plan.flow_len } else { 0 };
        Self {
            n: 0,
            keeps,
            inputs: Inputs::new(&circuit.schema),
            values: vec![T::ZERO; values],
            flows: vec![T::ZERO; flows],
            exponents: vec![0; circuit.graph.blocks().len() * TILE],
            heads: vec![T::ONE; circuit.graph.heads() * TILE],
            weights: vec![T::ONE; TILE],
            log_probs: vec![0.0; TILE],
            underflowed: vec![false; TILE],
            scratch: vec![T::ZERO; plan.scratch_len],
            begun: vec![false; circuit.graph.blocks().len()],
            wide: None,
        }
    }

    /// What row `b` of the tile says.
    pub(crate) fn row(&self, b: usize) -> Row {
        self.inputs.row(b)
    }

    /// The power of two by which the values of a block are scaled for row `b`.
    pub(crate) fn exponent(&self, circuit: &Circuit<T>, block: usize, b: usize) -> i32 {
        self.exponents[circuit.plan.exponents[block] * TILE + b]
    }

    /// The log-likelihood of row `b` of the tile under each head.
    pub(crate) fn log_probs_by_head(&self, circuit: &Circuit<T>, b: usize, into: &mut [f64]) {
        if self.wide_by_head(b, into) {
            return;
        }
        let root = circuit.graph.root();
        if self.underflowed[b] || self.has_tiny_head(circuit, b) {
            into.copy_from_slice(&circuit.log_values(&self.row(b)).blocks[root]);
            return;
        }
        let scale = f64::from(self.exponent(circuit, root, b)) * std::f64::consts::LN_2 + self.inputs.offset[b];
        into.iter_mut().zip(self.root_values(circuit, b)).for_each(|(log, p)| *log = p.ln() + scale);
    }

    /// Whether a head is so tiny beside another, or as it is, that it has lost its digits here.
    pub(super) fn has_tiny_head(&self, circuit: &Circuit<T>, b: usize) -> bool {
        self.root_values(circuit, b).any(|p| p < T::UNDERFLOW.f64())
    }

    fn root_values(&self, circuit: &Circuit<T>, b: usize) -> impl Iterator<Item = f64> + '_ {
        let (plan, root) = (&circuit.plan, circuit.graph.root());
        let place = if self.keeps { &plan.kept[root] } else { &plan.passing[root] };
        self.values[place.clone()].iter().skip(b).step_by(TILE).map(|p| p.f64())
    }

    /// The heads' weights for row `b` of the tile.
    pub(crate) fn row_heads(&self, b: usize) -> Vec<f64> {
        self.heads.iter().skip(b).step_by(TILE).map(|w| w.f64()).collect()
    }
}

/// The tiles of one block of rows, used again for the next.
#[derive(Debug)]
pub(crate) struct Workspace<T> {
    tiles: Vec<Tile<T>>,
    purpose: Purpose,
    read: Read,
}

impl<T: Scalar> Workspace<T> {
    pub(crate) fn new(purpose: Purpose) -> Self {
        Self { tiles: Vec::new(), purpose, read: Read::default() }
    }

    /// Bytes of all tiles.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.tiles.iter().map(|tile| size_of_val(&tile.values[..]) + size_of_val(&tile.flows[..])).sum()
    }

    /// Evaluates `rows` block by block, and hands each block's tiles to `each`, with the rows that are in them.
    pub(crate) fn for_each_block(
        &mut self,
        circuit: &Circuit<T>,
        source: &dyn Rows,
        rows: &[usize],
        row_weights: RowWeights,
        mut each: impl FnMut(&[usize], &mut [Tile<T>]) -> Result<()>,
    ) -> Result<()> {
        let vars = circuit.vars();
        if source.schema().len() != vars {
            return Err(Error::invalid(format!(
                "rows of {} values; the circuit has {vars} variables",
                source.schema().len()
            )));
        }
        let plan = &circuit.plan;
        let fit = (BLOCK_BYTES / ((plan.kept_len + plan.flow_len) * size_of::<T>())).max(2);
        // What is found of a row does not depend on the others: as few tiles as keep the threads busy stay in the cache.
        let busy = rayon::current_num_threads().max(2);
        let most = match self.purpose {
            Purpose::Likelihoods | Purpose::Heads => busy,
            Purpose::Draws | Purpose::Flows => busy.min(fit),
            Purpose::Sums => fit.min(32),
        };
        // Made where a row asks for it.
        let twin = OnceLock::new();
        for block in rows.chunks(most * TILE) {
            self.read.read(source, block)?;
            let needed = block.len().div_ceil(TILE);
            while self.tiles.len() < needed {
                self.tiles.push(Tile::new(circuit, self.purpose));
            }
            let (tiles, read, purpose) = (&mut self.tiles[..needed], &self.read, self.purpose);
            tiles.par_iter_mut().zip(block.par_chunks(TILE)).enumerate().for_each(|(i, (tile, rows))| {
                tile.n = rows.len();
                tile.inputs.take(read, i * TILE, rows.len(), block.len());
                if let Some(weights) = row_weights.weights {
                    rows.iter().zip(&mut tile.weights).for_each(|(row, w)| *w = T::of(f64::from(weights[*row])));
                }
                row_weights.heads.fill(rows, circuit.graph.heads(), TILE, &mut tile.heads);
                vectorised!(Circuit::evaluate_all(circuit, &mut *tile));
                tile.reach_beyond(circuit, purpose, &|| twin.get_or_init(|| Arc::new(circuit.widened())).clone());
            });
            each(block, tiles)?;
        }
        Ok(())
    }
}

impl<T: Scalar> Circuit<T> {
    /// Fills values and log-likelihoods of a tile from what its rows say, and marks what underflowed.
    #[inline(always)]
    pub(crate) fn evaluate_all(&self, tile: &mut Tile<T>) {
        tile.underflowed.fill(false);
        self.evaluate(tile, None);
    }

    /// Fills the values of all blocks, or of those in `only` where the others are right, and marks what underflowed.
    #[inline(always)]
    pub(crate) fn evaluate(&self, tile: &mut Tile<T>, only: Option<&[bool]>) {
        let n = tile.n;
        let places = if tile.keeps { &self.plan.kept } else { &self.plan.passing };
        for (b, block) in self.graph.blocks().iter().enumerate() {
            if only.is_some_and(|only| !only[b]) {
                continue;
            }
            let at = &places[b];
            match &block.kind {
                Kind::Input { variable, leaf } => {
                    if !fused(&self.graph, b) {
                        let exponents = &mut tile.exponents[b * TILE..][..n];
                        exponents.fill(0);
                        self.fill((*variable, *leaf), &tile.inputs, n, &mut tile.values[at.clone()], exponents);
                        self.settle_block(b, at, tile);
                    }
                }
                Kind::Product { children } => self.multiply_block(b, children, places, tile),
                Kind::Kronecker { left, right } => {
                    self.add_exponents(b, &[*left, *right], tile);
                    let units = self.units(*right);
                    for i in 0..self.units(*left) {
                        let row = places[*left].start + i * TILE;
                        let target = at.start + i * units * TILE..at.start + (i + 1) * units * TILE;
                        tile.values.copy_within(places[*right].clone(), target.start);
                        let (target, row) = two(&mut tile.values, target, row..row + TILE);
                        for target in target.chunks_exact_mut(TILE) {
                            target[..n].iter_mut().zip(&row[..n]).for_each(|(t, r)| *t *= *r);
                        }
                    }
                    self.settle_block(b, at, tile);
                }
                Kind::Sum { children, weights } => {
                    if children.len() > 1 {
                        self.align_children(children, places, tile);
                    }
                    for (i, (child, matrix)) in children.iter().zip(&self.weights[*weights]).enumerate() {
                        let (to, from) = two(&mut tile.values, at.clone(), places[*child].clone());
                        matrix.times(from, to, n, if i > 0 { Then::Add } else { Then::Store });
                    }
                }
            }
        }
        self.read_root(places, tile);
    }

    /// `P = Π children`, leaves first.
    #[inline(always)]
    fn multiply_block(&self, b: usize, children: &[usize], places: &[Range<usize>], tile: &mut Tile<T>) {
        let (n, at) = (tile.n, places[b].clone());
        self.add_exponents(b, children, tile);
        let mut largest = [T::ZERO; TILE];
        let (mut begun, mut checked) = (false, false);
        for c in children {
            let Kind::Input { variable, leaf } = self.graph.blocks()[*c].kind else { continue };
            let exponents = &mut tile.exponents[b * TILE..][..n];
            if begun {
                self.fill((variable, leaf), &tile.inputs, n, &mut tile.scratch, exponents);
                multiply(&mut tile.values[at.clone()], &tile.scratch, TILE, &mut largest[..n]);
                self.settle(b, &at, &mut largest, tile);
                checked = true;
            } else {
                self.fill((variable, leaf), &tile.inputs, n, &mut tile.values[at.clone()], exponents);
                begun = true;
            }
        }
        for c in children {
            if places[*c].is_empty() {
                continue;
            }
            if begun {
                let (to, from) = two(&mut tile.values, at.clone(), places[*c].clone());
                multiply(to, from, TILE, &mut largest[..n]);
                self.settle(b, &at, &mut largest, tile);
                checked = true;
            } else {
                tile.values.copy_within(places[*c].clone(), at.start);
                begun = true;
            }
        }
        if !checked {
            self.settle_block(b, &at, tile);
        }
    }

    /// Starts the exponents of a block with the sum of its children's.
    #[inline(always)]
    fn add_exponents(&self, b: usize, children: &[usize], tile: &mut Tile<T>) {
        let (below, own) = tile.exponents.split_at_mut(b * TILE);
        let own = &mut own[..tile.n];
        own.fill(0);
        for c in children.iter().filter(|c| !fused(&self.graph, **c)) {
            let from = self.plan.exponents[*c] * TILE;
            own.iter_mut().zip(&below[from..]).for_each(|(e, c)| *e += *c);
        }
    }

    #[inline(always)]
    fn settle_block(&self, b: usize, at: &Range<usize>, tile: &mut Tile<T>) {
        let mut largest = [T::ZERO; TILE];
        column_maxima(&tile.values[at.clone()], TILE, &mut largest[..tile.n]);
        self.settle(b, at, &mut largest, tile);
    }

    #[inline(always)]
    fn settle(&self, b: usize, at: &Range<usize>, largest: &mut [T; TILE], tile: &mut Tile<T>) {
        let exponents = &mut tile.exponents[b * TILE..][..tile.n];
        settle(&mut tile.values[at.clone()], TILE, &mut largest[..tile.n], exponents, &mut tile.underflowed);
    }

    /// Brings the children of a sum to one power of two a column: that of the largest.
    fn align_children(&self, children: &[usize], places: &[Range<usize>], tile: &mut Tile<T>) {
        let n = tile.n;
        let mut highest = [i32::MIN; TILE];
        for c in children {
            let exponents = &tile.exponents[c * TILE..][..n];
            highest.iter_mut().zip(exponents).for_each(|(h, e)| *h = (*h).max(*e));
        }
        for c in children {
            align(&mut tile.values[places[*c].clone()], TILE, &mut tile.exponents[c * TILE..][..n], &highest[..n]);
        }
    }

    /// `log Σ_k m_k S_k` of the heads; underflowed where the values here have lost too much.
    #[inline(always)]
    fn read_root(&self, places: &[Range<usize>], tile: &mut Tile<T>) {
        let root = self.graph.root();
        let values = &tile.values[places[root].clone()];
        let exponents = &tile.exponents[self.plan.exponents[root] * TILE..];
        for b in 0..tile.n {
            let terms = values[b..].iter().step_by(TILE).zip(tile.heads[b..].iter().step_by(TILE));
            let p: f64 = terms.map(|(p, w)| p.f64() * w.f64()).sum();
            tile.log_probs[b] = p.ln() + f64::from(exponents[b]) * std::f64::consts::LN_2 + tile.inputs.offset[b];
            // A root weight that is tiny where the values are large loses as much as a product can.
            tile.underflowed[b] |= p < T::UNDERFLOW.f64();
        }
    }

    /// Log-likelihoods, and the number of values that are not missing.
    pub(crate) fn score(&self, rows: &dyn Rows, row_weights: RowWeights) -> Result<(Vec<f64>, usize)> {
        self.check(rows)?;
        self.check_weights(row_weights, rows.len())?;
        let all: Vec<usize> = (0..rows.len()).collect();
        let (mut log_probs, mut known) = (Vec::with_capacity(rows.len()), 0);
        Workspace::new(Purpose::Likelihoods).for_each_block(self, rows, &all, row_weights, |_, tiles| {
            for tile in tiles {
                log_probs.extend_from_slice(&tile.log_probs[..tile.n]);
                known += tile.inputs.known(tile.n);
            }
            Ok(())
        })?;
        Ok((log_probs, known))
    }
}

impl Circuit {
    /// Log-likelihood of each row, nats. A missing value is summed over: the likelihood of a row is its marginal.
    ///
    /// # Errors
    /// When the rows have another number of variables, a category the circuit does not know, or cannot be read; also for a
    /// circuit with several heads.
    pub fn log_prob(&self, rows: &dyn Rows) -> Result<Vec<f64>> {
        Ok(self.score(rows, RowWeights::default())?.0)
    }

    /// Log-likelihood of each row under the head, or the mixture of heads, that it belongs to.
    ///
    /// # Errors
    /// As [`Self::log_prob`]; also when `heads` is of other rows, or names heads that are not there.
    pub fn log_prob_of_heads(&self, rows: &dyn Rows, heads: Heads) -> Result<Vec<f64>> {
        Ok(self.score(rows, RowWeights { heads, weights: None })?.0)
    }

    /// The likelihoods of the rows as exact evidence, in the space of the categories themselves.
    ///
    /// # Errors
    /// As [`Self::log_prob`]; also when there is no row, or no row with a value.
    pub fn evidence(&self, rows: &dyn Rows) -> Result<Evidence<Exact>> {
        let (log_probs, known) = self.score(rows, RowWeights::default())?;
        Ok(Evidence::new(log_probs, Space::Raw, self.vars())?.of_known(known)?.of_rows(fingerprint(rows)?))
    }
}
