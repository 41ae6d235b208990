//! Processes against their definition by matrices, and small models against the numbers of the reference.

use super::*;
use crate::{
    diffusion::{Decoder, Diffusion, Formula, Proof, Steps},
    random::Seed,
};
use dfdx::shapes::Const;
use dfdx::shapes::Dim;
use rand::RngExt;

fn close(found: f64, want: f64, tolerance: f64) {
    assert!((found - want).abs() <= tolerance * (1.0 + want.abs()), "{found} for {want}");
}

fn uniform(steps: usize) -> Uniform<Const<3>> {
    Uniform::new(Const, Schedule::new(Fall::Cosine, steps).unwrap()).unwrap()
}

fn absorbing(fall: Fall, steps: usize) -> Absorbing<Const<3>, Const<4>> {
    Absorbing::new(Const, Const, Schedule::new(fall, steps).unwrap()).unwrap()
}

fn gaussian(steps: usize) -> Chain<usize> {
    let betas: Vec<f64> = (1..=steps).map(|t| 0.2 * t as f64).collect();
    Chain::gaussian(4, &betas).unwrap()
}

/// A chain that goes round: its matrices are not symmetric.
fn wheel() -> Chain<Const<3>> {
    Chain::repeated(Const, &[0.7, 0.3, 0.0, 0.0, 0.8, 0.2, 0.25, 0.15, 0.6], 4).unwrap()
}

/// `q(x_t | x_s)`, one row a state.
fn matrix<P: Process>(process: &P, s: usize, t: usize) -> Vec<Vec<f64>> {
    let states = process.states().size();
    let mut columns = vec![vec![0.0; states]; states];
    columns.iter_mut().enumerate().for_each(|(j, column)| process.since(s, t, j, column));
    (0..states).map(|i| (0..states).map(|j| columns[j][i]).collect()).collect()
}

fn check<P: Process>(process: &P) {
    let (k, states, steps) = (process.categories().size(), process.states().size(), process.steps());
    // Every step is a distribution; marginals are products of steps; longer steps are products of shorter ones.
    for t in 1..=steps {
        let step = matrix(process, t - 1, t);
        step.iter().for_each(|row| close(row.iter().sum(), 1.0, 1e-14));
        for x0 in 0..k {
            let before = process.marginal(t - 1, x0);
            let after = process.marginal(t, x0);
            for j in 0..states {
                close(after[j], (0..states).map(|i| before[i] * step[i][j]).sum(), 1e-14);
            }
        }
        for s in 0..t {
            let (first, long) = (matrix(process, s, t - 1), matrix(process, s, t));
            for (i, j) in (0..states).flat_map(|i| (0..states).map(move |j| (i, j))) {
                close(long[i][j], (0..states).map(|m| first[i][m] * step[m][j]).sum(), 1e-14);
            }
        }
    }
    // The adjoint, the posterior by Bayes, and the nats of a step with their slopes.
    let mut rng = Seed(4).stream("test", 0);
    let mut draw = |n: usize| (0..n).map(|_| rng.random_range(-2.0..2.0)).collect::<Vec<f64>>();
    for (s, t) in (0..steps).flat_map(|s| (s + 1..=steps).map(move |t| (s, t))) {
        let (x, slope) = (draw(k), draw(states));
        let (mut there, mut back) = (vec![0.0; states], vec![0.0; k]);
        process.forward(t, &x, &mut there);
        process.back(t, &slope, &mut back);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        close(dot(&there, &slope), dot(&x, &back), 1e-13);
        let logits = draw(k);
        let mut log_x0 = logits.clone();
        normalise(&mut log_x0);
        let since = matrix(process, s, t);
        for (x0, xt) in (0..k).flat_map(|x0| (0..states).map(move |xt| (x0, xt))) {
            if process.marginal(t, x0)[xt] == 0.0 {
                continue;
            }
            let bayes = |x0: &[f64]| {
                let mut before = vec![0.0; states];
                process.forward(s, x0, &mut before);
                let joint: Vec<f64> = (0..states).map(|i| before[i] * since[i][xt]).collect();
                let total: f64 = joint.iter().sum();
                joint.into_iter().map(|p| p / total).collect::<Vec<f64>>()
            };
            let mut one = vec![0.0; k];
            one[x0] = 1.0;
            let (truth, model) = (bayes(&one), bayes(&log_x0.iter().map(|l| l.exp()).collect::<Vec<f64>>()));
            let mut found = vec![0.0; states];
            process.reverse(s, t, xt, &log_x0, &mut found);
            found.iter().zip(&model).for_each(|(found, want)| close(*found, *want, 1e-13));
            close(process.step((s, t), (x0, xt), &log_x0), kl(&truth, &model), 1e-12);
            let nats = |logits: &[f64]| {
                let mut log_x0 = logits.to_vec();
                normalise(&mut log_x0);
                process.step((s, t), (x0, xt), &log_x0)
            };
            let mut slopes = vec![1.0; k];
            process.step_slopes((s, t), (x0, xt), &log_x0, -2.0, &mut slopes);
            for (i, slope) in slopes.iter().enumerate() {
                let at = |d: f64| {
                    let mut moved = logits.clone();
                    moved[i] += d;
                    nats(&moved)
                };
                close(*slope, 1.0 - 2.0 * (at(1e-5) - at(-1e-5)) / 2e-5, 1e-8);
            }
            let (mut seen, mut unseen) = (vec![0.0; k], vec![0.0; k]);
            process.seen(t, xt, &log_x0, &mut seen);
            close(seen.iter().sum(), 1.0, 1e-13);
            if !settled(process, xt) && seen.iter().all(|p| *p > 0.0) {
                let log_seen: Vec<f64> = seen.iter().map(|p| p.ln()).collect();
                process.unseen(t, xt, &log_seen, &mut unseen);
                unseen.iter().zip(&log_x0).for_each(|(found, want)| close(*found, *want, 1e-12));
            }
        }
    }
}

