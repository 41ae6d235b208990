//! What samplers draw, against their exact laws.

use super::*;
use crate::{
    data::{Discrete, MISSING, Rows, Schema},
    diffusion::{
        Absorbing, Chain, Decoder, Denoiser, Diffusion, Fall, Formula, Process, Proof, Schedule, Uniform,
        process::normalise,
    },
    random::Seed,
};
use dfdx::shapes::Dim;

/// Logits of two positions of three categories that look at each other and at the time.
fn logit(row: &[u16], d: usize, k: usize, time: f64) -> f64 {
    (1.0 + f64::from(row[1 - d]) * (k as f64 + 0.5) + 2.0 * time + d as f64 + 0.7 * k as f64).cos() * 1.5
}

fn uniform(steps: usize) -> Uniform<usize> {
    Uniform::new(3, Schedule::new(Fall::Cosine, steps).unwrap()).unwrap()
}

fn absorbing(steps: usize) -> Absorbing<usize, usize> {
    Absorbing::new(3, 4, Schedule::new(Fall::Linear, steps).unwrap()).unwrap()
}

fn model<P: Process<Categories = usize, States = usize>>(process: P) -> Diffusion<P, Formula<usize, usize, Logit>> {
    let (k, s) = (process.categories(), process.states());
    Diffusion::new(process, Formula::new(k, s, logit as Logit)).unwrap()
}

type Logit = fn(&[u16], usize, usize, f64) -> f64;

/// The law of what a sampler draws, by going through all states of two positions.
fn law<P: Process<Categories = usize, States = usize>>(
    process: &P,
    sampler: &impl Sampler<P>,
    how: &Drawing,
) -> Vec<f64> {
    let (k, s) = (process.categories(), process.states());
    let mut last = vec![0.0; s];
    process.last(&mut last);
    let mut p: Vec<f64> = (0..s * s).map(|x| last[x / s] * last[x % s]).collect();
    let denoiser = Formula::new(k, s, logit);
    for i in (1..=how.steps.len()).rev() {
        let (before, after) = how.steps.step(i);
        let says = |row: &[u16], t: usize| {
            let mut logits = denoiser.logits(row, 2, &[process.time(t)]);
            logits.chunks_exact_mut(k).enumerate().for_each(|(d, l)| how.sharpen(d, l));
            logits
        };
        let mut next = vec![0.0; s * s];
        for (x, mass) in p.iter().enumerate() {
            let row = [(x / s) as u16, (x % s) as u16];
            let log_x0 = says(&row, after);
            let (mut a, mut b) = (vec![0.0; s], vec![0.0; s]);
            sampler.law(process, &how.steps, i, x / s, &log_x0[..k], &mut a);
            sampler.law(process, &how.steps, i, x % s, &log_x0[k..], &mut b);
            (0..s * s).for_each(|y| next[y] += mass * a[y / s] * b[y % s]);
        }
        p = next;
        for _ in 0..if before == 0 { 0 } else { sampler.corrections() } {
            let mut next = vec![0.0; s * s];
            for (x, mass) in p.iter().enumerate() {
                let log_x0 = says(&[(x / s) as u16, (x % s) as u16], before);
                for d in 0..2 {
                    let mut redrawn = vec![0.0; s];
                    let x0: Vec<f64> = log_x0[d * k..(d + 1) * k].iter().map(|l| l.exp()).collect();
                    process.forward(before, &x0, &mut redrawn);
                    for (state, q) in redrawn.iter().enumerate() {
                        let y = if d == 0 { state * s + x % s } else { x / s * s + state };
                        next[y] += 0.5 * mass * q;
                    }
                }
            }
            p = next;
        }
    }
    (0..k * k).map(|x| p[x / k * s + x % k]).collect()
}

