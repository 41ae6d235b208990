//! The fused perceptron.

use dfdx::{
    shapes::{Dim, HasShape},
    tensor::{Cpu, CpuError, Gradients, PutTape, SplitTape, Tape, Tensor, TensorFromVec},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;
use std::ops::Range;

use super::{Layer, PerceptronKernel, Values};
use crate::{
    nn::{
        Activation,
        ops::{
            Real,
            cpu::{Matrix, Threads, buffer, map, matmul_block, view, zip},
        },
    },
    simd::vectorised,
};

/// The fewest multiplications worth more than one task.
const SMALL: usize = 1 << 21;
/// The fewest units below by which the reaches of a panel may differ.
const SLACK: usize = 16;
/// The most units of a panel: panels are tasks of the gradient.
const WIDEST: usize = 256;
/// The most rows of a task.
const ROWS: usize = 256;
/// Columns of a gradient that are computed together.
const COLUMNS: usize = 64;

/// Units that are computed together, and how many units below they see.
#[derive(Clone, Debug)]
struct Panel {
    units: Range<usize>,
    seen: usize,
}

/// Units with nearly the same reach together.
fn panels(reach: &[usize], below: usize) -> Vec<Panel> {
    assert!(reach.is_sorted() && reach.last().is_none_or(|last| *last <= below), "reach {reach:?} of {below}");
    let slack = (below / 8).max(SLACK);
    let mut panels: Vec<Panel> = Vec::new();
    for (unit, seen) in reach.iter().enumerate() {
        match panels.last_mut() {
            Some(panel) if panel.units.len() < WIDEST && *seen <= reach[panel.units.start] + slack => {
                (panel.units.end, panel.seen) = (unit + 1, *seen);
            }
            _ => panels.push(Panel { units: unit..unit + 1, seen: *seen }),
        }
    }
    panels
}

/// Lets `work` add to every block of `out`, `width` wide: `work(first row, part, block, stride)` has the columns of one of the
/// `parts`, with rows that lie `stride` apart.
///
/// Few rows are computed part by part: a product of few rows spends its time on the weights, and is not to be cut. The blocks do
/// not depend on the number of threads: gemm adds up in another order where a block is small, and a result must not depend on who
/// computes it.
fn for_blocks<E: Real>(
    out: &mut [E],
    width: usize,
    multiplications: usize,
    parts: &[Range<usize>],
    work: impl Fn(usize, usize, &mut [E], usize) + Sync,
) {
    let rows = out.len() / width;
    let blocks = if multiplications < SMALL { 1 } else { rows.div_ceil(ROWS).max(1) };
    if blocks == 1 && multiplications >= SMALL && rayon::current_num_threads() > 1 {
        let compute = |(i, part): (usize, &Range<usize>)| {
            let mut block = Vec::with_capacity(rows * part.len());
            out.chunks_exact(width).for_each(|row| block.extend_from_slice(&row[part.clone()]));
            work(0, i, &mut block, part.len());
            block
        };
        let computed: Vec<Vec<E>> = parts.par_iter().with_max_len(1).enumerate().map(compute).collect();
        for (part, block) in parts.iter().zip(computed) {
            let each = out.chunks_exact_mut(width).zip(block.chunks_exact(part.len()));
            each.for_each(|(row, block)| row[part.clone()].copy_from_slice(block));
        }
        return;
    }
    let block = rows.div_ceil(blocks).max(1);
    out.par_chunks_mut(block * width).enumerate().for_each(|(b, out)| {
        parts.iter().enumerate().for_each(|(i, part)| work(b * block, i, &mut out[part.start..], width));
    });
}

/// A layer, and what its backward pass needs.
struct Kept<E: Real> {
    layer: Layer<E, Cpu>,
    panels: Vec<Panel>,
    /// `hₗ₋₁`, nothing for the first layer, whose input is `x`.
    input: Vec<E>,
    /// The argument of this layer's activation, where its slope needs it.
    argument: Vec<E>,
}

impl<E: Real> PerceptronKernel<E> for Cpu
where
    Cpu: dfdx::tensor_ops::Device<E>,
{
    fn try_perceptron<A: Activation, I: Dim, T: Tape<E, Self>>(
        x: Tensor<(usize, I), E, Self, T>,
        layers: &[Layer<E, Self>],
    ) -> Result<Values<E, Self, T>, Self::Err> {
        let (x, mut tape) = x.try_contiguous()?.split_tape();
        let rows = x.shape().0;
        let width = x.shape().1.size();
        let owns = T::OWNS_TAPE;
        let (values, kept) = in_pool(rows, layers.iter(), || forward::<A, E>(view(&x), (rows, width), layers, owns));
        let width = layers.last().map_or(width, |layer| layer.weight.shape().0);
        let out = x.device().try_tensor_from_vec(values, (rows, width))?;
        if T::OWNS_TAPE {
            let ghost = out.ghost();
            tape.add_backward_op(move |grads| {
                let d = buffer::<E>(grads.get_or_alloc_mut(&ghost)?).clone();
                in_pool(rows, kept.iter().map(|kept| &kept.layer), || backward::<A, I, E>(grads, &x, d, &kept))
            });
        }
        Ok(out.put_tape(tape))
    }
}

/// Runs `work` on a thread of the pool where it is worth more than one: from outside, each parallel loop would have to wake the
/// pool and wait for it anew.
fn in_pool<'l, E: Real, R: Send>(
    rows: usize,
    mut layers: impl Iterator<Item = &'l Layer<E, Cpu>>,
    work: impl FnOnce() -> R + Send,
) -> R {
    let large = |layer: &Layer<E, Cpu>| rows * layer.weight.shape().0 * layer.weight.shape().1 >= SMALL;
    if rayon::current_num_threads() > 1 && layers.any(large) { rayon::join(work, || ()).0 } else { work() }
}

