//! Autoregressive layers that a context changes.

use super::{in_passes, incremental, on_host};
use crate::{
    Result,
    flows::{
        Affine, Batch, Bijection, FastForward, Transform, WithLogDet,
        bijection::free,
        transform::{Direction, apply},
    },
    nn::{Activation, Device, Perceptron, Real, Relu, fields},
};
use dfdx::{
    dtypes::Dtype,
    shapes::{Axis, Dim, HasShape},
    tensor::{Cpu, PutTape, SplitTape, Storage, Tape},
    tensor_ops::{ReshapeTo, TryConcatAlong},
};
use std::marker::PhantomData;

/// A bijection of rows of `D` numbers for each context, which is a row of `C` numbers.
///
/// ```text
/// forward   z = f(x; c)      log |det ∂z/∂x|
/// inverse   x = f⁻¹(z; c)    log |det ∂x/∂z|
/// ```
pub trait Conditional<C: Dim, D: Dim, E: Real, Dev: Device<E>> {
    /// `z` and `log |det ∂z/∂x|` of every row; gradients reach the context, too.
    fn forward_given<T: Tape<E, Dev>>(
        &self,
        x: Batch<D, E, Dev, T>,
        context: Batch<C, E, Dev, T>,
    ) -> WithLogDet<D, E, Dev, T>;

    /// `x` and `log |det ∂x/∂z|` of every row.
    fn inverse_given<T: Tape<E, Dev>>(
        &self,
        z: Batch<D, E, Dev, T>,
        context: Batch<C, E, Dev, T>,
    ) -> WithLogDet<D, E, Dev, T>;

    /// As [`Bijection::check`].
    ///
    /// # Errors
    /// Which part it is.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The bijection for rows whose contexts are these, one each.
    fn given(&self, context: Batch<C, E, Dev>) -> Given<'_, Self, Batch<C, E, Dev>>
    where
        Self: Sized,
    {
        Given { conditional: self, context }
    }
}

/// A [`Conditional`] with its contexts: a [`Bijection`] of as many rows as there are contexts.
#[derive(Debug)]
pub struct Given<'a, B, R> {
    conditional: &'a B,
    context: R,
}

impl<C: Dim, D: Dim, E: Real, Dev: Device<E>, B: Conditional<C, D, E, Dev>> Bijection<D, E, Dev>
    for Given<'_, B, Batch<C, E, Dev>>
{
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.conditional.forward_given(x, self.context.retaped())
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.conditional.inverse_given(z, self.context.retaped())
    }

    fn check(&self) -> Result<()> {
        self.conditional.check()
    }
}

impl<B: FastForward, R> FastForward for Given<'_, B, R> {}

/// An [`Autoregressive`](super::Autoregressive) layer all of whose coordinates see a context of `C` numbers.
///
/// ```text
/// zᵢ = f(xᵢ; p(x_<i, c))      log |det| = Σ log ∂zᵢ/∂xᵢ
/// ```
///
/// ```
/// # use dfdx::{shapes::Const, tensor::Cpu};
/// # use limbeck::flows::{Conditional, ConditionalAutoregressive, Flow, to_rows};
/// let layer = ConditionalAutoregressive::<Const<1>, Const<2>>::new(&Cpu::seed_from_u64(0), Const, Const, 16)?;
/// let flow = Flow::normal(layer.given(to_rows(&[[0.5], [-1.0]])));
/// assert_eq!(flow.log_prob(to_rows(&[[0.0, 0.0], [0.0, 0.0]])).as_vec().len(), 2);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConditionalAutoregressive<C, D, F = Affine, A = Relu, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    network: Perceptron<usize, usize, A, E, Dev>,
    what: PhantomData<(C, D, F)>,
}

impl<C: Dim, D: Dim, F: Transform, A: Activation, E: Real, Dev: Device<E>>
    ConditionalAutoregressive<C, D, F, A, E, Dev>
{
    /// A layer whose network is randomly initialised.
    ///
    /// # Errors
    /// When there are no coordinates or no hidden units, or the device has no memory for it.
    pub fn new(device: &Dev, context: C, dims: D, hidden: usize) -> Result<Self> {
        let network = Perceptron::autoregressive(device, context.size() + dims.size(), dims.size(), hidden, F::WIDTH)?;
        Ok(Self { network, what: PhantomData })
    }

    /// The network's outputs for a context and coordinates.
    fn params<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>, context: Batch<C, E, Dev, T>) -> Batch<usize, E, Dev, T> {
        self.network.forward((free(context), free(x)).concat_along(Axis::<1>))
    }
}

