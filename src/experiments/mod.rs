//! Figures and tables: what each is made of, and the registry that `just figures` walks.

mod circuits;
mod data;
mod digits;
mod fashion;
mod pictures;
mod published;

pub use published::{Published, published};

use crate::{
    Error, Result,
    notebook::Scale,
    plot::{Figure, Picture, Table},
    random::Seed,
};
use std::path::Path;

/// What an experiment is told, and what it has made so far.
pub struct Lab<'a> {
    /// How much work to do.
    pub scale: Scale,
    /// Root of all randomness.
    pub seed: Seed,
    say: &'a mut dyn FnMut(&str),
    made: Vec<(String, Made)>,
}

enum Made {
    Figure(Box<Figure>),
    Table(Table),
}

impl<'a> Lab<'a> {
    /// `say` hears what is being done.
    pub fn new(scale: Scale, seed: Seed, say: &'a mut dyn FnMut(&str)) -> Self {
        Self { scale, seed, say, made: Vec::new() }
    }

    fn say(&mut self, what: impl AsRef<str>) {
        (self.say)(what.as_ref());
    }

    fn figure(&mut self, name: &str, what: &dyn Picture) -> Result<()> {
        let note = format!("scale {} · seed {}", self.scale, self.seed.0);
        self.made.push((name.into(), Made::Figure(Box::new(Figure::noted(what, &note)?))));
        Ok(())
    }

    fn table(&mut self, name: &str, table: Table) {
        self.made.push((name.into(), Made::Table(table)));
    }

    /// Writes everything made so far into a folder; returns the names.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<Vec<String>> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        for (name, made) in &self.made {
            match made {
                Made::Figure(figure) => figure.save(folder, name)?,
                Made::Table(table) => table.save(folder.join(format!("{name}.csv")))?,
            }
        }
        Ok(self.made.iter().map(|(name, _)| name.clone()).collect())
    }
}

/// One entry of the registry: figures and tables that are made together.
pub struct Experiment {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub title: &'static str,
    run: fn(&mut Lab) -> Result<()>,
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

/// All experiments, in the order of the book.
pub const ALL: [Experiment; 8] = [
    Experiment { name: "data", title: "The data that ships with the repository", run: data::run },
    Experiment { name: "digits", title: "A hidden Chow-Liu tree learned from digits", run: digits::run },
    Experiment { name: "fashion", title: "Circuits on Fashion-MNIST, beside published numbers", run: fashion::run },
    Experiment { name: "circuits-flow", title: "The flow of a row over a small circuit", run: circuits::flow },
    Experiment { name: "circuits-em", title: "The rules of EM", run: circuits::rules },
    Experiment { name: "circuits-structures", title: "Structures by size", run: circuits::structures },
    Experiment { name: "circuits-pruning", title: "What pruning costs, and its bound", run: circuits::pruning },
    Experiment {
        name: "circuits-compression",
        title: "Lossless compression and its bound",
        run: circuits::compression,
    },
];

/// The experiment of this name.
///
/// # Errors
/// When there is none; the message lists those there are.
pub fn find(name: &str) -> Result<&'static Experiment> {
    ALL.iter().find(|e| e.name == name).ok_or_else(|| {
        let known: Vec<_> = ALL.iter().map(|e| e.name).collect();
        Error::invalid(format!("no figure called {name}; there are {}", known.join(", ")))
    })
}
