//! `limbeck compress` and `limbeck decompress`

use super::{Context, ModelFile, files::keep_apart, input::ForModel, query::as_they_were};
use crate::{
    Error, Result,
    archive::write_atomically,
    data::{Envelope, Rows, Unseen},
    error::counted,
};
use sha2::{Digest, Sha256};
use std::{io::Write, path::PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct CompressArgs {
    #[command(flatten)]
    model: ModelFile,
    /// The file to compress: .npy, IDX or .csv.
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    input: ForModel,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    /// Keep the values alone, and not how the file wrote them.
    #[arg(long)]
    values: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct DecompressArgs {
    #[command(flatten)]
    model: ModelFile,
    /// The compressed file.
    #[arg(long)]
    data: PathBuf,
    /// The file to write: as it was; .npy or .csv where the values alone were kept.
    #[arg(long)]
    out: PathBuf,
}

#[derive(serde::Serialize)]
struct Report {
    rows: usize,
    out: String,
    bytes_before: u64,
    bytes: u64,
    bits_per_dim: f64,
    model_bits_per_dim: Option<f64>,
}

/// Bytes of the checksum that a compressed file begins with.
const SUM: usize = 8;

/// The checksum of all that comes after it.
fn sum_of(bytes: &[u8]) -> [u8; SUM] {
    let hash = Sha256::digest(bytes);
    std::array::from_fn(|i| hash[i])
}

pub(super) fn compress(args: &CompressArgs, context: &Context) -> Result<()> {
    keep_apart(&[("MODEL", &args.model.path), ("--data", &args.data)], &[("--out", Some(&args.out))])?;
    if args.input.unseen() == Unseen::Missing {
        return Err(Error::Usage("compression loses nothing, and --unseen missing would: leave it out".into()));
    }
    let (model, origin) = args.model.load()?;
    let queries = args.model.queries(&*model)?;
    if !origin.view.is_lossless() {
        let seen = origin.view.space();
        return Err(Error::Usage(format!("the model sees pictures as {seen}: what it does not see would be lost")));
    }
    let rows = args.input.load(&args.data, (&*model, &origin), context)?;
    let packed = queries.compress(&rows)?;
    let before = if origin.view.is_plain() {
        rows.clone()
    } else {
        args.input.load_before(&args.data, (&*model, &origin), context)?
    };
    let envelope = if args.values { None } else { Some(Envelope::of(&args.data, before.discrete()?)?) };
    // What cannot be read back is not written.
    if as_they_were(queries.decompress(&packed)?, &origin, context)? != before {
        return Err(Error::file(&args.data, "does not come back as it went in; nothing is written"));
    }
    let envelope = serde_json::to_vec(&envelope).map_err(Error::invalid)?;
    let whole = [&(envelope.len() as u32).to_le_bytes()[..], &envelope, &packed].concat();
    write_atomically(&args.out, |file| {
        file.write_all(&sum_of(&whole))?;
        file.write_all(&whole)
    })?;
    let size = |path: &PathBuf| path.metadata().map(|m| m.len()).map_err(Error::io(path));
    let bytes = size(&args.out)?;
    let report = Report {
        rows: rows.len(),
        out: args.out.display().to_string(),
        bytes_before: size(&args.data)?,
        bytes,
        bits_per_dim: 8.0 * bytes as f64 / (rows.len() * rows.schema().len()) as f64,
        model_bits_per_dim: model.score(&rows, context.seed)?.bits_per_dim(),
    };
    context.print(&report, |r| {
        let model = r.model_bits_per_dim.map(|b| format!(" (the model says {b:.4})")).unwrap_or_default();
        format!(
            "{}: {} bytes to {}, {:.4} bits/dim{model}\nwritten to {}",
            counted(r.rows, "row"),
            r.bytes_before,
            r.bytes,
            r.bits_per_dim,
            r.out
        )
    })
}

pub(super) fn decompress(args: &DecompressArgs, context: &Context) -> Result<()> {
    keep_apart(&[("MODEL", &args.model.path), ("--data", &args.data)], &[("--out", Some(&args.out))])?;
    let (model, origin) = args.model.load()?;
    let queries = args.model.queries(&*model)?;
    let bytes = std::fs::read(&args.data).map_err(Error::io(&args.data))?;
    let ours = |problem: &str| Error::file(&args.data, format!("not a file that `limbeck compress` wrote: {problem}"));
    let (sum, whole) = bytes.split_at_checked(SUM).ok_or_else(|| ours("too short"))?;
    if sum != sum_of(whole) {
        return Err(ours("damaged, or of another program (checksum)"));
    }
    let (length, rest) = whole.split_first_chunk::<4>().ok_or_else(|| ours("too short"))?;
    let (envelope, packed) =
        rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(|| ours("it begins otherwise"))?;
    let envelope: Option<Envelope> = serde_json::from_slice(envelope).map_err(|_| ours("it begins otherwise"))?;
    let rows = queries.decompress(packed).and_then(|rows| as_they_were(rows, &origin, context));
    let rows = rows.map_err(|e| Error::file(&args.data, e))?;
    match envelope {
        None => rows.save(&args.out)?,
        Some(envelope) => {
            let whole = envelope.open(rows.discrete()?);
            write_atomically(&args.out, |file| file.write_all(&whole))?;
        }
    }
    super::query::Written::print(rows.len(), &args.out, context)
}
