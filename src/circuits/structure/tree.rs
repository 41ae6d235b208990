//! The Chow-Liu tree: the tree over variables with the most mutual information along its edges.

use crate::{
    Error, Result,
    data::{MISSING, Rows},
    random::{Seed, permutation},
};
use petgraph::{
    algo::min_spanning_tree,
    data::{Element, FromElements},
    graph::{NodeIndex, UnGraph},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// More levels than this are binned before counting; the tree hardly depends on it.
const BINS: usize = 32;
/// The most variables: every pair of them is counted, and its information kept.
const MOST_VARIABLES: usize = 8192;
/// The most rows that are counted.
const MOST_ROWS: usize = 100_000;
/// Observations' worth of a uniform joint distribution that each pair begins with.
const PSEUDOCOUNT: f64 = 1.0;

/// A rooted tree over the variables `0..len`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Option<usize>>", into = "Vec<Option<usize>>")]
pub struct Tree {
    parents: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    downward: Vec<usize>,
}

impl Tree {
    /// A tree from the parent of each variable; the root has none.
    ///
    /// # Errors
    /// When there is not exactly one root, or a variable cannot be reached from it.
    pub fn new(parents: Vec<Option<usize>>) -> Result<Self> {
        let mut children = vec![Vec::new(); parents.len()];
        let mut roots = Vec::new();
        for (variable, parent) in parents.iter().enumerate() {
            match parent {
                None => roots.push(variable),
                Some(p) if *p < parents.len() => children[*p].push(variable),
                Some(p) => {
                    return Err(Error::invalid(format!("variable {variable} hangs from {p}, which does not exist")));
                }
            }
        }
        let [root] = roots[..] else {
            return Err(Error::invalid(format!("a tree has one root; here are {}", roots.len())));
        };
        let mut downward = vec![root];
        let mut next = 0;
        while next < downward.len() {
            downward.extend(&children[downward[next]]);
            next += 1;
        }
        if downward.len() != parents.len() {
            return Err(Error::invalid("a variable of the tree is its own ancestor"));
        }
        Ok(Self { parents, children, downward })
    }

    /// Learns the tree of maximal mutual information from data, rooted at its centre.
    ///
    /// Missing values are left out pair by pair. Of more than 100,000 rows a random 100,000 are counted.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn chow_liu(rows: &dyn Rows, seed: Seed) -> Result<Self> {
        Self::spanning(rows.schema().len(), &mutual_information(rows, seed)?)
    }

    /// The maximum spanning tree of a symmetric `(n, n)` matrix of weights, rooted at its centre.
    ///
    /// # Errors
    /// When `n` is zero, or the matrix has another size.
    pub fn spanning(n: usize, weights: &[f64]) -> Result<Self> {
        if n == 0 || weights.len() != n * n {
            return Err(Error::invalid(format!("{} weights for a tree over {n} variables", weights.len())));
        }
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        let mut graph = UnGraph::<(), f64, u32>::with_capacity(n, n * n / 2);
        for _ in 0..n {
            graph.add_node(());
        }
        for (i, j) in pairs {
            graph.add_edge(NodeIndex::new(i), NodeIndex::new(j), -weights[i * n + j]);
        }
        let tree: UnGraph<(), f64> = UnGraph::from_elements(min_spanning_tree(&graph).map(|element| match element {
            Element::Node { .. } => Element::Node { weight: () },
            Element::Edge { source, target, weight } => Element::Edge { source, target, weight },
        }));
        let neighbours: Vec<Vec<usize>> =
            tree.node_indices().map(|v| tree.neighbors(v).map(NodeIndex::index).collect()).collect();
        Self::new(hang(&neighbours, centre(&neighbours)))
    }

    /// The parent of each variable; `None` for the root.
    pub fn parents(&self) -> &[Option<usize>] {
        &self.parents
    }

    /// The children of a variable.
    pub fn children(&self, variable: usize) -> &[usize] {
        &self.children[variable]
    }

    /// The variables, each after its parent.
    pub fn downward(&self) -> &[usize] {
        &self.downward
    }

    /// The variable without a parent.
    pub fn root(&self) -> usize {
        self.downward[0]
    }

    /// Number of variables.
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// Never true: a tree has a root.
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }
}

