//! Deep FRAME: laws by the responses of convolutional filters that were learned elsewhere.

mod filters;
#[cfg(test)]
mod tests;

pub use filters::{Bend, DeepFilters, Lay};

use super::{Points, Scores, Scoring};
use crate::{
    Error, Result,
    nn::{Device, Grid},
};
use dfdx::{
    dtypes::Dtype,
    nn::{ModuleVisitor, TensorCollection},
    tensor::{Cpu, Storage, Tape},
    tensor_ops::Device as Plain,
};

/// A scoring function on the maps of filters that stay as they are.
///
/// ```text
/// Φ(x) = N(F₁ ∗ x, …, F_K ∗ x)
/// ```
///
/// With a [`ConvNet`](super::ConvNet) without maps on top it is deep FRAME, `Φ = Σ w_k (F_k ∗ x)(v)`: [`Head::Places`](super::Head) for
/// objects, [`Head::Mean`](super::Head) for textures, whose weights are the same at all `v`. With one convolution in between it has a new
/// layer of units on the filters. Only what is on top is learned. Source: Lu, Zhu, Wu 2016.
///
/// ```
/// # use limbeck::{dfdx::prelude::*, frame::{deep::{Bend, Deep, DeepFilters, Lay}, ConvNet, Head, Scoring}, nn::{Grid, Identity, Window}};
/// # let device = Cpu::seed_from_u64(0);
/// # let image = Grid { channels: 1, height: 8, width: 8 };
/// # let arrays = [("edges.weight".to_owned(), vec![2, 1, 3, 3], (0..18).map(|i| (i as f32).sin()).collect())];
/// # let lay = Lay { stride: 1, padding: 0, bend: Bend::Relu };
/// let filters = DeepFilters::of_arrays(&device, image, &arrays, &[("edges", lay)])?;
/// let on_top = ConvNet::<Window<1>, Identity>::new(&device, filters.grid(), &[], Head::Mean)?;
/// let texture = Deep::new(filters, on_top)?;
/// assert_eq!(texture.scores(device.zeros_like(&(5, 64))).shape(), &(5,));
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Deep<N, E: Dtype = f32, D: Storage<E> = Cpu> {
    filters: DeepFilters<E, D>,
    top: N,
}

impl<N: TensorCollection<E, Dev>, E: Dtype, Dev: Plain<E>> TensorCollection<E, Dev> for Deep<N, E, Dev> {
    type To<E2: Dtype, D2: Plain<E2>> = Deep<N::To<E2, D2>, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, Dev>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        let filters = Self::module("filters", |s| &s.filters, |s| &mut s.filters);
        let top = Self::module("top", |s| &s.top, |s| &mut s.top);
        visitor.visit_fields((filters, top), |(filters, top)| Deep { filters, top })
    }
}

impl<N: Scoring<Dev>, Dev: Device<f32>> Deep<N, f32, Dev> {
    /// Filters, and what weighs their maps.
    ///
    /// # Errors
    /// When it is of other maps.
    pub fn new(filters: DeepFilters<f32, Dev>, top: N) -> Result<Self> {
        let Grid { channels, height, width } = filters.grid();
        match channels * height * width == top.dims() {
            true => Ok(Self { filters, top }),
            false => Err(Error::invalid(format!(
                "{channels} maps of {height} × {width}, and what is to weigh them has {} inputs",
                top.dims()
            ))),
        }
    }

    /// The filters.
    pub fn filters(&self) -> &DeepFilters<f32, Dev> {
        &self.filters
    }

    /// What weighs their maps.
    pub fn top(&self) -> &N {
        &self.top
    }
}

impl<N: Scoring<Dev>, Dev: Device<f32>> Scoring<Dev> for Deep<N, f32, Dev> {
    fn dims(&self) -> usize {
        let Grid { channels, height, width } = self.filters.image();
        channels * height * width
    }

    fn scores<T: Tape<f32, Dev>>(&self, x: Points<Dev, T>) -> Scores<Dev, T> {
        self.top.scores(self.filters.maps(x))
    }
}
