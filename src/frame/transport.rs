//! How far masses are from each other: the Wasserstein distance where it has a closed form.

use crate::{Error, Result};
use nalgebra::{DMatrix, DVector, SymmetricEigen};

/// `W₂²` between the empirical laws of two sets of numbers: the sorted ones are moved to the sorted ones.
///
/// ```text
/// W₂² = ∫₀¹ (F⁻¹(u) − G⁻¹(u))² du
/// ```
///
/// ```
/// # use limbeck::frame::transport::squared_distance;
/// assert_eq!(squared_distance(&[3.0, 1.0], &[2.0, 4.0])?, 1.0);
/// assert_eq!(squared_distance(&[0.0], &[-1.0, 1.0])?, 1.0);
/// # Ok::<(), limbeck::Error>(())
/// ```
///
/// # Errors
/// When there are no numbers, or one is not finite.
pub fn squared_distance(a: &[f64], b: &[f64]) -> Result<f64> {
    if a.is_empty() || b.is_empty() || a.iter().chain(b).any(|x| !x.is_finite()) {
        return Err(Error::invalid("a distance between no numbers, or some that are not finite"));
    }
    let [a, b] = [a, b].map(|numbers| {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted
    });
    // Both step functions are constant between the multiples of 1/n and of 1/m; counted in units of 1/nm.
    let (n, m) = (a.len() as u128, b.len() as u128);
    let (mut at, mut sum) = (0_u128, 0.0);
    while at < n * m {
        let (i, j) = (at / m, at / n);
        let next = ((i + 1) * m).min((j + 1) * n);
        sum += (next - at) as f64 * (a[i as usize] - b[j as usize]).powi(2);
        at = next;
    }
    Ok(sum / (n * m) as f64)
}

/// `W₂²` between two normal laws, by the distance of Bures between their covariances.
///
/// ```text
/// W₂² = |m − n|² + tr(A + B − 2 (A^½ B A^½)^½)
/// ```
///
/// # Errors
/// When the sizes differ, or a covariance is not symmetric with eigenvalues of at least 0.
pub fn normal_squared_distance(
    (m, a): (&DVector<f64>, &DMatrix<f64>),
    (n, b): (&DVector<f64>, &DMatrix<f64>),
) -> Result<f64> {
    let sizes = [m.len(), n.len(), a.nrows(), a.ncols(), b.nrows(), b.ncols()];
    if sizes.iter().any(|size| *size != m.len()) {
        return Err(Error::invalid(format!("normal laws of the sizes {sizes:?}")));
    }
    let root = root(a)?;
    root_check(b)?;
    let inner = &root * b * &root;
    let cross = SymmetricEigen::new(0.5 * (&inner + inner.transpose())).eigenvalues.map(|e| e.max(0.0).sqrt()).sum();
    Ok((m - n).norm_squared() + (a.trace() + b.trace() - 2.0 * cross).max(0.0))
}

/// The symmetric root of a covariance.
fn root(of: &DMatrix<f64>) -> Result<DMatrix<f64>> {
    let eigen = root_check(of)?;
    let roots = DMatrix::from_diagonal(&eigen.eigenvalues.map(|e| e.max(0.0).sqrt()));
    Ok(&eigen.eigenvectors * roots * eigen.eigenvectors.transpose())
}

fn root_check(of: &DMatrix<f64>) -> Result<SymmetricEigen<f64, nalgebra::Dyn>> {
    let scale = of.amax();
    if !scale.is_finite() || (of - of.transpose()).amax() > 1e-9 * scale {
        return Err(Error::invalid("a covariance that is not symmetric"));
    }
    let eigen = SymmetricEigen::new(of.clone());
    match eigen.eigenvalues.iter().any(|e| *e < -1e-9 * scale) {
        true => Err(Error::invalid("a covariance with a negative eigenvalue")),
        false => Ok(eigen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_numbers_are_the_best_way() {
        // All six ways to carry three numbers to three.
        let (a, b) = ([0.3, -1.2, 2.0], [1.1, 0.4, -0.7]);
        let ways = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let cost = |way: &[usize; 3]| way.iter().zip(a).map(|(j, x): (_, f64)| (x - b[*j]).powi(2)).sum::<f64>() / 3.0;
        let best = ways.iter().map(cost).fold(f64::INFINITY, f64::min);
        assert!((squared_distance(&a, &b).unwrap() - best).abs() < 1e-15);
        // As many copies of each change nothing.
        let twice: Vec<f64> = b.iter().flat_map(|x| [*x; 2]).collect();
        assert!((squared_distance(&a, &twice).unwrap() - best).abs() < 1e-15);
        assert!(squared_distance(&[], &a).is_err());
    }

    #[test]
    fn normal_laws_are_as_far_as_their_parts() {
        let of = |mean: [f64; 2], spread: [f64; 2]| {
            (DVector::from_row_slice(&mean), DMatrix::from_diagonal(&DVector::from_row_slice(&spread)))
        };
        let ((m, a), (n, b)) = (of([0.0, 1.0], [4.0, 0.25]), of([1.0, -1.0], [1.0, 1.0]));
        let distance = normal_squared_distance((&m, &a), (&n, &b)).unwrap();
        assert!((distance - (5.0 + 1.0 + 0.25)).abs() < 1e-12, "{distance}");
        // Turned together they are as far.
        let turn = DMatrix::from_row_slice(2, 2, &[0.6, -0.8, 0.8, 0.6]);
        let turned = |m: &DVector<f64>, a: &DMatrix<f64>| (&turn * m, &turn * a * turn.transpose());
        let ((m, a), (n, b)) = (turned(&m, &a), turned(&n, &b));
        assert!((normal_squared_distance((&m, &a), (&n, &b)).unwrap() - distance).abs() < 1e-12);
        assert!(normal_squared_distance((&m, &-a), (&n, &b)).is_err());
    }
}
