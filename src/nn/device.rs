//! Which devices this build can use on this machine.

use crate::Error;

/// The GPU to compute on, if this build has the feature `cuda` and a device answers.
///
/// Its random numbers start from `seed`. Never panics: dfdx's own constructor does where there is no driver or device, so
/// the driver is asked first.
#[cfg(feature = "cuda")]
pub fn gpu(seed: u64) -> Option<dfdx::tensor::Cuda> {
    if gpus() == 0 {
        return None;
    }
    dfdx::tensor::Cuda::try_seed_from_u64(seed).ok()
}

/// Why there is no GPU to compute on.
pub(crate) fn no_gpu() -> Error {
    let why = match cfg!(feature = "cuda") {
        true => "no GPU answers",
        false => "this build has no code for a GPU (feature `cuda`)",
    };
    Error::Usage(format!("{why}: leave out --gpu to compute on the CPU"))
}

/// The number of GPUs that the driver reports; 0 where there is no driver.
#[cfg(feature = "cuda")]
pub(crate) fn gpus() -> usize {
    use cudarc::driver::result;
    result::init().and_then(|()| result::device::get_count()).map_or(0, |count| usize::try_from(count).unwrap_or(0))
}

/// One line a device, the CPU first, and last what keeps a GPU from being used.
///
/// ```
/// assert!(limbeck::nn::device::devices()[0].starts_with("cpu: "));
/// ```
pub fn devices() -> Vec<String> {
    let mut lines = vec![format!("cpu: {} threads", rayon::current_num_threads())];
    #[cfg(feature = "cuda")]
    {
        let count = gpus();
        lines.extend((0..count).map(|i| format!("cuda:{i}: {}", name(i).unwrap_or_else(|| "unnamed".into()))));
        if count == 0 {
            lines.push("cuda: no device answers".into());
        }
    }
    #[cfg(not(feature = "cuda"))]
    lines.push("cuda: not in this build (feature `cuda`)".into());
    lines
}

#[cfg(feature = "cuda")]
fn name(ordinal: usize) -> Option<String> {
    use cudarc::driver::{result, sys};
    let device = result::device::get(i32::try_from(ordinal).ok()?).ok()?;
    let mut text = [0_u8; 128];
    // SAFETY: the driver writes at most the length it is given, and ends it with a zero.
    let status = unsafe { sys::cuDeviceGetName(text.as_mut_ptr().cast(), text.len() as i32, device) };
    status.result().ok()?;
    let end = text.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&text[..end]).into_owned())
}
