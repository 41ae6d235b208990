//! Figures and tables: what each is made of, and the registry that `just figures` walks.

mod circuits;
mod claims;
mod data;
mod diffusion;
mod flows;
mod frame;
mod published;
mod students;

pub use claims::{Claim, Verdict};
pub use published::{Published, published};

use crate::{
    Error, Result,
    notebook::Budget,
    plot::{Figure, Picture, Table},
    random::Seed,
};
use lzma_rust2::{XzOptions, XzWriter};
use std::{
    io::Write,
    path::Path,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
};

/// What an experiment is told, and what it has made so far.
pub struct Lab<'a> {
    /// How much work to do.
    pub budget: Budget,
    /// Root of all randomness.
    pub seed: Seed,
    say: &'a mut dyn FnMut(&str),
    made: Vec<(String, Made)>,
    claims: Vec<Claim>,
}

enum Made {
    Figure(Box<Figure>),
    Table(Table),
}

impl<'a> Lab<'a> {
    /// `say` hears what is being done.
    pub fn new(budget: Budget, seed: Seed, say: &'a mut dyn FnMut(&str)) -> Self {
        Self { budget, seed, say, made: Vec::new(), claims: Vec::new() }
    }

    fn say(&mut self, what: impl AsRef<str>) {
        (self.say)(what.as_ref());
    }

    /// What each of some seeds comes to, in their order, as many at once as there are threads; what they say is heard as they say it.
    /// Threads are shared out, as seeds that wait for the same ones wait for each other.
    fn each_seed<T: Send>(
        &mut self,
        seeds: u64,
        one: impl Fn(u64, &dyn Fn(String)) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let (next, (say, said)) = (AtomicU64::new(0), mpsc::channel());
        let threads = rayon::current_num_threads();
        let workers = threads.min(seeds as usize).max(1);
        std::thread::scope(|scope| {
            let worker = |say: mpsc::Sender<String>| {
                let mut found = vec![];
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= seeds {
                        return Ok(found);
                    }
                    // Nobody listens any more where another seed has failed.
                    found.push((i, one(i, &|what| drop(say.send(format!("seed {i}: {what}"))))?));
                }
            };
            let workers: Vec<_> = (0..workers)
                .map(|_| {
                    let say = say.clone();
                    scope.spawn(move || {
                        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads / workers).build();
                        pool.map_err(Error::invalid)?.install(|| worker(say))
                    })
                })
                .collect();
            drop(say);
            said.into_iter().for_each(|what| self.say(what));
            let mut all: Vec<(u64, T)> = vec![];
            for worker in workers {
                let found: Result<Vec<_>> = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                all.extend(found?);
            }
            all.sort_by_key(|(i, _)| *i);
            Ok(all.into_iter().map(|(_, found)| found).collect())
        })
    }

    fn figure(&mut self, name: &str, what: &dyn Picture) -> Result<()> {
        let note = format!("scale {} · seed {}", self.budget, self.seed.0);
        self.made.push((name.into(), Made::Figure(Box::new(Figure::noted(what, &note)?))));
        Ok(())
    }

    fn table(&mut self, name: &str, table: Table) {
        self.made.push((name.into(), Made::Table(table)));
    }

    fn claim(&mut self, claim: Claim) {
        self.claims.push(claim);
    }

    /// Writes everything made so far into a folder; returns the names. Claims go into the ledger, `claims.csv`, where they
    /// replace those of the same words and scale.
    ///
    /// # Errors
    /// When a file cannot be written, or the ledger cannot be read.
    pub fn save(&self, folder: &Path) -> Result<Vec<String>> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        for (name, made) in &self.made {
            match made {
                Made::Figure(figure) => figure.save(folder, name)?,
                Made::Table(table) => table.save(folder.join(format!("{name}.csv")))?,
            }
        }
        let mut names: Vec<String> = self.made.iter().map(|(name, _)| name.clone()).collect();
        if !self.claims.is_empty() {
            claims::enter(&folder.join("claims.csv"), &self.claims, self.budget)?;
            names.push("claims".into());
        }
        Ok(names)
    }
}

/// One entry of the registry: figures and tables that are made together.
pub struct Experiment {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub title: &'static str,
    /// Whether it is made only when it is named, as it measures times, which differ from run to run, or takes a quarter of an hour.
    pub only_named: bool,
    run: fn(&mut Lab) -> Result<()>,
}

impl Experiment {
    const fn new(name: &'static str, title: &'static str, run: fn(&mut Lab) -> Result<()>) -> Self {
        Self { name, title, only_named: false, run }
    }

    const fn only_named(self) -> Self {
        Self { only_named: true, ..self }
    }
}

impl Experiment {
    /// Makes the figures and tables.
    ///
    /// # Errors
    /// Those of its parts; nothing is written.
    pub fn run(&self, lab: &mut Lab) -> Result<()> {
        (self.run)(lab)
    }
}

/// The mean of what some seeds came to, and its standard error.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, if n > 1.0 { (squares / (n * (n - 1.0))).sqrt() } else { 0.0 })
}

/// Bytes packed by xz as well as it can.
fn xz(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(9)).map_err(Error::invalid)?;
    writer.write_all(bytes).and_then(|()| writer.finish()).map_err(Error::invalid)
}

/// All experiments, the quickest first. A family's own are in its folder.
pub fn all() -> impl Iterator<Item = &'static Experiment> {
    const SHIPPED: &[Experiment] = &[Experiment::new("data", "The data that ships with the repository", data::run)];
    [
        circuits::EXPERIMENTS,
        SHIPPED,
        flows::EXPERIMENTS,
        frame::EXPERIMENTS,
        students::EXPERIMENTS,
        diffusion::EXPERIMENTS,
    ]
    .into_iter()
    .flatten()
}

/// The experiment of this name.
///
/// # Errors
/// When there is none; the message lists those there are.
pub fn find(name: &str) -> Result<&'static Experiment> {
    all().find(|e| e.name == name).ok_or_else(|| {
        let known: Vec<_> = all().map(|e| e.name).collect();
        Error::invalid(format!("no figure called {name}; there are {}", known.join(", ")))
    })
}
