//! `limbeck sample` and `limbeck query`

use super::{Context, ModelFile, files::keep_apart, known::Known};
use crate::{
    Error, Result,
    data::{Colour, Dataset, Discrete, Rows, Schema, load::stream_npy},
    error::counted,
    evidence::{Certainty, Exact},
    model::{HowDrawn, Model, Origin, Queries},
    models,
    train::Bar,
};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct SampleArgs {
    #[command(flatten)]
    model: ModelFile,
    /// How many rows.
    #[arg(long, value_parser = super::positive)]
    n: usize,
    /// Where to: .npy or .csv; of text .txt, of pictures .png, too.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    how: How,
}

/// How rows are drawn, where a model leaves a choice.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Of diffusion models")]
pub(super) struct How {
    /// Steps in which noise is taken away; all of them where not given.
    #[arg(long, value_parser = super::positive)]
    steps: Option<usize>,
    /// What logits are divided by: below 1 likely values become likelier.
    #[arg(long)]
    temperature: Option<f64>,
    /// Draw each value from the likeliest ones that have this much of the mass together.
    #[arg(long)]
    top_p: Option<f64>,
    /// The sampler, and its number: "ancestral", "ddim:SHARE", "remask:ETA", "gibbs:MOVES".
    #[arg(long, value_name = "NAME")]
    sampler: Option<String>,
}

