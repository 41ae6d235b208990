//! How like pictures drawn are to pictures seen.
//!
//! | measure | of what | 0 where |
//! |---|---|---|
//! | [`histogram_distance`] | histograms of responses of 1998's kind | every filter responds as often as strongly |
//! | [`response_distance`] | mean responses of learned filters | every filter responds alike on the mean |
//! | [`squared_mmd`] | points under a kernel | the laws are one, in expectation |
//! | [`Classifier::score`] | a classifier's words | it is no distance: it is highest, the number of its classes, where each picture is clearly of one class and all classes come up alike |

mod classifier;
#[cfg(test)]
mod tests;

pub use classifier::Classifier;

use super::{
    Bank, Borders, Filter, Pictures, Seen,
    deep::DeepFilters,
    texture::{distance, observe, shares},
};
use crate::{
    Error, Result,
    memory::afford,
    nn::{Device, Grid},
};
use rayon::prelude::*;

/// Grey levels that pictures have when responses are counted.
const LEVELS: usize = 8;

/// `½ |h_seen − h_drawn|₁`, the mean over the filters of a bank: within [0, 1]. Pictures are brought to eight grey levels, responses are
/// those of windows that lie inside, and bins those that a [`FrameLearner`](super::FrameLearner) lays over the seen ones. Filters that are
/// larger than the pictures are left out.
///
/// # Errors
/// When pictures are not grey, of two sizes, or smaller than all filters.
pub fn histogram_distance(bank: &Bank, seen: &Pictures, drawn: &Pictures) -> Result<f64> {
    if seen.grid() != drawn.grid() || seen.grid().channels != 1 {
        let (seen, drawn) = (seen.grid(), drawn.grid());
        return Err(Error::invalid(format!(
            "pictures of {seen:?} and of {drawn:?}: histograms are of grey ones of one size"
        )));
    }
    let (seen, drawn) = (in_levels(seen), in_levels(drawn));
    let of = |filter: &Filter| -> Result<Option<f64>> {
        let Some((feature, here)) = observe(filter, &seen, 0, LEVELS)? else { return Ok(None) };
        let there = shares(&feature, drawn.iter().map(|(size, levels)| (*size, levels.as_slice())), Borders::Free);
        Ok(Some(distance(&here, &there)))
    };
    let found: Vec<Option<f64>> = bank.filters().par_iter().map(of).collect::<Result<_>>()?;
    let found: Vec<f64> = found.into_iter().flatten().collect();
    match found.is_empty() {
        true => Err(Error::invalid("no filter of the bank is as small as the pictures")),
        false => Ok(found.iter().sum::<f64>() / found.len() as f64),
    }
}

/// Grey pictures in levels; what is darker than black is black.
fn in_levels(pictures: &Pictures) -> Vec<Seen> {
    let Grid { height, width, .. } = pictures.grid();
    let level = |x: &f32| ((x + 1.0) * 0.5 * LEVELS as f32).clamp(0.0, LEVELS as f32 - 1.0) as u8;
    (0..pictures.len()).map(|i| ([height, width], pictures.picture(i).iter().map(level).collect())).collect()
}

/// How far the mean responses of filters are apart, a definition of this project:
///
/// ```text
/// R = 1/K Σ_k |mean (F_k ∗ seen) − mean (F_k ∗ drawn)|
/// ```
///
/// with means over pictures and places.
///
/// # Errors
/// When pictures are not those that the filters look at.
pub fn response_distance<Dev: Device<f32>>(
    device: &Dev,
    filters: &DeepFilters<f32, Dev>,
    seen: &Pictures,
    drawn: &Pictures,
) -> Result<f64> {
    let (seen, drawn) = (mean_responses(device, filters, seen)?, mean_responses(device, filters, drawn)?);
    Ok(seen.iter().zip(&drawn).map(|(a, b)| (a - b).abs()).sum::<f64>() / seen.len() as f64)
}

