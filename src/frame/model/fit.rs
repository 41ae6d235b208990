//! From pictures to a learned texture.

use super::{FrameModel, NAME, level_of, size_of};
use crate::{
    Error, Result,
    data::{MISSING, Rows, fingerprint},
    frame::{Bank, Borders, Choice, FrameLearner, Pursuit, Rule, Seen},
    model::{AnyFit, Entry, Setting},
    train::{Estimate, Fit, History, Plan, Reads, Run, train},
};
use serde::{Deserialize, Serialize};

/// The filters that pursuit chooses from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BankKind {
    /// [`Bank::small`].
    #[default]
    Small,
    /// [`Bank::of_1998`].
    #[serde(rename = "1998")]
    Of1998,
}

impl BankKind {
    fn bank(self) -> Bank {
        match self {
            Self::Small => Bank::small(),
            Self::Of1998 => Bank::of_1998(),
        }
    }
}

/// Everything `limbeck fit frame` can be told.
///
/// ```
/// # use limbeck::{frame::FitFrame, prelude::*};
/// let grass = shipped::texture("grass")?.discrete();
/// let settings = FitFrame { filters: 2, updates: 5, side: 24, sweeps: 10, walks: 2, ..FitFrame::default() };
/// let (model, history) = settings.fit(&grass, None, Seed(0))?;
/// assert_eq!(model.law().features().len(), 2);
/// assert_eq!(history.records().len(), 10);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitFrame {
    /// Grey levels of the law; as many of a picture's as it takes are one of them.
    pub levels: usize,
    /// The filters to choose from.
    pub bank: BankKind,
    /// How many are chosen.
    pub filters: usize,
    /// By what.
    pub choice: Choice,
    /// Bins of one width for the responses of a filter; 0 for bins that widen.
    pub bins: usize,
    /// What lies beyond the edges of images.
    pub borders: Borders,
    /// Height and width of the images of the chains that learning draws.
    pub side: usize,
    /// Number of chains.
    pub chains: usize,
    /// Updates of the potentials for each filter.
    pub updates: usize,
    /// Sweeps of each chain before an update.
    pub every: usize,
    /// How potentials follow the difference of histograms.
    pub rule: Rule,
    /// The rate of that when a filter is new; it falls to a twentieth until the next is.
    pub rate: f64,
    /// Sweeps from noise to a sample.
    pub sweeps: usize,
    /// Walks that the normalising constant of a score is drawn from.
    pub walks: usize,
    /// Laws on their way from noise and back: the more, the narrower is the interval.
    pub stops: usize,
}

impl Default for FitFrame {
    fn default() -> Self {
        Self {
            levels: 8,
            bank: BankKind::Small,
            filters: 8,
            choice: Choice::Distance,
            bins: 0,
            borders: Borders::Torus,
            side: 64,
            chains: 2,
            updates: 80,
            every: 1,
            rule: Rule::Ratio,
            rate: 0.3,
            sweeps: 100,
            walks: 2,
            stops: 40,
        }
    }
}

/// The largest side of a chain's image, the most updates, the most sweeps.
const LARGEST_SIDE: usize = 4096;
const MOST: usize = 1 << 24;
/// The most walks.
pub(super) const MOST_WALKS: usize = 4096;

/// Refuses no sweeps, and sweeps and walks that nobody waits for.
pub(super) fn check_sampling(sweeps: usize, walks: usize, stops: usize) -> Result<()> {
    for (name, value) in [("sweeps", sweeps), ("stops", stops)] {
        if !(1..=MOST).contains(&value) {
            return Err(Error::out_of_range(name, value, "1 ≤ value ≤ 16777216"));
        }
    }
    match (2..=MOST_WALKS).contains(&walks) {
        true => Ok(()),
        false => Err(Error::out_of_range("walks", walks, "2 ≤ walks ≤ 4096")),
    }
}

impl Fit for FitFrame {
    type Model = FrameModel;

    fn name(&self) -> &str {
        NAME
    }

    fn check(&self) -> Result<()> {
        let bank = self.bank.bank().len();
        for (name, value, most) in [
            ("filters", self.filters, bank),
            ("side", self.side, LARGEST_SIDE),
            ("chains", self.chains, 1024),
            ("updates", self.updates, MOST),
            ("every", self.every, MOST),
        ] {
            if !(1..=most).contains(&value) {
                return Err(Error::Usage(format!("{name} is {value}; it must be 1 to {most}")));
            }
        }
        if !(2..=256).contains(&self.levels) {
            return Err(Error::out_of_range("levels", self.levels, "2 ≤ levels ≤ 256"));
        }
        if self.bins > 30 {
            return Err(Error::out_of_range("bins", self.bins, "bins ≤ 30"));
        }
        check_sampling(self.sweeps, self.walks, self.stops)?;
        match self.rate > 0.0 && self.rate.is_finite() {
            true => Ok(()),
            false => Err(Error::out_of_range("rate", self.rate, "0 < rate < ∞")),
        }
    }

