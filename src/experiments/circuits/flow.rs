//! The flow of one row over a circuit that is small enough to be drawn whole.

use crate::{
    Result,
    circuits::{Circuit, Graph, Leaf},
    data::{Discrete, Schema},
    experiments::Lab,
};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let mut schema = Schema::uniform(&[3], 2);
    for (variable, name) in schema.variables.iter_mut().zip(["rain", "lawn", "road"]) {
        variable.name = name.into();
    }
    let mut graph = Graph::new(3);
    let wet = [graph.input(1, 2)?, graph.input(2, 2)?];
    let below = graph.product(&wet)?;
    let mixed = graph.sum(&[below], 2)?;
    let rain = graph.input(0, 2)?;
    let both = graph.product(&[rain, mixed])?;
    graph.sum(&[both], 1)?;
    let circuit = Circuit::random(graph, schema.clone(), Leaf::Categorical, lab.seed)?;
    let row = Discrete::new(schema, vec![1, 1, 0])?;
    lab.figure("circuits-flow", &circuit.flow_diagram("The flow of one row: rain, a wet lawn, a dry road", &row)?)
}
