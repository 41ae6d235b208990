//! Circuits put together: one over latents, whose values are the heads of others.

use crate::{
    Error, Result,
    circuits::{
        Circuit, Leaf, Scalar,
        graph::{Block, Graph, Kind},
        leaf::Leaves,
        pass::{downward::Uses, plan::Plan, weights::Matrix},
    },
    data::Schema,
};

impl<T: Scalar> Circuit<T> {
    /// See [`Circuit::composed`].
    pub(crate) fn compose(&self, parts: &[&Self], places: &[Vec<usize>], schema: &Schema) -> Result<Self> {
        let heads: usize = parts.iter().map(|part| part.graph.heads()).sum();
        self.check_latents(parts, places, schema, heads)?;
        let mut whole = Composed { graph: Graph::new(schema.len()), weights: vec![], leaves: vec![] };
        // Of each latent, the blocks of its heads; and of each part, where its parameters are first used.
        let mut first: Vec<Option<Vec<usize>>> = vec![None; parts.len()];
        let mut of_latent: Vec<Option<Vec<usize>>> = vec![None; places.len()];
        let mut emitted: Vec<Option<usize>> = vec![None; self.leaves.len()];
        let mut sums: Vec<Option<usize>> = vec![None; self.weights.len()];
        let mut new: Vec<usize> = Vec::with_capacity(self.graph.blocks().len());
        for block in self.graph.blocks() {
            let added = match &block.kind {
                Kind::Input { variable, leaf } => {
                    if of_latent[*variable].is_none() {
                        let roots = parts
                            .iter()
                            .zip(&mut first)
                            .map(|(part, first)| whole.add(part, &places[*variable], first));
                        of_latent[*variable] = Some(roots.collect::<Result<_>>()?);
                    }
                    let below = of_latent[*variable].as_deref().expect("just added");
                    match emitted[*leaf] {
                        Some(like) => whole.graph.sum_like(below, like)?,
                        None => {
                            let sum = whole.graph.sum(below, block.units)?;
                            emitted[*leaf] = Some(sum);
                            whole.weights.push(emissions(&self.leaves[*leaf], parts));
                            sum
                        }
                    }
                }
                _ => whole.inner(block, &new, &self.weights, &mut sums)?,
            };
            new.push(added);
        }
        whole.graph.validate()?;
        let (plan, uses) = (Plan::new(&whole.graph), Uses::new(&whole.graph));
        let Composed { graph, weights, leaves } = whole;
        Ok(Self { name: self.name.clone(), schema: schema.clone(), graph, weights, leaves, plan, uses })
    }

    fn check_latents(&self, parts: &[&Self], places: &[Vec<usize>], schema: &Schema, heads: usize) -> Result<()> {
        let latents = self.vars();
        if places.len() != latents {
            return Err(Error::invalid(format!("places of {} latents; the circuit has {latents}", places.len())));
        }
        if let Some(latent) = self.schema.variables.iter().find(|latent| latent.categories != heads) {
            let (name, k) = (&latent.name, latent.categories);
            return Err(Error::invalid(format!("latent {name} has {k} values for {heads} heads")));
        }
        if !self.leaf_kinds().iter().all(|kind| matches!(kind, Leaf::Categorical | Leaf::Indicator)) {
            return Err(Error::invalid("the leaves of a circuit over latents are categorical, or indicators"));
        }
        for (latent, places) in places.iter().enumerate() {
            for part in parts {
                if places.len() != part.vars() {
                    let (n, vars) = (places.len(), part.vars());
                    return Err(Error::invalid(format!("latent {latent} has {n} variables; its heads have {vars}")));
                }
                for (place, variable) in places.iter().zip(&part.schema.variables) {
                    let whole = schema.variables.get(*place);
                    if whole.is_none_or(|whole| whole.categories != variable.categories) {
                        let what = format!("latent {latent}: variable {place} is not there, or has other categories");
                        return Err(Error::invalid(what));
                    }
                }
            }
        }
        Ok(())
    }
}

