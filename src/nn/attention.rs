//! Multi-head self-attention, with or without a causal mask.

use dfdx::{
    dtypes::Dtype,
    nn::{BuildOnDevice, Module, NonMutableModule},
    shapes::{Const, Dim, HasShape},
    tensor::{Cpu, Storage, Tape, Tensor, WithEmptyTape},
    tensor_ops::{Device as Plain, ReshapeTo},
};

use super::{
    Dense, Device, Identity, Real, Size, fields,
    ops::{Heads, Positions},
};
use crate::{Error, Result};

/// Multi-head self-attention over a sequence.
///
/// ```text
/// q, k, v = x Wqᵀ + bq, x Wkᵀ + bk, x Wvᵀ + bv       split into HEADS of size M / HEADS
/// a       = softmax_j(q_i · k_j / √(M / HEADS))    over all j, or over j ≤ i where CAUSAL
/// y_i     = (Σ_j a_ij v_j) Woᵀ + bo
/// ```
///
/// Shapes: `(batch, sequence, M)` both ways, each size a [`Const`] or a `usize`. `HEADS` that do not divide a `Const` do not compile. Source: Vaswani et al. 2017, §3.2.
///
/// ```
/// use dfdx::prelude::*;
/// use limbeck::nn::Attention;
///
/// let device = Cpu::seed_from_u64(0);
/// let attention = Attention::<Const<8>, 2, true>::build_on_device(&device);
/// let y = attention.forward(device.zeros::<Rank3<4, 5, 8>>());
/// assert_eq!(y.shape(), &(Const::<4>, Const::<5>, Const::<8>));
/// ```
#[derive(Clone, Debug)]
pub struct Attention<M: Dim, const HEADS: usize, const CAUSAL: bool = false, E: Dtype = f32, D: Storage<E> = Cpu> {
    /// `Wq` and `bq`.
    pub query: Dense<M, M, Identity, E, D>,
    /// `Wk` and `bk`.
    pub key: Dense<M, M, Identity, E, D>,
    /// `Wv` and `bv`.
    pub value: Dense<M, M, Identity, E, D>,
    /// `Wo` and `bo`.
    pub out: Dense<M, M, Identity, E, D>,
}

impl<M: Size, const HEADS: usize, const CAUSAL: bool, E: Dtype, D: Storage<E>> Attention<M, HEADS, CAUSAL, E, D> {
    /// Evaluating it is what refuses heads that do not divide a size known to the compiler.
    const DIVIDES: () = if let Some(size) = M::KNOWN {
        assert!(divides(HEADS, size), "Attention: HEADS must divide the size");
    };
}

const fn divides(heads: usize, size: usize) -> bool {
    heads > 0 && size.is_multiple_of(heads)
}

impl<M: Size, const HEADS: usize, const CAUSAL: bool, E: Real, D: Plain<E>> Attention<M, HEADS, CAUSAL, E, D> {
    /// A layer that starts as those that `build_on_device` makes of a size known to the compiler.
    ///
    /// # Errors
    /// When the heads do not divide the size, or the device has no memory for it.
    pub fn new(device: &D, size: M) -> Result<Self> {
        if !divides(HEADS, size.size()) {
            return Err(Error::invalid(format!("{HEADS} heads do not divide a size of {}", size.size())));
        }
        let dense = || Dense::new(device, size, size);
        Ok(Self { query: dense()?, key: dense()?, value: dense()?, out: dense()? })
    }
}

fields! {
    [M: Size, const HEADS: usize, const CAUSAL: bool,] Attention[M, HEADS, CAUSAL,] {
        module query,
        module key,
        module value,
        module out,
    }, checked by DIVIDES
}

impl<const M: usize, const HEADS: usize, const CAUSAL: bool, E: Dtype, D: Storage<E>, D2: Plain<E>> BuildOnDevice<D2, E>
    for Attention<Const<M>, HEADS, CAUSAL, E, D>
{
    type Built = Attention<Const<M>, HEADS, CAUSAL, E, D2>;
}

impl<M: Dim, const HEADS: usize, const CAUSAL: bool, E: Dtype, D: Storage<E>> NonMutableModule
    for Attention<M, HEADS, CAUSAL, E, D>
{
}

