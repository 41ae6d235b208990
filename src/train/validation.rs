//! Which of two epochs is the better, by the losses of the validation rows.

/// The largest share of the rows that may lie far out.
const FEW: f64 = 0.05;

/// Median absolute deviations from the median at which a row lies far out; of less than a nat they count as one.
const FAR: f64 = 30.0;

/// The rows whose losses lie far above the others', infinite ones and NaN among them.
pub(super) fn far_out(losses: &[f64]) -> Vec<bool> {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    let middle = median(losses.to_vec());
    let spread = median(losses.iter().map(|loss| (loss - middle).abs()).collect());
    let near = |loss: &f64| loss - middle <= FAR * spread.max(1.0);
    losses.iter().map(|loss| !near(loss)).collect()
}

/// The sum of losses without a few rows that lie far out, or with them where they are many.
fn sum(losses: &[f64], far: &[bool]) -> f64 {
    let few = far.iter().filter(|far| **far).count() as f64 <= FEW * far.len() as f64;
    losses.iter().zip(far).filter(|(_, far)| !(few && **far)).map(|(loss, _)| loss).sum()
}

/// Whether the losses `new` are lower in the mean than `old` of the same rows. A few rows that lie far out in either are left
/// out: one outlier would decide otherwise. Where many do, what is infinite is never the lower.
pub(crate) fn is_lower(new: &[f64], old: &[f64]) -> bool {
    let far: Vec<bool> = far_out(new).into_iter().zip(far_out(old)).map(|(a, b)| a || b).collect();
    let (new, old) = (sum(new, &far), sum(old, &far));
    new.is_finite() && (new < old || !old.is_finite())
}

/// Whether losses can be those of the best epoch before there is any other.
pub(super) fn is_usable(losses: &[f64]) -> bool {
    sum(losses, &far_out(losses)).is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_rows_far_out_decide_nothing() {
        let with = |by: f64, odd: &[f64]| -> Vec<f64> {
            (0..100).map(|i| f64::from(i % 10) + by).chain(odd.iter().copied()).collect()
        };
        assert!(is_lower(&with(0.0, &[]), &with(0.1, &[])) && !is_lower(&with(0.1, &[]), &with(0.0, &[])));
        for odd in [1e6, f64::INFINITY, f64::NAN] {
            assert!(is_lower(&with(0.0, &[odd]), &with(0.1, &[1e3])), "{odd}");
            assert!(!is_lower(&with(0.1, &[1e3]), &with(0.0, &[odd])), "{odd}");
            assert!(is_usable(&with(0.0, &[odd])), "{odd}");
        }
        let many = [f64::INFINITY; 30];
        assert!(!is_usable(&with(0.0, &many)) && is_lower(&with(9.0, &[1.0; 30]), &with(0.0, &many)));
        assert!(!is_lower(&with(0.0, &many), &with(9.0, &[1.0; 30])));
        assert!(is_usable(&[3.0]) && !is_usable(&[f64::INFINITY]) && is_lower(&[2.0], &[3.0]));
    }
}