fn mean_responses<Dev: Device<f32>>(
    device: &Dev,
    filters: &DeepFilters<f32, Dev>,
    pictures: &Pictures,
) -> Result<Vec<f64>> {
    let (image, grid) = (filters.image(), pictures.grid());
    if image != grid {
        return Err(Error::invalid(format!("filters that look at {image:?}, and pictures of {grid:?}")));
    }
    let maps = filters.grid();
    let mut sums = vec![0.0; maps.channels];
    // A few at a time.
    for pictures in pictures.values().chunks(64 * grid.dims()) {
        let rows = pictures.len() / grid.dims();
        let responses = filters.maps(device.tensor_from_vec(pictures.to_vec(), (rows, grid.dims()))).as_vec();
        for (i, map) in responses.chunks_exact(maps.pixels()).enumerate() {
            sums[i % maps.channels] += map.iter().map(|r| f64::from(*r)).sum::<f64>();
        }
    }
    let n = (pictures.len() * maps.pixels()) as f64;
    Ok(sums.into_iter().map(|sum| sum / n).collect())
}

/// The squared distance between the means of two laws under a normal kernel, from points `(n, dims)` of each, without bias: it may be
/// below 0.
///
/// ```text
/// MMD² = mean k(x, x′) + mean k(y, y′) − 2 mean k(x, y),    k(a, b) = exp(−|a − b|² / 2 w²),    x ≠ x′, y ≠ y′
/// ```
///
/// `w²` is half the median of the squared distances between the points of the first. Source: Gretton et al. 2012, lemma 6.
///
/// ```
/// # use limbeck::frame::quality::squared_mmd;
/// let (here, near, far) = ([0.1, 0.9, -0.2, 0.5], [0.0, 1.0, -0.1, 0.4], [3.1, 3.9, 2.8, 3.5]);
/// assert!(squared_mmd(&here, &near, 1)? < 0.0 && squared_mmd(&here, &far, 1)? > 0.5);
/// # Ok::<(), limbeck::Error>(())
/// ```
///
/// # Errors
/// When there are fewer than two points of one, one is cut off or not finite, or half of the first lie on one point.
pub fn squared_mmd(first: &[f32], second: &[f32], dims: usize) -> Result<f64> {
    for points in [first, second] {
        if dims == 0 || !points.len().is_multiple_of(dims) || points.len() / dims < 2 {
            let numbers = points.len();
            return Err(Error::invalid(format!(
                "{numbers} numbers for points of {dims}: two points at least are needed"
            )));
        }
        if points.iter().any(|x| !x.is_finite()) {
            return Err(Error::invalid("points that are not finite"));
        }
    }
    let most = first.len().max(second.len()) / dims;
    afford(most.checked_mul(most), 16, "the distances of all pairs of points", "fewer points")?;
    let squared = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let within = |points: &[f32]| -> Vec<f64> {
        let pair = |i: usize, j: usize| squared(&points[i * dims..(i + 1) * dims], &points[j * dims..(j + 1) * dims]);
        (0..points.len() / dims).into_par_iter().flat_map_iter(|i| (0..i).map(move |j| pair(i, j))).collect()
    };
    let mut own = within(first);
    let middle = own.len() / 2;
    let median = *own.select_nth_unstable_by(middle, f64::total_cmp).1;
    if median <= 0.0 {
        return Err(Error::invalid("half of the points are one point: a kernel has no width for them"));
    }
    let kernel = |apart: &f64| (-apart / median).exp();
    let mean = |apart: &[f64]| apart.iter().map(kernel).sum::<f64>() / apart.len() as f64;
    let across: Vec<f64> = (first.par_chunks_exact(dims))
        .flat_map_iter(|a| second.chunks_exact(dims).map(move |b| squared(a, b)))
        .collect();
    Ok(mean(&own) + mean(&within(second)) - 2.0 * mean(&across))
}
