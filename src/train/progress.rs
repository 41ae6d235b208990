//! How training tells where it is.

use crate::notebook::{ProgressLines, attended};
use std::{ops::ControlFlow, time::Duration};

/// Where training is, after a step.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Steps made, of [`Self::steps`].
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Loss of the last batch, nats a row.
    pub loss: f64,
    /// The last loss on the validation rows.
    pub valid: Option<f64>,
}

impl Progress {
    /// One line: `epoch 3  step 120/600  loss 61.20  valid 63.01`.
    pub fn line(&self) -> String {
        format!("epoch {}  step {}/{}  {}", self.epoch, self.step, self.steps, self.losses())
    }

    fn losses(&self) -> String {
        let valid = self.valid.map(|v| format!("  valid {v:.3}")).unwrap_or_default();
        format!("loss {:.3}{valid}", self.loss)
    }
}

/// A watcher that says nothing and never stops the training.
pub fn quiet(_: &Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A watcher that prints a line every few seconds where a reader waits at a notebook, and never stops the training.
pub fn watch() -> impl FnMut(&Progress) -> ControlFlow<()> {
    let mut lines = ProgressLines::new();
    move |progress| {
        // The last step is for the cell itself to report.
        if attended() && progress.step < progress.steps {
            lines.update(progress.step as usize, progress.steps as usize, &progress.losses());
        }
        ControlFlow::Continue(())
    }
}

/// A bar on a terminal's standard error; nothing where that is not a terminal.
#[derive(Debug)]
pub struct Bar(indicatif::ProgressBar);

impl Bar {
    /// A bar for work called `name`.
    pub fn new(name: &str) -> Self {
        let bar = indicatif::ProgressBar::new(1);
        let style = indicatif::ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {eta} {msg}");
        bar.set_style(style.expect("a valid template").progress_chars("=> "));
        bar.set_prefix(name.to_string());
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(bar)
    }

    /// What is waited for, and for how long, of work that does not say how much is left.
    pub fn waiting(what: &str) -> Self {
        let bar = indicatif::ProgressBar::new_spinner();
        let style = indicatif::ProgressStyle::with_template("{spinner} {prefix} {elapsed}");
        bar.set_style(style.expect("a valid template"));
        bar.set_prefix(what.to_string());
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(bar)
    }

    /// Shows this progress.
    pub fn show(&self, progress: &Progress) {
        self.0.set_length(progress.steps);
        self.0.set_position(progress.step);
        self.0.set_message(progress.losses());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
