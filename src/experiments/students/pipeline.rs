//! From pictures to a teacher, and on to a student.

use crate::{
    Result,
    circuits::{Circuit, Em, FitCircuit, Structure},
    data::{Discrete, Patches, Rows, Split, shipped},
    distill::{Student, latents},
    growth::{Growing, Learn, More, relabel},
    linalg::KMeans,
    notebook::Budget,
    random::Seed,
    teachers::{Coded, Decoder, MaskedConfig, Teacher, Teaching, VqVaeConfig},
    train::{Fit, Progress, Run, quiet},
};
use std::ops::ControlFlow;

/// Training, validation and test rows.
pub(super) struct Pictures {
    pub(super) train: Discrete,
    pub(super) valid: Discrete,
    pub(super) test: Discrete,
}

impl Pictures {
    /// The digits.
    pub(super) fn digits(seed: Seed) -> Result<Self> {
        let digits = shipped::digits()?.discrete();
        let split = Split::random(digits.len(), 0.1, 0.2, seed);
        let [train, valid, test] = [&split.train, &split.valid, &split.test].map(|rows| digits.select(rows));
        Ok(Self { train, valid, test })
    }
}

/// How much each part of the pipeline is given.
#[derive(Clone, Copy)]
pub(super) struct Pipeline {
    /// Pixels along a square.
    pub(super) side: usize,
    /// Codes of the teacher.
    pub(super) codes: usize,
    /// Epochs of the teacher.
    pub(super) taught: u64,
    /// Heads of the student.
    pub(super) heads: usize,
    /// States of the circuit of a square, before it grows.
    pub(super) states: usize,
    /// Epochs of the heads, each time they learn.
    pub(super) learned: u64,
    /// Whether edges that they do not use are pruned.
    pub(super) prunes: bool,
    /// States of the circuit over latents.
    pub(super) prior: usize,
    /// Epochs of the whole, on the pictures themselves.
    pub(super) tuned: u64,
}

/// How squares get their latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Latents {
    /// Clusters of what the teacher sees, once and for all.
    OneShot,
    /// Clusters that grow with the circuit.
    Growing,
}

/// A run that nobody hears of.
pub(super) fn unwatched(seed: Seed, watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>) -> Run<'_> {
    Run::new(seed, watch)
}

impl Pipeline {
    /// For digits.
    pub(super) fn usual(budget: Budget) -> Self {
        Self {
            side: 4,
            codes: 32,
            taught: budget.pick(40, 200),
            heads: 16,
            states: 8,
            learned: budget.pick(20, 50),
            prunes: true,
            prior: 8,
            tuned: budget.pick(40, 200),
        }
    }

    fn teaching(&self) -> Teaching {
        Teaching { epochs: self.taught, ..Teaching::default() }
    }

    /// A vector-quantised autoencoder.
    pub(super) fn vq_vae(&self, rows: &Pictures, decoder: Decoder, seed: Seed) -> Result<Box<dyn Coded>> {
        let config = VqVaeConfig {
            side: self.side,
            codes: self.codes,
            width: 8,
            hidden: 32,
            blocks: 1,
            decoder,
            ..VqVaeConfig::default()
        };
        Ok(self.teaching().vq_vae(&config, &rows.train, unwatched(seed, &mut quiet))?.0)
    }

    /// A masked autoencoder.
    pub(super) fn masked_autoencoder(&self, rows: &Pictures, seed: Seed) -> Result<Box<dyn Teacher>> {
        let config = MaskedConfig { side: self.side, width: 32, ..MaskedConfig::default() };
        Ok(self.teaching().masked(&config, &rows.train, unwatched(seed, &mut quiet))?.0)
    }

    /// The same with heads whose circuit is so large that the whole has that many parameters or more.
    pub(super) fn as_large_as(self, parameters: usize) -> Self {
        let (pixels, positions) = (self.side * self.side, 64 / (self.side * self.side));
        // Leaves of 17 levels, a tree of latents a pixel, the heads; and a tree over the squares.
        let square = |s: usize| pixels * 17 * s + (pixels - 1) * s * s + self.heads * s;
        let over = positions * self.heads * self.prior + (positions - 1) * self.prior * self.prior + self.prior;
        let states = (1..).find(|s| square(*s) + over >= parameters).unwrap_or(self.states);
        Self { states, prunes: false, ..self }
    }

    fn em(&self) -> Em {
        Em { pseudocount: 0.1, ..Em::default() }
    }

    /// A student of what a teacher sees in squares, and the latents of the test rows.
    pub(super) fn student(
        &self,
        rows: &Pictures,
        (teacher, by): (&dyn Teacher, Latents),
        seed: Seed,
    ) -> Result<(Student, Discrete)> {
        let patches = Patches::new(rows.train.schema(), self.side)?;
        let (squares, tests) = (patches.of(&rows.train)?, patches.of(&rows.test)?);
        let features = teacher.features(&rows.train)?;
        let learn =
            Learn { epochs: self.learned, batch: 256, em: self.em(), unused: if self.prunes { 1e-4 } else { 0.0 } };
        let heads = if by == Latents::OneShot { self.heads } else { 1 };
        let start = FitCircuit::new(Structure::hclt(self.states)).start_heads(&squares, heads, seed)?;
        let (circuit, labels, of_test) = match by {
            Latents::OneShot => {
                let clusters = KMeans::new(heads).fit(&features, seed)?;
                let (circuit, _) = learn.run(start, &squares, &clusters.labels, unwatched(seed, &mut quiet))?;
                let of_test = clusters.nearest(&teacher.features(&rows.test)?)?;
                (circuit, clusters.labels, of_test)
            }
            Latents::Growing => {
                let growing = Growing { clusters: self.heads, learn, more: More::Double, ..Growing::default() };
                let grown = growing.run(start, (&squares, &features), None, unwatched(seed, &mut quiet))?;
                let [_, of_test] = relabel(&grown.circuit, &tests, &vec![0; tests.len()], 0.0)?;
                (grown.circuit, grown.clusters.labels, of_test.labels)
            }
        };
        let heads = circuit.graph().heads();
        let train_latents = latents(&patches, &labels, heads)?;
        let settings =
            FitCircuit { epochs: self.learned, em: self.em(), ..FitCircuit::new(Structure::hclt(self.prior)) };
        let prior = settings.fit(&train_latents, None, seed)?.0;
        let test = latents(&patches, &of_test, heads)?;
        Ok((Student::new(patches, vec![circuit], prior)?, test))
    }

    /// A circuit that learns on from pictures, as a whole.
    pub(super) fn tune(&self, circuit: Circuit, rows: &Pictures, seed: Seed) -> Result<Circuit> {
        let settings = FitCircuit {
            epochs: self.tuned,
            batch: 128,
            patience: 10,
            em: self.em(),
            ..FitCircuit::new(Structure::hclt(1))
        };
        Ok(settings.go_on(circuit, &rows.train, Some(&rows.valid), unwatched(seed, &mut quiet))?.0)
    }
}
