//! Which head each row belongs to, and the second step of a round: rows choose their heads anew.

use crate::{Error, Result, circuits::Circuit, data::Rows};

/// The rows of one head.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cluster {
    /// How many.
    pub rows: usize,
    /// Their mean log-likelihood under their head, nats; 0 where there is none.
    pub log_prob: f64,
}

/// The head of each row, and what the heads say of their rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// The head of each row.
    pub labels: Vec<u32>,
    /// Of each head its rows.
    pub each: Vec<Cluster>,
    /// The mean of `log p(x | its head)`, nats a row: what growing raises (equation 4).
    pub objective: f64,
    /// Rows that had another head before.
    pub moved: usize,
}

/// Step 2: every row goes to the head under which it is likeliest. Of equally likely heads it keeps its own, and so it does where
/// another is better by no more than `reluctance` nats (0 in the paper, 1 in the published code).
///
/// ```text
/// label(x) = argmax_i log p(x | i) + reluctance · [i = label(x)]
/// ```
///
/// Without reluctance the objective never falls. What comes first are the clusters before, with which they can be compared.
///
/// # Errors
/// When the rows do not fit the circuit or cannot be read, or `reluctance` is negative.
///
/// # Panics
/// When there is not a label for each row.
pub fn relabel(circuit: &Circuit, rows: &dyn Rows, labels: &[u32], reluctance: f64) -> Result<[Clusters; 2]> {
    assert_eq!(labels.len(), rows.len(), "a label for each row");
    if reluctance.is_nan() || reluctance < 0.0 {
        return Err(Error::out_of_range("reluctance", reluctance, "0 ≤ reluctance"));
    }
    let [mut before, mut after] = [Tally::default(), Tally::default()].map(|tally| tally.with(circuit.graph().heads()));
    circuit.for_each_by_head(rows, |row, logs| {
        let own = labels[row] as usize;
        let mut best = own;
        for (head, log) in logs.iter().enumerate() {
            let bar = logs[best] + if best == own { reluctance } else { 0.0 };
            if *log > bar {
                best = head;
            }
        }
        before.add(own, own, logs);
        after.add(own, best, logs);
    })?;
    Ok([before.finish(), after.finish()])
}

impl Clusters {
    /// The rows of some clusters, in order.
    pub fn rows_of(&self, clusters: &[usize]) -> Vec<usize> {
        (0..self.labels.len()).filter(|row| clusters.contains(&(self.labels[*row] as usize))).collect()
    }

    /// How many rows each head has, as weights of their mixture ([`Circuit::mixed`]).
    pub fn weights(&self) -> Vec<f64> {
        self.each.iter().map(|cluster| cluster.rows as f64).collect()
    }
}

#[derive(Default)]
struct Tally {
    labels: Vec<u32>,
    rows: Vec<usize>,
    sums: Vec<f64>,
    moved: usize,
}

impl Tally {
    fn with(mut self, heads: usize) -> Self {
        (self.rows, self.sums) = (vec![0; heads], vec![0.0; heads]);
        self
    }

    fn add(&mut self, own: usize, label: usize, logs: &[f64]) {
        self.labels.push(label as u32);
        self.rows[label] += 1;
        self.sums[label] += logs[label];
        self.moved += usize::from(own != label);
    }

    fn finish(self) -> Clusters {
        let each = |(rows, sum): (&usize, &f64)| Cluster { rows: *rows, log_prob: sum / (*rows).max(1) as f64 };
        let objective = self.sums.iter().sum::<f64>() / self.labels.len().max(1) as f64;
        let each = self.rows.iter().zip(&self.sums).map(each).collect();
        Clusters { labels: self.labels, each, objective, moved: self.moved }
    }
}
