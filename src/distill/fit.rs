//! The whole pipeline by its settings: `limbeck fit lvd-pg`.

use super::{FitStudent, Student, estimate, latents, settings::NAME};
use crate::{
    Error, Result,
    circuits::{Circuit, FitCircuit, Structure},
    data::{MISSING, Patches, Rows, Subset},
    random::Seed,
    train::{Estimate, Fit, History, Reads, Run},
};

/// Pictures in a batch of the whole and of the circuit over heads.
pub(super) const PICTURES: usize = 128;

/// A part of the run with a seed by its name.
fn of<T>(run: &mut Run, name: &str, work: impl FnOnce(Run) -> Result<T>) -> Result<T> {
    let seed = run.seed.child(name, 0);
    run.part(name, seed, work)
}

impl FitStudent {
    /// The heads of the squares of pictures, and which of them each square has.
    fn learn_heads(&self, patches: &Patches, rows: &dyn Rows, run: &mut Run) -> Result<(Vec<Circuit>, Vec<u32>)> {
        // The first part of a run keeps the settings of all.
        let settings = toml::to_string(self).map_err(Error::invalid)?;
        let (teaching, config) = self.teacher();
        let teacher = of(run, "teacher", |run| Ok(teaching.vq_vae_within(&config, settings, rows, run)?.0))?;
        let (squares, features) = (patches.of(rows)?, teacher.features_on_disk(rows)?);
        let clusters = self.kmeans().fit(&features, run.seed.child("clusters", 0))?.labels;
        let mut members = vec![Vec::new(); self.clusters];
        clusters.iter().enumerate().for_each(|(square, cluster)| members[*cluster as usize].push(square));
        // Where squares are alike there may be fewer clusters of them.
        let members: Vec<(usize, Vec<usize>)> =
            members.into_iter().enumerate().filter(|(_, members)| !members.is_empty()).collect();
        let part = |(cluster, _): &(usize, Vec<usize>)| {
            let name = format!("cluster-{cluster}");
            (name.clone(), run.seed.child(&name, 0))
        };
        let parts: Vec<(String, Seed)> = members.iter().map(part).collect();
        let grown = run.parts(&parts, |i, run| {
            let own = &members[i].1;
            let own_squares = Subset::new(&squares, own.clone());
            let heads = self.start_heads.min(own.len());
            let structure = Structure::Hclt { states: self.states, joined: false, shared: self.shared };
            let start = FitCircuit::new(structure).start_heads(&own_squares, heads, run.seed)?;
            self.growing().run(start, (&own_squares, &Subset::new(&features, own.clone())), None, run)
        })?;
        let (mut parts, mut labels, mut heads) = (Vec::new(), vec![0; squares.len()], 0);
        for (grown, (_, own)) in grown.into_iter().zip(members) {
            own.iter().zip(&grown.clusters.labels).for_each(|(square, label)| labels[*square] = heads + label);
            heads += grown.circuit.graph().heads() as u32;
            parts.push(grown.circuit);
        }
        Ok((parts, labels))
    }
}

/// Refuses pictures with missing values, and names the first.
fn whole_pictures(rows: &dyn Rows) -> Result<()> {
    const BLOCK: usize = 4096;
    let (all, mut codes) = ((0..rows.len()).collect::<Vec<_>>(), Vec::new());
    let mut first: Option<usize> = None;
    for block in all.chunks(BLOCK) {
        rows.read(block, &mut codes)?;
        let pictures = codes.chunks_exact(rows.schema().len()).zip(block);
        let holed = pictures.filter(|(codes, _)| codes.contains(&MISSING)).map(|(_, row)| rows.number_of(*row));
        first = first.into_iter().chain(holed).min();
    }
    match first {
        None => Ok(()),
        Some(row) => {
            let why = "its autoencoder takes no missing values (the circuit that is fitted does)";
            Err(Error::invalid(format!(
                "row {row}: a picture with missing values; {NAME} learns from whole ones, as {why}"
            )))
        }
    }
}

impl Fit for FitStudent {
    type Model = Circuit;

    fn name(&self) -> &str {
        NAME
    }

    fn check(&self) -> Result<()> {
        self.checked()
    }

    fn reads(&self) -> Reads {
        Reads::Categories
    }

    fn estimate(&self, rows: &dyn Rows, jobs: usize) -> Result<Option<Estimate>> {
        estimate::of(self, rows, jobs).map(Some)
    }

    fn fit_with(&self, rows: &dyn Rows, valid: Option<&dyn Rows>, mut run: Run) -> Result<(Circuit, History)> {
        self.check()?;
        if let Some(checkpoint) = &run.checkpoint {
            checkpoint.refuse_parts(&["teacher", "cluster-", "labels", "prior", "whole"])?;
        }
        let patches = Patches::new(rows.schema(), self.side)?;
        whole_pictures(rows)?;
        let (parts, labels) = self.learn_heads(&patches, rows, &mut run)?;
        let heads: usize = parts.iter().map(|part| part.graph().heads()).sum();
        let settings = FitCircuit {
            epochs: self.prior_epochs,
            batch: PICTURES,
            patience: 0,
            em: self.em(),
            ..FitCircuit::new(Structure::hclt(self.prior_states))
        };
        let of_rows = latents(&patches, &labels, heads)?;
        drop(labels);
        let prior = of(&mut run, "labels", |run| Ok(settings.fit_with(&of_rows, None, run)?.0))?;
        drop(of_rows);
        let mut student = Student::new(patches, parts, prior)?;
        let soft = (self.em(), self.prior_epochs, PICTURES);
        let mut history = of(&mut run, "prior", |run| student.learn_prior(rows, valid, soft, run))?;
        let mut circuit = student.circuit()?;
        drop(student);
        if self.tune_epochs > 0 {
            let tuning = FitCircuit { epochs: self.tune_epochs, patience: self.patience, ..settings };
            (circuit, history) = of(&mut run, "whole", |run| tuning.go_on(circuit, rows, valid, run))?;
        }
        history.note(format!("{heads} heads of squares, {} parameters", circuit.parameters()));
        Ok((circuit.named(NAME), history))
    }
}
