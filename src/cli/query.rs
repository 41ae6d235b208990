//! `limbeck sample` and `limbeck query`

use super::{Context, ModelFile};
use crate::{
    Error, Result,
    circuits::{Circuit, Deterministic, Moments, RealCircuit},
    data::{Coding, Discrete, MISSING, Rows, Schema, Table, load, load::write_npy, save_discrete},
    evidence::{Certainty, Exact, LowerBound},
};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct SampleArgs {
    #[command(flatten)]
    model: ModelFile,
    /// How many rows.
    #[arg(long, value_parser = super::positive)]
    n: usize,
    /// Where to: .npy or .csv.
    #[arg(long)]
    out: PathBuf,
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
        #[arg(long)]
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
        #[arg(long)]
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

/// What is known: a file of rows, or one row on the command line.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Known {
    /// Rows with missing values.
    #[arg(long)]
    data: Option<PathBuf>,
    /// One row: `name=value,…`; what is not named is missing.
    #[arg(long, value_name = "NAME=VALUE,…")]
    given: Option<String>,
}

impl Known {
    fn rows(&self, schema: &Schema) -> Result<Discrete> {
        match (&self.data, &self.given) {
            (Some(path), _) => load(path)?.discrete(Coding::Use(schema)),
            (None, given) => row(schema, given.as_deref().unwrap_or_default()),
        }
    }

    fn reals(&self, schema: &Schema) -> Result<Table> {
        if let Some(path) = &self.data {
            return Table::load(path);
        }
        let mut values = vec![f64::NAN; schema.len()];
        for (v, value) in pairs(schema, self.given.as_deref().unwrap_or_default())? {
            let number = value.parse().ok().filter(|x: &f64| x.is_finite());
            let name = &schema.variables[v].name;
            values[v] = number.ok_or_else(|| Error::invalid(format!("{name}: {value} is not a number")))?;
        }
        Table::new(schema.variables.iter().map(|v| v.name.clone()).collect(), values)
    }
}

/// `name=value,…`, each variable once.
fn pairs<'a>(schema: &Schema, given: &'a str) -> Result<Vec<(usize, &'a str)>> {
    let mut pairs: Vec<(usize, &str)> = Vec::new();
    for pair in given.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| Error::invalid(format!("{pair}: name=value is expected")))?;
        let v = schema.index(name.trim())?;
        if pairs.iter().any(|(known, _)| *known == v) {
            return Err(Error::invalid(format!("--given has two values for {}", schema.variables[v].name)));
        }
        pairs.push((v, value.trim()));
    }
    Ok(pairs)
}

/// One row of `name=value` pairs.
fn row(schema: &Schema, given: &str) -> Result<Discrete> {
    let mut codes = vec![MISSING; schema.len()];
    for (v, value) in pairs(schema, given)? {
        let (variable, name) = (&schema.variables[v], &schema.variables[v].name);
        let word = variable.words.as_ref().and_then(|words| words.iter().position(|w| w == value));
        let number = || value.parse().ok().filter(|code| variable.words.is_none() && *code < variable.categories);
        codes[v] = word.or_else(number).ok_or_else(|| {
            let known = match &variable.words {
                Some(words) => words.join(", "),
                None => format!("0..={}", variable.categories - 1),
            };
            let value = if value.is_empty() { "nothing" } else { value };
            Error::invalid(format!("{name}: {value} is not one of its categories, {known}"))
        })? as u16;
    }
    Discrete::new(schema.clone(), codes)
}

#[derive(serde::Serialize)]
pub(super) struct Written {
    rows: usize,
    out: String,
}

