//! Traces to an OpenTelemetry collector: OTLP over HTTP with protobuf bodies, from a thread of its own with a bounded queue.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

pub use opentelemetry_otlp::ExporterBuildError as ExporterError;

/// Where collectors take traces below their base address (OTLP specification, "OTLP/HTTP Request").
const TRACES_PATH: &str = "/v1/traces";

/// Settings of the section `telemetry.otlp`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Base address of the collector, as in `http://127.0.0.1:4318`. Without one nothing is exported. Only plain http is supported: let a
    /// collector beside the node do the encryption.
    pub endpoint: Option<String>,
    /// Headers sent with each export, `name=value` separated by commas.
    #[schemars(extend("writeOnly" = true))]
    pub headers: Option<String>,
    /// The service's name in traces.
    pub service_name: String,
    /// Share of traces begun here that are kept, from 0 to 1; a trace begun by a publisher follows its publisher's choice.
    pub sample_ratio: f64,
    /// Spans that wait for export; further ones are dropped.
    pub queue_spans_max: usize,
    /// How long one export may take.
    pub timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            headers: None,
            service_name: "roomcast".into(),
            sample_ratio: 1.0,
            queue_spans_max: 2_048,
            timeout_ms: 5_000,
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let headers = self.headers.as_ref().map(|_| "…");
        f.debug_struct("Config").field("endpoint", &self.endpoint).field("headers", &headers).finish_non_exhaustive()
    }
}

/// Whether the text can be a collector's address.
pub fn is_endpoint(text: &str) -> bool {
    let uri: Result<http::Uri, _> = text.parse();
    // Credentials would be shown wherever the address is; they belong into `headers`.
    let plain = |uri: &http::Uri| uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    uri.is_ok_and(|uri| uri.scheme_str() == Some("http") && plain(&uri))
}

/// Reads `name=value,other=value`; `None` when it has another form.
pub fn headers(text: &str) -> Option<HashMap<String, String>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))).collect()
}

/// A running export.
pub struct Traces {
    provider: SdkTracerProvider,
    timeout: Duration,
}

impl Traces {
    pub(super) fn start(config: &Config, instance: &str) -> Result<Option<Self>, ExporterError> {
        opentelemetry::global::set_text_map_propagator(TextMapCompositePropagator::new(vec![Box::new(TraceContextPropagator::new())]));
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        let timeout = Duration::from_millis(config.timeout_ms);
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}{TRACES_PATH}", endpoint.trim_end_matches('/')))
            .with_timeout(timeout)
            .with_headers(config.headers.as_deref().and_then(headers).unwrap_or_default())
            .build()?;
        let batches = BatchConfigBuilder::default().with_max_queue_size(config.queue_spans_max).build();
        let resource = Resource::builder()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
            .build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        Ok(Some(Self { provider, timeout }))
    }

    pub(super) fn layer<S>(&self) -> OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer().with_tracer(self.provider.tracer("roomcast"))
    }

    pub(super) fn shutdown(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(self.timeout) {
            tracing::warn!(%error, "the last traces could not be exported");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn headers_and_endpoints_are_read_strictly() {
        assert_eq!(headers("a=b=c, d=e").unwrap()["a"], "b=c");
        assert!(headers("nonsense").is_none());
        assert!(is_endpoint("http://127.0.0.1:4318"));
        assert!(!is_endpoint("https://collector") && !is_endpoint("collector:4318") && !is_endpoint("http://user:password@collector"));
    }

    #[test]
    fn a_shutdown_exports_what_waits() {
        let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", collector.local_addr().unwrap());
        let request = std::thread::spawn(move || {
            let (mut socket, _) = collector.accept().unwrap();
            let mut request = Vec::new();
            let mut chunk = [0; 4_096];
            while !request.windows(8).any(|window| window == b"rollcall") {
                let count = socket.read(&mut chunk).unwrap();
                assert!(count > 0, "the request ended without the span");
                request.extend_from_slice(&chunk[..count]);
            }
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            request
        });
        let config = Config { endpoint: Some(endpoint), headers: Some("x-key=abc".into()), ..Config::default() };
        let traces = Traces::start(&config, "node-1").unwrap().unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(traces.layer()), || {
            tracing::info_span!("rollcall").in_scope(|| {});
        });
        traces.shutdown();
        let request = request.join().unwrap();
        assert!(request.starts_with(b"POST /v1/traces HTTP/1.1\r\n"));
        assert!(request.windows(10).any(|window| window == b"x-key: abc"));
    }
}
