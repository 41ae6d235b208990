//! Diffusion models of rows of categories, as the command line knows them: their sizes are those of a user's file.

mod codec;
mod fit;
mod queries;
mod spec;
#[cfg(test)]
mod tests;

pub use fit::FitDiffusion;
pub use spec::{DiffusionKind, NetworkKind};

use super::{
    Absorbing, Ancestral, Bound, Chain, Continuous, Corrected, Ddim, Denoiser, Diffusion, Drawing, Endless, Process,
    Remask, Sampler, Steps, Uniform, objective::Now,
};
use crate::{
    Error, Result,
    archive::Archive,
    data::{Dataset, Discrete, Rows, Schema},
    evidence::{AnyEvidence, Evidence, LowerBound},
    model::{Entry, Family, HowDrawn, Model, ModelFile, Queries},
    nn::NamedArray,
    random::{Seed, Stream},
};
use spec::Spec;
pub(in crate::diffusion) use spec::{MOST_BLOCKS, Sizes, check_draws};
use std::{fmt, path::Path};

/// The family.
pub const FAMILY: Family = Family { name: "diffusion", load, entries };

fn entries() -> Vec<Entry> {
    fit::entries()
}

fn load(file: &ModelFile) -> Result<Box<dyn Model>> {
    of_file(file).map(|model| Box::new(model) as Box<dyn Model>)
}

fn of_file(file: &ModelFile) -> Result<DiffusionModel> {
    let spec: Spec = file.body(FAMILY.name)?;
    spec.check()?;
    let names = spec.arrays(&file.schema)?;
    let arrays = names
        .into_iter()
        .map(|(name, shape)| {
            let values: Vec<f32> = file.arrays.get(&format!("network/{name}"), &shape)?;
            match values.iter().find(|x| !x.is_finite()) {
                None => Ok((name, shape, values)),
                Some(x) => Err(Error::invalid(format!("network/{name} holds {x}"))),
            }
        })
        .collect::<Result<Vec<NamedArray>>>()?;
    DiffusionModel::of(spec, file.schema.clone(), arrays)
}

/// A denoiser whatever its type.
pub type AnyDenoiser = Box<dyn Denoiser<Categories = usize, States = usize> + Send + Sync>;

impl Denoiser for AnyDenoiser {
    type Categories = usize;
    type States = usize;

    fn categories(&self) -> usize {
        (**self).categories()
    }

    fn states(&self) -> usize {
        (**self).states()
    }

    fn check_length(&self, length: usize) -> Result<()> {
        (**self).check_length(length)
    }

    fn logits(&self, noisy: &[u16], length: usize, times: &[f64]) -> Vec<f64> {
        (**self).logits(noisy, length, times)
    }
}

/// The bound of steps, or of steps without end.
#[derive(Clone, Debug)]
pub enum AnyBound {
    /// Of these steps.
    Steps(Steps),
    /// Of continuous time.
    Endless(Endless),
}

/// A moment of either.
#[derive(Clone, Copy, Debug)]
pub enum AnyMoment {
    /// A step.
    Step(usize),
    /// A time.
    Now(Now),
}

macro_rules! each_bound {
    ($bound:expr, $moment:expr, $b:ident, $m:ident => $value:expr) => {
        match ($bound, $moment) {
            (AnyBound::Steps($b), AnyMoment::Step($m)) => $value,
            (AnyBound::Endless($b), AnyMoment::Now($m)) => $value,
            _ => unreachable!("a moment is of its own bound"),
        }
    };
}

impl<P: Continuous> Bound<P> for AnyBound {
    type Moment = AnyMoment;

    fn describe(&self) -> String {
        match self {
            Self::Steps(steps) => Bound::<P>::describe(steps),
            Self::Endless(endless) => Bound::<P>::describe(endless),
        }
    }

    fn check(&self, process: &P) -> Result<()> {
        match self {
            Self::Steps(steps) => steps.check(process),
            Self::Endless(endless) => endless.check(process),
        }
    }

    fn moments(&self) -> Option<usize> {
        match self {
            Self::Steps(steps) => Some(steps.len()),
            Self::Endless(_) => None,
        }
    }

    fn moment(&self, process: &P, share: f64) -> AnyMoment {
        match self {
            Self::Steps(steps) => AnyMoment::Step(steps.moment(process, share)),
            Self::Endless(endless) => AnyMoment::Now(endless.moment(process, share)),
        }
    }

