//! Where commands take a token from. Never from an argument: every user of the machine can read those.

use std::path::PathBuf;

use anyhow::{Context, bail};

/// The flag of the commands that need a token.
#[derive(Clone, Debug, clap::Args)]
pub struct Credentials {
    /// A file that holds the token or API key; `ROOMCAST_TOKEN` in the environment holds one directly.
    #[arg(long, value_name = "FILE", env = "ROOMCAST_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl Credentials {
    /// Whether a token was given at all.
    pub fn are_given(&self) -> bool {
        self.token_file.is_some() || std::env::var("ROOMCAST_TOKEN").is_ok_and(|token| !token.trim().is_empty())
    }

    /// The token; read anew at each call, so that a long-running command notices a renewed file.
    ///
    /// # Errors
    /// No token at all, or a file that cannot be read.
    pub fn token(&self) -> anyhow::Result<String> {
        let token = match &self.token_file {
            Some(path) => std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?,
            None => std::env::var("ROOMCAST_TOKEN").unwrap_or_default(),
        };
        let token = token.trim();
        if token.is_empty() {
            bail!("a token is needed: set ROOMCAST_TOKEN, or name a file with --token-file");
        }
        Ok(token.to_owned())
    }
}
