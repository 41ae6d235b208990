//! What everything costs by what it cannot do without: queries by a likelihood pass over their rows, M-steps by a categorical
//! one, batches of a file by those of memory, convolutions by their products of matrices. `just costs` prints the table and writes
//! figures/costs.csv.

use gemm::Parallelism;
use limbeck::{
    dfdx::tensor::Cpu,
    frame::{
        ConvNet, Energy, Head,
        samplers::{Chains, Sampler, Ula},
    },
    nn::{Grid, Padding, Silu, Stride, Window},
    prelude::*,
    train::{Clock, Learner},
};
use rand::RngExt;
use std::{fmt::Write, fs, hint::black_box, path::Path, time::Instant};

/// Times are the best of this many rounds; in each, all of a group take their turn.
const ROUNDS: usize = 9;

struct Cost<'a> {
    what: &'a str,
    /// The most that it should cost, in times of the first of its group.
    target: Option<f64>,
    run: Box<dyn FnMut() + 'a>,
}

fn cost<'a, R>(what: &'a str, target: impl Into<Option<f64>>, mut run: impl FnMut() -> R + 'a) -> Cost<'a> {
    let run = Box::new(move || drop(black_box(run())));
    Cost { what, target: target.into(), run }
}

/// Times a group, prints it, and adds its lines to the table.
fn measure(group: &str, mut costs: Vec<Cost>, table: &mut String) {
    let mut best = vec![f64::INFINITY; costs.len()];
    for round in 0..=ROUNDS {
        for (cost, best) in costs.iter_mut().zip(&mut best) {
            let start = Instant::now();
            (cost.run)();
            // The first round warms up.
            *best = if round == 0 { *best } else { best.min(start.elapsed().as_secs_f64() * 1e3) };
        }
    }
    println!("\n{group}");
    for (cost, ms) in costs.iter().zip(&best) {
        let ratio = ms / best[0];
        let target = cost.target.map_or(String::new(), |t| format!("{t}"));
        let verdict =
            cost.target.map_or(String::new(), |t| format!("   target {t}{}", if ratio <= t { "" } else { ", MISSED" }));
        println!("  {:<52} {ms:>10.3} ms {ratio:>8.2} ×{verdict}", cost.what);
        writeln!(table, "\"{group}\",\"{}\",{ms:.4},{ratio:.2},{target}", cost.what).expect("a string");
    }
}

fn main() {
    let mut table = String::from("group,what,ms,ratio,target\n");
    queries(&mut table);
    codec(&mut table);
    m_steps(&mut table);
    batches(&mut table);
    mixtures(&mut table);
    convolutions(&mut table);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("figures/costs.csv");
    fs::write(&path, table).expect("figures/ can be written");
    println!("\n{} threads; written to figures/costs.csv", rayon::current_num_threads());
}

fn digits(n: usize) -> Discrete {
    let digits = shipped::digits().expect("the data ships with the repository").discrete();
    digits.select(&(0..n).map(|i| i % digits.len()).collect::<Vec<_>>())
}

fn queries(table: &mut String) {
    let rows = digits(4096);
    let tree = Tree::chow_liu(&rows, Seed(0)).expect("rows in memory can be read");
    let graph = Graph::hclt(&tree, 64).expect("valid sizes");
    let circuit = Circuit::random(graph, rows.schema().clone(), Leaf::Categorical, Seed(0)).expect("valid sizes");
    let half = rows.mask(|_, v| v < 32);
    let one = half.select(&[0]);
    let pass = || circuit.log_prob(&half);
    let group = "hclt of 64×17, 64 states, 4096 rows with half of each known; by a likelihood pass";
    let costs = vec![
        cost("likelihood", None, pass),
        cost("conditionals of one variable", None, || circuit.conditionals_of_each(&half, &[5], |_, _, _| Ok(()))),
        cost("conditionals of all", None, || {
            let all: Vec<usize> = (0..64).collect();
            circuit.conditionals_of_each(&half, &all, |_, _, _| Ok(()))
        }),
        cost("inpainting", 5.0, || circuit.complete(&half, Seed(1))),
        cost("sampling", None, || circuit.sample(4096, Seed(1))),
        cost("most probable completion (bound)", None, || circuit.map(&half)),
    ];
    measure(group, costs, table);
    let group = "the same circuit, one row with half of it known; by a likelihood pass";
    let costs = vec![
        cost("likelihood", None, || circuit.log_prob(&one)),
        cost("covariances of all pairs", None, || circuit.covariance(&one)),
        cost("which variable tells most of another", None, || circuit.next_variable(&one, 0)),
    ];
    measure(group, costs, table);
}

/// A circuit that excludes values, and the same rows under one that excludes none.
fn codec(table: &mut String) {
    let (learned, rows) = (digits(600), digits(1200).select(&(600..1100).collect::<Vec<_>>()));
    let fit = |em: Em| {
        let settings = FitCircuit { epochs: 2, em, ..FitCircuit::new(Structure::hclt(16)) };
        settings.fit(&learned, None, Seed(0)).expect("digits can be learned").0
    };
    let (soft, hard) = (fit(Em::default()), fit(Em::exact()));
    let excluded = hard.log_prob(&rows).expect("rows fit").iter().filter(|p| p.is_infinite()).count();
    assert!(excluded > 50, "{excluded} rows are excluded");
    let costs = vec![
        cost("compression, no value excluded", None, || soft.compress(&rows)),
        cost("compression, values of many rows excluded", 3.0, || hard.compress(&rows)),
    ];
    measure("hclt of 64×17, 16 states, 500 rows; by compression with no value excluded", costs, table);
}

