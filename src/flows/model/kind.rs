//! The flows of tables, and how each is put together.

use crate::{
    Error, Result,
    flows::{
        AffineCoupling, Autoregressive, BatchNorm, Bijection, Bounded, BoundedMixture, Coupling, Elementwise, Grid,
        Householder, Logistic, Lu, Mask, Mint, Mixture, Normal, Permute, Rescale, Rotation, Shift, Spline, Stack,
        Transform,
    },
    nn::{Device, Relu},
    random::Seed,
};
use dfdx::nn::TensorCollection;
use serde::{Deserialize, Serialize};

/// The flows of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowKind {
    /// A single autoregressive layer with normal conditionals.
    Made,
    /// Masked autoregressive layers, batch norm between them.
    Maf,
    /// The same, and mixtures of ten normal distributions for conditionals of the last.
    MafMog,
    /// Additive couplings, and a rescaling at the end.
    Nice,
    /// Affine couplings with two networks each, batch norm between them.
    RealNvp,
    /// Autoregressive layers of rational-quadratic splines, and linear layers between them.
    Spline,
    /// Couplings of rational-quadratic splines, and linear layers between them.
    SplineCoupling,
    /// Residual blocks of masked networks, in either order of the columns.
    MintNet,
    /// Mixtures of logistic distribution functions of each coordinate, and rotations between them.
    Gaussianization,
    /// The same with principal axes for rotations, and no learning: Gaussianization by iteration.
    Rbig,
}

impl FlowKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Made,
        Self::Maf,
        Self::MafMog,
        Self::Nice,
        Self::RealNvp,
        Self::Spline,
        Self::SplineCoupling,
        Self::MintNet,
        Self::Gaussianization,
        Self::Rbig,
    ];

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Maf => "maf",
            Self::MafMog => "maf-mog",
            Self::Nice => "nice",
            Self::RealNvp => "real-nvp",
            Self::Spline => "spline",
            Self::SplineCoupling => "spline-coupling",
            Self::MintNet => "mint-net",
            Self::Gaussianization => "gaussianization",
            Self::Rbig => "rbig",
        }
    }

    /// What it is, in one line.
    pub(super) fn about(self) -> &'static str {
        match self {
            Self::Made => "a single autoregressive layer with normal conditionals",
            Self::Maf => "masked autoregressive layers, batch norm between them",
            Self::MafMog => "the same, and mixtures of ten normal distributions for conditionals of the last",
            Self::Nice => "additive couplings, and a rescaling at the end",
            Self::RealNvp => "affine couplings with two networks each, batch norm between them",
            Self::Spline => "autoregressive layers of rational-quadratic splines, linear layers between them",
            Self::SplineCoupling => "couplings of rational-quadratic splines, linear layers between them",
            Self::MintNet => "residual blocks of masked networks, in either order of the columns",
            Self::Gaussianization => "mixtures of logistic distributions of each coordinate, rotations between them",
            Self::Rbig => "the same with principal axes for rotations, and no learning",
        }
    }

    /// Whether its parameters come from networks.
    pub(super) fn has_networks(self) -> bool {
        !matches!(self, Self::Gaussianization | Self::Rbig)
    }

    /// Whether a setting of this name does something.
    pub(super) fn has(self, setting: &str) -> bool {
        match (self, setting) {
            (Self::Rbig, setting) => setting == "layers",
            (Self::Gaussianization, setting) => !["hidden", "base"].contains(&setting),
            (Self::Made, setting) => setting != "layers",
            _ => true,
        }
    }

    /// Whether it needs two coordinates at least.
    fn couples(self) -> bool {
        matches!(self, Self::Nice | Self::RealNvp | Self::SplineCoupling)
    }
}

/// A bijection that can be learned, whatever its type.
pub(super) trait Learnable<Dev: Device<f32>>:
    Bijection<usize, f32, Dev> + TensorCollection<f32, Dev> + 'static
{
}
impl<Dev: Device<f32>, B: Bijection<usize, f32, Dev> + TensorCollection<f32, Dev> + 'static> Learnable<Dev> for B {}

/// What is done with a bijection once its type is known.
pub(super) trait Use<Dev: Device<f32>> {
    type Output;
    fn with<B: Learnable<Dev>>(self, device: &Dev, bijection: B) -> Result<Self::Output>;
}

/// Which bijection.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) kind: FlowKind,
    pub(super) layers: usize,
    pub(super) hidden: usize,
}

