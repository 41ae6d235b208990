//! A run of ours beside a run of a Python library: the same cases, in turns, at one thread and at two.

use std::{
    collections::BTreeMap,
    env, fs,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

const THREADS: [usize; 2] = [1, 2];

/// As the command line has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A comparison with Python libraries.
pub struct Versus {
    /// `circuits`: the scripts are those of `benches/peers/`, the table is `figures/versus-circuits.csv`.
    pub name: &'static str,
    /// What each peer is called in the table, its script with arguments of its own, and the first letters of the cases that it can do.
    pub peers: &'static [(&'static str, &'static str, &'static [&'static str])],
    /// The cases; each runs in a process of its own.
    pub cases: &'static [&'static str],
    /// Rounds in which ours and the peers take turns; the best of all counts.
    pub rounds: usize,
    /// Our side: does a case, and reports its measurements with `report`.
    pub ours: fn(&str),
}

/// What one side reports.
#[derive(Clone, Copy)]
struct Measured {
    ms: f64,
    parameters: Option<u64>,
    /// The most memory of the process, MiB.
    memory: Option<f64>,
}

/// Reports milliseconds for a measurement from our side.
pub fn report(case: &str, ms: f64, parameters: Option<usize>) {
    // The most memory so far: a process does one case.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    let memory = peak.map(|kib| kib / 1024.0);
    println!("{}", serde_json::json!({ "case": case, "ms": ms, "parameters": parameters, "memory": memory }));
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

/// Threads, measurement and library, and what came out.
type Table = BTreeMap<(String, usize), BTreeMap<usize, Measured>>;

impl Versus {
    /// Runs both sides, prints one table, and writes it.
    pub fn main(&self) -> ExitCode {
        let mut arguments = env::args().skip_while(|argument| argument != "--ours");
        if arguments.next().is_some() {
            // As the command line does.
            let _ = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
            (self.ours)(&arguments.next().unwrap_or_default());
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
        let mut table = Table::new();
        for (round, threads) in (0..self.rounds).flat_map(|r| THREADS.map(|t| (r, t))) {
            // A trailing `*` marks a case that takes minutes: once is enough.
            for case in self.cases.iter().filter(|case| round == 0 || !case.ends_with('*')) {
                let case = case.trim_end_matches('*');
                eprintln!("round {} of {}, {threads} threads, {case}", round + 1, self.rounds);
                let mut ours = Command::new(env::current_exe().map_err(|e| e.to_string())?);
                ours.args(["--ours", case]).env("RAYON_NUM_THREADS", threads.to_string());
                let mut sides = vec![(0, ours)];
                for (i, (_, script, can)) in self.peers.iter().enumerate() {
                    if can.iter().any(|prefix| case.starts_with(prefix)) {
                        let mut peer = Command::new(peers().join("bin/python"));
                        let mut words = script.split(' ');
                        peer.arg(root.join("benches/peers").join(words.next().unwrap_or_default()));
                        peer.args(words).arg(threads.to_string()).arg(case);
                        sides.push((i + 1, peer));
                    }
                }
                for (side, mut command) in sides {
                    for (case, measured) in cases(&mut command).ok_or_else(|| self.remedy())? {
                        let best = table.entry((case, threads)).or_default().entry(side).or_insert(measured);
                        best.ms = best.ms.min(measured.ms);
                    }
                }
            }
        }
        let machine = machine();
        println!("{machine}");
        let mut csv = String::from("case,threads,library,ms,times ours,parameters,peak memory (MiB),machine\n");
        for ((case, threads), sides) in &table {
            for (side, measured) in sides {
                let library = side.checked_sub(1).map_or("limbeck", |peer| self.peers[peer].0);
                let times = sides.get(&0).map_or(f64::NAN, |ours| measured.ms / ours.ms);
                let parameters = measured.parameters.map(|n| n.to_string()).unwrap_or_default();
                let memory = measured.memory.map(|m| format!("{m:.0}")).unwrap_or_default();
                let ms = measured.ms;
                println!(
                    "{case:<50} {threads} {library:<10} {ms:>11.2} ms {times:>7.1}× {parameters:>10} {memory:>6} MiB"
                );
                csv +=
                    &format!("\"{case}\",{threads},{library},{ms:.3},{times:.2},{parameters},{memory},\"{machine}\"\n");
            }
        }
        let path = root.join(format!("figures/versus-{}.csv", self.name));
        fs::write(&path, csv).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn remedy(&self) -> String {
        let (peers, name) = (peers().display().to_string(), self.name);
        format!(
            "a peer does not run: make its environment with\n  python3 -m venv {peers}\n  {peers}/bin/pip install -r \
             benches/peers/requirements-{name}.txt\nor set LIMBECK_PEERS to one that has it"
        )
    }
}

/// The processor, and how many of its cores there are.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, m)| m.trim());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let vectors = if info.contains("avx512f") { "AVX-512" } else { "no AVX-512" };
    format!("{}, {cores} cores, {vectors}", model.unwrap_or("unknown processor"))
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
fn cases(command: &mut Command) -> Option<Vec<(String, Measured)>> {
    let output = command.stderr(Stdio::inherit()).output().ok().filter(|o| o.status.success())?;
    let lines = String::from_utf8(output.stdout).ok()?;
    let case = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        let (parameters, memory) = (value["parameters"].as_u64(), value["memory"].as_f64());
        Some((value["case"].as_str()?.to_owned(), Measured { ms: value["ms"].as_f64()?, parameters, memory }))
    };
    lines.lines().filter(|line| line.starts_with('{')).map(case).collect()
}
