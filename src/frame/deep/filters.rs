//! Convolutions that stay as they are.

use crate::{
    Error, Result,
    data::load_arrays,
    frame::Points,
    nn::{
        Activation, Device, Grid, Identity, LeakyRelu, NamedArray, Relu, Silu, Stack, Tanh, any_shape, fields,
        inputs_alone,
        ops::{Geometry, map_size},
    },
};
use dfdx::{
    dtypes::Dtype,
    shapes::HasShape,
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What becomes of the sums of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bend {
    /// Nothing.
    None,
    /// `max(0, r)`.
    Relu,
    /// `max(r / 100, r)`.
    LeakyRelu,
    /// `r / (1 + e⁻ʳ)`.
    Silu,
    /// `tanh r`.
    Tanh,
}

const BENDS: [Bend; 5] = [Bend::None, Bend::Relu, Bend::LeakyRelu, Bend::Silu, Bend::Tanh];

/// How the filters of a layer lie on what is below them. Their number and their size are those of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lay {
    /// Pixels from one to the next.
    pub stride: usize,
    /// Zeros on each side.
    pub padding: usize,
    /// What becomes of their sums.
    pub bend: Bend,
}

/// A layer: its weights are those of somebody's network.
#[derive(Clone, Debug)]
struct Layer<E: Dtype = f32, D: Storage<E> = Cpu> {
    weight: Tensor<(usize, usize, usize, usize), E, D>,
    bias: Tensor<(usize,), E, D>,
    stride: usize,
    padding: usize,
    /// Which of [`BENDS`].
    bend: usize,
}

fields! { [] Layer[] { tensor weight: any_shape(false), tensor bias: any_shape(false), size stride, size padding, size bend } }

/// Convolutional filters that learning leaves as they are, layer on layer: `F_k ∗ I` of deep FRAME.
///
/// Shapes: `x (batch, C · H · W)`, maps `(batch, K · h · w)`. On the CPU their weights cost nothing on the way back: only slopes of the
/// points are computed. Source: Lu, Zhu, Wu 2016.
///
/// ```
/// # use limbeck::{dfdx::prelude::*, frame::deep::{Bend, DeepFilters, Lay}, nn::Grid};
/// let device = Cpu::default();
/// let edge = ("0.weight".to_owned(), vec![1, 1, 1, 2], vec![-1.0, 1.0]);
/// # let edge = ("0.weight".to_owned(), vec![1, 1, 2, 2], vec![-1.0, 1.0, 0.0, 0.0]);
/// let lay = Lay { stride: 1, padding: 0, bend: Bend::Relu };
/// let grid = Grid { channels: 1, height: 2, width: 3 };
/// let filters = DeepFilters::of_arrays(&device, grid, &[edge], &[("0", lay)])?;
/// let maps = filters.maps(device.tensor_from_vec(vec![0.0, 3.0, 1.0, 0.0, 0.0, 0.0], (1, 6)));
/// assert_eq!(maps.as_vec(), [3.0, 0.0]);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DeepFilters<E: Dtype = f32, D: Storage<E> = Cpu> {
    layers: Stack<Layer<E, D>>,
    channels: usize,
    height: usize,
    width: usize,
}

fields! { [] DeepFilters[] { module layers, size channels, size height, size width } }

impl<Dev: Device<f32>> DeepFilters<f32, Dev> {
    /// The layers of these names, from the lowest: `(O, C, K, K)` weights under `name.weight`, and `(O)` biases under `name.bias`, or
    /// none. Other arrays may be there.
    ///
    /// # Errors
    /// When there is no layer; when an array is not there, has another shape, or is not finite; when images become smaller than a window.
    pub fn of_arrays(device: &Dev, image: Grid, arrays: &[NamedArray], layers: &[(&str, Lay)]) -> Result<Self> {
        if layers.is_empty() {
            return Err(Error::invalid("filters without a layer"));
        }
        let mut built = Vec::new();
        let mut below = image;
        for (name, lay) in layers {
            let layer = Layer::new(device, below, arrays, name, *lay);
            let layer = layer.map_err(|problem| Error::invalid(format!("the layer {name}: {problem}")))?;
            below = layer.grid(below);
            built.push(layer);
        }
        let Grid { channels, height, width } = image;
        Ok(Self { layers: Stack::new(built), channels, height, width })
    }

    /// The layers of these names out of a file, an `.npz` or a `.safetensors`: see [`Self::of_arrays`].
    ///
    /// # Errors
    /// When the file cannot be read; also as [`Self::of_arrays`].
    pub fn load(device: &Dev, image: Grid, path: impl AsRef<Path>, layers: &[(&str, Lay)]) -> Result<Self> {
        let of_layers = |array: &str| array.rsplit_once('.').is_some_and(|(own, _)| layers.iter().any(|l| l.0 == own));
        let path = path.as_ref();
        let arrays = load_arrays(path, of_layers)?;
        Self::of_arrays(device, image, &arrays, layers).map_err(|problem| Error::file(path, problem))
    }

