//! A circuit over pictures with a latent for each square.

use super::SoftPatches;
use crate::{
    Error, Result,
    circuits::{Circuit, Em, EmLearner},
    data::{Discrete, Patches, Rows, Schema, complete, fingerprint},
    evidence::{Evidence, LowerBound, Space},
    train::{History, Plan, Run, train},
};

/// The labels of squares, all of the first picture first, as rows of latents: one a picture, a column a square.
///
/// # Errors
/// When they are no whole pictures, or a label is `heads` or more.
pub fn latents(patches: &Patches, labels: &[u32], heads: usize) -> Result<Discrete> {
    let most = u16::MAX as usize;
    if heads >= most {
        return Err(Error::out_of_range("heads", heads, "1 ≤ heads < 65535"));
    }
    // A label beyond the last is named by the rows.
    let codes = labels.iter().map(|label| (*label).min(most as u32 - 1) as u16).collect();
    Discrete::new(Schema::uniform(&patches.grid(), heads), codes)
}

/// A circuit over pictures in parts: what heads say of a square, the same at every square, and a circuit over which square has
/// which head.
///
/// ```text
/// p(x) = Σ_z p(z) Π_i p(x_i | z_i)
/// ```
///
/// Source: Liu et al. 2023, §5.
#[derive(Clone, Debug)]
pub struct Student {
    patches: Patches,
    parts: Vec<Circuit>,
    prior: Circuit,
}

impl Student {
    /// The heads are those of `parts`, counted through; `prior` is over rows of [`latents`].
    ///
    /// # Errors
    /// When the parts are not over such squares, or the prior is over other latents.
    pub fn new(patches: Patches, parts: Vec<Circuit>, prior: Circuit) -> Result<Self> {
        let student = Self { patches, parts, prior };
        student.circuit()?;
        Ok(student)
    }

    /// Heads of all parts.
    pub fn heads(&self) -> usize {
        self.parts.iter().map(|part| part.graph().heads()).sum()
    }

    /// The squares.
    pub fn patches(&self) -> &Patches {
        &self.patches
    }

    /// `p(x_i | z_i)`.
    pub fn parts(&self) -> &[Circuit] {
        &self.parts
    }

    /// `p(z)`.
    pub fn prior(&self) -> &Circuit {
        &self.prior
    }

    /// The whole as one circuit, with the latents summed out: it can be asked everything, and learn as a whole.
    ///
    /// # Errors
    /// None once it is made.
    pub fn circuit(&self) -> Result<Circuit> {
        let parts: Vec<&Circuit> = self.parts.iter().collect();
        self.prior.composed(&parts, &self.patches.places(), self.patches.whole())
    }

    /// What distillation maximises, where `q(z | x)` is one label a square.
    ///
    /// ```text
    /// ELBO = log p(z) + Σ_i log p(x_i | z_i)
    /// ```
    ///
    /// # Errors
    /// When pictures and latents are of different numbers or other sizes, or a latent is missing.
    pub fn lvd_of(&self, pictures: &dyn Rows, latents: &dyn Rows) -> Result<Evidence<LowerBound>> {
        if pictures.len() != latents.len() {
            let [n, z] = [pictures.len(), latents.len()];
            return Err(Error::invalid(format!("{n} pictures and the latents of {z}")));
        }
        let squares = self.patches.of(pictures)?;
        let positions = self.patches.positions();
        let labels = complete(latents, &(0..latents.len()).collect::<Vec<_>>(), positions)?;
        let mut bounds = self.prior.log_prob(latents)?;
        let mut first = 0;
        for part in &self.parts {
            let heads = part.graph().heads();
            part.for_each_by_head(&squares, |square, logs| {
                let label = labels[square] as usize;
                if (first..first + heads).contains(&label) {
                    bounds[square / positions] += logs[label - first];
                }
            })?;
            first += heads;
        }
        Ok(Evidence::new(bounds, Space::Raw, self.patches.whole().len())?.of_rows(fingerprint(pictures)?))
    }

    /// Pictures as evidence of the latents.
    ///
    /// # Errors
    /// When they have other variables.
    pub fn soft<'a>(&'a self, pictures: &'a dyn Rows) -> Result<SoftPatches<'a>> {
        SoftPatches::new(pictures, &self.patches, &self.parts, self.prior.schema().clone())
    }

    /// Learns `p(z)` from pictures themselves: EM on the likelihood of the whole with the heads as they are, every latent having
    /// whatever value explains its square.
    ///
    /// # Errors
    /// As [`EmLearner::new`].
    pub fn learn_prior(
        &mut self,
        pictures: &dyn Rows,
        valid: Option<&dyn Rows>,
        (em, epochs, batch): (Em, u64, usize),
        run: Run,
    ) -> Result<History> {
        run.on_cpu("the circuit of a student")?;
        let train_soft = self.soft(pictures)?;
        let valid_soft = valid.map(|valid| self.soft(valid)).transpose()?;
        let valid = valid_soft.as_ref().map(|valid| valid as &dyn Rows);
        let mut learner = EmLearner::new(self.prior.clone(), &train_soft, valid, em)?;
        let plan = Plan { checkpoint: run.checkpoint, ..Plan::new(epochs, batch, run.seed) };
        let history = train(&mut learner, &plan, run.watch)?;
        self.prior = learner.into_circuit();
        Ok(history)
    }
}