impl How {
    pub(super) fn drawn(&self) -> HowDrawn {
        HowDrawn {
            steps: self.steps,
            temperature: self.temperature.unwrap_or(1.0),
            top_p: self.top_p.unwrap_or(1.0),
            sampler: self.sampler.clone(),
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct QueryArgs {
    #[command(flatten)]
    model: ModelFile,
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, clap::Subcommand)]
enum Question {
    /// The distribution of each variable given what is known of its row.
    Conditional {
        #[command(flatten)]
        known: Known,
        /// Only of this variable (its name, or its number from 0).
        #[arg(long, allow_hyphen_values = true)]
        variable: Option<String>,
        /// Write the probabilities into this .npy file: (rows, variables, categories), or (rows, categories) of one variable.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Draw what is missing, jointly, given what is known of its row.
    Inpaint {
        #[command(flatten)]
        known: Known,
        /// Where to: .npy or .csv.
        #[arg(long)]
        out: PathBuf,
        /// Independent drawings of each row, one after the other.
        #[arg(long, default_value_t = 1, value_parser = super::positive)]
        draws: usize,
    },
    /// Fill what is missing by the most probable completion; exact where the circuit is deterministic, a good one elsewhere.
    Map {
        #[command(flatten)]
        known: Known,
        /// Where to: .npy or .csv.
        #[arg(long)]
        out: PathBuf,
    },
    /// Which variable to look at next, to learn most of another.
    Next {
        #[command(flatten)]
        known: Known,
        /// The variable to learn of (its name, or its number from 0).
        #[arg(long, allow_hyphen_values = true)]
        target: String,
    },
    /// Mean and standard deviation of each missing variable, categories counting as numbers.
    Moments {
        #[command(flatten)]
        known: Known,
    },
    /// The entropy of a deterministic model (chow-liu, naive-bayes), nats.
    Entropy,
    /// Cross-entropy and Kullback-Leibler divergence from a deterministic model to another of the same graph, nats.
    Divergence {
        /// The other model, as `limbeck fit` wrote it.
        other: PathBuf,
    },
}

#[derive(serde::Serialize)]
pub(super) struct Written {
    rows: usize,
    out: String,
}

impl Written {
    pub(super) fn print(rows: usize, out: &Path, context: &Context) -> Result<()> {
        let report = Written { rows, out: out.display().to_string() };
        context.print(&report, |r| format!("{} written to {}", counted(r.rows, "row"), r.out))
    }
}

/// What is said where a question has no answer.
const NOTHING_MISSING: &str = "nothing is missing: every value of every row is known";

/// The most values that are drawn at once.
const MOST_VALUES: usize = 1 << 31;

/// As many rows as `times` each of `rows` makes, if their values can be in memory together.
fn fitting(times: usize, rows: usize, columns: usize, option: &str) -> Result<usize> {
    let values = times.checked_mul(rows).and_then(|n| n.checked_mul(columns));
    values.filter(|values| *values <= MOST_VALUES).map(|_| times * rows).ok_or_else(|| {
        let most = MOST_VALUES / (rows * columns).max(1);
        Error::invalid(format!("{option} {times}: at most {most} fit in memory; draw more with other seeds"))
    })
}

pub(super) fn sample(args: &SampleArgs, context: &Context) -> Result<()> {
    keep_apart(&[("MODEL", &args.model.path)], &[("--out", Some(&args.out))])?;
    let (model, origin) = args.model.load()?;
    let n = fitting(args.n, 1, model.schema().len(), "--n")?;
    let how = args.how.drawn();
    let waiting = Bar::waiting("samples");
    let rows = if how == HowDrawn::default() {
        model.sample(n, context.seed)?
    } else {
        let queries = args.model.queries(&*model)?;
        queries.complete_as(&Dataset::Discrete(Discrete::all_missing(model.schema().clone(), n)), &how, context.seed)?
    };
    drop(waiting);
    as_they_were(rows, &origin, context)?.save(&args.out)?;
    say_what_is_seen(&origin, context);
    Written::print(n, &args.out, context)
}

/// Rows as those that the model was fitted to, before they had noise or their colours other coordinates; these stay where several
/// colours became one.
pub(super) fn as_they_were(rows: Dataset, origin: &Origin, context: &Context) -> Result<Dataset> {
    Ok(match rows {
        Dataset::Continuous(rows) => rows.floored_in(&origin.dequantised).into(),
        Dataset::Discrete(rows) if origin.view.colour.is_some_and(Colour::is_lossless) => {
            let (back, moved) = origin.view.undo(&rows)?;
            if moved > 0 {
                let pixels = counted(moved, "pixel");
                context.note(&format!("{pixels} beyond the colours that there are went to their edge"));
            }
            back.into()
        }
        rows @ Dataset::Discrete(_) => rows,
    })
}

/// Says where pictures are not those of the data.
fn say_what_is_seen(origin: &Origin, context: &Context) {
    if !origin.view.is_lossless() {
        context.note(&format!("pictures are {}, as the model sees them", origin.view.space()));
    }
}

pub(super) fn run(args: &QueryArgs, context: &Context) -> Result<()> {
    let (known, out) = match &args.question {
        Question::Conditional { known, out, .. } => (Some(known), out.as_deref()),
        Question::Inpaint { known, out, .. } | Question::Map { known, out } => (Some(known), Some(out.as_path())),
        Question::Next { known, .. } | Question::Moments { known } => (Some(known), None),
        Question::Entropy | Question::Divergence { .. } => (None, None),
    };
    let data = known.and_then(|known| known.data.as_deref()).map(|path| ("--data", path));
    let read: Vec<_> = std::iter::once(("MODEL", args.model.path.as_path())).chain(data).collect();
    keep_apart(&read, &[("--out", out)])?;
    let (model, origin) = args.model.load()?;
    let (queries, schema) = (args.model.queries(&*model)?, model.schema());
    if let Some(colour) = origin.view.colour {
        let name = colour.name();
        context.note(&format!(
            "variables are coordinates of {name} colours, also in --given; --data has red, green and blue"
        ));
    }
    match &args.question {
        Question::Conditional { known, variable, out } => {
            let chosen = variable.as_ref().map(|name| schema.index(name)).transpose()?;
            conditional((&*model, queries), &known.rows(&*model, &origin, context)?, chosen, out.as_deref(), context)
        }
        Question::Inpaint { known, out, draws } => {
            let rows = known.rows(&*model, &origin, context)?;
            fitting(*draws, rows.len(), schema.len(), "--draws")?;
            let repeated: Vec<usize> = (0..rows.len()).flat_map(|row| std::iter::repeat_n(row, *draws)).collect();
            as_they_were(queries.complete(&rows.select(&repeated), context.seed)?, &origin, context)?.save(out)?;
            say_what_is_seen(&origin, context);
            Written::print(repeated.len(), out, context)
        }
        Question::Map { known, out } => map((queries, &origin), &known.rows(&*model, &origin, context)?, out, context),
        Question::Next { known, target } => {
            let rows = known.rows(&*model, &origin, context)?;
            if rows.len() != 1 {
                let problem =
                    format!("{} there; what to look at next is a question about one row", counted(rows.len(), "row"));
                return Err(Error::Usage(problem));
            }
            next(queries, &rows, (schema, schema.index(target)?), context)
        }
        Question::Moments { known } => {
            moments(queries, &known.rows(&*model, &origin, context)?, (schema, &origin), context)
        }
        Question::Entropy => {
            // Plus nothing: what is −0 is 0.
            let report = Entropy { entropy: queries.entropy()? + 0.0 };
            context.print(&report, |r| format!("{:.4} nats", r.entropy))
        }
        Question::Divergence { other } => {
            let (cross_entropy, kl) = queries.divergence(&*models::load(other)?.0)?;
            context.print(&Divergence { cross_entropy, kl }, |r| {
                format!("cross-entropy {:.4} nats, divergence {:.4} nats", r.cross_entropy, r.kl)
            })
        }
    }
}

#[derive(serde::Serialize)]
struct Entropy {
    entropy: f64,
}

#[derive(serde::Serialize)]
struct Divergence {
    /// Null for ∞.
    cross_entropy: f64,
    kl: f64,
}

#[derive(serde::Serialize)]
struct Completed {
    rows: usize,
    out: String,
    mean_log_prob: f64,
    /// Of the largest likelihood of a completion.
    evidence: &'static str,
}

fn map((queries, origin): (&dyn Queries, &Origin), rows: &Dataset, out: &Path, context: &Context) -> Result<()> {
    let (best, evidence) = queries.map(rows)?;
    let best = as_they_were(best, origin, context)?;
    best.save(out)?;
    say_what_is_seen(origin, context);
    let (mean_log_prob, evidence) = (evidence.mean(), evidence.certainty());
    let report = Completed { rows: best.len(), out: out.display().to_string(), mean_log_prob, evidence };
    context.print(&report, |r| {
        let kind =
            if r.evidence == Exact::NAME { "no completion is more probable" } else { "a lower bound on the best" };
        let rows = counted(r.rows, "row");
        format!("{rows} written to {}; mean log-likelihood {:.4} nats ({kind})", r.out, r.mean_log_prob)
    })
}

#[derive(serde::Serialize)]
struct Gain<'a> {
    variable: &'a str,
    nats: f64,
}

#[derive(serde::Serialize)]
struct Gains<'a> {
    target: &'a str,
    gains: Vec<Gain<'a>>,
}

fn next(queries: &dyn Queries, row: &Dataset, (schema, target): (&Schema, usize), context: &Context) -> Result<()> {
    let name = |v: usize| schema.variables[v].name.as_str();
    let gains = queries.next_variable(row, target)?;
    let gains = gains.into_iter().map(|(v, nats)| Gain { variable: name(v), nats }).collect();
    context.print(&Gains { target: name(target), gains }, |r| {
        let lines = r.gains.iter().take(10).map(|g| format!("{}: {:.4} nats\n", g.variable, g.nats));
        if r.gains.is_empty() { "every other column is known: none is left to look at".into() } else { lines.collect() }
    })
}

#[derive(serde::Serialize)]
struct Moment<'a> {
    row: usize,
    variable: &'a str,
    mean: f64,
    standard_deviation: f64,
}

