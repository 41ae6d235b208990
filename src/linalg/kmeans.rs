//! K-means: each point belongs to the nearest of some centres, and each centre is the mean of its points.

use crate::{
    Error, Result,
    data::Rows,
    nn::ops::cpu::{Matrix, Threads, matmul},
    random::{Seed, categorical, permutation},
};
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Settings of K-means over rows of real numbers, which are read block by block: of each point its cluster and its place are
/// kept, some twenty bytes.
///
/// ```text
/// label(x) = argmin_k ‖x − c_k‖²        c_k = mean of the points with label k
/// ```
///
/// Starts from points far apart (k-means++: Arthur and Vassilvitskii 2007). A centre that loses all its points goes to the point
/// that is farthest from its own, where a round is of all points.
///
/// ```
/// # use limbeck::{linalg::KMeans, prelude::*};
/// let rows = Oracle::Gaussians.sample(400, Seed(0))?;
/// let found = KMeans::new(8).fit(&rows, Seed(1))?;
/// assert_eq!(found.labels.len(), 400);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KMeans {
    /// How many clusters.
    pub clusters: usize,
    /// The most rounds; fewer where no point changes its cluster.
    #[serde(default = "rounds")]
    pub rounds: usize,
    /// How many starts, of which the best is kept.
    #[serde(default = "one")]
    pub starts: usize,
    /// Points a round, drawn at random; 0 for all. With few a centre moves by one over the number of points it has seen for each
    /// (Sculley 2010).
    #[serde(default)]
    pub batch: usize,
}

fn rounds() -> usize {
    50
}

fn one() -> usize {
    1
}

/// Centres, and which points are nearest to which.
#[derive(Clone, Debug, PartialEq)]
pub struct Clustered {
    /// The centres, `(clusters, numbers a point)`.
    pub centres: Vec<f64>,
    /// The cluster of each point.
    pub labels: Vec<u32>,
    /// The mean squared distance of a point from its centre.
    pub cost: f64,
    /// Numbers a point.
    width: usize,
}

impl Clustered {
    /// The cluster whose centre is nearest to each of other points.
    ///
    /// # Errors
    /// When they have other columns, a number is missing, or a row cannot be read.
    pub fn nearest(&self, points: &dyn Rows) -> Result<Vec<u32>> {
        let width = points.schema().len();
        if !points.schema().is_continuous() || width != self.width {
            let own = self.width;
            return Err(Error::invalid(format!("points of {width} columns, and centres of {own} real numbers")));
        }
        Ok(Assigned::of(points, &self.centres, width)?.labels)
    }
}

/// Points that are read at once, and those that one task works on; fixed, so that sums do not depend on the number of threads.
const BLOCK: usize = 8192;
const TASK: usize = 512;
/// Points a cluster from which the starting centres are chosen.
const CANDIDATES: usize = 64;

impl KMeans {
    /// So many clusters, with the usual settings.
    pub fn new(clusters: usize) -> Self {
        Self { clusters, rounds: rounds(), starts: 1, batch: 0 }
    }

    /// Clusters of points.
    ///
    /// # Errors
    /// When a setting is 0, there are fewer points than clusters, a number is missing, or a row cannot be read.
    pub fn fit(&self, points: &dyn Rows, seed: Seed) -> Result<Clustered> {
        let mut best: Option<Clustered> = None;
        for start in 0..self.starts.max(1) {
            let seed = seed.child("start", start as u64);
            let centres = self.far_apart(points, seed)?;
            let found = self.fit_from(points, centres, seed)?;
            if best.as_ref().is_none_or(|best| found.cost < best.cost) {
                best = Some(found);
            }
        }
        Ok(best.expect("one start or more"))
    }

    /// The same from centres of one's own, `(some, numbers a point)`, which keep their numbers; where there are fewer than
    /// clusters, the others begin at points far from them.
    ///
    /// # Errors
    /// As [`Self::fit`]; also when the centres are too many, or no whole points.
    pub fn fit_from(&self, points: &dyn Rows, centres: Vec<f64>, seed: Seed) -> Result<Clustered> {
        let width = self.check(points)?;
        if !centres.len().is_multiple_of(width) || centres.len() > self.clusters * width {
            let given = centres.len();
            return Err(Error::invalid(format!("{given} numbers for {} centres of {width} numbers", self.clusters)));
        }
        let mut centres = self.completed(points, centres, seed)?;
        if self.batch > 0 && self.batch < points.len() {
            self.move_by_batches(points, &mut centres, seed)?;
            return Ok(Assigned::of(points, &centres, width)?.into_clustered(centres, width));
        }
        let mut before = Assigned::of(points, &centres, width)?;
        for _ in 0..self.rounds {
            before.move_centres(points, &mut centres)?;
            let now = Assigned::of(points, &centres, width)?;
            let settled = now.labels == before.labels;
            before = now;
            if settled {
                break;
            }
        }
        Ok(before.into_clustered(centres, width))
    }

