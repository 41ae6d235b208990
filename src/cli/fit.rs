//! `limbeck fit`

use super::{Context, fit_flow};
use crate::{
    Error, Result,
    circuits::{FitCircuit, Leaf, Structure, Summary},
    data::{Coding, Rows, Split, Subset, Table, open_rows},
    flows::FlowKind,
    random::Seed,
    train::{Bar, Checkpoint, History},
};
use std::{ops::ControlFlow, path::PathBuf, time::Duration};

/// What can stand in a file of settings, with the values that are taken where nothing is said.
const DEFAULTS: &str = r#"  epochs = 60              # passes over the training rows
  batch = 128              # rows in a batch
  patience = 10            # epochs without improvement on the validation rows; 0: to the last epoch
  leaf = "categorical"     # or "bernoulli", "binomial", "poisson", "discretised-logistic"; "gaussian" for real numbers
  [structure]              # as named on the command line where left out
  kind = "hclt"
  states = 16
  joined = false
  [em]
  rule = "mini-batch"      # or "full-batch", "slow-forgetting", "anemone"
  pseudocount = 0.1        # rows' worth of the uniform distribution, for every node (anemone: shares of a row)
  first_step = 0.5         # of mini-batch and anemone; falls along a cosine to
  last_step = 0.05
  memory = 10000.0         # rows, of slow-forgetting
  momentum = 0.9           # of anemone"#;

const STRUCTURES: &str = r#"Structures and their settings:
  mixture (components)             hmm (states, homogeneous)       hclt (states, joined)
  naive-bayes (class)              chow-liu                        random-tree (units, layer)
  rat-spn (depth, replicas, units, layer)                          poon-domingos (step, units, layer)
  quad-tree, quad-graph (units, layer, tied)
  layer: "cp", "cp-transposed" or "tucker""#;

fn help() -> String {
    let flows = fit_flow::DEFAULTS;
    format!(
        "Settings of --config FILE for a circuit, with their defaults:\n{DEFAULTS}\n{STRUCTURES}\n\
         Settings of --config FILE for a flow, with their defaults:\n{flows}"
    )
}

fn models() -> impl Iterator<Item = &'static str> {
    Structure::NAMES.into_iter().chain(FlowKind::ALL.map(FlowKind::name))
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = help())]
pub(super) struct Args {
    /// What to fit: a circuit of this structure, or a flow of this kind (made and after).
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(models()), value_name = "MODEL")]
    pub(super) structure: String,
    /// The rows to learn from.
    #[arg(long)]
    pub(super) data: PathBuf,
    /// The model file to write.
    #[arg(long)]
    pub(super) out: PathBuf,
    /// Settings in TOML (below); an option given here wins over the file.
    #[arg(long)]
    pub(super) config: Option<PathBuf>,
    /// Nodes of a region: latent states a variable, components of a mixture.
    #[arg(long, visible_alias = "units", value_parser = super::positive)]
    states: Option<usize>,
    /// The variable that is the class of naive-bayes.
    #[arg(long)]
    class: Option<String>,
    /// The distributions at the leaves.
    #[arg(long, value_parser = leaf, value_name = "KIND")]
    leaf: Option<Leaf>,
    /// Layers of a flow; of couplings, pairs of them.
    #[arg(long, value_parser = super::positive)]
    pub(super) layers: Option<usize>,
    /// Units in each hidden layer of a flow's networks.
    #[arg(long, value_parser = super::positive)]
    pub(super) hidden: Option<usize>,
    /// Adam's rate, for a flow.
    #[arg(long)]
    pub(super) rate: Option<f64>,
    /// Passes over the training rows.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) epochs: Option<u64>,
    /// Rows in a batch.
    #[arg(long, value_parser = super::positive)]
    pub(super) batch: Option<usize>,
    /// Categories of every variable; found in the data where not given.
    #[arg(long, value_parser = super::positive)]
    categories: Option<usize>,
    /// The part of the rows that decides when to stop, 0 for none.
    #[arg(long, default_value_t = 0.1)]
    pub(super) valid: f64,
    /// A file to continue from after an interruption, written every half minute.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// Seconds between two writes of the checkpoint.
    #[arg(long, default_value_t = 30.0, requires = "checkpoint")]
    checkpoint_every: f64,
    /// Go on from the checkpoint, if there is one.
    #[arg(long, requires = "checkpoint")]
    resume: bool,
}

