//! What a family of models tells the registry: how its files become models, and what `limbeck fit` can fit.

use super::{Model, ModelFile};
use crate::{
    Error, Result,
    data::Rows,
    train::{Estimate, Fit, History, Run},
};
use std::path::PathBuf;

pub use crate::train::Reads;

/// A family of models.
pub struct Family {
    /// Its name in files.
    pub name: &'static str,
    /// Makes the model of a file.
    pub load: fn(&ModelFile) -> Result<Box<dyn Model>>,
    /// What can be fitted.
    pub entries: fn() -> Vec<Entry>,
}

/// One model that `limbeck fit` knows.
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// The usual settings.
    pub usual: toml::Table,
    /// What can be set, in the order in which it is shown.
    pub settings: Vec<Setting>,
    /// What is usual beside the settings that are given, where that depends on them.
    usual_beside: fn(&mut toml::Table, &toml::Table),
    /// Which settings do nothing beside others, and why.
    idle: fn(&toml::Table) -> Vec<(&'static str, &'static str)>,
    /// The settings of a whole table.
    parse: fn(toml::Table) -> Result<Box<dyn AnyFit>>,
}

/// One setting of a model: a key of its table of settings.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The key, `em.rule` for `rule` in the table `em`.
    pub key: &'static str,
    /// What it is, with its unit and its range.
    pub help: &'static str,
}

impl Setting {
    /// Its name on the command line, without the dashes: the last part of the key.
    pub fn option(&self) -> String {
        self.key.rsplit('.').next().unwrap_or(self.key).replace('_', "-")
    }

    /// Its value in a table.
    pub fn of<'a>(&self, table: &'a toml::Table) -> Option<&'a toml::Value> {
        let mut parts = self.key.split('.');
        let first = table.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// Puts a value into a table.
    pub fn put(&self, table: &mut toml::Table, value: toml::Value) {
        match self.key.split_once('.') {
            None => drop(table.insert(self.key.into(), value)),
            Some((outer, inner)) => {
                let empty = || toml::Value::Table(toml::Table::new());
                if let Some(table) = table.entry(outer).or_insert_with(empty).as_table_mut() {
                    table.insert(inner.into(), value);
                }
            }
        }
    }
}

impl Entry {
    /// An entry with the usual settings as they are, and of all documented settings those that it has. What is not documented
    /// cannot be set.
    ///
    /// # Panics
    /// When the settings have no form in TOML, which a test of the registry would show.
    pub fn new<F: Fit>(
        name: &'static str,
        about: &'static str,
        usual: &F,
        documented: &[Setting],
        parse: fn(toml::Table) -> Result<Box<dyn AnyFit>>,
    ) -> Self {
        let usual = toml::Table::try_from(usual).expect("settings have a form in TOML");
        let settings = documented.iter().filter(|setting| setting.of(&usual).is_some()).copied().collect();
        Self { name, about, usual, settings, usual_beside: |_, _| {}, idle: |_| vec![], parse }
    }

    /// The same where what is usual depends on what is given.
    pub fn depending(self, usual_beside: fn(&mut toml::Table, &toml::Table)) -> Self {
        Self { usual_beside, ..self }
    }

    /// The same where settings do nothing beside others: for a whole table, their keys, and why that is.
    pub fn idle(self, idle: fn(&toml::Table) -> Vec<(&'static str, &'static str)>) -> Self {
        Self { idle, ..self }
    }

    /// The settings of a table, the usual ones where it says nothing; `origin` says where a key comes from, for messages.
    ///
    /// # Errors
    /// When it has a key that the model does not have, or that does nothing beside the others; names another model; or a value is
    /// of another type.
    pub fn settings(&self, given: &toml::Table, origin: &dyn Fn(&str) -> String) -> Result<Box<dyn AnyFit>> {
        let (table, usual) = (self.over_usual(given, origin)?, self.usual_beside(given));
        for (setting, why) in self.idle_in(&table) {
            if setting.of(given).is_some() && setting.of(&table) != setting.of(&usual) {
                return Err(Error::file(origin(setting.key), format!("{} does nothing: {why}", setting.key)));
            }
        }
        (self.parse)(table).map_err(|e| Error::file(origin(""), e.to_string().trim_end()))
    }

    fn idle_in(&self, table: &toml::Table) -> Vec<(Setting, &'static str)> {
        let find = |key: &str| self.settings.iter().find(|setting| setting.key == key).copied();
        (self.idle)(table).into_iter().filter_map(|(key, why)| Some((find(key)?, why))).collect()
    }

    /// Of a whole table what matters to this model: which it is, and the settings that do something.
    pub fn of_use(&self, table: &toml::Table) -> toml::Table {
        let idle = self.idle_in(table);
        let of_use = |setting: &&Setting| !idle.iter().any(|(other, _)| other.key == setting.key);
        let mut kept = toml::Table::new();
        for setting in KINDS.iter().chain(self.settings.iter().filter(of_use)) {
            if let Some(value) = setting.of(table) {
                setting.put(&mut kept, value.clone());
            }
        }
        kept
    }

