//! The patches of some images, a column each: what every place of a map sees.

use super::Geometry;
use crate::{
    nn::ops::{Real, cpu::Matrix},
    simd::vectorised,
};

/// Room for the patches of some images. For one method alone: the padding, which is never written by [`of`](Self::of), then stays zero.
pub(super) struct Room<E> {
    geometry: Geometry,
    samples: usize,
    /// `(patch, sample, place)`; nothing before they are needed.
    patches: Vec<E>,
}

impl<E: Real> Room<E> {
    /// For as many images at a time, or fewer.
    pub(super) fn new(geometry: &Geometry, samples: usize) -> Self {
        Self { geometry: *geometry, samples, patches: Vec::new() }
    }

    /// The patches of images, `(patch, sample · place)`.
    pub(super) fn of<'a>(&'a mut self, images: &'a [E]) -> Matrix<'a, E> {
        let g = self.geometry;
        let columns = images.len() / g.image_len() * g.positions();
        if pointwise(&g) {
            return Matrix::new(images, g.patch(), columns);
        }
        self.make();
        vectorised!(match g.stride {
            1 => self.lay::<1>(images),
            2 => self.lay::<2>(images),
            _ => self.lay::<0>(images),
        });
        Matrix::block(&self.patches, g.patch(), columns, self.samples * g.positions())
    }

    /// Adds to every pixel of images what the patches that see it hold of it. `fill` writes the patches, `(patch, sample · place)`; it is
    /// told how far apart their rows lie.
    pub(super) fn add_to(&mut self, images: &mut [E], fill: impl FnOnce(&mut [E], usize)) {
        self.make();
        fill(&mut self.patches, self.samples * self.geometry.positions());
        vectorised!(match self.geometry.stride {
            1 => self.pile::<1>(images),
            2 => self.pile::<2>(images),
            _ => self.pile::<0>(images),
        });
    }

    fn make(&mut self) {
        if self.patches.is_empty() {
            self.patches = vec![E::default(); self.geometry.patch() * self.samples * self.geometry.positions()];
        }
    }

    /// Writes the patches, for a stride of `S`, or any for 0.
    #[inline(always)]
    fn lay<const S: usize>(&mut self, images: &[E]) {
        let (g, given) = (self.geometry, images.len() / self.geometry.image_len());
        let stride = if S == 0 { g.stride } else { S };
        each_row(
            &g,
            [self.samples, given],
            #[inline(always)]
            |patch, pixel, len| {
                let to = &mut self.patches[patch..][..len];
                let from = &images[pixel..][..(len - 1) * stride + 1];
                match S {
                    1 => to.copy_from_slice(from),
                    2 => {
                        let (pairs, last) = from.as_chunks::<2>();
                        to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
                        to[len - 1] = last[0];
                    }
                    _ => to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, from)| *to = *from),
                }
            },
        );
    }

    /// Adds the patches to images, for a stride of `S`, or any for 0.
    #[inline(always)]
    fn pile<const S: usize>(&self, images: &mut [E]) {
        let (g, given) = (self.geometry, images.len() / self.geometry.image_len());
        let stride = if S == 0 { g.stride } else { S };
        each_row(
            &g,
            [self.samples, given],
            #[inline(always)]
            |patch, pixel, len| {
                let from = &self.patches[patch..][..len];
                let to = &mut images[pixel..][..(len - 1) * stride + 1];
                match S {
                    1 => to.iter_mut().zip(from).for_each(|(to, from)| *to += *from),
                    2 => {
                        let (pairs, last) = to.as_chunks_mut::<2>();
                        pairs.iter_mut().zip(from).for_each(|(pair, from)| pair[0] += *from);
                        last[0] += from[len - 1];
                    }
                    _ => to.iter_mut().step_by(stride).zip(from).for_each(|(to, from)| *to += *from),
                }
            },
        );
    }
}

/// Whether an image is its own patches.
pub(super) fn pointwise(g: &Geometry) -> bool {
    g.kernel == 1 && g.stride == 1 && g.padding == 0
}

/// What a tap of the kernel sees of a row, for every tap, row and image: where it begins in patches with room for so many images, where
/// among the images given, and of how many numbers it is. In the images these lie a stride apart.
#[inline(always)]
fn each_row(g: &Geometry, [samples, given]: [usize; 2], mut each: impl FnMut(usize, usize, usize)) {
    let ([channels, height, width], [_, map_height, map_width]) = (g.image, g.map);
    let (places, one) = (g.positions(), g.image_len());
    let mut tap = 0;
    for c in 0..channels {
        for u in 0..g.kernel {
            for v in 0..g.kernel {
                // The columns j of the map with 0 ≤ j · stride + v − padding < width.
                let first = g.padding.saturating_sub(v).div_ceil(g.stride);
                let end = (width + g.padding).saturating_sub(v).div_ceil(g.stride).min(map_width);
                for i in 0..if first < end { map_height } else { 0 } {
                    let Some(y) = g.source(i, u, height) else { continue };
                    let patch = tap * samples * places + i * map_width + first;
                    let pixel = (c * height + y) * width + first * g.stride + v - g.padding;
                    (0..given).for_each(|sample| each(patch + sample * places, pixel + sample * one, end - first));
                }
                tap += 1;
            }
        }
    }
}
