//! What an argmax flow of a user's file is, as the file says it.

use crate::{
    Error, Result,
    data::{Discrete, Rows, Schema},
    diffusion::{
        Network, Transformer, TransformerConfig, UNet, UNetConfig,
        argmax::{AnyLift, ArgmaxFlow, Lift, LiftKind, map_flow, sequence_flow, text_flow},
        model::{MOST_BLOCKS, Sizes, check_draws},
    },
    evidence::{Evidence, LowerBound},
    flows::{Bijection, Grid, Normal},
    memory::afford,
    nn::{EncoderBlock, NamedArray, SequenceConfig, load_params},
    random::Seed,
    train::Trained,
};
use dfdx::{nn::TensorCollection, tensor::Cpu};
use serde::{Deserialize, Serialize};

/// The flow of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DensityKind {
    /// Couplings of sequences ([`sequence_flow`]); the encoder is a transformer.
    Coupling,
    /// One position after the other ([`text_flow`]); the encoder is a transformer.
    Autoregressive,
    /// Couplings of maps ([`map_flow`]); the encoder is a U-Net.
    Map,
}

/// What an argmax flow is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    pub(super) lift: LiftKind,
    pub(super) density: DensityKind,
    pub(super) width: usize,
    pub(super) encoder_width: usize,
    pub(super) heads: usize,
    pub(super) blocks: usize,
    pub(super) couplings: usize,
    pub(super) levels: usize,
    pub(super) draws: usize,
}

/// What is done with a flow whose type is known.
pub(super) trait UseArgmax {
    type Output;
    fn with<N, B>(self, flow: ArgmaxFlow<AnyLift, N, B>) -> Result<Self::Output>
    where
        N: Network<f32, Cpu, Categories = usize> + Send + 'static,
        B: Bijection<usize, f32, Cpu> + TensorCollection<f32, Cpu> + Send + 'static;
}

/// How often a U-Net halves a map.
const HALVINGS: usize = 2;

impl Spec {
    /// # Errors
    /// That name the number which is out of its range.
    pub(super) fn check(&self) -> Result<()> {
        let Self { width, encoder_width, heads, blocks, couplings, levels, draws, .. } = *self;
        let sizes = [
            ("width", width),
            ("encoder_width", encoder_width),
            ("heads", heads),
            ("blocks", blocks),
            ("couplings", couplings),
            ("levels", levels),
        ];
        if let Some((name, value)) = sizes.into_iter().find(|(_, value)| *value == 0) {
            return Err(Error::out_of_range(name, value, "1 ≤ value"));
        }
        check_draws(draws)?;
        if self.networks().is_none_or(|networks| networks > MOST_BLOCKS) {
            let (what, factors) = match self.density {
                DensityKind::Coupling => ("couplings × blocks", format!("{couplings} × {blocks}")),
                DensityKind::Autoregressive => ("blocks", blocks.to_string()),
                DensityKind::Map => ("couplings × levels", format!("{couplings} × {levels}")),
            };
            return Err(Error::out_of_range(what, factors, "1 ≤ value ≤ 1000"));
        }
        let divided = [("width", width), ("encoder_width", encoder_width)];
        match divided.into_iter().find(|(_, width)| self.density != DensityKind::Map && !width.is_multiple_of(heads)) {
            None => Ok(()),
            Some((name, width)) => Err(Error::Usage(format!("{heads} heads do not divide {name} = {width}"))),
        }
    }

    /// Blocks of all networks of the flow together.
    pub(super) fn networks(&self) -> Option<usize> {
        match self.density {
            DensityKind::Coupling => self.couplings.checked_mul(self.blocks),
            DensityKind::Autoregressive => Some(self.blocks),
            DensityKind::Map => self.couplings.checked_mul(self.levels),
        }
    }

    /// Refuses a flow whose parameters there is no memory for; the encoder refuses for itself.
    fn afford(&self) -> Result<()> {
        let square = self.width.checked_mul(self.width).and_then(|w| w.checked_mul(EncoderBlock::<f32, Cpu>::SQUARES));
        let all = square.zip(self.networks()).and_then(|(square, networks)| square.checked_mul(networks));
        afford(all, 4 * size_of::<f32>(), "the networks of the flow", "a smaller width, fewer blocks or couplings")
    }

