//! A circuit whose numbers lie on a GPU.

use super::device::{Argument, Gpu, Memory, SIDE, Threads, several};
use crate::{
    Result,
    circuits::{Circuit, Em, Leaf, pass::kernels::TILE},
};
use Argument::{Double, Place};
use cudarc::driver::DeviceRepr;

/// The most rows at once, and the most memory that their values and flows take, bytes.
const MOST_ROWS: usize = 1024;
const MOST_BYTES: usize = 32 << 30;
/// The most lanes that leaves are counted in, and the most memory that these take, bytes.
const MOST_LANES: usize = 64;
const LANE_BYTES: usize = 64 << 20;
/// Where the sums, the table and the powers of a set of leaves lie, and where it is used; as `kernels.cu` has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Set {
    sums: i64,
    pub(super) table: i64,
    pub(super) powers: i64,
    first_use: i64,
    uses: i64,
    units: i32,
    pub(super) categories: i32,
}

/// A variable that leaves are of, and where their flows lie.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    flows: i64,
    variable: i32,
}

/// A set of weights, all children side by side, and where it begins.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Matrix {
    pub(super) begin: i64,
    rows: i32,
    pub(super) columns: i32,
}

// SAFETY: these are plain numbers, laid out as in C.
unsafe impl DeviceRepr for Set {}
// SAFETY: as above.
unsafe impl DeviceRepr for Use {}
// SAFETY: as above.
unsafe impl DeviceRepr for Matrix {}

/// A circuit on a GPU, with room for the values and flows of some rows.
pub(super) struct Resident {
    pub(super) gpu: Gpu,
    /// The circuit: its numbers are those on the GPU once they have been fetched.
    pub(super) circuit: Circuit,
    /// Rows at once.
    pub(super) width: usize,
    pub(super) matrices: Vec<Matrix>,
    all_matrices: Memory<Matrix>,
    pub(super) sets: Vec<Set>,
    pub(super) all_sets: Memory<Set>,
    learned_sets: Memory<Set>,
    pub(super) uses: Memory<Use>,
    pub(super) weights: Memory<f32>,
    /// `Σ F(edge) / θ(edge)`; lies as the weights do.
    pub(super) edges: Memory<f32>,
    pub(super) tables: Memory<f32>,
    pub(super) powers: Memory<i32>,
    pub(super) sums: Memory<f32>,
    /// Sums of their own for uses that are counted side by side, where some leaves have many.
    pub(super) lane_sums: Option<Memory<f32>>,
    pub(super) values: Memory<f32>,
    pub(super) flows: Memory<f32>,
    pub(super) exponents: Memory<i32>,
    pub(super) highest: Memory<i32>,
    pub(super) codes: Memory<u16>,
    pub(super) heads: Memory<f32>,
    pub(super) log_probs: Memory<f64>,
    pub(super) lost: Memory<i32>,
}

