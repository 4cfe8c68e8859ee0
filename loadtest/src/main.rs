//! `roomcast-loadtest`: scenarios against running nodes, or against gateways that it starts itself.

use std::process::ExitCode;

use clap::Parser;
use roomcast_loadtest::report::Report;
use roomcast_loadtest::scenario::Scenario;
use roomcast_loadtest::stop;

/// Load scenarios for roomcast. Every publication is checked on arrival: a run in which one is lost, repeated, out of order or in the
/// wrong room is failed.
#[derive(Parser)]
#[command(name = "roomcast-loadtest", version)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
    /// Prints JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

/// What the process ends with when a run could not be made; 1 is for runs that were and are not clean.
const NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(NOT_RUN)
        }
    }
}

/// Whether the run is clean.
fn run(cli: &Cli) -> anyhow::Result<bool> {
    stop::on_signals()?;
    let report = cli.scenario.run()?;
    if cli.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print_table(&report);
    }
    Ok(report.is_clean())
}

fn print_table(report: &Report) {
    for figure in &report.figures {
        let beside =
            figure.ratio().zip(figure.floor).map(|(ratio, floor)| format!("  {ratio:.2} × floor {floor:.3} ({})", figure.floor_title));
        println!("{:<48}{:>14.3} {:<16}{}", figure.title, figure.value, figure.unit, beside.unwrap_or_default());
    }
    for latency in &report.latencies {
        let [p50, p99, max] = [latency.at(0.5), latency.at(0.99), latency.max_us].map(|us| us as f64 / 1_000.0);
        println!("{:<48}{p50:>10.2} {p99:>10.2} {max:>10.2} ms (p50, p99, max)", latency.stage);
    }
    println!("{:?}", report.ledger);
    report.remarks.iter().for_each(|remark| println!("{remark}"));
}
