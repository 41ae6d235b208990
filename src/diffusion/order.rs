//! Positions one after the other: the exact likelihood of an absorbing model in a stated order.

use super::{Absorbing, Denoiser, Diffusion, Process, process::normalise};
use crate::{
    Error, Result,
    data::{Discrete, MISSING, Rows, fingerprint},
    evidence::{Evidence, Exact, LowerBound, Space},
    math::log_sum_exp_of,
    nn::Size,
    random::{Seed, permutation},
};

/// The order in which positions are filled in: a thing of the positions alone, never of the values that are scored.
///
/// An absorbing model that unmasks one position at a time, in an order that is fixed beforehand, is an autoregressive model:
///
/// ```text
/// log p_σ(x) = Σ_d log x̂_0(x_σ(d) | x_σ(1), …, x_σ(d − 1))
/// ```
///
/// The mean over all orders is the bound of continuous time, so an order in which a model is good has a likelihood above it. An
/// order that is chosen by the values which it then scores gives no likelihood, and cannot be stated here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order(Vec<usize>);

impl Order {
    /// From the first position to the last.
    pub fn left_to_right(length: usize) -> Self {
        Self((0..length).collect())
    }

    /// One drawn at random, which then is the same for every row.
    pub fn random(length: usize, seed: Seed) -> Self {
        Self(permutation(length, &mut seed.stream("order", 0)))
    }

    /// These positions in turn.
    ///
    /// # Errors
    /// When one is missing or comes twice.
    pub fn new(positions: Vec<usize>) -> Result<Self> {
        let mut sorted = positions.clone();
        sorted.sort_unstable();
        match sorted.iter().enumerate().find(|(i, d)| i != *d) {
            None => Ok(Self(positions)),
            Some((i, _)) => Err(Error::invalid(format!(
                "an order of {} positions in which {i} does not come once",
                positions.len()
            ))),
        }
    }

    /// The positions in turn.
    pub fn positions(&self) -> &[usize] {
        &self.0
    }
}

/// Rows that are scored together.
const BLOCK: usize = 64;

impl<K: Size, S: Size, N: Denoiser<Categories = K, States = S>> Diffusion<Absorbing<K, S>, N> {
    /// The likelihood of rows, each position given those before it in the order. Missing values come after all others, and are not
    /// scored: of the others that is the likelihood itself.
    ///
    /// # Errors
    /// When the rows are of other categories or another length than the order.
    pub fn in_order(&self, rows: &Discrete, order: &Order) -> Result<Evidence<Exact>> {
        let log_probs = self.log_probs_in(rows, order)?;
        let known = rows.codes().iter().filter(|code| **code != MISSING).count();
        Evidence::new(log_probs, Space::Raw, rows.schema().len())?
            .of_known(known)
            .map(|e| Ok(e.of_rows(fingerprint(rows)?)))?
    }

    /// The likelihood of rows under a model that draws one of these orders, each as often, and keeps to it: exact as well, and never
    /// below the mean of their log-likelihoods.
    ///
    /// # Errors
    /// As [`Self::in_order`]; also when there is no order.
    pub fn in_any_of(&self, rows: &Discrete, orders: &[Order]) -> Result<Evidence<Exact>> {
        let each = orders.iter().map(|order| self.log_probs_in(rows, order)).collect::<Result<Vec<_>>>()?;
        if each.is_empty() {
            return Err(Error::invalid("one order at least is needed"));
        }
        let mean = |row: usize| {
            log_sum_exp_of(&each.iter().map(|log_probs| log_probs[row]).collect::<Vec<_>>()) - (each.len() as f64).ln()
        };
        let known = rows.codes().iter().filter(|code| **code != MISSING).count();
        let evidence = Evidence::new((0..rows.len()).map(mean).collect(), Space::Raw, rows.schema().len())?;
        Ok(evidence.of_known(known)?.of_rows(fingerprint(rows)?))
    }

