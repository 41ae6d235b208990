//! A perceptron over a whole row at once: for tiny cases.

use super::{
    Denoiser, Network, Noisy,
    network::{Logits, denoises, least, normals, waves},
};
use crate::{
    Error, Result,
    memory::afford,
    nn::{
        Dense, Device, Identity, Real, Silu, Size, any_shape, fields,
        ops::{Whose, add_rows, embed},
    },
};
use dfdx::{
    dtypes::Dtype,
    nn::Module,
    shapes::{Dim, HasShape},
    tensor::{Cpu, PutTape, Storage, Tape, Tensor},
    tensor_ops::ReshapeTo,
};

/// A perceptron with two hidden layers, over rows of one length.
///
/// ```text
/// logits = W₃ silu(W₂ silu(W₁ [E_1[x_1], …, E_L[x_L]] + T(t)))
/// ```
#[derive(Clone, Debug)]
pub struct Mlp<K: Dim, S: Dim, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    /// A row for every state: what it adds to the first layer, place after place.
    table: Tensor<(S, usize), E, Dev>,
    time: Dense<usize, usize, Identity, E, Dev>,
    hidden: (Hidden<E, Dev>, Hidden<E, Dev>),
    last: Dense<usize, usize, Identity, E, Dev>,
    /// What tells categories from each other in the logits.
    bias: Tensor<(K,), E, Dev>,
    length: usize,
}

fields! {
    [K: Size, S: Size,] Mlp[K, S,] {
        tensor table: any_shape(true),
        module time,
        module hidden,
        module last,
        tensor bias: any_shape(true),
        size length,
    }
}

type Hidden<E, Dev> = Dense<usize, usize, Silu, E, Dev>;

/// Numbers of a state at a place.
const EMBEDDED: usize = 8;

impl<K: Size, S: Size, E: Real, Dev: Device<E>> Mlp<K, S, E, Dev> {
    /// A randomly initialised perceptron over rows of `length` positions.
    ///
    /// # Errors
    /// When a size is 0, or the device has no memory for it.
    pub fn new(device: &Dev, (categories, states): (K, S), length: usize, hidden: usize) -> Result<Self> {
        for (name, size) in [("length", length), ("hidden", hidden)] {
            if size == 0 {
                return Err(Error::out_of_range(name, size, "1 ≤ value"));
            }
        }
        let widest = length.checked_mul(categories.size().max(EMBEDDED)).and_then(|n| n.checked_add(hidden));
        let all = widest.and_then(|w| w.checked_mul(hidden.checked_mul(2)?));
        afford(all, 4 * size_of::<E>(), "the parameters of the perceptron", "fewer hidden units")?;
        Ok(Self {
            table: normals(device, (states, EMBEDDED), 1.0)?,
            time: Dense::new(device, EMBEDDED, length * EMBEDDED)?,
            hidden: (Dense::new(device, length * EMBEDDED, hidden)?, Dense::new(device, hidden, hidden)?),
            last: Dense::new(device, hidden, length * categories.size())?,
            bias: device.try_zeros_like(&(categories,)).map_err(Error::invalid)?,
            length,
        })
    }

    fn categories_known(&self) -> K {
        self.bias.shape().0
    }

    fn states_known(&self) -> S {
        self.table.shape().0
    }

    fn is_of(&self, length: usize) -> Result<()> {
        match length == self.length {
            true => Ok(()),
            false => Err(Error::invalid(format!("rows of {length} positions; the perceptron is of {}", self.length))),
        }
    }
}

impl<K: Size, S: Size, E: Real, Dev: Device<E>> Network<E, Dev> for Mlp<K, S, E, Dev> {
    type Categories = K;
    type States = S;

    fn describe(&self) -> String {
        format!("perceptron of {} positions, {} hidden units", self.length, self.hidden.1.bias.shape().0)
    }

    fn device(&self) -> Dev {
        self.bias.device().clone()
    }

    fn least_rows(&self, length: usize) -> usize {
        let hidden = self.hidden.1.bias.shape().0;
        least(hidden.min(length * EMBEDDED).min(length * self.bias.shape().0.size()))
    }

    fn forward<T: Tape<E, Dev>>(&self, noisy: Noisy, tape: T) -> Logits<K, E, Dev, T> {
        let (rows, length) = (noisy.times.len(), self.length);
        let picked = noisy.states.iter().map(|state| u32::from(*state)).collect();
        let states = embed(self.table.clone().put_tape(tape), picked).reshape_like(&(rows, length * EMBEDDED));
        let times = self.time.forward(waves(states.device(), noisy.times, EMBEDDED).retaped::<T>());
        let hidden = self.hidden.forward(add_rows(states, times, Whose::Each(1)));
        let k = self.bias.shape().0;
        let logits = self.last.forward(hidden).reshape_like(&(rows * length, k));
        add_rows(logits, self.bias.retaped::<T>().reshape_like(&(1, k)), Whose::InTurns(1))
    }
}

denoises! { [K: Size, S: Size,] Mlp<K, S, E, Dev>, is_of }
