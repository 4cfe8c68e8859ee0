//! The command line: what can be asked of the binary, one file per command.
//!
//! `main` calls [`Cli::run`]; each command loads what it needs itself. Nothing here holds behaviour that a node needs.

mod client;
pub mod completions;
pub mod config;
mod connection;
mod credentials;
pub mod health;
pub mod publish;
pub mod selftest;
pub mod serve;
pub mod tail;
pub mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  roomcast serve --dev                            a node on loopback with everything to try it
  roomcast serve --config roomcast.toml           a node as the file says
  roomcast config defaults > roomcast.toml        a file to start from
  roomcast tail 'kpi:acme:**'                     watch publications as they come
  roomcast publish kpi:acme kpi:update '{\"n\":1}'  publish one

Without a command it serves.";

/// A real-time broker for multi-tenant applications.
#[derive(Debug, Parser)]
#[command(name = "roomcast", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node (the default).
    Serve(serve::Args),
    /// Watch the publications that match a pattern.
    Tail(tail::Args),
    /// Publish one publication over REST.
    Publish(publish::Args),
    /// Make a token to try things with, or show what one says.
    Token(token::Args),
    /// Check, explain and list the configuration.
    Config(config::Args),
    /// Ask a running node whether it is ready; made for container health checks.
    Health(health::Args),
    /// Do what a client does, and say whether it works: connect, subscribe, publish, receive, resume.
    Selftest(selftest::Args),
    /// Print completions for a shell.
    Completions(completions::Args),
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command.unwrap_or(Command::Serve(self.serve)) {
            Command::Serve(args) => serve::run(args.load()?.config)?,
            Command::Tail(args) => return runtime()?.block_on(tail::run(args)),
            Command::Publish(args) => return runtime()?.block_on(publish::run(args)),
            Command::Token(args) => return runtime()?.block_on(token::run(args)),
            Command::Config(args) => return config::run(&args),
            Command::Health(args) => return runtime()?.block_on(health::run(args)),
            Command::Selftest(args) => return runtime()?.block_on(selftest::run(args)),
            Command::Completions(args) => completions::run(&args),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes to standard output. A reader that went away early, as `head` does, is no failure.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    use std::io::Write;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// A runtime for commands that do one thing at a time.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
