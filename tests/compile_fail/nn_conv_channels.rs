use dfdx::{nn::Module, prelude::*};
use limbeck::nn::Conv2d;

fn main() {
    let device = Cpu::default();
    let layer = Conv2d::<3, 4, 3, 1, 1, 8, 8, 8, 8>::build_on_device(&device);
    let _ = layer.forward(device.zeros::<Rank4<5, 1, 8, 8>>());
}
