//! Convolutions of sixteen samples at a time, a sample to a lane of a vector: wherever a tap of the kernel looks it sees a whole
//! vector, so that no patches are laid out. For processors with AVX-512.
//!
//! Each number is the sum of the same products in the same order as in a product of matrices with [patches](super::patches), but for
//! products with padding, which are left out where a whole row of the kernel meets it: 0 unless the weight is not finite.

use super::{Geometry, patches::pointwise};
use crate::nn::ops::cpu::{is_steady, part};
use std::{arch::x86_64::*, cell::RefCell, ops::Range};

/// Samples that go together.
pub(super) const LANES: usize = 16;
/// Rows of a matrix that are multiplied together.
const ROWS: usize = 6;
/// The most vectors of the images, with their padding, and of the maps of some samples: with more, products of matrices were measured to be
/// as fast. It bounds what each thread keeps, too.
const MOST_VECTORS: usize = 1 << 17;
/// The most weights, for the same reason.
const MOST_WEIGHTS: usize = 1 << 18;

/// The same number of each sample.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Lane([f32; LANES]);

/// Where the numbers of images, or of maps, lie.
struct Side {
    /// Of each element of a patch, or of each channel of a map: where it is for the first position of the map.
    rows: Vec<usize>,
    /// How far a step down the map and one to the right lead.
    steps: [usize; 2],
    /// Where each number lies, in the order of a tensor.
    places: Vec<usize>,
    /// Where none lies.
    padding: Vec<usize>,
}

impl Side {
    /// Images within their padding.
    fn image(g: &Geometry) -> Self {
        let ([channels, height, width], k, p) = (g.image, g.kernel, g.padding);
        let [down, right] = [height + 2 * p, width + 2 * p];
        let pixel = |c: usize, y: usize, x: usize| (c * down + y) * right + x;
        let (mut places, mut padding) = (Vec::with_capacity(g.image_len()), Vec::new());
        for (c, y) in (0..channels).flat_map(|c| (0..down).map(move |y| (c, y))) {
            let (row, inside) = (pixel(c, y, 0), (p..p + height).contains(&y));
            let (begin, end) = if inside { (row + p, row + p + width) } else { (row, row) };
            padding.extend(row..begin);
            places.extend(begin..end);
            padding.extend(end..row + right);
        }
        let rows = (0..g.patch()).map(|i| pixel(i / (k * k), i / k % k, i % k)).collect();
        Self { rows, steps: [g.stride * right, g.stride], places, padding }
    }

    fn map(g: &Geometry) -> Self {
        let rows = (0..g.map[0]).map(|o| o * g.positions()).collect();
        Self { rows, steps: [g.map[2], 1], places: (0..g.map_len()).collect(), padding: Vec::new() }
    }

    fn vectors(&self) -> usize {
        self.places.len() + self.padding.len()
    }
}

/// From images to maps, or from maps to images.
pub(super) struct Lanes {
    from: Side,
    to: Side,
    to_map: bool,
    /// Width of the map.
    width: usize,
    /// Where rows of the result lie, [`ROWS`] or fewer at a time.
    blocks: Vec<Vec<usize>>,
    /// Those of the rows of a block, `(block, term)`.
    weights: Vec<[f32; ROWS]>,
    /// What the rows of the map see, from the first to the last.
    views: Vec<View>,
}

/// Some rows of a map that look into padding with the same rows of the kernel.
struct View {
    lines: Range<usize>,
    /// Blocks of rows of the result that are not in the padding alone.
    blocks: Vec<usize>,
    /// Of each part of a sum, the terms that are not.
    parts: Vec<Vec<Range<usize>>>,
}

