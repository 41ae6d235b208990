//! The command line.

/// Keeps the memory of one training step for the next, where the system's takes it back and clears it each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    limbeck::cli::main()
}
