//! Pictures as soft evidence of latents: how likely each square is under each head.

use crate::{
    Result,
    circuits::Circuit,
    data::{MISSING, Patches, Rows, Schema, Subset, fingerprint},
    evidence::Fingerprint,
};
use sha2::{Digest, Sha256};

/// A row a picture, a variable a square, and for each value of it `log p(x_i | z_i)`, computed as it is asked for.
pub struct SoftPatches<'a> {
    pictures: &'a dyn Rows,
    patches: &'a Patches,
    parts: &'a [Circuit],
    schema: Schema,
}

impl<'a> SoftPatches<'a> {
    pub(super) fn new(
        pictures: &'a dyn Rows,
        patches: &'a Patches,
        parts: &'a [Circuit],
        schema: Schema,
    ) -> Result<Self> {
        patches.of(pictures)?;
        Ok(Self { pictures, patches, parts, schema })
    }
}

impl Rows for SoftPatches<'_> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn number_of(&self, row: usize) -> usize {
        self.pictures.number_of(row)
    }

    /// That of the pictures and of what is said of their squares.
    fn identity(&self) -> Result<Option<Fingerprint>> {
        let mut hash = Sha256::new();
        hash.update(fingerprint(self.pictures)?.to_string());
        self.parts.iter().for_each(|part| part.hash_into(&mut hash));
        Ok(Some(Fingerprint::of(hash)))
    }

    fn read(&self, rows: &[usize], into: &mut Vec<u16>) -> Result<()> {
        into.clear();
        into.resize(rows.len() * self.schema.len(), MISSING);
        Ok(())
    }

    fn read_evidence(&self, rows: &[usize], into: &mut Vec<f32>) -> Result<()> {
        let chosen = Subset::new(self.pictures, rows.to_vec());
        let squares = self.patches.of(&chosen)?;
        let heads = self.schema.variables[0].categories;
        into.clear();
        into.resize(squares.len() * heads, 0.0);
        let mut first = 0;
        for part in self.parts {
            part.for_each_by_head(&squares, |square, logs| {
                let row = &mut into[square * heads + first..][..logs.len()];
                row.iter_mut().zip(logs).for_each(|(to, log)| *to = *log as f32);
            })?;
            first += part.graph().heads();
        }
        Ok(())
    }
}
