//! A run of EM, on the CPU or on a GPU.

use crate::{
    Result,
    circuits::{Circuit, Em, EmLearner, Heads},
    data::Rows,
    train::{History, Plan, Progress, train},
};
use std::ops::ControlFlow;

/// Who hears of every step, as in [`Run`](crate::train::Run).
type Watch<'a> = &'a mut dyn FnMut(&Progress) -> ControlFlow<()>;

/// Learns from rows, each of which belongs to a head, by a plan; on a GPU where `gpu` says so.
pub(crate) fn learn(
    circuit: Circuit,
    (rows, heads): (&dyn Rows, Heads),
    valid: Option<&dyn Rows>,
    em: Em,
    plan: &Plan,
    (gpu, watch): (bool, Watch),
) -> Result<(Circuit, History)> {
    if gpu {
        return learn_on_gpu(circuit, (rows, heads), valid, em, plan, watch);
    }
    let valid = valid.map(|rows| (rows, Heads::Only));
    let mut learner = EmLearner::with_heads(circuit, (rows, heads), valid, em)?;
    let history = train(&mut learner, plan, watch)?;
    Ok((learner.into_circuit(), history))
}

#[cfg(feature = "cuda")]
fn learn_on_gpu(
    circuit: Circuit,
    train_rows: (&dyn Rows, Heads),
    valid: Option<&dyn Rows>,
    em: Em,
    plan: &Plan,
    watch: Watch,
) -> Result<(Circuit, History)> {
    let mut learner = crate::circuits::gpu::GpuLearner::new(circuit, train_rows, valid, em, plan.batch)?;
    let mut history = train(&mut learner, plan, watch)?;
    let count = learner.left_out();
    if count > 0 {
        history
            .note(format!("{count} times a row was left out of a step: single precision does not reach it on a GPU"));
    }
    Ok((learner.into_circuit()?, history))
}

#[cfg(not(feature = "cuda"))]
fn learn_on_gpu(
    _: Circuit,
    _: (&dyn Rows, Heads),
    _: Option<&dyn Rows>,
    _: Em,
    _: &Plan,
    _: Watch,
) -> Result<(Circuit, History)> {
    Err(crate::nn::device::no_gpu())
}