/// Draws many rows; `Σ (found − wanted)² / wanted` is that of a sampler of this law.
fn follows<P: Process<Categories = usize, States = usize>>(process: P, sampler: &impl Sampler<P>, how: &Drawing) {
    let want = law(&process, sampler, how);
    assert!((want.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let n = 20_000;
    let none = Discrete::all_missing(Schema::uniform(&[2], 3), n);
    let drawn = model(process).draw(&none, sampler, how, Seed(5)).unwrap();
    let mut found = vec![0.0; 9];
    drawn.codes().chunks_exact(2).for_each(|row| found[(row[0] * 3 + row[1]) as usize] += 1.0);
    let possible = want.iter().zip(&found).filter(|(p, found)| {
        assert!(**p > 0.0 || **found == 0.0);
        **p > 0.0
    });
    let chi: f64 = possible.map(|(p, found)| (found - p * n as f64).powi(2) / (p * n as f64)).sum();
    // Of eight degrees of freedom: a sampler of the law is above once in ten thousand seeds.
    assert!(chi < 31.8, "{chi}: {found:?} for {want:?}");
}

fn in_steps(process: &impl Process, n: usize) -> Drawing<'static> {
    Drawing::new(Steps::strided(process, n, Decoder::Posterior).unwrap())
}

#[test]
fn every_sampler_follows_its_law() {
    let (u, a) = (uniform(5), absorbing(5));
    let chain = Chain::gaussian(3, &[0.3, 0.6, 1.0]).unwrap();
    follows(u.clone(), &Ancestral, &in_steps(&u, 5));
    follows(u.clone(), &Ancestral, &in_steps(&u, 2));
    follows(u.clone(), &Ancestral, &Drawing::new(Steps::all(&u, Decoder::Direct)));
    follows(u.clone(), &Ddim::new(1.0).unwrap(), &in_steps(&u, 3));
    follows(u.clone(), &Ddim::new(0.5).unwrap(), &in_steps(&u, 5));
    follows(u.clone(), &Corrected { sampler: Ancestral, moves: 2 }, &in_steps(&u, 3));
    follows(a.clone(), &Ancestral, &in_steps(&a, 5));
    follows(a.clone(), &Remask::Cap(0.2), &in_steps(&a, 5));
    follows(a.clone(), &Remask::Rescale(0.9), &in_steps(&a, 4));
    follows(a.clone(), &Corrected { sampler: Ancestral, moves: 1 }, &in_steps(&a, 3));
    follows(chain.clone(), &Ancestral, &in_steps(&chain, 3));
    for process in [uniform(4), uniform(3)] {
        let how = Drawing { temperature: 0.5, top_p: 0.8, ..in_steps(&process, 3) };
        follows(process, &Ancestral, &how);
    }
}

#[test]
fn ancestral_rows_have_the_likelihood_of_the_model() {
    let (u, a) = (uniform(4), absorbing(3));
    let of = |law: Vec<f64>, exact: Vec<f64>| {
        law.iter().zip(exact).for_each(|(p, log)| assert!((p.ln() - log).abs() < 1e-11));
    };
    let (how, how_a) = (in_steps(&u, 4), in_steps(&a, 3));
    let exact = |proof: Proof| proof.log_probs().unwrap().log_probs().to_vec();
    of(law(&u, &Ancestral, &how), exact(Proof::of(&model(u), 2, &how.steps).unwrap()));
    of(law(&a, &Ancestral, &how_a), exact(Proof::of(&model(a), 2, &how_a.steps).unwrap()));
}

#[test]
fn samplers_keep_the_marginals_where_the_denoiser_is_right() {
    // One position: what the process says of it is known.
    let marginal = [0.5_f64, 0.3, 0.2];
    let log_x0 = marginal.map(f64::ln);
    fn kept<P: Process>(process: &P, sampler: &impl Sampler<P>, log_x0: &[f64]) {
        let x0: Vec<f64> = log_x0.iter().map(|l| l.exp()).collect();
        let steps = Steps::strided(process, 3, Decoder::Posterior).unwrap();
        let s = process.states().size();
        for i in 1..=3 {
            let (before, after) = steps.step(i);
            let (mut now, mut want, mut found, mut law) = (vec![0.0; s], vec![0.0; s], vec![0.0; s], vec![0.0; s]);
            process.forward(after, &x0, &mut now);
            process.forward(before, &x0, &mut want);
            for (xt, mass) in now.iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
                sampler.law(process, &steps, i, xt, log_x0, &mut law);
                found.iter_mut().zip(&law).for_each(|(to, p)| *to += mass * p);
            }
            found.iter().zip(&want).for_each(|(found, want)| assert!((found - want).abs() < 1e-14, "{found} {want}"));
        }
    }
    let (u, a) = (uniform(6), absorbing(6));
    kept(&u, &Ancestral, &log_x0);
    [0.0, 0.5, 1.0].into_iter().for_each(|share| kept(&u, &Ddim::new(share).unwrap(), &log_x0));
    kept(&a, &Ancestral, &log_x0);
    kept(&a, &Remask::Cap(0.3), &log_x0);
    kept(&a, &Remask::Rescale(1.0), &log_x0);
}

