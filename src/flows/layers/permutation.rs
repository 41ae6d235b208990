//! The order of the coordinates.

use crate::{
    Error, Result,
    flows::{
        Batch, Bijection, FastForward, FastInverse, Grid, VolumePreserving, WithLogDet,
        bijection::{free, no_change, typed},
    },
    nn::{Device, Real, any_shape, fields, ops::columns},
    random::{Seed, permutation},
};
use dfdx::{
    dtypes::Dtype,
    shapes::Dim,
    tensor::{Cpu, Storage, Tape, Tensor},
};
use std::{marker::PhantomData, sync::Arc};

/// The coordinates in another order.
///
/// ```text
/// zᵢ = x_π(i)      log |det| = 0
/// ```
#[derive(Clone, Debug)]
pub struct Permute<D, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    /// `π`, whole numbers.
    order: Tensor<(usize,), E, Dev>,
    what: PhantomData<D>,
}

impl<D: Dim, E: Real, Dev: Device<E>> Permute<D, E, Dev> {
    /// The last coordinate first.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub fn reversed(device: &Dev, dims: D) -> Result<Self> {
        Self::by(device, &(0..dims.size()).rev().collect::<Vec<_>>())
    }

    /// Any order.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub fn random(device: &Dev, dims: D, seed: Seed) -> Result<Self> {
        Self::by(device, &permutation(dims.size(), &mut seed.stream("permute", 0)))
    }

    /// RealNVP's squeeze: an image of a quarter of the pixels, with the four pixels of a square as four times the channels. All
    /// first pixels come first, then all second ones.
    ///
    /// ```text
    /// z[k·C + c, i, j] = x[c, 2i + ⌊k/2⌋, 2j + k mod 2]      k = 0, 1, 2, 3
    /// ```
    ///
    /// Source: Dinh, Sohl-Dickstein and Bengio 2017, §3.6.
    ///
    /// # Errors
    /// When the grid has other coordinates, its height or width is odd, or the device has no memory for it.
    pub fn squeeze(device: &Dev, dims: D, grid: Grid) -> Result<Self> {
        let small = grid.squeezed()?;
        let from = |i: usize| {
            let (channel, pixel) = (i / small.pixels(), i % small.pixels());
            let (square, channel) = (channel / grid.channels, channel % grid.channels);
            let (row, column) = (2 * (pixel / small.width) + square / 2, 2 * (pixel % small.width) + square % 2);
            (channel * grid.height + row) * grid.width + column
        };
        Self::by(device, &(0..grid.of(dims.size())?.dims()).map(from).collect::<Vec<_>>())
    }

    /// From pixel after pixel, each with all its channels, to channel after channel, as a [`Grid`] has them.
    ///
    /// # Errors
    /// When the grid has other coordinates, or the device has no memory for it.
    pub fn planes(device: &Dev, dims: D, grid: Grid) -> Result<Self> {
        let (channels, pixels) = (grid.of(dims.size())?.channels, grid.pixels());
        Self::by(device, &(0..grid.dims()).map(|i| i % pixels * channels + i / pixels).collect::<Vec<_>>())
    }

    /// Square patches of `side` × `side` pixels one after the other, each with all its channels. The image is cut as a torus from
    /// the pixel `offset` rows down and as many to the right, so that patches of another offset straddle these.
    ///
    /// # Errors
    /// When the grid has other coordinates, the patches do not fill it, or the device has no memory for it.
    pub fn patches(device: &Dev, dims: D, grid: Grid, side: usize, offset: usize) -> Result<Self> {
        let Grid { channels, height, width } = grid.of(dims.size())?;
        if side == 0 || !height.is_multiple_of(side) || !width.is_multiple_of(side) {
            return Err(Error::invalid(format!("patches of {side} × {side} do not fill {height} × {width} pixels")));
        }
        let (size, across) = (channels * side * side, width / side);
        let from = |i: usize| {
            let (patch, channel, pixel) = (i / size, i % size / (side * side), i % (side * side));
            let row = (patch / across * side + pixel / side + offset) % height;
            let column = (patch % across * side + pixel % side + offset) % width;
            (channel * height + row) * width + column
        };
        Self::by(device, &(0..grid.dims()).map(from).collect::<Vec<_>>())
    }

    fn by(device: &Dev, order: &[usize]) -> Result<Self> {
        let values = order.iter().map(|i| E::of(*i as f64)).collect();
        let order = device.try_tensor_from_vec(values, (order.len(),)).map_err(Error::invalid)?;
        Ok(Self { order, what: PhantomData })
    }

    fn order(&self) -> Vec<usize> {
        Dev::elements(&self.order).iter().map(|i| i.wide() as usize).collect()
    }
}

impl<D: Dim, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for Permute<D, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let zeros = no_change(&x);
        (typed(columns(free(x), self.order().into())), zeros)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let (zeros, order) = (no_change(&z), self.order());
        let mut back = vec![0; order.len()];
        order.into_iter().enumerate().for_each(|(to, from)| back[from] = to);
        (typed(columns(free(z), Arc::from(back))), zeros)
    }

    fn check(&self) -> Result<()> {
        let mut order = Dev::elements(&self.order).iter().map(|i| i.wide()).collect::<Vec<f64>>();
        order.sort_by(f64::total_cmp);
        match order.into_iter().enumerate().all(|(i, order)| order == i as f64) {
            true => Ok(()),
            false => Err(Error::invalid("a permutation that is not an order of the columns")),
        }
    }
}

impl<D, E: Dtype, Dev: Storage<E>> FastForward for Permute<D, E, Dev> {}
impl<D, E: Dtype, Dev: Storage<E>> FastInverse for Permute<D, E, Dev> {}
impl<D, E: Dtype, Dev: Storage<E>> VolumePreserving for Permute<D, E, Dev> {}

fields! { [D,] Permute[D,] { tensor order: any_shape(false) } what }

#[cfg(test)]
mod tests {
    use super::*;
    use dfdx::tensor::TensorFromVec;

    #[test]
    fn a_squeeze_takes_the_pixels_of_every_square_apart() {
        let grid = Grid { channels: 1, height: 2, width: 4 };
        let squeeze = Permute::<usize>::squeeze(&Cpu::default(), 8, grid).unwrap();
        let x = Cpu::default().tensor_from_vec((0..8).map(|i| i as f32).collect(), (1, 8));
        assert_eq!(squeeze.forward(x.clone()).0.as_vec(), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
        let planes = Permute::<usize>::planes(&Cpu::default(), 8, Grid { channels: 2, height: 1, width: 4 }).unwrap();
        assert_eq!(planes.forward(x.clone()).0.as_vec(), [0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]);
        let patches = Permute::<usize>::patches(&Cpu::default(), 8, grid, 2, 1).unwrap();
        let z = patches.forward(x.clone()).0;
        assert_eq!(z.as_vec(), [5.0, 6.0, 1.0, 2.0, 7.0, 4.0, 3.0, 0.0]);
        assert_eq!(patches.inverse(z).0.as_vec(), x.as_vec());
        let odd = Permute::<usize>::squeeze(&Cpu::default(), 3, Grid { channels: 1, height: 1, width: 3 });
        assert_eq!(odd.unwrap_err().to_string(), "an image of 1 × 3 pixels cannot be squeezed: both must be even");
        let message = Permute::<usize>::patches(&Cpu::default(), 8, grid, 3, 0).unwrap_err().to_string();
        assert_eq!(message, "patches of 3 × 3 do not fill 2 × 4 pixels");
    }
}
