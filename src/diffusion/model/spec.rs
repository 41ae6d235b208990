//! What a diffusion model is, as its file says it.

use super::{AnyBound, AnyDenoiser};
use crate::{
    Error, Result,
    data::Schema,
    diffusion::{
        Chain, Continuous, Decoder, Denoiser, Endless, Fall, Mlp, Network, Process, Schedule, Steps, Transformer,
        TransformerConfig, UNet, UNetConfig,
    },
    nn::{Device, NamedArray, load_params, params},
};
use dfdx::tensor::Cpu;
use serde::{Deserialize, Serialize};

/// How categories are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiffusionKind {
    /// Any category comes in the place of another.
    Multinomial,
    /// A mask comes in its place.
    Absorbing,
    /// A near one comes in its place: categories have an order.
    Gaussian,
}

impl DiffusionKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Multinomial, Self::Absorbing, Self::Gaussian];

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Multinomial => "multinomial",
            Self::Absorbing => "absorbing",
            Self::Gaussian => "gaussian-diffusion",
        }
    }

    /// What it is, in a line.
    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Multinomial => "diffusion of categories: noise puts any in the place of another",
            Self::Absorbing => {
                "diffusion of categories: noise hides them (masked diffusion); its likelihood in an order is exact"
            }
            Self::Gaussian => {
                "diffusion of categories that have an order: noise puts near ones in the place of another"
            }
        }
    }
}

/// What takes the noise away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkKind {
    /// [`Transformer`]
    Transformer,
    /// [`Mlp`]
    Perceptron,
    /// [`UNet`]
    UNet,
}

impl NetworkKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transformer => "a transformer",
            Self::Perceptron => "a perceptron",
            Self::UNet => "a U-Net",
        }
    }
}

/// The sizes of rows.
#[derive(Clone, Copy, Debug)]
pub(in crate::diffusion) struct Sizes {
    pub(in crate::diffusion) length: usize,
    pub(in crate::diffusion) categories: usize,
}

impl Sizes {
    /// # Errors
    /// When columns have different categories.
    pub(in crate::diffusion) fn of(schema: &Schema) -> Result<Self> {
        let first = schema.variables.first().ok_or_else(|| Error::invalid("rows without columns"))?;
        let categories = first.categories;
        if schema.is_continuous() {
            return Err(Error::invalid("columns of real numbers; diffusion is of categories"));
        }
        match schema.variables.iter().find(|v| v.categories != categories) {
            None => Ok(Self { length: schema.len(), categories }),
            Some(other) => Err(Error::invalid(format!(
                "column {} has {categories} categories, {} has {}; this model is of columns with the same: --categories \
                 gives columns of numbers the larger one; words are numbers first",
                first.name, other.name, other.categories
            ))),
        }
    }
}

/// What a diffusion model is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    pub(super) kind: DiffusionKind,
    /// 0 for continuous time.
    pub(super) steps: usize,
    pub(super) fall: Fall,
    pub(super) decoder: Decoder,
    pub(super) network: NetworkKind,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) blocks: usize,
    /// Moments of a row that its score is drawn from.
    pub(super) draws: usize,
}

/// Steps in which a model of continuous time is sampled.
const GRID: usize = 256;
/// The most moments that a score is drawn from.
const MOST_DRAWS: usize = 1 << 16;
/// The most blocks of a network.
pub(in crate::diffusion) const MOST_BLOCKS: usize = 1000;

/// A network of sizes known at run time.
pub(super) trait AnyNetwork<Dev: Device<f32>>:
    Network<f32, Dev, Categories = usize, States = usize> + Denoiser<Categories = usize, States = usize>
{
}
impl<Dev: Device<f32>, N> AnyNetwork<Dev> for N where
    N: Network<f32, Dev, Categories = usize, States = usize> + Denoiser<Categories = usize, States = usize>
{
}

/// What is done with a network whose type is known.
pub(super) trait UseNetwork<Dev: Device<f32>> {
    type Output;
    fn with<N: AnyNetwork<Dev>>(self, network: N) -> Result<Self::Output>;
}

/// Refuses no draws of a row, and more than fit into memory.
pub(in crate::diffusion) fn check_draws(draws: usize) -> Result<()> {
    match (1..=MOST_DRAWS).contains(&draws) {
        true => Ok(()),
        false => Err(Error::out_of_range("draws", draws, "1 ≤ draws ≤ 65536")),
    }
}

