//! The fused kernel: a sequence is a task, its heads one after the other.

use dfdx::{
    shapes::{Dim, HasShape},
    tensor::{Cpu, PutTape, SplitTape, Tape, TensorFromVec},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;

use super::{AttendKernel, Distances, Heads, Positions};
use crate::{
    nn::ops::{
        Real,
        cpu::{Matrix, Threads, buffer, matmul, matmul_block, view},
        lanes,
    },
    simd::vectorised,
};

/// Which channels of which positions belong to a head.
#[derive(Clone, Copy)]
struct Layout {
    length: usize,
    heads: usize,
    causal: bool,
    /// Channels of all heads, and of one.
    width: usize,
    head: usize,
}

impl Layout {
    fn new(Heads { length, heads, causal }: Heads, rows: usize, width: usize) -> Self {
        assert!(length > 0 && rows.is_multiple_of(length), "{rows} positions are not sequences of {length}");
        assert!(heads > 0 && width.is_multiple_of(heads), "{heads} heads do not divide {width} channels");
        Self { length, heads, causal, width, head: width / heads }
    }

    /// A head of a sequence, `(length, head)`.
    fn of<E: Real>(self, sequence: &[E], head: usize) -> Matrix<'_, E> {
        Matrix::block(&sequence[head * self.head..], self.length, self.head, self.width)
    }

    #[inline(always)]
    fn scale<E: Real>(self) -> E {
        E::of(1.0 / (self.head as f64).sqrt())
    }

    /// Weights of every head of a sequence, `(heads, length, length)`.
    fn weights(self) -> usize {
        self.heads * self.length * self.length
    }

    /// What is added to the scores of row `i` of a head.
    #[inline(always)]
    fn added<E: Real>(self, r: &[E], head: usize, i: usize) -> &[E] {
        let each = r.len() / self.heads;
        let from = head * each + each / 2 - i;
        &r[from..from + self.length]
    }

    fn forward<E: Real>(self, [q, k, v]: [&[E]; 3], r: Option<&[E]>, weights: &mut [E], y: &mut [E]) {
        let l = self.length;
        for (h, weights) in weights.chunks_exact_mut(l * l).enumerate() {
            matmul(weights, false, self.of(q, h), self.of(k, h).transpose(), Threads::One);
            vectorised!(Self::weigh(self, h, r, &mut *weights));
            let weights = Matrix::new(weights, l, l);
            matmul_block(&mut y[h * self.head..], self.width, false, weights, self.of(v, h), Threads::One);
        }
    }

    /// Scores of a head become weights.
    #[inline(always)]
    fn weigh<E: Real>(self, head: usize, r: Option<&[E]>, scores: &mut [E]) {
        for (i, row) in scores.chunks_exact_mut(self.length).enumerate() {
            let seen = if self.causal { i + 1 } else { self.length };
            row[seen..].fill(E::default());
            softmax(&mut row[..seen], self.scale(), r.map(|r| self.added(r, head, i)));
        }
    }

    /// Slopes along the weights of a head become slopes along scores, and are added to those along `r`.
    #[inline(always)]
    fn unweigh<E: Real>(self, head: usize, weights: &[E], slopes: &mut [E], dr: &mut [E]) {
        let (l, each) = (self.length, dr.len() / self.heads);
        for (i, (slopes, weights)) in slopes.chunks_exact_mut(l).zip(weights.chunks_exact(l)).enumerate() {
            let added = (each > 0).then(|| {
                let from = head * each + each / 2 - i;
                &mut dr[from..from + l]
            });
            through_softmax(slopes, weights, self.scale(), added);
        }
    }

    /// Adds the slopes along queries, keys, values, and what is added to scores.
    fn backward<E: Real>(
        self,
        [q, k, v]: [&[E]; 3],
        weights: &[E],
        dy: &[E],
        Part { q: dq, k: dk, v: dv, r: dr }: &mut Part<E>,
        ds: &mut [E],
    ) {
        let l = self.length;
        for (h, weights) in weights.chunks_exact(l * l).enumerate() {
            let (at, w) = (h * self.head, Matrix::new(weights, l, l));
            matmul_block(&mut dv[at..], self.width, true, w.transpose(), self.of(dy, h), Threads::One);
            matmul(ds, false, self.of(dy, h), self.of(v, h).transpose(), Threads::One);
            vectorised!(Self::unweigh(self, h, weights, &mut *ds, &mut dr[..]));
            let ds = Matrix::new(ds, l, l);
            matmul_block(&mut dq[at..], self.width, true, ds, self.of(k, h), Threads::One);
            matmul_block(&mut dk[at..], self.width, true, ds.transpose(), self.of(q, h), Threads::One);
        }
    }
}

/// The slopes of a sequence.
struct Part<E> {
    q: Vec<E>,
    k: Vec<E>,
    v: Vec<E>,
    r: Vec<E>,
}

/// One of them.
type Of<E> = fn(&Part<E>) -> &[E];

impl<E> Part<E> {
    fn q(&self) -> &[E] {
        &self.q
    }

    fn k(&self) -> &[E] {
        &self.k
    }

    fn v(&self) -> &[E] {
        &self.v
    }
}