/// The rows of the result, [`ROWS`] or fewer at a time, and what the rows of the map see.
fn views(g: &Geometry, to_map: bool) -> (Vec<Vec<usize>>, Vec<View>) {
    let sees = |i: usize, u: usize| g.source(i, u, g.image[1]).is_some();
    // Rows of the map that see padding with the same rows of the kernel, and the other way round.
    let (lines, taps): (Vec<usize>, Vec<usize>) = ((0..g.map[1]).collect(), (0..g.kernel).collect());
    let lines = lines.chunk_by(|a, b| taps.iter().all(|u| sees(*a, *u) == sees(*b, *u))).collect::<Vec<_>>();
    let taps = taps.chunk_by(|a, b| lines.iter().all(|i| sees(i[0], *a) == sees(i[0], *b)));

    let tap = |element: usize| element / g.kernel % g.kernel;
    let elements = |taps: &[usize]| (0..g.patch()).filter(|e| taps.contains(&tap(*e))).collect();
    let sections: Vec<Vec<usize>> = if to_map { vec![(0..g.map[0]).collect()] } else { taps.map(elements).collect() };
    let blocks: Vec<Vec<usize>> = sections.iter().flat_map(|rows| rows.chunks(ROWS)).map(<[usize]>::to_vec).collect();

    let terms = if to_map { g.patch() } else { g.map[0] };
    let part = part(terms);
    let views = lines.iter().map(|lines| {
        let sees = |element: usize| sees(lines[0], tap(element));
        let runs = |begin: usize| {
            let seen: Vec<usize> = (begin..terms.min(begin + part)).filter(|t| !to_map || sees(*t)).collect();
            seen.chunk_by(|a, b| a + 1 == *b).map(|run| run[0]..run[0] + run.len()).collect()
        };
        View {
            lines: lines[0]..lines[0] + lines.len(),
            blocks: (0..blocks.len()).filter(|b| to_map || sees(blocks[*b][0])).collect(),
            parts: (0..terms).step_by(part).map(runs).collect(),
        }
    });
    let views = views.collect();
    (blocks, views)
}

thread_local! {
    /// Where a thread lays samples: a room of its own that stays in its cache.
    static ROOM: RefCell<Vec<Lane>> = const { RefCell::new(Vec::new()) };
}

impl Lanes {
    /// For a batch of so many samples and `weight (maps, patch)`. Nothing where this is no gain, because the processor has no such vectors,
    /// the samples are too few for all threads or too large; nor where a product of matrices would sum in another order.
    pub(super) fn new(g: &Geometry, to_map: bool, weight: &[f32], samples: usize) -> Option<Self> {
        let (maps, patch) = (g.map[0], g.patch());
        let padded = [g.image[1], g.image[2]].map(|side| side.saturating_add(g.padding.saturating_mul(2)));
        let vectors = padded.into_iter().fold(g.image[0], usize::saturating_mul).saturating_add(g.map_len());
        if pointwise(g)
            || samples < LANES * rayon::current_num_threads()
            || vectors > MOST_VECTORS
            || weight.len() > MOST_WEIGHTS
            || maps.min(patch) < 3
            || part(maps) < maps
            || !is_steady(maps, g.positions())
            || !is_steady(patch, g.positions())
            || !std::arch::is_x86_feature_detected!("avx512f")
        {
            return None;
        }
        let (image, map) = (Side::image(g), Side::map(g));
        let (from, to) = if to_map { (image, map) } else { (map, image) };
        let (rows, views) = views(g, to_map);
        let terms = from.rows.len();
        let [row, term] = if to_map { [patch, 1] } else { [1, patch] };
        let mut weights = vec![[0.0; ROWS]; rows.len() * terms];
        for (weights, rows) in weights.chunks_exact_mut(terms).zip(&rows) {
            for (r, first) in rows.iter().enumerate() {
                let own = weight[first * row..].iter().step_by(term);
                weights.iter_mut().zip(own).for_each(|(weights, own)| weights[r] = *own);
            }
        }
        let blocks = rows.iter().map(|rows| rows.iter().map(|row| to.rows[*row]).collect()).collect();
        Some(Self { from, to, to_map, width: g.map[2], blocks, weights, views })
    }

    /// What this makes of samples, plus a number for each channel; without these it is added to what is there.
    pub(super) fn run(&self, bias: Option<&[f32]>, from: &[f32], to: &mut [f32]) {
        ROOM.with_borrow_mut(|room| {
            let vectors = self.from.vectors() + self.to.vectors();
            if room.len() < vectors {
                room.resize(vectors, Lane::default());
            }
            let (before, after) = room[..vectors].split_at_mut(self.from.vectors());
            // SAFETY: `new` has seen that the processor has AVX-512.
            unsafe {
                lay(from, &self.from, before);
                match bias {
                    Some(_) if self.to_map => {}
                    Some(bias) => fill(after, bias),
                    None if is_zero(to) => fill(after, &[0.0]),
                    None => lay(to, &self.to, after),
                }
                self.multiply(bias.filter(|_| self.to_map), before, after);
                take(after, &self.to, to);
            }
        });
    }

