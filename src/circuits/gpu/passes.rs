//! The two passes over a circuit on a GPU, as launches of kernels and products of matrices.

use super::{
    device::{Argument, Gpu, Memory, Operands, SIDE, Threads, several},
    resident::Resident,
    schedule::{self, Batch, Factor, Part, ROWS, Step},
};
use crate::{
    Result,
    circuits::{graph::Kind, pass::kernels::TILE},
};
use Argument::{Int, Place, Size};
use cudarc::driver::DeviceRepr;

/// What the threads of a block can share, bytes.
const SHARED: usize = 48 << 10;

/// A block, and which factors it is the product of; as `kernels.cu` has it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Product {
    out: u64,
    exponents: u64,
    first: i64,
    factors: i32,
    units: i32,
}

/// A block below, and a leaf.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Multiplied {
    below: u64,
    below_exponents: u64,
    table: u64,
    powers: u64,
    codes: u64,
    categories: i64,
}

/// The values of a block, and its flows.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Pair {
    values: u64,
    flows: u64,
    count: i64,
}

// SAFETY: these are plain numbers, laid out as in C.
unsafe impl DeviceRepr for Product {}
// SAFETY: as above.
unsafe impl DeviceRepr for Multiplied {}
// SAFETY: as above.
unsafe impl DeviceRepr for Pair {}

/// A step whose lists lie on the GPU.
enum Launch {
    /// So many products from the first on.
    Multiply { first: usize, count: usize },
    /// A kernel over pairs: the longest of them has `most` numbers.
    Pairs { kernel: &'static str, first: usize, count: usize, most: usize },
    /// The lists of places of three operands, one after the other, and the first place of each.
    Matrices {
        first: usize,
        count: usize,
        places: [u64; 3],
        sizes: [usize; 3],
        strides: [usize; 3],
        turned: [bool; 2],
        adds: bool,
    },
    /// Whatever needs no list.
    Alone(Step),
}

/// A circuit on a GPU, and both passes over it.
pub(super) struct Passes {
    pub(super) circuit: Resident,
    up: Vec<Launch>,
    down: Vec<Launch>,
    products: Memory<Product>,
    factors: Memory<Multiplied>,
    pairs: Memory<Pair>,
    places: Memory<u64>,
}

/// The lists while they are written.
#[derive(Default)]
struct Lists {
    products: Vec<Product>,
    factors: Vec<Multiplied>,
    pairs: Vec<Pair>,
    places: Vec<u64>,
}

impl Passes {
    pub(super) fn new(circuit: Resident) -> Result<Self> {
        let (graph, mut lists) = (&circuit.circuit.graph, Lists::default());
        let up = schedule::upward(graph).into_iter().map(|step| lists.launch(&circuit, step)).collect();
        let down = schedule::downward(graph).into_iter().map(|step| lists.launch(&circuit, step)).collect();
        fn copy<T: DeviceRepr + Copy>(gpu: &Gpu, mut list: Vec<T>, blank: T) -> Result<Memory<T>> {
            list.push(blank);
            gpu.copy(&list)
        }
        let gpu = &circuit.gpu;
        Ok(Self {
            products: copy(gpu, lists.products, Product { out: 0, exponents: 0, first: 0, factors: 0, units: 0 })?,
            factors: copy(gpu, lists.factors, Multiplied::default())?,
            pairs: copy(gpu, lists.pairs, Pair { values: 0, flows: 0, count: 0 })?,
            places: copy(gpu, lists.places, 0)?,
            circuit,
            up,
            down,
        })
    }

    /// The values of all blocks for the first `n` rows, and their log-likelihoods.
    pub(super) fn upward(&self, n: usize) -> Result<()> {
        let circuit = &self.circuit;
        self.up.iter().try_for_each(|launch| self.run(launch, n))?;
        let (root, heads) = (circuit.circuit.graph.root(), circuit.circuit.graph.heads());
        let arguments = [
            Place(circuit.value(root)),
            Place(circuit.exponent(root)),
            Place(if heads > 1 { circuit.heads.at(0) } else { 0 }),
            Place(circuit.log_probs.at(0)),
            Place(circuit.lost.at(0)),
            Int(heads as i32),
            Int(n as i32),
            Int(circuit.width as i32),
        ];
        // SAFETY: every array has `width` columns, and the heads' as many rows as there are.
        unsafe { circuit.gpu.launch("root", Threads::each(n), &arguments) }
    }

