//! Linear bijections.

use crate::{
    Error, Result,
    flows::{
        Batch, Bijection, FastForward, FastInverse, PerRow, Phase, VolumePreserving, WithLogDet,
        bijection::{free, no_change, typed},
    },
    nn::{Device, Real, any_shape, fields},
    random::{Seed, permutation},
};
use dfdx::{
    dtypes::Dtype,
    shapes::{Axes2, Axis, Dim, HasShape},
    tensor::{Cpu, Storage, Tape, Tensor, WithEmptyTape},
    tensor_ops::{BroadcastTo, PermuteTo, SumTo, TryMatMul},
};
use nalgebra::DMatrix;
use rand_distr::{Distribution, StandardNormal};
use std::marker::PhantomData;

type Square<E, Dev, T> = Tensor<(usize, usize), E, Dev, T>;

/// An invertible matrix as a product of a permutation and triangular factors.
///
/// ```text
/// z = P L (U + diag e^s) x      log |det| = Σ s
/// ```
///
/// `P` is fixed, `L` has ones on its diagonal, `U` is strictly upper triangular. Source: Kingma and Dhariwal 2018, §3.2.
#[derive(Clone, Debug)]
pub struct Lu<D, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    /// `L` below its diagonal and `U` above it; what is on the diagonal is of no effect.
    factors: Tensor<(usize, usize), E, Dev>,
    log_scale: Tensor<(usize,), E, Dev>,
    order: Tensor<(usize, usize), E, Dev>,
    what: PhantomData<D>,
}

/// A rotation as a product of reflections.
///
/// ```text
/// z = Q x      Q = Π (I − 2 v vᵀ / |v|²)      log |det| = 0
/// ```
/// Source: Tomczak and Welling 2016; Meng et al. 2020, §3.2.
#[derive(Clone, Debug)]
pub struct Householder<D, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    /// `v`, one a row.
    vectors: Tensor<(usize, usize), E, Dev>,
    what: PhantomData<D>,
}

/// A fixed rotation: at random, or onto the principal axes of the data.
///
/// ```text
/// z = Q x      log |det| = 0
/// ```
#[derive(Clone, Debug)]
pub struct Rotation<D, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    matrix: Tensor<(usize, usize), E, Dev>,
    /// 1 where it turns onto the principal axes of the rows it is shown at the start.
    principal: usize,
    what: PhantomData<D>,
}

/// `1` where the condition holds, `0` elsewhere.
fn pattern<E: Real, Dev: Device<E>>(
    device: &Dev,
    d: usize,
    is: impl Fn(usize, usize) -> bool,
) -> Tensor<(usize, usize), E, Dev> {
    let values = (0..d * d).map(|at| if is(at / d, at % d) { E::ONE } else { E::default() });
    device.tensor_from_vec(values.collect(), (d, d))
}

impl<D: Dim, E: Real, Dev: Device<E>> Lu<D, E, Dev> {
    /// A permutation of the coordinates; with `seed`, a random one.
    ///
    /// # Errors
    /// When there are no coordinates, or the device has no memory for it.
    pub fn new(device: &Dev, dims: D, seed: Option<Seed>) -> Result<Self> {
        let d = dims.size();
        if d == 0 {
            return Err(Error::invalid("a matrix of 0 rows; at least 1 is needed"));
        }
        let order = seed.map_or_else(|| (0..d).collect(), |seed| permutation(d, &mut seed.stream("lu", 0)));
        Ok(Self {
            factors: device.try_zeros_like(&(d, d)).map_err(Error::invalid)?,
            log_scale: device.try_zeros_like(&(d,)).map_err(Error::invalid)?,
            order: pattern(device, d, |i, j| order[i] == j),
            what: PhantomData,
        })
    }

    /// `P L (U + diag e^s)`.
    fn matrix<T: Tape<E, Dev>>(&self) -> Square<E, Dev, T> {
        let (device, d) = (self.factors.device(), self.factors.shape().0);
        let one = pattern::<E, _>(device, d, |i, j| i == j);
        let lower = self.factors.retaped::<T>() * pattern(device, d, |i, j| i > j) + one.clone();
        let scale = self.log_scale.retaped::<T>().exp().broadcast_like::<_, Axis<0>>(&(d, d)) * one;
        let upper = self.factors.retaped::<T>() * pattern(device, d, |i, j| i < j) + scale;
        self.order.retaped::<T>().matmul(lower.matmul(upper))
    }

