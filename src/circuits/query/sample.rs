//! Sampling from the circuit, and from its conditional given part of a row.

use crate::{
    Result,
    circuits::{
        Circuit, Scalar,
        graph::Kind,
        pass::heads::{Heads, RowWeights},
        pass::inputs::{Read, Row},
        pass::kernels::TILE,
        pass::log_space::LogValues,
        pass::upward::{Purpose, Tile, Workspace},
        query::conditional::impossible,
    },
    data::{Discrete, Rows},
    random::{Seed, Stream, categorical},
    simd::largest,
};
use rayon::prelude::*;

/// How likely every node finds what is known of one row.
enum Likelihoods<'a, T> {
    /// Nothing is known: every node has probability one.
    Blank,
    /// Those of a tile after its pass upward, and which of its rows it is.
    Tile(&'a Tile<T>, usize),
    /// In log space.
    Log(LogValues),
}

/// What a row is drawn with, kept from row to row.
#[derive(Default)]
struct Drawing {
    /// Nodes to visit: block and place.
    left: Vec<(usize, usize)>,
    /// Of the edges of a sum, those of its first child first.
    masses: Vec<f64>,
}

impl<T: Scalar> Circuit<T> {
    /// Draws what is missing of each row.
    pub(crate) fn complete_rows(&self, rows: &dyn Rows, head: usize, seed: Seed) -> Result<Vec<Row>> {
        self.check(rows)?;
        let mut read = Read::default();
        let all: Vec<usize> = (0..rows.len()).collect();
        read.read(rows, &all)?;
        let draw = |row: &Row, i: usize, values: &Likelihoods<T>, drawing: &mut Drawing| {
            self.complete_row(row, (values, head), &mut seed.stream("sample", i as u64), drawing)
        };
        let none = |i: usize| impossible(rows.number_of(i));
        // Rows of which nothing is known are drawn at once, the others after a pass upward.
        let mut drawn: Vec<Option<Row>> = all
            .par_iter()
            .map_init(Drawing::default, |drawing, i| {
                let row = read.row(*i, rows.len(), &self.schema);
                let drawn = || draw(&row, *i, &Likelihoods::Blank, drawing).ok_or_else(|| none(*i));
                row.is_blank().then(drawn).transpose()
            })
            .collect::<Result<_>>()?;
        let known: Vec<usize> = all.into_iter().filter(|i| drawn[*i].is_none()).collect();
        let heads = (self.graph.heads() > 1).then(|| vec![1.0; rows.len() * self.graph.heads()]);
        let weights = RowWeights { heads: heads.as_deref().map_or(Heads::Only, Heads::Weights), weights: None };
        Workspace::new(Purpose::Draws).for_each_block(self, rows, &known, weights, |block, tiles| {
            let found: Vec<Vec<Row>> = tiles
                .par_iter()
                .zip(block.par_chunks(TILE))
                .map_init(Drawing::default, |drawing, (tile, rows)| {
                    let one = |(b, i): (usize, &usize)| {
                        let row = tile.row(b);
                        let quick = match tile.underflowed[b] {
                            true => None,
                            false => draw(&row, *i, &Likelihoods::Tile(tile, b), drawing),
                        };
                        // Where single precision loses what leads to the root, or to this head of several.
                        let slow = |drawing| draw(&row, *i, &Likelihoods::Log(self.log_values(&row)), drawing);
                        quick.or_else(|| slow(drawing)).ok_or_else(|| none(*i))
                    };
                    rows.iter().enumerate().map(one).collect()
                })
                .collect::<Result<_>>()?;
            block.iter().zip(found.into_iter().flatten()).for_each(|(i, row)| drawn[*i] = Some(row));
            Ok(())
        })?;
        Ok(drawn.into_iter().map(|row| row.unwrap_or_else(|| unreachable!("each row is blank or not"))).collect())
    }

