//! Questions to a model beyond likelihoods and samples.

use super::Model;
use crate::{
    Error, Result,
    data::{Dataset, Rows},
    evidence::AnyEvidence,
    random::Seed,
};

/// Mean and variance of a variable given what its row knows, categories counting as numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// `E[x_v | e]`.
    pub mean: f64,
    /// `E[x_v² | e] − E[x_v | e]²`.
    pub variance: f64,
}

impl Moments {
    /// Those of a distribution over 0, 1, 2, ….
    pub(crate) fn of(probabilities: &[f64]) -> Self {
        let expect =
            |f: &dyn Fn(f64) -> f64| probabilities.iter().enumerate().map(|(a, p)| p * f(a as f64)).sum::<f64>();
        let mean = expect(&|a| a);
        Self { mean, variance: expect(&|a| (a - mean).powi(2)) }
    }
}

/// How rows are drawn, where a model leaves a choice.
#[derive(Clone, Debug, PartialEq)]
pub struct HowDrawn {
    /// Steps, where there are steps: all where not given.
    pub steps: Option<usize>,
    /// What logits are divided by.
    pub temperature: f64,
    /// Of each value the likeliest categories are drawn, which have this much of the mass together.
    pub top_p: f64,
    /// The name of a sampler, and its number after a colon; the model's own where not given.
    pub sampler: Option<String>,
}

impl Default for HowDrawn {
    fn default() -> Self {
        Self { steps: None, temperature: 1.0, top_p: 1.0, sampler: None }
    }
}

/// Hears of a distribution: of which row, of which variable, its probabilities.
pub type Each<'a> = dyn FnMut(usize, usize, &[f64]) -> Result<()> + 'a;

/// What a model answers, of those questions that it does: each is an error where it is none of [`Self::answers`].
pub trait Queries {
    /// The name of the model, for messages.
    fn kind(&self) -> &str;

    /// The names of the questions that it answers, as on the command line.
    fn answers(&self) -> &'static [&'static str];

    /// The error of a question that it does not answer.
    fn unanswered(&self, question: &str) -> Error {
        let answers = self.answers().join(", ");
        Error::Usage(format!("{} does not answer {question}; it answers {answers}", self.kind()))
    }

    /// The distribution of each of the `variables` of each row given what the row knows: `each(row, variable, probabilities)`.
    ///
    /// # Errors
    /// When the rows do not fit, or what a row knows is impossible; also those of `each`.
    fn conditionals(&self, _rows: &dyn Rows, _variables: &[usize], _each: &mut Each) -> Result<()> {
        Err(self.unanswered("conditional"))
    }

    /// Mean and variance of every variable of every row given what the row knows, row after row.
    ///
    /// # Errors
    /// As [`Self::conditionals`].
    fn moments(&self, _rows: &dyn Rows) -> Result<Vec<Moments>> {
        Err(self.unanswered("moments"))
    }

    /// Draws what is missing of each row, jointly, given what is known of it.
    ///
    /// # Errors
    /// As [`Self::conditionals`].
    fn complete(&self, _rows: &Dataset, _seed: Seed) -> Result<Dataset> {
        Err(self.unanswered("inpaint"))
    }

    /// The same in a chosen way.
    ///
    /// # Errors
    /// As [`Self::complete`]; also when the model leaves no such choice.
    fn complete_as(&self, rows: &Dataset, how: &HowDrawn, seed: Seed) -> Result<Dataset> {
        match *how == HowDrawn::default() {
            true => self.complete(rows, seed),
            false => Err(Error::Usage(format!(
                "{} draws in one way: leave out --steps, --temperature, --top-p and --sampler",
                self.kind()
            ))),
        }
    }

    /// The likelihood of rows whose values are filled in one after the other, exactly, in this order of the columns; of several
    /// orders that of a model which draws one of them.
    ///
    /// # Errors
    /// When the rows do not fit.
    fn in_orders(&self, _rows: &Dataset, _orders: &[Vec<usize>]) -> Result<AnyEvidence> {
        Err(self.unanswered("score --order"))
    }

    /// The most probable completion of each row with its likelihood, or a good one with a lower bound on that.
    ///
    /// # Errors
    /// As [`Self::conditionals`].
    fn map(&self, _rows: &Dataset) -> Result<(Dataset, AnyEvidence)> {
        Err(self.unanswered("map"))
    }

    /// Every other missing variable of a row with what it would tell of `target`, nats, the most useful first.
    ///
    /// # Errors
    /// As [`Self::conditionals`]; also when `target` is known, or there is not one row.
    fn next_variable(&self, _row: &Dataset, _target: usize) -> Result<Vec<(usize, f64)>> {
        Err(self.unanswered("next"))
    }

    /// The distribution of what each value of each row was, if each was replaced by another, any as likely, with probability `rate`:
    /// `each(row, variable, probabilities)`.
    ///
    /// # Errors
    /// When the rows do not fit, or a value is missing but at the end of a row; also those of `each`.
    fn corrections(&self, _rows: &Dataset, _rate: f64, _each: &mut Each) -> Result<()> {
        Err(self.unanswered("spellcheck"))
    }

    /// Whether rows may be shorter than the model's own, as texts are.
    fn reads_shorter(&self) -> bool {
        false
    }

    /// The entropy, nats.
    ///
    /// # Errors
    /// When it has none that is exact.
    fn entropy(&self) -> Result<f64> {
        Err(self.unanswered("entropy"))
    }

    /// Cross-entropy and Kullback-Leibler divergence from this model to another, nats.
    ///
    /// # Errors
    /// When they are not exact, as the models are not compatible.
    fn divergence(&self, _other: &dyn Model) -> Result<(f64, f64)> {
        Err(self.unanswered("divergence"))
    }

    /// The rows in as many bits as they are unlikely.
    ///
    /// # Errors
    /// When the rows do not fit.
    fn compress(&self, _rows: &Dataset) -> Result<Vec<u8>> {
        Err(self.unanswered("compress"))
    }

    /// The rows that [`Self::compress`] made the bytes of.
    ///
    /// # Errors
    /// When the bytes are of another model, or damaged.
    fn decompress(&self, _bytes: &[u8]) -> Result<Dataset> {
        Err(self.unanswered("decompress"))
    }
}
