//! `GET /health` for clients, and the probes and metrics of the internal port.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Api, Parts};
use crate::broker::Health;
use crate::telemetry::metrics;

/// Prometheus text exposition format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How a node is doing. A degraded one keeps its sessions and refuses publications (docs/operations.md).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum HealthStatus {
    Starting,
    Ready,
    Degraded,
    Draining,
}

impl HealthStatus {
    fn of(parts: &Parts) -> (Self, Option<String>) {
        if !parts.phase.is_started() {
            return (Self::Starting, None);
        }
        if parts.phase.is_draining() {
            return (Self::Draining, None);
        }
        match parts.broker.health() {
            Health::Ready => (Self::Ready, None),
            Health::Degraded(reason) => (Self::Degraded, Some(reason)),
        }
    }

    /// A degraded node stays in service: its sessions are worth more than none.
    fn in_service(self) -> StatusCode {
        match self {
            Self::Ready | Self::Degraded => StatusCode::OK,
            Self::Starting | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct HealthAnswer {
    /// Whether clients are well served here.
    success: bool,
    status: HealthStatus,
    #[schema(example = "0.1.0")]
    version: &'static str,
    uptime_seconds: u64,
}

/// Show health
///
/// How the answering node is doing; it needs no credentials and says nothing of what lies behind.
#[utoipa::path(get, path = "/api/ws/health", operation_id = "showHealth", tag = "operations", security(()),
    responses((status = 200, body = HealthAnswer), (status = 503, description = "The node is starting or draining", body = HealthAnswer)))]
pub(super) async fn show(State(api): State<Arc<Api>>) -> impl IntoResponse {
    let (status, _) = HealthStatus::of(&api.parts);
    let success = matches!(status, HealthStatus::Ready);
    let uptime_seconds = api.parts.now().mono_ms / 1_000;
    (status.in_service(), Json(HealthAnswer { success, status, version: env!("CARGO_PKG_VERSION"), uptime_seconds }))
}

pub(super) fn internal_routes() -> Router<Arc<Parts>> {
    Router::new().route("/livez", get(live)).route("/startupz", get(started)).route("/readyz", get(ready)).route("/metrics", get(scrape))
}

#[derive(Serialize)]
struct Probe {
    status: HealthStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The process answers; whether it is of use, `/readyz` says.
async fn live() -> Json<serde_json::Value> {
    Json(serde_json::json!({"status": "alive"}))
}

async fn started(State(parts): State<Arc<Parts>>) -> impl IntoResponse {
    let started = parts.phase.is_started();
    let (status, code) = if started { ("started", StatusCode::OK) } else { ("starting", StatusCode::SERVICE_UNAVAILABLE) };
    (code, Json(serde_json::json!({"status": status})))
}

async fn ready(State(parts): State<Arc<Parts>>) -> impl IntoResponse {
    let (status, reason) = HealthStatus::of(&parts);
    (status.in_service(), Json(Probe { status, reason }))
}

async fn scrape() -> Response {
    ([(CONTENT_TYPE, METRICS_TYPE)], metrics::render()).into_response()
}
