//! `roomcast-loadtest`: scenarios against running nodes, or against gateways that it starts itself.

use std::process::ExitCode;

use roomcast_loadtest::cli;
use roomcast_loadtest::scenario::Scenario;
use roomcast_loadtest::stop;

fn main() -> ExitCode {
    cli::execute(std::env::args_os(), Scenario::figures, |scenario: &Scenario, progress| {
        // An agent starts nothing that would outlive it, so signals end it as they end any process.
        if !progress.is_led() {
            stop::on_signals()?;
        }
        scenario.run(progress)
    })
}
