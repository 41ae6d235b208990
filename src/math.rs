//! Sums that several families need.

/// `log Σ exp(values)`; −∞ for none. Each value is computed once.
pub(crate) fn log_sum_exp(values: impl Iterator<Item = f64>) -> f64 {
    log_sum_exp_of(&values.collect::<Vec<_>>())
}

/// The same of values that are there.
pub(crate) fn log_sum_exp_of(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + values.iter().map(|v| (v - largest).exp()).sum::<f64>().ln()
}

/// Mean and standard deviation; the deviation of values that are all the same is called 1, so that it can be divided by.
pub(crate) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    (mean, if deviation > 0.0 { deviation } else { 1.0 })
}

/// The 97.5 % quantile of Student's distribution with `n − 1` degrees of freedom; that of twenty for more.
pub(crate) fn student(n: usize) -> f64 {
    const QUANTILES: [f64; 19] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093,
    ];
    if n < 2 { f64::INFINITY } else { QUANTILES[(n - 2).min(18)] }
}
