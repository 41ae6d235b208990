//! The registry of models: every family with what it can fit and read. To add a family is to add a line.

use crate::{
    Error, Result, circuits, diffusion, distill, flows, frame, growth,
    model::{Entry, Family, Model, ModelFile, Origin},
};
use std::path::Path;

/// All families.
pub const FAMILIES: [Family; 5] =
    [circuits::FAMILY, flows::FAMILY, frame::FAMILY, diffusion::FAMILY, diffusion::ARGMAX_FAMILY];

/// Every model that `limbeck fit` knows: those of the families, and what is made by way of others.
pub fn entries() -> Vec<Entry> {
    FAMILIES.iter().flat_map(|family| (family.entries)()).chain(growth::entries()).chain(distill::entries()).collect()
}

/// Reads a model and where it comes from, whatever its family.
///
/// # Errors
/// When the file is not a model, or is damaged: the message says what is wrong.
pub fn load(path: impl AsRef<Path>) -> Result<(Box<dyn Model>, Origin)> {
    let path = path.as_ref();
    let file = ModelFile::open(path)?;
    let family = FAMILIES.iter().find(|family| family.name == file.family).ok_or_else(|| {
        let known = FAMILIES.map(|family| family.name).join(", ");
        Error::file(path, format!("a model of the family {}; this program knows {known}", file.family))
    })?;
    let model = (family.load)(&file).map_err(|e| Error::file(path, e))?;
    Ok((model, file.origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Setting;
    use std::collections::HashSet;

    fn keys(table: &toml::Table) -> Vec<String> {
        let inner = |(key, value): (&String, &toml::Value)| match value {
            toml::Value::Table(inner) => inner.keys().map(|name| format!("{key}.{name}")).collect(),
            _ => vec![key.clone()],
        };
        table.iter().flat_map(inner).filter(|key| !key.ends_with("kind")).collect()
    }

    #[test]
    fn every_setting_of_every_model_is_documented_and_comes_back() {
        let mut names = HashSet::new();
        for entry in entries() {
            assert!(names.insert(entry.name), "{} stands twice", entry.name);
            let documented: HashSet<String> = entry.settings.iter().map(|s| s.key.to_string()).collect();
            let all = keys(&entry.usual);
            // What a model of the family has no use for cannot be set.
            let own = |key: &&String| !documented.contains(*key);
            let without: Vec<&str> = all.iter().filter(own).map(String::as_str).collect();
            let expected: &[&str] = match entry.name {
                "chow-liu" => &["leaf", "least_scale"],
                "made" => &["layers"],
                "gaussianization" => &["base", "hidden"],
                "rbig" => &["base", "batch", "clip", "epochs", "hidden", "patience", "rate"],
                _ => &[],
            };
            assert_eq!(without, expected, "{}", entry.name);
            let options: HashSet<String> = entry.settings.iter().map(Setting::option).collect();
            assert_eq!(options.len(), documented.len(), "{}: two settings with one option", entry.name);
            // What is printed is read back as the same settings.
            let text = entry.document(&entry.usual);
            let fit = entry.settings(&toml::from_str(&text).unwrap(), &|_| "printed".into()).unwrap();
            assert_eq!(fit.table().unwrap(), entry.usual, "{}", entry.name);
            let own = entry.of_use(&entry.usual);
            assert!(keys(&own).iter().all(|key| documented.contains(key)), "{}", entry.name);
        }
    }

    #[test]
    fn a_rule_of_em_has_its_own_usual_settings_wherever_it_is_chosen() {
        let hclt = entries().into_iter().find(|entry| entry.name == "hclt").unwrap();
        let em = |text: &str| {
            hclt.settings(&toml::from_str(text).unwrap(), &|_| "test".into()).unwrap().table().unwrap()["em"].clone()
        };
        let anemone = em("em.rule = \"anemone\"");
        assert_eq!((anemone["pseudocount"].as_float(), anemone["first_step"].as_float()), (Some(1e-6), Some(0.4)));
        assert_eq!(em("em = { rule = \"anemone\", pseudocount = 0.5 }")["pseudocount"].as_float(), Some(0.5));
        assert_eq!(em("em.pseudocount = 0.5")["first_step"].as_float(), Some(0.5));
    }
}
