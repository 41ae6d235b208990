//! A run on disk, complete enough to go on bit for bit.

use super::{History, Learner, Plan};
use crate::{
    Error, Result,
    archive::{Archive, remove_leftovers},
    evidence::Fingerprint,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, TryLockError},
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// What a checkpoint must agree with, and where the run was.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    limbeck: String,
    /// What makes a run the run that it is, by name.
    run: Vec<(String, String)>,
    step: u64,
    done: bool,
}

/// All that a run which goes on must have in common with the one that was stopped.
pub(super) type Identity = Vec<(String, String)>;

/// Hashes all rows: once a run is enough.
pub(super) fn identity(learner: &dyn Learner, plan: &Plan) -> Result<Identity> {
    let [rows, valid] = learner.data()?;
    let hash = |rows: Option<Fingerprint>| rows.map_or("none".into(), |rows| rows.to_string());
    let named = [
        ("settings", plan.settings.clone()),
        ("model", learner.describe()),
        ("training rows", hash(rows)),
        ("validation rows", hash(valid)),
        ("length", format!("{:?}", plan.length)),
        ("batch", plan.batch.to_string()),
        ("patience", plan.patience.map_or("none".into(), |p| p.to_string())),
        ("seed", plan.seed.0.to_string()),
    ];
    Ok(named.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// In what runs differ: in what was asked for; else in their rows; else in the model, which follows from both.
fn differs(theirs: &Identity, ours: &Identity) -> Option<String> {
    let mut found = [vec![], vec![], vec![]];
    for (name, ours) in ours {
        let theirs = theirs.iter().find(|(n, _)| n == name).map_or("nothing", |(_, value)| value);
        if theirs == ours {
            continue;
        }
        match name.as_str() {
            "settings" => found[0].push(other_parts(theirs, ours, "\n")),
            "model" => found[2].push(format!("{name}: {}", other_parts(theirs, ours, ", "))),
            "training rows" | "validation rows" => found[1].push(format!("other {name}")),
            _ => found[0].push(format!("{name}: {theirs} there, {ours} here")),
        }
    }
    found.iter().find(|differs| !differs.is_empty()).map(|differs| differs.join("; "))
}

/// The parts of a description that differ; what is in brackets stays together.
fn other_parts(theirs: &str, ours: &str, separator: &str) -> String {
    let [theirs, ours] = [theirs, ours].map(|text| parts(text, separator));
    let without = |a: &[&str], b: &[&str]| {
        let parts: Vec<&str> = a.iter().copied().filter(|part| !b.contains(part)).collect();
        if parts.is_empty() { "nothing of the kind".into() } else { parts.join(", ") }
    };
    format!("{} there, {} here", without(&theirs, &ours), without(&ours, &theirs))
}

fn parts<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut start, mut depth) = (vec![], 0, 0_usize);
    for (at, letter) in text.char_indices() {
        match letter {
            '{' | '(' | '[' | '<' => depth += 1,
            '}' | ')' | ']' | '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 && at >= start && text[at..].starts_with(separator) => {
                parts.push(&text[start..at]);
                start = at + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Holds a checkpoint for one run: a second one would write over the first one's.
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

/// What a lock holds, to tell it from a file of the user's.
const LOCK: &[u8] = b"limbeck: a run writes the checkpoint beside this\n";

impl Lock {
    /// # Errors
    /// When another run holds the checkpoint, or its folder cannot be written to.
    pub(super) fn of(checkpoint: &Path) -> Result<Self> {
        let mut name = checkpoint.file_name().unwrap_or_default().to_os_string();
        name.push(".lock");
        let path = checkpoint.with_file_name(name);
        let options = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(Error::io(&path))?;
        match file.try_lock() {
            Ok(()) => {
                let mut held = Vec::new();
                (&file).take(LOCK.len() as u64 + 1).read_to_end(&mut held).map_err(Error::io(&path))?;
                if held.is_empty() {
                    file.write_all(LOCK).map_err(Error::io(&path))?;
                } else if held != LOCK {
                    return Err(Error::file(&path, "is no lock of a run's: take another file for the checkpoint"));
                }
                // Nobody else writes this checkpoint now.
                remove_leftovers(checkpoint, Duration::ZERO)?;
                Ok(Self { path, _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                Err(Error::file(checkpoint, "another run writes this checkpoint: wait for it, or take another file"))
            }
            Err(TryLockError::Error(error)) => Err(Error::io(&path)(error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The best epoch of a run.
#[derive(Debug)]
pub(super) struct Best {
    /// The losses of its validation rows.
    pub(super) losses: Vec<f64>,
    pub(super) epoch: u64,
    /// The learner as it was then.
    pub(super) learner: Archive,
}

/// The state of a run between two steps.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) step: u64,
    pub(super) history: History,
    /// The best epoch so far.
    pub(super) best: Option<Best>,
    /// Whether training ended, by its plan or early.
    pub(super) done: bool,
}

impl State {
    pub(super) fn save(&self, path: &Path, learner: &dyn Learner, run: &Identity) -> Result<()> {
        let mut archive = Archive::new(&Header {
            limbeck: env!("CARGO_PKG_VERSION").into(),
            run: run.clone(),
            step: self.step,
            done: self.done,
        })?;
        let mut now = Archive::default();
        learner.save(&mut now);
        archive.nest("learner", &now);
        self.history.save(&mut archive);
        if let Some(Best { losses, epoch, learner }) = &self.best {
            archive.put("best_epoch", &[1], &[*epoch as f64]);
            archive.put("best_losses", &[losses.len()], losses);
            archive.nest("best", learner);
        }
        archive.save(path)
    }

    /// Puts the learner where the checkpoint left it.
    pub(super) fn load(path: &Path, learner: &mut dyn Learner, ours: &Identity) -> Result<Self> {
        let archive = Archive::load(path)?;
        let header: Header = archive.header().map_err(|error| match archive.header::<serde_json::Value>() {
            Ok(header) if header.get("family").is_some() => Error::file(path, "a model, not the checkpoint of a run"),
            _ => error,
        })?;
        if let Some(differs) = differs(&header.run, ours) {
            let remedy =
                "continue it with the data and settings it began with, or begin anew with another --checkpoint";
            return Err(Error::file(path, format!("a checkpoint of another run ({differs}); {remedy}")));
        }
        let damaged = || Error::file(path, "a checkpoint without a learner");
        learner.load(&archive.nested("learner").ok_or_else(damaged)?)?;
        let best = match archive.nested("best") {
            Some(learner) => {
                let epoch: Vec<f64> = archive.get("best_epoch", &[1])?;
                Some(Best { losses: archive.get_all("best_losses")?, epoch: epoch[0] as u64, learner })
            }
            None => None,
        };
        Ok(Self { step: header.step, history: History::load(&archive)?, best, done: header.done })
    }
}
