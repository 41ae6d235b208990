//! Growing: the states that carry the most of some rows get a copy each, and some heads with them.

use crate::{
    Error, Result,
    circuits::{
        Circuit, Leaf, Scalar,
        graph::{Graph, Kind},
        leaf::Leaves,
        pass::downward::Flows,
        pass::heads::Heads,
        pass::plan::Plan,
        pass::weights::Matrix,
    },
    data::Rows,
    random::{Seed, Stream},
};
use rand::RngExt;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

/// How a circuit grows.
///
/// A node that is copied becomes two, and each of its edges leads to both versions of the node below: most of its weight to the
/// version of its own, a share to the other, by which old and new share what is below.
///
/// ```text
/// θ(old, c₁) = θ / (1 + ρ)      θ(old, c₂) = ρ θ / (1 + ρ)      θ(new, ·) the other way round
/// ```
///
/// Where a node below has no copy the weight stays θ. Without noise the old heads then say what they said, and each new head
/// what the one says that it is a copy of. Source: Liu et al. 2023 (LVD-PG), Algorithm 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grow {
    /// The share of all nodes that is copied: those with the most flow.
    pub share: f64,
    /// `ρ`: what leads across, from an old node to the copy of its child and from a new node to the child itself.
    pub across: f64,
    /// `σ`: weights are multiplied by noise around 1 with this deviation, so that copies become different.
    pub noise: f64,
    /// Also copies what was not chosen but lies between a node that is copied above and one below, as the published code does.
    pub between: bool,
    /// The weights of the published code: `θ` and `ρ θ` beside the whole `θ` of a child without a copy, normalised together. They
    /// move weight towards what was copied.
    pub as_published: bool,
}

impl Default for Grow {
    fn default() -> Self {
        Self { share: 0.2, across: 0.2, noise: 0.2, between: false, as_published: false }
    }
}

impl Grow {
    fn check(&self) -> Result<()> {
        for (name, value) in [("share", self.share), ("across", self.across), ("noise", self.noise)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::out_of_range(name, value, "0 ≤ value ≤ 1"));
            }
        }
        Ok(())
    }
}

/// What became of the nodes of a block: where each new one comes from, and which version of that it is.
#[derive(Clone, Debug)]
struct Units {
    old: usize,
    /// Of each new node its origin, and whether it is the first version, the second, or (both) the only one.
    now: Vec<(usize, bool, bool)>,
}

impl Units {
    /// The old nodes, and copies of these after them.
    fn with_copies(old: usize, copied: &[usize]) -> Self {
        let mut now: Vec<(usize, bool, bool)> = (0..old).map(|unit| (unit, true, true)).collect();
        for &unit in copied {
            now[unit].2 = false;
            now.push((unit, false, true));
        }
        Self { old, now }
    }

    /// All pairs of a node of the left and one of the right.
    fn pairs(left: &Self, right: &Self) -> Self {
        let pair = |l: &(usize, bool, bool)| {
            let l = *l;
            right.now.iter().map(move |r| (l.0 * right.old + r.0, l.1 && r.1, l.2 && r.2))
        };
        Self { old: left.old * right.old, now: left.now.iter().flat_map(pair).collect() }
    }

    fn origins(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        self.now.iter().map(|(origin, ..)| *origin)
    }

    /// The new nodes that were one.
    fn versions(&self) -> Vec<Vec<usize>> {
        let mut versions = vec![Vec::new(); self.old];
        self.origins().enumerate().for_each(|(i, origin)| versions[origin].push(i));
        versions
    }
}

impl<T: Scalar> Circuit<T> {
    /// See [`Circuit::grow`].
    pub(crate) fn grown(
        &self,
        heads: &[usize],
        rows: &dyn Rows,
        row_heads: Heads,
        how: &Grow,
        seed: Seed,
    ) -> Result<Self> {
        how.check()?;
        if let Some(head) = heads.iter().find(|head| **head >= self.graph.heads()) {
            return Err(Error::invalid(format!("head {head} of {}", self.graph.heads())));
        }
        if let Some(i) = (1..heads.len()).find(|i| heads[..*i].contains(&heads[*i])) {
            return Err(Error::invalid(format!("head {} is to be copied twice", heads[i])));
        }
        if self.leaves.iter().any(|leaves| leaves.kind == Leaf::Indicator) {
            let remedy = "a circuit whose nodes are values has no copies to make";
            return Err(Error::invalid(format!("indicator leaves: {remedy}")));
        }
        let groups = Groups::of(&self.graph);
        let mut copied = self.chosen(&groups, rows, row_heads, how.share)?;
        copied[groups.of[self.graph.root()]] = heads.to_vec();
        if how.between {
            self.choose_between(&groups, &mut copied);
        }
        let units = self.units_with(&groups, &copied);
        let sizes: Vec<usize> = units.iter().map(|units| units.now.len()).collect();
        let graph = self.graph.with_units(&sizes)?;
        Ok(self.with_weights_for(graph, &units, how, seed))
    }

