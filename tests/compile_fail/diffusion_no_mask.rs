//! An absorbing process without a mask.

use limbeck::{
    dfdx::shapes::Const,
    diffusion::{Absorbing, Fall, Schedule},
};

fn main() {
    Absorbing::new(Const::<27>, Const::<27>, Schedule::new(Fall::Linear, 10).unwrap()).unwrap();
}
