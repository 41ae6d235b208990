use dfdx::{
    tensor::{Cpu, TensorFromVec, Trace},
    tensor_ops::{Backward, Device, SumTo},
};

use super::{Conv2dKernel, Geometry, plain};
use crate::nn::{
    Activation, Identity, Silu, Tanh,
    ops::{
        Real,
        testing::{assert_close, numbers, numeric_gradient},
    },
};

const BATCH: usize = 3;

/// Kernel, stride and padding, in every relation that an edge can take; the third leaves columns of the image unseen.
fn geometries() -> Vec<Geometry> {
    let sizes = [(3, 1, 1), (3, 1, 0), (3, 2, 1), (2, 2, 0), (1, 1, 0), (4, 2, 1), (2, 3, 2), (5, 1, 4), (1, 2, 1)];
    sizes.map(|(kernel, stride, padding)| Geometry::new([2, 5, 6], 3, kernel, stride, padding)).to_vec()
}

fn naive_conv(g: &Geometry, image: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let [channels, height, width] = g.image;
    let mut map = Vec::new();
    for sample in image.chunks(g.image_len()) {
        for (o, b) in bias.iter().enumerate() {
            for i in 0..g.map[1] {
                for j in 0..g.map[2] {
                    let mut sum = *b;
                    for c in 0..channels {
                        for u in 0..g.kernel {
                            for v in 0..g.kernel {
                                let y = (i * g.stride + u) as isize - g.padding as isize;
                                let x = (j * g.stride + v) as isize - g.padding as isize;
                                if (0..height as isize).contains(&y) && (0..width as isize).contains(&x) {
                                    let w = weight[((o * channels + c) * g.kernel + u) * g.kernel + v];
                                    sum += w * sample[(c * height + y as usize) * width + x as usize];
                                }
                            }
                        }
                    }
                    map.push(sum);
                }
            }
        }
    }
    map
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Conv,
    Transposed,
}

struct Case<E> {
    x: Vec<E>,
    w: Vec<E>,
    b: Vec<E>,
}

fn case<E: Real>(g: &Geometry, way: Way) -> Case<E> {
    let (length, channels) = match way {
        Way::Conv => (g.image_len(), g.map[0]),
        Way::Transposed => (g.map_len(), g.image[0]),
    };
    Case { x: numbers(BATCH * length, 1), w: numbers(g.map[0] * g.patch(), 2), b: numbers(channels, 3) }
}

/// The output, the loss `Σ c y` and its gradients in `x`, `w` and `b`.
fn run<A: Activation, E: Real>(g: Geometry, way: Way, case: &Case<E>, fused: bool) -> (Vec<E>, f64, [Vec<E>; 3])
where
    Cpu: Device<E>,
{
    let device = Cpu::default();
    let ([ic, ih, iw], [oc, oh, ow]) = match way {
        Way::Conv => (g.image, g.map),
        Way::Transposed => (g.map, g.image),
    };
    let x = device.tensor_from_vec(case.x.clone(), (BATCH, ic, ih, iw));
    let w = device.tensor_from_vec(case.w.clone(), (g.map[0], g.image[0], g.kernel, g.kernel));
    let b = device.tensor_from_vec(case.b.clone(), (oc,));
    let (shape, t) = ((BATCH, oc, oh, ow), x.leaky_trace());
    let y = match (way, fused) {
        (Way::Conv, true) => Cpu::try_conv2d::<A, _, _, _, _, _>(g, t, &w, &b, shape),
        (Way::Conv, false) => plain::conv2d::<A, _, _, _, _, _, _, _>(g, t, &w, &b, shape),
        (Way::Transposed, true) => Cpu::try_conv_transpose2d::<A, _, _, _, _, _>(g, t, &w, &b, shape),
        (Way::Transposed, false) => plain::conv_transpose2d::<A, _, _, _, _, _, _, _>(g, t, &w, &b, shape),
    }
    .unwrap();
    let out = y.as_vec();
    let loss = (y * device.tensor_from_vec(numbers(out.len(), 9), shape)).sum();
    let value = loss.as_vec()[0].wide();
    let grads = loss.backward();
    (out, value, [grads.get(&x).as_vec(), grads.get(&w).as_vec(), grads.get(&b).as_vec()])
}

#[test]
fn a_convolution_is_its_definition() {
    for g in geometries() {
        let case = case::<f64>(&g, Way::Conv);
        let naive = naive_conv(&g, &case.x, &case.w, &case.b);
        for fused in [true, false] {
            assert_close(&run::<Identity, f64>(g, Way::Conv, &case, fused).0, &naive, 1e-13);
        }
    }
}

#[test]
fn the_transposed_convolution_is_the_adjoint() {
    for g in geometries() {
        let mut down = case::<f64>(&g, Way::Conv);
        let mut up = case::<f64>(&g, Way::Transposed);
        down.b.fill(0.0);
        up.b.fill(0.0);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for fused in [true, false] {
            let map = run::<Identity, f64>(g, Way::Conv, &down, fused).0;
            let image = run::<Identity, f64>(g, Way::Transposed, &up, fused).0;
            assert_close(&[dot(&map, &up.x)], &[dot(&down.x, &image)], 1e-12);
        }
    }
}