    fn index(&self, moment: AnyMoment) -> usize {
        each_bound!(self, moment, b, m => Bound::<P>::index(b, m))
    }

    fn time(&self, process: &P, moment: AnyMoment) -> f64 {
        each_bound!(self, moment, b, m => b.time(process, m))
    }

    fn noisy(&self, process: &P, moment: AnyMoment, x0: usize, rng: &mut Stream) -> usize {
        each_bound!(self, moment, b, m => b.noisy(process, m, x0, rng))
    }

    fn nats(&self, process: &P, moment: AnyMoment, states: (usize, usize), log_x0: &[f64]) -> f64 {
        each_bound!(self, moment, b, m => Bound::nats(b, process, m, states, log_x0))
    }

    fn slopes(
        &self,
        process: &P,
        moment: AnyMoment,
        states: (usize, usize),
        log_x0: &[f64],
        scale: f64,
        into: &mut [f64],
    ) {
        each_bound!(self, moment, b, m => Bound::slopes(b, process, m, states, log_x0, scale, into));
    }
}

/// A process with a denoiser, which of them is known at run time.
pub(crate) enum Inner {
    Uniform(Diffusion<Uniform<usize>, AnyDenoiser>),
    Absorbing(Diffusion<Absorbing<usize, usize>, AnyDenoiser>),
    Gaussian(Diffusion<Chain<usize>, AnyDenoiser>),
}

/// A diffusion model that was learned from a file.
pub struct DiffusionModel {
    spec: Spec,
    schema: Schema,
    inner: Inner,
    arrays: Vec<NamedArray>,
}

impl DiffusionModel {
    /// The model of a spec, with the numbers of its network.
    fn of(spec: Spec, schema: Schema, arrays: Vec<NamedArray>) -> Result<Self> {
        let Sizes { categories, .. } = Sizes::of(&schema)?;
        let denoiser = spec.denoiser(&schema, &arrays)?;
        let inner = match spec.kind {
            DiffusionKind::Multinomial => {
                Inner::Uniform(Diffusion::new(Uniform::new(categories, spec.schedule()?)?, denoiser)?)
            }
            DiffusionKind::Absorbing => {
                let process = Absorbing::new(categories, categories + 1, spec.schedule()?)?;
                Inner::Absorbing(Diffusion::new(process, denoiser)?)
            }
            DiffusionKind::Gaussian => Inner::Gaussian(Diffusion::new(spec.gaussian(categories)?, denoiser)?),
        };
        Ok(Self { spec, schema, inner, arrays })
    }

