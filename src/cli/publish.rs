//! `roomcast publish`: one publication over REST.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::client;
use super::credentials::Credentials;
use crate::protocol::Priority;

/// More than any server takes.
const DATA_BYTES_MAX: u64 = 64 << 20;

const EXAMPLES: &str = "\
Examples:
  roomcast publish kpi:acme:sales kpi:update '{\"revenue\":1200}'
  jq -c . report.json | roomcast publish kpi:acme kpi:computed
  roomcast publish org:acme system:maintenance '{\"at\":\"22:00\"}' --cascade --priority urgent

The token comes from ROOMCAST_TOKEN or --token-file. The server's answer is printed as JSON.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The room to publish into, as in kpi:acme:sales.
    room: String,
    /// The event, as in kpi:update.
    event: String,
    /// The data as JSON; `-`, or nothing, reads standard input.
    data: Option<String>,
    /// The server's public address.
    #[arg(long, value_name = "URL", env = "ROOMCAST_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    #[command(flatten)]
    credentials: Credentials,
    /// low, medium, high or urgent.
    #[arg(long, default_value = "medium", value_parser = priority)]
    priority: Priority,
    /// Reach subscriptions on the rooms below, too.
    #[arg(long)]
    cascade: bool,
    /// Deliver to whoever is connected, without keeping it.
    #[arg(long)]
    ephemeral: bool,
    /// Ask the receivers for acknowledgements.
    #[arg(long)]
    requires_ack: bool,
    /// The same key is logged once, however often it is sent.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Not worth replaying after this long.
    #[arg(long, value_name = "MS")]
    ttl_ms: Option<u64>,
    /// How long to wait for the answer, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    timeout_ms: u64,
}

fn priority(text: &str) -> Result<Priority, &'static str> {
    Priority::parse(text).ok_or("one of low, medium, high, urgent is expected")
}

/// # Errors
/// Data that is no JSON, or a publication that was not accepted.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let data = match args.data.as_deref() {
        None | Some("-") => read_stdin()?,
        Some(data) => data.to_owned(),
    };
    let data = RawValue::from_string(data.trim().to_owned()).context("the data is not JSON; text needs quotes of its own: '\"text\"'")?;
    let request = Request::post(client::address(&args.url, "/api/ws/broadcast")?)
        .header(AUTHORIZATION, format!("Bearer {}", args.credentials.token()?))
        .header(CONTENT_TYPE, "application/json")
        .body(body(&args, &data)?.into())?;
    let answer = client::exchange(request, Duration::from_millis(args.timeout_ms)).await?;
    let text = String::from_utf8_lossy(answer.body());
    if !answer.status().is_success() {
        bail!("the publication was not accepted ({}): {}", answer.status(), text.trim());
    }
    super::print(&format!("{}\n", text.trim()))
}

fn read_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    let count = std::io::stdin().take(DATA_BYTES_MAX + 1).read_to_string(&mut text).context("standard input cannot be read")?;
    if count as u64 > DATA_BYTES_MAX {
        bail!("the data is longer than {DATA_BYTES_MAX} bytes");
    }
    Ok(text)
}

/// The request; options at their defaults are left out.
fn body(args: &Args, data: &RawValue) -> anyhow::Result<Vec<u8>> {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        event: &'a str,
        target: Value,
        data: &'a RawValue,
        priority: Priority,
        #[serde(flatten)]
        options: serde_json::Map<String, Value>,
    }
    let options = [
        ("cascade", args.cascade.then_some(json!(true))),
        ("log", args.ephemeral.then_some(json!(false))),
        ("requires_ack", args.requires_ack.then_some(json!(true))),
        ("idempotency_key", args.idempotency_key.as_ref().map(|key| json!(key))),
        ("ttl_ms", args.ttl_ms.map(|ttl_ms| json!(ttl_ms))),
    ];
    let options = options.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    let body = Body { event: &args.event, target: json!({ "room": args.room }), data, priority: args.priority, options };
    Ok(serde_json::to_vec(&body)?)
}