    /// The images that they look at.
    pub fn image(&self) -> Grid {
        Grid { channels: self.channels, height: self.height, width: self.width }
    }

    /// Their maps: as many channels as the last layer has filters.
    pub fn grid(&self) -> Grid {
        self.layers.layers().iter().fold(self.image(), |below, layer| layer.grid(below))
    }

    /// Responses to every image, map after map.
    pub fn maps<T: Tape<f32, Dev>>(&self, x: Points<Dev, T>) -> Points<Dev, T> {
        let (rows, Grid { channels, height, width }) = (x.shape().0, self.image());
        let mut h = x.reshape_like(&(rows, channels, height, width));
        for layer in self.layers.layers() {
            h = layer.forward(h);
        }
        let Grid { channels, height, width } = self.grid();
        h.reshape_like(&(rows, channels * height * width))
    }
}

type Maps<Dev, T> = Tensor<(usize, usize, usize, usize), f32, Dev, T>;

impl<Dev: Device<f32>> Layer<f32, Dev> {
    fn new(device: &Dev, below: Grid, arrays: &[NamedArray], name: &str, lay: Lay) -> Result<Self> {
        let find = |kind: &str| {
            let whole = format!("{name}.{kind}");
            arrays.iter().find(|(name, ..)| *name == whole)
        };
        let Some((_, shape, weights)) = find("weight") else {
            let mut names: Vec<&str> = arrays.iter().filter_map(|(name, ..)| name.strip_suffix(".weight")).collect();
            names.sort_unstable();
            return Err(Error::invalid(format!("there is no array {name}.weight; weights are of {names:?}")));
        };
        let [outputs, inputs, height, width] = shape[..] else {
            return Err(Error::invalid(format!("weights of shape {shape:?}, and not (filters, channels, side, side)")));
        };
        if height != width || outputs == 0 || height == 0 {
            return Err(Error::invalid(format!("weights of shape {shape:?}: windows have one side, and there is one")));
        }
        if inputs != below.channels {
            let channels = below.channels;
            return Err(Error::invalid(format!("weights of shape {shape:?} for images of {channels} channels")));
        }
        let size = |side: usize| map_size(side, height, lay.stride, lay.padding);
        if lay.padding >= height || size(below.height) == 0 || size(below.width) == 0 {
            let Grid { height: high, width: wide, .. } = below;
            return Err(Error::invalid(format!(
                "windows of {height} pixels, {} apart, on images of {high} × {wide} with {} zeros around: larger images, or fewer layers",
                lay.stride, lay.padding
            )));
        }
        let biases = match find("bias") {
            None => vec![0.0; outputs],
            Some((_, shape, biases)) if shape[..] == [outputs] => biases.clone(),
            Some((_, shape, _)) => {
                return Err(Error::invalid(format!("biases of shape {shape:?} for {outputs} filters")));
            }
        };
        if weights.iter().chain(&biases).any(|w| !w.is_finite()) {
            return Err(Error::invalid("a weight or a bias is not finite"));
        }
        let made = |problem| Error::invalid(format!("{problem:?}"));
        let bend = BENDS.iter().position(|bend| *bend == lay.bend).unwrap_or(0);
        Ok(Self {
            weight: device.try_tensor_from_vec(weights.clone(), (outputs, inputs, height, width)).map_err(made)?,
            bias: device.try_tensor_from_vec(biases, (outputs,)).map_err(made)?,
            stride: lay.stride,
            padding: lay.padding,
            bend,
        })
    }

    fn geometry(&self, below: Grid) -> Geometry {
        let (outputs, _, side, _) = *self.weight.shape();
        Geometry::new([below.channels, below.height, below.width], outputs, side, self.stride, self.padding)
    }

    fn grid(&self, below: Grid) -> Grid {
        let [channels, height, width] = self.geometry(below).map;
        Grid { channels, height, width }
    }

    fn forward<T: Tape<f32, Dev>>(&self, x: Maps<Dev, T>) -> Maps<Dev, T> {
        match BENDS[self.bend] {
            Bend::None => self.bent::<Identity, T>(x),
            Bend::Relu => self.bent::<Relu, T>(x),
            Bend::LeakyRelu => self.bent::<LeakyRelu, T>(x),
            Bend::Silu => self.bent::<Silu, T>(x),
            Bend::Tanh => self.bent::<Tanh, T>(x),
        }
    }

    fn bent<A: Activation, T: Tape<f32, Dev>>(&self, x: Maps<Dev, T>) -> Maps<Dev, T> {
        let (rows, channels, height, width) = *x.shape();
        let geometry = self.geometry(Grid { channels, height, width });
        let [outputs, high, wide] = geometry.map;
        let shape = (rows, outputs, high, wide);
        let run = || Dev::try_conv2d::<A, _, _, _, _, T>(geometry, x, &self.weight, &self.bias, shape);
        inputs_alone(run).unwrap_or_else(|problem| panic!("the device: {problem:?}"))
    }
}
