//! What this node knows, for its own callers and for other nodes.

use std::collections::{BTreeMap, HashMap};

use super::note::{Answer, Question, Scope};
use crate::api::Parts;
use crate::api::connections::{Connection, ConnectionStatus};
use crate::api::page::Page;
use crate::api::rooms::Room;
use crate::api::stats::NodeStats;
use crate::clock::unix_us;
use crate::protocol::{Close, CloseCode, OrgId, SessionId};
use crate::session::registry::Entry;

pub(super) async fn answer(parts: &Parts, question: &Question) -> Answer {
    match question {
        Question::Stats { org } => Answer::Stats(Box::new(stats(parts, org).await)),
        Question::Connections { org, user, after, limit } => {
            Answer::Connections(connections(parts, org, user.as_deref(), *after, *limit).await)
        }
        Question::Connection { org, id } => Answer::Connection(connection(parts, org, *id).await),
        Question::Disconnect { org, id } => Answer::Disconnected(disconnect(parts, org, *id)),
        Question::Explain { org, message, who, limit } => {
            Answer::Explained(crate::api::explain::accounts(parts, org.org(), *message, who, *limit).await)
        }
        Question::Rooms { org, after, limit } => Answer::Rooms(rooms(parts, org, after.as_deref(), *limit).await),
        Question::Errand(errand) => Answer::Errand(parts.http_sessions.run(errand).await),
    }
}

fn holds(scope: &Scope, entry: &Entry) -> bool {
    scope.org().is_none() || scope.holds(entry.principal().as_deref().map(crate::auth::Principal::org))
}

async fn stats(parts: &Parts, scope: &Scope) -> NodeStats {
    let mut by_org: BTreeMap<Box<str>, u64> = BTreeMap::new();
    let mut connections = 0;
    parts.registry.visit(|entry| {
        if holds(scope, entry) {
            connections += 1;
            if let Some(principal) = entry.principal() {
                *by_org.entry(principal.org().as_str().into()).or_default() += 1;
            }
        }
    });
    let mut stats = NodeStats::new(connections, by_org, parts.config.list_limit_max);
    for (pattern, _) in parts.hub.rooms(scope.org()).await {
        stats.note_room(&pattern);
    }
    stats.uptime_ms = parts.now().mono_ms;
    if scope.org().is_none() {
        stats.messages = Some(parts.counters.read(unix_us()).into());
    }
    stats
}

async fn connections(parts: &Parts, scope: &Scope, user: Option<&str>, after: Option<SessionId>, limit: usize) -> Page<Connection> {
    let wanted = |entry: &Entry| {
        let principal = entry.principal();
        scope.holds(principal.as_deref().map(crate::auth::Principal::org))
            && user.is_none_or(|user| principal.is_some_and(|principal| principal.sub() == user))
    };
    let mut total = 0;
    parts.registry.visit(|entry| total += u64::from(wanted(entry)));
    // A note from another node may ask for more than this node is configured to list.
    let limit = limit.min(parts.config.list_limit_max);
    let mut entries = parts.registry.list(after, limit + 1, wanted);
    let more = entries.len() > limit;
    entries.truncate(limit);
    let subscriptions = subscriptions(parts, &entries).await;
    let items = entries.iter().map(|entry| described(entry, subscriptions.get(&entry.id))).collect();
    Page { items, more, total }
}

async fn connection(parts: &Parts, scope: &Scope, id: SessionId) -> Option<Connection> {
    let entry = parts.registry.find(id).filter(|entry| holds(scope, entry))?;
    let subscriptions = subscriptions(parts, std::slice::from_ref(&entry)).await;
    Some(described(&entry, subscriptions.get(&id)))
}

async fn subscriptions(parts: &Parts, entries: &[std::sync::Arc<Entry>]) -> HashMap<SessionId, Vec<String>> {
    let mut by_org: HashMap<OrgId, Vec<SessionId>> = HashMap::new();
    for entry in entries {
        if let Some(principal) = entry.principal() {
            by_org.entry(principal.org().clone()).or_default().push(entry.id);
        }
    }
    let mut found = HashMap::new();
    for (org, sessions) in by_org {
        for (session, patterns) in parts.hub.subscriptions(&org, sessions).await {
            found.insert(session, patterns.iter().map(ToString::to_string).collect());
        }
    }
    found
}

fn described(entry: &Entry, subscriptions: Option<&Vec<String>>) -> Connection {
    let principal = entry.principal();
    let status = match &principal {
        _ if entry.queue.is_closed() => ConnectionStatus::Closing,
        None => ConnectionStatus::Authenticating,
        Some(_) => ConnectionStatus::Connected,
    };
    Connection {
        socket_id: entry.id.to_string(),
        user_id: principal.as_deref().map(|principal| principal.sub().to_owned()),
        organization_id: principal.as_deref().map(|principal| principal.org().to_string()),
        status,
        subscriptions: subscriptions.cloned().unwrap_or_default(),
        connected_at: crate::api::connections::rfc3339(entry.connected_at_ms),
        last_activity_at: crate::api::connections::rfc3339(entry.heard_at_ms()),
    }
}

/// Asks the session to close; whether it was here.
fn disconnect(parts: &Parts, scope: &Scope, id: SessionId) -> bool {
    let entry = parts.registry.find(id).filter(|entry| holds(scope, entry));
    if let Some(entry) = &entry {
        entry.queue.close(Close::new(CloseCode::Disconnected));
    }
    entry.is_some()
}

async fn rooms(parts: &Parts, scope: &Scope, after: Option<&str>, limit: usize) -> Page<Room> {
    let all = parts.hub.rooms(scope.org()).await;
    let mut all: Vec<Room> = all.iter().filter_map(|(pattern, sessions)| Room::of(pattern, *sessions as u64)).collect();
    let total = all.len() as u64;
    all.retain(|room| after.is_none_or(|after| room.room.as_str() > after));
    all.sort_by(|one, other| one.room.cmp(&other.room));
    let limit = limit.min(parts.config.list_limit_max);
    let more = all.len() > limit;
    all.truncate(limit);
    Page { items: all, more, total }
}
