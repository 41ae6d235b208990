//! Estimates of the bound against its enumeration, and learning.

use super::{times::Past, *};
use crate::{
    archive::Archive,
    data::{Discrete, MISSING, Schema, Subset},
    diffusion::{
        Absorbing, Continuous, Decoder, Diffusion, Fall, Formula, Mlp, Process, Proof, Schedule, Steps, Uniform,
    },
    nn::optim::AdamConfig,
    random::Seed,
    train::{Learner, Plan, quiet, train},
};
use dfdx::{shapes::Const, tensor::Cpu};
use rand::RngExt;

fn uniform(steps: usize) -> Uniform<Const<3>> {
    Uniform::new(Const, Schedule::new(Fall::Cosine, steps).unwrap()).unwrap()
}

fn absorbing(steps: usize) -> Absorbing<Const<3>, Const<4>> {
    Absorbing::new(Const, Const, Schedule::new(Fall::Linear, steps).unwrap()).unwrap()
}

fn logit(row: &[u16], d: usize, k: usize, time: f64) -> f64 {
    let other = row.get(1 - d).copied().unwrap_or(0);
    (1.0 + f64::from(other) * (k as f64 + 0.5) + 2.0 * time + d as f64).cos()
}

/// Two positions of three categories, all rows many times.
fn many(times: usize) -> Discrete {
    let rows = (0..9 * times).flat_map(|i| [(i / 3 % 3) as u16, (i % 3) as u16]).collect();
    Discrete::new(Schema::uniform(&[2], 3), rows).unwrap()
}

#[test]
fn an_estimate_is_the_bound_within_its_interval() {
    fn check<P: Process<Categories = Const<3>>, B: Bound<P>>(process: P, bound: &B, draws: usize, want: &[f64]) {
        let states = process.states();
        let model = Diffusion::new(process, Formula::new(Const, states, logit)).unwrap();
        let rows = many(300);
        let found = model.evidence(&rows, bound, draws, Seed(3)).unwrap();
        for (row, want) in want.iter().enumerate() {
            let each: Vec<f64> = found.log_probs().iter().skip(row).step_by(9).copied().collect();
            let mean = each.iter().sum::<f64>() / 300.0;
            let error = (each.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / 299.0 / 300.0).sqrt();
            assert!((mean - want).abs() < 4.0 * error + 1e-12, "{mean} ± {error} for {want}");
        }
        let (low, high) = found.interval();
        let want = want.iter().sum::<f64>() / 9.0;
        assert!(
            draws >= bound.moments().unwrap_or(usize::MAX) || (low < want && want < high),
            "{low}..{high} for {want}"
        );
    }
    fn enumerated<P: Process<Categories = Const<3>>>(process: &P, steps: &Steps) -> Vec<f64> {
        let model = Diffusion::new(process.clone(), Formula::new(Const, process.states(), logit)).unwrap();
        Proof::of(&model, 2, steps).unwrap().bound().unwrap().log_probs().to_vec()
    }
    let (u, a) = (uniform(6), absorbing(6));
    for decoder in [Decoder::Posterior, Decoder::Direct] {
        let steps = Steps::all(&u, decoder);
        check(u.clone(), &steps, 3, &enumerated(&u, &steps));
        check(u.clone(), &steps, 6, &enumerated(&u, &steps));
    }
    let steps = Steps::all(&a, Decoder::Posterior);
    check(a.clone(), &steps, 4, &enumerated(&a, &steps));
    // Without end: the mean over orders; and many steps.
    let model = Diffusion::new(a.clone(), Formula::new(Const, Const, logit)).unwrap();
    check(a, &Endless, 6, model.over_all_orders(&many(1)).unwrap().log_probs());
    let long = Uniform::new(Const, Schedule::new(Fall::CosineOfPaper, 3000).unwrap()).unwrap();
    check(long.clone(), &Endless, 8, &enumerated(&long, &Steps::all(&long, Decoder::Posterior)));
}

