//! Which rows a likelihood is of.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// Which rows a likelihood is of: a hash of their values, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The first eight bytes of what was hashed.
    pub(crate) fn of(hash: Sha256) -> Self {
        let bytes = hash.finalize();
        Self(u64::from_be_bytes(std::array::from_fn(|i| bytes[i])))
    }

    /// The number itself.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let number = u64::from_str_radix(&text, 16).ok().filter(|_| text.len() == 16);
        number.map(Self).ok_or_else(|| format!("{text} is not the hash of rows, sixteen hexadecimal digits"))
    }
}