impl Resident {
    /// `rows`: how many there are at most at once.
    pub(super) fn new(circuit: Circuit, rows: usize) -> Result<Self> {
        let gpu = Gpu::new()?;
        let (plan, graph) = (&circuit.plan, &circuit.graph);
        let mut width = rows.clamp(1, MOST_ROWS).next_multiple_of(SIDE);
        let each = (plan.kept_len + plan.flow_len) / TILE * size_of::<f32>();
        while width > SIDE && each * width > MOST_BYTES {
            width = (width / 2).next_multiple_of(SIDE);
        }
        let (mut matrices, mut end) = (Vec::new(), 0);
        for parts in &circuit.weights {
            let (rows, columns) = (parts[0].rows(), parts.iter().map(|part| part.columns()).sum::<usize>());
            matrices.push(Matrix { begin: end as i64, rows: rows as i32, columns: columns as i32 });
            end += rows * columns;
        }
        let (mut sets, mut uses) = (Vec::new(), Vec::new());
        let (mut numbers, mut categories) = (0, 0);
        for (leaves, places) in circuit.leaves.iter().zip(&circuit.uses.leaves) {
            let k = leaves.categories();
            sets.push(Set {
                sums: numbers as i64,
                table: numbers as i64,
                powers: categories as i64,
                first_use: uses.len() as i64,
                uses: places.len() as i64,
                units: leaves.units as i32,
                categories: k as i32,
            });
            let of = |(variable, block): &(usize, usize)| Use {
                flows: (plan.flows[*block].start / TILE * width) as i64,
                variable: *variable as i32,
            };
            uses.extend(places.iter().map(of));
            numbers += (k + 1) * leaves.units;
            categories += k + 1;
        }
        let learned: Vec<Set> =
            sets.iter().zip(&circuit.leaves).filter(|(_, l)| is_table(l.kind)).map(|(s, _)| *s).collect();
        let lanes = lanes(&sets, numbers);
        let blocks = graph.blocks().len();
        let mut resident = Self {
            width,
            weights: gpu.zeros(end)?,
            edges: gpu.zeros(end)?,
            tables: gpu.zeros(numbers)?,
            powers: gpu.zeros(categories)?,
            sums: gpu.zeros(numbers)?,
            lane_sums: if lanes > 1 { Some(gpu.zeros(lanes * numbers)?) } else { None },
            learned_sets: gpu.copy(if learned.is_empty() { &sets } else { &learned })?,
            all_sets: gpu.copy(&sets)?,
            all_matrices: gpu.copy(&matrices)?,
            uses: gpu.copy(&uses)?,
            values: gpu.zeros(plan.kept_len / TILE * width)?,
            flows: gpu.zeros(plan.flow_len / TILE * width)?,
            exponents: gpu.zeros(blocks * width)?,
            highest: gpu.zeros(width)?,
            codes: gpu.zeros(circuit.vars() * width)?,
            heads: gpu.zeros(graph.heads() * width)?,
            log_probs: gpu.zeros(width)?,
            lost: gpu.zeros(width)?,
            gpu,
            circuit,
            matrices,
            sets,
        };
        resident.send()?;
        Ok(resident)
    }

    /// The circuit as it was when its numbers were last fetched.
    pub(super) fn stale(&self) -> &Circuit {
        &self.circuit
    }

    /// Changes the circuit here, and sends its numbers to the GPU.
    pub(super) fn replace<R>(&mut self, change: impl FnOnce(&mut Circuit) -> Result<R>) -> Result<R> {
        let changed = change(&mut self.circuit)?;
        self.send()?;
        Ok(changed)
    }

    fn send(&mut self) -> Result<()> {
        for (parts, matrix) in self.circuit.weights.iter().zip(&self.matrices) {
            let (rows, columns) = (parts[0].rows(), matrix.columns as usize);
            let mut all = vec![0.0; rows * columns];
            let mut first = 0;
            for part in parts {
                let dense = part.to_dense();
                for (row, values) in dense.chunks_exact(part.columns()).enumerate() {
                    all[row * columns + first..][..part.columns()].copy_from_slice(values);
                }
                first += part.columns();
            }
            self.gpu.write(&mut self.weights, matrix.begin as usize, &all)?;
        }
        for set in 0..self.sets.len() {
            self.send_leaves(set)?;
        }
        Ok(())
    }

    fn send_leaves(&mut self, set: usize) -> Result<()> {
        let (place, (table, powers)) = (self.sets[set], self.circuit.leaves[set].lookup());
        self.gpu.write(&mut self.tables, place.table as usize, table)?;
        match powers {
            Some(powers) => self.gpu.write(&mut self.powers, place.powers as usize, powers),
            None => Ok(()),
        }
    }

