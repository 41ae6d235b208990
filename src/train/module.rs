//! A module and its optimizer in a checkpoint.

use crate::{
    Result,
    archive::Archive,
    nn::{NamedArray, load_params, optim::Adam, params},
};
use dfdx::{nn::TensorCollection, tensor::Cpu};

/// Puts every tensor of `module` under `name/`, and the moments of `adam` under `adam/`.
///
/// The optimizer is borrowed mutably, as reading its moments makes those that are not there yet.
pub(crate) fn put_module<M: TensorCollection<f32, Cpu>>(
    archive: &mut Archive,
    name: &str,
    module: &M,
    adam: &mut Adam<Cpu>,
) {
    for (prefix, arrays) in [(name, params(module)), ("adam", adam.state(module))] {
        for (array, shape, values) in arrays {
            archive.put(&format!("{prefix}/{array}"), &shape, &values);
        }
    }
}

/// Takes them back.
///
/// # Errors
/// When an array is missing or of another shape.
pub(crate) fn take_module<M: TensorCollection<f32, Cpu>>(
    archive: &Archive,
    name: &str,
    module: &mut M,
    adam: &mut Adam<Cpu>,
) -> Result<()> {
    let read = |prefix: &str, mut arrays: Vec<NamedArray>| -> Result<Vec<NamedArray>> {
        for (array, shape, values) in &mut arrays {
            *values = archive.get(&format!("{prefix}/{array}"), shape)?;
        }
        Ok(arrays)
    };
    load_params(module, &read(name, params(module))?)?;
    let state = read("adam", adam.state(module))?;
    adam.load_state(module, &state)
}
