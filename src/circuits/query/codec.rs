//! Lossless compression: every value is coded by its exact distribution given those before it in its row.

use crate::{
    Error, Result,
    circuits::{
        Circuit, Scalar,
        graph::Kind,
        pass::kernels::TILE,
        pass::upward::{Purpose, Tile},
    },
    data::{Discrete, MISSING, Rows},
    model::{Packed, coded},
    simd::vectorised,
};
use constriction::stream::{
    Decode, Encode,
    model::DefaultContiguousCategoricalEntropyModel as Categories,
    queue::{DefaultRangeDecoder, DefaultRangeEncoder},
};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// Rows that share a stream; streams are coded side by side.
const CHUNK: usize = 8 * TILE;
/// The least probability of a value, before it is rounded to 2⁻²⁴: a value that the circuit excludes can still be coded.
const LEAST: f64 = 1e-9;

/// The order of computation for one variable after another.
struct Order {
    /// For each variable the blocks above its inputs, for the pass downward.
    above: Vec<Vec<bool>>,
    /// And those to compute again when its value is known: the same, and what is brought to one scale with them.
    again: Vec<Vec<bool>>,
    /// The sets of leaves of each variable, with the block whose flows are theirs.
    leaves: Vec<Vec<(usize, usize)>>,
}

impl Order {
    fn new<T: Scalar>(circuit: &Circuit<T>) -> Self {
        let graph = &circuit.graph;
        let mut order = Self { above: vec![], again: vec![], leaves: vec![vec![]; circuit.vars()] };
        for (set, uses) in circuit.uses.leaves.iter().enumerate() {
            uses.iter().for_each(|(v, b)| order.leaves[*v].push((set, *b)));
        }
        for v in 0..circuit.vars() {
            let mut above = vec![false; graph.blocks().len()];
            for (b, block) in graph.blocks().iter().enumerate() {
                above[b] = match &block.kind {
                    Kind::Input { variable, .. } => *variable == v,
                    _ => graph.children(b).iter().any(|c| above[*c]),
                };
            }
            let mut again = above.clone();
            for (b, block) in graph.blocks().iter().enumerate() {
                // Its children were scaled to their largest, which may now be another.
                if let Kind::Sum { children, .. } = &block.kind
                    && above[b]
                    && children.len() > 1
                {
                    children.iter().for_each(|c| again[*c] = true);
                }
            }
            order.above.push(above);
            order.again.push(again);
        }
        order
    }
}

impl<T: Scalar> Circuit<T> {
    /// A hash of structure and parameters.
    fn fingerprint(&self) -> Result<[u8; 8]> {
        let mut hash = Sha256::new();
        hash.update(serde_json::to_vec(&(&self.graph, &self.schema)).map_err(Error::invalid)?);
        for values in
            self.weights.iter().flatten().map(|m| m.to_dense()).chain(self.leaves.iter().map(|l| l.table.clone()))
        {
            values.iter().for_each(|v| hash.update(v.f64().to_le_bytes()));
        }
        let digest = hash.finalize();
        Ok(std::array::from_fn(|i| digest[i]))
    }

    /// Goes through the values of a tile, one variable after another for all its rows: `value(row, variable, p)` is given the
    /// distribution of the value given those before it, and says what it is. A row that single precision does not reach goes on in
    /// double.
    fn walk(
        &self,
        order: &Order,
        tile: &mut Tile<T>,
        n: usize,
        mut value: impl FnMut(usize, usize, &[f64]) -> Result<u16>,
    ) -> Result<()> {
        tile.n = n;
        tile.inputs.codes.fill(MISSING);
        vectorised!(Self::evaluate_all(self, &mut *tile));
        let mut wide: Option<(Circuit<f64>, Tile<f64>)> = None;
        let (mut is_wide, mut lost) = ([false; TILE], [false; TILE]);
        for (v, leaves) in order.leaves.iter().enumerate() {
            let more: Vec<usize> = (0..n).filter(|b| T::SINGLE && tile.underflowed[*b] && !is_wide[*b]).collect();
            if !more.is_empty() {
                let (circuit, wide) = wide.get_or_insert_with(|| {
                    let circuit = self.widened();
                    let tile = Tile::new(&circuit, Purpose::Flows);
                    (circuit, tile)
                });
                for b in more {
                    is_wide[b] = true;
                    (b..tile.inputs.codes.len())
                        .step_by(TILE)
                        .for_each(|i| wide.inputs.codes[i] = tile.inputs.codes[i]);
                }
                wide.n = n;
                vectorised!(Circuit::evaluate_all(&*circuit, wide));
            }
            vectorised!(Self::downward(self, &mut *tile, None, Some(&order.above[v])));
            if let Some((circuit, wide)) = &mut wide {
                vectorised!(Circuit::downward(&*circuit, wide, None, Some(&order.above[v])));
            }
            let mut p = vec![0.0; self.schema.variables[v].categories];
            for b in 0..n {
                match &wide {
                    Some((circuit, wide)) if is_wide[b] => {
                        circuit.next_value(wide, (v, leaves), b, &mut lost[b], &mut p)
                    }
                    _ => self.next_value(tile, (v, leaves), b, &mut lost[b], &mut p),
                }
                let code = value(b, v, &p)?;
                tile.inputs.codes[v * TILE + b] = code;
                if let Some((_, wide)) = wide.as_mut().filter(|_| is_wide[b]) {
                    wide.inputs.codes[v * TILE + b] = code;
                }
            }
            vectorised!(Self::evaluate(self, &mut *tile, Some(&order.again[v])));
            if let Some((circuit, wide)) = &mut wide {
                vectorised!(Circuit::evaluate(&*circuit, wide, Some(&order.again[v])));
            }
        }
        Ok(())
    }

