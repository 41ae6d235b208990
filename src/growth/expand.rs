//! The fourth step of a round: divided clusters get new rows, and the circuit new heads.

use crate::{
    Error, Result,
    circuits::{Circuit, Grow, Heads},
    data::{Rows, Subset},
    linalg::KMeans,
    random::Seed,
};
use serde::{Deserialize, Serialize};

/// How clusters are divided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expand {
    /// How the circuit grows. Its share is a floor: of `k` heads, `n` of which are copied, `n / (n + k)` of the nodes are, or more.
    pub grow: Grow,
    /// The most rounds of K-means.
    pub rounds: usize,
    /// Points a round of K-means; 0 for all.
    pub batch: usize,
    /// What matters is what matters to the rows of the copied heads alone, as in the published code, rather than of all that are
    /// divided.
    pub flows_of_copied: bool,
    /// A cluster keeps the number of the centre that K-means began with, and the copied heads are those of the least likely
    /// clusters, as in the published code; rather than both going by the rows that old and new clusters share.
    pub by_number: bool,
}

impl Default for Expand {
    fn default() -> Self {
        Self { grow: Grow::default(), rounds: 200, batch: 0, flows_of_copied: false, by_number: false }
    }
}

impl Expand {
    /// Step 4: the rows of the `chosen` clusters become `clusters` clusters by their `features`, with K-means that begins at the
    /// means of the chosen ones. Each chosen head keeps the new cluster that shares most rows with its own; the others get new
    /// heads, copies of the heads that most of their rows come from.
    ///
    /// Gives the circuit, the new heads after the old, and the new label of each row.
    ///
    /// # Errors
    /// When rows, features and labels are of different numbers, a cluster is chosen twice or empty, `clusters` is not above their
    /// number and at most twice that, or the circuit cannot grow.
    pub fn run(
        &self,
        circuit: &Circuit,
        (rows, features): (&dyn Rows, &dyn Rows),
        labels: &[u32],
        (chosen, clusters): (&[usize], usize),
        seed: Seed,
    ) -> Result<(Circuit, Vec<u32>)> {
        let (k, old) = (circuit.graph().heads(), chosen.len());
        if features.len() != rows.len() || labels.len() != rows.len() {
            let [n, f, l] = [rows.len(), features.len(), labels.len()];
            return Err(Error::invalid(format!("{n} rows, but features of {f} and labels of {l}")));
        }
        if !(old + 1..=2 * old).contains(&clusters) {
            let range = format!("{} ≤ clusters ≤ {}", old + 1, 2 * old);
            return Err(Error::invalid(format!("{old} clusters to be divided into {clusters}: {range} works")));
        }
        let place = |label: u32| chosen.iter().position(|cluster| *cluster == label as usize);
        let members: Vec<usize> = (0..labels.len()).filter(|row| place(labels[*row]).is_some()).collect();
        let from: Vec<usize> = members.iter().filter_map(|row| place(labels[*row])).collect();
        let points = Subset::new(features, members.clone());
        let centres = means(&points, &from, old)?;
        let kmeans = KMeans { rounds: self.rounds, batch: self.batch, ..KMeans::new(clusters) };
        let found = kmeans.fit_from(&points, centres, seed.child("clusters", 0))?.labels;

        let added = clusters - old;
        // Of each new cluster the place among the chosen of the head that it keeps or has copied.
        let (kept, origins): (Vec<Option<usize>>, Vec<usize>) = match self.by_number {
            true => ((0..clusters).map(|j| (j < old).then_some(j)).collect(), (0..added).collect()),
            false => by_shared_rows(&from, &found, old, clusters),
        };
        let copied: Vec<usize> = origins.into_iter().map(|i| chosen[i]).collect();
        let share = self.grow.share.max(added as f64 / (added + k) as f64);
        let grow = Grow { share, ..self.grow };
        let used: Vec<usize> = match self.flows_of_copied {
            true => members.iter().copied().filter(|row| copied.contains(&(labels[*row] as usize))).collect(),
            false => members.clone(),
        };
        let heads: Vec<u32> = used.iter().map(|row| labels[*row]).collect();
        let grown =
            circuit.grow(&copied, &Subset::new(rows, used), Heads::Labels(&heads), &grow, seed.child("grow", 0))?;
        let others = kept.iter().scan(k, |next, kept| {
            *next += usize::from(kept.is_none());
            Some(*next - usize::from(kept.is_none()))
        });
        let heads: Vec<usize> = others.zip(&kept).map(|(next, kept)| kept.map_or(next, |i| chosen[i])).collect();
        let mut new = labels.to_vec();
        members.into_iter().zip(found).for_each(|(row, cluster)| new[row] = heads[cluster as usize] as u32);
        Ok((grown, new))
    }
}

/// The mean point of each cluster.
fn means(points: &Subset, from: &[usize], clusters: usize) -> Result<Vec<f64>> {
    const BLOCK: usize = 8192;
    let width = points.schema().len();
    let (mut sums, mut counts) = (vec![0.0; clusters * width], vec![0.0; clusters]);
    let (mut places, all) = (Vec::new(), (0..points.len()).collect::<Vec<_>>());
    for block in all.chunks(BLOCK) {
        points.read_reals(block, &mut places)?;
        for (place, row) in places.chunks_exact(width).zip(block) {
            counts[from[*row]] += 1.0;
            sums[from[*row] * width..][..width].iter_mut().zip(place).for_each(|(sum, x)| *sum += x);
        }
    }
    if let Some(empty) = counts.iter().position(|count| *count == 0.0) {
        return Err(Error::invalid(format!("cluster {empty} of those to be divided has no rows")));
    }
    sums.chunks_exact_mut(width).zip(counts).for_each(|(sum, count)| sum.iter_mut().for_each(|x| *x /= count));
    Ok(sums)
}

/// Which new cluster keeps which old head, and which old head each of the others, in order, has copied: those that share most
/// rows, none of them twice.
fn by_shared_rows(from: &[usize], found: &[u32], old: usize, clusters: usize) -> (Vec<Option<usize>>, Vec<usize>) {
    let mut shared = vec![0_usize; clusters * old];
    from.iter().zip(found).for_each(|(from, found)| shared[*found as usize * old + from] += 1);
    let mut order: Vec<usize> = (0..shared.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(shared[*i]));
    let match_to_old = |among: &[usize]| {
        let mut matched = vec![None; clusters];
        for (new, old) in order.iter().map(|i| (i / old, i % old)) {
            if among.contains(&new) && matched[new].is_none() && !matched.contains(&Some(old)) {
                matched[new] = Some(old);
            }
        }
        matched
    };
    let kept = match_to_old(&(0..clusters).collect::<Vec<_>>());
    let others: Vec<usize> = (0..clusters).filter(|new| kept[*new].is_none()).collect();
    // There are no more of these than old ones.
    let copied = match_to_old(&others).into_iter().flatten().collect();
    (kept, copied)
}
