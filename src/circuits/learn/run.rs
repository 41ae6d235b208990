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
    #[cfg(not(feature = "cuda"))]
    if gpu {
        return Err(crate::nn::device::no_gpu());
    }
    #[cfg(feature = "cuda")]
    if gpu {
        let mut learner = crate::circuits::gpu::GpuLearner::new(circuit, (rows, heads), valid, em, plan.batch)?;
        let mut history = train(&mut learner, plan, watch)?;
        let count = learner.left_out();
        if count > 0 {
            let why = "single precision does not reach it on a GPU";
            history.note(format!("{count} times a row was left out of a step: {why}"));
        }
        return Ok((learner.into_circuit()?, history));
    }
    let valid = valid.map(|rows| (rows, Heads::Only));
    let mut learner = EmLearner::with_heads(circuit, (rows, heads), valid, em)?;
    let history = train(&mut learner, plan, watch)?;
    Ok((learner.into_circuit(), history))
}
