//! `roomcast selftest`: what a client does, step by step, against a running installation. `helm test` runs it, and whoever has just
//! installed or updated one.
//!
//! It goes through the public door only, on three connections, which a load balancer may lead to three nodes.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::connection::{Connection, Ended, Message};
use super::credentials::Credentials;
use super::{serve, token};

/// How long the token is good for that the command signs by itself.
const TOKEN_LIFETIME_S: u64 = 300;
/// The ids of the commands after `authenticate`, which has 1.
const SUBSCRIBE_ID: u64 = 2;
const PUBLISH_ID: u64 = 3;

const EXAMPLES: &str = "\
Examples:
  roomcast selftest                                       against this machine, with a token of its own
  roomcast selftest --url wss://rt.example.com --token-file token.jwt --room chat:acme:selftest

Without a token it signs one by the configuration's key, as `roomcast token mint` does. It exits with
0 when every step went well and with 1 at the first that did not.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The public address: a node's, or that of the load balancer in front.
    #[arg(long, value_name = "URL", env = "ROOMCAST_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The path of the native protocol there; by default the one that the configuration says.
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    #[command(flatten)]
    credentials: Credentials,
    /// The org of the token that is signed here.
    #[arg(long, value_name = "ORG", default_value = "selftest")]
    org: String,
    /// The room to publish into [default: system:ORG:selftest, with the token's org].
    #[arg(long, value_name = "ROOM")]
    room: Option<String>,
    /// The configuration file (TOML) with the key to sign with, and the path.
    #[arg(long, value_name = "FILE", env = "ROOMCAST_CONFIG")]
    config: Option<PathBuf>,
    /// How long each step may take, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    timeout_ms: u64,
}

/// # Errors
/// The first step that failed, and why.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let token = if args.credentials.are_given() { args.credentials.token()? } else { sign(&args)? };
    let path = match &args.path {
        Some(path) => path.clone(),
        None => serve::Args { config: args.config.clone(), ..serve::Args::default() }.load()?.config.websocket.path,
    };
    let mut visitor = Visitor { args, path, token, mark: uuid::Uuid::new_v4().simple().to_string(), room: String::new() };
    let begun = Instant::now();
    let (mut listener, _) = visitor.step("connect and authenticate", visitor.connect(None)).await?;
    visitor.room = visitor.args.room.clone().unwrap_or_else(|| format!("system:{}:selftest", listener.org));
    visitor.step("subscribe", visitor.subscribe(&mut listener)).await?;
    let first = visitor.step("publish and receive it", visitor.publish_and_receive(&mut listener)).await?;
    drop(listener);
    let missed = visitor.step("publish while the subscriber is away", visitor.publish_elsewhere()).await?;
    visitor.step("resume: get what was missed, and nothing twice", visitor.resume(&first, &missed)).await?;
    super::print(&format!("everything works, after {} ms\n", begun.elapsed().as_millis()))
}

/// A token that may do what the steps need and no more.
fn sign(args: &Args) -> anyhow::Result<String> {
    let request = token::Mint {
        sub: "selftest".to_owned(),
        org: args.org.clone(),
        grants: vec![format!("*:{}:**=subscribe,publish", args.org)],
        scopes: Vec::new(),
        expires_in_s: TOKEN_LIFETIME_S,
        key_file: None,
        config: args.config.clone(),
    };
    token::mint(&request).context("no token was given (ROOMCAST_TOKEN, --token-file), and none can be signed here")
}

/// Who goes through the steps.
struct Visitor {
    args: Args,
    path: String,
    token: String,
    /// Tells this run's publications from those of another that happens at the same time.
    mark: String,
    room: String,
}

/// A connection that has authenticated.
struct Open {
    connection: Connection,
    org: String,
}

impl Visitor {
    /// Runs one step within its time, and says how it went.
    async fn step<T>(&self, name: &str, step: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let begun = Instant::now();
        let limit = Duration::from_millis(self.args.timeout_ms);
        let outcome = match tokio::time::timeout(limit, step).await {
            Ok(outcome) => outcome,
            Err(_) => Err(anyhow::anyhow!("it took longer than {} ms", self.args.timeout_ms)),
        };
        let value = outcome.with_context(|| format!("FAILED {name}"))?;
        super::print(&format!("ok  {name} ({} ms)\n", begun.elapsed().as_millis()))?;
        Ok(value)
    }

