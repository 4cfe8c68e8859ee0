//! What the process tells of itself: logs, traces, metrics.
//!
//! `cli::serve` starts it before anything else and shuts it down last; every module logs through `tracing` and counts through
//! [`metrics`], and none knows where that goes.

pub mod counters;
pub mod log;
pub mod metrics;
pub mod otlp;
pub mod trace;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Settings of the section `telemetry`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What is logged, and how it looks.
    pub log: log::Config,
    /// What is counted besides what always is.
    pub metrics: metrics::orgs::Config,
    /// Export of traces to an OpenTelemetry collector.
    pub otlp: otlp::Config,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("telemetry.log.filter is not valid: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("the trace exporter cannot be set up: {0}")]
    Exporter(#[from] otlp::ExporterError),
    #[error("telemetry was already started in this process: {0}")]
    Started(#[from] TryInitError),
}

/// Running telemetry; call [`Telemetry::shutdown`] before the process ends.
#[must_use = "spans that wait for export are lost without a shutdown"]
pub struct Telemetry {
    traces: Option<otlp::Traces>,
}

/// Starts logs, metrics, and, when an endpoint is configured, traces. `instance` names this node in traces.
///
/// # Errors
/// A filter that cannot be read, an exporter that cannot be built, or a second start in one process.
pub fn start(config: &Config, instance: &str) -> Result<Telemetry, StartError> {
    let filter = log::filter(&config.log.filter)?;
    let traces = otlp::Traces::start(&config.otlp, instance)?;
    metrics::begin(&config.metrics);
    let exported = traces.as_ref().map(otlp::Traces::layer);
    if exported.is_some() {
        trace::export();
    }
    tracing_subscriber::registry().with(filter).with(exported).with(log::layer(config.log.format)).try_init()?;
    log::catch_panics();
    Ok(Telemetry { traces })
}

impl Telemetry {
    /// Exports what waits. Takes at most the exporter's timeout.
    pub fn shutdown(self) {
        if let Some(traces) = self.traces {
            traces.shutdown();
        }
    }
}
