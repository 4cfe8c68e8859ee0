//! Checks that need more than one value, or more than a type: all faults are found, not just the first.

use std::collections::BTreeMap;

use super::fault::{Fault, Faults, Origin};
use super::{Config, drain, limits, rooms};
use crate::limit::quota;
use crate::telemetry;
use crate::transport::websocket;

/// Collects faults and looks up where each key came from.
pub(super) struct Judge<'a> {
    origins: &'a BTreeMap<String, Origin>,
    faults: Faults,
}

impl Judge<'_> {
    /// Notes a fault at `key` unless `holds`.
    pub fn demand(&mut self, holds: bool, key: &str, message: impl Into<String>) {
        if !holds {
            self.faults.push(Fault { origin: self.origins.get(key).cloned(), key: key.to_owned(), message: message.into() });
        }
    }
}

pub(super) fn faults(config: &Config, origins: &BTreeMap<String, Origin>) -> Faults {
    let mut judge = Judge { origins, faults: Faults::default() };
    limits(&config.limits, &mut judge);
    quotas(&config.quotas, &mut judge);
    let burst = config.server.accepts_per_s == 0 || config.server.accepts_burst > 0;
    judge.demand(burst, "server.accepts_burst", "it must be at least 1 where server.accepts_per_s is a bound");
    rooms(&config.rooms, &mut judge);
    for (key, message) in config.hub.faults() {
        judge.demand(false, &format!("hub.{key}"), message);
    }
    for (key, message) in config.presence.faults() {
        judge.demand(false, &format!("presence.{key}"), message);
    }
    for (key, message) in config.api.faults() {
        judge.demand(false, &format!("api.{key}"), message);
    }
    let jwks = config.auth.jwks.url.as_deref().and_then(|url| url.parse::<http::Uri>().ok());
    let plain = jwks.is_none_or(|uri| uri.authority().is_none_or(|authority| !authority.as_str().contains('@')));
    judge.demand(plain, "auth.jwks.url", "it must not hold a user or a password");
    websocket(&config.websocket, &mut judge);
    dialects(config, &mut judge);
    http(config, &mut judge);
    drain(&config.drain, &mut judge);
    for (key, message) in config.balance.faults() {
        judge.demand(false, &format!("balance.{key}"), message);
    }
    if let Some(id) = &config.node.id {
        judge.demand(
            crate::protocol::OrgId::parse(id).is_ok(),
            "node.id",
            "1 to 64 characters of letters, digits and _ . @ - are expected",
        );
    }
    telemetry(&config.telemetry, &mut judge);
    judge.faults
}

fn limits(limits: &limits::Config, judge: &mut Judge<'_>) {
    let stale = limits.stale_after_ms > limits.ping_interval_ms;
    judge.demand(stale, "limits.stale_after_ms", "it must be longer than limits.ping_interval_ms, or every quiet session dies");
    let burst = limits.commands_burst >= limits.commands_per_s;
    judge.demand(burst, "limits.commands_burst", "it must be at least limits.commands_per_s");
    let percent = (1..=100).contains(&limits.unauthenticated_percent_max);
    judge.demand(percent, "limits.unauthenticated_percent_max", "it must be from 1 to 100");
    for (key, value) in [
        ("limits.commands_per_s", u64::from(limits.commands_per_s)),
        ("limits.ping_interval_ms", limits.ping_interval_ms),
        ("limits.auth_timeout_ms", limits.auth_timeout_ms),
        ("limits.subscriptions_per_session_max", limits.subscriptions_per_session_max as u64),
        ("limits.connections_per_node_max", limits.connections_per_node_max as u64),
    ] {
        judge.demand(value > 0, key, "it must be at least 1");
    }
}

fn quotas(quotas: &quota::Config, judge: &mut Judge<'_>) {
    judge.demand(quotas.broker_calls_per_org_max > 0, "quotas.broker_calls_per_org_max", "it must be at least 1");
    for name in quotas.orgs.keys() {
        judge.demand(crate::protocol::OrgId::parse(name).is_ok(), &format!("quotas.orgs.{name}"), "it is not the name of an organization");
    }
}

fn websocket(websocket: &websocket::Config, judge: &mut Judge<'_>) {
    judge.demand(websocket.message_bytes_max >= 1_024, "websocket.message_bytes_max", "it must be at least 1024, or no token fits");
    let first = websocket.unauthenticated_bytes_max >= 32 << 10;
    judge.demand(first, "websocket.unauthenticated_bytes_max", "it must be at least 32768, or no first command fits");
    for (key, path) in [("websocket.path", &websocket.path), ("websocket.echo_path", &websocket.echo_path)] {
        let plain = path.starts_with('/') && !path.contains(['{', '}', '?', '#']);
        judge.demand(plain || (path.is_empty() && key.ends_with("echo_path")), key, "a path such as /ws is expected");
    }
    judge.demand(websocket.path != websocket.echo_path, "websocket.echo_path", "it must differ from websocket.path");
    let listed = !websocket.allowed_origins.is_empty() && !websocket.allowed_origins.iter().any(|origin| origin == "*");
    let why = "it needs websocket.allowed_origins without *: browsers send cookies along from any page";
    judge.demand(websocket.token_cookie.is_empty() || listed, "websocket.token_cookie", why);
}

