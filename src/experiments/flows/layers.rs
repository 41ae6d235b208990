//! A flow of couplings on moons: data, a grid and samples of the base after every layer.

use crate::{
    Result,
    data::Oracle,
    experiments::Lab,
    flows::{
        AdditiveCoupling, AffineCoupling, Base, Bijection, Flow, FlowLearner, Mask, Normal, Stack, to_points, to_rows,
    },
    nn::optim::{AdamConfig, Schedule},
    plot::Planes,
    train::{Plan, quiet, train},
};
use dfdx::{nn::TensorCollection, shapes::Const, tensor::Cpu};

type D2 = Const<2>;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let device = Cpu::seed_from_u64(lab.seed.0);
    let side = |i: usize| if i.is_multiple_of(2) { Mask::Odd } else { Mask::Even };
    let nice = (0..6).map(|i| AdditiveCoupling::<D2>::new(&device, Const, 64, side(i))).collect::<Result<_>>()?;
    walk(lab, "NICE", "flows-layers-nice", Stack::<AdditiveCoupling<D2>>::new(nice))?;
    let real = (0..6).map(|i| AffineCoupling::<D2>::new(&device, Const, 64, side(i))).collect::<Result<_>>()?;
    walk(lab, "RealNVP", "flows-layers-realnvp", Stack::<AffineCoupling<D2>>::new(real))
}

fn walk<B>(lab: &mut Lab, title: &str, name: &str, stack: Stack<B>) -> Result<()>
where
    B: Bijection<D2, f32, Cpu> + TensorCollection<f32, Cpu>,
{
    lab.say(title);
    let rows = Oracle::Moons.sample(lab.budget.pick(3000, 20_000), lab.seed)?;
    let adam = AdamConfig { rate: Schedule::constant(2e-3), clip: Some(5.0), ..AdamConfig::default() };
    let mut learner = FlowLearner::new(&Cpu::default(), Flow::normal(stack), Const::<2>, &rows, None, adam)?;
    train(&mut learner, &Plan::new(lab.budget.pick(40, 300), 128, lab.seed), &mut quiet)?;
    let model = learner.into_model();
    let layers = model.flow().bijection.layers();
    let frame = model.frame();
    let standard = |p: &[f64]| [0, 1].map(|i| (p[i] - frame[i].0) / frame[i].1);
    let data: Vec<[f64; 2]> = (0..300).map(|i| standard(rows.row(i))).collect();
    let base = to_points(&Normal.sample((300, Const), &Cpu::default(), &mut lab.seed.stream("base", 0)));
    let mut pictures =
        Planes::new(&format!("{title} on moons: the data forward, samples back, a grid back"), layers.len() + 1);
    let mut forward = to_rows(&data);
    let mut there = vec![to_points(&forward)];
    for layer in layers {
        forward = layer.forward(forward).0;
        there.push(to_points(&forward));
    }
    let grid = Planes::grid(3.0, 11, 51);
    let mut backward = (to_rows(&base), to_rows(&grid.concat()));
    let mut back = vec![(to_points(&backward.0), to_points(&backward.1))];
    for layer in layers.iter().rev() {
        backward = (layer.inverse(backward.0).0, layer.inverse(backward.1).0);
        back.push((to_points(&backward.0), to_points(&backward.1)));
    }
    for (i, points) in there.into_iter().enumerate() {
        let name = if i == 0 { "data".into() } else { format!("after layer {i}") };
        pictures = pictures.points(&name, 3.5, points);
    }
    back.reverse();
    for (i, (points, _)) in back.iter().enumerate() {
        let name = if i == layers.len() { "base".into() } else { format!("before layer {}", i + 1) };
        pictures = pictures.points(&name, 3.5, points.clone());
    }
    for (_, lines) in &back {
        pictures = pictures.curves("grid", 3.5, lines.chunks_exact(51).map(<[_]>::to_vec));
    }
    lab.figure(name, &pictures)
}
