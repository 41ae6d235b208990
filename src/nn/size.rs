//! Sizes, each known to the compiler or at run time.

use dfdx::shapes::{Const, Dim};

/// A size: [`Const`] where the compiler knows it, `usize` where it is known at run time alone.
///
/// A layer is written once for both. Between sizes that the compiler knows a mismatch does not compile; between others it is an
/// error where the layer is made, or a panic that names both where rows are given to it.
pub trait Size: Dim + Default {
    /// The size, where the compiler knows it.
    const KNOWN: Option<usize>;
}

impl<const N: usize> Size for Const<N> {
    const KNOWN: Option<usize> = Some(N);
}

impl Size for usize {
    const KNOWN: Option<usize> = None;
}