impl Spec {
    /// # Errors
    /// That name the number which is out of its range.
    pub(super) fn check(&self) -> Result<()> {
        let whole = [("width", self.width), ("heads", self.heads), ("blocks", self.blocks)];
        if let Some((name, value)) = whole.into_iter().find(|(_, value)| *value == 0) {
            return Err(Error::out_of_range(name, value, "1 ≤ value"));
        }
        if self.blocks > MOST_BLOCKS {
            return Err(Error::out_of_range("blocks", self.blocks, "1 ≤ blocks ≤ 1000"));
        }
        check_draws(self.draws)?;
        if self.steps == 0 && self.kind == DiffusionKind::Gaussian {
            return Err(Error::Usage("gaussian-diffusion has steps, and no continuous time: steps ≥ 1".into()));
        }
        if self.network == NetworkKind::Transformer && !self.width.is_multiple_of(self.heads) {
            return Err(Error::Usage(format!("{} heads do not divide a width of {}", self.heads, self.width)));
        }
        let schedule = self.schedule()?;
        if self.kind == DiffusionKind::Absorbing {
            crate::diffusion::Absorbing::new(1, 2, schedule)?;
        }
        Ok(())
    }

    /// In words.
    pub(super) fn moments(&self) -> String {
        match self.steps {
            0 => "continuous time".into(),
            steps => format!("{steps} steps"),
        }
    }

    fn grid(&self) -> usize {
        if self.steps == 0 { GRID } else { self.steps }
    }

    pub(super) fn schedule(&self) -> Result<Schedule> {
        Schedule::new(self.fall, self.grid())
    }

    /// The process of categories that have an order.
    pub(super) fn gaussian(&self, categories: usize) -> Result<Chain<usize>> {
        Chain::gaussian_in(categories, self.steps)
    }

    pub(super) fn steps(&self, process: &impl Process) -> Steps {
        Steps::all(process, self.decoder)
    }

    pub(super) fn bound(&self, process: &impl Continuous) -> AnyBound {
        if self.steps == 0 { AnyBound::Endless(Endless) } else { AnyBound::Steps(self.steps(process)) }
    }

    fn states(&self, categories: usize) -> usize {
        if self.kind == DiffusionKind::Absorbing { categories + 1 } else { categories }
    }

    fn transformer<Dev: Device<f32>>(
        &self,
        device: &Dev,
        schema: &Schema,
    ) -> Result<Transformer<usize, usize, f32, Dev>> {
        let Sizes { length, categories } = Sizes::of(schema)?;
        let Self { width, heads, blocks, .. } = *self;
        let config = TransformerConfig { length, width, heads, blocks };
        Transformer::new(device, (categories, self.states(categories)), &config)
    }

    fn perceptron<Dev: Device<f32>>(&self, device: &Dev, schema: &Schema) -> Result<Mlp<usize, usize, f32, Dev>> {
        let Sizes { length, categories } = Sizes::of(schema)?;
        Mlp::new(device, (categories, self.states(categories)), length, self.width)
    }

    fn u_net<Dev: Device<f32>>(&self, device: &Dev, schema: &Schema) -> Result<UNet<usize, usize, f32, Dev>> {
        let Sizes { categories, .. } = Sizes::of(schema)?;
        let ([height, width] | [1, height, width]) = *schema.shape.as_slice() else {
            let found = &schema.shape;
            return Err(Error::invalid(format!("rows of shape {found:?}; a U-Net is of maps, (height, width)")));
        };
        let (channels, halvings, heads) = (self.width, self.blocks, self.heads);
        let config = UNetConfig { height, width, channels, halvings, heads };
        UNet::new(device, (categories, self.states(categories)), &config)
    }

    /// Builds the network on a device, and gives it away.
    pub(super) fn build<Dev: Device<f32>, U: UseNetwork<Dev>>(
        &self,
        device: &Dev,
        schema: &Schema,
        to: U,
    ) -> Result<U::Output> {
        match self.network {
            NetworkKind::Transformer => to.with(self.transformer(device, schema)?),
            NetworkKind::Perceptron => to.with(self.perceptron(device, schema)?),
            NetworkKind::UNet => to.with(self.u_net(device, schema)?),
        }
    }

    /// The network with these numbers.
    pub(super) fn denoiser(&self, schema: &Schema, arrays: &[NamedArray]) -> Result<AnyDenoiser> {
        fn boxed<N: AnyNetwork<Cpu> + Send + Sync + 'static>(
            mut network: N,
            arrays: &[NamedArray],
        ) -> Result<AnyDenoiser> {
            load_params(&mut network, arrays)?;
            Ok(Box::new(network))
        }
        let device = Cpu::seed_from_u64(0);
        match self.network {
            NetworkKind::Transformer => boxed(self.transformer(&device, schema)?, arrays),
            NetworkKind::Perceptron => boxed(self.perceptron(&device, schema)?, arrays),
            NetworkKind::UNet => boxed(self.u_net(&device, schema)?, arrays),
        }
    }

    /// Names and shapes of the arrays of the network.
    pub(super) fn arrays(&self, schema: &Schema) -> Result<Vec<(String, Vec<usize>)>> {
        struct Names;
        impl UseNetwork<Cpu> for Names {
            type Output = Vec<(String, Vec<usize>)>;
            fn with<N: AnyNetwork<Cpu>>(self, network: N) -> Result<Self::Output> {
                Ok(params(&network).into_iter().map(|(name, shape, _)| (name, shape)).collect())
            }
        }
        self.build(&Cpu::seed_from_u64(0), schema, Names)
    }
}
