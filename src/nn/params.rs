//! A module's tensors by name: out of it, into it, and into a copy of it.

use std::collections::HashMap;

use dfdx::{
    nn::{
        RecursiveWalker, ScalarOptions, TensorCollection, TensorOptions, TensorVisitor, ViewTensorMut, ViewTensorName,
        ViewTensorRef,
    },
    shapes::{HasShape, Shape},
    tensor::Tensor,
    tensor_ops::Device as Plain,
};

use super::Real;
use crate::{Error, Result, archive::Archive};

/// A name as `encoder.0.weight`, a shape, and the elements in row-major order.
pub type NamedArray = (String, Vec<usize>, Vec<f32>);

/// Every tensor of a module, trained or fixed, in the order of its fields.
///
/// ```
/// use dfdx::prelude::*;
/// use limbeck::nn::{self, Dense};
///
/// let layer = Dense::<Const<2>, Const<3>>::build_on_device(&Cpu::seed_from_u64(0));
/// let arrays = nn::params(&layer);
/// assert_eq!((arrays[0].0.as_str(), &arrays[0].1), ("weight", &vec![3, 2]));
/// assert_eq!((arrays[1].0.as_str(), &arrays[1].1), ("bias", &vec![3]));
/// ```
pub fn params<E: Real, D: Plain<E>, M: TensorCollection<E, D>>(module: &M) -> Vec<NamedArray> {
    let mut visitor = Reader(Vec::new());
    M::iter_tensors(&mut RecursiveWalker { m: (module, String::new()), f: &mut visitor })
        .expect("reading a tensor cannot fail");
    visitor.0
}

/// Overwrites every tensor of a module by the array of its name. The tensors keep their identity, so that an optimizer's
/// state still belongs to them.
///
/// # Errors
/// [`Error::Invalid`] that names the array which is missing, left over, repeated or of another shape. Nothing is written then.
pub fn load_params<E: Real, D: Plain<E>, M: TensorCollection<E, D>>(
    module: &mut M,
    arrays: &[NamedArray],
) -> Result<()> {
    let mut check = Check(by_name(arrays)?);
    M::iter_tensors(&mut RecursiveWalker { m: (&*module, String::new()), f: &mut check })?;
    none_left(&check.0)?;
    let mut write = Writer(by_name(arrays)?);
    M::iter_tensors(&mut RecursiveWalker { m: (module, String::new()), f: &mut write })?;
    Ok(())
}

/// The arrays of a file whose names begin with `prefix`, by the rest of their names.
///
/// # Errors
/// [`Error::Invalid`] that names the array which is damaged.
pub(crate) fn archived_params(archive: &Archive, prefix: &str) -> Result<Vec<NamedArray>> {
    let own = archive.names().filter_map(|name| Some((name, name.strip_prefix(prefix)?, archive.shape(name)?)));
    own.map(|(whole, name, shape)| {
        let values: Vec<f32> = archive.get_all(whole)?;
        if let Some(i) = values.iter().position(|x| !x.is_finite()) {
            return Err(Error::invalid(format!("array {name}: {} at element {i}: the file is damaged", values[i])));
        }
        Ok((name.to_owned(), shape.to_vec(), values))
    })
    .collect()
}

/// A copy whose tensors are its own.
///
/// `Clone` shares each tensor's identity with the original, and a gradient of the one would be added to the other's:
/// use this for a target network, a teacher, or an average.
///
/// # Errors
/// [`Error::Invalid`] when the device has no memory for it.
pub fn fresh_copy<E: Real, D: Plain<E>, M: TensorCollection<E, D, To<E, D> = M>>(module: &M) -> Result<M> {
    M::iter_tensors(&mut RecursiveWalker { m: module, f: &mut Copier })
        .map_err(Error::invalid)?
        .ok_or_else(|| Error::invalid("the module cannot be copied: it does not build itself from its fields"))
}

/// The shape of a tensor as a list.
pub(crate) fn shape_of<S: Shape, E, D: dfdx::tensor::Storage<E>>(tensor: &Tensor<S, E, D>) -> Vec<usize> {
    tensor.shape().concrete().into_iter().collect()
}

/// The elements of a tensor in single precision.
pub(crate) fn values_of<S: Shape, E: Real, D: Plain<E>>(tensor: &Tensor<S, E, D>) -> Vec<f32> {
    tensor.as_vec().into_iter().map(|x| x.wide() as f32).collect()
}

/// The arrays by name.
pub(crate) fn by_name(arrays: &[NamedArray]) -> Result<HashMap<&str, &NamedArray>> {
    let mut map = HashMap::with_capacity(arrays.len());
    for array in arrays {
        if map.insert(array.0.as_str(), array).is_some() {
            return Err(Error::invalid(format!("the array `{}` is given twice", array.0)));
        }
    }
    Ok(map)
}

/// Takes the array of that name out of `given`, if it has that shape.
pub(crate) fn take<'a>(
    given: &mut HashMap<&str, &'a NamedArray>,
    name: &str,
    shape: &[usize],
) -> Result<&'a NamedArray> {
    let array = given.remove(name).ok_or_else(|| Error::invalid(format!("the array `{name}` is missing")))?;
    if array.1 != shape || array.2.len() != shape.iter().product::<usize>() {
        return Err(Error::invalid(format!(
            "the array `{name}` has shape {:?} and {} elements; it must have shape {shape:?}",
            array.1,
            array.2.len()
        )));
    }
    Ok(array)
}