/// `softmax(scale · row + added)`
#[inline(always)]
fn softmax<E: Real>(row: &mut [E], scale: E, added: Option<&[E]>) {
    match added {
        Some(added) => row.iter_mut().zip(added).for_each(|(x, r)| *x = *x * scale + *r),
        None => row.iter_mut().for_each(|x| *x *= scale),
    }
    let most = lanes::largest(row);
    row.iter_mut().for_each(|x| *x = (*x - most).exp());
    let share = E::ONE / lanes::sum(row, row, |x, _| x);
    row.iter_mut().for_each(|x| *x *= share);
}

/// From the slopes along weights to those along scores, and to what is added to them.
#[inline(always)]
fn through_softmax<E: Real>(slopes: &mut [E], weights: &[E], scale: E, added: Option<&mut [E]>) {
    let mean = lanes::sum(slopes, weights, |d, w| d * w);
    slopes.iter_mut().zip(weights).for_each(|(d, w)| *d = (*d - mean) * *w);
    if let Some(added) = added {
        added.iter_mut().zip(&*slopes).for_each(|(to, d)| *to += *d);
    }
    slopes.iter_mut().for_each(|d| *d *= scale);
}

impl<E: Real> AttendKernel<E> for Cpu
where
    Cpu: dfdx::tensor_ops::Device<E>,
{
    fn try_attend<M: Dim, T: Tape<E, Self>>(
        q: Positions<M, E, Self, T>,
        k: Positions<M, E, Self, T>,
        v: Positions<M, E, Self, T>,
        distances: Option<&Distances<E, Self>>,
        heads: Heads,
    ) -> Result<Positions<M, E, Self, T>, Self::Err> {
        let (q, tape) = q.try_contiguous()?.split_tape();
        let (k, key_tape) = k.try_contiguous()?.split_tape();
        let (v, value_tape) = v.try_contiguous()?.split_tape();
        let mut tape = tape.merge(key_tape).merge(value_tape);
        let (shape, width) = (*q.shape(), q.shape().1.size());
        assert!(
            k.shape() == &shape && v.shape() == &shape,
            "{:?} keys and {:?} values for {shape:?} queries",
            k.shape(),
            v.shape()
        );
        let layout = Layout::new(heads, shape.0, width);
        let sequence = layout.length * width;
        let r = distances.cloned();
        if let Some(r) = &r {
            let (of, reach) = *r.shape();
            let fits = of == layout.heads && reach % 2 == 1 && reach / 2 + 1 >= layout.length;
            assert!(fits, "distances {:?} for {} heads and sequences of {}", r.shape(), layout.heads, layout.length);
        }
        let (mut y, mut weights) =
            (vec![E::default(); shape.0 * width], vec![E::default(); shape.0 / layout.length * layout.weights()]);
        let [qs, ks, vs] = [&q, &k, &v].map(|x| view(x));
        let rs = r.as_ref().map(|r| view(r));
        y.par_chunks_mut(sequence).zip(weights.par_chunks_mut(layout.weights())).enumerate().for_each(
            |(i, (y, weights))| {
                let of =
                    |x: &'_ [E]| -> std::ops::Range<usize> { i * sequence..(i * sequence + sequence).min(x.len()) };
                layout.forward([&qs[of(qs)], &ks[of(ks)], &vs[of(vs)]], rs, weights, y);
            },
        );
        let out = q.device().try_tensor_from_vec(y, shape)?;
        if T::OWNS_TAPE {
            let ghost = out.ghost();
            tape.add_backward_op(move |grads| {
                let given = std::mem::take(buffer::<E>(grads.get_or_alloc_mut(&ghost)?));
                let [qs, ks, vs] = [&q, &k, &v].map(|x| view(x));
                let reach = r.as_ref().map_or(0, |r| layout.heads * r.shape().1);
                // The three may be one tensor, or share a history: each takes its own share in turn.
                let part = |i: usize| {
                    let at = i * sequence..(i + 1) * sequence;
                    let none = |n: usize| vec![E::default(); n];
                    let mut part = Part { q: none(sequence), k: none(sequence), v: none(sequence), r: none(reach) };
                    let mut ds = none(layout.length * layout.length);
                    let weights = &weights[i * layout.weights()..(i + 1) * layout.weights()];
                    let of = [&qs[at.clone()], &ks[at.clone()], &vs[at.clone()]];
                    layout.backward(of, weights, &given[at], &mut part, &mut ds);
                    part
                };
                let parts: Vec<Part<E>> = (0..shape.0 / layout.length).into_par_iter().map(part).collect();
                for (tensor, of) in [(&q, Part::q as Of<E>), (&k, Part::k), (&v, Part::v)] {
                    let into = buffer::<E>(grads.get_or_alloc_mut(tensor)?);
                    into.par_chunks_mut(sequence).zip(&parts).for_each(|(into, part)| {
                        vectorised!(into.iter_mut().zip(of(part)).for_each(|(to, d)| *to += *d));
                    });
                }
                if let Some(r) = &r {
                    let into = buffer::<E>(grads.get_or_alloc_mut(r)?);
                    parts.iter().for_each(|part| into.iter_mut().zip(&part.r).for_each(|(to, d)| *to += *d));
                }
                *buffer::<E>(grads.get_or_alloc_mut(&ghost)?) = given;
                Ok(())
            });
        }
        Ok(out.put_tape(tape))
    }
}
