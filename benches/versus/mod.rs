//! A run of ours beside a run of a Python library: the same cases, in turns, at one thread and at two.

use std::{
    collections::BTreeMap,
    env, fs,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

const THREADS: [usize; 2] = [1, 2];

/// A comparison with one peer.
pub struct Versus {
    /// `circuits`: the script is `benches/peers/circuits.py`, the table `figures/versus-circuits.csv`.
    pub name: &'static str,
    /// What the peer is called in the table.
    pub peer: &'static str,
    /// Rounds in which ours and the peer take turns; the best of all counts.
    pub rounds: usize,
    /// Our side: reports each case with `report`.
    pub ours: fn(),
}

/// Reports milliseconds for a case from our side.
pub fn report(case: &str, ms: f64) {
    println!("{}", serde_json::json!({ "case": case, "ms": ms }));
}

/// The best time of as many runs as fit into a second or two, milliseconds.
pub fn best(mut run: impl FnMut()) -> f64 {
    run();
    let began = Instant::now();
    let mut best = f64::INFINITY;
    while best.is_infinite() || began.elapsed() < Duration::from_millis(1500) {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    best
}

impl Versus {
    /// Runs both sides, prints one table, and writes it.
    pub fn main(&self) -> ExitCode {
        if env::args().any(|argument| argument == "--ours") {
            (self.ours)();
            return ExitCode::SUCCESS;
        }
        match self.compare() {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("error: {message}");
                ExitCode::FAILURE
            }
        }
    }

    fn compare(&self) -> Result<(), String> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        println!("load before the run: {}", fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
        let mut times: BTreeMap<(String, usize), [f64; 2]> = BTreeMap::new();
        for (round, threads) in (0..self.rounds).flat_map(|r| THREADS.map(|t| (r, t))) {
            eprintln!("round {} of {}, {threads} threads", round + 1, self.rounds);
            let mut ours = Command::new(env::current_exe().map_err(|e| e.to_string())?);
            ours.arg("--ours").env("RAYON_NUM_THREADS", threads.to_string());
            let mut peer = Command::new(peers().join("bin/python"));
            peer.arg(root.join(format!("benches/peers/{}.py", self.name))).arg(threads.to_string());
            for (side, mut command) in [ours, peer].into_iter().enumerate() {
                for (case, ms) in cases(&mut command).ok_or_else(|| self.remedy())? {
                    let entry = times.entry((case, threads)).or_insert([f64::INFINITY; 2]);
                    entry[side] = entry[side].min(ms);
                }
            }
        }
        let header = format!("case,threads,limbeck (ms),{} (ms),times as fast\n", self.peer);
        let mut csv = header;
        println!(
            "{:<50} {:>7} {:>12} {:>12} {:>14}",
            "",
            "threads",
            "limbeck (ms)",
            format!("{} (ms)", self.peer),
            "times as fast"
        );
        for ((case, threads), [ours, peer]) in &times {
            println!("{case:<50} {threads:>7} {ours:>12.2} {peer:>12.2} {:>14.1}", peer / ours);
            csv += &format!("\"{case}\",{threads},{ours:.3},{peer:.3},{:.2}\n", peer / ours);
        }
        let path = root.join(format!("figures/versus-{}.csv", self.name));
        fs::write(&path, csv).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn remedy(&self) -> String {
        let (peers, name) = (peers().display().to_string(), self.name);
        format!(
            "the peer does not run: make its environment with\n  python3 -m venv {peers}\n  {peers}/bin/pip install -r \
             benches/peers/requirements-{name}.txt\nor set LIMBECK_PEERS to an environment that has {}",
            self.peer
        )
    }
}

/// The environment of the peers.
fn peers() -> PathBuf {
    let cache = || {
        let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or(home).unwrap_or_default()
    };
    env::var_os("LIMBECK_PEERS").map_or_else(|| cache().join("limbeck/peers"), PathBuf::from)
}

/// Runs one side, which prints a JSON object a line: `{"case": …, "ms": …}`.
fn cases(command: &mut Command) -> Option<Vec<(String, f64)>> {
    let output = command.stderr(Stdio::inherit()).output().ok().filter(|o| o.status.success())?;
    let lines = String::from_utf8(output.stdout).ok()?;
    let case = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        Some((value["case"].as_str()?.to_owned(), value["ms"].as_f64()?))
    };
    lines.lines().filter(|line| line.starts_with('{')).map(case).collect()
}
