//! The command line.

fn main() -> std::process::ExitCode {
    limbeck::cli::main()
}