impl<C: Dim, D: Dim, F: Transform, A: Activation, E: Real, Dev: Device<E>> Conditional<C, D, E, Dev>
    for ConditionalAutoregressive<C, D, F, A, E, Dev>
{
    fn forward_given<T: Tape<E, Dev>>(
        &self,
        x: Batch<D, E, Dev, T>,
        context: Batch<C, E, Dev, T>,
    ) -> WithLogDet<D, E, Dev, T> {
        let params = self.params(x.retaped::<T>(), context);
        apply::<F, _, _, _, _>(x, params, None, Direction::Forward)
    }

    fn inverse_given<T: Tape<E, Dev>>(
        &self,
        z: Batch<D, E, Dev, T>,
        context: Batch<C, E, Dev, T>,
    ) -> WithLogDet<D, E, Dev, T> {
        let (z, tape) = z.contiguous().split_tape();
        let (rows, dims) = *z.shape();
        if !T::OWNS_TAPE {
            let layers = self.network.layers();
            let context = context.contiguous().split_tape().0;
            let context = Dev::elements(&context);
            let (x, log_det) =
                incremental::invert::<F, A, E>(&Dev::elements(&z), dims.size(), &context, &on_host(&layers));
            let x = z.device().tensor_from_vec(x, (rows, dims)).put_tape(tape);
            return (x, z.device().tensor_from_vec(log_det, (rows,)).put_tape(T::default()));
        }
        let (context, context_tape) = context.split_tape();
        in_passes::<F, _, _, _, _>(&z, tape.merge(context_tape), |x| self.params(x, context.retaped::<T>()))
    }

    fn check(&self) -> Result<()> {
        self.network.check()
    }
}

impl<C, D, F, A, E: Dtype, Dev: Storage<E>> FastForward for ConditionalAutoregressive<C, D, F, A, E, Dev> {}

fields! { [C, D, F, A: Activation,] ConditionalAutoregressive[C, D, F, A,] { module network } what }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{
        Tanh,
        ops::testing::{assert_close, numbers, numeric_gradient},
    };
    use dfdx::{
        prelude::{Backward, SumTo},
        shapes::{Const, Rank0},
        tensor::{Tensor, TensorFromVec, Trace},
    };

    type Layer = ConditionalAutoregressive<Const<2>, Const<3>, Affine, Tanh, f64>;

    fn rows<const N: usize>(seed: u64) -> Tensor<(usize, Const<N>), f64, Cpu> {
        Cpu::default().tensor_from_vec(numbers(4 * N, seed), (4, Const))
    }

    #[test]
    fn a_context_changes_every_coordinate_and_both_directions_agree() {
        let layer = Layer::new(&Cpu::seed_from_u64(3), Const, Const, 12).unwrap();
        let (x, context) = (rows::<3>(1), rows::<2>(2));
        let given = layer.given(context.clone());
        let (z, log_det) = given.forward(x.clone());
        let other = layer.given(rows::<2>(5)).forward(x.clone()).0;
        assert!(z.as_vec().iter().zip(other.as_vec()).all(|(a, b)| *a != b), "the first coordinate, too");
        // Without a tape a unit at a time, with one a pass a coordinate.
        for (again, back) in [given.inverse(z.clone()), {
            let (again, back) = given.inverse(z.leaky_trace());
            (again.split_tape().0, back.split_tape().0)
        }] {
            assert_close(&again.as_vec(), &x.as_vec(), 1e-10);
            assert_close(&back.as_vec(), &log_det.as_vec().iter().map(|l| -l).collect::<Vec<f64>>(), 1e-10);
        }
        let found = {
            let (z, log_det) = layer.forward_given(x.retaped(), context.leaky_trace());
            (z.sum::<_, Axis<1>>() + log_det).sum::<Rank0, _>().backward().get(&context).as_vec()
        };
        let want = numeric_gradient(&context.as_vec(), |c| {
            let c: Tensor<(usize, Const<2>), f64, Cpu> = Cpu::default().tensor_from_vec(c.to_vec(), (4, Const));
            let (z, log_det) = layer.forward_given(x.clone(), c);
            z.as_vec().iter().sum::<f64>() + log_det.as_vec().iter().sum::<f64>()
        });
        assert_close(&found, &want, 1e-6);
    }
}
