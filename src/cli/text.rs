//! `limbeck infill` and `limbeck spellcheck`

use super::{Context, ModelFile, files::keep_apart, query::How};
use crate::{
    Error, Result,
    archive::write_atomically,
    data::{Dataset, Discrete, MISSING, Rows, Schema},
    error::counted,
    model::Model,
};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

#[derive(Debug, clap::Args)]
struct Written {
    /// The text itself.
    #[arg(long, required_unless_present = "data", conflicts_with = "data", allow_hyphen_values = true)]
    text: Option<String>,
    /// A file of text, UTF-8.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where the text that comes of it goes; it is printed where not given.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct InfillArgs {
    #[command(flatten)]
    model: ModelFile,
    #[command(flatten)]
    written: Written,
    /// The character that stands for what is hidden.
    #[arg(long, default_value = "_")]
    hidden: char,
    /// Independent drawings, one after the other.
    #[arg(long, default_value_t = 1, value_parser = super::positive)]
    draws: usize,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
pub(super) struct SpellcheckArgs {
    #[command(flatten)]
    model: ModelFile,
    #[command(flatten)]
    written: Written,
    /// The share of all characters that are thought to be wrong.
    #[arg(long, default_value_t = 0.02)]
    rate: f64,
    /// How probable another character must be for it to be put in the place of what stands there.
    #[arg(long, default_value_t = 0.5)]
    least: f64,
    /// How many characters are listed for a place that is in doubt.
    #[arg(long, default_value_t = 3, value_parser = super::positive)]
    alternatives: usize,
}

/// A text cut into rows of a model.
struct Pieces {
    schema: Schema,
    alphabet: Vec<char>,
    codes: Vec<u16>,
    /// Lines and columns, from 1, of every character.
    places: Vec<(usize, usize)>,
}

impl Pieces {
    fn of(model: &dyn Model, written: &Written, hidden: Option<char>) -> Result<Self> {
        let schema = model.schema().clone();
        let Some(alphabet) = schema.alphabet() else {
            return Err(Error::Usage(format!("the model is of {}, not of text", schema.brief())));
        };
        let (text, origin) = match (&written.text, &written.data) {
            (Some(text), _) => (text.clone(), "--text".into()),
            (None, Some(path)) => {
                let bytes = std::fs::read(path).map_err(Error::io(path))?;
                let text = String::from_utf8(bytes).map_err(|e| {
                    Error::file(path, format!("not UTF-8 from byte {} on", e.utf8_error().valid_up_to()))
                })?;
                (text, path.display().to_string())
            }
            (None, None) => return Err(Error::Usage("--text or --data is needed".into())),
        };
        if text.is_empty() {
            return Err(Error::file(origin, "no character to read"));
        }
        let (mut codes, mut places, mut place) = (vec![], vec![], (1, 1));
        for c in text.chars() {
            codes.push(match alphabet.iter().position(|a| *a == c) {
                _ if Some(c) == hidden => MISSING,
                Some(code) => code as u16,
                None => {
                    let at = format!("line {}, column {}", place.0, place.1);
                    return Err(Error::at(origin, at, format!("{c:?} is not among the model's characters")));
                }
            });
            places.push(place);
            place = if c == '\n' { (place.0 + 1, 1) } else { (place.0, place.1 + 1) };
        }
        Ok(Self { schema, alphabet, codes, places })
    }

    /// Whole rows, and what is left over as a row of its own: shorter where the model reads such, filled up with nothing elsewhere.
    fn rows(&self, shorter: bool) -> Result<Vec<Discrete>> {
        let length = self.schema.len();
        let whole = self.codes.len() / length * length;
        let mut parts = vec![];
        if whole > 0 {
            parts.push(Discrete::new(self.schema.clone(), self.codes[..whole].to_vec())?);
        }
        let rest = &self.codes[whole..];
        if !rest.is_empty() {
            let (n, mut codes) = (if shorter { rest.len() } else { length }, rest.to_vec());
            codes.resize(n, MISSING);
            let schema = Schema { variables: self.schema.variables[..n].to_vec(), shape: vec![n] };
            parts.push(Discrete::new(schema, codes)?);
        }
        Ok(parts)
    }