#[derive(serde::Serialize)]
struct Report {
    model: String,
    out: String,
    rows: usize,
    variables: usize,
    parameters: usize,
    epochs: usize,
    seconds: f64,
    train_bits_per_dim: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_bits_per_dim: Option<f64>,
    #[serde(skip)]
    summary: String,
}

impl Report {
    fn new(
        args: &Args,
        model: &Summary,
        summary: String,
        rows: &dyn Rows,
        history: &History,
        train_bits_per_dim: f64,
        valid_bits_per_dim: Option<f64>,
    ) -> Self {
        Self {
            model: model.structure.clone(),
            out: args.out.display().to_string(),
            rows: rows.len(),
            variables: model.variables.len(),
            parameters: model.parameters,
            epochs: history.epochs().len(),
            seconds: history.last().map_or(0.0, |r| r.seconds),
            train_bits_per_dim,
            valid_bits_per_dim,
            summary,
        }
    }
}

/// `binomial`, `gaussian`, …
fn leaf(name: &str) -> std::result::Result<Leaf, String> {
    Leaf::LEARNED.into_iter().chain([Leaf::Gaussian]).find(|leaf| leaf.name() == name).ok_or_else(|| {
        let known = Leaf::LEARNED.map(Leaf::name).join(", ");
        format!("there are {known}, and gaussian for columns of real numbers")
    })
}

fn settings(args: &Args) -> Result<FitCircuit> {
    let class = args.class.clone();
    let named = || match (args.structure.as_str(), class) {
        ("naive-bayes", Some(class)) => Ok(Structure::NaiveBayes { class }),
        ("naive-bayes", None) => Err(Error::Usage("naive-bayes needs its class: --class NAME".into())),
        (_, Some(_)) => Err(Error::Usage(format!("{} has no class: leave out --class", args.structure))),
        (name, None) => Structure::named(name),
    };
    let mut settings = match &args.config {
        None => FitCircuit::new(named()?),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
            let table: toml::Table = toml::from_str(&text).map_err(|e| Error::file(path, e.to_string().trim_end()))?;
            let mut settings: FitCircuit =
                toml::from_str(&text).map_err(|e| Error::file(path, e.to_string().trim_end()))?;
            if !table.contains_key("structure") {
                settings.structure = named()?;
            } else if settings.structure.name() != args.structure {
                let (found, wanted) = (settings.structure.name(), &args.structure);
                return Err(Error::file(path, format!("its structure is {found}, and {wanted} is to be fitted")));
            }
            settings
        }
    };
    if let Some(states) = args.states {
        let name = settings.structure.name();
        let units = settings.structure.units_mut();
        *units.ok_or_else(|| Error::Usage(format!("{name} has no latent states: leave out --states")))? = states;
    }
    settings.leaf = args.leaf.unwrap_or(settings.leaf);
    settings.epochs = args.epochs.unwrap_or(settings.epochs);
    settings.batch = args.batch.unwrap_or(settings.batch);
    Ok(settings)
}