    /// Reads a model.
    ///
    /// # Errors
    /// When the file is not one of diffusion, or is damaged: the message says what differs.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        of_file(&ModelFile::open(path)?).map_err(|e| Error::file(path, e))
    }

    /// The model that ships: absorbing noise on the addresses in 27 letters, 64 at a time (`datasets/README.md` has the command).
    ///
    /// # Errors
    /// When the shipped file is missing or damaged.
    pub fn shipped() -> Result<Self> {
        Self::load(crate::data::shipped::folder()?.join("addresses.limbeck"))
    }

    /// The process and the denoiser of an absorbing model.
    pub fn absorbing(&self) -> Option<&Diffusion<Absorbing<usize, usize>, AnyDenoiser>> {
        match &self.inner {
            Inner::Absorbing(model) => Some(model),
            _ => None,
        }
    }

    /// The process and the denoiser of a multinomial model.
    pub fn multinomial(&self) -> Option<&Diffusion<Uniform<usize>, AnyDenoiser>> {
        match &self.inner {
            Inner::Uniform(model) => Some(model),
            _ => None,
        }
    }

    /// The bound of rows, from `draws` moments of each.
    ///
    /// # Errors
    /// As [`Diffusion::evidence`].
    pub fn bound(&self, rows: &dyn Rows, draws: usize, seed: Seed) -> Result<Evidence<LowerBound>> {
        match &self.inner {
            Inner::Uniform(model) => model.evidence(rows, &self.spec.bound(model.process()), draws, seed),
            Inner::Absorbing(model) => model.evidence(rows, &self.spec.bound(model.process()), draws, seed),
            Inner::Gaussian(model) => model.evidence(rows, &self.spec.steps(model.process()), draws, seed),
        }
    }

    /// Draws what is missing of rows in a way.
    ///
    /// # Errors
    /// As [`Diffusion::draw`]; also when there is no such sampler, or the process has fewer steps.
    pub fn draw(&self, rows: &Discrete, how: &HowDrawn, seed: Seed) -> Result<Discrete> {
        let name = how.sampler.as_deref().unwrap_or("ancestral");
        let (name, number) = name.split_once(':').map_or((name, None), |(name, number)| (name, Some(number)));
        let number = |usual: f64| match number {
            None => Ok(usual),
            Some(text) => {
                text.parse::<f64>().map_err(|_| Error::Usage(format!("--sampler {name}:{text}: a number is expected")))
            }
        };
        let unknown = |known: &str| Error::Usage(format!("no sampler called {name}; there are {known}"));
        match &self.inner {
            Inner::Uniform(model) => match name {
                "ancestral" => self.draw_by(model, rows, &Ancestral, how, seed),
                "ddim" => self.draw_by(model, rows, &Ddim::new(number(1.0)?)?, how, seed),
                "gibbs" => self.draw_by(
                    model,
                    rows,
                    &Corrected { sampler: Ancestral, moves: number(1.0)? as usize },
                    how,
                    seed,
                ),
                _ => Err(unknown("ancestral, ddim:SHARE, gibbs:MOVES")),
            },
            Inner::Absorbing(model) => match name {
                "ancestral" => self.draw_by(model, rows, &Ancestral, how, seed),
                "remask" => self.draw_by(model, rows, &Remask::Rescale(number(0.1)?).check()?, how, seed),
                "gibbs" => self.draw_by(
                    model,
                    rows,
                    &Corrected { sampler: Ancestral, moves: number(1.0)? as usize },
                    how,
                    seed,
                ),
                _ => Err(unknown("ancestral, remask:ETA, gibbs:MOVES")),
            },
            Inner::Gaussian(model) => match name {
                "ancestral" => self.draw_by(model, rows, &Ancestral, how, seed),
                _ => Err(unknown("ancestral")),
            },
        }
    }

    fn draw_by<P: Process<Categories = usize, States = usize>>(
        &self,
        model: &Diffusion<P, AnyDenoiser>,
        rows: &Discrete,
        sampler: &impl Sampler<P>,
        how: &HowDrawn,
        seed: Seed,
    ) -> Result<Discrete> {
        let steps = match how.steps {
            Some(steps) => Steps::strided(model.process(), steps, self.spec.decoder)?,
            None => self.spec.steps(model.process()),
        };
        let how = Drawing { temperature: how.temperature, top_p: how.top_p, ..Drawing::new(steps) };
        model.draw(rows, sampler, &how, seed)
    }
}

impl fmt::Display for DiffusionModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Spec { kind, network, .. }, parameters) = (&self.spec, self.parameters());
        let (positions, categories) = (self.schema.len(), self.schema.variables[0].categories);
        let rows = match self.schema.alphabet() {
            Some(_) => format!("texts of up to {positions} of {categories} characters"),
            None => format!("rows of {positions} columns of {categories} categories"),
        };
        write!(
            f,
            "{} diffusion, {}, {} of {rows}, {parameters} parameters",
            kind.name().trim_end_matches("-diffusion"),
            self.spec.moments(),
            network.name()
        )
    }
}

impl Model for DiffusionModel {
    fn family(&self) -> &'static str {
        FAMILY.name
    }

    fn kind(&self) -> &str {
        self.spec.kind.name()
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn parameters(&self) -> usize {
        self.arrays.iter().map(|(_, _, values)| values.len()).sum()
    }

    fn score(&self, rows: &dyn Rows, seed: Seed) -> Result<AnyEvidence> {
        self.score_from(rows, self.spec.draws, seed)
    }

    fn score_from(&self, rows: &dyn Rows, draws: usize, seed: Seed) -> Result<AnyEvidence> {
        check_draws(draws).map_err(|e| Error::Usage(e.to_string()))?;
        Ok(self.bound(rows, draws, seed)?.any())
    }

    fn sample(&self, n: usize, seed: Seed) -> Result<Dataset> {
        if n == 0 {
            return Err(Error::out_of_range("n", 0, "1 ≤ n"));
        }
        Ok(self.draw(&Discrete::all_missing(self.schema.clone(), n), &HowDrawn::default(), seed)?.into())
    }

    fn queries(&self) -> Option<&dyn Queries> {
        Some(self)
    }

    fn put(&self, arrays: &mut Archive) -> Result<serde_json::Value> {
        for (name, shape, values) in &self.arrays {
            arrays.put(&format!("network/{name}"), shape, values);
        }
        serde_json::to_value(&self.spec).map_err(Error::invalid)
    }
}
