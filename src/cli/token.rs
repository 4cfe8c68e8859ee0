//! `roomcast token`: makes tokens to try things with, and shows what a token says.

use std::path::PathBuf;

use clap::Subcommand;

const EXAMPLES: &str = "\
Examples:
  roomcast token mint --sub alice --org acme --key-file dev.key
  roomcast token mint --sub backend --org acme --grant 'kpi:acme:**=subscribe,publish' --expires-in-s 86400
  roomcast token inspect --token-file token.jwt";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign a token with a key of the configuration, or with one from a file.
    Mint(Mint),
    /// Show a token's header and claims, and whether this configuration would accept it.
    Inspect(Inspect),
}

#[derive(Debug, clap::Args)]
pub struct Mint {
    /// The user.
    #[arg(long, value_name = "USER")]
    pub sub: String,
    /// The org.
    #[arg(long, value_name = "ORG")]
    pub org: String,
    /// A grant as PATTERN=RIGHT,RIGHT with the rights subscribe, publish, presence, history; may be repeated.
    #[arg(long = "grant", value_name = "GRANT")]
    pub grants: Vec<String>,
    /// A scope for the REST interface; may be repeated.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// How long the token is good for, in seconds.
    #[arg(long, value_name = "S", default_value_t = 3_600)]
    pub expires_in_s: u64,
    /// A file with the shared secret to sign with (HS256); by default the configuration's key.
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "ROOMCAST_CONFIG")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct Inspect {
    #[command(flatten)]
    pub credentials: super::credentials::Credentials,
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "ROOMCAST_CONFIG")]
    pub config: Option<PathBuf>,
}
