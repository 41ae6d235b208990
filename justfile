# The recipes of Limbeck. `just` alone lists them.

export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", cache_directory() / "limbeck" / "target")
export LIMBECK_CHECKOUT := canonicalize(justfile_directory())
export LIMBECK_PEERS := env("LIMBECK_PEERS", cache_directory() / "limbeck" / "peers")
python := env("PYTHON", "python3")
limbeck := CARGO_TARGET_DIR / "release" / "limbeck"

[private]
default:
    @just --list --unsorted

# Build the library and the command line.
setup:
    cargo build --release --locked

# Train every model at its small scale and write every figure and table into figures/.
figures *OPTIONS: setup
    {{limbeck}} figures {{OPTIONS}}

# One figure with its tables: `just figure digits`. `just figures --list` names them all.
figure NAME *OPTIONS: setup
    {{limbeck}} figures {{NAME}} {{OPTIONS}}

# Run every chapter of the book headless; writes notebooks/*.ipynb (`--check` compares instead).
notebooks *OPTIONS: environment
    {{python}} notebooks/tools/run.py {{OPTIONS}}

# Open JupyterLab on the book.
lab *OPTIONS: environment
    {{python}} notebooks/tools/lab.py {{OPTIONS}}

# Every test that needs nothing but Rust and Python.
test:
    cargo test --release --locked
    {{python}} notebooks/tools/test_tools.py --quick
    {{python}} tests/cuda/build.py cargo test --release --locked --config profile.release.package.limbeck.opt-level=0 --features cuda-check --test gpu
    {{python}} tests/cuda/build.py --once {{python}} tests/cuda/kit.py --standin --try

# Change files and settings at random, thirty times as often as `just test` does (about a minute); `just fuzz 1000` goes on for longer.
fuzz TIMES="30":
    LIMBECK_FUZZ={{TIMES}} cargo test --release --locked --test fuzz

# The tests of the notebook environment: each way a cell can fail, and the linking that would falsify gradients.
test-notebooks: environment
    {{python}} notebooks/tools/test_tools.py

# Format, lints, documentation, links.
check:
    cargo fmt --check
    cargo clippy --release --locked --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps
    cargo clippy --release --locked --lib --features cuda-check -- -D warnings
    {{python}} .ci/links.py

# Criterion benches of the hot paths.
bench *OPTIONS:
    cargo bench --locked {{OPTIONS}}

# What queries, M-steps and batches cost by the pass they cannot do without; writes figures/costs.csv.
costs:
    cargo bench --locked --bench costs

# Side by side with Python libraries: `just versus circuits`, `just versus nn`.
versus WHAT:
    cargo bench --locked --bench versus_{{WHAT}}

# A folder for a machine with a GPU: the tests of CUDA code, a training step beside PyTorch's, and run.sh.
gpu-kit *OPTIONS:
    {{python}} tests/cuda/kit.py {{OPTIONS}}

# How long a notebook takes to start, and its cells to run.
notebook-latency *OPTIONS: environment
    {{python}} notebooks/tools/latency.py {{OPTIONS}}

# Rebuild the shipped data from its packages: `just data`, `just data digits`, `just data --check`.
data *OPTIONS:
    {{python}} datasets/rebuild.py {{OPTIONS}}

# The notebook environment in .venv/ and .tools/.
[private]
environment:
    {{python}} notebooks/tools/setup.py

# Remove what was built here; the shared cache stays (`just clean --cache` removes it, too).
clean *OPTIONS:
    rm -rf .venv .tools notebooks/.ipynb_checkpoints
    {{ if OPTIONS == "--cache" { "rm -rf '" + (cache_directory() / "limbeck") + "'" } else { "true" } }}
