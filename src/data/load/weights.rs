//! The arrays of a network that somebody else has learned.

use super::{
    Values,
    npy::{load_npz, members},
};
use crate::{Error, Result, nn::NamedArray};
use safetensors::{Dtype, SafeTensors};
use std::path::Path;

/// The arrays of an `.npz` or a `.safetensors` file whose names are wanted, in single precision.
///
/// # Errors
/// When the file has another extension, cannot be read, or one of them does not consist of numbers.
pub fn load_arrays(path: impl AsRef<Path>, wanted: impl Fn(&str) -> bool) -> Result<Vec<NamedArray>> {
    let path = path.as_ref();
    let is = |extension: &str| path.extension().is_some_and(|own| own.eq_ignore_ascii_case(extension));
    if is("npz") {
        let names = members(path)?.into_iter().filter(|name| wanted(name));
        return names.map(|name| of_npz(path, name)).collect();
    }
    if !is("safetensors") {
        return Err(Error::file(path, "weights are read from .npz and .safetensors: give it one of these extensions"));
    }
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| Error::file(path, format!("not safetensors: {e}")))?;
    let mut names: Vec<&str> = file.names().into_iter().filter(|name| wanted(name)).collect();
    names.sort_unstable();
    names.into_iter().map(|name| of_safetensors(path, &file, name)).collect()
}

fn of_npz(path: &Path, name: String) -> Result<NamedArray> {
    let array = load_npz(path, Some(&name))?;
    let values = match array.values {
        Values::Bytes(bytes) => bytes.into_iter().map(f32::from).collect(),
        Values::Integers(integers) => integers.into_iter().map(|x| x as f32).collect(),
        Values::Reals(reals) => reals.into_iter().map(|x| x as f32).collect(),
    };
    Ok((name, array.shape, values))
}

fn of_safetensors(path: &Path, file: &SafeTensors<'_>, name: &str) -> Result<NamedArray> {
    let tensor = file.tensor(name).map_err(|e| Error::file(path, e))?;
    let values = match tensor.dtype() {
        Dtype::F32 => tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::F64 => tensor.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
        // The upper half of a number in single precision.
        Dtype::BF16 => {
            let wide = |bytes: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
            tensor.data().as_chunks().0.iter().map(wide).collect()
        }
        other => {
            let remedy = "save it in single precision";
            return Err(Error::file(path, format!("the array {name} consists of {other:?}: {remedy}")));
        }
    };
    Ok((name.to_owned(), tensor.shape().to_vec(), values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    #[test]
    fn arrays_of_both_formats_are_read_and_others_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let numbers = [1.5_f32, -2.0, 0.25, 3.0];
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let halves: Vec<u8> = numbers.iter().flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes()).collect();
        let view = |dtype, bytes| TensorView::new(dtype, vec![2, 2], bytes).unwrap();
        let tensors = [("a.weight", view(Dtype::F32, &bytes)), ("b.weight", view(Dtype::BF16, &halves))];
        std::fs::write(at("net.safetensors"), safetensors::serialize(tensors, None).unwrap()).unwrap();
        let expected = |name: &str| (name.to_owned(), vec![2, 2], numbers.to_vec());
        let all = load_arrays(at("net.safetensors"), |_| true).unwrap();
        assert_eq!(all, [expected("a.weight"), expected("b.weight")]);
        assert_eq!(load_arrays(at("net.safetensors"), |name| name.starts_with('b')).unwrap().len(), 1);
        super::super::write_npz(at("net.npz"), &[("a.weight", &[2, 2], &[1, 2, 3, 4])]).unwrap();
        assert_eq!(load_arrays(at("net.npz"), |_| true).unwrap()[0].2, [1.0, 2.0, 3.0, 4.0]);
        // A header that promises what is not there.
        std::fs::write(at("far.safetensors"), [&(1_u64 << 40).to_le_bytes()[..], b"{}"].concat()).unwrap();
        for name in ["far.safetensors", "none.safetensors", "none.npz", "net.pt"] {
            assert!(load_arrays(at(name), |_| true).is_err(), "{name}");
        }
        let whole = [("a", TensorView::new(Dtype::I8, vec![2], &[1, 2]).unwrap())];
        std::fs::write(at("i8.safetensors"), safetensors::serialize(whole, None).unwrap()).unwrap();
        let refused = load_arrays(at("i8.safetensors"), |_| true).unwrap_err().to_string();
        assert!(refused.contains("the array a consists of I8"), "{refused}");
    }
}