    /// Settings as TOML, each with what it is.
    pub fn document(&self, values: &toml::Table) -> String {
        let (mut top, mut tables) = (String::new(), String::new());
        let mut open = "";
        for setting in KINDS.iter().chain(&self.settings) {
            let Some(value) = setting.of(values) else { continue };
            match setting.key.split_once('.') {
                None => top += &format!("{} = {value}  # {}\n", setting.key, setting.help),
                Some((outer, inner)) => {
                    if outer != open {
                        tables += &format!("\n[{outer}]\n");
                        open = outer;
                    }
                    tables += &format!("{inner} = {value}  # {}\n", setting.help);
                }
            }
        }
        top + &tables
    }

    fn usual_beside(&self, given: &toml::Table) -> toml::Table {
        let mut usual = self.usual.clone();
        (self.usual_beside)(&mut usual, given);
        usual
    }

    fn over_usual(&self, given: &toml::Table, origin: &dyn Fn(&str) -> String) -> Result<toml::Table> {
        let mut settings = self.usual_beside(given);
        for (key, value) in given {
            match (settings.get_mut(key), value) {
                (Some(toml::Value::Table(inner)), toml::Value::Table(given)) => {
                    for (name, value) in given {
                        let Some(place) = inner.get_mut(name) else {
                            return Err(self.unknown(&format!("{key}.{name}"), &origin(key)));
                        };
                        let key = format!("{key}.{name}");
                        self.lay(place, value, &key, &origin(&key))?;
                    }
                }
                (Some(place), value) => self.lay(place, value, key, &origin(key))?,
                (None, _) => return Err(self.unknown(key, &origin(key))),
            }
        }
        Ok(settings)
    }

    fn lay(&self, place: &mut toml::Value, value: &toml::Value, key: &str, origin: &str) -> Result<()> {
        let problem = |problem| Err(Error::file(origin, format!("{key} is {value}, and {problem}")));
        // What names the model is no setting.
        if KINDS.iter().any(|kind| kind.key == key) {
            return if value == place { Ok(()) } else { problem(format!("{} is to be fitted", self.name)) };
        }
        if !self.settings.iter().any(|setting| setting.key == key) {
            return Err(self.unknown(key, origin));
        }
        *place = match (&*place, value) {
            (toml::Value::Float(_), toml::Value::Integer(i)) => toml::Value::Float(*i as f64),
            (toml::Value::Integer(_), toml::Value::Integer(i)) if *i < 0 => return problem(wanted(place).into()),
            (place, value) if place.same_type(value) => value.clone(),
            (place, _) => return problem(wanted(place).into()),
        };
        Ok(())
    }

    fn unknown(&self, key: &str, origin: &str) -> Error {
        let known: Vec<&str> = self.settings.iter().map(|s| s.key).collect();
        Error::file(origin, format!("{} has no setting {key}; it has {}", self.name, known.join(", ")))
    }
}

/// Where a table of settings says which model it is of.
const KINDS: [Setting; 2] =
    [Setting { key: "kind", help: "what is fitted" }, Setting { key: "structure.kind", help: "what is fitted" }];

/// What is expected in the place of a value.
pub(crate) fn wanted(value: &toml::Value) -> &'static str {
    match value {
        toml::Value::Integer(_) => "a whole number, not negative, is expected",
        toml::Value::Float(_) => "a number is expected",
        toml::Value::Boolean(_) => "true or false is expected",
        _ => "a name is expected",
    }
}

/// Settings of a model, whatever their type: [`Fit`] without its types.
pub trait AnyFit {
    /// As [`Fit::check`].
    ///
    /// # Errors
    /// As [`Fit::check`].
    fn checked(&self) -> Result<()>;

    /// As [`Fit::reads`].
    fn columns(&self) -> Reads;

    /// The settings as a table.
    ///
    /// # Errors
    /// When they have no form in TOML.
    fn table(&self) -> Result<toml::Table>;

    /// As [`Fit::files`].
    fn reads_files(&self) -> Vec<(&'static str, PathBuf)>;

    /// As [`Fit::estimate`].
    ///
    /// # Errors
    /// As [`Fit::estimate`].
    fn estimated(&self, rows: &dyn Rows, jobs: usize) -> Result<Option<Estimate>>;

    /// As [`Fit::fit_with`].
    ///
    /// # Errors
    /// As [`Fit::fit_with`].
    fn fit_any(&self, rows: &dyn Rows, valid: Option<&dyn Rows>, run: Run) -> Result<(Box<dyn Model>, History)>;
}

impl<F: Fit<Model: Model>> AnyFit for F {
    fn checked(&self) -> Result<()> {
        self.check()
    }

    fn columns(&self) -> Reads {
        self.reads()
    }

    fn table(&self) -> Result<toml::Table> {
        toml::Table::try_from(self).map_err(Error::invalid)
    }

    fn reads_files(&self) -> Vec<(&'static str, PathBuf)> {
        self.files()
    }

    fn estimated(&self, rows: &dyn Rows, jobs: usize) -> Result<Option<Estimate>> {
        self.estimate(rows, jobs)
    }

    fn fit_any(&self, rows: &dyn Rows, valid: Option<&dyn Rows>, run: Run) -> Result<(Box<dyn Model>, History)> {
        let (model, history) = self.fit_with(rows, valid, run)?;
        Ok((Box::new(model), history))
    }
}