impl TryFrom<Vec<Option<usize>>> for Tree {
    type Error = Error;
    fn try_from(parents: Vec<Option<usize>>) -> Result<Self> {
        Self::new(parents)
    }
}

impl From<Tree> for Vec<Option<usize>> {
    fn from(tree: Tree) -> Self {
        tree.parents
    }
}

/// Parents of a tree given by its neighbours, hung up at `root`.
fn hang(neighbours: &[Vec<usize>], root: usize) -> Vec<Option<usize>> {
    let mut parents = vec![None; neighbours.len()];
    let mut open = vec![root];
    while let Some(at) = open.pop() {
        let above = parents[at];
        for &next in neighbours[at].iter().filter(|n| above != Some(**n)) {
            parents[next] = Some(at);
            open.push(next);
        }
    }
    parents
}

/// The middle of the longest path.
fn centre(neighbours: &[Vec<usize>]) -> usize {
    let path_from = |start: usize| {
        let parents = hang(neighbours, start);
        let up = |v: usize| std::iter::successors(Some(v), |v| parents[*v]).collect::<Vec<_>>();
        (0..parents.len()).map(up).max_by_key(Vec::len).unwrap_or_default()
    };
    let end = path_from(0)[0];
    let longest = path_from(end);
    longest[longest.len() / 2]
}

/// Mutual information of every pair of variables, nats: a symmetric `(n, n)` matrix with zeros on its diagonal.
///
/// ```text
/// I(X; Y) = Σ_ab p(a, b) log p(a, b) / (p(a) p(b))
/// ```
/// from the counts of the rows in which both values are there, with one observation's worth of the uniform distribution added.
/// Variables with more than 32 categories are binned evenly.
///
/// # Errors
/// When a row cannot be read.
pub fn mutual_information(rows: &dyn Rows, seed: Seed) -> Result<Vec<f64>> {
    let vars = rows.schema().len();
    if vars > MOST_VARIABLES {
        return Err(Error::invalid(format!(
            "{vars} variables: a tree of most mutual information compares every pair, of at most {MOST_VARIABLES}; cut the \
             rows into patches, or choose a structure that is not learned, as random-tree"
        )));
    }
    let columns = binned_columns(rows, seed)?;
    let n = columns.len();
    let upper: Vec<Vec<f64>> = (0..n)
        .into_par_iter()
        .map(|i| (i + 1..n).map(|j| pair_information(&columns[i], &columns[j])).collect())
        .collect();
    let mut matrix = vec![0.0; n * n];
    for (i, row) in upper.iter().enumerate() {
        for (j, information) in (i + 1..n).zip(row) {
            matrix[i * n + j] = *information;
            matrix[j * n + i] = *information;
        }
    }
    Ok(matrix)
}

/// The bins of one variable, [`BINS`] standing for a missing value.
struct Binned {
    bins: usize,
    codes: Vec<u8>,
}

fn binned_columns(rows: &dyn Rows, seed: Seed) -> Result<Vec<Binned>> {
    let mut chosen = permutation(rows.len(), &mut seed.stream("chow-liu", 0));
    chosen.truncate(MOST_ROWS);
    chosen.sort_unstable();
    let variables = &rows.schema().variables;
    let mut columns: Vec<Binned> = variables
        .iter()
        .map(|v| Binned { bins: v.categories.min(BINS), codes: Vec::with_capacity(chosen.len()) })
        .collect();
    let mut codes = Vec::new();
    for block in chosen.chunks(1024) {
        rows.read(block, &mut codes)?;
        for row in codes.chunks_exact(variables.len()) {
            for ((column, code), variable) in columns.iter_mut().zip(row).zip(variables) {
                let bin = match *code {
                    MISSING => BINS,
                    code => code as usize * column.bins / variable.categories,
                };
                column.codes.push(bin as u8);
            }
        }
    }
    Ok(columns)
}