    /// The inverse of [`matrix`](Self::matrix), with its gradient.
    ///
    /// `A⁻¹` is computed without history; `A⁻¹ − A⁻¹ (B − A) A⁻¹` with `B = A` has its value, and its slopes along `B`.
    fn inverse_matrix<T: Tape<E, Dev>>(&self) -> Square<E, Dev, T> {
        let (device, d) = (self.factors.device().clone(), self.factors.shape().0);
        let matrix: Square<E, Dev, T> = self.matrix();
        let values: Vec<f64> = matrix.as_vec().into_iter().map(Real::wide).collect();
        // A product of triangular factors with positive diagonals has an inverse, unless it has overflowed.
        let inverse = DMatrix::from_row_slice(d, d, &values)
            .try_inverse()
            .unwrap_or_else(|| DMatrix::from_element(d, d, f64::NAN));
        let inverse = by_rows(&inverse);
        let inverse: Square<E, Dev, dfdx::tensor::NoneTape> = device.tensor_from_vec(inverse, (d, d));
        if !T::OWNS_TAPE {
            return inverse.retaped();
        }
        let still = device.tensor_from_vec(matrix.as_vec(), (d, d));
        let change = matrix - still;
        let along = inverse.retaped::<T>().matmul(change.matmul(inverse.clone()));
        along.negate() + inverse
    }

    fn log_det<T: Tape<E, Dev>>(&self, rows: usize) -> PerRow<E, Dev, T> {
        self.log_scale.retaped::<T>().sum().broadcast_like(&(rows,))
    }
}

/// `M` times every row.
fn rotated<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    x: Batch<D, E, Dev, T>,
    matrix: Square<E, Dev, T>,
) -> Batch<D, E, Dev, T> {
    typed(free(x).matmul(matrix.permute::<_, Axes2<1, 0>>()))
}

impl<D: Dim, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for Lu<D, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let rows = x.shape().0;
        (rotated(x, self.matrix()), self.log_det(rows))
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let rows = z.shape().0;
        (rotated(z, self.inverse_matrix()), self.log_det(rows).negate())
    }

    fn check(&self) -> Result<()> {
        let (d, order) = (self.factors.shape().0, Dev::elements(&self.order));
        let ones = |values: &mut dyn Iterator<Item = E>| {
            let values: Vec<f64> = values.map(Real::wide).collect();
            values.iter().all(|x| *x == 0.0 || *x == 1.0) && values.iter().sum::<f64>() == 1.0
        };
        let rows = (0..d).all(|i| ones(&mut order[i * d..(i + 1) * d].iter().copied()));
        let columns = (0..d).all(|j| ones(&mut order[j..].iter().step_by(d).copied()));
        match rows && columns {
            true => Ok(()),
            false => Err(Error::invalid("a linear layer whose order is not an order of the columns")),
        }
    }
}

impl<D, E: Dtype, Dev: Storage<E>> FastForward for Lu<D, E, Dev> {}
impl<D, E: Dtype, Dev: Storage<E>> FastInverse for Lu<D, E, Dev> {}

fields! {
    [D,] Lu[D,] {
        tensor factors: any_shape(true),
        tensor log_scale: any_shape(true),
        tensor order: any_shape(false),
    } what
}

impl<D: Dim, E: Real, Dev: Device<E>> Householder<D, E, Dev> {
    /// `reflections` at random; as many as there are coordinates can be any rotation.
    ///
    /// # Errors
    /// When there are no coordinates or no reflections, or the device has no memory for it.
    pub fn new(device: &Dev, dims: D, reflections: usize, seed: Seed) -> Result<Self> {
        let d = dims.size();
        if d == 0 || reflections == 0 {
            return Err(Error::invalid(format!("{reflections} reflections of {d} coordinates; at least 1 of each")));
        }
        let mut rng = seed.stream("householder", 0);
        let values = (0..reflections * d).map(|_| E::of(StandardNormal.sample(&mut rng))).collect();
        let vectors = device.try_tensor_from_vec(values, (reflections, d)).map_err(Error::invalid)?;
        Ok(Self { vectors, what: PhantomData })
    }

    /// `Q`.
    fn matrix<T: Tape<E, Dev>>(&self) -> Square<E, Dev, T> {
        let (n, d) = *self.vectors.shape();
        let device = self.vectors.device();
        let start: Square<E, Dev, T> = pattern(device, d, |i, j| i == j).retaped();
        (0..n).fold(start, |q, i| {
            let pick = (0..n).map(|j| if i == j { E::ONE } else { E::default() }).collect();
            let pick = device.tensor_from_vec(pick, (1, n));
            let v: Square<E, Dev, T> = pick.retaped::<T>().matmul(self.vectors.retaped::<T>());
            let square = v.with_empty_tape().square().sum::<_, Axis<1>>();
            let unit = v.with_empty_tape() / square.sqrt().broadcast_like::<_, Axis<1>>(&(1, d));
            let along = q.with_empty_tape().matmul(unit.with_empty_tape().permute::<_, Axes2<1, 0>>());
            q - along.matmul(unit) * E::of(2.0)
        })
    }
}

