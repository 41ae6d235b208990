//! How far masses are from each other: the Wasserstein distance where it has a closed form.

use crate::{Error, Result, memory::afford, nn::Real};
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

/// `W₂²` between the empirical laws of as many points here as there, and to which of those there each of those here is carried.
///
/// ```
/// # use limbeck::frame::transport::pairs;
/// let (squared, way) = pairs(&[0.0, 0.0, 5.0, 5.0], &[5.0, 6.0, 0.0, 2.0], 2)?;
/// assert_eq!((squared, way), (2.5, vec![1, 0]));
/// # Ok::<(), limbeck::Error>(())
/// ```
///
/// # Errors
/// When there are no points, not as many here as there, or one is not finite.
pub fn pairs<E: Real>(here: &[E], there: &[E], dims: usize) -> Result<(f64, Vec<usize>)> {
    if dims == 0 || here.is_empty() || here.len() != there.len() || !here.len().is_multiple_of(dims) {
        let numbers = format!("{} numbers here and {} there", here.len(), there.len());
        return Err(Error::invalid(format!("{numbers}, of points of {dims}: as many points are needed on both sides")));
    }
    if here.iter().chain(there).any(|x| !x.wide().is_finite()) {
        return Err(Error::invalid("points that are not finite"));
    }
    let n = here.len() / dims;
    afford(n.checked_mul(n), 8, "the distances of all pairs of points", "fewer points")?;
    let squared = |(a, b): (&[E], &[E])| a.iter().zip(b).map(|(a, b)| (a.wide() - b.wide()).powi(2)).sum::<f64>();
    let from = |a| there.chunks_exact(dims).map(move |b| squared((a, b)));
    let costs: Vec<f64> = here.chunks_exact(dims).flat_map(from).collect();
    let way = cheapest(&costs, n);
    let sum: f64 = way.iter().enumerate().map(|(i, j)| costs[i * n + j]).sum();
    Ok((sum / n as f64, way))
}

/// The column of each row, every column once, whose costs are least together: rows find a place one after the other, each by the shortest
/// path on which others give way. Source: Jonker, Volgenant 1987.
fn cheapest(costs: &[f64], n: usize) -> Vec<usize> {
    const NONE: usize = usize::MAX;
    let (mut of_rows, mut of_columns) = (vec![0.0; n], vec![0.0; n]);
    let mut holder = vec![NONE; n];
    for new in 0..n {
        // Of each column how far it is, and the column before it on the way.
        let mut near = vec![(f64::INFINITY, NONE); n];
        let mut done = vec![false; n];
        let (mut row, mut before, mut length) = (new, NONE, 0.0);
        let end = loop {
            let mut next = NONE;
            for column in (0..n).filter(|column| !done[*column]) {
                let way = length + costs[row * n + column] - of_rows[row] - of_columns[column];
                if way < near[column].0 {
                    near[column] = (way, before);
                }
                if next == NONE || near[column].0 < near[next].0 {
                    next = column;
                }
            }
            (length, before) = (near[next].0, next);
            done[next] = true;
            match holder[next] {
                NONE => break next,
                other => row = other,
            }
        };
        of_rows[new] += length;
        for column in (0..n).filter(|column| done[*column] && *column != end) {
            let gain = length - near[column].0;
            of_rows[holder[column]] += gain;
            of_columns[column] -= gain;
        }
        let mut column = end;
        while near[column].1 != NONE {
            holder[column] = holder[near[column].1];
            column = near[column].1;
        }
        holder[column] = new;
    }
    let mut columns = vec![0; n];
    holder.into_iter().enumerate().for_each(|(column, row)| columns[row] = column);
    columns
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
    fn pairs_are_the_cheapest_of_all() {
        use rand::RngExt;
        let mut rng = crate::random::Seed(4).stream("pairs", 0);
        let mut all = vec![vec![]];
        for n in 1..=6 {
            // Every permutation of n, from those of one less.
            all = all
                .iter()
                .flat_map(|short: &Vec<usize>| {
                    (0..n).map(move |at| {
                        let mut long = short.clone();
                        long.insert(at, n - 1);
                        long
                    })
                })
                .collect();
            for _ in 0..20 {
                let mut draw = || (0..2 * n).map(|_| rng.random::<f64>().powi(3)).collect::<Vec<f64>>();
                let (here, there) = (draw(), draw());
                let cost = |way: &Vec<usize>| {
                    let apart = |i: usize, j: usize, d: usize| (here[2 * i + d] - there[2 * j + d]).powi(2);
                    way.iter().enumerate().map(|(i, j)| apart(i, *j, 0) + apart(i, *j, 1)).sum::<f64>() / n as f64
                };
                let best = all.iter().map(cost).fold(f64::INFINITY, f64::min);
                let (found, way) = pairs(&here, &there, 2).unwrap();
                assert!((found - best).abs() < 1e-12 && (cost(&way) - best).abs() < 1e-12, "{found} for {best}");
            }
        }
        // On the line it is the distance of the sorted numbers.
        let line: Vec<f64> = (0..60).map(|_| rng.random::<f64>()).collect();
        let (squared, _) = pairs(&line[..30], &line[30..], 1).unwrap();
        assert!((squared - squared_distance(&line[..30], &line[30..]).unwrap()).abs() < 1e-12);
        assert!(pairs::<f64>(&[], &[], 1).is_err() && pairs(&line[..2], &line[..3], 1).is_err());
        assert!(pairs(&[f64::NAN], &[0.0], 1).is_err());
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
