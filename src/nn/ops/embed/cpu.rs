//! Both on the CPU.

use std::sync::Arc;

use dfdx::{
    shapes::{Dim, HasShape},
    tensor::{Cpu, PutTape, SplitTape, Tape, Tensor, TensorFromVec},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;

use super::{EmbedKernel, Whose};
use crate::nn::{
    Real,
    ops::{
        BufferKernel, Positions,
        cpu::{add, buffer},
    },
};

impl<E: Real> EmbedKernel<E> for Cpu
where
    Cpu: BufferKernel<E>,
{
    fn try_embed<N: Dim, M: Dim, T: Tape<E, Self>>(
        table: Tensor<(N, M), E, Self, T>,
        picked: Arc<[u32]>,
    ) -> Result<Positions<M, E, Self, T>, Self::Err> {
        let (table, mut tape) = table.try_contiguous()?.split_tape();
        let (size, rows) = (table.shape().1, picked.len());
        let width = size.size();
        let mut values = Vec::with_capacity(rows * width);
        {
            let from = Self::elements(&table);
            picked.iter().for_each(|i| values.extend_from_slice(&from[*i as usize * width..(*i as usize + 1) * width]));
        }
        let out = table.device().try_tensor_from_vec(values, (rows, size))?;
        if T::OWNS_TAPE {
            let ghost = out.ghost();
            tape.add_backward_op(move |grads| {
                let given = std::mem::take(buffer::<E>(grads.get_or_alloc_mut(&ghost)?));
                let into = buffer::<E>(grads.get_or_alloc_mut(&table)?);
                for (i, given) in picked.iter().zip(given.chunks_exact(width)) {
                    let into = &mut into[*i as usize * width..(*i as usize + 1) * width];
                    into.iter_mut().zip(given).for_each(|(to, d)| *to += *d);
                }
                *buffer::<E>(grads.get_or_alloc_mut(&ghost)?) = given;
                Ok(())
            });
        }
        Ok(out.put_tape(tape))
    }

    fn try_add_rows<M: Dim, T: Tape<E, Self>>(
        x: Positions<M, E, Self, T>,
        z: Positions<M, E, Self, T>,
        whose: Whose,
    ) -> Result<Positions<M, E, Self, T>, Self::Err> {
        let (x, tape) = x.try_contiguous()?.split_tape();
        let (z, other) = z.try_contiguous()?.split_tape();
        let mut tape = tape.merge(other);
        let (rows, size) = *x.shape();
        let width = size.size();
        let mut values = Self::elements(&x).into_owned();
        {
            let z = Self::elements(&z);
            values.par_chunks_mut(width).with_min_len(64).enumerate().for_each(|(i, y)| {
                let z = &z[whose.row(i) * width..(whose.row(i) + 1) * width];
                y.iter_mut().zip(z).for_each(|(y, z)| *y += *z);
            });
        }
        let out = x.device().try_tensor_from_vec(values, (rows, size))?;
        if T::OWNS_TAPE {
            let ghost = out.ghost();
            tape.add_backward_op(move |grads| {
                let given = std::mem::take(buffer::<E>(grads.get_or_alloc_mut(&ghost)?));
                add(buffer::<E>(grads.get_or_alloc_mut(&x)?), &given);
                let into = buffer::<E>(grads.get_or_alloc_mut(&z)?);
                for (i, given) in given.chunks_exact(width).enumerate() {
                    let into = &mut into[whose.row(i) * width..(whose.row(i) + 1) * width];
                    into.iter_mut().zip(given).for_each(|(to, d)| *to += *d);
                }
                *buffer::<E>(grads.get_or_alloc_mut(&ghost)?) = given;
                Ok(())
            });
        }
        Ok(out.put_tape(tape))
    }
}