    /// The circuit as it is on the GPU.
    pub(super) fn fetch(&self) -> Result<Circuit> {
        let mut circuit = self.circuit.clone();
        for (parts, matrix) in circuit.weights.iter_mut().zip(&self.matrices) {
            let columns = matrix.columns as usize;
            let all = self.gpu.read(&self.weights, matrix.begin as usize, parts[0].rows() * columns)?;
            let mut first = 0;
            for part in parts {
                for row in 0..part.rows() {
                    let from = &all[row * columns + first..][..part.columns()];
                    let (range, stored) = (part.row(row), part.row_columns(row).collect::<Vec<_>>());
                    part.values[range].iter_mut().zip(stored).for_each(|(value, column)| *value = from[column]);
                }
                first += part.columns();
            }
        }
        for (leaves, set) in circuit.leaves.iter_mut().zip(&self.sets) {
            if is_table(leaves.kind) {
                let count = set.units as usize * set.categories as usize;
                leaves.table[..count].copy_from_slice(&self.gpu.read(&self.tables, set.table as usize, count)?);
            }
        }
        Ok(circuit)
    }

    /// One M-step from the sums, which are zero afterwards.
    pub(super) fn maximise(&mut self, em: &Em, step: f64) -> Result<()> {
        let steps = [Double(em.pseudocount), Double(step)];
        let rows = self.matrices.iter().map(|matrix| matrix.rows as usize).max().unwrap_or(0);
        for (sets, first) in several(self.matrices.len()) {
            let threads = Threads { blocks: (rows, sets, 1), of: (128, 1), shared: 0 };
            let matrices = self.all_matrices.at(first);
            let numbers = [self.weights.at(0), self.edges.at(0), matrices].map(Place);
            // SAFETY: the sets say where their weights lie; a block of threads a row.
            unsafe { self.gpu.launch("edges", threads, &[&numbers[..], &steps].concat())? };
        }
        let tables = self.circuit.leaves.iter().filter(|leaves| is_table(leaves.kind)).count();
        for (sets, first) in several(tables) {
            let threads = Threads { blocks: (self.widest(), sets, 1), of: (SIDE, SIDE), shared: 0 };
            let numbers = [self.tables.at(0), self.sums.at(0), self.learned_sets.at(first)].map(Place);
            // SAFETY: the sets say where their tables and sums lie.
            unsafe { self.gpu.launch("categorical", threads, &[&numbers[..], &steps].concat())? };
        }
        for set in 0..self.sets.len() {
            let place = self.sets[set];
            if !is_table(self.circuit.leaves[set].kind) {
                let count = (place.categories as usize + 1) * place.units as usize;
                let flows = self.gpu.read(&self.sums, place.sums as usize, count)?;
                self.circuit.leaves[set].maximise(&flows, em.pseudocount, step);
                self.send_leaves(set)?;
            }
        }
        self.clear()
    }

    /// Uses of a set of leaves that are counted side by side.
    pub(super) fn lanes(&self) -> usize {
        self.lane_sums.as_ref().map_or(1, |lanes| lanes.len() / self.sums.len())
    }

    /// Blocks of 32 units of the largest set of leaves.
    pub(super) fn widest(&self) -> usize {
        self.sets.iter().map(|set| set.units as usize).max().unwrap_or(0).div_ceil(SIDE)
    }

    /// Forgets the sums.
    pub(super) fn clear(&mut self) -> Result<()> {
        self.gpu.clear(&mut self.edges)?;
        self.gpu.clear(&mut self.sums)
    }
}

/// How many uses of a set of leaves are counted side by side: where one has many, as many as their sums leave room for. It does
/// not depend on the GPU, as results do not.
fn lanes(sets: &[Set], numbers: usize) -> usize {
    let most = sets.iter().map(|set| set.uses as usize).max().unwrap_or(1);
    let room = LANE_BYTES / (numbers * size_of::<f32>()).max(1);
    (most / 8).min(room).clamp(1, MOST_LANES)
}

/// Whether the M-step of such leaves is one of tables, which a GPU does; that of others is done on the CPU.
fn is_table(kind: Leaf) -> bool {
    matches!(kind, Leaf::Categorical | Leaf::Bernoulli)
}