/// Refuses options that are of another family of models.
fn refuse(args: &Args, others: &[(&str, bool)], family: &str) -> Result<()> {
    match others.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Error::Usage(format!("{} is {family}: leave out {option}", args.structure))),
        None => Ok(()),
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    if !(0.0..1.0).contains(&args.valid) {
        return Err(Error::out_of_range("--valid", args.valid, "0 ≤ valid < 1"));
    }
    let every = Duration::try_from_secs_f64(args.checkpoint_every)
        .map_err(|_| Error::out_of_range("--checkpoint-every", args.checkpoint_every, "0 ≤ seconds"))?;
    let written = [("--out", Some(args.out.as_path())), ("--checkpoint", args.checkpoint.as_deref())];
    super::keep_apart(&[("--data", &args.data)], &written)?;
    // Before an hour of work rather than after it.
    if let Some(folder) = args.out.parent().filter(|f| !f.as_os_str().is_empty() && !f.is_dir()) {
        return Err(Error::file(folder, "no such folder to write the model into"));
    }
    let checkpoint = args.checkpoint.clone().map(|path| Checkpoint { path, every, resume: args.resume });
    if let Some(kind) = FlowKind::ALL.into_iter().find(|kind| kind.name() == args.structure) {
        let given = [
            ("--states", args.states.is_some()),
            ("--class", args.class.is_some()),
            ("--leaf", args.leaf.is_some()),
            ("--categories", args.categories.is_some()),
        ];
        refuse(args, &given, "a flow")?;
        return fit_flow::run(args, kind, checkpoint, context);
    }
    let given =
        [("--layers", args.layers.is_some()), ("--hidden", args.hidden.is_some()), ("--rate", args.rate.is_some())];
    refuse(args, &given, "a circuit")?;
    let settings = settings(args)?;
    let report = if settings.leaf == Leaf::Gaussian {
        fit_reals(args, &settings, checkpoint, context.seed)?
    } else {
        fit_categories(args, &settings, checkpoint, context.seed)?
    };
    context.print(&report, |r| {
        let valid = r.valid_bits_per_dim.map(|v| format!(", validation {v:.4}")).unwrap_or_default();
        let (train, epochs, seconds) = (r.train_bits_per_dim, r.epochs, r.seconds);
        let epochs = super::counted(epochs, "epoch");
        format!("{}\n{epochs}, {seconds:.1} s; bits/dim: train {train:.4}{valid}\nwritten to {}", r.summary, r.out)
    });
    Ok(())
}

fn fit_categories(args: &Args, settings: &FitCircuit, checkpoint: Option<Checkpoint>, seed: Seed) -> Result<Report> {
    let rows = open_rows(&args.data, Coding::Learn(args.categories))?;
    let split = Split::random(rows.len(), args.valid, 0.0, seed);
    let (train, valid) = (Subset::new(&*rows, split.train), Subset::new(&*rows, split.valid));
    let bar = Bar::new(&args.structure);
    let (circuit, history) = settings.fit_with(&train, Some(&valid), seed, checkpoint, &mut |progress| {
        bar.show(progress);
        ControlFlow::Continue(())
    })?;
    drop(bar);
    circuit.save(&args.out, &*rows)?;
    let bits = |rows: &dyn Rows| circuit.evidence(rows).and_then(|e| e.bits_per_dim());
    let train = bits(&train).map_err(|e| Error::file(&args.data, e))?;
    let valid = if valid.is_empty() { None } else { bits(&valid).ok() };
    Ok(Report::new(args, &circuit.summary(), circuit.to_string(), &*rows, &history, train, valid))
}

fn fit_reals(args: &Args, settings: &FitCircuit, checkpoint: Option<Checkpoint>, seed: Seed) -> Result<Report> {
    if args.categories.is_some() {
        return Err(Error::Usage("gaussian leaves have no categories: leave out --categories".into()));
    }
    let rows = Table::load(&args.data)?;
    let split = Split::random(rows.len(), args.valid, 0.0, seed);
    let train = rows.select(&split.train);
    let valid = (!split.valid.is_empty()).then(|| rows.select(&split.valid));
    let bar = Bar::new(&args.structure);
    let (circuit, history) = settings.fit_reals_with(&train, valid.as_ref(), seed, checkpoint, &mut |progress| {
        bar.show(progress);
        ControlFlow::Continue(())
    })?;
    drop(bar);
    circuit.save(&args.out, &rows)?;
    let bits = |rows: &Table| circuit.evidence(rows).and_then(|e| e.bits_per_dim());
    let train = bits(&train).map_err(|e| Error::file(&args.data, e))?;
    let valid = valid.and_then(|rows| bits(&rows).ok());
    Ok(Report::new(args, &circuit.summary(), circuit.to_string(), &rows, &history, train, valid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_says_the_defaults() {
        assert_eq!(toml::from_str::<FitCircuit>(DEFAULTS).unwrap(), FitCircuit::default());
        for name in Structure::NAMES {
            assert!(STRUCTURES.contains(name), "{name}");
        }
    }
}
