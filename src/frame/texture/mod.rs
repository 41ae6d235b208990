//! FRAME as it was in 1998: a law of images of few grey levels, by how often filters respond how strongly.

mod features;
mod field;
mod julesz;
mod kernel;
mod learner;
mod look;
mod proof;
mod pursuit;
#[cfg(test)]
mod tests;

pub use features::{Bins, Feature, MOST_BINS};
pub use field::Field;
pub use julesz::Julesz;
pub use learner::{Choice, FrameLearner, Pursuit, Rule, Seen};
pub(super) use learner::{distance, observe, shares};
pub use proof::{Counts, Gain, Moments, Proof};

use crate::{Error, Result, frame::samplers::Conditionals, random::Stream};
use serde::{Deserialize, Serialize};

/// What lies beyond the edge of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Borders {
    /// The other edge: an image goes on where it began.
    Torus,
    /// Nothing: filters look only where they lie inside.
    Free,
}

/// A law of images by the histograms of filters' responses.
///
/// ```text
/// p(I) = 1/Z exp(−E(I)),    E(I) = Σ_α ⟨λ⁽ᵅ⁾, H⁽ᵅ⁾(I)⟩ = Σ_α Σ_v λ⁽ᵅ⁾(bin of r⁽ᵅ⁾(v))
/// ```
///
/// with the counts `H⁽ᵅ⁾_b` of responses in bin `b`. Among all laws with the same expected histograms it has the greatest entropy. As the
/// counts of a filter add up to the same for all images, a constant added to its `λ` changes nothing.
/// Source: Zhu, Wu, Mumford 1998.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    levels: usize,
    borders: Borders,
    features: Vec<Feature>,
    potentials: Vec<Vec<f64>>,
}

/// The largest amount of a potential: sums of some thousand of them are finite in single precision, and nobody needs more.
const LARGEST: f64 = 1e9;

impl Frame {
    /// The law without features: all pixels uniform over so many grey levels.
    ///
    /// # Errors
    /// When there are fewer than 2 levels or more than 256.
    pub fn uniform(levels: usize, borders: Borders) -> Result<Self> {
        if !(2..=256).contains(&levels) {
            return Err(Error::out_of_range("levels", levels, "2 ≤ levels ≤ 256"));
        }
        Ok(Self { levels, borders, features: vec![], potentials: vec![] })
    }

    /// The same with one more feature, whose potential is 0 in every bin.
    ///
    /// # Errors
    /// When it is of images of other grey levels.
    pub fn with(mut self, feature: Feature) -> Result<Self> {
        if feature.levels() != self.levels {
            let levels = format!("a feature of {} grey levels in a law of {}", feature.levels(), self.levels);
            return Err(Error::invalid(levels));
        }
        self.potentials.push(vec![0.0; feature.bins().count()]);
        self.features.push(feature);
        Ok(self)
    }

    /// Sets the potentials, one number a bin of every feature.
    ///
    /// # Errors
    /// When there are more or fewer, or one is beyond 10⁹.
    pub fn set_potentials(&mut self, potentials: Vec<Vec<f64>>) -> Result<()> {
        let lengths = |of: &[Vec<f64>]| of.iter().map(Vec::len).collect::<Vec<_>>();
        if lengths(&potentials) != lengths(&self.potentials) {
            let (given, own) = (lengths(&potentials), lengths(&self.potentials));
            return Err(Error::invalid(format!("potentials of {given:?} bins for features of {own:?}")));
        }
        if let Some(l) = potentials.iter().flatten().find(|l| l.is_nan() || l.abs() > LARGEST) {
            return Err(Error::invalid(format!(
                "a potential of {l:e}; {LARGEST:e} is the largest: a smaller rate may help"
            )));
        }
        self.potentials = potentials;
        Ok(())
    }

    /// Grey levels.
    pub fn levels(&self) -> usize {
        self.levels
    }

    /// What lies beyond an edge.
    pub fn borders(&self) -> Borders {
        self.borders
    }

    /// What is counted.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// `λ`, one number a bin of every feature.
    pub fn potentials(&self) -> &[Vec<f64>] {
        &self.potentials
    }

    /// Refuses images on which a filter has no place to look.
    ///
    /// # Errors
    /// When it is larger than an image with free borders.
    pub fn check_size(&self, [height, width]: [usize; 2]) -> Result<()> {
        match self.features.iter().find(|feature| !feature.fits([height, width], self.borders)) {
            None => Ok(()),
            Some(feature) => {
                let (filter, image) = (feature.filter(), format!("{height} × {width}"));
                Err(Error::invalid(format!("{filter} is larger than an image of {image} with free borders")))
            }
        }
    }

    /// `⟨λ, H⟩`.
    ///
    /// # Panics
    /// When the histograms are of other features.
    pub fn energy_of(&self, histograms: &[Vec<f64>]) -> f64 {
        assert_eq!(histograms.len(), self.potentials.len(), "histograms of other features");
        let inner = |(l, h): (&Vec<f64>, &Vec<f64>)| l.iter().zip(h).map(|(l, h)| l * h).sum::<f64>();
        self.potentials.iter().zip(histograms).map(inner).sum()
    }
}

impl Conditionals for Frame {
    type Point = Field;

    fn sweep(&self, field: &mut Field, rng: &mut Stream) {
        field.sweep(self, 1.0, rng);
    }
}
