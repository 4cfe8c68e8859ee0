//! `roomcast-loadtest`: scenarios against running nodes, or against gateways that it starts itself.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use roomcast_loadtest::fanout::{Fanout, Figures, Report};

/// Load scenarios for roomcast. Every publication is checked on arrival: a run in which one is lost, repeated, out of order or in the
/// wrong room is failed.
#[derive(Parser)]
#[command(name = "roomcast-loadtest", version)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Many subscribers of one room: what each delivery costs, beside the floor, and how long it takes.
    Fanout(Fanout),
}

fn main() -> anyhow::Result<ExitCode> {
    let Scenario::Fanout(fanout) = Cli::parse().scenario;
    let report = fanout.run()?;
    if fanout.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print_table(&report);
    }
    Ok(if report.clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_table(report: &Report) {
    println!("{} subscribers, {} publications filled with {} bytes", report.subscribers, report.publications, report.filling_bytes);
    println!("{:<22}{:>14}{:>12}{:>14}{:>10}{:>10}{:>10}", "", "CPU µs/deliv.", "gateway ×", "deliveries/s", "p50 ms", "p99 ms", "max ms");
    print_row("gateway", &report.gateway, None);
    for (name, floor) in [("floor, single writes", &report.floor_single), ("floor, concatenated", &report.floor_concatenated)] {
        if let Some(floor) = floor {
            print_row(name, floor, report.gateway.cpu_us_per_delivery);
        }
    }
    let Report { lost, behind, misrouted, gaps, closed, .. } = report;
    println!("lost {lost}, repeated or out of order {behind}, misrouted {misrouted}, gaps {gaps}, connections ended {closed}");
}

fn print_row(name: &str, figures: &Figures, gateway_us: Option<f64>) {
    let cpu = figures.cpu_us_per_delivery;
    let cpu_text = cpu.map_or_else(|| "-".to_owned(), |us| format!("{us:.3}"));
    let ratio = gateway_us.zip(cpu).map_or_else(String::new, |(gateway, floor)| format!("{:.2}", gateway / floor));
    let [p50, p99, max] = [figures.p50_us, figures.p99_us, figures.max_us].map(|us| us as f64 / 1_000.0);
    println!("{name:<22}{cpu_text:>14}{ratio:>12}{:>14.0}{p50:>10.2}{p99:>10.2}{max:>10.2}", figures.deliveries_per_s);
}