    fn check(&self, points: &dyn Rows) -> Result<usize> {
        if self.rounds == 0 || self.starts == 0 {
            return Err(Error::invalid("K-means of no round, or from no start"));
        }
        if self.clusters == 0 || points.len() < self.clusters {
            let (k, n) = (self.clusters, points.len());
            return Err(Error::invalid(format!("{k} clusters of {n} points: 1 ≤ clusters ≤ points")));
        }
        if !points.schema().is_continuous() {
            return Err(Error::invalid("K-means is of real numbers; these rows are categories"));
        }
        Ok(points.schema().len())
    }

    /// Starting centres: points at random, each with a probability in proportion to its squared distance from those before.
    fn far_apart(&self, points: &dyn Rows, seed: Seed) -> Result<Vec<f64>> {
        self.check(points)?;
        let first = seed.stream("first", 0).random_range(0..points.len());
        let mut centre = Vec::new();
        points.read_reals(&[first], &mut centre)?;
        self.completed(points, centre, seed)
    }

    /// As many centres as clusters: those given, and others far from them.
    fn completed(&self, points: &dyn Rows, mut centres: Vec<f64>, seed: Seed) -> Result<Vec<f64>> {
        let width = points.schema().len();
        if centres.is_empty() {
            return self.far_apart(points, seed);
        }
        if centres.len() == self.clusters * width {
            return Ok(centres);
        }
        let mut rng = seed.stream("far", 0);
        let mut candidates = permutation(points.len(), &mut rng);
        candidates.truncate(CANDIDATES * self.clusters);
        candidates.sort_unstable();
        let places = read(points, &candidates)?;
        let mut distances = vec![f64::INFINITY; candidates.len()];
        let nearer = |distances: &mut [f64], centre: &[f64]| {
            distances.par_iter_mut().zip(places.par_chunks_exact(width)).for_each(|(distance, place)| {
                *distance = distance.min(place.iter().zip(centre).map(|(a, b)| (a - b).powi(2)).sum());
            });
        };
        centres.chunks_exact(width).for_each(|centre| nearer(&mut distances, centre));
        while centres.len() < self.clusters * width {
            // Where all points are centres already, any.
            let next = categorical(&distances, &mut rng).unwrap_or_else(|| rng.random_range(0..candidates.len()));
            let centre = &places[next * width..(next + 1) * width];
            nearer(&mut distances, centre);
            centres.extend_from_slice(centre);
        }
        Ok(centres)
    }

    /// Rounds of a batch each.
    fn move_by_batches(&self, points: &dyn Rows, centres: &mut [f64], seed: Seed) -> Result<()> {
        let width = points.schema().len();
        // A centre begins as if it had seen its share of a batch.
        let mut seen = vec![(self.batch as f64 / self.clusters as f64).ceil(); self.clusters];
        let mut rng = seed.stream("batches", 0);
        for _ in 0..self.rounds {
            let mut batch: Vec<usize> = (0..self.batch).map(|_| rng.random_range(0..points.len())).collect();
            batch.sort_unstable();
            let places = read(points, &batch)?;
            let nearest = nearest(&places, centres, width);
            for (place, (label, _)) in places.chunks_exact(width).zip(nearest) {
                seen[label as usize] += 1.0;
                let centre = &mut centres[label as usize * width..][..width];
                centre.iter_mut().zip(place).for_each(|(c, x)| *c += (x - *c) / seen[label as usize]);
            }
        }
        Ok(())
    }
}

/// Numbers of points, none missing.
fn read(points: &dyn Rows, which: &[usize]) -> Result<Vec<f64>> {
    let mut places = Vec::new();
    points.read_reals(which, &mut places)?;
    let width = points.schema().len();
    match places.iter().position(|x| !x.is_finite()) {
        None => Ok(places),
        Some(i) => {
            let (row, column) = (which[i / width], &points.schema().variables[i % width].name);
            Err(Error::invalid(format!("row {row}, column {column}: a missing value has no distance from a centre")))
        }
    }
}

