//! A flow of three coordinates does not read rows of two.

use limbeck::{
    dfdx::{shapes::Const, tensor::{Cpu, ZerosTensor}},
    flows::{Flow, Maf},
};

fn main() {
    let device = Cpu::default();
    let maf = Flow::normal(Maf::<Const<3>>::new(&device, Const, 8).unwrap());
    maf.log_prob(device.zeros_like(&(5, Const::<2>)));
}