impl<M: Size, const HEADS: usize, const CAUSAL: bool, B: Dim, L: Dim, E: Real, D: Device<E>, T: Tape<E, D>>
    Module<Tensor<(B, L, M), E, D, T>> for Attention<M, HEADS, CAUSAL, E, D>
{
    type Output = Tensor<(B, L, M), E, D, T>;
    type Error = D::Err;

    fn try_forward(&self, x: Tensor<(B, L, M), E, D, T>) -> Result<Self::Output, D::Err> {
        let shape = *x.shape();
        let (batch, length, size) = shape;
        let rows = x.try_reshape_like(&(batch.size() * length.size(), size))?;
        let mixed = self.mixed(rows, length.size())?;
        self.out.try_forward(mixed)?.try_reshape_like(&shape)
    }
}

impl<M: Size, const HEADS: usize, const CAUSAL: bool, E: Real, D: Device<E>> Attention<M, HEADS, CAUSAL, E, D> {
    /// What every position gathers, before it leaves by `Wo`: of positions one after the other, in sequences of that length.
    pub(crate) fn mixed<T: Tape<E, D>>(
        &self,
        x: Positions<M, E, D, T>,
        length: usize,
    ) -> Result<Positions<M, E, D, T>, D::Err> {
        const { Self::DIVIDES };
        // The tape goes with the query; the op merges the others' into it.
        let key = self.key.try_forward(x.with_empty_tape())?;
        let value = self.value.try_forward(x.with_empty_tape())?;
        let query = self.query.try_forward(x)?;
        D::try_attend(query, key, value, None, Heads { length, heads: HEADS, causal: CAUSAL })
    }
}

#[cfg(test)]
mod tests {
    use dfdx::{
        shapes::Rank3,
        tensor::{SampleTensor, Trace},
        tensor_ops::{Backward, SumTo},
    };

    use super::*;
    use crate::nn::ops::testing::{assert_close, numeric_gradient};

    const B: usize = 2;
    const L: usize = 4;
    const DIM: usize = 6;
    const HEADS: usize = 3;

    /// `x Wᵀ + b` for one row.
    fn project(layer: &Dense<Const<DIM>, Const<DIM>, Identity, f64>, x: &[f64]) -> Vec<f64> {
        (0..DIM).map(|o| layer.bias[[o]] + (0..DIM).map(|i| layer.weight[[o, i]] * x[i]).sum::<f64>()).collect()
    }

    fn naive<const CAUSAL: bool>(layer: &Attention<Const<DIM>, HEADS, CAUSAL, f64>, x: &[f64]) -> Vec<f64> {
        let head = DIM / HEADS;
        let mut out = Vec::new();
        for sequence in x.chunks(L * DIM) {
            let rows = |to| sequence.chunks(DIM).map(|x| project(to, x)).collect::<Vec<_>>();
            let (q, k, v) = (rows(&layer.query), rows(&layer.key), rows(&layer.value));
            for (i, q) in q.iter().enumerate() {
                let mut mixed = vec![0.0; DIM];
                for h in 0..HEADS {
                    let at = h * head..(h + 1) * head;
                    let seen = if CAUSAL { i + 1 } else { L };
                    let weights: Vec<f64> = (0..seen)
                        .map(|j| at.clone().map(|d| q[d] * k[j][d]).sum::<f64>() / (head as f64).sqrt())
                        .map(f64::exp)
                        .collect();
                    let total: f64 = weights.iter().sum();
                    for (j, weight) in weights.iter().enumerate() {
                        at.clone().for_each(|d| mixed[d] += weight / total * v[j][d]);
                    }
                }
                out.extend(project(&layer.out, &mixed));
            }
        }
        out
    }

    fn check<const CAUSAL: bool>() {
        let device = Cpu::seed_from_u64(3);
        let layer = Attention::<Const<DIM>, HEADS, CAUSAL, f64>::build_on_device(&device);
        let x: Tensor<Rank3<B, L, DIM>, f64, Cpu> = device.sample_normal();
        let y = layer.forward(x.leaky_trace());
        assert_close(&y.as_vec(), &naive(&layer, &x.as_vec()), 1e-12);
        let scale: Tensor<Rank3<B, L, DIM>, f64, Cpu> = device.sample_normal();
        let grads = (y * scale.clone()).sum().backward();
        let loss = |x: &[f64]| naive(&layer, x).iter().zip(scale.as_vec()).map(|(y, c)| y * c).sum::<f64>();
        assert_close(&grads.get(&x).as_vec(), &numeric_gradient(&x.as_vec(), loss), 1e-7);
    }

    #[test]
    fn it_is_its_formula() {
        check::<false>();
        check::<true>();
    }
}
