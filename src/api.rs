//! The REST API under `/api/ws`, and the probes and metrics of the internal port.
//!
//! [`router`] is the table of contents; each resource has a file. Requests enter at the broker or ask the registry and the
//! hub; nothing here keeps sessions or logs. Questions for the whole cluster go through [`cluster`].

mod batch;
mod broadcast;
mod bytes;
pub mod cluster;
pub mod config;
mod connections;
mod explain;
mod extract;
mod health;
mod layers;
mod log;
mod openapi;
mod page;
mod presence;
mod problem;
mod publish;
mod rate;
mod receipts;
mod revoke;
mod rooms;
mod shortcut;
mod stats;
mod sync;
mod target;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use cluster::Cluster;
pub use config::Config;
pub use openapi::document;
pub use problem::Problem;

use crate::auth::Authenticator;
use crate::broker::{Broker, NodeInfo};
use crate::hub::Hub;
use crate::session::machine::{Now, Rules};
use crate::session::{Registry, Revoking};
use crate::telemetry::counters::Counters;
use crate::transport::http_session::Sessions;
use crate::transport::websocket::origin::NotAnOrigin;

/// What the API shares with the rest of the node.
pub struct Parts {
    /// Who this node is, as it registered with the broker.
    pub node: NodeInfo,
    pub config: Config,
    pub hub: Arc<Hub>,
    pub broker: Arc<dyn Broker>,
    pub registry: Arc<Registry>,
    pub revoking: Arc<Revoking>,
    pub rules: Arc<Rules>,
    pub authenticator: Arc<Authenticator>,
    /// Written by the hub and by whoever tells an error; read by `/stats`.
    pub counters: Arc<Counters>,
    /// Sessions over HTTP, which clients reach through any node.
    pub http_sessions: Arc<Sessions>,
    /// Questions of this node that wait for other nodes' answers.
    pub cluster: Cluster,
    pub phase: Arc<Phase>,
    /// When the node started; the zero of its clock.
    pub started: Instant,
}

impl Parts {
    /// The moment by both clocks.
    pub fn now(&self) -> Now {
        let mono_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { mono_ms, unix_ms: crate::clock::unix_ms() }
    }
}

/// Where the node is in its life; the probes tell it.
#[derive(Debug, Default)]
pub struct Phase {
    started: AtomicBool,
    draining: AtomicBool,
}

impl Phase {
    /// Everything is wired and listening.
    pub fn note_started(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// The planned shutdown has begun.
    pub fn note_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// What handlers work with.
struct Api {
    parts: Arc<Parts>,
    rates: rate::Rates,
}

/// The public routes, all under `/api/ws`, and a fallback that answers unknown paths with a problem.
///
/// # Errors
/// [`NotAnOrigin`] for an entry of `allowed_origins` that is none.
pub fn router(parts: Arc<Parts>) -> Result<Router, NotAnOrigin> {
    let origins = parts.config.origins()?;
    let rates = rate::Rates::new(parts.config.rate());
    let api = Arc::new(Api { parts, rates });
    let (router, _) = routes().split_for_parts();
    Ok(layers::around(router, &api, origins).with_state(api))
}

/// The routes of the internal port: `/livez`, `/readyz`, `/startupz`, `/metrics`. None asks for credentials.
pub fn internal_router(parts: Arc<Parts>) -> Router {
    health::internal_routes().with_state(parts)
}

fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(stats::show))
        .routes(routes!(connections::list))
        .routes(routes!(connections::show, connections::disconnect))
        .routes(routes!(rooms::list))
        .routes(routes!(presence::list))
        .routes(routes!(explain::explain))
        .routes(routes!(broadcast::broadcast))
        .routes(routes!(shortcut::kpi))
        .routes(routes!(shortcut::backlog))
        .routes(routes!(shortcut::attendance))
        .routes(routes!(shortcut::alert))
        .routes(routes!(batch::publish_batch))
        .routes(routes!(log::read))
        .routes(routes!(sync::write))
        .routes(routes!(sync::change))
        .routes(routes!(sync::items))
        .routes(routes!(receipts::show))
        .routes(routes!(revoke::revoke))
        .routes(routes!(health::show))
        .routes(routes!(openapi::show))
}
