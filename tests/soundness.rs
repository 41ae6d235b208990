//! Safe calls read nothing but their tensors: a tensor that was broadcast has one number behind many places.

use limbeck::{
    dfdx::prelude::*,
    nn::{
        Identity,
        ops::{BufferKernel, Layer, PerceptronKernel},
    },
};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn one() -> Tensor<Rank0, f32, Cpu> {
    Cpu::default().tensor(1.0)
}

#[test]
fn elements_of_a_broadcast_tensor() {
    let many: Tensor<Rank1<64>, f32, Cpu> = one().broadcast();
    assert_eq!(*<Cpu as BufferKernel<f32>>::elements(&many), [1.0; 64]);
    let columns: Tensor<Rank2<3, 2>, f32, Cpu> = Cpu::default().tensor([1.0, 2.0]).broadcast();
    assert_eq!(*<Cpu as BufferKernel<f32>>::elements(&columns), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
}

#[test]
fn a_perceptron_with_broadcast_weights() {
    let device = Cpu::default();
    let x: Tensor<(usize, Const<3>), f32, Cpu> = device.ones_like(&(2, Const::<3>));
    let layer = Layer {
        weight: one().broadcast_like(&(4_usize, 3_usize)),
        bias: device.zeros_like(&(4,)),
        reach: vec![3, 3, 3, 3].into(),
    };
    let call = || <Cpu as PerceptronKernel<f32>>::try_perceptron::<Identity, Const<3>, NoneTape>(x, &[layer]);
    if let Ok(y) = catch_unwind(AssertUnwindSafe(call)) {
        assert_eq!(y.unwrap().as_vec(), [3.0; 6]);
    }
}
