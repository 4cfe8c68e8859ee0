//! `roomcast completions`: a script for the user's shell.

use clap::CommandFactory;
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  roomcast completions bash > /etc/bash_completion.d/roomcast
  roomcast completions zsh > \"${fpath[1]}/_roomcast\"";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell to write for.
    pub shell: Shell,
}

pub fn run(args: &Args) {
    clap_complete::generate(args.shell, &mut super::Cli::command(), "roomcast", &mut std::io::stdout());
}
