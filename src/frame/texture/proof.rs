//! All images of a small lattice: what sampling and learning must come to.

use super::{Field, Frame};
use crate::{Error, Result, error::counted, math::log_sum_exp_of, memory::afford};
use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// The histograms of every image of a lattice, so that sums over all of them are exact.
///
/// ```
/// # use limbeck::frame::{Bins, Borders, Feature, Filter, Frame, Proof};
/// let edges = Feature::new(Filter::gradient_x(), Bins::whole(-1, 1)?, 2)?;
/// let law = Frame::uniform(2, Borders::Torus)?.with(edges)?;
/// let moments = Proof::new(&law, [3, 3])?.moments(&law);
/// assert!((moments.log_z - 9.0 * 2.0_f64.ln()).abs() < 1e-12, "512 images, alike");
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Proof {
    sites: usize,
    levels: usize,
    bins: Vec<usize>,
    /// Counts of all bins of all features, image after image.
    counts: Vec<u16>,
}

/// Counts or mean counts, bin after bin, feature after feature.
pub type Counts = DVector<f64>;

/// Expectations under a law.
#[derive(Clone, Debug)]
pub struct Moments {
    /// `log Z`, nats.
    pub log_z: f64,
    /// `E[H]`, bin after bin, feature after feature.
    pub mean: Counts,
    /// `Var[H]`.
    pub covariance: DMatrix<f64>,
    /// `−E[log p]`, nats.
    pub entropy: f64,
}

/// The most images.
const MOST_IMAGES: usize = 1 << 22;

impl Proof {
    /// All images of a size.
    ///
    /// # Errors
    /// When there are more than four million, or a filter does not fit: as [`Field::new`].
    pub fn new(law: &Frame, size: [usize; 2]) -> Result<Self> {
        let sites = size[0].saturating_mul(size[1]);
        let images = u32::try_from(sites).ok().and_then(|n| law.levels().checked_pow(n));
        let images = images.filter(|n| *n <= MOST_IMAGES).ok_or_else(|| {
            let all = format!("{} levels on {}", law.levels(), counted(sites, "pixel"));
            Error::invalid(format!("{all} are more than {MOST_IMAGES} images: a smaller lattice can be enumerated"))
        })?;
        let bins: Vec<usize> = law.features().iter().map(|f| f.bins().count()).collect();
        afford(bins.iter().sum::<usize>().checked_mul(images), 2, "the histograms of all images", "a smaller lattice")?;
        let mut field = Field::new(law, size, vec![0; sites])?;
        let mut counts = Vec::with_capacity(images * bins.iter().sum::<usize>());
        for _ in 0..images {
            counts.extend(field.histograms().iter().flatten().map(|n| *n as u16));
            // The next image counts up, the last pixel first.
            for v in (0..sites).rev() {
                let (at, level) = ([v / size[1], v % size[1]], field.pixels()[v]);
                let carry = usize::from(level) + 1 == law.levels();
                field.set(at, if carry { 0 } else { level + 1 });
                if !carry {
                    break;
                }
            }
        }
        Ok(Self { sites, levels: law.levels(), bins, counts })
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.levels.pow(self.sites as u32)
    }

    /// The index of an image among all: its pixels are the digits, the last counts ones.
    pub fn index_of(&self, pixels: &[u8]) -> usize {
        pixels.iter().fold(0, |index, level| index * self.levels + usize::from(*level))
    }

    /// `E` of every image.
    fn energies(&self, law: &Frame) -> Vec<f64> {
        let bins: Vec<usize> = law.features().iter().map(|f| f.bins().count()).collect();
        assert_eq!(bins, self.bins, "a law of other features");
        let potentials: Vec<f64> = law.potentials().iter().flatten().copied().collect();
        let energy = |counts: &[u16]| counts.iter().zip(&potentials).map(|(n, l)| f64::from(*n) * l).sum();
        match potentials.len() {
            0 => vec![0.0; self.images()],
            bins => self.counts.chunks_exact(bins).map(energy).collect(),
        }
    }

    /// `log p` of every image, nats.
    ///
    /// # Panics
    /// When the law has other features than that of the enumeration.
    pub fn log_probs(&self, law: &Frame) -> Vec<f64> {
        self.log_probs_and_log_z(law).0
    }

    fn log_probs_and_log_z(&self, law: &Frame) -> (Vec<f64>, f64) {
        let mut logs: Vec<f64> = self.energies(law).iter().map(|energy| -energy).collect();
        let log_z = log_sum_exp_of(&logs);
        logs.iter_mut().for_each(|log| *log -= log_z);
        (logs, log_z)
    }

    /// `log Z` and the moments of the histograms.
    ///
    /// # Panics
    /// As [`Self::log_probs`].
    pub fn moments(&self, law: &Frame) -> Moments {
        let (log_probs, log_z) = self.log_probs_and_log_z(law);
        let probabilities: Vec<f64> = log_probs.iter().map(|l| l.exp()).collect();
        let bins = self.bins.iter().sum();
        let (mut mean, mut covariance) = (DVector::zeros(bins), DMatrix::zeros(bins, bins));
        let images = || self.counts.chunks_exact(bins.max(1)).zip(&probabilities);
        for (counts, p) in images() {
            counts.iter().enumerate().for_each(|(b, n)| mean[b] += p * f64::from(*n));
        }
        for (counts, p) in images() {
            let away = DVector::from_iterator(counts.len(), counts.iter().map(|n| f64::from(*n))) - &mean;
            covariance.ger(*p, &away, &away, 1.0);
        }
        let entropy = -probabilities.iter().zip(&log_probs).map(|(p, l)| p * l).sum::<f64>();
        Moments { log_z, mean, covariance, entropy }
    }
}

