//! As many modules of a kind as a number known at run time says.

use dfdx::{
    dtypes::Dtype,
    nn::{ModuleVisitor, ScalarOptions, TensorCollection},
    tensor_ops::Device as Plain,
};
use std::cell::Cell;

/// Modules of one type, one after the other. [`Repeated`](super::Repeated) has their number in its type.
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

    /// The layers, in order.
    pub fn layers(&self) -> &[B] {
        &self.layers
    }

    pub(crate) fn layers_mut(&mut self) -> &mut [B] {
        &mut self.layers
    }
}

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
