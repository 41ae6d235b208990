//! What the pipeline will take, counted before it begins.

use super::{FitStudent, fit::PICTURES};
use crate::{
    Result,
    data::{Patches, Rows},
    teachers::Decoder,
    train::{Estimate, PartEstimate},
};

/// What an exponential, a logarithm or a hyperbolic function counts as, in additions.
const DEAR: f64 = 40.0;
/// Bytes that a parameter takes while it learns: its flow and what is remembered of both; in a network its slope and two moments.
const LEARNED: f64 = 16.0;
/// How many times the operations of a pass up EM takes: up, down, and flows.
const EM: f64 = 3.0;

/// Rows that a thread evaluates at a time.
const AT_ONCE: f64 = 128.0;
/// Bytes of a square: its label, its place in its cluster, its place in a random order; twice, as lists are made of lists.
const OF_SQUARE: f64 = 48.0;

pub(super) fn of(settings: &FitStudent, rows: &dyn Rows, jobs: usize) -> Result<Estimate> {
    let patches = Patches::new(rows.schema(), settings.side)?;
    let levels = patches.schema().variables.iter().map(|v| v.categories).max().unwrap_or(0) as f64;
    let (positions, values, pictures) = (patches.positions() as f64, patches.values() as f64, rows.len() as f64);
    let squares = pictures * positions;
    let s = settings;
    let [hidden, width, levels_of_codes, shared] = [s.hidden, s.code_width, s.levels, s.shared].map(|n| n as f64);

    // Of a square, in additions and multiplications.
    let net = |inputs: f64, outputs: f64| 18.0 * hidden * (inputs + outputs + 2.0 * hidden * s.blocks as f64);
    let outputs = values * 3.0 * s.logistics as f64;
    let decoder = match s.decoder {
        Decoder::Independent => 2.0 * hidden * (levels_of_codes * width + hidden + outputs),
        Decoder::Convolutional => net(levels_of_codes * width, outputs),
    };
    let above = if s.levels > 1 { net(4.0 * hidden, width) / 4.0 + net(width, 4.0 * width) / 4.0 } else { 0.0 };
    let encoder = net(values, width) + above + 2.0 * width * s.codes as f64 * levels_of_codes;
    let said = 4.0 * DEAR * values * s.logistics as f64;
    let seen = EM * (encoder + decoder + said);
    let weights = (net(values, width) + above + decoder) / 2.0 + s.codes as f64 * width * levels_of_codes;
    let activations = s.teacher_batch as f64 * positions * (outputs + values + hidden * (4.0 + 4.0 * s.blocks as f64));
    let features = squares * width * levels_of_codes;
    let part = |name: &str, operations: f64, memory: f64, disk: f64| PartEstimate {
        name: name.into(),
        operations,
        memory: memory + OF_SQUARE * squares,
        disk,
    };
    let teacher = part(
        "teacher",
        s.teacher_epochs as f64 * squares * seen,
        LEARNED * weights + 12.0 * activations,
        LEARNED * weights,
    );
    let read = if s.kmeans_batch > 0 { (s.kmeans_batch as f64).min(squares) } else { squares };
    let kmeans = part(
        "features and clusters",
        squares * encoder + 50.0 * read * (2.0 * s.clusters as f64 * width * levels_of_codes),
        0.0,
        4.0 * features,
    );

    // Rounds of growing: two heads of five become four.
    let (mut heads, mut rounds) = (s.start_heads as f64, Vec::new());
    loop {
        rounds.push(heads);
        if heads >= s.heads as f64 {
            break;
        }
        heads = (heads + (0.4 * heads).ceil()).min(s.heads as f64);
    }
    // A circuit of squares: leaves, a tree of latents, and heads. Copies share what is below, and edges are pruned.
    let circuit = |heads: f64| {
        let states = s.states as f64 * (heads / s.start_heads as f64).sqrt();
        let tree = (values - 1.0) * states * states + heads * states;
        // Leaves of each state's own, or edges to those that are shared.
        let (leaves, edges) = if shared > 0.0 {
            (shared * levels, tree + values * states * shared)
        } else {
            (values * states * levels, tree)
        };
        (leaves + edges, EM * 2.0 * edges + 8.0 * values * if shared > 0.0 { shared } else { states })
    };
    let growing = rounds.iter().map(|heads| circuit(*heads).1).sum::<f64>() * s.epochs as f64 * squares;
    let (grown, of_square) = circuit(s.heads as f64);
    let tile = |nodes: f64| 8.0 * nodes * AT_ONCE * rayon::current_num_threads() as f64;
    let clusters = s.clusters as f64;
    let growth = part(
        &format!("{} rounds of {} clusters", rounds.len(), s.clusters),
        growing,
        jobs.min(s.clusters) as f64 * (LEARNED * grown + tile(2.0 * values * s.states as f64)),
        4.0 * grown * clusters * rounds.len() as f64,
    );
    let (prior_states, all) = (s.prior_states as f64, clusters * s.heads as f64);
    let prior = positions * prior_states * all + (positions - 1.0) * prior_states * prior_states;
    let up = positions * clusters * of_square / EM;
    let soft = part(
        "circuit over heads",
        s.prior_epochs as f64 * pictures * (EM * 4.0 * prior + up),
        LEARNED * prior + 4.0 * grown * clusters + 4.0 * positions * all * PICTURES as f64,
        4.0 * prior,
    );
    let whole = part(
        "the whole",
        s.tune_epochs as f64 * pictures * (EM * (2.0 * prior + up)),
        LEARNED * (prior + grown * clusters) + tile(positions * (all + 2.0 * prior_states)),
        4.0 * (prior + grown * clusters),
    );
    Ok(Estimate::here(vec![teacher, kmeans, growth, soft, whole]))
}
