//! FRAME against Python libraries: Langevin steps on a convolutional energy, and sweeps of a texture's law. `just versus frame` runs it.

mod versus;

use dfdx::tensor::Cpu;
use limbeck::{
    frame::{
        Bins, Borders, ConvNet, Energy, Feature, Field, Filter, Frame, Head,
        samplers::{Chains, Sampler, Ula},
    },
    nn::{Grid, Padding, Silu, Stride, Window, params},
    random::Seed,
};
use std::{hint::black_box, process::ExitCode};
use versus::{Versus, best, report};

const CHAINS: usize = 64;
/// Height and width of the texture, and its grey levels.
const SIDE: usize = 128;
const LEVELS: usize = 8;

fn main() -> ExitCode {
    Versus {
        name: "frame",
        peers: &[("blackjax", "frame.py", &["langevin"]), ("numba", "frame.py", &["gibbs"])],
        cases: &["langevin", "gibbs"],
        rounds: 5,
        ours,
    }
    .main()
}

fn ours(case: &str) {
    match case {
        "langevin" => langevin(case),
        _ => gibbs(case),
    }
}

/// `Φ = w · mean of the maps` of three convolutions of 3 × 3 that halve the image, on images of 3 × 32 × 32.
fn langevin(case: &str) {
    let device = Cpu::seed_from_u64(0);
    let grid = Grid { channels: 3, height: 32, width: 32 };
    type Net = ConvNet<Window<3, Stride<2>, Padding<1>>, Silu>;
    let net = Net::new(&device, grid, &[32, 64, 128], Head::Mean).expect("sizes that fit");
    let parameters = params(&net).iter().map(|(_, _, values)| values.len()).sum();
    let law = Energy::new(&device, net, 1.0).expect("a deviation above 0");
    let mut chains = Chains::normal(CHAINS, 3 * 32 * 32, 1.0, Seed(0)).expect("chains");
    let mut ula = Ula::new(1e-3).expect("a step above 0");
    let mut seed = 0;
    let ms = best(|| {
        seed += 1;
        black_box(ula.step(&law, &mut chains, Seed(seed)).expect("finite energies"));
    });
    report(&format!("{case}, step of {CHAINS} × 3 × 32 × 32"), ms, Some(parameters));
}

/// A sweep over a torus by ten filters: grey level, two gradients, a spot, and six waves of four pixels.
fn gibbs(case: &str) {
    let mut filters = vec![Filter::intensity(), Filter::gradient_x(), Filter::gradient_y()];
    filters.push(Filter::laplacian_of_gaussian(1.0).expect("a scale"));
    filters.extend((0..6).map(|i| Filter::gabor_cosine(4.0, 30.0 * f64::from(i)).expect("a period")));
    let law = Frame::uniform(LEVELS, Borders::Torus).expect("levels");
    let of = |filter| Feature::new(filter, Bins::Even { low: -2.0, width: 0.25, count: 17 }, LEVELS).expect("bins");
    let mut law = filters.into_iter().fold(law, |law, filter| law.with(of(filter)).expect("one law"));
    let potential: Vec<f64> = (0..17).map(|b| 0.02 * f64::from((b - 8) * (b - 8))).collect();
    law.set_potentials(vec![potential; 10]).expect("as many bins");
    let mut rng = Seed(0).stream("gibbs", 0);
    let mut field = Field::noise(&law, [SIDE, SIDE], &mut rng).expect("an image");
    let ms = best(|| field.sweep(&law, 1.0, &mut rng));
    report(&format!("{case}, sweep of {SIDE} × {SIDE}, {LEVELS} levels, 10 filters"), ms, None);
}