/// The outputs for `rows` of inputs that are `width` wide, and what the backward pass needs where there is one.
fn forward<A: Activation, E: Real>(
    x: &[E],
    (rows, mut width): (usize, usize),
    layers: &[Layer<E, Cpu>],
    keep: bool,
) -> (Vec<E>, Vec<Kept<E>>) {
    let (mut values, mut kept) = (Vec::new(), Vec::with_capacity(layers.len()));
    for (l, layer) in layers.iter().enumerate() {
        let (units, below) = *layer.weight.shape();
        assert!(below == width && layer.bias.shape().0 == units && layer.reach.len() == units);
        let panels = panels(&layer.reach, below);
        let input = if l == 0 { x } else { &values };
        let mut out = affine(input, rows, layer, &panels);
        let argument = if keep && !A::SLOPE_OF_VALUE { out.clone() } else { vec![] };
        if l + 1 < layers.len() && !A::IDENTITY {
            map(&mut out, A::value);
        }
        let input = std::mem::replace(&mut values, out);
        if keep {
            kept.push(Kept { layer: layer.clone(), panels, input, argument });
        }
        width = units;
    }
    (values, kept)
}

/// `W x + b` of every row.
fn affine<E: Real>(input: &[E], rows: usize, layer: &Layer<E, Cpu>, panels: &[Panel]) -> Vec<E> {
    let (units, below) = *layer.weight.shape();
    let (weight, bias) = (view(&layer.weight), view(&layer.bias));
    let mut out = Vec::with_capacity(rows * units);
    (0..rows).for_each(|_| out.extend_from_slice(bias));
    let parts: Vec<Range<usize>> = panels.iter().map(|panel| panel.units.clone()).collect();
    for_blocks(&mut out, units, rows * units * below, &parts, |first, i, out, stride| {
        let (Panel { units: range, seen }, rows) = (&panels[i], out.len().div_ceil(stride));
        let x = Matrix::block(&input[first * below..], rows, *seen, below);
        let w = Matrix::block(&weight[range.start * below..], range.len(), *seen, below);
        matmul_block(out, stride, true, x, w.transpose(), Threads::One);
    });
    out
}

/// `d` is the gradient of the outputs.
fn backward<A: Activation, I: Dim, E: Real>(
    grads: &mut Gradients<E, Cpu>,
    x: &Tensor<(usize, I), E, Cpu>,
    mut d: Vec<E>,
    kept: &[Kept<E>],
) -> Result<(), CpuError>
where
    Cpu: dfdx::tensor_ops::Device<E>,
{
    let rows = x.shape().0;
    for (l, Kept { layer, panels, input, .. }) in kept.iter().enumerate().rev() {
        let (units, below) = *layer.weight.shape();
        if l + 1 < kept.len() && !A::IDENTITY {
            // The value of this layer is the input of the next.
            let at = if A::SLOPE_OF_VALUE { &kept[l + 1].input } else { &kept[l].argument };
            zip(&mut d, at, |d, at| d * A::slope(at));
        }
        let sums = buffer::<E>(grads.get_or_alloc_mut(&layer.bias)?);
        vectorised!(d.chunks_exact(units).for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, d)| *sum += *d)));
        let input = if l == 0 { view(x) } else { input };
        weight_gradient(buffer::<E>(grads.get_or_alloc_mut(&layer.weight)?), &d, input, rows, layer, panels);
        let pull = |into: &mut [E]| {
            let weight = view(&layer.weight);
            let parts = (0..below).step_by(COLUMNS).map(|first| first..below.min(first + COLUMNS)).collect::<Vec<_>>();
            for_blocks(into, below, rows * units * below, &parts, |row, i, into, stride| {
                let (columns, rows) = (&parts[i], into.len().div_ceil(stride));
                // Units before this one see none of these columns.
                let start = layer.reach.partition_point(|seen| *seen <= columns.start);
                if start < units {
                    let d = Matrix::block(&d[row * units + start..], rows, units - start, units);
                    let w = &weight[start * below + columns.start..];
                    let w = Matrix::block(w, units - start, columns.len(), below);
                    matmul_block(into, stride, true, d, w, Threads::One);
                }
            });
        };
        if l == 0 {
            pull(buffer::<E>(grads.get_or_alloc_mut(x)?));
        } else {
            let mut next = vec![E::default(); rows * below];
            pull(&mut next);
            d = next;
        }
    }
    Ok(())
}

/// `dW += dᵀ x` where units see what is below.
fn weight_gradient<E: Real>(dw: &mut [E], d: &[E], input: &[E], rows: usize, layer: &Layer<E, Cpu>, panels: &[Panel]) {
    let (units, below) = *layer.weight.shape();
    if rows == 0 {
        return;
    }
    let mut rest = dw;
    let mut parts = Vec::with_capacity(panels.len());
    for panel in panels {
        let (part, after) = rest.split_at_mut(panel.units.len() * below);
        parts.push((part, panel));
        rest = after;
    }
    let work = |(part, Panel { units: range, seen }): (&mut [E], &Panel)| {
        let d = Matrix::block(&d[range.start..], rows, range.len(), units);
        let x = Matrix::block(input, rows, *seen, below);
        matmul_block(part, below, true, d.transpose(), x, Threads::One);
        for (row, unit) in part.chunks_exact_mut(below).zip(range.clone()) {
            row[layer.reach[unit]..*seen].fill(E::default());
        }
    };
    if rows * units * below < SMALL || rayon::current_num_threads() == 1 {
        parts.into_iter().for_each(work);
    } else {
        parts.into_par_iter().with_max_len(1).for_each(work);
    }
}
