//! `roomcast token`: makes tokens to try things with, and shows what a token says.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;

use crate::auth::{self, Config as AuthConfig, MintRequest, Right, Scope, Secret, SigningKey, Verifier};
use crate::clock::unix_s;
use crate::config::{Config, Sources};

const EXAMPLES: &str = "\
Examples:
  roomcast token mint --sub alice --org acme --key-file dev.key
  roomcast token mint --sub backend --org acme --grant 'kpi:acme:**=subscribe,publish' --expires-in-s 86400
  roomcast token mint --sub worker --org acme --scope publish --scope read
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
    /// A grant as PATTERN=RIGHT,RIGHT with the rights subscribe, publish, presence, history; may be repeated. A filter may follow, as in
    /// 'kpi:acme:**=subscribe,history where region = "eu"'.
    #[arg(long = "grant", value_name = "GRANT")]
    pub grants: Vec<String>,
    /// A scope for the REST interface: publish, read, connections, revoke or admin; may be repeated.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<Scope>,
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

/// # Errors
/// No usable key or token, for people.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Mint(args) => {
            let token = mint(&args)?;
            super::print(&format!("{token}\n"))
        }
        Command::Inspect(args) => inspect(&args).await,
    }
}

/// Signs as the arguments say.
pub(super) fn mint(args: &Mint) -> anyhow::Result<String> {
    let mut auth = load(args.config.as_deref())?.auth;
    if let Some(path) = &args.key_file {
        let secret = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        auth = AuthConfig { secret: Some(Secret::new(secret.trim())), keys: Vec::new(), ..auth };
    }
    let mut grants = Vec::new();
    for grant in &args.grants {
        grants.extend(spelled_out(grant)?);
    }
    let request = MintRequest {
        sub: args.sub.clone(),
        org: Some(args.org.clone()),
        grants: (!grants.is_empty()).then_some(grants),
        scopes: args.scopes.clone(),
        token_id: Some(uuid::Uuid::now_v7().simple().to_string()),
        issued_at_s: unix_s(),
        lifetime_s: args.expires_in_s,
    };
    Ok(auth::mint(&request, &auth, &SigningKey::of_config(&auth)?)?)
}

/// `kpi:acme:**=subscribe,publish` → `subscribe:kpi:acme:**`, `publish:kpi:acme:**`; a filter behind it goes to each.
fn spelled_out(grant: &str) -> anyhow::Result<Vec<String>> {
    let (unfiltered, filter) = grant.split_once(" where ").map_or((grant, None), |(grant, filter)| (grant, Some(filter)));
    let Some((pattern, rights)) = unfiltered.split_once('=') else {
        bail!("--grant {grant:?}: the form is PATTERN=RIGHT,RIGHT, as in 'kpi:acme:**=subscribe,publish'");
    };
    let known = Right::ALL.map(Right::as_str);
    let mut compact = Vec::new();
    for right in rights.split(',').map(str::trim) {
        if !known.contains(&right) {
            bail!("--grant {grant:?}: there is no right {right:?}; the rights are {}", known.join(", "));
        }
        compact.push(filter.map_or(format!("{right}:{pattern}"), |filter| format!("{right}:{pattern} where {filter}")));
    }
    Ok(compact)
}

async fn inspect(args: &Inspect) -> anyhow::Result<ExitCode> {
    let token = args.credentials.token()?;
    let inspection = auth::inspect(&token)?;
    let mut text = serde_json::to_string_pretty(&inspection)?;
    let config = load(args.config.as_deref())?;
    let accepted = if config.auth.has_keys() {
        Verifier::new(&config.auth, config.rooms.syntax())?.verify(&token, unix_s()).await.map(|_| ()).map_err(|error| error.to_string())
    } else {
        Err("no key is configured here".to_owned())
    };
    text.push_str(&match &accepted {
        Ok(()) => "\nThis configuration accepts it.\n".to_owned(),
        Err(why) => format!("\nThis configuration does not accept it: {why}.\n"),
    });
    super::print(&text)?;
    Ok(if accepted.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    Ok(Config::load(&Sources::of_process(file.map(Path::to_owned), Vec::new()))?.config)
}
