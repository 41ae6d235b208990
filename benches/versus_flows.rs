//! Flows against zuko and nflows: the same sizes, batches and optimizer. `just versus flows` runs it.

mod versus;

use dfdx::{
    nn::{NumParams, TensorCollection, ZeroGrads},
    prelude::{Backward, Const, Cpu, MeanTo, TensorFromVec, Trace},
};
use limbeck::{
    flows::{Autoregressive, Bijection, Coupling, Flow, Maf, Mask, Permute, Scale, Spline},
    nn::{
        Repeated,
        optim::{Adam, AdamConfig, Schedule},
    },
    random::Seed,
};
use rand::RngExt;
use std::{hint::black_box, process::ExitCode};
use versus::{Versus, best, report};

const BATCH: usize = 100;
const SAMPLES: usize = 1000;
const LAYERS: usize = 5;

fn main() -> ExitCode {
    Versus {
        name: "flows",
        peers: &[
            ("zuko", "flows.py zuko", &["maf", "realnvp", "spline"]),
            ("nflows", "flows.py nflows", &["maf", "realnvp"]),
        ],
        cases: &["maf-2-100", "maf-43-512", "realnvp-2-100", "realnvp-43-512", "spline-2-64", "spline-43-128"],
        rounds: 2,
        ours,
    }
    .main()
}

/// `case` is `model-dimensions-hidden`.
fn ours(case: &str) {
    let [model, dims, hidden] = case.split('-').collect::<Vec<_>>()[..] else { panic!("no case {case}") };
    let hidden: usize = hidden.parse().expect("a number of units");
    match dims {
        "2" => of::<2>(case, model, hidden),
        _ => of::<43>(case, model, hidden),
    }
}

fn of<const D: usize>(case: &str, model: &str, hidden: usize) {
    let device = Cpu::seed_from_u64(0);
    let reversed = || Permute::<Const<D>>::reversed(&device, Const).expect("memory");
    match model {
        "maf" => {
            let layer = || (Maf::<Const<D>>::new(&device, Const, hidden).expect("valid sizes"), reversed());
            measure(case, Repeated::<_, LAYERS> { modules: (0..LAYERS).map(|_| layer()).collect() });
        }
        "spline" => {
            type Layer<const D: usize> = Autoregressive<Const<D>, Spline<8, 5>>;
            let layer = || (Layer::<D>::new(&device, Const, hidden).expect("valid sizes"), reversed());
            measure(case, Repeated::<_, LAYERS> { modules: (0..LAYERS).map(|_| layer()).collect() });
        }
        _ => {
            let coupling =
                |moves| Coupling::<Const<D>, Scale>::new(&device, Const, hidden, moves).expect("valid sizes");
            let pair = || (coupling(Mask::Odd), coupling(Mask::Even));
            measure(case, Repeated::<_, LAYERS> { modules: (0..LAYERS).map(|_| pair()).collect() });
        }
    }
}

fn measure<const D: usize, B: Bijection<Const<D>, f32, Cpu> + TensorCollection<f32, Cpu>>(case: &str, bijection: B) {
    let device = Cpu::seed_from_u64(1);
    let mut flow = Flow::normal(bijection);
    let parameters = flow.bijection.num_trainable_params();
    let mut rng = Seed(0).stream("rows", 0);
    let rows: Vec<f32> = (0..BATCH * D).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect();
    let x = device.tensor_from_vec(rows, (BATCH, Const::<D>));
    let mut adam =
        Adam::new(AdamConfig { rate: Schedule::constant(1e-4), ..Default::default() }).expect("valid settings");
    let mut grads = Some(flow.bijection.alloc_grads());
    let step = best(|| {
        let mut given = grads.take().expect("gradients of the step before");
        flow.bijection.zero_grads(&mut given);
        let loss = -flow.sequential().log_prob(x.clone().traced(given)).mean();
        let mut given = loss.backward();
        adam.update(&mut flow.bijection, &mut given).expect("finite gradients");
        grads = Some(given);
    });
    report(&format!("{case}, training step of {BATCH} rows"), step, Some(parameters));
    let log_prob = best(|| drop(black_box(flow.sequential().log_prob(x.clone()))));
    report(&format!("{case}, log-density of {BATCH} rows"), log_prob, Some(parameters));
    let mut seed = 0;
    let sample = best(|| {
        seed += 1;
        drop(black_box(flow.sequential().sample((SAMPLES, Const::<D>), &device, Seed(seed))));
    });
    report(&format!("{case}, {SAMPLES} samples"), sample, Some(parameters));
}