#[test]
fn a_score_depends_on_its_row_alone() {
    let process = uniform(50);
    let steps = Steps::all(&process, Decoder::Posterior);
    let model = Diffusion::new(process, Formula::new(Const, Const, logit)).unwrap();
    let rows = many(3);
    let all = model.evidence(&rows, &steps, 8, Seed(1)).unwrap();
    let first = model.evidence(&Subset::new(&rows, vec![0, 1]), &steps, 8, Seed(1)).unwrap();
    assert_eq!(first.log_probs(), &all.log_probs()[..2]);
    // A row whose end is missing is a shorter row, whatever the width of the table.
    let short = Discrete::new(Schema::uniform(&[1], 3), vec![2, 0]).unwrap();
    let padded = Discrete::new(Schema::uniform(&[2], 3), vec![2, MISSING, 0, MISSING]).unwrap();
    let found = [&short, &padded].map(|rows| model.evidence(rows, &steps, 8, Seed(1)).unwrap());
    assert_eq!(found[0].log_probs(), found[1].log_probs());
    assert_eq!(found[0].bits_per_dim().unwrap(), found[1].bits_per_dim().unwrap());
    let hole = Discrete::new(Schema::uniform(&[2], 3), vec![MISSING, 1]).unwrap();
    let error = model.evidence(&hole, &steps, 8, Seed(1)).unwrap_err().to_string();
    assert!(error.starts_with("row 0: position 0 is missing, and 1 is not"), "{error}");
}

#[test]
fn moments_by_importance_are_unbiased_and_spread_less() {
    let mut past = Past::of(4);
    let costs = [0.5, 4.0, 1.0, 0.25];
    assert_eq!(past.weights(), None);
    let mut rng = Seed(1).stream("test", 0);
    // Costs with noise about them.
    let cost = |step: usize, rng: &mut crate::random::Stream| costs[step] * (0.5 + rng.random::<f64>());
    for step in (0..4).cycle().take(400) {
        let nats = cost(step, &mut rng);
        past.add(step, nats);
    }
    let weights = past.weights().unwrap();
    assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    assert_eq!(weights[0], weights[1]);
    let mut estimate = |times: Times| {
        let all: Vec<f64> = (0..20_000)
            .map(|_| {
                let (share, weight) = times::draw(times, 1, &past, &mut rng)[0];
                4.0 * weight * cost((share * 4.0) as usize, &mut rng)
            })
            .collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        (mean, all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / all.len() as f64)
    };
    let ((uniform, spread), (important, less)) = (estimate(Times::Uniform), estimate(Times::Importance));
    assert!((uniform - 5.75).abs() < 0.15 && (important - 5.75).abs() < 0.15, "{uniform} {important}");
    assert!(less < 0.75 * spread, "{less} {spread}");
    // Two draws of a step in a batch both count.
    let mut twice = Past::of(1);
    twice.add(0, 1.0);
    twice.add(0, 2.0);
    let mut archive = Archive::default();
    twice.save(&mut archive);
    let squares: Vec<f32> = archive.get("times/squares", &[1]).unwrap();
    assert!((squares[0] - (0.9 * 0.1 + 0.1 * 4.0)).abs() < 1e-6);
    let mut back = Past::of(1);
    back.load(&archive).unwrap();
    assert_eq!(back, twice);
    assert!(Past::of(2).load(&archive).is_err());
}

#[test]
fn stratified_moments_are_spread_evenly() {
    let drawn = times::draw(Times::Stratified, 8, &Past::of(0), &mut Seed(1).stream("test", 0));
    let mut shares: Vec<f64> = drawn.iter().map(|(share, _)| *share).collect();
    shares.sort_by(f64::total_cmp);
    assert!(shares.windows(2).all(|pair| (pair[1] - pair[0] - 0.125).abs() < 1e-12));
}

