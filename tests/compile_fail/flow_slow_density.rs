//! The density of an inverse autoregressive flow takes a pass a coordinate: it must be asked for.

use limbeck::{
    dfdx::{shapes::Const, tensor::{Cpu, ZerosTensor}},
    flows::{Flow, Maf},
};

fn main() {
    let device = Cpu::default();
    let iaf = Flow::normal(Maf::<Const<3>>::new(&device, Const, 8).unwrap()).inverted();
    let x = device.zeros_like(&(5, Const::<3>));
    iaf.sequential().log_prob(x.clone());
    iaf.log_prob(x);
}