    /// Adds the flows of the first `n` rows, whose values are there, to the sums.
    pub(super) fn downward(&self, n: usize) -> Result<()> {
        let circuit = &self.circuit;
        self.down.iter().try_for_each(|launch| self.run(launch, n))?;
        let room = |rows: usize| (SIDE * (SIDE + 1) + rows * SIDE) * size_of::<f32>();
        let most = circuit.sets.iter().map(|set| set.categories as usize + 1).max().unwrap_or(0);
        let rows = if room(most) <= SHARED { most } else { 0 };
        let sums = circuit.lane_sums.as_ref().unwrap_or(&circuit.sums);
        for (sets, first) in several(circuit.sets.len()) {
            let threads =
                Threads { blocks: (circuit.widest(), sets, circuit.lanes()), of: (SIDE, 1), shared: room(rows) };
            let arguments = [
                Place(sums.at(0)),
                Size(circuit.sums.len()),
                Place(circuit.all_sets.at(first)),
                Place(circuit.uses.at(0)),
                Place(circuit.flows.at(0)),
                Place(circuit.codes.at(0)),
                Int(circuit.circuit.vars() as i32),
                Int(n as i32),
                Int(circuit.width as i32),
                Int(rows as i32),
            ];
            // SAFETY: the sets say where their leaves are used, and the sums have a row for every category and the missing.
            unsafe { circuit.gpu.launch("count", threads, &arguments)? };
        }
        if let Some(lanes) = &circuit.lane_sums {
            let each = circuit.sums.len();
            let arguments = [Place(circuit.sums.at(0)), Place(lanes.at(0)), Int(circuit.lanes() as i32), Size(each)];
            // SAFETY: so many lanes lie one after the other.
            unsafe { circuit.gpu.launch("add_lanes", Threads::each(each), &arguments)? };
        }
        Ok(())
    }

    fn run(&self, launch: &Launch, n: usize) -> Result<()> {
        let circuit = &self.circuit;
        let (gpu, width) = (&circuit.gpu, Int(circuit.width as i32));
        match launch {
            Launch::Multiply { first, count } => {
                for (count, more) in several(*count) {
                    let threads = Threads { blocks: (n.div_ceil(SIDE), count, 1), of: (SIDE, SIDE), shared: 0 };
                    let arguments = [
                        Place(self.products.at(first + more)),
                        Place(self.factors.at(0)),
                        Place(circuit.lost.at(0)),
                        Int(circuit.circuit.vars() as i32),
                        Int(n as i32),
                        width,
                    ];
                    // SAFETY: the lists name blocks with these units; the codes lie row after row.
                    unsafe { gpu.launch("multiply", threads, &arguments)? };
                }
                Ok(())
            }
            Launch::Pairs { kernel, first, count, most } => {
                for (count, more) in several(*count) {
                    let threads = Threads { blocks: (most.div_ceil(256), count, 1), of: (256, 1), shared: 0 };
                    // SAFETY: values and flows have as many numbers as the list says.
                    unsafe { gpu.launch(kernel, threads, &[Place(self.pairs.at(first + more))])? };
                }
                Ok(())
            }
            Launch::Matrices { first, count, places, sizes, strides, turned, adds } => {
                let operands = std::array::from_fn(|i| Operands {
                    list: self.places.at(first + i * count),
                    first: places[i],
                    stride: strides[i],
                    transposed: i < 2 && turned[i],
                });
                let sizes = sizes.map(|size| if size == ROWS { n } else { size });
                // SAFETY: blocks are `(units, width)`, weights `(units, columns)`, each row after row.
                unsafe { gpu.products(sizes, operands, *adds, *count) }
            }
            Launch::Alone(step) => circuit.alone(step, n),
        }
    }
}

impl Lists {
    fn launch(&mut self, circuit: &Resident, step: Step) -> Launch {
        match step {
            Step::Multiply(products) => {
                let (first, count) = (self.products.len(), products.len());
                for (b, factors) in products {
                    let (out, exponents) = (circuit.value(b), circuit.exponent(b));
                    let (units, from) = (circuit.circuit.units(b) as i32, self.factors.len() as i64);
                    self.products.push(Product { out, exponents, first: from, factors: factors.len() as i32, units });
                    self.factors.extend(factors.into_iter().map(|factor| circuit.factor(factor)));
                }
                Launch::Multiply { first, count }
            }
            Step::Divide(blocks) => self.pairs(circuit, "divide", &blocks),
            Step::Times(blocks) => self.pairs(circuit, "scale_flows", &blocks),
            Step::Matrices(Batch { products, sizes, columns, adds }) => {
                let (first, count) = (self.places.len(), products.len());
                let (a, b, c) = products[0];
                let stride = |part: Part| match part {
                    Part::Values(_) | Part::Flows(_) => circuit.width,
                    Part::Weights(..) | Part::Edges(..) => columns,
                };
                self.places.extend(products.iter().map(|(a, _, _)| circuit.place(a.0)));
                self.places.extend(products.iter().map(|(_, b, _)| circuit.place(b.0)));
                self.places.extend(products.iter().map(|(_, _, c)| circuit.place(*c)));
                let places = [circuit.place(a.0), circuit.place(b.0), circuit.place(c)];
                let strides = [stride(a.0), stride(b.0), stride(c)];
                Launch::Matrices { first, count, places, sizes, strides, turned: [a.1, b.1], adds }
            }
            step => Launch::Alone(step),
        }
    }