#[derive(serde::Serialize)]
struct AllMoments<'a> {
    moments: Vec<Moment<'a>>,
}

/// Of the missing variables whose values are numbers.
fn moments(
    queries: &dyn Queries,
    rows: &Dataset,
    (schema, origin): (&Schema, &Origin),
    context: &Context,
) -> Result<()> {
    let width = schema.len();
    let words = |v: usize| schema.variables[v].words.is_some();
    let missing = |(row, v): &(usize, usize)| rows.is_missing(*row, *v);
    let cells = (0..rows.len()).flat_map(|row| (0..width).map(move |v| (row, v))).filter(missing);
    let (named, numbers): (Vec<_>, Vec<_>) = cells.partition(|(_, v)| words(*v));
    if let (Some((_, v)), []) = (named.first(), numbers.as_slice()) {
        let name = &schema.variables[*v].name;
        let remedy = format!("ask for `conditional --variable {name}`");
        return Err(Error::Usage(format!("{name} is of words, which have no mean: {remedy}")));
    }
    let found = queries.moments(rows)?;
    let moment = |(row, v): (usize, usize)| {
        let (of, name) = (found[row * width + v], &schema.variables[v].name);
        // Noise from [0, 1) has mean ½ and variance 1/12.
        let (mean, variance) = if origin.dequantised.contains(name) { (0.5, 1.0 / 12.0) } else { (0.0, 0.0) };
        let (mean, standard_deviation) = (of.mean - mean, (of.variance - variance).max(0.0).sqrt());
        Moment { row, variable: name, mean, standard_deviation }
    };
    context.print(&AllMoments { moments: numbers.into_iter().map(moment).collect() }, |r| {
        let line = |m: &Moment| format!("row {}, {}: {:.4} ± {:.4}\n", m.row, m.variable, m.mean, m.standard_deviation);
        if r.moments.is_empty() { NOTHING_MISSING.into() } else { r.moments.iter().map(line).collect() }
    })
}