    /// `to[row, position] += Σ_terms W[row, term] · from[term, position]`, or `=` the same plus the bias of the row where there are biases.
    /// From the last position to the first: then a pixel meets the elements of its patches in their order.
    #[target_feature(enable = "avx512f")]
    fn multiply(&self, bias: Option<&[f32]>, from: &[Lane], to: &mut [Lane]) {
        for view in self.views.iter().rev() {
            for i in view.lines.clone().rev() {
                let mut end = self.width;
                while end > 0 {
                    end = match end {
                        4.. => self.multiply_at(view, bias, from, to, i, [1, 2, 3, 4].map(|before| end - before)),
                        2.. => self.multiply_at(view, bias, from, to, i, [end - 1, end - 2]),
                        _ => self.multiply_at(view, bias, from, to, i, [0]),
                    };
                }
            }
        }
    }

    /// Some positions of a row of the map; returns the last of them.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn multiply_at<const P: usize>(
        &self,
        view: &View,
        bias: Option<&[f32]>,
        from: &[Lane],
        to: &mut [Lane],
        i: usize,
        js: [usize; P],
    ) -> usize {
        let at = |side: &Side| js.map(|j| i * side.steps[0] + j * side.steps[1]);
        let (from_at, to_at, terms) = (at(&self.from), at(&self.to), &self.from.rows);
        for block in view.blocks.iter().copied() {
            let weights = &self.weights[block * terms.len()..][..terms.len()];
            for (k, part) in view.parts.iter().enumerate() {
                let sums = products(weights, terms, part, from, from_at);
                for (at, sums) in to_at.iter().zip(sums) {
                    for (r, (row, sum)) in self.blocks[block].iter().zip(sums).enumerate() {
                        let to = to[row + at].0.as_mut_ptr();
                        // SAFETY: a lane is a vector, and lies as one must.
                        unsafe {
                            let before = match bias {
                                Some(bias) if k == 0 => _mm512_set1_ps(bias[block * ROWS + r]),
                                _ => _mm512_load_ps(to),
                            };
                            _mm512_store_ps(to, _mm512_add_ps(before, sum));
                        }
                    }
                }
            }
        }
        js[P - 1]
    }
}

/// [`ROWS`] rows of a matrix times some columns: some terms of the sums.
#[target_feature(enable = "avx512f")]
#[inline]
fn products<const P: usize>(
    weights: &[[f32; ROWS]],
    terms: &[usize],
    part: &[Range<usize>],
    from: &[Lane],
    at: [usize; P],
) -> [[__m512; ROWS]; P] {
    let mut sums = [[_mm512_setzero_ps(); ROWS]; P];
    let columns = at.map(|at| &from[at..]);
    for run in part {
        for (weights, term) in weights[run.clone()].iter().zip(&terms[run.clone()]) {
            let mut numbers = [_mm512_setzero_ps(); P];
            for (number, column) in numbers.iter_mut().zip(columns) {
                // SAFETY: a lane is a vector, and lies as one must.
                *number = unsafe { _mm512_load_ps(column[*term].0.as_ptr()) };
            }
            for (r, weight) in weights.iter().enumerate() {
                let weight = _mm512_set1_ps(*weight);
                for (sums, number) in sums.iter_mut().zip(numbers) {
                    sums[r] = _mm512_fmadd_ps(weight, number, sums[r]);
                }
            }
        }
    }
    sums
}

/// The biases of the channels, one after another.
#[target_feature(enable = "avx512f")]
fn fill(lanes: &mut [Lane], bias: &[f32]) {
    let plane = lanes.len() / bias.len();
    for (lanes, b) in lanes.chunks_exact_mut(plane).zip(bias) {
        lanes.fill(Lane([*b; LANES]));
    }
}

