//! The linear map of a convolution and its adjoint, for some samples at a time.

#[cfg(target_arch = "x86_64")]
use super::lanes::{LANES, Lanes};
use super::{
    Geometry,
    patches::{Room, pointwise},
};
use crate::nn::ops::{
    Real,
    cpu::{Matrix, Threads, is_steady, matmul, matmul_block},
};
use std::{any::TypeId, borrow::Cow};

/// The most tasks that sums over the batch are split into. Fixed, so that sums do not depend on the number of threads.
pub(super) const TASKS: usize = 8;
/// Places that make a product of matrices as fast as it gets.
const WIDE: usize = 256;

/// `map = W · patches(image)`, or its adjoint `image = patchesᵀ(Wᵀ · map)`.
pub(super) struct Linear<'a, E> {
    geometry: Geometry,
    to_map: bool,
    weight: &'a [E],
    /// Samples that go through a product of matrices together.
    together: usize,
    #[cfg(target_arch = "x86_64")]
    lanes: Option<Lanes>,
}

impl<'a, E: Real> Linear<'a, E> {
    /// For a batch of so many samples.
    pub(super) fn new(geometry: Geometry, to_map: bool, weight: &'a [E], samples: usize) -> Self {
        #[cfg(target_arch = "x86_64")]
        let lanes = same(weight).and_then(|weight| Lanes::new(&geometry, to_map, weight, samples));
        let together = together(&geometry, samples);
        Self {
            geometry,
            to_map,
            weight,
            together,
            #[cfg(target_arch = "x86_64")]
            lanes,
        }
    }

    /// Samples that are a task of their own.
    pub(super) fn group(&self) -> usize {
        #[cfg(target_arch = "x86_64")]
        if self.lanes.is_some() {
            return LANES;
        }
        self.together
    }

    pub(super) fn room(&self) -> Room<E> {
        Room::new(&self.geometry, self.together)
    }

    /// What this makes of a group of samples, or fewer, plus a number for each channel; without these it is added to what is there.
    pub(super) fn run(&self, bias: Option<&[E]>, from: &[E], to: &mut [E], room: &mut Room<E>) {
        let [from_len, to_len] = self.lens();
        #[cfg(target_arch = "x86_64")]
        if let Some(lanes) = self.lanes.as_ref().filter(|_| to.len() == LANES * to_len)
            && let (Some(from), Some(to)) = (same(from), same_mut(to))
        {
            return lanes.run(bias.and_then(same), from, to);
        }
        if let Some(bias) = bias {
            let plane = to_len / bias.len();
            to.chunks_exact_mut(plane).zip(bias.iter().cycle()).for_each(|(plane, b)| plane.fill(*b));
        }
        let add = if self.to_map { add_map } else { add_image };
        for (from, to) in from.chunks(self.together * from_len).zip(to.chunks_mut(self.together * to_len)) {
            add(&self.geometry, self.weight, from, to, room);
        }
    }

    /// Numbers of what is given, and of what is made of it.
    fn lens(&self) -> [usize; 2] {
        let (image, map) = (self.geometry.image_len(), self.geometry.map_len());
        if self.to_map { [image, map] } else { [map, image] }
    }
}

/// Elements of a type as those of another, where it is the same.
fn same<A: 'static, B: 'static>(elements: &[A]) -> Option<&[B]> {
    // SAFETY: it is the same type.
    (TypeId::of::<A>() == TypeId::of::<B>()).then(|| unsafe { &*(std::ptr::from_ref(elements) as *const [B]) })
}

/// As [`same`], to change.
fn same_mut<A: 'static, B: 'static>(elements: &mut [A]) -> Option<&mut [B]> {
    // SAFETY: it is the same type.
    (TypeId::of::<A>() == TypeId::of::<B>()).then(|| unsafe { &mut *(std::ptr::from_mut(elements) as *mut [B]) })
}

/// Samples that go through a product together: maps of a few places are too narrow for it. One alone where it would not come out the
/// same beside others.
fn together(g: &Geometry, samples: usize) -> usize {
    let (maps, patch, places) = (g.map[0], g.patch(), g.positions());
    match !pointwise(g) && is_steady(maps, places) && is_steady(patch, places) {
        true => (WIDE / places).min(samples.div_ceil(TASKS)).max(1),
        false => 1,
    }
}

/// `maps += W · patches(images)`.
fn add_map<E: Real>(g: &Geometry, weight: &[E], images: &[E], maps: &mut [E], room: &mut Room<E>) {
    let weight = Matrix::new(weight, g.map[0], g.patch());
    let samples = maps.len() / g.map_len();
    if samples == 1 {
        return matmul(maps, true, weight, room.of(images), Threads::One);
    }
    let mut beside = side_by_side(g, maps);
    matmul(&mut beside, true, weight, room.of(images), Threads::One);
    for (sample, map) in maps.chunks_exact_mut(g.map_len()).enumerate() {
        for (channel, row) in map.chunks_exact_mut(g.positions()).enumerate() {
            row.copy_from_slice(&beside[(channel * samples + sample) * g.positions()..][..g.positions()]);
        }
    }
}

/// `images += patchesᵀ(Wᵀ · maps)`, the adjoint of [`add_map`].
fn add_image<E: Real>(g: &Geometry, weight: &[E], maps: &[E], images: &mut [E], room: &mut Room<E>) {
    let weight = Matrix::new(weight, g.map[0], g.patch()).transpose();
    let samples = maps.len() / g.map_len();
    let beside = if samples == 1 { Cow::Borrowed(maps) } else { Cow::Owned(side_by_side(g, maps)) };
    let maps = Matrix::new(&beside, g.map[0], samples * g.positions());
    if pointwise(g) {
        return matmul(images, true, weight, maps, Threads::One);
    }
    room.add_to(images, |patches, apart| matmul_block(patches, apart, false, weight, maps, Threads::One));
}

/// Maps `(sample, channel, place)` as `(channel, sample, place)`.
fn side_by_side<E: Real>(g: &Geometry, maps: &[E]) -> Vec<E> {
    let (samples, places) = (maps.len() / g.map_len(), g.positions());
    let row = |i: usize| &maps[(i % samples * g.map[0] + i / samples) * places..][..places];
    let mut beside = Vec::with_capacity(maps.len());
    (0..samples * g.map[0]).for_each(|i| beside.extend_from_slice(row(i)));
    beside
}