/// `I(X; Y) = H(X) + H(Y) − H(X, Y)`.
fn pair_information(x: &Binned, y: &Binned) -> f64 {
    const WIDTH: usize = BINS + 1;
    let mut counts = [0_u32; WIDTH * WIDTH];
    for (a, b) in x.codes.iter().zip(&y.codes) {
        counts[*a as usize * WIDTH + *b as usize] += 1;
    }
    let cells = (x.bins * y.bins) as f64;
    let share = PSEUDOCOUNT / cells;
    let (mut of_x, mut of_y) = ([0_u32; BINS], [0_u32; BINS]);
    // Σ n ln n over the cells; those without a count are all alike.
    let (mut joint, mut empty) = (0.0, cells);
    for (row, of_x) in counts.chunks_exact(WIDTH).zip(&mut of_x[..x.bins]) {
        for (n, of_y) in row[..y.bins].iter().zip(&mut of_y).filter(|(n, _)| **n > 0) {
            *of_x += n;
            *of_y += n;
            joint += n_log_n(f64::from(*n) + share);
            empty -= 1.0;
        }
    }
    joint += empty * n_log_n(share);
    let total = f64::from(of_x.iter().sum::<u32>()) + PSEUDOCOUNT;
    let marginal = |counts: &[u32], share: f64| counts.iter().map(|n| n_log_n(f64::from(*n) + share)).sum::<f64>();
    let apart = marginal(&of_x[..x.bins], share * y.bins as f64) + marginal(&of_y[..y.bins], share * x.bins as f64);
    ((joint - apart) / total + total.ln()).max(0.0)
}

fn n_log_n(n: f64) -> f64 {
    n * n.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Discrete, Schema};
    use rand::RngExt;

    #[test]
    fn the_information_of_a_copy_is_its_entropy() {
        let codes = (0..4000_u16).flat_map(|i| [i % 4, i % 4, (i / 4) % 2]).collect();
        let data = Discrete::new(Schema::uniform(&[3], 4), codes).unwrap();
        let information = mutual_information(&data, Seed(0)).unwrap();
        assert!((information[1] - 4.0_f64.ln()).abs() < 0.01, "{information:?}");
        assert!(information[2] < 1e-3);
        assert!((information[1] - definition(&data, 0, 1)).abs() < 1e-12);
        assert!((information[5] - definition(&data, 1, 2)).abs() < 1e-12);
        assert_eq!(information[1], information[3]);
    }

    /// `Σ p(a, b) log p(a, b) / (p(a) p(b))`, term by term.
    fn definition(data: &Discrete, i: usize, j: usize) -> f64 {
        let total = data.len() as f64 + 1.0;
        let joint = |a: u16, b: u16| {
            let n = (0..data.len()).filter(|r| data.row(*r)[i] == a && data.row(*r)[j] == b).count();
            (n as f64 + 1.0 / 16.0) / total
        };
        let pa = |a: u16| (0..4).map(|b| joint(a, b)).sum::<f64>();
        let pb = |b: u16| (0..4).map(|a| joint(a, b)).sum::<f64>();
        let cells = (0..4).flat_map(|a| (0..4).map(move |b| (a, b)));
        cells.map(|(a, b)| joint(a, b) * (joint(a, b) / (pa(a) * pb(b))).ln()).sum()
    }

    #[test]
    fn a_chain_is_found_and_hung_at_its_middle() {
        let mut rng = Seed(2).stream("test", 0);
        let mut codes = Vec::new();
        for _ in 0..3000 {
            let mut value = rng.random_range(0..2_u16);
            for _ in 0..5 {
                codes.push(value);
                if rng.random::<f64>() < 0.1 {
                    value = 1 - value;
                }
            }
        }
        let data = Discrete::new(Schema::uniform(&[5], 2), codes).unwrap();
        let tree = Tree::chow_liu(&data, Seed(0)).unwrap();
        assert_eq!(tree.parents(), [Some(1), Some(2), None, Some(2), Some(3)]);
    }

    #[test]
    fn what_is_not_a_tree_is_refused() {
        assert!(Tree::new(vec![None, None]).is_err());
        assert!(Tree::new(vec![None, Some(2), Some(1)]).is_err());
        assert!(Tree::new(vec![None, Some(7)]).is_err());
        assert_eq!(Tree::spanning(1, &[0.0]).unwrap().root(), 0);
    }
}
