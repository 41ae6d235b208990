//! A stack of bijections is one; the first of them is on the side of the data.

use super::{Bijection, FastForward, FastInverse, Moved, Phase, Rows, VolumePreserving, bijection::no_change};
use crate::nn::{Device, Real, Stack};
use dfdx::{shapes::Dim, tensor::Tape};

impl<D: Dim, E: Real, Dev: Device<E>, B: Bijection<D, E, Dev>> Bijection<D, E, Dev> for Stack<B> {
    fn forward<T: Tape<E, Dev>>(&self, x: Rows<D, E, Dev, T>) -> Moved<D, E, Dev, T> {
        let start = no_change(&x);
        self.layers().iter().fold((x, start), |(rows, total), layer| {
            let (rows, log_det) = layer.forward(rows);
            (rows, total + log_det)
        })
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Rows<D, E, Dev, T>) -> Moved<D, E, Dev, T> {
        let start = no_change(&z);
        self.layers().iter().rev().fold((z, start), |(rows, total), layer| {
            let (rows, log_det) = layer.inverse(rows);
            (rows, total + log_det)
        })
    }

    fn adapt(&mut self, x: Rows<D, E, Dev>, phase: Phase) -> Rows<D, E, Dev> {
        self.layers_mut().iter_mut().fold(x, |rows, layer| layer.adapt(rows, phase))
    }

    fn has_statistics(&self) -> bool {
        self.layers().iter().any(|layer| layer.has_statistics())
    }
}

impl<B: FastForward> FastForward for Stack<B> {}
impl<B: FastInverse> FastInverse for Stack<B> {}
impl<B: VolumePreserving> VolumePreserving for Stack<B> {}
