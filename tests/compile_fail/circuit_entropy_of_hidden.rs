//! The entropy of a circuit with latents is intractable, so it is not a method of one.
use limbeck::prelude::*;

fn main() {
    let circuit: Circuit = Circuit::load("model").unwrap();
    let _ = circuit.entropy();
}
