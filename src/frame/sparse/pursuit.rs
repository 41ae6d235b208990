//! Shared matching pursuit: one sketch for several images.

use super::Wavelet;
use crate::{Error, Result, frame::Filter};
use rayon::prelude::*;

/// Wavelets that several images share, in the order in which they were found.
#[derive(Clone, Debug, PartialEq)]
pub struct Sketch {
    /// The wavelets, where they lie on average.
    pub wavelets: Vec<Wavelet>,
    /// Of each, its coefficient in every image.
    pub coefficients: Vec<Vec<f64>>,
    /// What is left of the images' energy after each, as a share.
    pub left: Vec<f64>,
}

/// Finds wavelets that together explain images: at each step the one that explains most of what is left of all.
///
/// ```text
/// I_m = Σ_i c_{m,i} B_{x_i + Δx_{m,i}} + ε_m,    argmax over x, B of Σ_m max_Δx ⟨ε_m, B_{x + Δx}⟩²
/// ```
///
/// where a wavelet may lie up to `slack` pixels away in each image, along both axes. Source: Xie, Hu, Zhu, Wu 2014; Mallat & Zhang 1993.
///
/// # Errors
/// When there is no image, they differ in size, or a filter has two windows.
pub fn sketch(images: &[Vec<f64>], size: [usize; 2], filters: &[Filter], count: usize, slack: usize) -> Result<Sketch> {
    let [height, width] = size;
    let sites = height.saturating_mul(width);
    if images.is_empty() || sites == 0 || images.iter().any(|image| image.len() != sites) {
        return Err(Error::invalid(format!("images of {height} × {width} pixels are needed, one at least")));
    }
    // All wavelets that lie inside with most of what they are.
    let places: Vec<(usize, usize)> = (0..filters.len()).flat_map(|f| (0..sites).map(move |v| (f, v))).collect();
    let all: Vec<Option<Wavelet>> = places
        .par_iter()
        .map(|(filter, v)| {
            let window = &filters[*filter].windows()[0];
            let ([tall, wide], origin, at) = (window.size(), window.origin(), [v / width, v % width]);
            let inside = at[0] >= origin[0]
                && at[1] >= origin[1]
                && at[0] - origin[0] + tall <= height
                && at[1] - origin[1] + wide <= width;
            if inside { Wavelet::new(filters, *filter, at, size).map(Some) } else { Ok(None) }
        })
        .collect::<Result<_>>()?;
    let mut rest: Vec<Vec<f64>> = images.to_vec();
    let energy = |images: &[Vec<f64>]| images.iter().flatten().map(|x| x * x).sum::<f64>();
    let whole = energy(&rest).max(f64::MIN_POSITIVE);
    let mut found = Sketch { wavelets: vec![], coefficients: vec![], left: vec![] };
    for _ in 0..count {
        let responses: Vec<Vec<f64>> = rest
            .iter()
            .map(|image| all.par_iter().map(|w| w.as_ref().map_or(0.0, |w| w.response(image))).collect())
            .collect();
        // The best near a place, in one image.
        let near = |filter: usize, v: usize, responses: &[f64]| {
            let (i, j) = (v / width, v % width);
            let rows = i.saturating_sub(slack)..=(i + slack).min(height - 1);
            let columns = move |i: usize| (j.saturating_sub(slack)..=(j + slack).min(width - 1)).map(move |j| (i, j));
            let places = rows.flat_map(columns).map(|(i, j)| filter * sites + i * width + j);
            places.max_by(|a, b| responses[*a].abs().total_cmp(&responses[*b].abs())).unwrap_or(filter * sites + v)
        };
        let score = |index: usize| -> f64 {
            let (filter, v) = places[index];
            responses.iter().map(|r| r[near(filter, v, r)].powi(2)).sum()
        };
        let scored =
            (0..all.len()).into_par_iter().filter(|index| all[*index].is_some()).map(|index| (score(index), index));
        let best = scored.reduce_with(|a, b| if (b.0, a.1) > (a.0, b.1) { b } else { a });
        let Some((score, index)) = best.filter(|(score, _)| *score > 1e-12 * whole) else { break };
        debug_assert!(score.is_finite());
        let (filter, v) = places[index];
        let mut coefficients = vec![];
        for (image, responses) in rest.iter_mut().zip(&responses) {
            let there = near(filter, v, responses);
            if let Some(wavelet) = &all[there] {
                wavelet.add_to(image, -responses[there]);
                coefficients.push(responses[there]);
            }
        }
        found.wavelets.extend(all[index].clone());
        found.coefficients.push(coefficients);
        found.left.push(energy(&rest) / whole);
    }
    Ok(found)
}
