//! What each head of a circuit says of rows.

use crate::{
    Result,
    circuits::{
        Circuit, Scalar,
        pass::heads::RowWeights,
        pass::upward::{Purpose, Workspace},
    },
    data::Rows,
};

impl<T: Scalar> Circuit<T> {
    /// Hands `each` every row's number and its log-likelihoods under all heads.
    pub(crate) fn for_each_by_head(&self, rows: &dyn Rows, mut each: impl FnMut(usize, &[f64])) -> Result<()> {
        self.check(rows)?;
        let all: Vec<usize> = (0..rows.len()).collect();
        let mut logs = vec![0.0; self.graph.heads()];
        let mut workspace = Workspace::new(Purpose::Heads);
        workspace.for_each_block(self, rows, &all, RowWeights::default(), |block, tiles| {
            let mut block = block.iter();
            for tile in &*tiles {
                for (b, row) in (0..tile.n).zip(block.by_ref()) {
                    tile.log_probs_by_head(self, b, &mut logs);
                    each(*row, &logs);
                }
            }
            Ok(())
        })
    }
}

impl Circuit {
    /// Log-likelihood of each row under each head, `(rows, heads)`, nats.
    ///
    /// # Errors
    /// When the rows have other variables, a category the circuit does not know, or cannot be read.
    pub fn log_prob_by_head(&self, rows: &dyn Rows) -> Result<Vec<f64>> {
        let mut all = Vec::with_capacity(rows.len() * self.graph.heads());
        self.for_each_by_head(rows, |_, logs| all.extend_from_slice(logs))?;
        Ok(all)
    }
}