#[test]
fn a_correction_leaves_the_law_at_its_level_as_it_is() {
    // Two positions with a joint law, and the denoiser that knows it.
    let joint = [[0.30, 0.05, 0.05], [0.10, 0.20, 0.05], [0.05, 0.05, 0.15]];
    let (process, t) = (uniform(4), 2);
    let q: Vec<Vec<f64>> = (0..3).map(|x| process.marginal(t, x)).collect();
    let level = |a: usize, b: usize| -> f64 { (0..9).map(|x| joint[x / 3][x % 3] * q[x / 3][a] * q[x % 3][b]).sum() };
    let mut after = [0.0; 9];
    for (a, b) in (0..3).flat_map(|a| (0..3).map(move |b| (a, b))) {
        let mut says: Vec<f64> = (0..3).map(|x| (0..3).map(|y| joint[x][y] * q[y][b]).sum::<f64>().ln()).collect();
        normalise(&mut says);
        let mut redrawn = vec![0.0; 3];
        process.forward(t, &says.iter().map(|l| l.exp()).collect::<Vec<_>>(), &mut redrawn);
        redrawn.iter().enumerate().for_each(|(x, p)| after[x * 3 + b] += level(a, b) * p);
    }
    (0..9).for_each(|x| assert!((after[x] - level(x / 3, x % 3)).abs() < 1e-14));
}

#[test]
fn what_is_known_stays_and_what_is_forbidden_never_comes() {
    let rows = Discrete::new(Schema::uniform(&[2], 3), [1, MISSING, MISSING, 2].repeat(50)).unwrap();
    fn check<P: Process<Categories = usize, States = usize>>(process: P, rows: &Discrete) {
        let allowed = |d: usize, k: usize| d == 0 || k != 0;
        let how = Drawing { allowed: Some(&allowed), ..in_steps(&process, 3) };
        let drawn = model(process).draw(rows, &Ancestral, &how, Seed(1)).unwrap();
        for row in 0..rows.len() {
            let (known, drawn) = (rows.row(row), drawn.row(row));
            assert!(known.iter().zip(drawn).all(|(known, drawn)| *known == MISSING || known == drawn));
            assert!(drawn[1] != 0);
        }
    }
    check(uniform(4), &rows);
    check(absorbing(4), &rows);
}

#[test]
fn what_is_hidden_is_drawn_from_the_model_given_what_is_known() {
    // The second position of an absorbing model given the first: what the denoiser says of it.
    let process = absorbing(4);
    let (n, how) = (20_000, in_steps(&process, 4));
    let rows = Discrete::new(Schema::uniform(&[2], 3), [2, MISSING].repeat(n)).unwrap();
    let drawn = model(process).draw(&rows, &Ancestral, &how, Seed(3)).unwrap();
    let mut want: Vec<f64> = (0..3).map(|k| logit(&[2, 3], 1, k, 0.0)).collect();
    normalise(&mut want);
    for (k, want) in want.into_iter().map(f64::exp).enumerate() {
        let found = drawn.codes().chunks_exact(2).filter(|row| row[1] as usize == k).count() as f64 / n as f64;
        assert!((found - want).abs() < 4.0 * (want * (1.0 - want) / n as f64).sqrt(), "{found} for {want}");
    }
}

#[test]
fn rows_do_not_depend_on_what_is_drawn_beside_them() {
    let process = uniform(4);
    let how = in_steps(&process, 4);
    let model = model(process);
    let none = |n| Discrete::all_missing(Schema::uniform(&[2], 3), n);
    let (few, many) =
        (model.draw(&none(3), &Ancestral, &how, Seed(1)), model.draw(&none(200), &Ancestral, &how, Seed(1)));
    assert_eq!(few.unwrap().codes(), &many.unwrap().codes()[..6]);
    let mut moments = vec![];
    model.draw_and_watch(&none(1), &Ancestral, &how, Seed(1), |t, _| moments.push(t)).unwrap();
    assert_eq!(moments, [4, 3, 2, 1, 0]);
}

#[test]
fn impossible_settings_are_refused() {
    let process = uniform(4);
    let (none, how) = (Discrete::all_missing(Schema::uniform(&[2], 3), 1), in_steps(&process, 4));
    let model = model(process);
    let says = |how: &Drawing| model.draw(&none, &Ancestral, how, Seed(1)).unwrap_err().to_string();
    assert!(says(&Drawing { temperature: 0.0, ..how.clone() }).contains("temperature"));
    assert!(says(&Drawing { top_p: 1.5, ..how.clone() }).contains("top_p"));
    let nothing = |d: usize, _: usize| d == 0;
    assert_eq!(says(&Drawing { allowed: Some(&nothing), ..how.clone() }), "no category is allowed at position 1");
    let other = Drawing::new(Steps::all(&uniform(3), Decoder::Posterior));
    assert_eq!(says(&other), "steps that begin at 3; the process has 4");
    assert!(Ddim::new(1.1).is_err() && Remask::Cap(-0.1).check().is_err());
    assert!(Steps::strided(&uniform(3), 4, Decoder::Posterior).is_err());
}