    fn reads(&self) -> Reads {
        Reads::Categories
    }

    fn estimate(&self, rows: &dyn Rows, _: usize) -> Result<Option<Estimate>> {
        self.check()?;
        self.size_and_categories(rows).map(|_| None)
    }

    fn fit_with(&self, rows: &dyn Rows, _: Option<&dyn Rows>, run: Run) -> Result<(FrameModel, History)> {
        self.check()?;
        run.on_cpu(NAME)?;
        let seen = self.seen(rows)?;
        let how = Pursuit {
            bank: self.bank.bank(),
            filters: self.filters,
            choice: self.choice,
            bins: self.bins,
            levels: self.levels,
            borders: self.borders,
            size: [self.side; 2],
            chains: self.chains,
            updates: self.updates,
            sweeps: self.every,
            rule: self.rule,
            rate: self.rate,
        };
        let Run { seed, checkpoint, watch, .. } = run;
        let mut learner = FrameLearner::new(&seen, fingerprint(rows)?, how, seed.child("chains", 0))?;
        // The same numbers as a picture of another size, or of more levels, are other data.
        let ([height, width], categories) = self.size_and_categories(rows)?;
        let pictures = format!("pictures of {height} × {width} pixels of {categories} levels");
        let settings = toml::to_string(self).map_err(Error::invalid)? + &pictures;
        let plan = Plan { checkpoint, settings, ..Plan::steps(learner.steps(), 1, seed) };
        let history = train(&mut learner, &plan, watch)?;
        let (law, schema) = (learner.law().clone(), rows.schema().clone());
        let Self { sweeps, walks, stops, .. } = *self;
        Ok((FrameModel { law, schema, sweeps, walks, stops }, history))
    }
}

impl FitFrame {
    /// The pictures in levels of the law.
    fn seen(&self, rows: &dyn Rows) -> Result<Vec<Seen>> {
        let (size, categories) = self.size_and_categories(rows)?;
        let mut codes = Vec::new();
        let picture = |row: usize| {
            rows.read(&[row], &mut codes)?;
            if let Some(pixel) = codes.iter().position(|code| *code == MISSING) {
                let row = rows.number_of(row);
                return Err(Error::invalid(format!(
                    "row {row}: pixel {pixel} is missing; a texture is learned from whole pictures"
                )));
            }
            Ok((size, codes.iter().map(|code| level_of(*code, self.levels, categories)).collect()))
        };
        (0..rows.len()).map(picture).collect()
    }

    /// Height and width of the pictures, and their grey levels.
    fn size_and_categories(&self, rows: &dyn Rows) -> Result<([usize; 2], usize)> {
        let (size, categories) = (size_of(rows.schema())?, rows.schema().variables[0].categories);
        if categories < self.levels {
            let problem = format!("pictures of {categories} grey levels for a law of {}", self.levels);
            return Err(Error::Usage(format!("{problem}: --levels {categories} or fewer")));
        }
        Ok((size, categories))
    }
}

const SETTINGS: &[Setting] = &[
    Setting { key: "filters", help: "filters to choose, one after the other" },
    Setting { key: "bank", help: "what they are chosen from: \"small\", or the filters of \"1998\"" },
    Setting { key: "choice", help: "by what: \"distance\" of histograms, or \"gain\" in likelihood" },
    Setting { key: "levels", help: "grey levels of the model; several of a picture's are one of them" },
    Setting { key: "bins", help: "bins of one width for responses, up to 30; 0: bins that widen" },
    Setting { key: "borders", help: "what lies beyond an edge: \"torus\", the other edge; \"free\", nothing" },
    Setting { key: "side", help: "height and width of the images that learning draws, pixels" },
    Setting { key: "chains", help: "how many of them" },
    Setting { key: "updates", help: "updates of the potentials for each filter" },
    Setting { key: "every", help: "sweeps of each image before an update" },
    Setting { key: "rule", help: "how potentials follow histograms: \"ratio\", or the \"slope\" of the likelihood" },
    Setting { key: "rate", help: "the rate of that when a filter is new; it falls to a twentieth until the next" },
    Setting { key: "sweeps", help: "sweeps from noise to a sample" },
    Setting { key: "walks", help: "walks that the normalising constant of a score is drawn from" },
    Setting { key: "stops", help: "laws on their way from noise and back; more make the interval of a score narrower" },
];

pub(super) fn entries() -> Vec<Entry> {
    let about = "FRAME: textures by the histograms of filters' responses, learned by Gibbs sampling";
    vec![Entry::new(NAME, about, &FitFrame::default(), SETTINGS, parse)]
}

fn parse(settings: toml::Table) -> Result<Box<dyn AnyFit>> {
    let fit: FitFrame = settings.try_into().map_err(Error::invalid)?;
    Ok(Box::new(fit))
}
