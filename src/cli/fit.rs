//! `limbeck fit`

use super::{
    Context,
    files::keep_apart,
    input::{Seen, Text},
};
use crate::{
    Error, Result,
    data::{Coding, ColumnSummary, Reading, Rows, Schema, Split, Subset, load_with, open_rows},
    error::counted,
    evidence::AnyEvidence,
    model::{AnyFit, Entry, Model, Origin, Reads, Setting, wanted},
    models,
    train::{Bar, Checkpoint, Estimate, History, Run},
};
use clap::{Arg, ArgMatches, Command, FromArgMatches, parser::ValueSource};
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// Whether the user has asked for the end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What to fit, its settings as they were given, and what all models are told.
#[derive(Debug)]
pub(super) struct Args {
    model: String,
    overrides: Vec<(Setting, toml::Value)>,
    common: Common,
}

/// What every model is told.
#[derive(Debug, clap::Args)]
struct Common {
    /// The rows to learn from.
    #[arg(long, required_unless_present = "print_config")]
    data: Option<PathBuf>,
    /// The model file to write.
    #[arg(long, required_unless_present_any = ["print_config", "dry_run"])]
    out: Option<PathBuf>,
    /// Settings in TOML; an option given here wins over the file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the settings as TOML, and fit nothing.
    #[arg(long)]
    print_config: bool,
    /// Read the data, print what the run would take, and fit nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    text: Text,
    #[command(flatten)]
    seen: Seen,
    /// Add noise from [0, 1) to columns of whole numbers, of which a density would grow without end; samples are whole again.
    #[arg(long)]
    dequantise: bool,
    /// Categories of every variable; found in the data where not given.
    #[arg(long, value_parser = super::positive)]
    categories: Option<usize>,
    /// Characters of a row, where the data is a text [default: 64].
    #[arg(long, value_parser = super::positive)]
    length: Option<usize>,
    /// The part of the rows that decides when to stop, 0 for none.
    #[arg(long, default_value_t = 0.1, allow_negative_numbers = true)]
    valid: f64,
    /// Learn on a GPU, in a build with the feature `cuda`: flows, and circuits of categories.
    #[arg(long)]
    gpu: bool,
    /// Parts of the run at a time, where it has parts that know nothing of each other: the clusters of lvd-pg.
    #[arg(long, default_value_t = 1, value_parser = super::positive)]
    jobs: usize,
    /// A file to continue from after an interruption, written every half minute.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Seconds between two writes of the checkpoint.
    #[arg(long, default_value_t = 30.0, requires = "checkpoint", value_name = "SECONDS")]
    checkpoint_every: f64,
    /// Go on from the checkpoint, if there is one.
    #[arg(long, requires = "checkpoint")]
    resume: bool,
}

