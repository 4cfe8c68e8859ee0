//! `roomcast config`: whether the configuration is valid, what it can hold, and where its values come from.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::serve;
use crate::config::shape::Shape;
use crate::config::{Loaded, docs};

const EXAMPLES: &str = "\
Examples:
  roomcast config check --config roomcast.toml
  roomcast config defaults > roomcast.toml
  roomcast config env | less
  roomcast config schema > roomcast.schema.json";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load the configuration as `serve` would, and list every fault, or every value that is not a default.
    Check {
        /// The configuration file (TOML).
        #[arg(long, value_name = "FILE", env = "ROOMCAST_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Print a TOML file with every key, explained, at its default.
    Defaults,
    /// List the environment variables.
    Env,
    /// Print the JSON Schema of the file.
    Schema,
}

/// # Errors
/// An invalid configuration, or an output that cannot be written to.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = match &args.command {
        Command::Check { config } => check(&serve::Args { config: config.clone(), ..serve::Args::default() }.load()?),
        Command::Defaults => docs::defaults(),
        Command::Env => docs::env(),
        Command::Schema => docs::schema(),
    };
    super::print(&text)
}

fn check(loaded: &Loaded) -> String {
    let mut text = String::from("The configuration is valid.\n");
    let tree = serde_json::to_value(&loaded.config).unwrap_or_default();
    for (key, member) in Shape::of_config().leaves() {
        let Some(origin) = loaded.origins.get(&key) else { continue };
        let value = tree.pointer(&format!("/{}", key.replace('.', "/"))).map(ToString::to_string);
        let shown = if member.is_confidential() { "(secret)".to_owned() } else { value.unwrap_or_default() };
        writeln!(text, "{key} = {shown}   from {origin}").expect("writing into memory cannot fail");
    }
    text
}