fn check<A: Activation>(g: Geometry, way: Way) {
    let double = case::<f64>(&g, way);
    let (y, _, gradients) = run::<A, f64>(g, way, &double, true);
    let (plain_y, _, plain_gradients) = run::<A, f64>(g, way, &double, false);
    assert_close(&y, &plain_y, 1e-13);
    for (fused, plain) in gradients.iter().zip(&plain_gradients) {
        assert_close(fused, plain, 1e-12);
    }
    let single = case::<f32>(&g, way);
    let (y, _, _) = run::<A, f32>(g, way, &single, true);
    let (plain_y, _, _) = run::<A, f32>(g, way, &single, false);
    assert_close(&y, &plain_y, 2e-6);

    let loss = |x: &[f64], w: &[f64], b: &[f64]| {
        run::<A, f64>(g, way, &Case { x: x.to_vec(), w: w.to_vec(), b: b.to_vec() }, true).1
    };
    let (x, w, b) = (&double.x, &double.w, &double.b);
    let [dx, dw, db] = gradients;
    assert_close(&dx, &numeric_gradient(x, |x| loss(x, w, b)), 1e-7);
    assert_close(&dw, &numeric_gradient(w, |w| loss(x, w, b)), 1e-7);
    assert_close(&db, &numeric_gradient(b, |b| loss(x, w, b)), 1e-7);
}

#[test]
fn gradients_agree_with_finite_differences_and_with_the_composition() {
    for way in [Way::Conv, Way::Transposed] {
        for g in geometries() {
            check::<Tanh>(g, way);
        }
        let g = Geometry::new([2, 5, 6], 3, 3, 2, 1);
        check::<Silu>(g, way);
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let go = || {
        let g = Geometry::new([4, 9, 9], 8, 3, 1, 1);
        let device = Cpu::default();
        let x = device.tensor_from_vec(numbers::<f32>(37 * g.image_len(), 1), (37, 4, 9, 9));
        let w = device.tensor_from_vec(numbers::<f32>(8 * 36, 2), (8, 4, 3, 3));
        let b = device.tensor_from_vec(numbers::<f32>(8, 3), (8,));
        let y = Cpu::try_conv2d::<Tanh, _, _, _, _, _>(g, x.leaky_trace(), &w, &b, (37, 8, 9, 9)).unwrap();
        let mut bits = y.as_vec();
        let grads = y.sum().backward();
        bits.extend(grads.get(&x).as_vec());
        bits.extend(grads.get(&w).as_vec());
        bits.extend(grads.get(&b).as_vec());
        bits.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    assert_eq!(pool(1).install(go), pool(3).install(go));
}

#[test]
fn a_sample_comes_out_the_same_whatever_stands_beside_it() {
    let sizes = [
        ([64, 8, 8], 128, 3, 2, 1),
        ([64, 8, 8], 64, 3, 2, 1),
        ([24, 8, 8], 48, 5, 2, 2),
        ([32, 2, 2], 300, 3, 2, 1),
        ([3, 12, 10], 70, 4, 2, 2),
        ([128, 5, 7], 3, 3, 2, 1),
        ([40, 6, 6], 40, 1, 2, 0),
        ([2, 20, 19], 1, 3, 1, 1),
        ([5, 18, 21], 2, 2, 1, 1),
        ([1, 40, 40], 3, 1, 2, 0),
        ([7, 30, 22], 9, 5, 3, 2),
        ([70, 7, 7], 600, 3, 2, 1),
        // Padding wider than the kernel, and pixels that no position sees.
        ([4, 9, 8], 11, 5, 1, 6),
        ([6, 50, 40], 12, 2, 5, 3),
        // With its padding too large for lanes.
        ([8, 8, 8], 8, 3, 64, 2048),
    ];
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for (image, maps, kernel, stride, padding) in sizes {
        let g = Geometry::new(image, maps, kernel, stride, padding);
        for way in [Way::Conv, Way::Transposed] {
            let (all, slopes) = one.install(|| values_and_slopes(g, way, 37));
            for samples in [1, 2, 9, 36] {
                let (some, own) = one.install(|| values_and_slopes(g, way, samples));
                let same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same(&some, &all) && same(&own, &slopes), "{samples} of {g:?}");
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn lanes_are_for_many_samples_that_are_small_with_their_padding() {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let has = |g: Geometry, samples| {
        let weight = vec![0.0; g.map[0] * g.patch()];
        one.install(|| super::lanes::Lanes::new(&g, true, &weight, samples).is_some())
    };
    let usual = Geometry::new([24, 8, 8], 48, 5, 2, 2);
    assert_eq!(has(usual, 16), std::arch::is_x86_feature_detected!("avx512f"));
    assert!(!has(usual, 15));
    assert!(!has(Geometry::new([8, 8, 8], 8, 3, 64, 2048), 16));
}

/// Of some samples that two convolutions see, so that the slopes of the second are added to those of the first.
fn values_and_slopes(g: Geometry, way: Way, samples: usize) -> (Vec<f32>, Vec<f32>) {
    let device = Cpu::default();
    let ([c, h, w], [o, oh, ow]) = match way {
        Way::Conv => (g.image, g.map),
        Way::Transposed => (g.map, g.image),
    };
    let x = device.tensor_from_vec(numbers::<f32>(samples * c * h * w, 1), (samples, c, h, w));
    let weight =
        device.tensor_from_vec(numbers::<f32>(g.map[0] * g.patch(), 2), (g.map[0], g.image[0], g.kernel, g.kernel));
    let bias = device.tensor_from_vec(numbers::<f32>(o, 3), (o,));
    let shape = (samples, o, oh, ow);
    let [first, second] = [x.leaky_trace(), x.leaky_trace()].map(|x| match way {
        Way::Conv => Cpu::try_conv2d::<Silu, _, _, _, _, _>(g, x, &weight, &bias, shape).unwrap(),
        Way::Transposed => Cpu::try_conv_transpose2d::<Silu, _, _, _, _, _>(g, x, &weight, &bias, shape).unwrap(),
    });
    let values = first.as_vec();
    (values, (first + second * 0.5).sum().backward().get(&x).as_vec())
}