    /// Connects and authenticates; with a position also subscribes from there on. Answers with the place in the log.
    async fn connect(&self, since: Option<&str>) -> anyhow::Result<(Open, Option<String>)> {
        let mut connection = Connection::open(&self.args.url, &self.path).await?;
        let rooms = if since.is_some() { vec![self.room.clone()] } else { Vec::new() };
        connection.authenticate(&self.token, &rooms, since).await?;
        loop {
            let message = connection.next().await?;
            if message.ends_attempt() {
                return Err(Ended::refused(&message).into());
            }
            if message.event == "authenticated" {
                let org = data(&message)["organization_id"].as_str().context("the server did not say whose session it is")?.to_owned();
                return Ok((Open { connection, org }, message.position()));
            }
        }
    }

    async fn subscribe(&self, open: &mut Open) -> anyhow::Result<()> {
        let command = json!({ "event": "subscribe", "id": SUBSCRIBE_ID, "data": { "rooms": [&self.room] } });
        open.connection.send(&command).await?;
        answer(open, SUBSCRIBE_ID).await.map(drop)
    }

    fn publication(&self, number: u64) -> Value {
        let data = json!({ "selftest": &self.mark, "number": number });
        json!({ "event": "publish", "id": PUBLISH_ID, "data": { "room": &self.room, "event": "system:notification", "data": data } })
    }

    /// The number of a publication of this run.
    fn number(&self, message: &Message) -> Option<u64> {
        let data = data(message);
        if message.is_publication() && data["selftest"] == self.mark.as_str() { data["number"].as_u64() } else { None }
    }

    /// Publishes the first publication, and answers with its id when it has been acknowledged and has arrived.
    async fn publish_and_receive(&self, open: &mut Open) -> anyhow::Result<String> {
        open.connection.send(&self.publication(1)).await?;
        let (mut acknowledged, mut received) = (None, None);
        loop {
            let message = open.connection.next().await?;
            refuse_gap(&message)?;
            if self.number(&message) == Some(1) {
                ensure!(received.replace(id(&message)?).is_none(), "the publication came twice");
            } else if message.id == Some(json!(PUBLISH_ID)) {
                acknowledged = Some(published(&message)?);
            }
            if let (Some(acknowledged), Some(received)) = (&acknowledged, &received) {
                ensure!(acknowledged == received, "{acknowledged} was acknowledged, and {received} was received");
                return Ok(received.clone());
            }
        }
    }

    /// Publishes the second one over a connection that subscribes to nothing.
    async fn publish_elsewhere(&self) -> anyhow::Result<String> {
        let (mut open, _) = self.connect(None).await?;
        open.connection.send(&self.publication(2)).await?;
        published(&answer(&mut open, PUBLISH_ID).await?)
    }

    /// Comes back with the position of the first publication: the second must be there, and not the first.
    async fn resume(&self, first: &str, missed: &str) -> anyhow::Result<()> {
        let (mut open, _) = self.connect(Some(first)).await?;
        loop {
            let message = open.connection.next().await?;
            refuse_gap(&message)?;
            match self.number(&message) {
                Some(2) => {
                    let received = id(&message)?;
                    ensure!(received == missed, "{missed} was acknowledged, and {received} was received");
                    return Ok(());
                }
                Some(_) => bail!("a publication from before the position came again"),
                None => {}
            }
        }
    }
}

/// The answer to a command; an error is one.
async fn answer(open: &mut Open, to: u64) -> anyhow::Result<Message> {
    loop {
        let message = open.connection.next().await?;
        refuse_gap(&message)?;
        if message.id == Some(json!(to)) && !message.is_publication() {
            return if message.event == "error" { Err(Ended::refused(&message).into()) } else { Ok(message) };
        }
    }
}

fn refuse_gap(message: &Message) -> anyhow::Result<()> {
    let data = data(message);
    ensure!(message.event != "gap", "the server told a gap ({}): publications were lost", data["reason"].as_str().unwrap_or("?"));
    Ok(())
}

/// The position that a `published` tells.
fn published(message: &Message) -> anyhow::Result<String> {
    if message.event == "error" {
        return Err(Ended::refused(message).into());
    }
    data(message)["id"].as_str().map(str::to_owned).context("the acknowledgement has no id")
}

fn id(publication: &Message) -> anyhow::Result<String> {
    publication.id.as_ref().and_then(Value::as_str).map(str::to_owned).context("the publication has no id, though it is logged")
}

fn data(message: &Message) -> Value {
    message.data.as_deref().and_then(|data| serde_json::from_str(data.get()).ok()).unwrap_or_default()
}
