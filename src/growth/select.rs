//! The third step of a round: which clusters are to be divided, and into how many.

use super::Cluster;
use crate::random::Stream;
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// Which clusters are to be divided: those whose rows are least likely.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// So many that more than this share of all rows is in them.
    Share(f64),
    /// So many.
    Lowest(usize),
}

impl Default for Select {
    fn default() -> Self {
        Self::Share(0.4)
    }
}

impl Select {
    /// Step 3: the clusters to be divided, least likely first. Clusters without rows are left out.
    pub fn of(&self, clusters: &[Cluster]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..clusters.len()).filter(|i| clusters[*i].rows > 0).collect();
        order.sort_by(|a, b| clusters[*a].log_prob.total_cmp(&clusters[*b].log_prob));
        let all: usize = clusters.iter().map(|cluster| cluster.rows).sum();
        let count = match *self {
            Self::Lowest(count) => count,
            Self::Share(share) => {
                let rows = order.iter().scan(0, |sum, i| {
                    *sum += clusters[*i].rows;
                    Some(*sum)
                });
                // The one that crosses the share is among them.
                1 + rows.take_while(|sum| (*sum as f64) <= share * all as f64).count()
            }
        };
        order.truncate(count);
        order
    }
}

/// How many clusters the divided ones become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum More {
    /// One more.
    #[default]
    One,
    /// Twice as many.
    Double,
    /// Any number between one more and twice as many, as the published code draws it where more than five clusters are wanted, as
    /// long as each has so many rows.
    Random {
        /// Rows a cluster.
        rows: usize,
    },
}

impl More {
    /// The number of clusters that `chosen` clusters with `rows` rows become, of which the whole may grow to `most`; none where
    /// they cannot be divided.
    pub(super) fn of(self, chosen: usize, rows: usize, most: usize, rng: &mut Stream) -> Option<usize> {
        let least = chosen + 1;
        let most = most.min(2 * chosen).min(rows);
        let number = match self {
            Self::One => least,
            Self::Double => most,
            Self::Random { rows: each } => {
                let most = most.min(rows / each.max(1));
                if least > most {
                    return None;
                }
                rng.random_range(least..=most)
            }
        };
        (least <= most).then_some(number)
    }
}
