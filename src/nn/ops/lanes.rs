//! Sums and maxima over a row in lanes, which become vectors; their order is the same on every machine.

use super::Real;

/// Numbers that are worked on side by side.
const LANES: usize = 16;

/// `Σ f(x_i, y_i)`
#[inline(always)]
pub(crate) fn sum<E: Real>(x: &[E], y: &[E], f: impl Fn(E, E) -> E) -> E {
    let mut lanes = [E::default(); LANES];
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in xs.iter().zip(ys) {
        (0..LANES).for_each(|i| lanes[i] += f(x[i], y[i]));
    }
    for (lane, (x, y)) in lanes.iter_mut().zip(x_rest.iter().zip(y_rest)) {
        *lane += f(*x, *y);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            let other = lanes[i + width];
            lanes[i] += other;
        }
        width /= 2;
    }
    lanes[0]
}

/// The largest of some numbers; −∞ of none.
#[inline(always)]
pub(crate) fn largest<E: Real>(x: &[E]) -> E {
    let larger = |a: E, b: E| if b > a { b } else { a };
    let mut lanes = [E::of(f64::NEG_INFINITY); LANES];
    let (xs, rest) = x.as_chunks::<LANES>();
    for x in xs {
        (0..LANES).for_each(|i| lanes[i] = larger(lanes[i], x[i]));
    }
    lanes.into_iter().chain(rest.iter().copied()).fold(E::of(f64::NEG_INFINITY), larger)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::numbers;

    #[test]
    fn they_are_what_their_names_say_for_any_length() {
        for n in [0, 1, 15, 16, 17, 40] {
            let (x, y): (Vec<f64>, Vec<f64>) = (numbers(n, 1), numbers(n, 2));
            let want: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
            assert!((sum(&x, &y, |x, y| x * y) - want).abs() < 1e-14);
            assert_eq!(largest(&x), x.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        }
    }
}