    fn spell(&self, codes: &[u16]) -> String {
        codes[..self.codes.len()].iter().map(|code| self.alphabet[*code as usize]).collect()
    }
}

/// Puts a text where it is wanted; whether that was a file.
fn put(text: &str, out: Option<&Path>) -> Result<bool> {
    let Some(path) = out else { return Ok(false) };
    write_atomically(path, |file| file.write_all(text.as_bytes()))?;
    Ok(true)
}

#[derive(serde::Serialize)]
struct Infilled {
    texts: Vec<String>,
    hidden: usize,
    out: Option<String>,
}

pub(super) fn infill(args: &InfillArgs, context: &Context) -> Result<()> {
    let model = open(&args.model, &args.written)?;
    let queries = args.model.queries(&*model)?;
    let pieces = Pieces::of(&*model, &args.written, Some(args.hidden))?;
    let hidden = pieces.codes.iter().filter(|code| **code == MISSING).count();
    let mut texts = Vec::new();
    for draw in 0..args.draws {
        let seed = context.seed.child("infill", draw as u64);
        let mut codes = Vec::new();
        for (part, rows) in pieces.rows(queries.reads_shorter())?.into_iter().enumerate() {
            let drawn =
                queries.complete_as(&Dataset::Discrete(rows), &args.how.drawn(), seed.child("part", part as u64))?;
            codes.extend_from_slice(drawn.discrete()?.codes());
        }
        texts.push(pieces.spell(&codes));
    }
    let whole = texts.join("\n");
    let out = put(&whole, args.written.out.as_deref())?.then(|| out_name(&args.written));
    context.print(&Infilled { texts, hidden, out }, |r| match &r.out {
        Some(out) => format!(
            "{} filled in, {}; written to {out}",
            counted(r.hidden, "character"),
            counted(r.texts.len(), "drawing")
        ),
        None => r.texts.join("\n"),
    })
}

#[derive(serde::Serialize)]
struct Doubt {
    line: usize,
    column: usize,
    stands: char,
    /// How probable it is that what stands there is right.
    probability: f64,
    /// Others, the likeliest first.
    alternatives: Vec<(char, f64)>,
    corrected: bool,
}

impl Doubt {
    fn line(&self) -> String {
        let others: Vec<String> = self.alternatives.iter().map(|(c, p)| format!("{c:?} {p:.3}")).collect();
        let mark = if self.corrected { " (corrected)" } else { "" };
        let (line, column, stands, p) = (self.line, self.column, self.stands, self.probability);
        format!("line {line}, column {column}: {stands:?} {p:.3}; {}{mark}\n", others.join(", "))
    }
}

#[derive(serde::Serialize)]
struct Checked {
    text: String,
    characters: usize,
    corrected: usize,
    doubts: Vec<Doubt>,
    out: Option<String>,
}

pub(super) fn spellcheck(args: &SpellcheckArgs, context: &Context) -> Result<()> {
    for (name, value) in [("--rate", args.rate), ("--least", args.least)] {
        if !(value > 0.0 && value < 1.0) {
            return Err(Error::out_of_range(
                if name == "--rate" { "--rate" } else { "--least" },
                value,
                "0 < value < 1",
            ));
        }
    }
    let model = open(&args.model, &args.written)?;
    let queries = args.model.queries(&*model)?;
    let pieces = Pieces::of(&*model, &args.written, None)?;
    let (mut doubts, mut codes) = (Vec::new(), pieces.codes.clone());
    let mut begin = 0;
    for rows in pieces.rows(queries.reads_shorter())? {
        let width = rows.schema().len();
        let n = rows.len() * width;
        queries.corrections(&Dataset::Discrete(rows), args.rate, &mut |row, v, p| {
            let at = begin + row * width + v;
            let Some(stands) = pieces.codes.get(at).map(|code| *code as usize) else { return Ok(()) };
            let mut order: Vec<usize> = (0..p.len()).filter(|k| *k != stands).collect();
            order.sort_by(|a, b| p[*b].total_cmp(&p[*a]));
            let best = order.first().map_or(0.0, |k| p[*k]);
            // In doubt is what is less probable than not, and what another is half as probable as the threshold for.
            if best >= args.least || p[stands] < 0.5 {
                let corrected = best >= args.least && best > p[stands];
                if corrected {
                    codes[at] = order[0] as u16;
                }
                let (line, column) = pieces.places[at];
                let others = order.iter().take(args.alternatives).map(|k| (pieces.alphabet[*k], p[*k])).collect();
                let stands_there = pieces.alphabet[stands];
                doubts.push(Doubt {
                    line,
                    column,
                    stands: stands_there,
                    probability: p[stands],
                    alternatives: others,
                    corrected,
                });
            }
            Ok(())
        })?;
        begin += n;
    }
    let text = pieces.spell(&codes);
    let out = put(&text, args.written.out.as_deref())?.then(|| out_name(&args.written));
    let corrected = doubts.iter().filter(|d| d.corrected).count();
    let report = Checked { text, characters: pieces.codes.len(), corrected, doubts, out };
    context.print(&report, |r| {
        let head = match &r.out {
            Some(out) => format!("written to {out}"),
            None => r.text.clone(),
        };
        let all =
            format!("{}, {} corrected, {} in doubt", counted(r.characters, "character"), r.corrected, r.doubts.len());
        let lines: String = r.doubts.iter().take(LISTED).map(Doubt::line).collect();
        let more = if r.doubts.len() > LISTED { "…\n" } else { "" };
        format!("{head}\n{all}\n{lines}{more}")
    })
}

/// How many doubts are listed.
const LISTED: usize = 40;

fn open(model: &ModelFile, written: &Written) -> Result<Box<dyn Model>> {
    let data = written.data.as_deref().map(|path| ("--data", path));
    let read: Vec<_> = std::iter::once(("MODEL", model.path.as_path())).chain(data).collect();
    keep_apart(&read, &[("--out", written.out.as_deref())])?;
    Ok(model.load()?.0)
}

fn out_name(written: &Written) -> String {
    written.out.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
}
