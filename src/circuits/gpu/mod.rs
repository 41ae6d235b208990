//! Circuits on a GPU: the passes, EM, and likelihoods, in single precision, with the feature `cuda`.
//!
//! What a circuit of dense blocks spends its time on are products of matrices, which cuBLAS does; the kernels in `kernels.cu`
//! do the rest, and are compiled where they run. A circuit comes to the GPU with all its numbers ([`resident`]), and goes back
//! with them. Rows that single precision does not reach there are scored on the CPU in log space; learning leaves them out, and
//! says how many.

mod device;
mod learner;
mod passes;
mod resident;
mod rows;
mod schedule;

pub(super) use learner::GpuLearner;

use super::Circuit;
use crate::{
    Result,
    data::{Rows, fingerprint},
    evidence::{Evidence, Exact, Space},
};
use passes::Passes;
use resident::Resident;

impl Circuit {
    /// As [`Self::evidence`], computed on a GPU.
    ///
    /// # Errors
    /// As [`Self::evidence`]; also when no GPU answers, or the rows are real numbers or soft evidence.
    pub fn evidence_on_gpu(&self, rows: &dyn Rows) -> Result<Evidence<Exact>> {
        learner::check(self, rows)?;
        let (log_probs, known) = Passes::new(Resident::new(self.clone(), rows.len())?)?.score(rows)?;
        Ok(Evidence::new(log_probs, Space::Raw, self.vars())?.of_known(known)?.of_rows(fingerprint(rows)?))
    }
}
