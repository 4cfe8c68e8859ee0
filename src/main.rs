//! The `roomcast` binary: the process-wide choices that no library should make, then the command that was asked for.

use std::process::ExitCode;

use clap::Parser;
use roomcast::cli::Cli;

/// Many small, short-lived allocations over many threads: jemalloc keeps an idle connection a third smaller.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Fails only where a provider was installed before, which nothing above this line does.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("roomcast: {error:#}");
            ExitCode::FAILURE
        }
    }
}
