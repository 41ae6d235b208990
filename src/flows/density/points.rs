//! Points as the rows of a flow, and back.

use crate::flows::Batch;
use dfdx::{
    shapes::Const,
    tensor::{Cpu, TensorFromVec},
};

/// Points as rows.
///
/// ```
/// # use limbeck::flows::{to_points, to_rows};
/// let points = vec![[1.0, 2.0], [3.0, 4.5]];
/// assert_eq!(to_points(&to_rows(&points)), points);
/// ```
pub fn to_rows<const D: usize>(points: &[[f64; D]]) -> Batch<Const<D>, f32, Cpu> {
    let values = points.as_flattened().iter().map(|x| *x as f32).collect();
    Cpu::default().tensor_from_vec(values, (points.len(), Const))
}

/// Rows as points.
pub fn to_points<const D: usize>(rows: &Batch<Const<D>, f32, Cpu>) -> Vec<[f64; D]> {
    rows.as_vec().chunks_exact(D).map(|row| std::array::from_fn(|i| f64::from(row[i]))).collect()
}