/// Rows of two positions of which the second is the first and one more, most of the time.
fn pairs(n: usize) -> Discrete {
    let mut rng = Seed(8).stream("pairs", 0);
    let row = |_| {
        let first = rng.random_range(0..3_u16);
        [first, if rng.random::<f64>() < 0.9 { (first + 1) % 3 } else { rng.random_range(0..3) }]
    };
    Discrete::new(Schema::uniform(&[2], 3), (0..n).flat_map(row).collect()).unwrap()
}

type Learned<P> = Diffusion<P, Mlp<Const<3>, <P as Process>::States>>;

fn learned<P, B>(process: P, what: Objectives<B>) -> (Learned<P>, Vec<f64>)
where
    P: Process<Categories = Const<3>>,
    B: Bound<P>,
{
    let rows = pairs(600);
    let network = Mlp::new(&Cpu::seed_from_u64(1), (Const, process.states()), 2, 32).unwrap();
    let model = Diffusion::new(process, network).unwrap();
    let adam = AdamConfig { rate: crate::nn::optim::Schedule::constant(5e-3), ..AdamConfig::default() };
    let mut learner = DiffusionLearner::new(model, &rows, None, what, adam, Seed(0)).unwrap();
    let history = train(&mut learner, &Plan::new(40, 60, Seed(0)), &mut quiet).unwrap();
    (learner.into_model(), history.records().iter().map(|r| r.loss).collect())
}

#[test]
fn every_bound_is_learned_to_near_the_entropy() {
    // log 3 + H(0.9333…, 0.0333…, 0.0333…) nats a row.
    let (p, q): (f64, f64) = (0.9 + 0.1 / 3.0, 0.1 / 3.0);
    let entropy = 3_f64.ln() - p * p.ln() - 2.0 * q * q.ln();
    fn near<P: Process<Categories = Const<3>>, B: Bound<P>>(
        process: P,
        bound: B,
        times: Times,
        hybrid: f64,
        entropy: f64,
    ) {
        let (model, losses) = learned(process, Objectives { bound: bound.clone(), times, hybrid });
        assert!(losses.iter().all(|l| l.is_finite()));
        let found = -model.evidence(&pairs(300), &bound, 64, Seed(2)).unwrap().mean();
        assert!(found > entropy - 0.12 && found < entropy + 0.35, "{found} for {entropy} ({})", bound.describe());
    }
    let (u, a) = (uniform(20), absorbing(20));
    let (of_u, of_a) = (Steps::all(&u, Decoder::Posterior), Steps::all(&a, Decoder::Posterior));
    near(u.clone(), of_u.clone(), Times::Stratified, 0.0, entropy);
    near(u.clone(), of_u, Times::Importance, 0.01, entropy);
    near(u.clone(), Steps::all(&u, Decoder::Direct), Times::Uniform, 0.0, entropy);
    near(
        Uniform::new(Const, Schedule::new(Fall::Linear, 20).unwrap()).unwrap(),
        Endless,
        Times::Stratified,
        0.0,
        entropy,
    );
    near(a.clone(), of_a, Times::Stratified, 0.0, entropy);
    near(a, Endless, Times::Stratified, 0.0, entropy);
}

#[test]
fn a_loss_at_all_moments_is_the_bound() {
    // With every step drawn once, the loss of a row is what the enumeration of its noise would average to.
    let process = uniform(6);
    let steps = Steps::all(&process, Decoder::Posterior);
    let network = Mlp::<_, _, f32, Cpu>::new(&Cpu::seed_from_u64(1), (Const, Const), 2, 8).unwrap();
    let model = Diffusion::new(process, network).unwrap();
    let want = -Proof::of(&model, 2, &steps).unwrap().bound().unwrap().log_probs()[5];
    let row = Discrete::new(Schema::uniform(&[2], 3), [1_u16, 2].repeat(3000)).unwrap();
    for times in [Times::Stratified, Times::Uniform] {
        let what = Objectives { bound: steps.clone(), times, hybrid: 0.0 };
        let mut learner =
            DiffusionLearner::new(model.clone(), &row, None, what, AdamConfig::default(), Seed(0)).unwrap();
        let history = train(&mut learner, &Plan::new(1, 3000, Seed(4)), &mut quiet).unwrap();
        let found = history.records()[0].loss;
        assert!((found - want).abs() < 0.05 * want, "{found} for {want}");
    }
}

