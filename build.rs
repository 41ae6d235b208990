//! Links the stand-in for libcuda of `tests/cuda` when that is asked for, and does nothing otherwise.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIMBECK_CUDA_STANDIN");
    // Cargo takes what another checkout has built for its own where both share a target folder and its files are older.
    println!("cargo:rerun-if-env-changed=LIMBECK_CHECKOUT");
    if env::var_os("CARGO_FEATURE_CUDA_CHECK").is_none() {
        return;
    }
    // Without it the feature still type-checks, but nothing links.
    if let Ok(folder) = env::var("LIMBECK_CUDA_STANDIN") {
        println!("cargo:rustc-link-search=native={folder}");
        println!("cargo:rustc-link-lib=dylib=fakecuda");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