impl Written {
    pub(super) fn print(rows: usize, out: &std::path::Path, context: &Context) {
        let report = Written { rows, out: out.display().to_string() };
        context.print(&report, |r| format!("{} written to {}", super::counted(r.rows, "row"), r.out));
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
    super::keep_apart(&[("MODEL", &args.model.path)], &[("--out", Some(&args.out))])?;
    if let Some(flow) = args.model.load_flow()? {
        let n = fitting(args.n, 1, flow.names().len(), "--n")?;
        flow.sample(n, context.seed)?.save(&args.out)?;
        Written::print(args.n, &args.out, context);
        return Ok(());
    }
    match args.model.load_reals()? {
        Some(circuit) => {
            let n = fitting(args.n, 1, circuit.schema().len(), "--n")?;
            circuit.sample(n, context.seed)?.save(&args.out)?;
        }
        None => {
            let circuit = args.model.load()?;
            let n = fitting(args.n, 1, circuit.schema().len(), "--n")?;
            save_discrete(&args.out, &circuit.sample(n, context.seed)?)?;
        }
    }
    Written::print(args.n, &args.out, context);
    Ok(())
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
    super::keep_apart(&read, &[("--out", out)])?;
    if let Some(flow) = args.model.load_flow()? {
        let kind = flow.kind().name();
        return Err(Error::invalid(format!(
            "{kind} is a flow, which answers `score` and `sample` alone; a circuit can be asked"
        )));
    }
    if let Some(circuit) = args.model.load_reals()? {
        return of_reals(&circuit, &args.question, context);
    }
    let circuit = args.model.load()?;
    match &args.question {
        Question::Conditional { known, variable, out } => {
            let rows = known.rows(circuit.schema())?;
            let chosen = match variable {
                Some(name) => vec![circuit.schema().index(name)?],
                None => (0..circuit.schema().len()).collect(),
            };
            conditional(&circuit, &rows, &chosen, variable.is_some(), out.as_deref(), context)
        }
        Question::Inpaint { known, out, draws } => {
            let rows = known.rows(circuit.schema())?;
            fitting(*draws, rows.len(), circuit.schema().len(), "--draws")?;
            let repeated: Vec<usize> = (0..rows.len()).flat_map(|row| std::iter::repeat_n(row, *draws)).collect();
            save_discrete(out, &circuit.complete(&rows.select(&repeated), context.seed)?)?;
            Written::print(repeated.len(), out, context);
            Ok(())
        }
        Question::Map { known, out } => {
            let rows = known.rows(circuit.schema())?;
            map(circuit, &rows, out, context)
        }
        Question::Next { known, target } => {
            let row = known.rows(circuit.schema())?;
            next(&circuit, &row, circuit.schema().index(target)?, context)
        }
        Question::Moments { known } => moments(&circuit, &known.rows(circuit.schema())?, context),
        Question::Entropy => {
            let entropy = Deterministic::new(circuit)?.entropy();
            context.print(&Entropy { entropy }, |r| format!("{:.4} nats", r.entropy));
            Ok(())
        }
        Question::Divergence { other } => {
            let (ours, theirs) = (Deterministic::new(circuit)?, Deterministic::load(other)?);
            let report = Divergence { cross_entropy: theirs.cross_entropy_under(&ours)?, kl: ours.kl(&theirs)? };
            context
                .print(&report, |r| format!("cross-entropy {:.4} nats, divergence {:.4} nats", r.cross_entropy, r.kl));
            Ok(())
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

/// The questions that a circuit over real numbers answers.
fn of_reals(circuit: &RealCircuit, question: &Question, context: &Context) -> Result<()> {
    let schema = circuit.schema();
    match question {
        Question::Inpaint { known, out, draws } => {
            let rows = known.reals(schema)?;
            fitting(*draws, rows.len(), schema.len(), "--draws")?;
            let repeated: Vec<usize> = (0..rows.len()).flat_map(|row| std::iter::repeat_n(row, *draws)).collect();
            circuit.complete(&rows.select(&repeated), context.seed)?.save(out)?;
            Written::print(repeated.len(), out, context);
            Ok(())
        }
        Question::Moments { known } => {
            let rows = known.reals(schema)?;
            let all = circuit.moments(&rows)?;
            let missing = all.iter().enumerate().map(|(i, of)| (i / schema.len(), i % schema.len(), *of));
            print_moments(schema, missing.filter(|(row, v, _)| rows.row(*row)[*v].is_nan()), context);
            Ok(())
        }
        _ => Err(Error::Usage(
            "a model of real numbers answers inpaint and moments; the others ask for categories".into(),
        )),
    }
}

#[derive(serde::Serialize)]
struct Completed {
    rows: usize,
    out: String,
    mean_log_prob: f64,
    /// Of the largest likelihood of a completion.
    evidence: &'static str,
}

fn map(circuit: Circuit, rows: &Discrete, out: &std::path::Path, context: &Context) -> Result<()> {
    let (best, mean, evidence) = match Deterministic::new(circuit.clone()) {
        Ok(exact) => exact.map(rows).map(|(best, evidence)| (best, evidence.mean(), Exact::NAME))?,
        Err(_) => circuit.map(rows).map(|(best, evidence)| (best, evidence.mean(), LowerBound::NAME))?,
    };
    save_discrete(out, &best)?;
    let report = Completed { rows: best.len(), out: out.display().to_string(), mean_log_prob: mean, evidence };
    context.print(&report, |r| {
        let kind =
            if r.evidence == Exact::NAME { "no completion is more probable" } else { "a lower bound on the best" };
        let rows = super::counted(r.rows, "row");
        format!("{rows} written to {}; mean log-likelihood {:.4} nats ({kind})", r.out, r.mean_log_prob)
    });
    Ok(())
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

fn next(circuit: &Circuit, row: &Discrete, target: usize, context: &Context) -> Result<()> {
    let name = |v: usize| circuit.schema().variables[v].name.as_str();
    let gains = circuit.next_variable(row, target)?;
    let gains = gains.into_iter().map(|(v, nats)| Gain { variable: name(v), nats }).collect();
    context.print(&Gains { target: name(target), gains }, |r| {
        let lines = r.gains.iter().take(10).map(|g| format!("{}: {:.4} nats\n", g.variable, g.nats));
        if r.gains.is_empty() { NOTHING_MISSING.into() } else { lines.collect() }
    });
    Ok(())
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

fn moments(circuit: &Circuit, rows: &Discrete, context: &Context) -> Result<()> {
    let found = circuit.conditionals(rows)?;
    let cells = (0..rows.len()).flat_map(|row| (0..circuit.schema().len()).map(move |v| (row, v)));
    let missing = cells.filter(|(row, v)| rows.row(*row)[*v] == MISSING);
    print_moments(circuit.schema(), missing.map(|(row, v)| (row, v, found.moments(row, v))), context);
    Ok(())
}

fn print_moments(schema: &Schema, of: impl Iterator<Item = (usize, usize, Moments)>, context: &Context) {
    let moments = of.map(|(row, v, of)| {
        let variable = schema.variables[v].name.as_str();
        Moment { row, variable, mean: of.mean, standard_deviation: of.variance.sqrt() }
    });
    context.print(&AllMoments { moments: moments.collect() }, |r| {
        let line = |m: &Moment| format!("row {}, {}: {:.4} ± {:.4}\n", m.row, m.variable, m.mean, m.standard_deviation);
        if r.moments.is_empty() { NOTHING_MISSING.into() } else { r.moments.iter().map(line).collect() }
    });
}

#[derive(serde::Serialize)]
struct Distribution<'a> {
    row: usize,
    variable: &'a str,
    categories: Vec<String>,
    probabilities: &'a [f64],
}

#[derive(serde::Serialize)]
struct Distributions<'a> {
    distributions: Vec<Distribution<'a>>,
}

fn conditional(
    circuit: &Circuit,
    rows: &Discrete,
    chosen: &[usize],
    single: bool,
    out: Option<&std::path::Path>,
    context: &Context,
) -> Result<()> {
    let found = circuit.conditionals(rows)?;
    let variables = &circuit.schema().variables;
    if let Some(path) = out {
        let most = chosen.iter().map(|v| variables[*v].categories).max().unwrap_or(0);
        let mut values = vec![0.0; rows.len() * chosen.len() * most];
        for (cell, (row, v)) in
            values.chunks_exact_mut(most).zip((0..rows.len()).flat_map(|r| chosen.iter().map(move |v| (r, *v))))
        {
            let probabilities = found.get(row, v);
            cell[..probabilities.len()].copy_from_slice(probabilities);
        }
        let shape = if single { vec![rows.len(), most] } else { vec![rows.len(), chosen.len(), most] };
        write_npy(path, &shape, &values)?;
        Written::print(rows.len(), path, context);
        return Ok(());
    }
    let mut report = Vec::new();
    for row in 0..rows.len() {
        for &v in chosen.iter().filter(|v| single || rows.row(row)[**v] == MISSING) {
            let variable = &variables[v];
            let categories =
                (0..variable.categories).map(|c| variable.words.as_ref().map_or(c.to_string(), |w| w[c].clone()));
            report.push(Distribution {
                row,
                variable: &variable.name,
                categories: categories.collect(),
                probabilities: found.get(row, v),
            });
        }
    }
    let report = Distributions { distributions: report };
    context.print(&report, |report| {
        let line = |d: &Distribution| {
            let mut likely: Vec<_> = d.categories.iter().zip(d.probabilities).collect();
            likely.sort_by(|a, b| b.1.total_cmp(a.1));
            let shown: Vec<_> = likely.iter().take(6).map(|(c, p)| format!("{c} {p:.4}")).collect();
            let more = if likely.len() > 6 { ", …" } else { "" };
            format!("row {}, {}: {}{more}\n", d.row, d.variable, shown.join(", "))
        };
        match report.distributions.as_slice() {
            [] => NOTHING_MISSING.into(),
            all => all.iter().map(line).collect(),
        }
    });
    Ok(())
}