/// What a feature would add to a law, by three measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    /// Its index among all.
    pub feature: usize,
    /// `½ |E[H] − H_obs|₁` a response: the score of 1998, within [0, 1].
    pub distance: f64,
    /// By how much the Kullback-Leibler divergence of the target from the law would fall, nats: by learning the law with it.
    pub exact: f64,
    /// The same to second order: `½ Δᵀ Var(H | H_S)⁻¹ Δ`, with the covariance that is left given the features of the law.
    pub quadratic: f64,
}

impl Proof {
    /// The potentials of greatest likelihood of an observed mean histogram, on some of the features; those of the others are kept.
    ///
    /// Newton's method on `log Z + ⟨λ, H_obs⟩`, which is convex, in the directions that matter: constants change nothing, and where a
    /// lattice ties counts to each other neither do differences.
    ///
    /// # Errors
    /// When the target has another number of bins, or no finite potentials reach it: an observed count that no image has, or that only
    /// one extreme of them has.
    pub fn maximum(&self, law: &Frame, target: &Counts, which: &[usize]) -> Result<Frame> {
        let places = self.places(which);
        if target.len() != self.bins.iter().sum::<usize>() {
            let bins = self.bins.iter().sum::<usize>();
            return Err(Error::invalid(format!("a target of {} bins for features of {bins}", target.len())));
        }
        let mut law = law.clone();
        let mut moments = self.moments(&law);
        for _ in 0..200 {
            let away = (target - &moments.mean).select_rows(&places);
            if away.amax() < 1e-10 * self.sites as f64 {
                return Ok(law);
            }
            let hessian = moments.covariance.select_rows(&places).select_columns(&places);
            let step = -inverse(&hessian) * &away;
            // Half as far until it is lower.
            let (now, mut share) = (cost(&law, &moments, target), 1.0);
            loop {
                let there = self.moved(&law, &places, &(&step * share))?;
                let then = self.moments(&there);
                if cost(&there, &then, target) <= now + 1e-12 * now.abs() {
                    (law, moments) = (there, then);
                    break;
                }
                share *= 0.5;
                if share < 1e-9 {
                    return Err(unreachable(&away));
                }
            }
        }
        Err(unreachable(&(target - &moments.mean)))
    }

    /// What each feature that is not in `chosen` would add to a law of those, which has learned them: see [`Self::maximum`].
    ///
    /// # Errors
    /// As [`Self::maximum`].
    pub fn gains(&self, law: &Frame, target: &Counts, chosen: &[usize]) -> Result<Vec<Gain>> {
        let moments = self.moments(law);
        let own = self.places(chosen);
        let others = (0..self.bins.len()).filter(|feature| !chosen.contains(feature));
        others
            .map(|feature| {
                let places = self.places(&[feature]);
                let away = (&moments.mean - target).select_rows(&places);
                let block =
                    |rows: &[usize], columns: &[usize]| moments.covariance.select_rows(rows).select_columns(columns);
                let cross = block(&places, &own);
                let left = block(&places, &places) - &cross * inverse(&block(&own, &own)) * cross.transpose();
                let quadratic = 0.5 * away.dot(&(inverse(&left) * &away));
                let with = self.maximum(law, target, &[chosen, &[feature]].concat())?;
                let exact = cost(law, &moments, target) - cost(&with, &self.moments(&with), target);
                let distance = 0.5 * away.lp_norm(1) / self.sites as f64;
                Ok(Gain { feature, distance, exact, quadratic })
            })
            .collect()
    }

    /// The bins of some features among all.
    fn places(&self, which: &[usize]) -> Vec<usize> {
        let first = |feature: usize| self.bins[..feature].iter().sum::<usize>();
        which.iter().flat_map(|f| first(*f)..first(*f) + self.bins[*f]).collect()
    }

    fn moved(&self, law: &Frame, places: &[usize], step: &DVector<f64>) -> Result<Frame> {
        let mut all: Vec<f64> = law.potentials().iter().flatten().copied().collect();
        places.iter().zip(step.iter()).for_each(|(place, step)| all[*place] += step);
        let mut rest = all.into_iter();
        let mut law = law.clone();
        law.set_potentials(self.bins.iter().map(|bins| rest.by_ref().take(*bins).collect()).collect())?;
        Ok(law)
    }
}

/// `log Z + ⟨λ, H_obs⟩`: the mean of `−log p` over images with these mean histograms, nats.
fn cost(law: &Frame, moments: &Moments, target: &Counts) -> f64 {
    let potentials = law.potentials().iter().flatten();
    moments.log_z + potentials.zip(target.iter()).map(|(l, h)| l * h).sum::<f64>()
}

/// The inverse in the directions in which there is something to invert.
fn inverse(of: &DMatrix<f64>) -> DMatrix<f64> {
    if of.is_empty() {
        return of.clone();
    }
    let symmetric = 0.5 * (of + of.transpose());
    let eigen = SymmetricEigen::new(symmetric);
    let most = eigen.eigenvalues.amax();
    let inverted = eigen.eigenvalues.map(|e| if e > 1e-9 * most { 1.0 / e } else { 0.0 });
    &eigen.eigenvectors * DMatrix::from_diagonal(&inverted) * eigen.eigenvectors.transpose()
}

fn unreachable(away: &DVector<f64>) -> Error {
    let worst = away.amax();
    Error::invalid(format!("no finite potentials have these expected histograms: they stay {worst:.2e} away"))
}
