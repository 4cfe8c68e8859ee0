//! `roomcast-loadtest`: scenarios against running nodes.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use roomcast_loadtest::fanout::Fanout;

/// Load scenarios for roomcast, judged by a ledger of everything that was published and received.
#[derive(Parser)]
#[command(name = "roomcast-loadtest", version)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Many subscribers of one room; fails unless everybody got everything once and in order.
    Fanout(Fanout),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let Scenario::Fanout(fanout) = Cli::parse().scenario;
    let report = fanout.run().await?;
    let per_s = |count: u64, seconds: f64| count as f64 / seconds.max(f64::EPSILON);
    println!("published {:.0}/s", per_s(report.verdict.acked, report.publishing.as_secs_f64()));
    println!("delivered {:.0}/s", per_s(report.verdict.receipts, report.delivering.as_secs_f64()));
    println!("{}", report.verdict);
    Ok(if report.verdict.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