    fn pairs(&mut self, circuit: &Resident, kernel: &'static str, blocks: &[usize]) -> Launch {
        let (first, count) = (self.pairs.len(), blocks.len());
        let pair =
            |b: &usize| Pair { values: circuit.value(*b), flows: circuit.flow(*b), count: circuit.numbers(*b) as i64 };
        self.pairs.extend(blocks.iter().map(pair));
        Launch::Pairs { kernel, first, count, most: blocks.iter().map(|b| circuit.numbers(*b)).max().unwrap_or(0) }
    }
}

impl Resident {
    fn value(&self, b: usize) -> u64 {
        self.values.at(self.circuit.plan.kept[b].start / TILE * self.width)
    }

    fn flow(&self, b: usize) -> u64 {
        self.flows.at(self.circuit.plan.flows[b].start / TILE * self.width)
    }

    fn exponent(&self, b: usize) -> u64 {
        self.exponents.at(self.circuit.plan.exponents[b] * self.width)
    }

    fn numbers(&self, b: usize) -> usize {
        self.circuit.units(b) * self.width
    }

    fn place(&self, part: Part) -> u64 {
        match part {
            Part::Values(b) => self.value(b),
            Part::Flows(b) => self.flow(b),
            Part::Weights(set, column) => self.weights.at(self.matrices[set].begin as usize + column),
            Part::Edges(set, column) => self.edges.at(self.matrices[set].begin as usize + column),
        }
    }

    fn factor(&self, (below, leaf): Factor) -> Multiplied {
        let mut factor = Multiplied::default();
        if let Some(c) = below {
            (factor.below, factor.below_exponents) = (self.value(c), self.exponent(c));
        }
        if let Some(Kind::Input { variable, leaf }) = leaf.map(|c| &self.circuit.graph.blocks()[c].kind) {
            let set = self.sets[*leaf];
            factor.table = self.tables.at(set.table as usize);
            if self.circuit.leaves[*leaf].lookup().1.is_some() {
                factor.powers = self.powers.at(set.powers as usize);
            }
            (factor.codes, factor.categories) = (self.codes.at(*variable), i64::from(set.categories));
        }
        factor
    }

    fn kronecker(&self, b: usize) -> (usize, usize) {
        match self.circuit.graph.blocks()[b].kind {
            Kind::Kronecker { left, right } => (left, right),
            _ => unreachable!("the step is of a Kronecker product"),
        }
    }

    /// A step that is a launch of its own.
    fn alone(&self, step: &Step, n: usize) -> Result<()> {
        let (rows, width, units) = (Int(n as i32), Int(self.width as i32), |b| Int(self.circuit.units(b) as i32));
        match step {
            Step::Kronecker(b) => {
                let (left, right) = self.kronecker(*b);
                let block = |b: usize| [Place(self.value(b)), Place(self.exponent(b))];
                let arguments =
                    [&block(*b)[..], &block(left), &block(right), &[units(left), units(right), rows, width]].concat();
                // SAFETY: the blocks have so many units, each of `width` columns.
                unsafe { self.gpu.launch("kronecker", Threads::columns(n), &arguments) }
            }
            Step::FromKronecker(b, by_left, begun) => {
                let (left, right) = self.kronecker(*b);
                let to = if *by_left { left } else { right };
                let flags = [begun, by_left].map(|flag| Int(i32::from(*flag)));
                let places = [Place(self.flow(to)), Place(self.flow(*b))];
                let arguments = [&places[..], &flags, &[units(left), units(right), rows, width]].concat();
                // SAFETY: as above.
                unsafe { self.gpu.launch("from_kronecker", Threads::columns(n), &arguments) }
            }
            Step::Align(children) => {
                let highest = Place(self.highest.at(0));
                for (i, c) in children.iter().enumerate() {
                    let arguments = [highest, Place(self.exponent(*c)), Int(i32::from(i > 0)), rows];
                    // SAFETY: both have `width` numbers.
                    unsafe { self.gpu.launch("highest", Threads::each(n), &arguments)? };
                }
                children.iter().try_for_each(|c| {
                    let arguments = [Place(self.value(*c)), Place(self.exponent(*c)), highest, units(*c), rows, width];
                    // SAFETY: as above.
                    unsafe { self.gpu.launch("align", Threads::columns(n), &arguments) }
                })
            }
            Step::Add(from, to, begun) => {
                let count = self.numbers(*from);
                let arguments = [Place(self.flow(*to)), Place(self.flow(*from)), Int(i32::from(*begun)), Size(count)];
                // SAFETY: a product has as many units as its children.
                unsafe { self.gpu.launch("add_to", Threads::each(count), &arguments) }
            }
            Step::Multiply(_) | Step::Matrices(_) | Step::Divide(_) | Step::Times(_) => {
                unreachable!("these have lists")
            }
        }
    }
}
