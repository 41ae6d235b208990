//! What a diffusion model can be asked.

use super::{AnyDenoiser, DiffusionKind, DiffusionModel, Inner};
use crate::{
    Error, Result,
    data::{Dataset, Discrete, MISSING, Rows},
    diffusion::{Absorbing, Denoiser, Diffusion, Order, Process, Uniform, process::normalise},
    evidence::AnyEvidence,
    model::{Each, HowDrawn, Queries},
    random::Seed,
};

/// Rows that the network sees together.
const BLOCK: usize = 64;

impl Queries for DiffusionModel {
    fn kind(&self) -> &str {
        self.spec.kind.name()
    }

    fn answers(&self) -> &'static [&'static str] {
        match self.spec.kind {
            DiffusionKind::Multinomial => &["inpaint", "infill", "spellcheck"],
            DiffusionKind::Absorbing => {
                &["conditional", "inpaint", "infill", "spellcheck", "score --order", "compress", "decompress"]
            }
            DiffusionKind::Gaussian => &["inpaint", "infill"],
        }
    }

    /// Of an absorbing model: of each missing variable what the network says, with all others that are missing hidden.
    fn conditionals(&self, rows: &dyn Rows, variables: &[usize], each: &mut Each) -> Result<()> {
        let Inner::Absorbing(model) = &self.inner else { return Err(self.unanswered("conditional")) };
        model.check_rows(rows)?;
        let (length, k) = (rows.schema().len(), model.process().categories());
        let mut codes = Vec::new();
        for block in (0..rows.len()).collect::<Vec<_>>().chunks(BLOCK) {
            rows.read(block, &mut codes)?;
            let hidden = |code: &u16| if *code == MISSING { model.process().mask() as u16 } else { *code };
            let noisy: Vec<u16> = codes.iter().map(hidden).collect();
            let mut logits = model.denoiser().logits(&noisy, length, &vec![0.0; block.len()]);
            for (i, (row, logits)) in block.iter().zip(logits.chunks_exact_mut(length * k)).enumerate() {
                for v in variables {
                    let mut p = vec![0.0; k];
                    match codes[i * length + v] {
                        MISSING => {
                            let log_x0 = &mut logits[v * k..(v + 1) * k];
                            normalise(log_x0);
                            p.iter_mut().zip(&*log_x0).for_each(|(p, l)| *p = l.exp());
                        }
                        known => p[known as usize] = 1.0,
                    }
                    each(*row, *v, &p)?;
                }
            }
        }
        Ok(())
    }

    fn complete(&self, rows: &Dataset, seed: Seed) -> Result<Dataset> {
        self.complete_as(rows, &HowDrawn::default(), seed)
    }

    fn complete_as(&self, rows: &Dataset, how: &HowDrawn, seed: Seed) -> Result<Dataset> {
        Ok(self.draw(rows.discrete()?, how, seed)?.into())
    }

    fn in_orders(&self, rows: &Dataset, orders: &[Vec<usize>]) -> Result<AnyEvidence> {
        let Inner::Absorbing(model) = &self.inner else { return Err(self.unanswered("score --order")) };
        let orders = orders.iter().map(|order| Order::new(order.clone())).collect::<Result<Vec<_>>>()?;
        Ok(model.in_any_of(rows.discrete()?, &orders)?.any())
    }

    fn corrections(&self, rows: &Dataset, rate: f64, each: &mut Each) -> Result<()> {
        if !(rate > 0.0 && rate < 1.0) {
            return Err(Error::out_of_range("rate", rate, "0 < rate < 1"));
        }
        match &self.inner {
            Inner::Uniform(model) => at_its_time(model, rows.discrete()?, rate, each),
            Inner::Absorbing(model) => one_by_one(model, rows.discrete()?, rate, each),
            Inner::Gaussian(_) => Err(self.unanswered("spellcheck")),
        }
    }

    fn reads_shorter(&self) -> bool {
        true
    }

    fn compress(&self, rows: &Dataset) -> Result<Vec<u8>> {
        self.compressed(rows.discrete()?)
    }

    fn decompress(&self, bytes: &[u8]) -> Result<Dataset> {
        Ok(self.decompressed(bytes)?.into())
    }
}

impl DiffusionModel {
    /// The model, where the likelihood of an order is exact.
    pub(super) fn in_order(&self) -> Result<&Diffusion<Absorbing<usize, usize>, AnyDenoiser>> {
        self.absorbing().ok_or_else(|| self.unanswered("compress"))
    }
}

/// The step after which `rate` of all values are others, and the network's word on it:
/// `p(x_0^d | x_t) ∝ q(x_t^d | x_0^d) x̂_0^d(x_0 | x_t)`.
fn at_its_time(
    model: &Diffusion<Uniform<usize>, AnyDenoiser>,
    rows: &Discrete,
    rate: f64,
    each: &mut Each,
) -> Result<()> {
    let (process, k) = (model.process(), model.process().categories());
    let changed = |t: usize| process.schedule().at(t).lost * (k - 1) as f64 / k as f64;
    let t = (1..=process.steps()).min_by(|a, b| (changed(*a) - rate).abs().total_cmp(&(changed(*b) - rate).abs()));
    let t = t.unwrap_or(1);
    let (codes, lengths) = model.read(rows)?;
    let mut p = vec![0.0; k];
    for (row, row_codes) in codes.chunks_exact(rows.schema().len()).enumerate() {
        let row_codes = &row_codes[..lengths[row]];
        if row_codes.is_empty() {
            continue;
        }
        let mut logits = model.denoiser().logits(row_codes, row_codes.len(), &[process.time(t)]);
        for (d, (xt, log_x0)) in row_codes.iter().zip(logits.chunks_exact_mut(k)).enumerate() {
            normalise(log_x0);
            process.seen(t, *xt as usize, log_x0, &mut p);
            each(row, d, &p)?;
        }
    }
    Ok(())
}

/// Each position hidden in turn, all others taken as they stand.
fn one_by_one(
    model: &Diffusion<Absorbing<usize, usize>, AnyDenoiser>,
    rows: &Discrete,
    rate: f64,
    each: &mut Each,
) -> Result<()> {
    let (k, mask) = (model.process().categories(), model.process().mask() as u16);
    // What stands there is right, or one of the others.
    let (stays, other) = ((1.0 - rate).ln(), (rate / (k.max(2) - 1) as f64).ln());
    let (codes, lengths) = model.read(rows)?;
    for (row, row_codes) in codes.chunks_exact(rows.schema().len()).enumerate() {
        let length = lengths[row];
        let row_codes = &row_codes[..length];
        for block in (0..length).collect::<Vec<_>>().chunks(BLOCK) {
            let hide = |d: &usize| {
                let mut noisy = row_codes.to_vec();
                noisy[*d] = mask;
                noisy
            };
            let noisy: Vec<u16> = block.iter().flat_map(hide).collect();
            let mut logits = model.denoiser().logits(&noisy, length, &vec![0.0; block.len()]);
            for (d, logits) in block.iter().zip(logits.chunks_exact_mut(length * k)) {
                let log_x0 = &mut logits[d * k..(d + 1) * k];
                let stands = row_codes[*d] as usize;
                log_x0.iter_mut().enumerate().for_each(|(x, l)| *l += if x == stands { stays } else { other });
                normalise(log_x0);
                each(row, *d, &log_x0.iter().map(|l| l.exp()).collect::<Vec<_>>())?;
            }
        }
    }
    Ok(())
}