impl<D: Dim, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for Householder<D, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let zeros = no_change(&x);
        (rotated(x, self.matrix()), zeros)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let zeros = no_change(&z);
        (rotated(z, self.matrix().permute::<_, Axes2<1, 0>>()), zeros)
    }

    fn check(&self) -> Result<()> {
        let (n, d) = *self.vectors.shape();
        let vectors = Dev::elements(&self.vectors);
        match (0..n).all(|i| vectors[i * d..(i + 1) * d].iter().any(|x| x.wide() != 0.0)) {
            true => Ok(()),
            false => Err(Error::invalid("a reflection along a vector of zeros")),
        }
    }
}

impl<D, E: Dtype, Dev: Storage<E>> FastForward for Householder<D, E, Dev> {}
impl<D, E: Dtype, Dev: Storage<E>> FastInverse for Householder<D, E, Dev> {}
impl<D, E: Dtype, Dev: Storage<E>> VolumePreserving for Householder<D, E, Dev> {}

fields! { [D,] Householder[D,] { tensor vectors: any_shape(true) } what }

impl<D: Dim, E: Real, Dev: Device<E>> Rotation<D, E, Dev> {
    /// Uniform among all rotations and reflections. Source: Stewart 1980.
    ///
    /// # Errors
    /// When there are no coordinates, or the device has no memory for it.
    pub fn random(device: &Dev, dims: D, seed: Seed) -> Result<Self> {
        let d = dims.size();
        if d == 0 {
            return Err(Error::invalid("a rotation of 0 coordinates; at least 1 is needed"));
        }
        let mut rng = seed.stream("rotation", 0);
        let normal = DMatrix::from_fn(d, d, |_, _| StandardNormal.sample(&mut rng));
        let (q, r) = normal.qr().unpack();
        // The signs of R's diagonal make Q unique, and so uniform.
        let matrix = DMatrix::from_fn(d, d, |i, j| q[(i, j)] * f64::signum(r[(j, j)]));
        Self::by(device, &matrix, false)
    }

    /// Onto the principal axes of the rows that [`adapt`](Bijection::adapt) shows it; the identity until then.
    ///
    /// # Errors
    /// As [`Self::random`].
    pub fn principal(device: &Dev, dims: D) -> Result<Self> {
        Self::by(device, &DMatrix::identity(dims.size(), dims.size()), true)
    }

    fn by(device: &Dev, matrix: &DMatrix<f64>, principal: bool) -> Result<Self> {
        let (d, values) = (matrix.nrows(), by_rows(matrix));
        let matrix = device.try_tensor_from_vec(values, (d, d)).map_err(Error::invalid)?;
        Ok(Self { matrix, principal: usize::from(principal), what: PhantomData })
    }
}

/// The elements row after row.
fn by_rows<E: Real>(matrix: &DMatrix<f64>) -> Vec<E> {
    matrix.transpose().iter().map(|x| E::of(*x)).collect()
}

impl<D: Dim, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for Rotation<D, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let zeros = no_change(&x);
        (rotated(x, self.matrix.retaped()), zeros)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let zeros = no_change(&z);
        (rotated(z, self.matrix.retaped::<T>().permute::<_, Axes2<1, 0>>()), zeros)
    }

    fn check(&self) -> Result<()> {
        let d = self.matrix.shape().0;
        let values: Vec<f64> = Dev::elements(&self.matrix).iter().map(|x| x.wide()).collect();
        let matrix = DMatrix::from_row_slice(d, d, &values);
        let away = (&matrix * matrix.transpose() - DMatrix::<f64>::identity(d, d)).amax();
        match away < 1e-3 {
            true => Ok(()),
            false => Err(Error::invalid("a rotation whose matrix is not orthogonal")),
        }
    }

    fn adapt(&mut self, x: Batch<D, E, Dev>, phase: Phase) -> Batch<D, E, Dev> {
        let (rows, d) = (x.shape().0, x.shape().1.size());
        if phase == Phase::Start && self.principal == 1 && rows > 1 {
            let values: Vec<f64> = x.as_vec().into_iter().map(Real::wide).collect();
            let mut values = DMatrix::from_row_slice(rows, d, &values);
            let mean = values.row_mean();
            values.row_iter_mut().for_each(|mut row| row -= &mean);
            let axes = (values.tr_mul(&values) / rows as f64).symmetric_eigen().eigenvectors;
            self.matrix.copy_from(&by_rows(&axes.transpose()));
        }
        self.forward(x).0
    }
}

impl<D, E: Dtype, Dev: Storage<E>> FastForward for Rotation<D, E, Dev> {}
impl<D, E: Dtype, Dev: Storage<E>> FastInverse for Rotation<D, E, Dev> {}
impl<D, E: Dtype, Dev: Storage<E>> VolumePreserving for Rotation<D, E, Dev> {}

fields! { [D,] Rotation[D,] { tensor matrix: any_shape(false), size principal } what }