impl Spec {
    /// Builds the bijection of `d` coordinates, and gives it away. Its networks start from the stream of the device, its orders
    /// from `seed`.
    pub(super) fn build<Dev: Device<f32>, U: Use<Dev>>(
        self,
        device: &Dev,
        d: usize,
        seed: Seed,
        to: U,
    ) -> Result<U::Output> {
        let Self { kind, layers, hidden } = self;
        // The widest heads have 30 numbers a coordinate; gradients and the two moments come on top of the parameters.
        let network =
            if kind.has_networks() { hidden.checked_add(30 * d).and_then(|w| hidden.checked_mul(w)) } else { Some(0) };
        let numbers = network.and_then(|n| n.checked_add(d.checked_mul(d)?)).and_then(|n| n.checked_mul(layers));
        crate::memory::afford(numbers, 16, "the networks of the flow", "fewer layers or hidden units")?;
        if layers == 0 {
            return Err(Error::out_of_range("layers", layers, "layers ≥ 1"));
        }
        if kind.couples() && d < 2 {
            return Err(Error::invalid(format!("a table of {d} column; {} needs 2 at least", kind.name())));
        }
        let reversed = || Permute::reversed(device, d);
        let norm = || BatchNorm::new(device, d);
        let linear = |i: usize| Lu::new(device, d, Some(seed.child("order", i as u64)));
        let maf = || Ok((autoregressive::<Bounded, Dev>(device, d, hidden)?, norm()?, reversed()?));
        fn stack<B>(layers: usize, layer: impl FnMut(usize) -> Result<B>) -> Result<Stack<B>> {
            (0..layers).map(layer).collect::<Result<_>>().map(Stack::new)
        }
        fn autoregressive<F: Transform, Dev: Device<f32>>(
            device: &Dev,
            d: usize,
            hidden: usize,
        ) -> Result<Autoregressive<usize, F, Relu, f32, Dev>> {
            Autoregressive::new(device, d, hidden)
        }
        type Pair<F, Dev> = (Coupling<usize, F, Relu, f32, Dev>, Coupling<usize, F, Relu, f32, Dev>);
        fn pair<F: Transform, Dev: Device<f32>>(device: &Dev, d: usize, hidden: usize) -> Result<Pair<F, Dev>> {
            Ok((Coupling::new(device, d, hidden, Mask::Odd)?, Coupling::new(device, d, hidden, Mask::Even)?))
        }
        match kind {
            FlowKind::Made => to.with(device, autoregressive::<Bounded, Dev>(device, d, hidden)?),
            FlowKind::Maf => to.with(device, stack(layers, |_| maf())?),
            FlowKind::MafMog => {
                let last = autoregressive::<BoundedMixture<Normal, 10>, Dev>(device, d, hidden)?;
                to.with(device, (stack(layers, |_| maf())?, last))
            }
            FlowKind::Nice => {
                to.with(device, (stack(layers, |_| pair::<Shift, Dev>(device, d, hidden))?, Rescale::new(device, d)?))
            }
            FlowKind::RealNvp => to.with(
                device,
                stack(layers, |_| {
                    let coupling = |mask| AffineCoupling::new(device, d, hidden, mask);
                    Ok((coupling(Mask::Odd)?, norm()?, coupling(Mask::Even)?, norm()?))
                })?,
            ),
            FlowKind::Spline => to.with(
                device,
                stack(layers, |i| Ok((linear(i)?, autoregressive::<Spline<8, 3>, Dev>(device, d, hidden)?)))?,
            ),
            FlowKind::SplineCoupling => {
                to.with(device, stack(layers, |i| Ok((linear(i)?, pair::<Spline<8, 3>, Dev>(device, d, hidden)?)))?)
            }
            FlowKind::MintNet => to.with(
                device,
                stack(layers, |_| {
                    let units = hidden.div_ceil(d.max(1));
                    let layer = |backwards| Mint::new(device, d, Grid::pixel(d), 1, units, backwards);
                    Ok((layer(false)?, layer(true)?))
                })?,
            ),
            FlowKind::Gaussianization => to.with(
                device,
                stack(layers, |i| {
                    let rotation = Householder::new(device, d, d, seed.child("rotation", i as u64))?;
                    Ok((Elementwise::<usize, Mixture<Logistic, 16>, f32, Dev>::new(device, d)?, rotation))
                })?,
            ),
            FlowKind::Rbig => to.with(
                device,
                stack(layers, |_| {
                    Ok((
                        Elementwise::<usize, Mixture<Logistic, 100>, f32, Dev>::new(device, d)?,
                        Rotation::principal(device, d)?,
                    ))
                })?,
            ),
        }
    }
}