    /// The distribution of a variable of row `b`, given those before it. Where these are impossible the row is lost: so is whatever
    /// comes after them, and every value has the same chance.
    fn next_value(
        &self,
        tile: &Tile<T>,
        (v, leaves): (usize, &[(usize, usize)]),
        b: usize,
        lost: &mut bool,
        p: &mut [f64],
    ) {
        p.fill(0.0);
        let (mut exact, mut column) = (None, Vec::new());
        if tile.underflowed[b] && !*lost {
            let values = self.log_values(&tile.row(b));
            *lost = values.log_prob(self, &[1.0]) == f64::NEG_INFINITY;
            exact = Some(self.row_flows(&values, &[1.0], |_, _| {}));
        }
        for (set, block) in leaves.iter().filter(|_| !*lost) {
            self.column(tile, exact.as_deref(), *block, b, &mut column);
            self.add_expected((v, *set), &column, None, p);
        }
        let total: f64 = p.iter().sum();
        let share = if total > 0.0 && total.is_finite() { 1.0 / total } else { 0.0 };
        p.iter_mut().for_each(|p| *p = *p * share + LEAST);
    }

    fn encode(
        &self,
        order: &Order,
        rows: &Discrete,
        chunk: &[usize],
        missing: Option<&Categories>,
    ) -> Result<Vec<u32>> {
        let mut coder = DefaultRangeEncoder::new();
        let mut tile = Tile::new(self, Purpose::Flows);
        for part in chunk.chunks(TILE) {
            self.walk(order, &mut tile, part.len(), |b, v, p| {
                let code = rows.row(part[b])[v];
                if let Some(model) = missing {
                    coder.encode_symbol(usize::from(code == MISSING), model).map_err(Error::invalid)?;
                }
                if code != MISSING && p.len() > 1 {
                    coder.encode_symbol(code as usize, &coded(p)?).map_err(Error::invalid)?;
                }
                Ok(code)
            })?;
        }
        coder.into_compressed().map_err(Error::invalid)
    }

    fn decode(&self, order: &Order, words: Vec<u32>, rows: usize, missing: Option<&Categories>) -> Result<Vec<u16>> {
        let Ok(mut coder) = DefaultRangeDecoder::from_compressed(words);
        let mut tile = Tile::new(self, Purpose::Flows);
        let mut codes = Vec::with_capacity(rows * self.vars());
        let damaged = |_| Error::invalid("the compressed rows are damaged");
        for first in (0..rows).step_by(TILE) {
            let n = TILE.min(rows - first);
            self.walk(order, &mut tile, n, |_, _, p| {
                if let Some(model) = missing
                    && coder.decode_symbol(model).map_err(damaged)? == 1
                {
                    return Ok(MISSING);
                }
                if p.len() == 1 { Ok(0) } else { Ok(coder.decode_symbol(&coded(p)?).map_err(damaged)? as u16) }
            })?;
            (0..n).for_each(|b| codes.extend(tile.row(b).codes));
        }
        Ok(codes)
    }

    pub(crate) fn compressed(&self, rows: &Discrete) -> Result<Vec<u8>> {
        self.check(rows)?;
        let mut packed = Packed::of(rows, self.fingerprint()?)?;
        let model = packed.missing_model(self.vars())?;
        let order = Order::new(self);
        let all: Vec<usize> = (0..rows.len()).collect();
        let streams = all.par_chunks(CHUNK).map(|chunk| self.encode(&order, rows, chunk, model.as_ref()));
        packed.streams = streams.collect::<Result<_>>()?;
        Ok(packed.write())
    }

    pub(crate) fn decompressed(&self, bytes: &[u8]) -> Result<Discrete> {
        let mut packed = Packed::read(bytes, self.fingerprint()?, CHUNK)?;
        let model = packed.missing_model(self.vars())?;
        let order = Order::new(self);
        let codes: Vec<Vec<u16>> = std::mem::take(&mut packed.streams)
            .into_par_iter()
            .enumerate()
            .map(|(i, words)| self.decode(&order, words, packed.rows_in(i, CHUNK), model.as_ref()))
            .collect::<Result<_>>()?;
        packed.check(Discrete::new(self.schema.clone(), codes.concat())?)
    }
}

impl Circuit {
    /// The rows, in as many bits as they are unlikely: `−log₂ p(x)` each, and some bytes for all.
    ///
    /// Any rows of the circuit's columns can be compressed; a value that the circuit excludes costs about 24 bits. The same
    /// circuit is needed to get them back, on a processor of the same kind: the coder depends on the last bit of every
    /// probability. Source: Liu, Mandt and Van den Broeck 2022, with a range coder.
    ///
    /// ```
    /// # use limbeck::prelude::*;
    /// let digits = shipped::digits()?.discrete().select(&[1, 2, 3]);
    /// let settings: FitCircuit = FitCircuit { epochs: 2, ..FitCircuit::new(Structure::hclt(4)) };
    /// let (circuit, _): (Circuit, History) = settings.fit(&digits, None, Seed(0))?;
    /// let bytes: Vec<u8> = circuit.compress(&digits)?;
    /// assert_eq!(circuit.decompress(&bytes)?.codes(), digits.codes());
    /// # Ok::<(), limbeck::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::log_prob`].
    pub fn compress(&self, rows: &Discrete) -> Result<Vec<u8>> {
        self.check_weights(crate::circuits::pass::heads::RowWeights::default(), rows.len())?;
        self.compressed(rows)
    }

    /// The rows that [`Self::compress`] made the bytes of.
    ///
    /// # Errors
    /// When the bytes are of another model, or damaged: what comes out is compared with a hash of what went in.
    pub fn decompress(&self, bytes: &[u8]) -> Result<Discrete> {
        self.decompressed(bytes)
    }
}