/// A step on a single row, which is little but the M-step.
fn m_steps(table: &mut String) {
    let mut rng = Seed(0).stream("codes", 0);
    let codes = (0..64 * 64).map(|_| rng.random_range(0..256)).collect();
    let rows = Discrete::new(Schema::uniform(&[64], 256), codes).expect("codes below 256");
    let costs = [
        (Leaf::Categorical, None),
        (Leaf::Binomial, Some(3.0)),
        (Leaf::Poisson, Some(3.0)),
        (Leaf::DiscretisedLogistic, None),
    ];
    let costs = costs.into_iter().map(|(leaf, target)| {
        let settings = FitCircuit { leaf, ..FitCircuit::new(Structure::Mixture { components: 32 }) };
        let circuit = settings.start_circuit(&rows, Seed(0)).expect("valid settings");
        let mut learner = EmLearner::new(circuit, &rows, None, Em::default()).expect("valid settings");
        let clock = Clock { step: 1, steps: 1000, epoch: 1, seed: Seed(0) };
        cost(leaf.name(), target, move || learner.step(&[0], &clock))
    });
    measure("M-step of 64 × 32 leaves of 256 categories; by the categorical one", costs.collect(), table);
}

/// Random batches of a file that is too large for memory, or as if it were.
fn batches(table: &mut String) {
    const N: usize = 50_000;
    let images = shipped::fashion_mnist().expect("the data ships with the repository").0.discrete();
    let rows = images.select(&(0..N).map(|i| i % images.len()).collect::<Vec<_>>());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("rows.npy");
    save_discrete(&path, &rows).expect("the folder can be written");
    let file = limbeck::data::NpyRows::open(&path, 256).expect("what was written can be read");
    let mut rng = Seed(0).stream("batches", 0);
    let batches: Vec<Vec<usize>> = (0..100).map(|_| (0..250).map(|_| rng.random_range(0..N)).collect()).collect();
    let read = |rows: &dyn Rows| {
        let mut codes = Vec::new();
        batches.iter().for_each(|batch| rows.read(batch, &mut codes).expect("rows that are there"));
        codes
    };
    let costs = vec![cost("memory", None, || read(&rows)), cost(".npy", 3.0, || read(&file))];
    measure("100 random batches of 250 of 50,000 images of 784 pixels; by those of memory", costs, table);
}

/// Densities and draws of Gaussianization by mixtures, two numbers a row.
fn mixtures(table: &mut String) {
    let points = Oracle::Moons.sample(2000, Seed(0)).expect("2000 points");
    let costs = [FlowKind::Nice, FlowKind::Rbig, FlowKind::Gaussianization].into_iter().map(|kind| {
        let settings = FitFlow { epochs: 1, ..FitFlow::new(kind) };
        let (model, _) = settings.fit(&points, None, Seed(0)).expect("points can be learned");
        let points = &points;
        cost(kind.name(), None, move || model.evidence(points).expect("points fit"))
    });
    measure("log-density of 2000 points in the plane; by the additive couplings of NICE", costs.collect(), table);
}

/// Slopes of a network of convolutions in the places of its images.
fn convolutions(table: &mut String) {
    const CHAINS: usize = 64;
    let device = Cpu::seed_from_u64(0);
    let grid = Grid { channels: 3, height: 32, width: 32 };
    type Net = ConvNet<Window<3, Stride<2>, Padding<1>>, Silu>;
    let net = Net::new(&device, grid, &[32, 64, 128], Head::Mean).expect("sizes that fit");
    let law = Energy::new(&device, net, 1.0).expect("a deviation above 0");
    let mut chains = Chains::normal(CHAINS, grid.dims(), 1.0, Seed(0)).expect("chains");
    let points = chains.points().to_vec();
    let mut ula = Ula::new(1e-3).expect("a step above 0");
    // Maps, numbers of a patch, places of all images, for each convolution; forwards and back.
    let sizes = [(32, 27, 256 * CHAINS), (64, 288, 64 * CHAINS), (128, 576, 16 * CHAINS)];
    let both = sizes.into_iter().flat_map(|(maps, patch, places)| [(maps, patch, places), (patch, maps, places)]);
    let mut products: Vec<Product> = both.map(|(rows, inner, columns)| Product::new(rows, inner, columns)).collect();
    let costs = vec![
        cost("products of matrices of these sizes", None, move || products.iter_mut().for_each(Product::run)),
        cost("scores and slopes", None, || law.scores_and_slopes(&points)),
        cost("Langevin step", None, || ula.step(&law, &mut chains, Seed(1)).expect("finite energies")),
    ];
    measure("three convolutions of 64 × 3 × 32 × 32; by the products of matrices alone", costs, table);
}

/// A matrix of ones by another.
struct Product {
    size: (usize, usize, usize),
    left: Vec<f32>,
    right: Vec<f32>,
    out: Vec<f32>,
}

impl Product {
    fn new(rows: usize, inner: usize, columns: usize) -> Self {
        let ones = |numbers: usize| vec![1.0; numbers];
        Self {
            size: (rows, inner, columns),
            left: ones(rows * inner),
            right: ones(inner * columns),
            out: ones(rows * columns),
        }
    }

    fn run(&mut self) {
        let (rows, inner, columns) = self.size;
        let threads = match rayon::current_num_threads() {
            1 => Parallelism::None,
            _ => Parallelism::Rayon(0),
        };
        let (out, left, right) = (self.out.as_mut_ptr(), self.left.as_ptr(), self.right.as_ptr());
        let (wide, deep) = (columns as isize, inner as isize);
        // SAFETY: the vectors are as long as their matrices, which lie row after row.
        unsafe {
            gemm::gemm(
                rows, columns, inner, out, 1, wide, false, left, 1, deep, right, 1, wide, 0.0, 1.0, false, false,
                false, threads,
            );
        }
    }
}