#[test]
fn every_process_is_its_matrices_and_its_posterior_is_bayes() {
    check(&uniform(4));
    check(&Uniform::new(2, Schedule::new(Fall::CosineOfPaper, 3).unwrap()).unwrap());
    check(&Uniform::new(11, Schedule::of_steps(&[1.0, 0.9, 0.5]).unwrap()).unwrap());
    check(&absorbing(Fall::Linear, 4));
    check(&absorbing(Fall::CosineOfPaper, 5));
    check(&Absorbing::new(1, 2, Schedule::new(Fall::Linear, 2).unwrap()).unwrap());
    check(&gaussian(4));
    check(&wheel());
    check(&Chain::gaussian_in(5, 4).unwrap());
}

#[test]
fn an_even_gaussian_leaves_little_at_its_end_and_much_in_its_middle() {
    for (k, steps) in [(2, 20), (9, 100), (64, 50)] {
        let process = Chain::gaussian_in(k, steps).unwrap();
        let nats = |t: usize| kl(&process.marginal(t, 0), &vec![1.0 / k as f64; k]);
        assert!(nats(steps) < 0.01 && nats(steps / 2) > 0.05, "{k}: {} {}", nats(steps), nats(steps / 2));
    }
}

#[test]
fn noise_is_drawn_from_the_marginal() {
    fn counts<P: Process>(process: &P, t: usize, x0: usize) {
        let mut rng = Seed(1).stream("test", 0);
        let (n, want) = (40_000, process.marginal(t, x0));
        let mut found = vec![0.0; want.len()];
        (0..n).for_each(|_| found[process.noisy(t, x0, &mut rng)] += 1.0);
        for (found, want) in found.into_iter().zip(want) {
            let deviation = (want * (1.0 - want) / f64::from(n)).sqrt();
            assert!((found / f64::from(n) - want).abs() <= 4.0 * deviation, "{found} of {n} for {want}");
        }
    }
    counts(&uniform(4), 2, 1);
    counts(&absorbing(Fall::Linear, 4), 1, 2);
    counts(&gaussian(3), 2, 0);
    counts(&wheel(), 3, 2);
}

type Logit = fn(&[u16], usize, usize, f64) -> f64;

/// `1.5 sin(1 + k + 2 x_d + 3 x_{1−d} + t/2 + d)` of two positions in four steps.
fn toy() -> Diffusion<Uniform<Const<3>>, Formula<Const<3>, Const<3>, Logit>> {
    let logit: Logit = |row, d, k, time| {
        let (own, other) = (f64::from(row[d]), f64::from(row[1 - d]));
        1.5 * (1.0 + k as f64 + 2.0 * own + 3.0 * other + 0.5 * (4.0 * time).round() + d as f64).sin()
    };
    Diffusion::new(uniform(4), Formula::new(Const, Const, logit)).unwrap()
}