    /// The bound of continuous time by its definition, the mean over all orders of the likelihood: for rows of few positions.
    ///
    /// # Errors
    /// As [`Self::in_order`]; also when the rows have more than eight positions.
    pub fn over_all_orders(&self, rows: &Discrete) -> Result<Evidence<LowerBound>> {
        let length = rows.schema().len();
        if length > 8 {
            return Err(Error::invalid(format!(
                "rows of {length} positions have too many orders; 8 positions at most"
            )));
        }
        let mut orders = vec![vec![]];
        for _ in 0..length {
            let longer = |order: &Vec<usize>| {
                let order = order.clone();
                (0..length).filter(move |d| !order.contains(d)).collect::<Vec<_>>()
            };
            orders =
                orders.iter().flat_map(|o| longer(o).into_iter().map(move |d| [o.as_slice(), &[d]].concat())).collect();
        }
        let mut mean = vec![0.0; rows.len()];
        for order in &orders {
            let log_probs = self.log_probs_in(rows, &Order(order.clone()))?;
            mean.iter_mut().zip(log_probs).for_each(|(to, p)| *to += p / orders.len() as f64);
        }
        Ok(Evidence::new(mean, Space::Raw, length)?.of_rows(fingerprint(rows)?))
    }

    fn log_probs_in(&self, rows: &Discrete, order: &Order) -> Result<Vec<f64>> {
        self.check_rows(rows)?;
        let length = rows.schema().len();
        if order.0.len() != length {
            return Err(Error::invalid(format!("an order of {} positions for rows of {length}", order.0.len())));
        }
        let mut log_probs = Vec::with_capacity(rows.len());
        for block in (0..rows.len()).collect::<Vec<_>>().chunks(BLOCK) {
            let mut sums = vec![0.0; block.len()];
            self.unmask(block.len(), order, |i, d, log_x0| {
                let code = rows.row(block[i])[d];
                if code == MISSING {
                    return Ok(None);
                }
                sums[i] += log_x0[code as usize];
                Ok(Some(code))
            })?;
            log_probs.extend(sums);
        }
        Ok(log_probs)
    }