fn dialects(config: &Config, judge: &mut Judge<'_>) {
    let guest = config.dialects.guest(&config.rooms.syntax());
    judge.demand(guest.is_ok(), "dialects.anonymous", guest.err().unwrap_or_default());
    for (index, dialect) in config.dialects.dialects().enumerate() {
        let key = format!("dialects.enabled.{index}");
        let free = ![&config.websocket.path, &config.websocket.echo_path].contains(&&dialect.path.to_owned());
        judge.demand(free, &key, format!("its path {} is taken by websocket.path or websocket.echo_path", dialect.path));
        let once = config.dialects.dialects().take(index).all(|other| other.name != dialect.name);
        judge.demand(once, &key, format!("{} is listed twice", dialect.name));
    }
}

fn http(config: &Config, judge: &mut Judge<'_>) {
    let Config { http, websocket, .. } = config;
    let dialects = config.dialects.dialects().map(|dialect| dialect.path);
    let taken: Vec<&str> = dialects.chain([&*websocket.path, &*websocket.echo_path]).collect();
    for (key, path) in [("http.sse_path", &http.sse_path), ("http.poll_path", &http.poll_path)] {
        let plain = path.is_empty() || path.starts_with('/') && !path.contains(['{', '}', '?', '#', '*']);
        judge.demand(plain, key, "a path such as /sse is expected, or nothing");
        judge.demand(path.is_empty() || !taken.contains(&&**path), key, "it must differ from the paths of websocket and of dialects");
    }
    judge.demand(http.sse_path.is_empty() || http.sse_path != http.poll_path, "http.poll_path", "it must differ from http.sse_path");
    let fits = (1_024..=1 << 20).contains(&http.post_bytes_max);
    judge.demand(fits, "http.post_bytes_max", "it must be from 1024 to 1048576, so that it can be carried to another node");
    for (key, value) in [
        ("http.sessions_max", http.sessions_max as u64),
        ("http.post_commands_max", http.post_commands_max as u64),
        ("http.body_timeout_ms", http.body_timeout_ms),
        ("http.poll_idle_ms", http.poll_idle_ms),
        ("http.poll_bytes_max", http.poll_bytes_max as u64),
    ] {
        judge.demand(value > 0, key, "it must be at least 1");
    }
}

fn rooms(rooms: &rooms::Config, judge: &mut Judge<'_>) {
    judge.demand((4..=8).contains(&rooms.segments_max), "rooms.segments_max", "it must be from 4 to 8");
    judge.demand(!rooms.channels.is_empty(), "rooms.channels", "at least one channel is needed");
    for channel in &rooms.channels {
        let legal = rooms::is_channel(channel);
        judge.demand(legal, "rooms.channels", format!("{channel:?} is a reserved word or not 1 to 64 letters, digits and _ . @ -"));
    }
    for event in &rooms.events {
        let legal = rooms::is_event(event);
        judge.demand(legal, "rooms.events", format!("{event:?} is not an event name such as order:created or order:*"));
    }
}

fn drain(drain: &drain::Config, judge: &mut Judge<'_>) {
    let fits = drain.announce_ms.saturating_add(drain.spread_ms) <= drain.deadline_ms;
    judge.demand(fits, "drain.deadline_ms", "it must be at least drain.announce_ms and drain.spread_ms together");
}

fn telemetry(telemetry: &telemetry::Config, judge: &mut Judge<'_>) {
    let filter = telemetry::log::is_filter(&telemetry.log.filter);
    judge.demand(filter, "telemetry.log.filter", "it is not a filter such as info or warn,roomcast=debug");
    let otlp = &telemetry.otlp;
    let endpoint = otlp.endpoint.as_deref().is_none_or(telemetry::otlp::is_endpoint);
    judge.demand(
        endpoint,
        "telemetry.otlp.endpoint",
        "an address such as http://127.0.0.1:4318 is expected; no https, and no password in it (telemetry.otlp.headers takes them)",
    );
    let headers = otlp.headers.as_deref().is_none_or(|headers| telemetry::otlp::headers(headers).is_some());
    judge.demand(headers, "telemetry.otlp.headers", "pairs such as name=value,other=value are expected");
    judge.demand((0.0..=1.0).contains(&otlp.sample_ratio), "telemetry.otlp.sample_ratio", "it must be from 0 to 1");
    judge.demand(otlp.queue_spans_max > 0, "telemetry.otlp.queue_spans_max", "it must be at least 1");
    judge.demand(otlp.timeout_ms > 0, "telemetry.otlp.timeout_ms", "it must be at least 1");
}
