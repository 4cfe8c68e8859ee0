//! The command line around the scenarios: gives each of them the options on output and on agents, and adds `compare`, `render`, `plan` and `agent`.
//! It knows scenarios by clap and by one function only.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};

use crate::agent::Agent;
use crate::compare::Compare;
use crate::coordinator::Coordinator;
use crate::order::Order;
use crate::output::{self, Output};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::render::Render;
use crate::report::Report;

/// A run that could not be made or judged; 1 is for runs that were judged, and failed.
const UNSAID: u8 = 2;

/// Takes the command line in and does what it says; `S` are the scenarios, `figures` names those that one of them may tell, and `run` runs
/// it. What cannot be done is said on standard error and has exit code 2, as wrong options have.
pub fn execute<S: Subcommand>(
    line: impl IntoIterator<Item = OsString>,
    figures: fn(&S) -> Vec<&'static str>,
    run: impl Fn(&S, Progress) -> anyhow::Result<Report> + Sync,
) -> ExitCode {
    obey(line, figures, run).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(UNSAID)
    })
}

fn obey<S: Subcommand>(
    line: impl IntoIterator<Item = OsString>,
    figures: fn(&S) -> Vec<&'static str>,
    run: impl Fn(&S, Progress) -> anyhow::Result<Report> + Sync,
) -> anyhow::Result<ExitCode> {
    let matches = command::<S>().get_matches_from(line);
    let Some((name, of)) = matches.subcommand() else { anyhow::bail!("say what to do; --help tells what there is") };
    match name {
        "compare" => Compare::from_arg_matches(of)?.run(),
        "render" => Render::from_arg_matches(of)?.run(),
        "plan" => Plan::from_arg_matches(of)?.run(),
        "agent" => Agent::from_arg_matches(of)?.run(|words, progress| shared::<S>(words, progress, &run)),
        _ => scenario(&matches, (name, of), figures, &run),
    }
}

fn scenario<S: Subcommand>(
    matches: &ArgMatches,
    (name, of): (&str, &ArgMatches),
    figures: fn(&S) -> Vec<&'static str>,
    run: &impl Fn(&S, Progress) -> anyhow::Result<Report>,
) -> anyhow::Result<ExitCode> {
    let output = Output::from_arg_matches(of)?;
    output.check()?;
    let scenario = S::from_arg_matches(matches)?;
    output.check_figures(&figures(&scenario))?;
    let coordinator = Coordinator::from_arg_matches(of)?;
    let progress = Progress::new(output.quiet);
    let report = if coordinator.is_wanted() {
        let command = command::<S>();
        let command = command.find_subcommand(name).ok_or_else(|| anyhow::anyhow!("there is no scenario {name}"))?;
        coordinator.run(&Order::of(command, of)?, progress)?
    } else {
        run(&scenario, progress)?
    };
    Ok(output::finish(&report, &output))
}

/// A share of a run, as an agent is given it.
fn shared<S: Subcommand>(
    words: &[String],
    progress: Progress,
    run: &impl Fn(&S, Progress) -> anyhow::Result<Report>,
) -> anyhow::Result<Report> {
    let line = [env!("CARGO_PKG_NAME").to_owned()].into_iter().chain(words.iter().cloned());
    run(&S::from_arg_matches(&command::<S>().try_get_matches_from(line)?)?, progress)
}

fn command<S: Subcommand>() -> Command {
    let command = Command::new(env!("CARGO_PKG_NAME")).version(env!("CARGO_PKG_VERSION"));
    // Augmenting replaces what a command says about itself, here and below.
    let scenarios = S::augment_subcommands(command).subcommand_required(true).arg_required_else_help(true).about(
        "Load scenarios for roomcast. Every publication is checked on arrival: a run in which one is lost, repeated, out of order or in \
         the wrong room is failed.",
    );
    let scenarios = scenarios.mut_subcommands(|scenario| {
        let (about, long) = (scenario.get_about().cloned(), scenario.get_long_about().cloned());
        Coordinator::augment_args(Output::augment_args(scenario)).about(Resettable::from(about)).long_about(Resettable::from(long))
    });
    scenarios
        .subcommand(Compare::augment_args(Command::new("compare")))
        .subcommand(Render::augment_args(Command::new("render")))
        .subcommand(Plan::augment_args(Command::new("plan")))
        .subcommand(Agent::augment_args(Command::new("agent")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[derive(clap::Subcommand)]
    enum Fake {
        /// Nobody does anything.
        Idle {
            #[arg(long, default_value_t = 10)]
            sessions: u64,
        },
    }

    fn executed(line: &str, run: impl Fn(&Fake, Progress) -> anyhow::Result<Report> + Sync) -> String {
        let line = ["roomcast-loadtest"].into_iter().chain(line.split_whitespace()).map(OsString::from);
        format!("{:?}", execute(line, |_| vec!["cpu_us_per_delivery"], run))
    }

    #[test]
    fn the_command_line_is_sound() {
        command::<Fake>().debug_assert();
        let idle = command::<Fake>();
        let idle = idle.find_subcommand("idle").unwrap();
        assert_eq!(idle.get_about().unwrap().to_string(), "Nobody does anything");
        assert!(["sessions", "json", "agents"].iter().all(|name| idle.get_arguments().any(|arg| arg.get_id() == name)));
    }

    #[test]
    fn a_scenario_runs_with_its_options_and_is_judged() {
        let run = |fake: &Fake, _: Progress| {
            let Fake::Idle { sessions } = fake;
            assert_eq!(*sessions, 7);
            Ok(sample())
        };
        assert_eq!(executed("idle --sessions 7 --quiet", run), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(executed("idle --sessions 7 --quiet --fail-if published>1", run), format!("{:?}", ExitCode::FAILURE));
        let cannot = format!("{:?}", ExitCode::from(2));
        assert_eq!(executed("idle --json /nonexistent/x.json", |_, _| panic!("it ran")), cannot);
        assert_eq!(executed("idle --fail-if cpu_us_per_delivry>1", |_, _| panic!("it ran")), cannot);
        assert_eq!(executed("idle --quiet", |_, _| anyhow::bail!("nobody is there")), cannot);
    }

    #[test]
    fn shares_are_parsed_as_command_lines_are() {
        let words = ["idle", "--sessions=3"].map(str::to_owned);
        let run = |fake: &Fake, _: Progress| {
            let Fake::Idle { sessions } = fake;
            Ok(Report { scenario: sessions.to_string(), ..Report::default() })
        };
        assert_eq!(shared(&words, Progress::new(true), &run).unwrap().scenario, "3");
        assert!(shared(&["idle".to_owned(), "--wrong".to_owned()], Progress::new(true), &run).is_err());
    }
}
