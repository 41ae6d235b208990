//! Networks: their slopes, and that rows do not see each other.

use super::*;
use crate::nn::{fresh_copy, load_params, ops::testing::numbers, params};
use dfdx::{
    nn::{TensorCollection, ZeroGrads},
    prelude::{Backward, SumTo},
    shapes::{Const, Rank0},
    tensor::{Cpu, NoneTape, TensorFromVec},
};

type Double = Transformer<Const<3>, Const<4>, f64, Cpu>;

fn transformer() -> Double {
    let config = TransformerConfig { length: 5, width: 8, heads: 2, blocks: 2 };
    let mut network = Double::new(&Cpu::seed_from_u64(1), (Const, Const), &config).unwrap();
    // Away from where every slope but one is zero.
    stir(&mut network);
    network
}

/// Overwrites every parameter by numbers in (−½, ½).
fn stir<N: TensorCollection<f64, Cpu>>(network: &mut N) {
    let mut arrays = params(network);
    for (i, (_, _, values)) in arrays.iter_mut().enumerate() {
        let fresh: Vec<f32> = numbers(values.len(), i as u64);
        values.iter_mut().zip(fresh).for_each(|(to, x)| *to = 0.5 * x);
    }
    load_params(network, &arrays).unwrap();
}

const STATES: [u16; 10] = [0, 1, 2, 3, 0, 3, 3, 1, 2, 2];

fn slopes<N: Network<f64, Cpu, Categories = Const<3>>>(network: N) {
    slopes_of(network, 5);
}

fn slopes_of<N: Network<f64, Cpu, Categories = Const<3>>>(mut network: N, length: usize) {
    let states: Vec<u16> = STATES.iter().copied().cycle().take(2 * length).collect();
    let noisy = Noisy { states: &states, length, times: &[0.3, 0.9] };
    let weights = Cpu::default().tensor_from_vec(numbers(2 * length * 3, 9), (2 * length, Const::<3>));
    let loss = |network: &N| (network.forward(noisy, NoneTape) * weights.clone()).sum::<Rank0, _>().as_vec()[0];
    let tape = history(&Cpu::default(), network.alloc_grads());
    let grads = (network.forward(noisy, tape) * weights.clone()).sum::<Rank0, _>().backward();
    let mut found = Grads { grads: &grads, all: vec![] };
    N::iter_tensors(&mut dfdx::nn::RecursiveWalker { m: &network, f: &mut found }).unwrap();
    let arrays = params(&network);
    assert_eq!(found.all.len(), arrays.len());
    for (which, slopes) in found.all.iter().enumerate() {
        for at in (0..slopes.len()).step_by(7) {
            let mut step = |d: f32| {
                let mut moved = arrays.clone();
                moved[which].2[at] += d;
                load_params(&mut network, &moved).unwrap();
                (loss(&network), f64::from(moved[which].2[at]))
            };
            let ((up, a), (down, b)) = (step(3e-5), step(-3e-5));
            let want = (up - down) / (a - b);
            assert!(
                (slopes[at] - want).abs() < 1e-4 * (1.0 + want.abs()),
                "{}[{at}]: {} for {want}",
                arrays[which].0,
                slopes[at]
            );
        }
    }
}

/// Collects the slopes along every tensor.
struct Grads<'a> {
    grads: &'a dfdx::tensor::Gradients<f64, Cpu>,
    all: Vec<Vec<f64>>,
}

impl dfdx::nn::TensorVisitor<f64, Cpu> for Grads<'_> {
    type Viewer = dfdx::nn::ViewTensorRef;
    type Err = std::convert::Infallible;
    type E2 = f64;
    type D2 = Cpu;

    fn visit<S: dfdx::shapes::Shape>(
        &mut self,
        _: dfdx::nn::TensorOptions<S, f64, Cpu>,
        tensor: &dfdx::tensor::Tensor<S, f64, Cpu>,
    ) -> std::result::Result<Option<dfdx::tensor::Tensor<S, f64, Cpu>>, Self::Err> {
        self.all.push(self.grads.get(tensor).as_vec());
        Ok(None)
    }
}

