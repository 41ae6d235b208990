//! What a run will take, before it begins.

use crate::nn::ops::cpu::{Matrix, Threads, matmul};
use std::{
    fmt,
    time::{Duration, Instant},
};

/// One part of a run.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PartEstimate {
    /// What it is.
    pub name: String,
    /// Additions and multiplications, others counted as so many as take as long.
    pub operations: f64,
    /// Bytes of memory while it runs, beside the rows themselves.
    pub memory: f64,
    /// Bytes on disk.
    pub disk: f64,
}

/// What the parts of a run will take, one after the other. Orders of magnitude: what a circuit loses by pruning, and when a run with
/// a patience ends, nobody knows before.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// In the order of the run.
    pub parts: Vec<PartEstimate>,
    /// Operations a second that this machine does in products of matrices.
    pub rate: f64,
}

impl Estimate {
    /// Of these parts on this machine, whose speed is measured for a tenth of a second.
    pub fn here(parts: Vec<PartEstimate>) -> Self {
        Self { parts, rate: rate() }
    }

    /// Seconds that a part takes.
    pub fn seconds(&self, part: &PartEstimate) -> f64 {
        /// What a small model reaches of what large products do: measured on runs of half a minute. A large one is quicker.
        const REACHED: f64 = 0.09;
        part.operations / (REACHED * self.rate)
    }

    /// Seconds of all parts.
    pub fn all_seconds(&self) -> f64 {
        self.parts.iter().map(|part| self.seconds(part)).sum()
    }

    /// The most bytes of memory that a part takes.
    pub fn memory(&self) -> f64 {
        self.parts.iter().map(|part| part.memory).fold(0.0, f64::max)
    }

    /// All of it in a line.
    pub fn line(&self) -> String {
        let (memory, disk, time) = (bytes(self.memory()), bytes(self.disk()), duration(self.all_seconds()));
        format!("estimated, to an order of magnitude: {time}, {memory} of memory beside the rows, {disk} on disk")
    }

    /// Bytes on disk of all parts.
    pub fn disk(&self) -> f64 {
        self.parts.iter().map(|part| part.disk).sum()
    }
}

/// A table of the parts, and a line for all.
impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<34}{:>12}{:>12}{:>12}", "part", "memory", "disk", "time")?;
        for part in &self.parts {
            let [memory, disk, time] = [bytes(part.memory), bytes(part.disk), duration(self.seconds(part))];
            writeln!(f, "{:<34}{memory:>12}{disk:>12}{time:>12}", part.name)?;
        }
        let [memory, disk, time] = [bytes(self.memory()), bytes(self.disk()), duration(self.all_seconds())];
        write!(f, "{:<34}{memory:>12}{disk:>12}{time:>12}", "all, beside the rows")
    }
}

/// A number of bytes as people say it.
fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let unit = UNITS.iter().zip(0..).find(|(_, i)| bytes < 999.5 * 1000_f64.powi(*i)).map_or(4, |(_, i)| i);
    format!("{:.0} {}", bytes / 1000_f64.powi(unit), UNITS[unit as usize])
}

/// A time as people say it.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "under 1 s".into(),
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s if s < 96.0 * 3600.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86400.0),
    }
}

/// Operations a second in products of matrices of 512 rows and columns, all threads at work.
fn rate() -> f64 {
    const SIDE: usize = 512;
    const ENOUGH: Duration = Duration::from_millis(100);
    let (a, mut c) = (vec![1.0_f32; SIDE * SIDE], vec![0.0; SIDE * SIDE]);
    let mut times = || matmul(&mut c, false, Matrix::new(&a, SIDE, SIDE), Matrix::new(&a, SIDE, SIDE), Threads::Pool);
    times();
    let (began, mut done) = (Instant::now(), 0.0);
    while began.elapsed() < ENOUGH {
        times();
        done += 2.0 * (SIDE as f64).powi(3);
    }
    done / began.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_said_as_people_say_them() {
        assert_eq!([0.0, 999.0, 2_400.0, 3.1e9, 5e15].map(bytes), ["0 B", "999 B", "2 KB", "3 GB", "5000 TB"]);
        assert_eq!([0.3, 42.0, 600.0, 9e3, 1e6].map(duration), ["under 1 s", "42 s", "10 min", "2 h", "12 days"]);
        let part = |operations, memory, disk| PartEstimate { name: "part".into(), operations, memory, disk };
        let two = Estimate { parts: vec![part(4e9, 2e6, 5.0), part(5e9, 1e6, 7.0)], rate: 5e10 };
        assert!((two.all_seconds() - 2.0).abs() < 1e-9);
        assert_eq!((two.memory(), two.disk()), (2e6, 12.0));
        assert!(two.to_string().ends_with("2 MB        12 B         2 s"), "{two}");
        assert!(rate() > 1e8);
    }
}
