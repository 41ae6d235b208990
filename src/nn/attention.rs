//! Multi-head self-attention, with or without a causal mask.

use dfdx::{
    dtypes::Dtype,
    nn::{BuildOnDevice, Module, NonMutableModule},
    shapes::{Axes2, Axes4, Axis, Const, Dim, HasShape},
    tensor::{Cpu, Storage, Tape, Tensor, WithEmptyTape},
    tensor_ops::{BroadcastTo, Device as Plain, PermuteTo, ReshapeTo, TryAdd, TryMatMul, TryMul},
};

use super::{Dense, Device, Identity, Real, fields};

/// Multi-head self-attention over a sequence.
///
/// ```text
/// q, k, v = x Wqᵀ + bq, x Wkᵀ + bk, x Wvᵀ + bv       split into HEADS of size DIM / HEADS
/// a       = softmax_j(q_i · k_j / √(DIM / HEADS))    over all j, or over j ≤ i where CAUSAL
/// y_i     = (Σ_j a_ij v_j) Woᵀ + bo
/// ```
///
/// Shapes: `(batch, sequence, DIM)` both ways; either of the first two may be a constant or known only at run time.
/// `HEADS` that do not divide `DIM` do not compile. Source: Vaswani et al. 2017, §3.2.
///
/// ```
/// use dfdx::prelude::*;
/// use limbeck::nn::Attention;
///
/// let device = Cpu::seed_from_u64(0);
/// let attention = Attention::<8, 2, true>::build_on_device(&device);
/// let y = attention.forward(device.zeros::<Rank3<4, 5, 8>>());
/// assert_eq!(y.shape(), &(Const::<4>, Const::<5>, Const::<8>));
/// ```
#[derive(Clone, Debug)]
pub struct Attention<
    const DIM: usize,
    const HEADS: usize,
    const CAUSAL: bool = false,
    E: Dtype = f32,
    D: Storage<E> = Cpu,
> {
    /// `Wq` and `bq`.
    pub query: Dense<DIM, DIM, Identity, E, D>,
    /// `Wk` and `bk`.
    pub key: Dense<DIM, DIM, Identity, E, D>,
    /// `Wv` and `bv`.
    pub value: Dense<DIM, DIM, Identity, E, D>,
    /// `Wo` and `bo`.
    pub out: Dense<DIM, DIM, Identity, E, D>,
}

impl<const DIM: usize, const HEADS: usize, const CAUSAL: bool, E: Dtype, D: Storage<E>>
    Attention<DIM, HEADS, CAUSAL, E, D>
{
    const HEAD: usize = {
        assert!(HEADS > 0 && DIM.is_multiple_of(HEADS), "Attention: HEADS must divide DIM");
        DIM / HEADS
    };
}

fields! {
    [const DIM: usize, const HEADS: usize, const CAUSAL: bool,] Attention[DIM, HEADS, CAUSAL,] {
        module query,
        module key,
        module value,
        module out,
    }, checked by HEAD
}

impl<const DIM: usize, const HEADS: usize, const CAUSAL: bool, E: Dtype, D: Storage<E>, D2: Plain<E>>
    BuildOnDevice<D2, E> for Attention<DIM, HEADS, CAUSAL, E, D>
{
    type Built = Attention<DIM, HEADS, CAUSAL, E, D2>;
}

impl<const DIM: usize, const HEADS: usize, const CAUSAL: bool, E: Dtype, D: Storage<E>> NonMutableModule
    for Attention<DIM, HEADS, CAUSAL, E, D>
{
}

impl<const DIM: usize, const HEADS: usize, const CAUSAL: bool, B: Dim, L: Dim, E: Real, D: Device<E>, T: Tape<E, D>>
    Module<Tensor<(B, L, Const<DIM>), E, D, T>> for Attention<DIM, HEADS, CAUSAL, E, D>
{
    type Output = Tensor<(B, L, Const<DIM>), E, D, T>;
    type Error = D::Err;

    fn try_forward(&self, x: Tensor<(B, L, Const<DIM>), E, D, T>) -> Result<Self::Output, D::Err> {
        let head = const { Self::HEAD };
        let device = x.device().clone();
        let (batch, length, _) = *x.shape();
        let split = (batch.size(), length.size(), HEADS, head);
        // The tape goes with the query; the products below merge the others' into it.
        let key = self.key.try_forward(x.with_empty_tape())?.try_reshape_like(&split)?;
        let value = self.value.try_forward(x.with_empty_tape())?.try_reshape_like(&split)?;
        let query = self.query.try_forward(x)?.try_reshape_like(&split)?;
        let query = query.try_permute::<_, Axes4<0, 2, 1, 3>>()?;
        let key = key.try_permute::<_, Axes4<0, 2, 3, 1>>()?;
        let value = value.try_permute::<_, Axes4<0, 2, 1, 3>>()?;
        let mut scores = query.try_matmul(key)?.try_mul(E::of(1.0 / (head as f64).sqrt()))?;
        if CAUSAL {
            let square = (length.size(), length.size());
            let mask = device.try_upper_tri_like(&square, E::of(f64::NEG_INFINITY), 1)?;
            let mask = mask.retaped::<T>().try_broadcast_like::<_, Axes2<0, 1>>(scores.shape())?;
            scores = scores.try_add(mask)?;
        }
        let mixed = scores.try_softmax::<Axis<3>>()?.try_matmul(value)?;
        let joined = mixed.try_permute::<_, Axes4<0, 2, 1, 3>>()?.try_reshape_like(&(batch, length, Const::<DIM>))?;
        self.out.try_forward(joined)
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
    fn project(layer: &Dense<DIM, DIM, Identity, f64>, x: &[f64]) -> Vec<f64> {
        (0..DIM).map(|o| layer.bias[[o]] + (0..DIM).map(|i| layer.weight[[o, i]] * x[i]).sum::<f64>()).collect()
    }

    fn naive<const CAUSAL: bool>(layer: &Attention<DIM, HEADS, CAUSAL, f64>, x: &[f64]) -> Vec<f64> {
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
        let layer = Attention::<DIM, HEADS, CAUSAL, f64>::build_on_device(&device);
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