#[test]
fn a_whole_chain_is_that_of_the_reference() {
    let model = toy();
    let of = |decoder| Proof::of(&model, 2, &Steps::all(model.process(), decoder)).unwrap();
    let (direct, posterior) = (of(Decoder::Direct), of(Decoder::Posterior));
    let table: [(usize, [f64; 6], [f64; 3]); 4] = [
        (
            0,
            [-1.925181232297, -2.907055388870, -1.862855020033, -2.334579074536, 1.0708325674, 0.4983562530],
            [0.8194288211, 0.7032417381, 0.3132648527],
        ),
        (
            1,
            [-2.416945659532, -6.082166487092, -2.389521470525, -3.065776259400, 3.6903228395, 0.6739326118],
            [1.1953038862, 0.8608819449, 0.3353704071],
        ),
        (
            2,
            [-2.094506667647, -3.837435888148, -2.072108884129, -2.555446348897, 1.8016464251, 0.5196568858],
            [0.9222029233, 0.8063710016, 0.3069281287],
        ),
        (
            5,
            [-2.544689030767, -5.379781156743, -2.335269752170, -2.752060179532, 3.2408441777, 0.6131232004],
            [0.9575365961, 0.8484234195, 0.3326895540],
        ),
    ];
    for (row, [exact, bound, exact_code, bound_code, first, first_code], terms) in table {
        for (proof, exact, bound, first) in
            [(&direct, exact, bound, first), (&posterior, exact_code, bound_code, first_code)]
        {
            close(proof.log_probs().unwrap().log_probs()[row], exact, 1e-11);
            close(proof.bound().unwrap().log_probs()[row], bound, 1e-11);
            close(proof.terms(row)[0], first, 1e-10);
            terms.iter().zip(&proof.terms(row)[1..4]).for_each(|(want, found)| close(*found, *want, 1e-10));
            close(proof.terms(row)[4], 0.0002874095, 1e-9);
        }
    }
    for proof in [&direct, &posterior] {
        let exact = proof.log_probs().unwrap();
        close(exact.log_probs().iter().map(|p| p.exp()).sum(), 1.0, 1e-13);
        let bound = proof.bound().unwrap();
        assert!(exact.log_probs().iter().zip(bound.log_probs()).all(|(p, b)| b < p));
    }
}

#[test]
fn a_bound_is_below_the_likelihood_in_any_steps_of_any_process() {
    fn all_below<P: Process>(process: P)
    where
        P::Categories: Default,
    {
        let (k, states) = (process.categories(), process.states());
        let logit = |row: &[u16], d: usize, k: usize, time: f64| {
            (1.0 + 3.0 * f64::from(row[d]) + f64::from(row[(d + 1) % 2]) * k as f64 + 2.0 * time).cos()
        };
        let model = Diffusion::new(process, Formula::new(k, states, logit)).unwrap();
        for steps in 1..=model.process().steps() {
            for decoder in [Decoder::Direct, Decoder::Posterior] {
                let steps = Steps::strided(model.process(), steps, decoder).unwrap();
                let proof = Proof::of(&model, 2, &steps).unwrap();
                let (exact, bound) = (proof.log_probs().unwrap(), proof.bound().unwrap());
                close(exact.log_probs().iter().map(|p| p.exp()).sum(), 1.0, 1e-12);
                let below = |(p, b): (&f64, &f64)| *b <= p + 1e-12;
                assert!(exact.log_probs().iter().zip(bound.log_probs()).all(below));
            }
        }
    }
    all_below(uniform(4));
    all_below(absorbing(Fall::Linear, 4));
    all_below(absorbing(Fall::CosineOfPaper, 3));
    all_below(gaussian(3));
    all_below(wheel());
}

#[test]
fn a_denoiser_that_knows_the_marginal_goes_back_exactly() {
    let marginal = [0.5_f64, 0.3, 0.2];
    let known = Formula::new(Const, Const, move |_: &[u16], _, k: usize, _| marginal[k].ln());
    let model = Diffusion::new(uniform(4), known).unwrap();
    let steps = Steps::all(model.process(), Decoder::Posterior);
    // From q(x_T) it returns the marginal itself.
    let mut p: Vec<f64> = vec![0.0; 3];
    model.process().forward(4, &marginal, &mut p);
    for i in (1..=4).rev() {
        let mut before = vec![0.0; 3];
        for (xt, mass) in p.iter().enumerate() {
            let mut reverse = vec![0.0; 3];
            steps.reverse(model.process(), i, xt, &marginal.map(f64::ln), &mut reverse);
            before.iter_mut().zip(reverse).for_each(|(to, p)| *to += mass * p);
        }
        p = before;
    }
    p.iter().zip(marginal).for_each(|(found, want)| close(*found, want, 1e-15));
    let bound = Proof::of(&model, 1, &steps).unwrap().bound().unwrap();
    let mean: f64 = bound.log_probs().iter().zip(marginal).map(|(b, p)| b * p).sum();
    close(mean, -1.029663107386, 1e-11);
}