    /// Of each group the states with the most flow, so many that they are that share of all.
    fn chosen(&self, groups: &Groups, rows: &dyn Rows, heads: Heads, share: f64) -> Result<Vec<Vec<usize>>> {
        let flows = self.flows_of(rows, heads)?;
        let mut of_states: Vec<Vec<f64>> = groups.sizes.iter().map(|size| vec![0.0; *size]).collect();
        for (b, block) in self.graph.blocks().iter().enumerate() {
            let through = match block.kind {
                Kind::Sum { weights, .. } => self.flows_of_sums(weights, &flows),
                Kind::Input { leaf, .. } => self.flows_of_leaves(leaf, &flows),
                _ => continue,
            };
            of_states[groups.of[b]].iter_mut().zip(through).for_each(|(most, flow)| *most = most.max(flow));
        }
        // The heads are chosen by name.
        of_states[groups.of[self.graph.root()]].clear();
        let mut every: Vec<f64> = of_states.iter().flatten().copied().collect();
        every.sort_by(|a, b| b.total_cmp(a));
        let least = match (share * every.len() as f64).ceil() as usize {
            0 => f64::INFINITY,
            count => every[count - 1].max(LEAST * flows.rows),
        };
        let chosen = |flows: &Vec<f64>| (0..flows.len()).filter(|state| flows[*state] >= least).collect();
        Ok(of_states.iter().map(chosen).collect())
    }

    /// `F_n` of every node that has these weights.
    fn flows_of_sums(&self, set: usize, flows: &Flows<T>) -> Vec<f64> {
        let (parts, flows) = (&self.weights[set], &flows.sums.edges[set]);
        let row = |row: usize| {
            let part = |(matrix, flows): (&Matrix<T>, &Vec<T>)| -> f64 {
                matrix.row(row).map(|i| matrix.values[i].f64() * flows[i].f64()).sum()
            };
            parts.iter().zip(flows).map(part).sum()
        };
        (0..parts[0].rows()).map(row).collect()
    }

    /// The same of leaves.
    fn flows_of_leaves(&self, set: usize, flows: &Flows<T>) -> Vec<f64> {
        let (leaves, flows) = (&self.leaves[set], &flows.sums.leaves[set]);
        let units = leaves.units;
        let mut totals = vec![0.0; units];
        for (i, counts) in flows.chunks_exact(units).enumerate() {
            // Of densities the first and the last row count, and those between are moments.
            if leaves.density().is_none() || i == 0 || (i + 1) * units == flows.len() {
                totals.iter_mut().zip(counts).for_each(|(total, flow)| *total += flow.f64());
            }
        }
        totals
    }

    /// Adds the states with a copied state below and one above.
    fn choose_between(&self, groups: &Groups, copied: &mut [Vec<usize>]) {
        let blocks = self.graph.blocks();
        let below = |b: usize, state: usize| -> Vec<(usize, usize)> {
            let Kind::Sum { children, weights } = &blocks[b].kind else { return vec![] };
            let mut states = Vec::new();
            for (child, matrix) in children.iter().zip(&self.weights[*weights]) {
                matrix.for_each_edge(state, |weight, column| {
                    if weight > T::ZERO {
                        groups.states(&self.graph, *child, column, &mut states);
                    }
                });
            }
            states
        };
        let mut is_copied: Vec<Vec<bool>> = groups.sizes.iter().map(|size| vec![false; *size]).collect();
        for (group, states) in copied.iter().enumerate() {
            states.iter().for_each(|state| is_copied[group][*state] = true);
        }
        let mut under = is_copied.clone();
        for b in (0..blocks.len()).rev() {
            for state in 0..blocks[b].units {
                if matches!(blocks[b].kind, Kind::Sum { .. }) && under[groups.of[b]][state] {
                    below(b, state).into_iter().for_each(|(group, state)| under[group][state] = true);
                }
            }
        }
        for (b, block) in blocks.iter().enumerate().take(self.graph.root()) {
            let group = groups.of[b];
            for state in (0..block.units).filter(|_| matches!(block.kind, Kind::Sum { .. })) {
                let over = || below(b, state).into_iter().any(|(group, state)| is_copied[group][state]);
                if !is_copied[group][state] && under[group][state] && over() {
                    is_copied[group][state] = true;
                    copied[group].push(state);
                }
            }
        }
        let root = groups.of[self.graph.root()];
        copied
            .iter_mut()
            .enumerate()
            .filter(|(group, _)| *group != root)
            .for_each(|(_, states)| states.sort_unstable());
    }

