//! Rows that go through a circuit on a GPU, as many at once as there is room for.

use super::passes::Passes;
use crate::{
    Result,
    circuits::{
        Heads,
        pass::{heads::RowWeights, inputs::Row},
    },
    data::{MISSING, Rows},
};

/// What was found of some rows.
pub(super) struct Found {
    /// Nats.
    pub(super) log_probs: Vec<f64>,
    /// How many values the rows know.
    pub(super) known: usize,
    /// Rows that single precision does not reach here: they had no flow.
    pub(super) lost: Vec<usize>,
}

impl Passes {
    /// Runs `each` over the rows, as many at once as there is room for.
    pub(super) fn for_each(
        &mut self,
        source: &dyn Rows,
        rows: &[usize],
        row_heads: Heads,
        learns: bool,
        mut each: impl FnMut(&[usize], Found),
    ) -> Result<()> {
        let (mut codes, heads, width) = (Vec::new(), self.circuit.stale().graph.heads(), self.circuit.width);
        for block in rows.chunks(width) {
            let n = block.len();
            source.read(block, &mut codes)?;
            let on_gpu = &mut self.circuit;
            on_gpu.gpu.write(&mut on_gpu.codes, 0, &codes)?;
            if heads > 1 {
                let mut of_heads = vec![0.0; heads * width];
                row_heads.fill(block, heads, width, &mut of_heads);
                on_gpu.gpu.write(&mut on_gpu.heads, 0, &of_heads)?;
            }
            on_gpu.gpu.clear(&mut on_gpu.lost)?;
            self.upward(n)?;
            if learns {
                self.downward(n)?;
            }
            let on_gpu = &self.circuit;
            let log_probs = on_gpu.gpu.read(&on_gpu.log_probs, 0, n)?;
            let lost = on_gpu.gpu.read(&on_gpu.lost, 0, n)?;
            let lost = (0..n).filter(|b| lost[*b] != 0).collect();
            let known = codes.iter().filter(|code| **code != MISSING).count();
            each(block, Found { log_probs, known, lost });
        }
        Ok(())
    }

    /// Log-likelihoods of rows under a circuit of one head, nats, and the number of values that are not missing.
    pub(super) fn score(&mut self, rows: &dyn Rows) -> Result<(Vec<f64>, usize)> {
        let circuit = self.circuit.stale();
        circuit.check(rows)?;
        circuit.check_weights(RowWeights::default(), rows.len())?;
        let all: Vec<usize> = (0..rows.len()).collect();
        let (mut log_probs, mut known, mut lost) = (Vec::with_capacity(rows.len()), 0, Vec::new());
        self.for_each(rows, &all, Heads::Only, false, |block, found| {
            log_probs.extend(found.log_probs);
            known += found.known;
            lost.extend(found.lost.into_iter().map(|b| block[b]));
        })?;
        if !lost.is_empty() {
            let (circuit, mut codes) = (self.circuit.fetch()?, Vec::new());
            for row in lost {
                rows.read(&[row], &mut codes)?;
                log_probs[row] = circuit.log_values(&Row::from(&codes[..])).log_prob(&circuit, &[1.0]);
            }
        }
        Ok((log_probs, known))
    }
}