#[test]
fn the_best_denoiser_of_two_positions_does_not_look_at_its_own() {
    // A joint distribution of two positions; what the other says of one is exact for the step, what both say is not.
    let joint = [[0.30, 0.05, 0.05], [0.10, 0.20, 0.05], [0.05, 0.05, 0.15]];
    let (process, t) = (uniform(4), 2);
    let marginals: Vec<Vec<f64>> = (0..3).map(|x| process.marginal(t, x)).collect();
    for (a, b) in (0..3).flat_map(|a| (0..3).map(move |b| (a, b))) {
        // q(x_0^1 | x_t^2 = b), and q(x_0^1 | x_t = (a, b)).
        let other: Vec<f64> = (0..3).map(|x| (0..3).map(|y| joint[x][y] * marginals[y][b]).sum()).collect();
        let total: f64 = other.iter().sum();
        let log_unseen: Vec<f64> = other.iter().map(|p| (p / total).ln()).collect();
        let mut seen = vec![0.0; 3];
        process.seen(t, a, &log_unseen, &mut seen);
        let both: Vec<f64> = (0..3).map(|x| other[x] * marginals[x][a]).collect();
        let total: f64 = both.iter().sum();
        seen.iter().zip(&both).for_each(|(found, want)| close(*found, want / total, 1e-14));
        // q(x_{t−1}^1 | x_t = (a, b)) by Bayes.
        let mut truth = vec![0.0; 3];
        for (x, p) in both.iter().enumerate() {
            let mut one = vec![f64::NEG_INFINITY; 3];
            one[x] = 0.0;
            let mut step = vec![0.0; 3];
            process.reverse(t - 1, t, a, &one, &mut step);
            truth.iter_mut().zip(step).for_each(|(to, q)| *to += p / total * q);
        }
        let mut found = vec![0.0; 3];
        process.reverse(t - 1, t, a, &log_unseen, &mut found);
        found.iter().zip(&truth).for_each(|(found, want)| close(*found, *want, 1e-14));
        let log_seen: Vec<f64> = seen.iter().map(|p| p.ln()).collect();
        process.reverse(t - 1, t, a, &log_seen, &mut found);
        assert!(found.iter().zip(&truth).any(|(found, want)| (found - want).abs() > 1e-3));
    }
}

#[test]
fn impossible_processes_are_refused() {
    let schedule = Schedule::new(Fall::Linear, 4).unwrap();
    assert!(Uniform::new(0, schedule.clone()).is_err());
    let error = Absorbing::new(3, 3, schedule.clone()).unwrap_err().to_string();
    assert_eq!(error, "3 states of 3 categories: 4 are needed");
    let error = Absorbing::new(3, 4, Schedule::new(Fall::Cosine, 4).unwrap()).unwrap_err().to_string();
    assert!(error.contains("has to hide all"), "{error}");
    assert!(Chain::new(2, vec![0.5; 6]).unwrap_err().to_string().contains("not whole matrices"));
    let error = Chain::new(2, vec![0.5, 0.5, 0.5, 0.6]).unwrap_err().to_string();
    assert_eq!(error, "step 1, row 1 adds up to 1.1, not to 1");
    assert!(Chain::new(2, vec![0.5, 0.5, -0.5, 1.5]).unwrap_err().to_string().contains("no probability"));
    assert!(Chain::repeated(1 << 20, &[0.0; 4], 1 << 40).is_err());
    assert!(Chain::gaussian(1, &[0.1]).is_err());
    assert!(Chain::gaussian(3, &[0.0]).is_err());
    let formula = Formula::new(5, 5, |_: &[u16], _, _, _| 0.0);
    let error = Diffusion::new(Uniform::new(4, schedule).unwrap(), formula).err().unwrap().to_string();
    assert_eq!(error, "a process of 4 categories and 4 states, a denoiser of 5 categories and 5 states");
}