    /// Builds the flow, as it begins from a seed, and gives it away.
    pub(super) fn build<U: UseArgmax>(&self, schema: &Schema, seed: Seed, to: U) -> Result<U::Output> {
        let Sizes { length, categories } = Sizes::of(schema)?;
        let (lift, device) = (self.lift.of(categories), Cpu::seed_from_u64(seed.child("network", 0).0));
        let Self { width, heads, blocks, couplings, levels, .. } = *self;
        self.afford()?;
        if categories < 2 {
            return Err(Error::invalid("columns of one category each: there is nothing to learn"));
        }
        if self.density == DensityKind::Coupling && lift.numbers() < 2 {
            return Err(Error::invalid(format!(
                "{categories} categories are a single number by this lift, and a coupling moves some by others: another --lift, or --density autoregressive"
            )));
        }
        let order = seed.child("order", 0);
        let outputs = (lift.parameters(), categories);
        if self.density == DensityKind::Map {
            let ([height, across] | [1, height, across]) = *schema.shape.as_slice() else {
                let found = &schema.shape;
                return Err(Error::invalid(format!(
                    "rows of shape {found:?}; a flow of maps is of (height, width): --density coupling"
                )));
            };
            let halves = |times: usize| height.trailing_zeros().min(across.trailing_zeros()) as usize >= times;
            if !halves(HALVINGS) {
                let sides = 1 << HALVINGS;
                return Err(Error::invalid(format!(
                    "maps of {height} × {across}; a flow of maps is of sides that are multiples of {sides}: --density coupling"
                )));
            }
            if !halves(levels - 1) {
                return Err(Error::invalid(format!(
                    "maps of {height} × {across} cannot be halved {} times: a smaller --levels, or --density coupling",
                    levels - 1
                )));
            }
            let config = UNetConfig { height, width: across, channels: self.encoder_width, halvings: HALVINGS, heads };
            let encoder = UNet::<usize, usize>::new(&device, outputs, &config)?;
            let grid = Grid { channels: lift.numbers(), height, width: across };
            let flow = map_flow(&device, grid, (levels, couplings), width, order)?;
            return to.with(ArgmaxFlow::new(&device, length, lift, encoder, flow, Normal));
        }
        let config = TransformerConfig { length, width: self.encoder_width, heads, blocks };
        let encoder = Transformer::<usize, usize>::new(&device, outputs, &config)?;
        let config = SequenceConfig { length, channels: lift.numbers(), width, heads, blocks };
        match self.density {
            DensityKind::Coupling => {
                let flow = sequence_flow::<8>(&device, &config, couplings, order)?;
                to.with(ArgmaxFlow::new(&device, length, lift, encoder, flow, Normal))
            }
            _ => {
                let flow = text_flow::<8>(&device, &config)?;
                to.with(ArgmaxFlow::new(&device, length, lift, encoder, flow, Normal))
            }
        }
    }
}

/// An argmax flow whatever its type.
pub(super) trait AnyArgmax: Send {
    fn evidence(&self, rows: &dyn Rows, draws: usize, seed: Seed) -> Result<Evidence<LowerBound>>;
    fn among_used(&self, bound: &Evidence<LowerBound>, n: usize, seed: Seed) -> Result<Evidence<LowerBound>>;
    fn unused(&self, n: usize, seed: Seed) -> (f64, f64);
    fn sample(&self, n: usize, seed: Seed) -> Result<Discrete>;
    fn numbers(&self, n: usize, seed: Seed) -> Vec<f64>;
}

impl<N, B> AnyArgmax for ArgmaxFlow<AnyLift, N, B>
where
    N: Network<f32, Cpu, Categories = usize> + Send,
    B: Bijection<usize, f32, Cpu> + Send,
{
    fn evidence(&self, rows: &dyn Rows, draws: usize, seed: Seed) -> Result<Evidence<LowerBound>> {
        Self::evidence(self, rows, draws, seed)
    }

    fn among_used(&self, bound: &Evidence<LowerBound>, n: usize, seed: Seed) -> Result<Evidence<LowerBound>> {
        Self::among_used(self, bound, n, seed)
    }

    fn unused(&self, n: usize, seed: Seed) -> (f64, f64) {
        Self::unused(self, n, seed)
    }

    fn sample(&self, n: usize, seed: Seed) -> Result<Discrete> {
        Self::sample(self, n, seed)
    }

    fn numbers(&self, n: usize, seed: Seed) -> Vec<f64> {
        Self::draw(self, n, &mut seed.stream("numbers", 0))
    }
}

/// Fills a flow with the numbers of a model.
pub(super) struct Filled<'a>(pub(super) &'a [NamedArray]);

impl UseArgmax for Filled<'_> {
    type Output = Box<dyn AnyArgmax>;

    fn with<N, B>(self, mut flow: ArgmaxFlow<AnyLift, N, B>) -> Result<Self::Output>
    where
        N: Network<f32, Cpu, Categories = usize> + Send + 'static,
        B: Bijection<usize, f32, Cpu> + TensorCollection<f32, Cpu> + Send + 'static,
    {
        load_params(flow.module_mut(), self.0)?;
        flow.module().1.check()?;
        Ok(Box::new(flow))
    }
}