    /// From the root down: at a sum one child, by how much of what is known it explains; at a product all; at an input the
    /// missing value.
    fn complete_row(
        &self,
        row: &Row,
        (values, head): (&Likelihoods<T>, usize),
        rng: &mut Stream,
        drawing: &mut Drawing,
    ) -> Option<Row> {
        let mut drawn = row.clone();
        drawing.left.clear();
        drawing.left.push((self.graph.root(), head));
        while let Some((b, unit)) = drawing.left.pop() {
            match &self.graph.blocks()[b].kind {
                Kind::Input { variable, leaf } if row.hides(*variable) => {
                    let leaves = &self.leaves[*leaf];
                    if let Some(density) = leaves.density() {
                        drawn.reals[*variable] = density.draw(leaves, unit, rng);
                    } else {
                        self.posterior(row, (*variable, *leaf), unit, &mut drawing.masses);
                        drawn.codes[*variable] = categorical(&drawing.masses, rng)? as u16;
                    }
                }
                Kind::Input { .. } => {}
                Kind::Product { children } => drawing.left.extend(children.iter().map(|c| (*c, unit))),
                Kind::Kronecker { left: l, right: r } => {
                    let units = self.units(*r);
                    drawing.left.extend([(*l, unit / units), (*r, unit % units)]);
                }
                Kind::Sum { children, weights } => {
                    self.masses((children, *weights), unit, values, &mut drawing.masses)?;
                    let mut chosen = categorical(&drawing.masses, rng)?;
                    for (child, matrix) in children.iter().zip(&self.weights[*weights]) {
                        let edges = matrix.row(unit).len();
                        if let Some(node) = (chosen < edges).then(|| matrix.row_columns(unit).nth(chosen)).flatten() {
                            drawing.left.push((*child, node));
                            break;
                        }
                        chosen -= edges;
                    }
                }
            }
        }
        Some(drawn)
    }

    /// What each edge of a sum explains of what is known, up to a factor that all of them share; `None` where that is nothing.
    fn masses(
        &self,
        (children, weights): (&[usize], usize),
        unit: usize,
        values: &Likelihoods<T>,
        masses: &mut Vec<f64>,
    ) -> Option<()> {
        masses.clear();
        let exponent = |child: usize| match values {
            Likelihoods::Tile(tile, b) => tile.exponent(self, child, *b),
            _ => 0,
        };
        let highest = children.iter().map(|child| exponent(*child)).max()?;
        for (child, matrix) in children.iter().zip(&self.weights[weights]) {
            let scale = f64::from(exponent(*child) - highest).exp2();
            let weights = &matrix.values[matrix.row(unit)];
            match values {
                Likelihoods::Blank => masses.extend(weights.iter().map(|w| w.f64())),
                Likelihoods::Tile(tile, b) => {
                    let column = &tile.values[self.plan.kept[*child].clone()][*b..];
                    matrix.for_each_edge(unit, |w, node| masses.push(w.f64() * scale * column[node * TILE].f64()));
                }
                Likelihoods::Log(values) => {
                    let logs = &values.blocks[*child];
                    matrix.for_each_edge(unit, |w, node| masses.push(w.f64().ln() + logs[node]));
                }
            }
        }
        if let Likelihoods::Log(_) = values {
            let largest = largest(masses);
            if largest == f64::NEG_INFINITY {
                return None;
            }
            masses.iter_mut().for_each(|log| *log = (*log - largest).exp());
        }
        Some(())
    }
}

impl Circuit {
    /// `n` independent rows.
    ///
    /// # Errors
    /// Never for a circuit with one head whose parameters are finite.
    pub fn sample(&self, n: usize, seed: Seed) -> Result<Discrete> {
        self.complete(&Discrete::all_missing(self.schema.clone(), n), seed)
    }

    /// Draws every missing value from its exact conditional distribution given the values of its row: inpainting.
    ///
    /// The values of one row are drawn jointly. Row `i` uses stream `i`, whatever the other rows are.
    ///
    /// # Errors
    /// As [`Self::log_prob`]; also when what a row knows is impossible under the circuit.
    pub fn complete(&self, rows: &dyn Rows, seed: Seed) -> Result<Discrete> {
        self.check_weights(crate::circuits::pass::heads::RowWeights::default(), rows.len())?;
        self.complete_under(0, rows, seed)
    }

    /// The same under one of several heads.
    ///
    /// # Errors
    /// As [`Self::complete`]; also when there is no such head.
    pub fn complete_under(&self, head: usize, rows: &dyn Rows, seed: Seed) -> Result<Discrete> {
        let heads = self.graph.heads();
        if head >= heads {
            return Err(crate::Error::invalid(format!("head {head} of {heads}")));
        }
        let drawn = self.complete_rows(rows, head, seed)?;
        Discrete::new(self.schema.clone(), drawn.into_iter().flat_map(|row| row.codes).collect())
    }
}
