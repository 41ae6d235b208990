//! As many layers of a kind as a number known at run time says.

use super::{Bijection, FastForward, FastInverse, Moved, Phase, Rows, VolumePreserving, bijection::no_change};
use crate::nn::{Device, Real};
use dfdx::{
    dtypes::Dtype,
    nn::{ModuleVisitor, ScalarOptions, TensorCollection},
    shapes::Dim,
    tensor::Tape,
    tensor_ops::Device as Plain,
};
use std::cell::Cell;

/// Layers of one type, the first of them on the side of the data. [`Repeated`](crate::nn::Repeated) has their number in its
/// type.
#[derive(Clone, Debug)]
pub struct Stack<B> {
    layers: Vec<B>,
    /// Number of layers: a visitor of the parameters asks for it.
    count: usize,
}

impl<B> Stack<B> {
    /// These layers.
    pub fn new(layers: Vec<B>) -> Self {
        let count = layers.len();
        Self { layers, count }
    }

    /// The layers, the first of them on the side of the data.
    pub fn layers(&self) -> &[B] {
        &self.layers
    }
}

impl<D: Dim, E: Real, Dev: Device<E>, B: Bijection<D, E, Dev>> Bijection<D, E, Dev> for Stack<B> {
    fn forward<T: Tape<E, Dev>>(&self, x: Rows<D, E, Dev, T>) -> Moved<D, E, Dev, T> {
        let start = no_change(&x);
        self.layers.iter().fold((x, start), |(rows, total), layer| {
            let (rows, log_det) = layer.forward(rows);
            (rows, total + log_det)
        })
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Rows<D, E, Dev, T>) -> Moved<D, E, Dev, T> {
        let start = no_change(&z);
        self.layers.iter().rev().fold((z, start), |(rows, total), layer| {
            let (rows, log_det) = layer.inverse(rows);
            (rows, total + log_det)
        })
    }

    fn adapt(&mut self, x: Rows<D, E, Dev>, phase: Phase) -> Rows<D, E, Dev> {
        self.layers.iter_mut().fold(x, |rows, layer| layer.adapt(rows, phase))
    }

    fn has_statistics(&self) -> bool {
        self.layers.iter().any(|layer| layer.has_statistics())
    }
}

impl<B: FastForward> FastForward for Stack<B> {}
impl<B: FastInverse> FastInverse for Stack<B> {}
impl<B: VolumePreserving> VolumePreserving for Stack<B> {}

impl<E: Dtype, Dev: Plain<E>, B: TensorCollection<E, Dev>> TensorCollection<E, Dev> for Stack<B> {
    type To<E2: Dtype, D2: Plain<E2>> = Stack<B::To<E2, D2>>;

    fn iter_tensors<V: ModuleVisitor<Self, E, Dev>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        // A visitor that has a stack shows it to the first field, which thus learns how many more there are.
        let count = Cell::new(0);
        let see = |layers: usize| count.set(layers);
        visitor.visit_scalar(
            "count",
            |s| {
                see(s.layers.len());
                &s.count
            },
            |s| {
                see(s.layers.len());
                &mut s.count
            },
            ScalarOptions::from_default(0_usize),
        )?;
        let names: Vec<String> = (0..count.get()).map(|i| i.to_string()).collect();
        let fields = names.iter().enumerate();
        let fields = fields.map(|(i, name)| Self::module(name, move |s| &s.layers[i], move |s| &mut s.layers[i]));
        visitor.visit_fields(fields.collect::<Vec<_>>(), Stack::new)
    }
}
