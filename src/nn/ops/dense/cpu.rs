//! The fused dense kernel.

use dfdx::{
    shapes::{Dim, HasShape},
    tensor::{Cpu, HasErr, PutTape, SplitTape, Tape, Tensor, TensorFromVec},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;

use super::{DenseKernel, Outputs};
use crate::{
    nn::{
        Activation, Identity,
        ops::{
            Real,
            alone::is_alone,
            cpu::{Matrix, Threads, add, buffer, map, matmul, view},
        },
    },
    simd::vectorised,
};

impl<E: Real> DenseKernel<E> for Cpu
where
    Cpu: dfdx::tensor_ops::Device<E>,
{
    fn try_dense<A: Activation, I: Dim, O: Dim, B: Dim, T: Tape<E, Self>>(
        x: Tensor<(B, I), E, Self, T>,
        weight: &Tensor<(O, I), E, Self>,
        bias: &Tensor<(O,), E, Self>,
    ) -> Result<Outputs<B, O, E, Self, T>, Self::Err> {
        dense::<A, _, _, _, _, _>(x, weight, bias, None)
    }

    fn try_dense_onto<I: Dim, O: Dim, B: Dim, T: Tape<E, Self>>(
        x: Tensor<(B, I), E, Self, T>,
        weight: &Tensor<(O, I), E, Self>,
        bias: &Tensor<(O,), E, Self>,
        onto: Outputs<B, O, E, Self, T>,
    ) -> Result<Outputs<B, O, E, Self, T>, Self::Err> {
        dense::<Identity, _, _, _, _, _>(x, weight, bias, Some(onto))
    }
}

/// `y = f(x Wᵀ + b)`, or that onto what is there where `f` is the identity.
fn dense<A: Activation, I: Dim, O: Dim, B: Dim, E: Real, T: Tape<E, Cpu>>(
    x: Tensor<(B, I), E, Cpu, T>,
    weight: &Tensor<(O, I), E, Cpu>,
    bias: &Tensor<(O,), E, Cpu>,
    onto: Option<Outputs<B, O, E, Cpu, T>>,
) -> Result<Outputs<B, O, E, Cpu, T>, <Cpu as HasErr>::Err>
where
    Cpu: dfdx::tensor_ops::Device<E>,
{
    let (x, tape) = x.try_contiguous()?.split_tape();
    let (weight, weight_tape) = weight.retaped::<T>().try_contiguous()?.split_tape();
    let (bias, bias_tape) = bias.retaped::<T>().try_contiguous()?.split_tape();
    let mut tape = tape.merge(weight_tape).merge(bias_tape);
    let onto = match onto {
        None => None,
        Some(onto) => {
            let (onto, onto_tape) = onto.try_contiguous()?.split_tape();
            tape = tape.merge(onto_tape);
            Some(onto)
        }
    };
    let (batch, width) = *x.shape();
    let (outputs, inputs) = *weight.shape();
    let (rows, i, o) = (batch.size(), inputs.size(), outputs.size());
    assert!(width == inputs, "rows of {} numbers for a layer of {i} inputs", width.size());
    assert!(bias.shape().0 == outputs, "{} biases for a layer of {o} outputs", bias.shape().0.size());

    let mut out: Vec<E> = Vec::with_capacity(rows * o);
    match &onto {
        None => (0..rows).for_each(|_| out.extend_from_slice(view(&bias))),
        Some(onto) => {
            assert!(onto.shape() == &(batch, outputs), "outputs {:?} onto {:?}", (batch, outputs), onto.shape());
            let (onto, bias) = (view(onto), view(&bias));
            onto.chunks_exact(o).for_each(|row| out.extend(row.iter().zip(bias).map(|(x, b)| *x + *b)));
        }
    }
    let w = Matrix::new(view(&weight), o, i);
    matmul(&mut out, true, Matrix::new(view(&x), rows, i), w.transpose(), Threads::Pool);
    let argument = (T::OWNS_TAPE && !A::SLOPE_OF_VALUE).then(|| out.clone());
    if !A::IDENTITY {
        map(&mut out, A::value);
    }
    let out = x.device().try_tensor_from_vec(out, (batch, outputs))?;

    if T::OWNS_TAPE {
        let kept = (A::SLOPE_OF_VALUE && !A::IDENTITY).then(|| out.clone());
        let (ghost, alone) = (out.ghost(), is_alone());
        tape.add_backward_op(move |grads| {
            // Taken out, not copied, and put back at the end for whoever wants to see it.
            let given = std::mem::take(buffer::<E>(grads.get_or_alloc_mut(&ghost)?));
            let at = match (&kept, &argument) {
                (Some(value), _) => Some(view(value)),
                (None, at) => at.as_deref(),
            };
            if let Some(onto) = &onto {
                add(buffer::<E>(grads.get_or_alloc_mut(onto)?), &given);
            }
            let (sloped, sums) = through_activation::<A, E>(&given, at, o);
            let dz = sloped.as_deref().unwrap_or(&given);

            let dz = Matrix::new(dz, rows, o);
            if !alone {
                for (d, sum) in buffer::<E>(grads.get_or_alloc_mut(&bias)?).iter_mut().zip(sums) {
                    *d += sum;
                }
                let dw = buffer::<E>(grads.get_or_alloc_mut(&weight)?);
                matmul(dw, true, dz.transpose(), Matrix::new(view(&x), rows, i), Threads::Pool);
            }
            let w = Matrix::new(view(&weight), o, i);
            matmul(buffer::<E>(grads.get_or_alloc_mut(&x)?), true, dz, w, Threads::Pool);
            *buffer::<E>(grads.get_or_alloc_mut(&ghost)?) = given;
            Ok(())
        });
    }
    Ok(out.put_tape(tape))
}

/// `dz = dy ⊙ f′` (nothing where `f` is the identity) and the sums of its columns, in one pass.
///
/// Blocks of rows have a fixed size and are summed in order, so the sums do not depend on the number of threads.
fn through_activation<A: Activation, E: Real>(dy: &[E], at: Option<&[E]>, columns: usize) -> (Option<Vec<E>>, Vec<E>) {
    const ROWS: usize = 32;
    let block = (ROWS * columns).max(1);
    let column_sums = |rows: &[E]| {
        let mut sums = vec![E::default(); columns];
        for row in rows.chunks_exact(columns.max(1)) {
            sums.iter_mut().zip(row).for_each(|(sum, d)| *sum += *d);
        }
        sums
    };
    let (dz, blocks): (Option<Vec<E>>, Vec<Vec<E>>) = match at {
        None => (None, dy.par_chunks(block).map(|dy| vectorised!(column_sums(dy))).collect()),
        Some(at) => {
            let mut dz = at.to_vec();
            let blocks = dz
                .par_chunks_mut(block)
                .zip(dy.par_chunks(block))
                .map(|(dz, dy)| {
                    vectorised!({
                        dz.iter_mut().zip(dy).for_each(|(z, d)| *z = *d * A::slope(*z));
                        column_sums(dz)
                    })
                })
                .collect();
            (Some(dz), blocks)
        }
    };
    let mut sums = vec![E::default(); columns];
    for partial in blocks {
        sums.iter_mut().zip(partial).for_each(|(sum, part)| *sum += part);
    }
    (dz, sums)
}