/// The nearest centre of each point, and its squared distance.
///
/// ```text
/// ‖x − c‖² = ‖x‖² − 2 x·c + ‖c‖²      all seen from the first centre, so that a common offset costs no digits
/// ```
fn nearest(places: &[f64], centres: &[f64], width: usize) -> Vec<(u32, f64)> {
    let k = centres.len() / width;
    let origin = &centres[..width];
    let from_origin = |x: &[f64]| -> Vec<f64> {
        x.chunks_exact(width).flat_map(|x| x.iter().zip(origin).map(|(x, o)| x - o)).collect()
    };
    let centres = &from_origin(centres)[..];
    let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
    let squares: Vec<f64> = centres.chunks_exact(width).map(square).collect();
    let task = |places: &[f64]| {
        let (n, places) = (places.len() / width, &from_origin(places)[..]);
        let mut products = vec![0.0; n * k];
        let (points, centres) = (Matrix::new(places, n, width), Matrix::new(centres, k, width));
        matmul(&mut products, false, points, centres.transpose(), Threads::One);
        let rows = places.chunks_exact(width).zip(products.chunks_exact(k));
        rows.map(|(place, products)| {
            let each = products.iter().zip(&squares).map(|(product, square)| square - 2.0 * product);
            let (label, least) = each.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).expect("one centre or more");
            (label as u32, (least + square(place)).max(0.0))
        })
        .collect::<Vec<_>>()
    };
    places.par_chunks(TASK * width).flat_map_iter(task).collect()
}

/// All points with the centres they are nearest to.
struct Assigned {
    labels: Vec<u32>,
    /// Sums of the points of each cluster, and their numbers.
    sums: Vec<f64>,
    counts: Vec<f64>,
    cost: f64,
    /// The points farthest from their centres, farthest first: as many as there are clusters.
    farthest: Vec<(f64, usize)>,
}

impl Assigned {
    fn of(points: &dyn Rows, centres: &[f64], width: usize) -> Result<Self> {
        let k = centres.len() / width;
        let (sums, counts) = (vec![0.0; centres.len()], vec![0.0; k]);
        let mut all = Self { labels: Vec::with_capacity(points.len()), sums, counts, cost: 0.0, farthest: vec![] };
        let rows: Vec<usize> = (0..points.len()).collect();
        for block in rows.chunks(BLOCK) {
            let places = read(points, block)?;
            let found = nearest(&places, centres, width);
            for ((place, (label, distance)), row) in places.chunks_exact(width).zip(found).zip(block) {
                let label_at = label as usize;
                all.labels.push(label);
                all.counts[label_at] += 1.0;
                all.sums[label_at * width..][..width].iter_mut().zip(place).for_each(|(sum, x)| *sum += x);
                all.cost += distance;
                all.farthest.push((distance, *row));
            }
            all.farthest.sort_by(|a, b| b.0.total_cmp(&a.0));
            all.farthest.truncate(k);
        }
        all.cost /= points.len() as f64;
        Ok(all)
    }

    /// Every centre to the mean of its points; one without any to a point far from its own.
    fn move_centres(&self, points: &dyn Rows, centres: &mut [f64]) -> Result<()> {
        let width = points.schema().len();
        let mut far = self.farthest.iter().filter(|(distance, _)| *distance > 0.0);
        for (label, centre) in centres.chunks_exact_mut(width).enumerate() {
            let (count, sums) = (self.counts[label], &self.sums[label * width..][..width]);
            if count > 0.0 {
                centre.iter_mut().zip(sums).for_each(|(c, sum)| *c = sum / count);
            } else if let Some((_, row)) = far.next() {
                centre.copy_from_slice(&read(points, &[*row])?);
            }
        }
        Ok(())
    }

