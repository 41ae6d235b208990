//! What a filter would add to a law, seen in blocks of images.

use super::{Feature, Field, features::combined, features::response_map};
use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// Height and width of a block, pixels.
const BLOCK: usize = 8;

/// Blocks of an image.
pub(super) fn blocks([height, width]: [usize; 2]) -> usize {
    (height / BLOCK) * (width / BLOCK)
}

/// What a feature would add to `log p` by a law with features of its own, nats a pixel: `½ Δᵀ V⁻¹ Δ`, with the difference `Δ` of shares
/// by bin, and the part of the covariance of blocks' histograms, a pixel, that the law's own features do not explain.
pub(super) fn gain(feature: &Feature, own: &[&Feature], chains: &[Field], away: &[f64]) -> f64 {
    let features: Vec<&Feature> = [feature].into_iter().chain(own.iter().copied()).collect();
    let blocks: Vec<DVector<f64>> = chains.iter().flat_map(|chain| histograms(&features, chain)).collect();
    let bins = blocks.first().map_or(0, DVector::len);
    let mean = blocks.iter().sum::<DVector<f64>>() / blocks.len() as f64;
    let mut covariance = DMatrix::zeros(bins, bins);
    for block in &blocks {
        let away = block - &mean;
        covariance.ger(1.0 / (blocks.len() - 1) as f64, &away, &away, 1.0);
    }
    covariance /= (BLOCK * BLOCK) as f64;
    let count = feature.bins().count();
    // A ridge of a hundredth: blocks are few, and rare bins rarer.
    let ridge = |m: DMatrix<f64>| {
        let scale = 1e-2 * m.trace() / m.nrows().max(1) as f64;
        let n = m.nrows();
        m + DMatrix::identity(n, n) * scale.max(1e-9)
    };
    let part = |rows: [usize; 2], columns: [usize; 2]| {
        covariance.view((rows[0], columns[0]), (rows[1] - rows[0], columns[1] - columns[0])).into_owned()
    };
    let mut left = part([0, count], [0, count]);
    if bins > count {
        let cross = part([0, count], [count, bins]);
        let own = ridge(part([count, bins], [count, bins]));
        if let Some(solved) = own.cholesky().map(|c| c.solve(&cross.transpose())) {
            left -= &cross * solved;
        }
    }
    let eigen = SymmetricEigen::new(ridge(0.5 * (&left + left.transpose())));
    let away = eigen.eigenvectors.transpose() * DVector::from_row_slice(away);
    0.5 * away.iter().zip(eigen.eigenvalues.iter()).map(|(a, e)| a * a / e.max(1e-12)).sum::<f64>()
}

/// The histograms of every block of an image, those of all features one after the other.
fn histograms(features: &[&Feature], chain: &Field) -> Vec<DVector<f64>> {
    let [height, width] = chain.size();
    let across = width / BLOCK;
    let bins: usize = features.iter().map(|f| f.bins().count()).sum();
    let mut blocks = vec![DVector::zeros(bins); (height / BLOCK) * across];
    let mut first = 0;
    for feature in features {
        let maps: Vec<Vec<f32>> =
            feature.windows().iter().map(|window| response_map(window, chain.pixels(), chain.size())).collect();
        for v in 0..height * width {
            let (i, j) = (v / width / BLOCK, v % width / BLOCK);
            if i < height / BLOCK && j < across {
                blocks[i * across + j][first + feature.bins().of(combined(maps.iter().map(|m| m[v])))] += 1.0;
            }
        }
        first += feature.bins().count();
    }
    blocks
}
