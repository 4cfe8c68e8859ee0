//! `roomcast tail`: a live view of the publications that match a pattern, over WebSocket.
//!
//! It is a client like any other: it authenticates, subscribes, reconnects with its last position and admits gaps.

mod backoff;
mod view;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::bail;

use super::connection::{Connection, Ended};
use super::credentials::Credentials;
use backoff::Backoff;
use view::View;

const EXAMPLES: &str = "\
Examples:
  roomcast tail 'kpi:acme:**'
  roomcast tail kpi:acme:sales alerts:acme --json | jq .data
  roomcast tail 'kpi:acme:**' --since 19a2b3c4d5e-2f-64a1b2c3d4e5f

The token comes from ROOMCAST_TOKEN or --token-file. After a lost connection it resumes where it
was; what cannot be had any more is shown as a gap.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Rooms or patterns, as in kpi:acme or 'kpi:acme:*:support'.
    #[arg(required = true, value_name = "PATTERN")]
    patterns: Vec<String>,
    /// The server's public address.
    #[arg(long, value_name = "URL", env = "ROOMCAST_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The path of the native protocol there.
    #[arg(long, value_name = "PATH", env = "ROOMCAST_WEBSOCKET__PATH", default_value = "/ws")]
    path: String,
    #[command(flatten)]
    credentials: Credentials,
    /// Replay what came after this position first.
    #[arg(long, value_name = "POSITION")]
    since: Option<String>,
    /// Print every message as it comes, one JSON object a line.
    #[arg(long)]
    json: bool,
    /// Stop after this many publications.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Give up after this many failed connections in a row.
    #[arg(long, value_name = "N", default_value_t = 20)]
    attempts_max: u32,
}

/// What the view has come to, over all connections.
struct Progress {
    position: Option<String>,
    remaining: Option<u64>,
}

/// # Errors
/// No token, credentials that the server does not accept, or too many failed connections.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut view = View::new(args.json, std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let mut progress = Progress { position: args.since.clone(), remaining: args.count };
    let mut backoff = Backoff::default();
    loop {
        let ended = connect_and_follow(&args, &mut progress, &mut view, &mut backoff).await?;
        let Some(Ended { reason, retry_after, fatal }) = ended else { return Ok(ExitCode::SUCCESS) };
        if fatal {
            bail!("{reason}");
        }
        if backoff.failures() >= args.attempts_max {
            bail!("{reason}; gave up after {} attempts", backoff.failures());
        }
        let wait = backoff.next(retry_after, rand::random());
        view.note(&format!("{reason}; reconnecting in {:.1} s", wait.as_secs_f64()))?;
        tokio::time::sleep(wait).await;
    }
}

/// Follows one connection to its end; `None` when nothing more is wanted.
async fn connect_and_follow(args: &Args, progress: &mut Progress, view: &mut View, backoff: &mut Backoff) -> anyhow::Result<Option<Ended>> {
    // Asked for at each connection, because a token in a file is renewed there while this runs.
    let token = args.credentials.token()?;
    let mut connection = match Connection::open(&args.url, &args.path).await {
        Ok(connection) => connection,
        Err(error) => return Ok(Some(Ended::because(format!("{error:#}")))),
    };
    if let Err(ended) = connection.authenticate(&token, &args.patterns, progress.position.as_deref()).await {
        return Ok(Some(ended));
    }
    loop {
        let message = match connection.next().await {
            Ok(message) => message,
            Err(ended) => return Ok(Some(ended)),
        };
        if message.event == "authenticated" {
            backoff.succeeded();
        }
        // Publications of the session's own rooms come unasked, and messages need not have a position: the last known one stays.
        progress.position = message.position().or(progress.position.take());
        if message.ends_attempt() {
            return Ok(Some(Ended::refused(&message)));
        }
        if !view.show(&message)? {
            return Ok(None);
        }
        if message.is_publication() && progress.count_down() {
            return Ok(None);
        }
    }
}

impl Progress {
    /// Counts a publication; whether it was the last one wanted.
    fn count_down(&mut self) -> bool {
        self.remaining = self.remaining.map(|remaining| remaining.saturating_sub(1));
        self.remaining == Some(0)
    }
}