    fn into_clustered(self, centres: Vec<f64>, width: usize) -> Clustered {
        Clustered { centres, labels: self.labels, cost: self.cost, width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Continuous, Discrete, Schema};

    /// Four clouds of 50 points, at the corners of a square of side 10.
    fn clouds() -> Continuous {
        let mut rng = Seed(4).stream("clouds", 0);
        let mut at = |i: usize| [10.0 * (i % 2) as f64, 10.0 * (i / 2 % 2) as f64].map(|x| x + rng.random::<f64>());
        Continuous::new(vec!["x".into(), "y".into()], (0..200).flat_map(&mut at).collect()).unwrap()
    }

    #[test]
    fn clouds_are_found_whatever_the_start_and_the_threads() {
        let points = clouds();
        for seed in 0..8 {
            let found = KMeans::new(4).fit(&points, Seed(seed)).unwrap();
            for i in 0..4 {
                assert!((0..200).all(|j| (found.labels[i] == found.labels[j]) == (j % 4 == i)));
            }
            // Each centre is the mean of its points, and the cost is what the definition says.
            let mut cost = 0.0;
            for (row, label) in found.labels.iter().enumerate() {
                let centre = &found.centres[2 * *label as usize..][..2];
                cost += points.row(row).iter().zip(centre).map(|(x, c)| (x - c).powi(2)).sum::<f64>() / 200.0;
                let mean: f64 =
                    (0..200).filter(|r| found.labels[*r] == *label).map(|r| points.row(r)[0]).sum::<f64>() / 50.0;
                assert!((mean - centre[0]).abs() < 1e-9);
            }
            assert!((found.cost - cost).abs() < 1e-9, "{} for {cost}", found.cost);
            assert_eq!(found.nearest(&points).unwrap(), found.labels);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            assert_eq!(pool.install(|| KMeans::new(4).fit(&points, Seed(seed)).unwrap()), found);
        }
    }

    #[test]
    fn centres_that_are_given_keep_their_numbers_and_others_join_them() {
        let points = clouds();
        let given = vec![10.4, 10.4, 0.6, 0.6];
        let found = KMeans::new(4).fit_from(&points, given.clone(), Seed(1)).unwrap();
        assert!(found.labels.iter().enumerate().all(|(i, label)| (i % 4 == 3) == (*label == 0)));
        assert!(found.labels.iter().enumerate().all(|(i, label)| (i % 4 == 0) == (*label == 1)));
        // A centre too far away for any point still finds some.
        let found = KMeans::new(4).fit_from(&points, [given, vec![1e6, 1e6, 10.0, 0.0]].concat(), Seed(1)).unwrap();
        assert!((0..4).all(|label| found.labels.contains(&label)), "{:?}", found.centres);
    }

    #[test]
    fn the_cost_falls_with_every_round_and_batches_come_near_it() {
        let points = crate::data::Oracle::Moons.sample(3000, Seed(2)).unwrap();
        let after =
            |rounds: usize| KMeans { rounds: rounds + 1, ..KMeans::new(12) }.fit(&points, Seed(3)).unwrap().cost;
        let costs: Vec<f64> = (0..12).map(after).collect();
        assert!(costs.windows(2).all(|pair| pair[1] <= pair[0] + 1e-12), "{costs:?}");
        let batches = KMeans { batch: 200, rounds: 100, ..KMeans::new(12) }.fit(&points, Seed(3)).unwrap().cost;
        assert!(batches < 1.3 * after(50), "{batches} for {}", after(50));
        let best = KMeans { starts: 5, ..KMeans::new(12) }.fit(&points, Seed(3)).unwrap().cost;
        assert!(best <= after(50));
    }

    #[test]
    fn what_has_no_clusters_is_refused() {
        let points = clouds();
        let says = |result: Result<Clustered>, what: &str| {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        };
        let other = Continuous::new(vec!["x".into()], vec![0.0; 3]).unwrap();
        let found = KMeans::new(2).fit(&points, Seed(0)).unwrap();
        assert!(found.nearest(&other).unwrap_err().to_string().contains("centres of 2 real numbers"));
        says(KMeans::new(0).fit(&points, Seed(0)), "clusters");
        says(KMeans::new(201).fit(&points, Seed(0)), "201 clusters of 200 points");
        says(KMeans::new(2).fit_from(&points, vec![1.0; 3], Seed(0)), "3 numbers for 2 centres");
        says(
            KMeans::new(2).fit(&points.mask(|row, v| row == 7 && v == 1), Seed(0)),
            "row 7, column y: a missing value",
        );
        let categories = Discrete::new(Schema::uniform(&[2], 3), vec![0; 8]).unwrap();
        says(KMeans::new(2).fit(&categories, Seed(0)), "real numbers");
        says(KMeans { rounds: 0, ..KMeans::new(2) }.fit(&points, Seed(0)), "no round");
        // Far from zero there are still two clusters.
        let far = Continuous::new(vec!["x".into()], (0..40).map(|i| 1e9 + f64::from(i % 2)).collect()).unwrap();
        let found = KMeans::new(2).fit(&far, Seed(0)).unwrap();
        assert!((0..40).all(|i| found.labels[i] == found.labels[i % 2]) && found.labels[0] != found.labels[1]);
        // Points that are all the same have one cluster, and others that are empty.
        let same = Continuous::new(vec!["x".into()], vec![3.0; 10]).unwrap();
        assert_eq!(KMeans::new(3).fit(&same, Seed(0)).unwrap().cost, 0.0);
    }
}