    /// What becomes of the nodes of each block.
    fn units_with(&self, groups: &Groups, copied: &[Vec<usize>]) -> Vec<Units> {
        let mut units: Vec<Units> = Vec::with_capacity(groups.of.len());
        for (b, block) in self.graph.blocks().iter().enumerate() {
            units.push(match block.kind {
                Kind::Kronecker { left, right } => Units::pairs(&units[left], &units[right]),
                _ => Units::with_copies(block.units, &copied[groups.of[b]]),
            });
        }
        units
    }

    /// The circuit of the grown graph.
    fn with_weights_for(&self, graph: Graph, units: &[Units], how: &Grow, seed: Seed) -> Self {
        let mut weights: Vec<Vec<Matrix<T>>> = Vec::with_capacity(self.weights.len());
        let mut leaves: Vec<Leaves<T>> = Vec::with_capacity(self.leaves.len());
        for (b, block) in self.graph.blocks().iter().enumerate() {
            match &block.kind {
                Kind::Sum { children, weights: set } if *set == weights.len() => {
                    let below: Vec<&Units> = children.iter().map(|c| &units[*c]).collect();
                    let mut rng = seed.stream("weights", *set as u64);
                    weights.push(grow_weights(&self.weights[*set], &units[b], &below, how, &mut rng));
                }
                Kind::Input { leaf, .. } if *leaf == leaves.len() => {
                    let mut grown = self.leaves[*leaf].of_units(units[b].origins());
                    let versions = units[b].now.iter().enumerate().filter(|(_, (_, first, second))| first != second);
                    let noisy: Vec<usize> = versions.map(|(unit, _)| unit).collect();
                    if how.noise > 0.0 && !noisy.is_empty() {
                        grown.perturb(&noisy, how.noise, &mut seed.stream("leaf", *leaf as u64));
                    }
                    leaves.push(grown);
                }
                _ => {}
            }
        }
        let (plan, uses) = (Plan::new(&graph), self.uses.clone());
        Self { name: self.name.clone(), schema: self.schema.clone(), graph, weights, leaves, plan, uses }
    }
}

/// The least mean flow of a node that is copied.
const LEAST: f64 = 1e-8;

/// Rows of weights over what the nodes below have become.
fn grow_weights<T: Scalar>(
    parts: &[Matrix<T>],
    units: &Units,
    below: &[&Units],
    how: &Grow,
    rng: &mut Stream,
) -> Vec<Matrix<T>> {
    let versions: Vec<Vec<Vec<usize>>> = below.iter().map(|units| units.versions()).collect();
    let mut grown: Vec<Vec<T>> = below.iter().map(|below| vec![T::ZERO; units.now.len() * below.now.len()]).collect();
    let mut edges: Vec<(usize, usize, f64)> = Vec::new();
    for (row, (origin, first, second)) in units.now.iter().enumerate() {
        edges.clear();
        let mut moved = false;
        for (part, matrix) in parts.iter().enumerate() {
            matrix.for_each_edge(*origin, |weight, column| {
                let (weight, now) = (weight.f64(), &versions[part][column]);
                if weight == 0.0 {
                    return;
                }
                let [only] = now[..] else {
                    moved = true;
                    let share = match first == second {
                        // One node with edges to both versions, in whatever proportion.
                        true => rng.random::<f64>().clamp(0.1, 0.9),
                        false => 1.0 / (1.0 + how.across),
                    };
                    let whole = if how.as_published && first != second { 1.0 + how.across } else { 1.0 };
                    let own = |i: &usize| if *first { below[part].now[*i].1 } else { below[part].now[*i].2 };
                    for i in now {
                        let share = if own(i) { share } else { (1.0 - share) / (now.len() - 1) as f64 };
                        edges.push((part, *i, whole * weight * share));
                    }
                    return;
                };
                edges.push((part, only, weight));
            });
        }
        if how.noise > 0.0 && (moved || first != second) {
            for (.., weight) in &mut edges {
                *weight *= (1.0 + how.noise * rng.sample::<f64, _>(StandardNormal)).clamp(0.1, 10.0);
            }
        }
        let total: f64 = edges.iter().map(|(.., weight)| weight).sum();
        let scale = if moved || how.noise > 0.0 { 1.0 / total } else { 1.0 };
        for (part, column, weight) in &edges {
            grown[*part][row * below[*part].now.len() + column] = T::of(weight * scale);
        }
    }
    let matrix = |(values, below): (Vec<T>, &&Units)| Matrix::dense(units.now.len(), below.now.len(), values).packed();
    grown.into_iter().zip(below).map(matrix).collect()
}