/// What has been put together so far.
struct Composed<T> {
    graph: Graph,
    weights: Vec<Vec<Matrix<T>>>,
    leaves: Vec<Leaves<T>>,
}

impl<T: Scalar> Composed<T> {
    /// A block that is no input, over what its children have become; with the weights of the block in `sums`, where there is one
    /// that has them already.
    fn inner(
        &mut self,
        block: &Block,
        new: &[usize],
        weights: &[Vec<Matrix<T>>],
        sums: &mut [Option<usize>],
    ) -> Result<usize> {
        let of = |children: &[usize]| children.iter().map(|c| new[*c]).collect::<Vec<_>>();
        match &block.kind {
            Kind::Input { .. } => unreachable!("inputs are for the caller"),
            Kind::Product { children } => self.graph.product(&of(children)),
            Kind::Kronecker { left, right } => self.graph.kronecker(new[*left], new[*right]),
            Kind::Sum { children, weights: set } => match sums[*set] {
                Some(like) => self.graph.sum_like(&of(children), like),
                None => {
                    let sum = self.graph.sum(&of(children), block.units)?;
                    sums[*set] = Some(sum);
                    self.weights.push(weights[*set].clone());
                    Ok(sum)
                }
            },
        }
    }

    /// One more copy of a part, over these variables, with the parameters of the first; gives the block of its heads.
    fn add(&mut self, part: &Circuit<T>, places: &[usize], first: &mut Option<Vec<usize>>) -> Result<usize> {
        let mut sums: Vec<Option<usize>> = vec![None; part.weights.len()];
        let mut inputs: Vec<Option<usize>> = vec![None; part.leaves.len()];
        if let Some(first) = first {
            for (b, block) in part.graph.blocks().iter().enumerate() {
                match block.kind {
                    Kind::Sum { weights, .. } => sums[weights] = sums[weights].or(Some(first[b])),
                    Kind::Input { leaf, .. } => inputs[leaf] = inputs[leaf].or(Some(first[b])),
                    _ => {}
                }
            }
        }
        let mut new: Vec<usize> = Vec::with_capacity(part.graph.blocks().len());
        for block in part.graph.blocks() {
            let added = match &block.kind {
                Kind::Input { variable, leaf } => match inputs[*leaf] {
                    Some(like) => self.graph.input_like(places[*variable], like)?,
                    None => {
                        let input = self.graph.input(places[*variable], block.units)?;
                        inputs[*leaf] = Some(input);
                        self.leaves.push(part.leaves[*leaf].clone());
                        input
                    }
                },
                _ => self.inner(block, &new, &part.weights, &mut sums)?,
            };
            new.push(added);
        }
        let root = *new.last().expect("a part has blocks");
        first.get_or_insert(new);
        Ok(root)
    }
}

/// Leaves over the values of a latent as weights over the heads of all parts.
fn emissions<T: Scalar>(leaves: &Leaves<T>, parts: &[&Circuit<T>]) -> Vec<Matrix<T>> {
    let rows: Vec<Vec<f64>> = (0..leaves.units).map(|unit| leaves.distribution(unit).collect()).collect();
    let mut begin = 0;
    parts
        .iter()
        .map(|part| {
            let heads = part.graph.heads();
            let values = rows.iter().flat_map(|row| &row[begin..begin + heads]).map(|p| T::of(*p)).collect();
            begin += heads;
            Matrix::dense(rows.len(), heads, values).packed()
        })
        .collect()
}

impl Circuit {
    /// This circuit over latents, with the latents summed out: value `k` of each latent stands for head `k` of the `parts`, counted
    /// through, over the variables at the latent's `places`. All places share the parameters of the parts.
    ///
    /// ```text
    /// p(x) = Σ_z p(z) Π_i p(x_i | z_i)
    /// ```
    ///
    /// # Errors
    /// When a latent has another number of values than there are heads, or its leaves are neither categorical nor indicators; when places and
    /// variables do not match, or a variable is at no place or at two.
    pub fn composed(&self, parts: &[&Self], places: &[Vec<usize>], schema: &Schema) -> Result<Self> {
        self.compose(parts, places, schema)
    }
}