    /// Fills in `rows` rows position by position in the order: `pick(row, position, log x̂_0)` says what stands there; positions of
    /// which it says nothing stay hidden, to the end.
    pub(super) fn unmask(
        &self,
        rows: usize,
        order: &Order,
        mut pick: impl FnMut(usize, usize, &[f64]) -> Result<Option<u16>>,
    ) -> Result<Vec<u16>> {
        let (length, k, mask) = (order.0.len(), self.process.categories().size(), self.process.mask() as u16);
        let mut noisy = vec![mask; rows * length];
        for d in &order.0 {
            let mut logits = self.denoiser.logits(&noisy, length, &vec![self.process.time(0); rows]);
            for (i, logits) in logits.chunks_exact_mut(length * k).enumerate() {
                let log_x0 = &mut logits[d * k..(d + 1) * k];
                normalise(log_x0);
                if let Some(code) = pick(i, *d, log_x0)? {
                    noisy[i * length + d] = code;
                }
            }
        }
        Ok(noisy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::Schema,
        diffusion::{Decoder, Fall, Formula, Proof, Schedule, Steps},
    };
    use dfdx::shapes::Const;

    type Toy<F> = Diffusion<Absorbing<Const<3>, Const<4>>, Formula<Const<3>, Const<4>, F>>;

    /// `1.5 sin(1 + 0.7 k + 0.9 Σ_{visible j} (j + 1)(2 + x_j) + 0.5 i)`
    fn toy(steps: usize) -> Toy<impl Fn(&[u16], usize, usize, f64) -> f64> {
        let logit = |row: &[u16], i: usize, k: usize, _: f64| {
            let visible = row.iter().enumerate().filter(|(j, x)| *j != i && **x < 3);
            let seen: f64 = visible.map(|(j, x)| (j as f64 + 1.0) * (2.0 + f64::from(*x))).sum();
            1.5 * (1.0 + 0.7 * k as f64 + 0.9 * seen + 0.5 * i as f64).sin()
        };
        let process = Absorbing::new(Const, Const, Schedule::new(Fall::Linear, steps).unwrap()).unwrap();
        Diffusion::new(process, Formula::new(Const, Const, logit)).unwrap()
    }

    fn rows() -> Discrete {
        Discrete::new(Schema::uniform(&[3], 3), vec![0, 0, 0, 1, 2, 0, 2, 1, 2]).unwrap()
    }

    #[test]
    fn the_mean_over_orders_is_the_bound_of_the_reference() {
        let bound = toy(1).over_all_orders(&rows()).unwrap();
        let want = [2.974_875_696_612, 3.803_259_864_835, 3.321_272_952_291];
        bound.log_probs().iter().zip(want).for_each(|(found, want)| assert!((found + want).abs() < 1e-11, "{found}"));
        // Few steps cost more; many come close.
        for (steps, want) in [(1, 4.625_040_448_7), (4, 3.601_308_954_5), (64, 3.337_878_603_4)] {
            let model = toy(steps);
            let proof = Proof::of(&model, 3, &Steps::all(model.process(), Decoder::Posterior)).unwrap();
            let found = -proof.bound().unwrap().log_probs()[2 * 9 + 3 + 2];
            assert!((found - want).abs() < 1e-9, "{found} for {want}");
        }
    }

    #[test]
    fn an_order_is_a_model_of_its_own() {
        let model = toy(4);
        let all = Proof::of(&model, 3, &Steps::all(model.process(), Decoder::Posterior)).unwrap().rows().unwrap();
        let orders = [Order::left_to_right(3), Order::random(3, Seed(4)), Order::new(vec![2, 0, 1]).unwrap()];
        for order in &orders {
            let evidence = model.in_order(&all, order).unwrap();
            let total: f64 = evidence.log_probs().iter().map(|p| p.exp()).sum();
            assert!((total - 1.0).abs() < 1e-13);
        }
        let mixed = model.in_any_of(&all, &orders).unwrap();
        assert!((mixed.log_probs().iter().map(|p| p.exp()).sum::<f64>() - 1.0).abs() < 1e-13);
        let each: Vec<_> = orders.iter().map(|o| model.in_order(&all, o).unwrap()).collect();
        for row in 0..27 {
            let mean = each.iter().map(|e| e.log_probs()[row]).sum::<f64>() / 3.0;
            assert!(mixed.log_probs()[row] >= mean - 1e-12);
        }
    }

    #[test]
    fn what_is_missing_is_summed_over() {
        let model = toy(4);
        let all = Proof::of(&model, 3, &Steps::all(model.process(), Decoder::Posterior)).unwrap().rows().unwrap();
        let order = Order::left_to_right(3);
        let whole = model.in_order(&all, &order).unwrap();
        let part = model.in_order(&all.mask(|_, d| d == 2), &order).unwrap();
        // Over the last position, which comes last in the order anyway.
        for row in 0..9 {
            let sum: f64 = whole.log_probs()[3 * row..3 * row + 3].iter().map(|p| p.exp()).sum();
            assert!((sum.ln() - part.log_probs()[3 * row]).abs() < 1e-13);
        }
        assert_eq!(
            part.bits_per_dim().unwrap(),
            crate::evidence::bits_per_dim(-part.log_probs().iter().sum::<f64>(), 54)
        );
    }

    #[test]
    fn what_is_no_order_or_no_row_of_it_is_refused() {
        assert!(Order::new(vec![0, 0, 1]).unwrap_err().to_string().contains("does not come once"));
        let error = toy(1).in_order(&rows(), &Order::left_to_right(2)).unwrap_err().to_string();
        assert_eq!(error, "an order of 2 positions for rows of 3");
        let other = Discrete::new(Schema::uniform(&[3], 4), vec![0, 1, 3]).unwrap();
        let error = toy(1).in_order(&other, &Order::left_to_right(3)).unwrap_err().to_string();
        assert_eq!(error, "variable x0 has 4 categories; the model is of 3");
        assert!(toy(1).in_any_of(&rows(), &[]).is_err());
    }
}
