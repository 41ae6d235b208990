use dfdx::{nn::Module, prelude::*};
use limbeck::nn::{Dense, Relu};

fn main() {
    type Mlp = (Dense<Const<2>, Const<16>, Relu>, Dense<Const<8>, Const<1>>);
    let device = Cpu::default();
    let mlp = Mlp::build_on_device(&device);
    let _ = mlp.forward(device.zeros::<Rank2<4, 2>>());
}
