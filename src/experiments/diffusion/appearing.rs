//! What samples look like on their way out of noise.

use super::maps::{Maps, denoiser};
use crate::{
    Error, Result,
    data::{Discrete, MISSING, Rows},
    diffusion::{
        Ancestral, Decoder, Denoiser, Diffusion, DiffusionKind, DiffusionModel, Drawing, Process, Sampler, Steps,
    },
    experiments::Lab,
    model::Model,
    plot::{Table, Tiles},
    random::Seed,
};

/// Maps of each process.
const MAPS: usize = 2;
/// Moments at which they are shown.
const SHOWN: usize = 9;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    maps(lab)?;
    passage(lab)
}

fn maps(lab: &mut Lab) -> Result<()> {
    let epochs = lab.budget.pick(12, 100);
    let seed = lab.seed.child("appearing", 0);
    let maps = Maps::new(seed)?;
    let schema = maps.train.schema();
    let mut tiles = Tiles::new("Relief of the Earth out of noise: from t = T on the left to t = 0", SHOWN, 112);
    for kind in [DiffusionKind::Multinomial, DiffusionKind::Absorbing] {
        let model = denoiser(kind, &maps, epochs, seed)?;
        lab.say(format!("{} has learned", kind.name()));
        let none = Discrete::all_missing(schema.clone(), MAPS);
        let moments = match (model.multinomial(), model.absorbing()) {
            (Some(model), _) => watched(model, &Ancestral, &none, SHOWN, seed)?,
            (_, Some(model)) => watched(model, &Ancestral, &none, SHOWN, seed)?,
            _ => return Err(Error::invalid("neither of the two processes")),
        };
        let size = schema.len();
        for map in 0..MAPS {
            // A mask is a category beyond those that there are: missing.
            let cell =
                |state: &u16| if usize::from(*state) < schema.variables[0].categories { *state } else { MISSING };
            let codes = moments.iter().flat_map(|(_, states)| states[map * size..(map + 1) * size].iter().map(cell));
            tiles = tiles.with(kind.name(), &Discrete::new(schema.clone(), codes.collect())?)?;
        }
    }
    lab.figure("appearing", &tiles)
}

/// A passage of the model that ships.
fn passage(lab: &mut Lab) -> Result<()> {
    let model = DiffusionModel::shipped()?;
    let absorbing = model.absorbing().ok_or_else(|| Error::invalid("the model that ships is not absorbing"))?;
    let schema = model.schema();
    let moments =
        watched(absorbing, &Ancestral, &Discrete::all_missing(schema.clone(), 1), SHOWN, lab.seed.child("passage", 0))?;
    let words = schema.variables[0].words.as_deref().unwrap_or_default();
    let letter = |state: &u16| words.get(usize::from(*state)).map_or("·", String::as_str);
    let texts: Vec<String> = moments.iter().map(|(_, states)| states.iter().map(letter).collect()).collect();
    let steps = absorbing.process().steps();
    let hidden = |states: &[u16]| states.iter().filter(|s| usize::from(**s) >= schema.variables[0].categories).count();
    let table = Table::new()
        .numbers("t / T", moments.iter().map(|(t, _)| *t as f64 / steps as f64))?
        .counts("hidden", moments.iter().map(|(_, states)| hidden(states)))?
        .text("a passage of the model that ships", texts.iter())?;
    lab.table("appearing-text", table);
    Ok(())
}

/// The states of all rows at `shown` moments from the first to the last, spread evenly over the steps.
fn watched<P: Process, N: Denoiser<Categories = P::Categories, States = P::States>>(
    model: &Diffusion<P, N>,
    sampler: &impl Sampler<P>,
    rows: &Discrete,
    shown: usize,
    seed: Seed,
) -> Result<Vec<(usize, Vec<u16>)>> {
    let how = Drawing::new(Steps::all(model.process(), Decoder::Posterior));
    let mut all = vec![];
    model.draw_and_watch(rows, sampler, &how, seed, |t, states| all.push((t, states.to_vec())))?;
    let last = all.len() - 1;
    Ok((0..shown).map(|i| all[i * last / (shown - 1)].clone()).collect())
}
