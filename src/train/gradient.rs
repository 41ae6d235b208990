//! The one learner for everything that is trained by gradients.

use super::{Clock, Learner};
use crate::{
    Error, Result,
    archive::Archive,
    evidence::Fingerprint,
    nn::{
        Device, NamedArray, load_params,
        optim::{Adam, AdamConfig},
        params,
    },
};
use dfdx::{
    nn::{TensorCollection, ZeroGrads},
    prelude::Backward,
    shapes::Rank0,
    tensor::{Cpu, Gradients, OwnedTape, Tensor},
};
use std::cell::RefCell;

/// A model with a module in it, whose parameters are trained.
pub trait Trained<Dev: Device<f32>> {
    /// The module.
    type Module: TensorCollection<f32, Dev>;

    /// The module.
    fn module(&self) -> &Self::Module;

    /// The module.
    fn module_mut(&mut self) -> &mut Self::Module;
}

/// A loss with its history.
pub type Loss<Dev> = Tensor<Rank0, f32, Dev, OwnedTape<f32, Dev>>;

/// When a model is shown data outside the gradient steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the first step, with training rows: scales and places are set.
    Start,
    /// Before further steps, with any rows: statistics are those of the batch.
    Learn,
    /// After steps, with training rows: statistics are those of these rows, and stay.
    Settle,
}

/// What a model is trained for.
///
/// It borrows its rows and reads them batch by batch: no learner holds a second copy of the data.
pub trait Objective<Dev: Device<f32> = Cpu> {
    /// What is trained.
    type Model: Trained<Dev>;

    /// The model and the loss, to tell a checkpoint of another run.
    fn describe(&self, model: &Self::Model) -> String;

    /// Number of training rows; none where every step draws its own.
    fn rows(&self) -> Option<usize>;

    /// Rows that a batch has at least: some statistics are those of the batch.
    fn least_batch(&self, _model: &Self::Model) -> usize {
        1
    }

    /// The training rows, and those for validation.
    ///
    /// # Errors
    /// When a row cannot be read.
    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([None, None])
    }

    /// Mean loss of the rows with these indices, nats a row; `grads` is where its tape begins.
    ///
    /// # Errors
    /// When a row cannot be read.
    fn loss(&self, model: &Self::Model, grads: Gradients<f32, Dev>, rows: &[usize], clock: &Clock)
    -> Result<Loss<Dev>>;

    /// The loss of every validation row, nats; `None` where there are none.
    ///
    /// # Errors
    /// As [`Self::loss`].
    fn validate(&self, _model: &Self::Model) -> Result<Option<Vec<f64>>> {
        Ok(None)
    }

    /// Refuses fixed parts that training leaves alone and a damaged checkpoint may hold otherwise. Nothing in most models.
    ///
    /// # Errors
    /// Which part it is.
    fn check(&self, _model: &Self::Model) -> Result<()> {
        Ok(())
    }

    /// Whether the model has statistics of the data, which [`Phase::Settle`] sets.
    fn has_statistics(&self, _model: &Self::Model) -> bool {
        false
    }

    /// Changes, after a step on rows with these indices, what is learned otherwise than by gradients. Nothing in most models.
    ///
    /// # Errors
    /// As [`Self::loss`].
    fn after_step(&self, _model: &mut Self::Model, _rows: &[usize], _clock: &Clock) -> Result<()> {
        Ok(())
    }

    /// Puts what its next loss depends on, beside the model, into a checkpoint. Nothing in most.
    fn save(&self, _archive: &mut Archive) {}

    /// Takes it back.
    ///
    /// # Errors
    /// When an array is missing or of another shape.
    fn load(&self, _archive: &Archive) -> Result<()> {
        Ok(())
    }

    /// Sets what is learned from data otherwise than by gradients.
    ///
    /// # Errors
    /// As [`Self::loss`].
    fn adapt(&self, _model: &mut Self::Model, _phase: Phase) -> Result<()> {
        Ok(())
    }
}

/// A model that learns by gradients: its module, an [`Objective`], and [`Adam`].
pub struct GradientLearner<O: Objective<Dev>, Dev: Device<f32> = Cpu> {
    objective: O,
    model: O::Model,
    /// Behind a cell, as reading its moments makes those that are not there yet.
    adam: RefCell<Adam<Dev>>,
    /// Whether the statistics of the model are those of the training rows.
    settled: bool,
}