#[derive(serde::Serialize)]
struct Distribution<'a> {
    row: usize,
    variable: &'a str,
    categories: Vec<String>,
    probabilities: Vec<f64>,
}

#[derive(serde::Serialize)]
struct Distributions<'a> {
    distributions: Vec<Distribution<'a>>,
}

impl Distribution<'_> {
    /// The six most probable categories.
    fn line(&self) -> String {
        let mut likely: Vec<_> = self.categories.iter().zip(&self.probabilities).collect();
        likely.sort_by(|a, b| b.1.total_cmp(a.1));
        let shown: Vec<_> = likely.iter().take(6).map(|(c, p)| format!("{c} {p:.4}")).collect();
        let more = if likely.len() > 6 { ", …" } else { "" };
        format!("row {}, {}: {}{more}\n", self.row, self.variable, shown.join(", "))
    }
}

/// Of one variable, or of all: the missing ones as text, every one in a file.
fn conditional(
    (model, queries): (&dyn Model, &dyn Queries),
    rows: &Dataset,
    chosen: Option<usize>,
    out: Option<&Path>,
    context: &Context,
) -> Result<()> {
    let variables = &model.schema().variables;
    let asked = chosen.map_or_else(|| (0..variables.len()).collect(), |v| vec![v]);
    if let Some(path) = out {
        let most = asked.iter().map(|v| variables[*v].categories).max().unwrap_or(0);
        let shape = if chosen.is_some() { vec![rows.len(), most] } else { vec![rows.len(), asked.len(), most] };
        stream_npy(path, &shape, |put| {
            queries.conditionals(rows, &asked, &mut |_, _, probabilities| {
                put(probabilities)?;
                put(&vec![0.0; most - probabilities.len()])
            })
        })?;
        return Written::print(rows.len(), path, context);
    }
    let mut distributions = Vec::new();
    queries.conditionals(rows, &asked, &mut |row, v, probabilities| {
        if chosen.is_some() || rows.is_missing(row, v) {
            let variable = &variables[v];
            let categories =
                (0..variable.categories).map(|c| variable.words.as_ref().map_or(c.to_string(), |w| w[c].clone()));
            let (categories, probabilities) = (categories.collect(), probabilities.to_vec());
            distributions.push(Distribution { row, variable: &variable.name, categories, probabilities });
        }
        Ok(())
    })?;
    context.print(&Distributions { distributions }, |r| match r.distributions.as_slice() {
        [] => NOTHING_MISSING.into(),
        all => all.iter().map(Distribution::line).collect(),
    })
}
