//! Rounds of growing, one after the other.

use super::{Clusters, Expand, Learn, More, Select, relabel};
use crate::{Error, Result, circuits::Circuit, data::Rows, linalg::KMeans, train::Run};
use serde::{Deserialize, Serialize};

/// Everything that progressive growing can be told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Growing {
    /// How many clusters there are to be.
    pub clusters: usize,
    /// Step 1.
    pub learn: Learn,
    /// Step 2: by how many nats a head must be better than a row's own for the row to go there.
    pub reluctance: f64,
    /// Step 3: which clusters are divided.
    pub select: Select,
    /// By what the rows of a cluster were like before they chose their heads anew, as in the published code, rather than after.
    pub select_before: bool,
    /// Step 3: into how many.
    pub more: More,
    /// Step 4.
    pub expand: Expand,
    /// Rounds without gain on the validation rows before growing ends; 0 to grow to the last cluster.
    pub patience: usize,
}

impl Default for Growing {
    fn default() -> Self {
        Self {
            clusters: 4,
            learn: Learn::default(),
            reluctance: 0.0,
            select: Select::default(),
            select_before: false,
            more: More::default(),
            expand: Expand::default(),
            patience: 0,
        }
    }
}

/// What a round came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// Heads of the circuit.
    pub heads: usize,
    /// Its parameters.
    pub parameters: usize,
    /// `E log p(x | its head)` of the training rows after learning and pruning, nats a row.
    pub learned: f64,
    /// The same after rows chose their heads anew.
    pub relabelled: f64,
    /// Rows that chose another.
    pub moved: usize,
    /// The mean log-likelihood of the validation rows under the mixture of the heads, nats a row.
    pub valid: Option<f64>,
    /// Clusters that were divided then; none in the last round.
    pub divided: usize,
}

/// A circuit that has grown.
#[derive(Clone, Debug)]
pub struct Grown {
    /// A head for each cluster.
    pub circuit: Circuit,
    /// The rows of each head.
    pub clusters: Clusters,
    /// What each round came to.
    pub rounds: Vec<Round>,
}

impl Grown {
    /// The mixture of the heads in proportion to their rows: a circuit of one head.
    ///
    /// # Errors
    /// None that these weights could cause.
    pub fn mixed(&self) -> Result<Circuit> {
        self.circuit.mixed(&self.clusters.weights())
    }
}

impl Growing {
    /// Grows a circuit over `rows`, whose clusters are those of their `features`. It may have several heads to begin with. Every
    /// round has a checkpoint of its own, beside that of the run: a run that is resumed finds the rounds that had ended.
    ///
    /// # Errors
    /// When a setting is out of range, there are fewer rows than clusters, the features are of other rows or lack a number, or
    /// the circuit does not fit the rows.
    pub fn run(
        &self,
        mut circuit: Circuit,
        (rows, features): (&dyn Rows, &dyn Rows),
        valid: Option<&dyn Rows>,
        mut run: Run,
    ) -> Result<Grown> {
        let seed = run.seed;
        let first = circuit.graph().heads();
        if self.clusters < first {
            let wanted = self.clusters;
            return Err(Error::invalid(format!("{wanted} clusters for a circuit that has {first} heads already")));
        }
        let mut labels = KMeans { rounds: self.expand.rounds, batch: self.expand.batch, ..KMeans::new(first) }
            .fit(features, seed.child("first", 0))?
            .labels;
        let (mut rounds, mut best): (Vec<Round>, Option<(usize, Circuit, Clusters)>) = (Vec::new(), None);
        loop {
            let seed = seed.child("round", rounds.len() as u64);
            let part = format!("round-{}", rounds.len());
            let learn = |run: Run| Ok(self.learn.run(circuit.clone(), rows, &labels, run)?.0);
            circuit = run.part(&part, seed.child("learn", 0), learn)?;
            let [before, after] = relabel(&circuit, rows, &labels, self.reluctance)?;
            let heads = circuit.graph().heads();
            let held_out = |valid: &dyn Rows| -> Result<f64> {
                let log_probs = circuit.mixed(&after.weights())?.log_prob(valid)?;
                Ok(log_probs.iter().sum::<f64>() / log_probs.len() as f64)
            };
            let valid = valid.filter(|valid| !valid.is_empty()).map(held_out).transpose()?;
            let (parameters, learned, relabelled) = (circuit.parameters(), before.objective, after.objective);
            rounds.push(Round { heads, parameters, learned, relabelled, moved: after.moved, valid, divided: 0 });
            let last = rounds.len() - 1;
            let better = |best: &(usize, Circuit, Clusters)| valid > rounds[best.0].valid || self.patience == 0;
            if best.as_ref().is_none_or(better) {
                best = Some((last, circuit.clone(), after.clone()));
            }
            let since = last - best.as_ref().map_or(last, |best| best.0);
            if heads >= self.clusters || (self.patience > 0 && since >= self.patience) {
                break;
            }
            let scores = if self.select_before { &before.each } else { &after.each };
            let mut chosen = self.select.of(scores);
            chosen.retain(|cluster| after.each[*cluster].rows > 0);
            let in_them = chosen.iter().map(|cluster| after.each[*cluster].rows).sum();
            let most = chosen.len() + self.clusters - heads;
            let Some(number) = self.more.of(chosen.len(), in_them, most, &mut seed.stream("more", 0)) else { break };
            rounds[last].divided = chosen.len();
            let to = (chosen.as_slice(), number);
            (circuit, labels) = self.expand.run(&circuit, (rows, features), &after.labels, to, seed)?;
        }
        let (_, circuit, clusters) = best.expect("a round or more");
        Ok(Grown { circuit, clusters, rounds })
    }
}
