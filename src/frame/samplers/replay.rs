//! More chains than walk at a time.

use super::Chains;
use crate::{Error, Result, nn::Real, random::Seed};
use rand::RngExt;

/// A store of chains of which a few are taken out, walk, and are put back; now and then one begins anew instead.
///
/// Chains that rest go on from where they were, under a law that learning has changed meanwhile: many short walks in the place of a few
/// long ones. Source: Tieleman 2008; Du & Mordatch 2019, who begin one in twenty anew.
///
/// ```
/// # use limbeck::{frame::samplers::{Chains, Replay}, random::Seed};
/// let mut replay = Replay::new(Chains::<f64>::normal(100, 2, 1.0, Seed(0))?, 0.05, 1.0)?;
/// let mut few = replay.take(8, Seed(1))?;
/// few.points_mut()[0] = 7.0;
/// replay.put(&few)?;
/// assert_eq!(replay.chains().points().iter().filter(|x| **x == 7.0).count(), 1);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Replay<E = f32> {
    store: Chains<E>,
    restarts: f64,
    deviation: f64,
    /// Those that are out.
    out: Vec<usize>,
}

impl<E: Real> Replay<E> {
    /// A store of chains, and how large a part of those taken out begins anew, as normal numbers of a deviation.
    ///
    /// # Errors
    /// When the part is not within [0, 1], or the deviation not above 0.
    pub fn new(store: Chains<E>, restarts: f64, deviation: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&restarts) {
            return Err(Error::out_of_range("restarts", restarts, "0 ≤ restarts ≤ 1"));
        }
        match deviation > 0.0 && deviation.is_finite() {
            true => Ok(Self { store, restarts, deviation, out: vec![] }),
            false => Err(Error::out_of_range("deviation", deviation, "0 < deviation < ∞")),
        }
    }

    /// All chains, those that are out as they were.
    pub fn chains(&self) -> &Chains<E> {
        &self.store
    }

    /// So many different ones, each anew with the probability of a restart.
    ///
    /// # Errors
    /// When there are not as many, or none are to be taken.
    pub fn take(&mut self, count: usize, seed: Seed) -> Result<Chains<E>> {
        let (all, dims) = (self.store.len(), self.store.dims());
        if count == 0 || count > all {
            return Err(Error::invalid(format!("{count} chains of {all}: one at least, and all at most can be taken")));
        }
        let mut rng = seed.stream("which", 0);
        self.out = crate::random::permutation(all, &mut rng);
        self.out.truncate(count);
        let fresh = Chains::<E>::normal(count, dims, self.deviation, seed.child("fresh", 0))?;
        let mut points = Vec::with_capacity(count * dims);
        for (i, chain) in self.out.iter().enumerate() {
            let (from, at) = if rng.random::<f64>() < self.restarts { (&fresh, i) } else { (&self.store, *chain) };
            points.extend_from_slice(&from.points()[at * dims..(at + 1) * dims]);
        }
        Chains::new(dims, points)
    }

    /// Puts those that were taken back in their places.
    ///
    /// # Errors
    /// When they are not as many.
    pub fn put(&mut self, chains: &Chains<E>) -> Result<()> {
        let dims = self.store.dims();
        if chains.len() != self.out.len() || chains.dims() != dims {
            let (back, out) = (chains.len(), self.out.len());
            return Err(Error::invalid(format!("{back} chains come back where {out} were taken")));
        }
        let points = self.store.points_mut();
        for (chain, point) in self.out.drain(..).zip(chains.points().chunks_exact(dims)) {
            points[chain * dims..(chain + 1) * dims].copy_from_slice(point);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_come_back_to_their_places_and_some_begin_anew() {
        let store = Chains::new(1, (0..50).map(f64::from).collect()).unwrap();
        let mut replay = Replay::new(store, 0.2, 1.0).unwrap();
        let mut anew = 0;
        for round in 0..200 {
            let few = replay.take(10, Seed(round)).unwrap();
            let mut whole: Vec<f64> = few.points().iter().copied().filter(|x| x.fract() == 0.0).collect();
            anew += 10 - whole.len();
            whole.dedup();
            // Those of the store are different ones, and go back as they came; what is anew is forgotten again.
            let before = replay.chains().points().to_vec();
            let back = replay.out.iter().map(|chain| before[*chain]).collect();
            replay.put(&Chains::new(1, back).unwrap()).unwrap();
            assert_eq!(replay.chains().points(), before);
        }
        // A fifth of 2000, with a deviation of 18.
        assert!((330..470).contains(&anew), "{anew}");
        assert!(replay.take(51, Seed(0)).is_err() && replay.take(0, Seed(0)).is_err());
        assert!(replay.put(&Chains::new(1, vec![0.0]).unwrap()).is_err());
        assert!(Replay::new(replay.chains().clone(), 1.5, 1.0).is_err());
    }
}