/// A subcommand a model, which knows that model's settings alone.
impl clap::Args for Args {
    fn augment_args(command: Command) -> Command {
        let models = models::entries().into_iter().map(|entry| {
            let options: Vec<Arg> = entry.settings.iter().map(|setting| option(setting, &entry)).collect();
            // What is common has a description of its own, which the model's replaces.
            Common::augment_args(Command::new(entry.name))
                .about(entry.about)
                .long_about(None)
                .next_help_heading("Settings")
                .args(options)
        });
        command
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand_value_name("MODEL")
            .subcommand_help_heading("Models")
            .subcommands(models)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Args {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let none = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (model, matches) = matches.subcommand().ok_or_else(none)?;
        let entry = models::entries().into_iter().find(|entry| entry.name == model).ok_or_else(none)?;
        let given = |setting: &&Setting| matches.value_source(setting.key) == Some(ValueSource::CommandLine);
        let overrides = entry.settings.iter().filter(given);
        let overrides = overrides.filter_map(|s| Some((*s, matches.get_one::<toml::Value>(s.key)?.clone()))).collect();
        Ok(Self { model: model.into(), overrides, common: Common::from_arg_matches(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The option of a setting, whose values are of the type of the usual one.
fn option(setting: &Setting, entry: &Entry) -> Arg {
    let usual = setting.of(&entry.usual).cloned().unwrap_or(toml::Value::Boolean(false));
    let shown = match &usual {
        toml::Value::String(text) if text.is_empty() => String::new(),
        value => format!(" [usual: {}]", value.to_string().trim_matches('"')),
    };
    let name = setting.option();
    let arg = Arg::new(setting.key).help(format!("{}{shown}", setting.help));
    // The size of a block has three names, and each is understood.
    let arg = match name.as_str() {
        "components" => arg.visible_alias("states"),
        "states" => arg.visible_alias("units"),
        "units" => arg.visible_alias("states"),
        _ => arg,
    };
    let arg = arg.long(name).allow_negative_numbers(true).value_parser(move |text: &str| value(text, &usual));
    match setting.of(&entry.usual) {
        Some(toml::Value::Boolean(_)) => arg.num_args(0..=1).default_missing_value("true").value_name("BOOL"),
        Some(toml::Value::Integer(_)) => arg.value_name("N"),
        Some(toml::Value::Float(_)) => arg.value_name("X"),
        _ => arg.value_name("NAME"),
    }
}

/// A value of the type of `like`.
fn value(text: &str, like: &toml::Value) -> std::result::Result<toml::Value, String> {
    let found = match like {
        toml::Value::Integer(_) => text.parse().ok().filter(|n| *n >= 0).map(toml::Value::Integer),
        toml::Value::Float(_) => text.parse().ok().filter(|x: &f64| x.is_finite()).map(toml::Value::Float),
        toml::Value::Boolean(_) => text.parse().ok().map(toml::Value::Boolean),
        _ => Some(toml::Value::String(text.into())),
    };
    found.ok_or_else(|| wanted(like).into())
}

/// The usual settings, those of the file over them, and the options over both.
fn settings(args: &Args, entry: &Entry) -> Result<Box<dyn AnyFit>> {
    let mut given = toml::Table::new();
    if let Some(path) = &args.common.config {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        given = toml::from_str(&text).map_err(|e| Error::file(path, shortened(e.to_string().trim_end())))?;
    }
    for (setting, value) in &args.overrides {
        setting.put(&mut given, value.clone());
    }
    let overridden = |key: &str| args.overrides.iter().any(|(setting, _)| setting.key == key);
    let origin = |key: &str| match &args.common.config {
        Some(path) if !overridden(key) => path.display().to_string(),
        _ => "the command line".into(),
    };
    let usage = |e: Error| if args.common.config.is_none() { Error::Usage(e.to_string()) } else { e };
    let fit = entry.settings(&given, &origin).map_err(usage)?;
    match (&args.common.config, fit.checked()) {
        // The settings of a file alone are the file's.
        (Some(path), Err(e)) if args.overrides.is_empty() => Err(Error::file(path, e)),
        (_, checked) => checked.map(|()| fit),
    }
}

/// A message that quotes no more of a file than a reader wants.
fn shortened(message: &str) -> String {
    let line = |line: &str| match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    };
    message.lines().map(line).collect::<Vec<_>>().join("\n")
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
    evidence: &'static str,
    space: String,
    /// Nats a row.
    train_log_prob: f64,
    valid_log_prob: Option<f64>,
    valid_standard_error: Option<f64>,
    /// Where the likelihood is a code length.
    train_bits_per_dim: Option<f64>,
    valid_bits_per_dim: Option<f64>,
    warnings: Vec<String>,
    #[serde(skip)]
    summary: String,
}

impl Report {
    fn text(&self) -> String {
        let (train, valid, unit) = match (self.train_bits_per_dim, self.valid_bits_per_dim) {
            (Some(train), valid) => (train, valid.map(|v| format!(", validation {v:.4}")), "bits/dim"),
            (None, _) => {
                let error = self.valid_standard_error.map(|e| format!(" ± {e:.4}")).unwrap_or_default();
                let valid = self.valid_log_prob.map(|v| format!(", validation {v:.4}{error}"));
                (self.train_log_prob, valid, "nats a row")
            }
        };
        let (epochs, seconds, valid) = (counted(self.epochs, "epoch"), self.seconds, valid.unwrap_or_default());
        let (summary, out, evidence) = (&self.summary, &self.out, self.evidence);
        format!("{summary}\n{epochs}, {seconds:.1} s; {unit} ({evidence}): train {train:.4}{valid}\nwritten to {out}")
    }
}

/// Refuses a model's file that has the name of a part of the checkpoint.
fn is_no_part(out: Option<&Path>, checkpoint: Option<&Path>) -> Result<()> {
    let (Some(out), Some(checkpoint)) = (out, checkpoint) else { return Ok(()) };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if out.parent() == checkpoint.parent() && name(out).starts_with(&format!("{}.", name(checkpoint))) {
        return Err(Error::file(out, "has the name of a part of the checkpoint: give it another"));
    }
    Ok(())
}

/// What `--dry-run` prints.
#[derive(serde::Serialize)]
struct DryRun {
    model: &'static str,
    /// To learn from.
    rows: usize,
    variables: usize,
    estimate: Option<Estimate>,
}

impl DryRun {
    fn text(&self) -> String {
        let Self { model, rows, variables, estimate } = self;
        let fitted = format!("{model} from {} of {variables} values", counted(*rows, "row"));
        match estimate {
            Some(estimate) => format!("{fitted}\n{estimate}\n{}", estimate.line()),
            None => format!("{fitted}; how long it takes is not estimated for this model"),
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let entries = models::entries();
    let entry = entries.iter().find(|entry| entry.name == args.model);
    let entry = entry.ok_or_else(|| Error::Usage(format!("no model called {}", args.model)))?;
    let fit = settings(args, entry)?;
    let table = entry.of_use(&fit.table()?);
    if args.common.print_config {
        return context.print(&table, |table| entry.document(table));
    }
    let common = &args.common;
    if common.gpu && !cfg!(feature = "cuda") {
        return Err(crate::nn::device::no_gpu());
    }
    let Some(data) = &common.data else {
        return Err(Error::Usage("--data is needed".into()));
    };
    let out = common.out.as_deref().unwrap_or(Path::new(""));
    if common.out.is_none() && !common.dry_run {
        return Err(Error::Usage("--out is needed".into()));
    }
    if !(0.0..1.0).contains(&common.valid) {
        return Err(Error::out_of_range("--valid", common.valid, "0 ≤ valid < 1"));
    }
    let every = Duration::try_from_secs_f64(common.checkpoint_every)
        .map_err(|_| Error::out_of_range("--checkpoint-every", common.checkpoint_every, "0 ≤ seconds"))?;
    let mut read = vec![("--data", data.as_path())];
    read.extend(common.config.as_deref().map(|path| ("--config", path)));
    let files = fit.reads_files();
    read.extend(files.iter().map(|(option, path)| (*option, path.as_path())));
    is_no_part(common.out.as_deref(), common.checkpoint.as_deref())?;
    keep_apart(&read, &[("--out", common.out.as_deref()), ("--checkpoint", common.checkpoint.as_deref())])?;
    let checkpoint = common.checkpoint.as_deref().filter(|_| !common.dry_run);
    if let Some(path) = checkpoint.filter(|path| path.exists() && !common.resume) {
        let remedy = "--resume goes on with it; take another file, or remove this one, to begin anew";
        return Err(Error::file(path, format!("is there already: {remedy}")));
    }
    let checkpoint = common.checkpoint.clone().map(|path| Checkpoint { path, every, resume: common.resume });

    let (mut dequantised, view): (Vec<String>, _) = (Vec::new(), common.seen.view());
    let reading = Reading { length: common.length, ..common.text.reading() };
    let rows: Box<dyn Rows> = match (fit.columns(), common.categories) {
        (Reads::Categories, _) if common.dequantise => {
            return Err(Error::Usage(format!("{} reads categories here: leave out --dequantise", entry.name)));
        }
        (Reads::Categories, categories) => {
            let rows = open_rows(data, &reading, Coding::Learn(categories))?;
            let seen = |rows| view.of(rows).map_err(|e| Error::file(data, e));
            if view.is_plain() { rows } else { Box::new(seen(rows)?) }
        }
        (Reads::Reals, _) if !view.is_plain() => {
            let remedy = "leave out --colour and --quarter";
            return Err(Error::Usage(format!("{} reads real numbers here: {remedy}", entry.name)));
        }
        (Reads::Reals, None) => {
            let rows = load_with(data, &reading)?.continuous(None)?;
            if common.dequantise {
                let whole = ColumnSummary::of(&rows)?.into_iter().filter(|column| column.whole);
                dequantised = whole.map(|column| column.name).collect();
                if dequantised.is_empty() {
                    context.note("--dequantise changes nothing: no column is of whole numbers");
                }
            }
            Box::new(rows.dequantised_in(&dequantised, context.seed))
        }
        (Reads::Reals, Some(_)) => {
            let remedy = "leave out --categories";
            return Err(Error::Usage(format!("{} reads real numbers here: {remedy}", entry.name)));
        }
    };
    let split = Split::random(rows.len(), common.valid, 0.0, context.seed);
    let (train, valid) = (Subset::new(&*rows, split.train), Subset::new(&*rows, split.valid));
    let here = |e: Error| match e {
        Error::Invalid(problem) => Error::file(data, problem),
        other => other,
    };
    let estimate = fit.estimated(&train, common.jobs).map_err(here)?;
    if common.dry_run {
        let size = DryRun { model: entry.name, rows: train.len(), variables: train.schema().len(), estimate };
        return context.print(&size, DryRun::text);
    }
    if let Some(estimate) = &estimate {
        context.note(&format!("{}; --dry-run shows its parts", estimate.line()));
    }
    let bar = Bar::new(entry.name);
    let (mut stopped, interrupts) = (None, checkpoint.is_some());
    if interrupts {
        // What has been learned is in the checkpoint, and the next run goes on from there.
        let _ = ctrlc::set_handler(|| {
            // Where no step ends soon, to ask again is to end at once: the checkpoint is whole whenever that is.
            if INTERRUPTED.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        });
    }
    let mut watch = |progress: &crate::train::Progress| {
        bar.show(progress);
        if interrupts && INTERRUPTED.load(Ordering::Relaxed) && progress.step < progress.steps {
            stopped = Some(progress.step);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let run = Run { checkpoint, gpu: common.gpu, jobs: common.jobs, ..Run::new(context.seed, &mut watch) };
    let (model, history) = fit.fit_any(&train, Some(&valid), run).map_err(here)?;
    drop(bar);
    if let (Some(step), Some(path)) = (stopped, &common.checkpoint) {
        return Err(Error::Interrupted { step, checkpoint: path.display().to_string() });
    }
    let origin = Origin { dequantised, view, ..Origin::of(&*rows)?.fitted(table, context.seed, history.clone()) };
    model.save(out, &origin)?;
    let seen = |evidence: AnyEvidence| if view.is_plain() { Ok(evidence) } else { evidence.of_mapped(view.space()) };
    let score = |rows: &dyn Rows| model.score(rows, context.seed).and_then(seen).map_err(here);
    let waiting = Bar::waiting("its score");
    let valid = if valid.is_empty() { None } else { Some(score(&valid)?) };
    let report = report(&*model, out.display().to_string(), rows.len(), &history, (&score(&train)?, valid.as_ref()));
    drop(waiting);
    report.warnings.iter().for_each(|warning| context.note(warning));
    context.print(&report, Report::text)
}

fn report(
    model: &dyn Model,
    out: String,
    rows: usize,
    history: &History,
    (train, valid): (&AnyEvidence, Option<&AnyEvidence>),
) -> Report {
    Report {
        model: model.kind().into(),
        out,
        rows,
        variables: model.schema().len(),
        parameters: model.parameters(),
        epochs: history.epochs().len(),
        seconds: history.last().map_or(0.0, |r| r.seconds),
        evidence: train.certainty(),
        space: train.space().to_string(),
        train_log_prob: train.mean(),
        valid_log_prob: valid.map(AnyEvidence::mean),
        valid_standard_error: valid.filter(|e| e.log_probs().len() > 1).map(AnyEvidence::standard_error),
        train_bits_per_dim: train.bits_per_dim(),
        valid_bits_per_dim: valid.and_then(AnyEvidence::bits_per_dim),
        warnings: history.warnings().into_iter().chain(knows_nothing(model.schema(), train)).collect(),
        summary: model.to_string(),
    }
}

/// A warning where the rows that a model has learned from cost more than when all values are alike.
fn knows_nothing(schema: &Schema, train: &AnyEvidence) -> Option<String> {
    let (bits, categories) = (train.bits_per_dim()?, schema.variables.iter().map(|v| v.categories).max()?);
    let alike = (categories as f64).log2();
    (categories > 0 && bits > alike + 1e-6).then(|| {
        format!(
            "the rows it has learned from cost {bits:.4} bits/dim, and {alike:.4} where all {categories} categories are alike: it may have \
             run away (a smaller rate), or not have learned enough"
        )
    })
}
