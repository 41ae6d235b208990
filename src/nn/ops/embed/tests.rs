use std::sync::Arc;

use dfdx::{
    prelude::{Backward, SumTo},
    shapes::Rank0,
    tensor::{Cpu, TensorFromVec, Trace},
};

use super::*;
use crate::nn::ops::testing::{assert_close, numbers, numeric_gradient};

/// Three entries of two numbers, four picked, and rows added; `plain` is the composition.
fn run(table: &[f64], rows: &[f64], whose: Whose, plain: bool) -> (Vec<f64>, [Vec<f64>; 2]) {
    let device = Cpu::default();
    let picked: Arc<[u32]> = [2, 0, 2, 1].into();
    let (table, rows) =
        (device.tensor_from_vec(table.to_vec(), (3, 2)), device.tensor_from_vec(rows.to_vec(), (rows.len() / 2, 2)));
    let y = match plain {
        false => add_rows(embed(table.leaky_trace(), picked), rows.retaped(), whose),
        true => plain::add_rows(plain::embed(table.leaky_trace(), &picked).unwrap(), rows.retaped(), whose).unwrap(),
    };
    let out = y.as_vec();
    let weights: Vec<f64> = numbers(4 * 2, 3);
    let grads = (y * device.tensor_from_vec(weights, (4, 2))).sum::<Rank0, _>().backward();
    (out, [grads.get(&table).as_vec(), grads.get(&rows).as_vec()])
}

#[test]
fn slopes_of_rows_picked_twice_and_added_to_many_add_up() {
    // The last has more rows than are used.
    for (whose, rows) in [(Whose::Each(2), 2), (Whose::InTurns(2), 2), (Whose::InTurns(1), 1), (Whose::Each(1), 5)] {
        let (table, rows): (Vec<f64>, Vec<f64>) = (numbers(3 * 2, 1), numbers(rows * 2, 2));
        let (y, [dt, dr]) = run(&table, &rows, whose, false);
        let at = whose.row(1) * 2;
        assert_eq!(y[2..4], [table[0] + rows[at], table[1] + rows[at + 1]]);
        let (plain_y, [plain_dt, plain_dr]) = run(&table, &rows, whose, true);
        assert_close(&y, &plain_y, 1e-15);
        assert_close(&dt, &plain_dt, 1e-15);
        assert_close(&dr, &plain_dr, 1e-15);
        let weights: Vec<f64> = numbers(4 * 2, 3);
        let loss = |table: &[f64], rows: &[f64]| -> f64 {
            run(table, rows, whose, false).0.iter().zip(&weights).map(|(y, w)| y * w).sum()
        };
        assert_close(&dt, &numeric_gradient(&table, |t| loss(t, &rows)), 1e-9);
        assert_close(&dr, &numeric_gradient(&rows, |r| loss(&table, r)), 1e-9);
    }
}
