//! A denoiser of 27 letters under a process of 6 classes.

use limbeck::{
    dfdx::{shapes::Const, tensor::Cpu},
    diffusion::{Diffusion, Fall, Schedule, Transformer, TransformerConfig, Uniform},
};

fn main() {
    let process = Uniform::new(Const::<6>, Schedule::new(Fall::Cosine, 10).unwrap()).unwrap();
    let device = Cpu::default();
    let letters = (Const::<27>, Const::<27>);
    let denoiser = Transformer::<_, _>::new(&device, letters, &TransformerConfig::default()).unwrap();
    Diffusion::new(process, denoiser).unwrap();
}