/// Whether all are 0, and none −0.
#[target_feature(enable = "avx512f")]
fn is_zero(numbers: &[f32]) -> bool {
    numbers.chunks(256).all(|some| some.iter().fold(0, |bits, x| bits | x.to_bits()) == 0)
}

/// Samples, one after another, to lanes.
#[target_feature(enable = "avx512f")]
fn lay(samples: &[f32], side: &Side, lanes: &mut [Lane]) {
    let len = side.places.len();
    side.padding.iter().for_each(|place| lanes[*place] = Lane::default());
    let (blocks, rest) = side.places.as_chunks::<LANES>();
    for (block, places) in blocks.iter().enumerate() {
        let mut rows = [_mm512_setzero_ps(); LANES];
        for (l, to) in rows.iter_mut().enumerate() {
            let row = &samples[l * len + block * LANES..][..LANES];
            // SAFETY: a row is a vector.
            *to = unsafe { _mm512_loadu_ps(row.as_ptr()) };
        }
        for (place, vector) in places.iter().zip(turned(rows)) {
            // SAFETY: a lane is a vector, and lies as one must.
            unsafe { _mm512_store_ps(lanes[*place].0.as_mut_ptr(), vector) };
        }
    }
    for (i, place) in rest.iter().enumerate() {
        lanes[*place] = Lane(std::array::from_fn(|l| samples[l * len + blocks.len() * LANES + i]));
    }
}

/// Lanes to samples, one after another.
#[target_feature(enable = "avx512f")]
fn take(lanes: &[Lane], side: &Side, samples: &mut [f32]) {
    let len = side.places.len();
    let (blocks, rest) = side.places.as_chunks::<LANES>();
    for (block, places) in blocks.iter().enumerate() {
        let mut rows = [_mm512_setzero_ps(); LANES];
        for (row, place) in rows.iter_mut().zip(places) {
            // SAFETY: a lane is a vector, and lies as one must.
            *row = unsafe { _mm512_load_ps(lanes[*place].0.as_ptr()) };
        }
        for (l, vector) in turned(rows).into_iter().enumerate() {
            let row = &mut samples[l * len + block * LANES..][..LANES];
            // SAFETY: a row is a vector.
            unsafe { _mm512_storeu_ps(row.as_mut_ptr(), vector) };
        }
    }
    for (i, place) in rest.iter().enumerate() {
        for (l, number) in lanes[*place].0.iter().enumerate() {
            samples[l * len + blocks.len() * LANES + i] = *number;
        }
    }
}

/// Rows for columns.
#[target_feature(enable = "avx512f")]
#[inline]
fn turned(rows: [__m512; LANES]) -> [__m512; LANES] {
    // Within quarters of 4 × 4, then the quarters.
    let mut quads = rows;
    for (four, rows) in quads.chunks_exact_mut(4).zip(rows.chunks_exact(4)) {
        let [a, b] = [_mm512_unpacklo_ps(rows[0], rows[1]), _mm512_unpacklo_ps(rows[2], rows[3])];
        let [c, d] = [_mm512_unpackhi_ps(rows[0], rows[1]), _mm512_unpackhi_ps(rows[2], rows[3])];
        let [a, b] = [_mm512_castps_pd(a), _mm512_castps_pd(b)];
        let [c, d] = [_mm512_castps_pd(c), _mm512_castps_pd(d)];
        four[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
        four[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        four[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(c, d));
        four[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(c, d));
    }
    // `quads[4 q + i]` holds column `4 h + i` of rows `4 q ..` in its quarter `h`.
    let mut out = rows;
    for i in 0..4 {
        let [a, b, c, d] = [quads[i], quads[4 + i], quads[8 + i], quads[12 + i]];
        let low = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(c, d)];
        let high = [_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(c, d)];
        out[i] = _mm512_shuffle_f32x4::<0x88>(low[0], low[1]);
        out[8 + i] = _mm512_shuffle_f32x4::<0xdd>(low[0], low[1]);
        out[4 + i] = _mm512_shuffle_f32x4::<0x88>(high[0], high[1]);
        out[12 + i] = _mm512_shuffle_f32x4::<0xdd>(high[0], high[1]);
    }
    out
}