#[test]
fn slopes_are_those_of_finite_differences() {
    slopes(transformer());
    let mut mlp = Mlp::<Const<3>, Const<4>, f64, Cpu>::new(&Cpu::seed_from_u64(2), (Const, Const), 5, 6).unwrap();
    stir(&mut mlp);
    slopes(mlp);
    let config = UNetConfig { height: 2, width: 4, channels: 2, halvings: 1, heads: 2 };
    let mut net = UNet::<Const<3>, Const<4>, f64, Cpu>::new(&Cpu::seed_from_u64(2), (Const, Const), &config).unwrap();
    stir(&mut net);
    slopes_of(net, 8);
}

#[test]
fn it_reads_rows_up_to_its_length_and_is_copied_whole() {
    let config = TransformerConfig { length: 5, width: 8, heads: 2, blocks: 1 };
    let network = Transformer::<usize, usize>::new(&Cpu::seed_from_u64(1), (3, 4), &config).unwrap();
    assert!(network.check_length(6).unwrap_err().to_string().contains("has learned 5 places"));
    assert!(network.check_length(3).is_ok());
    assert_eq!(params(&fresh_copy(&network).unwrap()), params(&network));
    let config = UNetConfig { height: 4, width: 8, channels: 4, halvings: 2, heads: 2 };
    let net = UNet::<usize, usize>::new(&Cpu::seed_from_u64(1), (3, 4), &config).unwrap();
    assert!(net.check_length(31).unwrap_err().to_string().contains("of 4 × 8"));
    assert_eq!(params(&fresh_copy(&net).unwrap()), params(&net));
    let three = UNetConfig { halvings: 3, ..config };
    let error = UNet::<usize, usize>::new(&Cpu::default(), (3, 4), &three).unwrap_err().to_string();
    assert_eq!(error, "maps of 4 × 8 cannot be halved 3 times");
    assert!(UNet::<usize, usize>::new(&Cpu::default(), (3, 4), &UNetConfig { halvings: 1 << 40, ..config }).is_err());
}

#[test]
fn a_row_says_the_same_whatever_stands_beside_it_and_however_many_threads_there_are() {
    fn check(network: &(impl Denoiser + Sync), length: usize, states: usize) {
        let noisy: Vec<u16> = (0..length * 16).map(|i| (i * i % states) as u16).collect();
        let times: Vec<f64> = (0..16).map(|i| f64::from(i) / 16.0).collect();
        let all = network.logits(&noisy, length, &times);
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| network.logits(&noisy, length, &times)) == all, "{threads} threads");
        }
        for rows in [1, 2, 3, 8] {
            let parts = noisy.chunks(length * rows).zip(times.chunks(rows));
            let each: Vec<f64> = parts.flat_map(|(s, t)| network.logits(s, length, t)).collect();
            let differ = each.iter().zip(&all).filter(|(a, b)| a != b).count();
            assert!(differ == 0 && each.len() == all.len(), "{differ} of {} numbers, {rows} rows at a time", all.len());
        }
    }
    let device = Cpu::seed_from_u64(1);
    for (length, width) in [(9, 32), (64, 128), (1, 8)] {
        let config = TransformerConfig { length, width, heads: 4, blocks: 2 };
        check(&Transformer::<usize, usize>::new(&device, (5, 6), &config).unwrap(), length, 6);
    }
    check(&Mlp::<usize, usize>::new(&device, (3, 3), 2, 16).unwrap(), 2, 3);
    let config = UNetConfig { height: 4, width: 8, channels: 4, halvings: 2, heads: 2 };
    check(&UNet::<usize, usize>::new(&device, (3, 4), &config).unwrap(), 32, 4);
}
