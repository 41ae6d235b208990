//! An exponential moving average of a model's parameters.

use dfdx::{
    nn::{ModelEMA, TensorCollection},
    tensor_ops::Device as Plain,
};

use crate::{
    Error, Result,
    nn::{NamedArray, fresh_copy, load_params, params},
};

/// The average `a ← decay · a + (1 − decay) · θ` of a model's trained tensors; fixed ones keep the value they started with.
///
/// The average is a model of its own: evaluate or sample from [`model`](Self::model).
#[derive(Debug)]
pub struct Ema<M> {
    decay: f64,
    average: M,
}

impl<M> Ema<M> {
    /// An average that starts at the model.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `0 ≤ decay < 1`, or when the device has no memory for it.
    pub fn new<D: Plain<f32>>(model: &M, decay: f64) -> Result<Self>
    where
        M: TensorCollection<f32, D, To<f32, D> = M>,
    {
        if !(0.0..1.0).contains(&decay) {
            return Err(Error::invalid(format!("the decay of the average is {decay}; it must satisfy 0 ≤ decay < 1")));
        }
        Ok(Self { decay, average: fresh_copy(model)? })
    }

    /// Takes in the model as it is now. Call it once a step.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the device fails.
    pub fn update<D: Plain<f32>>(&mut self, model: &M) -> Result<()>
    where
        M: TensorCollection<f32, D>,
    {
        self.average.try_ema(model, self.decay).map_err(Error::invalid)
    }

    /// The average.
    pub fn model(&self) -> &M {
        &self.average
    }

    /// The average by name.
    pub fn state<D: Plain<f32>>(&self) -> Vec<NamedArray>
    where
        M: TensorCollection<f32, D>,
    {
        params(&self.average)
    }

    /// Goes on from where [`state`](Self::state) was taken.
    ///
    /// # Errors
    /// As [`load_params`].
    pub fn load_state<D: Plain<f32>>(&mut self, state: &[NamedArray]) -> Result<()>
    where
        M: TensorCollection<f32, D>,
    {
        load_params(&mut self.average, state)
    }
}

#[cfg(test)]
mod tests {
    use dfdx::{nn::BuildOnDevice, shapes::Const, tensor::Cpu};

    use super::*;
    use crate::nn::Dense;

    #[test]
    fn the_average_follows_its_recurrence() {
        let mut model = Dense::<Const<2>, Const<1>>::build_on_device(&Cpu::seed_from_u64(1));
        model.weight.copy_from(&[1.0, 2.0]);
        let mut ema = Ema::new(&model, 0.75).unwrap();
        model.weight.copy_from(&[5.0, -2.0]);
        ema.update(&model).unwrap();
        assert_eq!(ema.model().weight.as_vec(), [2.0, 1.0]);
        let saved = ema.state();
        ema.update(&model).unwrap();
        let mut resumed = Ema::new(&model, 0.75).unwrap();
        resumed.load_state(&saved).unwrap();
        resumed.update(&model).unwrap();
        assert_eq!(resumed.state(), ema.state());
        assert!(Ema::new(&model, 1.0).is_err());
    }
}
