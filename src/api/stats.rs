//! `GET /stats`: numbers of the whole cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::cluster::{Answer, Cluster, Question, Sketch};
use super::extract::{Authorized, Query, Read};
use super::openapi::Problems;
use super::problem::Problem;
use super::rooms::kind;
use crate::protocol::Pattern;
use crate::telemetry::counters::{Reading, WINDOW_S};

/// What one node adds to the cluster's numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct NodeStats {
    connections: u64,
    by_org: BTreeMap<Box<str>, u64>,
    /// Connections of orgs that did not fit into `by_org`.
    of_other_orgs: u64,
    rooms: RoomSketches,
    /// Left out for callers of one org: the counters know no orgs.
    pub messages: Option<Messages>,
    pub uptime_ms: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct RoomSketches {
    org: Sketch,
    dept: Sketch,
    queue: Sketch,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Messages {
    total: u64,
    in_window: u64,
    by_event: BTreeMap<Box<str>, u64>,
    latency_sum_us: u64,
    latency_max_us: u64,
    errors: u64,
}

impl From<Reading> for Messages {
    fn from(reading: Reading) -> Self {
        Self {
            total: reading.messages,
            in_window: reading.messages_in_window,
            by_event: reading.by_event.into_iter().collect(),
            latency_sum_us: reading.latency_sum_us,
            latency_max_us: reading.latency_max_us,
            errors: reading.errors,
        }
    }
}

impl NodeStats {
    /// Keeps the orgs with the most connections by name, at most `orgs_max`.
    pub fn new(connections: u64, by_org: BTreeMap<Box<str>, u64>, orgs_max: usize) -> Self {
        let (by_org, of_other_orgs) = largest(by_org, orgs_max);
        Self { connections, by_org, of_other_orgs, ..Self::default() }
    }

    pub fn note_room(&mut self, pattern: &Pattern) {
        let sketch = match kind(pattern) {
            Some("org") => &mut self.rooms.org,
            Some("dept") => &mut self.rooms.dept,
            Some(_) => &mut self.rooms.queue,
            None => return,
        };
        sketch.insert(pattern.as_str());
    }

    fn add(&mut self, other: Self) {
        self.connections += other.connections;
        for (org, count) in other.by_org {
            *self.by_org.entry(org).or_default() += count;
        }
        self.of_other_orgs += other.of_other_orgs;
        self.rooms.org.unite(&other.rooms.org);
        self.rooms.dept.unite(&other.rooms.dept);
        self.rooms.queue.unite(&other.rooms.queue);
        self.messages = match (self.messages.take(), other.messages) {
            (Some(one), Some(other)) => Some(one.plus(other)),
            (one, other) => one.or(other),
        };
        self.uptime_ms = self.uptime_ms.max(other.uptime_ms);
    }
}

impl Messages {
    fn plus(mut self, other: Self) -> Self {
        self.total += other.total;
        self.in_window += other.in_window;
        for (event, count) in other.by_event {
            *self.by_event.entry(event).or_default() += count;
        }
        self.latency_sum_us = self.latency_sum_us.saturating_add(other.latency_sum_us);
        self.latency_max_us = self.latency_max_us.max(other.latency_max_us);
        self.errors += other.errors;
        self
    }

    fn average_latency_ms(&self) -> f64 {
        if self.total == 0 { 0.0 } else { to_ms(self.latency_sum_us) / self.total as f64 }
    }
}

fn to_ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// The orgs with the most connections, and how many connections all others have.
fn largest(by_org: BTreeMap<Box<str>, u64>, orgs_max: usize) -> (BTreeMap<Box<str>, u64>, u64) {
    let mut orgs: Vec<(Box<str>, u64)> = by_org.into_iter().collect();
    orgs.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let others = orgs.split_off(orgs_max.min(orgs.len()));
    (orgs.into_iter().collect(), others.into_iter().map(|(_, count)| count).sum())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Only this org's connections and rooms. The numbers of messages are then null: they are not counted by org.
    organization_id: Option<String>,
    /// Only this node.
    node: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct StatsAnswer {
    success: bool,
    stats: Stats,
    /// Nodes that did not answer; their numbers are missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    partial: Vec<String>,
}

/// Numbers of the cluster. Messages are publications handed to sessions, each counted once for every session.
#[derive(Serialize, ToSchema)]
struct Stats {
    #[schema(example = 1250)]
    active_connections: u64,
    /// The orgs with the most connections.
    #[schema(value_type = BTreeMap<String, u64>, example = json!({"acme": 1200, "globex": 50}))]
    connections_by_org: BTreeMap<Box<str>, u64>,
    /// Connections of orgs that are not listed, because there are too many of them.
    #[serde(skip_serializing_if = "is_zero")]
    connections_of_other_orgs: u64,
    /// Rooms and patterns with subscribers, the sessions' own rooms aside; more than 1,024 of one type are estimated.
    active_rooms: u64,
    rooms_by_type: RoomsByType,
    /// Since the nodes started. Null, like all numbers of messages, for an answer about one org.
    total_messages: Option<u64>,
    /// Over the last 10 s.
    messages_per_second: Option<f64>,
    #[schema(value_type = Option<BTreeMap<String, u64>>, example = json!({"kpi:update": 90210}))]
    messages_by_event: Option<BTreeMap<Box<str>, u64>>,
    /// From the append to the log until the hand-over to the session, over all messages since the start.
    average_latency_ms: Option<f64>,
    max_latency_ms: Option<f64>,
    /// Errors that clients and publishers were told since the start.
    error_count: Option<u64>,
    /// Of the node that has run longest.
    uptime_seconds: u64,
}

#[derive(Serialize, ToSchema)]
struct RoomsByType {
    org: u64,
    dept: u64,
    queue: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Stats {
    fn of(all: NodeStats, orgs_max: usize) -> Self {
        let (connections_by_org, left_out) = largest(all.by_org, orgs_max);
        let rooms_by_type = RoomsByType { org: all.rooms.org.count(), dept: all.rooms.dept.count(), queue: all.rooms.queue.count() };
        let messages = all.messages;
        Self {
            active_connections: all.connections,
            connections_by_org,
            connections_of_other_orgs: all.of_other_orgs + left_out,
            active_rooms: rooms_by_type.org + rooms_by_type.dept + rooms_by_type.queue,
            rooms_by_type,
            total_messages: messages.as_ref().map(|messages| messages.total),
            messages_per_second: messages.as_ref().map(|messages| messages.in_window as f64 / WINDOW_S as f64),
            average_latency_ms: messages.as_ref().map(Messages::average_latency_ms),
            max_latency_ms: messages.as_ref().map(|messages| to_ms(messages.latency_max_us)),
            error_count: messages.as_ref().map(|messages| messages.errors),
            messages_by_event: messages.map(|messages| messages.by_event),
            uptime_seconds: all.uptime_ms / 1_000,
        }
    }
}

/// Show statistics
///
/// Over the whole cluster, or of one node. Needs the scope `read`.
#[utoipa::path(get, path = "/api/ws/stats", operation_id = "showStats", tag = "operations", params(Asked), security(("bearer" = ["read"]), ("api_key" = [])),
    responses((status = 200, body = StatsAnswer), Problems))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Authorized<Read>,
    Query(asked): Query<Asked>,
) -> Result<Json<StatsAnswer>, Problem> {
    let question = Question::Stats { org: caller.reach(asked.organization_id.as_deref())?.into() };
    let pick = |answer| if let Answer::Stats(stats) = answer { Some(*stats) } else { None };
    let gathered = Cluster::gather(&api.parts, question, asked.node.as_deref(), pick, |_| false).await?;
    let mut all = NodeStats::default();
    gathered.answers.into_iter().for_each(|stats| all.add(stats));
    let stats = Stats::of(all, api.parts.config.list_limit_max);
    Ok(Json(StatsAnswer { success: true, stats, partial: gathered.partial }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::RoomSyntax;

    fn node(orgs: &[(&str, u64)], rooms: &[&str], latency_us: u64) -> NodeStats {
        let by_org: BTreeMap<Box<str>, u64> = orgs.iter().map(|(org, count)| ((*org).into(), *count)).collect();
        let mut stats = NodeStats::new(by_org.values().sum(), by_org, 2);
        let syntax = RoomSyntax::new(4, ["kpi"]);
        rooms.iter().for_each(|room| stats.note_room(&syntax.pattern(room).unwrap()));
        stats.messages = Some(Messages {
            total: 2,
            in_window: 5,
            by_event: [("e".into(), 2)].into(),
            latency_sum_us: 2 * latency_us,
            latency_max_us: latency_us,
            errors: 1,
        });
        stats
    }

    #[test]
    fn nodes_add_up_and_common_rooms_count_once() {
        let mut all = node(&[("a", 3), ("b", 2), ("c", 1)], &["kpi:a", "kpi:a:d", "org:a", "user:a:u"], 1_000);
        all.add(node(&[("a", 1), ("c", 9)], &["kpi:a", "kpi:a:d:q", "kpi:b:*:q"], 3_000));
        let stats = serde_json::to_value(Stats::of(all, 2)).unwrap();
        let expected = serde_json::json!({
            "active_connections": 16, "connections_by_org": {"a": 4, "c": 9}, "connections_of_other_orgs": 3,
            "active_rooms": 4, "rooms_by_type": {"org": 1, "dept": 1, "queue": 2},
            "total_messages": 4, "messages_per_second": 1.0, "messages_by_event": {"e": 4},
            "average_latency_ms": 2.0, "max_latency_ms": 3.0, "error_count": 2, "uptime_seconds": 0,
        });
        assert_eq!(stats, expected);
    }
}
