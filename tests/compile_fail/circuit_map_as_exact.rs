//! The maximum of a circuit with latents is only bounded.
use limbeck::prelude::*;

fn main() {
    let circuit: Circuit = Circuit::load("model").unwrap();
    let rows: Discrete = shipped::digits().unwrap().discrete();
    let (_, _): (Discrete, Evidence<Exact>) = circuit.map(&rows).unwrap();
}
