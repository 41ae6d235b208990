//! How much memory there is, so that what does not fit is refused before it is begun.

use crate::{Error, Result};

/// What is taken to be there where the system does not say, bytes.
const UNKNOWN: u64 = 4 << 30;

/// Memory that can be had now, bytes.
fn available() -> u64 {
    let said = std::fs::read_to_string("/proc/meminfo").ok();
    let line = |text: &String| -> Option<u64> {
        let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    said.as_ref().and_then(line).map_or(UNKNOWN, |kilobytes| kilobytes << 10)
}

/// # Errors
/// When `numbers` numbers of `size` bytes each are more than the memory there is; `what` they are for, and what would be less.
pub(crate) fn afford(numbers: Option<usize>, size: usize, what: &str, remedy: &str) -> Result<()> {
    let bytes = numbers.and_then(|n| n.checked_mul(size)).map(|bytes| bytes as u64);
    let have = available();
    match bytes {
        Some(bytes) if bytes <= have => Ok(()),
        _ => {
            let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
            let needed = bytes.map_or("more than can be counted".into(), |bytes| format!("{:.1} GiB", gib(bytes)));
            let here = gib(have);
            Err(Error::Usage(format!("{what} need {needed} of memory, and {here:.1} GiB are free: {remedy}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_its_size() {
        assert!(afford(Some(1 << 10), 4, "weights", "fewer").is_ok());
        let error = afford(Some(1 << 50), 4, "weights", "take fewer").unwrap_err().to_string();
        assert!(error.starts_with("weights need 4194304.0 GiB of memory") && error.ends_with("take fewer"), "{error}");
        assert!(afford(Some(usize::MAX), 4, "weights", "x").unwrap_err().to_string().contains("counted"));
        assert!(afford(None, 4, "weights", "x").is_err());
    }
}