/// Fails if an array is left over.
pub(crate) fn none_left(given: &HashMap<&str, &NamedArray>) -> Result<()> {
    match given.keys().min() {
        None => Ok(()),
        Some(name) => Err(Error::invalid(format!("the array `{name}` belongs to no tensor here"))),
    }
}

struct Reader(Vec<NamedArray>);

impl<E: Real, D: Plain<E>> TensorVisitor<E, D> for Reader {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = D::Err;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        _: TensorOptions<S, E, D>,
        (tensor, name): (&Tensor<S, E, D>, String),
    ) -> Result<Option<Tensor<S, E, D>>, D::Err> {
        self.0.push((name, shape_of(tensor), values_of(tensor)));
        Ok(None)
    }
}

struct Check<'a>(HashMap<&'a str, &'a NamedArray>);

impl<E: Real, D: Plain<E>> TensorVisitor<E, D> for Check<'_> {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = Error;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        _: TensorOptions<S, E, D>,
        (tensor, name): (&Tensor<S, E, D>, String),
    ) -> Result<Option<Tensor<S, E, D>>> {
        take(&mut self.0, &name, &shape_of(tensor))?;
        Ok(None)
    }
}

struct Writer<'a>(HashMap<&'a str, &'a NamedArray>);

impl<E: Real, D: Plain<E>> TensorVisitor<E, D> for Writer<'_> {
    type Viewer = (ViewTensorMut, ViewTensorName);
    type Err = Error;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        _: TensorOptions<S, E, D>,
        (tensor, name): (&mut Tensor<S, E, D>, String),
    ) -> Result<Option<Tensor<S, E, D>>> {
        let array = take(&mut self.0, &name, &shape_of(tensor))?;
        let values: Vec<E> = array.2.iter().map(|x| E::of(f64::from(*x))).collect();
        tensor.copy_from(&values);
        Ok(None)
    }
}

struct Copier;

impl<E: Real, D: Plain<E>> TensorVisitor<E, D> for Copier {
    type Viewer = ViewTensorRef;
    type Err = D::Err;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        _: TensorOptions<S, E, D>,
        tensor: &Tensor<S, E, D>,
    ) -> Result<Option<Tensor<S, E, D>>, D::Err> {
        tensor.device().try_tensor_from_vec(tensor.as_vec(), *tensor.shape()).map(Some)
    }

    // dfdx's own conversions reset a scalar, such as a dropout's probability, to its default.
    fn visit_scalar<N: num_traits::NumCast>(
        &mut self,
        options: ScalarOptions<N>,
        scalar: &N,
    ) -> Result<Option<N>, D::Err> {
        let same = scalar.to_f64().and_then(N::from);
        Ok(Some(same.unwrap_or(options.default)))
    }
}

#[cfg(test)]
mod tests {
    use dfdx::{nn::BuildOnDevice, shapes::Const, tensor::Cpu};

    use super::*;
    use crate::nn::{Dense, Relu};

    type Net = (Dense<Const<2>, Const<3>, Relu>, Dense<Const<3>, Const<2>>);

    #[test]
    fn arrays_go_out_and_in_by_name() {
        let from = Net::build_on_device(&Cpu::seed_from_u64(1));
        let mut to = Net::build_on_device(&Cpu::seed_from_u64(2));
        let arrays = params(&from);
        let names: Vec<&str> = arrays.iter().map(|(name, _, _)| name.as_str()).collect();
        assert_eq!(names, ["0.weight", "0.bias", "1.weight", "1.bias"]);
        assert_ne!(params(&to), arrays);
        load_params(&mut to, &arrays).unwrap();
        assert_eq!(params(&to), arrays);
    }

    #[test]
    fn a_wrong_set_of_arrays_is_refused_and_nothing_is_written() {
        let mut net = Net::build_on_device(&Cpu::seed_from_u64(1));
        let before = params(&net);
        let refuse = |net: &mut Net, change: &dyn Fn(&mut Vec<NamedArray>)| {
            let mut arrays = params(&Net::build_on_device(&Cpu::seed_from_u64(2)));
            change(&mut arrays);
            load_params(net, &arrays).unwrap_err().to_string()
        };
        let message = refuse(&mut net, &|a| drop(a.remove(2)));
        assert_eq!(message, "the array `1.weight` is missing");
        let message = refuse(&mut net, &|a| a[0].1 = vec![2, 3]);
        assert!(message.starts_with("the array `0.weight` has shape [2, 3]"), "{message}");
        assert!(message.ends_with("must have shape [3, 2]"), "{message}");
        let message = refuse(&mut net, &|a| a.push(("2.bias".into(), vec![1], vec![0.0])));
        assert_eq!(message, "the array `2.bias` belongs to no tensor here");
        let message = refuse(&mut net, &|a| a.push(a[0].clone()));
        assert_eq!(message, "the array `0.weight` is given twice");
        assert_eq!(params(&net), before);
    }

    #[test]
    fn a_fresh_copy_has_tensors_of_its_own() {
        use dfdx::{
            nn::Module,
            tensor::{Trace, ZerosTensor},
            tensor_ops::{Backward, SumTo},
        };
        let device = Cpu::seed_from_u64(1);
        let net = Dense::<Const<2>, Const<3>>::build_on_device(&device);
        let copy = fresh_copy(&net).unwrap();
        assert_eq!(params(&copy), params(&net));
        let mut grads = net.forward(device.zeros::<dfdx::shapes::Rank2<1, 2>>().leaky_trace()).sum().backward();
        let own = grads.get(&net.bias).as_vec();
        assert_eq!(own, vec![1.0; 3]);
        assert_eq!(*grads.get_or_alloc_mut(&copy.bias).unwrap().as_slice(), [0.0; 3]);
    }
}
