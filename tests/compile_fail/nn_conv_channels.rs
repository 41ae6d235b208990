use dfdx::{nn::Module, prelude::*};
use limbeck::nn::{Conv2d, Image, Padding, Stride, Window};

fn main() {
    let device = Cpu::default();
    type Layer = Conv2d<Image<3, 8, 8>, Image<4, 8, 8>, Window<3, Stride<1>, Padding<1>>>;
    let layer = Layer::build_on_device(&device);
    let _ = layer.forward(device.zeros::<Rank4<5, 1, 8, 8>>());
}