impl<O: Objective<Dev>, Dev: Device<f32>> GradientLearner<O, Dev> {
    /// The model is shown training rows first: [`Phase::Start`].
    ///
    /// # Errors
    /// When a setting of Adam is out of its range, or a row cannot be read.
    pub fn of(objective: O, mut model: O::Model, adam: AdamConfig) -> Result<Self> {
        let adam = RefCell::new(Adam::new(adam)?);
        objective.adapt(&mut model, Phase::Start)?;
        Ok(Self { objective, model, adam, settled: false })
    }

    /// The model as it is now.
    pub fn model(&self) -> &O::Model {
        &self.model
    }

    /// The model.
    pub fn into_model(self) -> O::Model {
        self.model
    }

    /// What it is trained for.
    pub fn objective(&self) -> &O {
        &self.objective
    }

    fn settle(&mut self) -> Result<()> {
        if !self.settled && self.objective.has_statistics(&self.model) {
            self.objective.adapt(&mut self.model, Phase::Settle)?;
        }
        self.settled = true;
        Ok(())
    }

    fn unsettle(&mut self) -> Result<()> {
        if self.settled && self.objective.has_statistics(&self.model) {
            self.objective.adapt(&mut self.model, Phase::Learn)?;
        }
        self.settled = false;
        Ok(())
    }
}

impl<O: Objective<Dev>, Dev: Device<f32>> Learner for GradientLearner<O, Dev> {
    fn describe(&self) -> String {
        format!("{}, {:?}", self.objective.describe(&self.model), self.adam.borrow().config())
    }

    fn rows(&self) -> Option<usize> {
        self.objective.rows()
    }

    fn least_batch(&self) -> usize {
        self.objective.least_batch(&self.model)
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        self.objective.data()
    }

    fn step(&mut self, rows: &[usize], clock: &Clock) -> Result<f64> {
        self.unsettle()?;
        let loss = self.objective.loss(&self.model, self.model.module().alloc_grads(), rows, clock)?;
        let value = f64::from(loss.as_vec()[0]);
        let stopped =
            |why: Error| Error::NotFinite { step: clock.step, problem: format!("the loss is {value}, {why}") };
        self.adam.get_mut().update(self.model.module_mut(), &mut loss.backward()).map_err(stopped)?;
        self.objective.after_step(&mut self.model, rows, clock)?;
        Ok(value)
    }

    fn validate(&mut self) -> Result<Option<Vec<f64>>> {
        self.settle()?;
        self.objective.validate(&self.model)
    }

    fn end(&mut self) -> Result<()> {
        self.settle()
    }

    fn save(&self, archive: &mut Archive) {
        self.objective.save(archive);
        let module = self.model.module();
        for (prefix, arrays) in [("module", params(module)), ("adam", self.adam.borrow_mut().state(module))] {
            for (array, shape, values) in arrays {
                archive.put(&format!("{prefix}/{array}"), &shape, &values);
            }
        }
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        let read = |prefix: &str, mut arrays: Vec<NamedArray>| -> Result<Vec<NamedArray>> {
            for (array, shape, values) in &mut arrays {
                *values = archive.get(&format!("{prefix}/{array}"), shape)?;
            }
            Ok(arrays)
        };
        let module = read("module", params(self.model.module()))?;
        load_params(self.model.module_mut(), &module)?;
        self.objective.check(&self.model)?;
        self.objective.load(archive)?;
        let adam = self.adam.get_mut();
        let state = read("adam", adam.state(self.model.module()))?;
        adam.load_state(self.model.module(), &state)?;
        // Whatever the statistics were of before, the next step is one of learning.
        self.settled = true;
        self.unsettle()
    }
}

/// The name of a type without the paths of its parts, for [`Objective::describe`]: checkpoints and their errors show it.
pub(crate) fn name_of<T: ?Sized>() -> String {
    let (mut name, mut word) = (String::new(), String::new());
    for c in std::any::type_name::<T>().chars() {
        match c {
            ':' => word.clear(),
            _ if c.is_alphanumeric() || c == '_' => word.push(c),
            _ => {
                name.push_str(&std::mem::take(&mut word));
                name.push(c);
            }
        }
    }
    name + &word
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_have_no_paths() {
        assert_eq!(
            super::name_of::<(Vec<Option<u8>>, [std::num::NonZero<u8>; 3])>(),
            "(Vec<Option<u8>>, [NonZero<u8>; 3])"
        );
    }
}
