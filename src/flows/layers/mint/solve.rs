//! The inverse of a MintNet layer, by a fixed point.

use super::Mint;
use crate::{
    flows::{Batch, bijection::free},
    nn::{Device, Real},
};
use dfdx::{
    shapes::{Dim, HasShape},
    tensor::NoneTape,
};

/// How a fixed point is looked for.
///
/// ```text
/// x ← z / t      then      x ← x + α (z − f(x)) / diag ∂f/∂x
/// ```
///
/// Near the solution an error is multiplied by a matrix whose eigenvalues are all `1 − α`: it converges where `0 < α < 2`, and for
/// `α = 1` the matrix is nilpotent. Source: Song, Meng and Ermon 2019, algorithm 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solver {
    /// `α`.
    pub step: f64,
    /// The most iterations.
    pub iterations: usize,
    /// Ends where `|z − f(x)| ≤ tolerance · (1 + |z|)` in every coordinate.
    pub tolerance: f64,
}

/// What a [`Solver`] has found.
#[derive(Clone, Debug)]
pub struct Solved<E: Real, Dev: Device<E>> {
    /// Where each row ended.
    pub x: Batch<usize, E, Dev>,
    /// The largest `|z − f(x)|` of each row, before the first iteration and after every one.
    pub errors: Vec<Vec<f64>>,
    /// Whether each row has reached the tolerance.
    pub converged: Vec<bool>,
}

impl<D: Dim, E: Real, Dev: Device<E>> Mint<D, E, Dev> {
    /// Looks for the rows that the layer maps to `z`, from `z / t` on.
    pub fn solve<N: Dim>(&self, z: Batch<N, E, Dev>, solver: &Solver) -> Solved<E, Dev> {
        let z = free(z);
        let log_scale = Dev::elements(&self.log_scale);
        let start = z.as_vec().into_iter().enumerate();
        let start = start.map(|(i, z)| z * (-log_scale[i % log_scale.len()]).exp()).collect();
        let start = z.device().tensor_from_vec(start, *z.shape());
        self.solve_from(z, start, solver)
    }

    /// The same from rows that may be nearer.
    ///
    /// # Panics
    /// When there are not as many of them.
    pub fn solve_from<N: Dim>(
        &self,
        z: Batch<N, E, Dev>,
        start: Batch<usize, E, Dev>,
        solver: &Solver,
    ) -> Solved<E, Dev> {
        let z = free(z);
        let (rows, d) = *z.shape();
        assert_eq!(*start.shape(), (rows, d), "a start for every row");
        let (z, mut x) = (z.as_vec(), start.as_vec());
        let device = self.log_scale.device();
        let masked = self.masked::<NoneTape>().0;
        let (mut errors, mut converged) = (Vec::new(), vec![false; rows]);
        for iteration in 0..=solver.iterations {
            let [now, diagonal] = self.run(&masked, device.tensor_from_vec(x.clone(), (rows, d)));
            let (now, diagonal) = (Dev::elements(&now), Dev::elements(&diagonal));
            let mut error = vec![0.0_f64; rows];
            for row in 0..rows {
                let at = row * d..(row + 1) * d;
                let away = |i: usize| (z[i] - now[i]).wide().abs();
                error[row] = at.clone().map(away).fold(0.0, |a, b| if b.is_nan() { b } else { a.max(b) });
                converged[row] = at.clone().all(|i| away(i) <= solver.tolerance * (1.0 + z[i].wide().abs()));
                if !converged[row] && iteration < solver.iterations {
                    at.for_each(|i| x[i] += E::of(solver.step) * (z[i] - now[i]) / diagonal[i]);
                }
            }
            errors.push(error);
            if converged.iter().all(|c| *c) {
                break;
            }
        }
        Solved { x: device.tensor_from_vec(x, (rows, d)), errors, converged }
    }

    /// The rows that the layer maps to `z`, NaN where none was found: whole steps first, then smaller ones.
    pub(super) fn found(&self, z: &Batch<usize, E, Dev>) -> Batch<usize, E, Dev> {
        let (rows, d) = *z.shape();
        let device = z.device();
        let values = z.as_vec();
        let mut x = vec![E::of(f64::NAN); rows * d];
        let mut open: Vec<usize> = (0..rows).collect();
        for halvings in 0..6 {
            let step = 0.5_f64.powi(halvings);
            let tolerance = 64.0 * E::EPSILON.wide();
            let solver = Solver { step, iterations: ((50.0 / step) as usize).max(d + 1), tolerance };
            let of = |rows: &[usize]| rows.iter().flat_map(|r| values[r * d..(r + 1) * d].iter().copied()).collect();
            let solved = self.solve(device.tensor_from_vec(of(&open), (open.len(), d)), &solver);
            for ((row, found), done) in open.iter().zip(solved.x.as_vec().chunks_exact(d)).zip(&solved.converged) {
                if *done {
                    x[row * d..(row + 1) * d].copy_from_slice(found);
                }
            }
            open = open.into_iter().zip(solved.converged).filter(|(_, done)| !done).map(|(row, _)| row).collect();
            if open.is_empty() {
                break;
            }
        }
        device.tensor_from_vec(x, (rows, d))
    }
}