#[test]
fn a_run_by_importance_that_stops_ends_where_the_whole_one_does() {
    let process = uniform(4);
    let rows = pairs(120);
    let make = || {
        let network = Mlp::new(&Cpu::seed_from_u64(1), (Const, Const), 2, 8).unwrap();
        let model = Diffusion::new(process.clone(), network).unwrap();
        let what =
            Objectives { bound: Steps::all(&process, Decoder::Posterior), times: Times::Importance, hybrid: 0.0 };
        DiffusionLearner::new(model, &rows, None, what, AdamConfig::default(), Seed(0)).unwrap()
    };
    let mut whole = make();
    let history = train(&mut whole, &Plan::new(6, 30, Seed(0)), &mut quiet).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = crate::train::Checkpoint {
        path: folder.path().join("checkpoint"),
        every: std::time::Duration::ZERO,
        resume: true,
    };
    let plan = Plan { checkpoint: Some(checkpoint), ..Plan::new(6, 30, Seed(0)) };
    let mut until = |p: &crate::train::Progress| match p.step {
        13 => std::ops::ControlFlow::Break(()),
        _ => std::ops::ControlFlow::Continue(()),
    };
    train(&mut make(), &plan, &mut until).unwrap();
    let mut rest = make();
    let resumed = train(&mut rest, &plan, &mut quiet).unwrap();
    let losses = |h: &crate::train::History| h.records().iter().map(|r| r.loss.to_bits()).collect::<Vec<_>>();
    assert_eq!(losses(&resumed), losses(&history));
    let saved = |learner: &dyn Learner| {
        let mut archive = Archive::default();
        learner.save(&mut archive);
        archive.get::<f32>("times/squares", &[4]).unwrap()
    };
    assert_eq!(saved(&rest), saved(&whole));
}

#[test]
fn what_does_not_go_together_is_refused() {
    let process = uniform(4);
    let network = || Mlp::<Const<3>, Const<3>>::new(&Cpu::seed_from_u64(1), (Const, Const), 2, 8).unwrap();
    let model = || Diffusion::new(process.clone(), network()).unwrap();
    let rows = pairs(12);
    let says = |times: Times, hybrid: f64| {
        let what = Objectives { bound: Endless, times, hybrid };
        DiffusionLearner::new(model(), &rows, None, what, AdamConfig::default(), Seed(0)).err().unwrap().to_string()
    };
    assert!(says(Times::Importance, 0.0).contains("continuous time has none"));
    assert!(says(Times::Uniform, -1.0).contains("hybrid"));
    assert!(model().evidence(&rows, &Endless, 0, Seed(0)).is_err());
    let other = Steps::all(&uniform(5), Decoder::Posterior);
    assert!(model().evidence(&rows, &other, 3, Seed(0)).is_err());
    let given = Uniform::new(3, Schedule::of_steps(&[0.5, 0.1]).unwrap()).unwrap();
    assert!(given.check_continuous().is_err());
    let longer = Discrete::new(Schema::uniform(&[3], 3), vec![0, 1, 2]).unwrap();
    assert!(
        model().evidence(&longer, &Endless, 1, Seed(0)).unwrap_err().to_string().contains("the perceptron is of 2")
    );
    let hole = Discrete::new(Schema::uniform(&[2], 3), vec![0, MISSING]).unwrap();
    let what = Objectives { bound: Endless, times: Times::Uniform, hybrid: 0.0 };
    let mut learner = DiffusionLearner::new(model(), &hole, None, what, AdamConfig::default(), Seed(0)).unwrap();
    let error = train(&mut learner, &Plan::new(1, 1, Seed(0)), &mut quiet).unwrap_err().to_string();
    assert!(error.contains("row 0, position 1 is missing"), "{error}");
}