/// Blocks whose `i`-th nodes belong together, so that they are copied together: a product and what it multiplies, and blocks
/// that share their parameters.
struct Groups {
    /// Of each block; one of all pairs, which is copied as its parts are, is alone in its group.
    of: Vec<usize>,
    /// Nodes of a block of each group.
    sizes: Vec<usize>,
}

impl Groups {
    fn of(graph: &Graph) -> Self {
        let blocks = graph.blocks();
        let mut parent: Vec<usize> = (0..blocks.len()).collect();
        fn find(parent: &mut [usize], mut b: usize) -> usize {
            while parent[b] != b {
                parent[b] = parent[parent[b]];
                b = parent[b];
            }
            b
        }
        let mut join = |a: usize, b: usize| {
            let (a, b) = (find(&mut parent, a), find(&mut parent, b));
            parent[a.max(b)] = a.min(b);
        };
        let mut first_sum: Vec<Option<usize>> = vec![None; graph.weight_sets()];
        let mut first_leaf: Vec<Option<usize>> = vec![None; graph.leaf_sets()];
        for (b, block) in blocks.iter().enumerate() {
            match &block.kind {
                Kind::Product { children } => children.iter().for_each(|c| join(b, *c)),
                Kind::Sum { children, weights } => {
                    let like = *first_sum[*weights].get_or_insert(b);
                    join(b, like);
                    children.iter().zip(graph.children(like)).for_each(|(c, like)| join(*c, like));
                }
                Kind::Input { leaf, .. } => join(b, *first_leaf[*leaf].get_or_insert(b)),
                Kind::Kronecker { .. } => {}
            }
        }
        let roots: Vec<usize> = (0..blocks.len()).map(|b| find(&mut parent, b)).collect();
        let mut names: Vec<usize> = roots.clone();
        names.sort_unstable();
        names.dedup();
        let of = roots.iter().map(|root| names.binary_search(root).expect("a name of each")).collect();
        Self { of, sizes: names.iter().map(|b| blocks[*b].units).collect() }
    }

    /// The states that node `unit` of a block is made of.
    fn states(&self, graph: &Graph, b: usize, unit: usize, into: &mut Vec<(usize, usize)>) {
        match graph.blocks()[b].kind {
            Kind::Kronecker { left, right } => {
                let units = graph.blocks()[right].units;
                self.states(graph, left, unit / units, into);
                self.states(graph, right, unit % units, into);
            }
            _ => into.push((self.of[b], unit)),
        }
    }
}

impl Circuit {
    /// A larger circuit: the nodes that matter most to `rows` are copied, and `heads` with them. The old heads come first, then
    /// the copies in the order of `heads`.
    ///
    /// `row_heads` says which head each row belongs to. Flows are those of the rows given, so these are the rows of the clusters
    /// that are to be divided. Source: Liu et al. 2023 (LVD-PG), Algorithm 1.
    ///
    /// # Errors
    /// When a setting is out of range, a head does not exist or is named twice, the rows do not fit, a block would have more than
    /// 65,536 nodes, or the nodes are values (indicator leaves).
    pub fn grow(&self, heads: &[usize], rows: &dyn Rows, row_heads: Heads, how: &Grow, seed: Seed) -> Result<Self> {
        self.grown(heads, rows, row_heads, how, seed)
    }
}
