//! A publication's way in traces: one span where it is published and one for each node's fan-out, never one per receiver.
//!
//! The context travels as `traceparent` (W3C Trace Context) among the publication's headers, so that it reaches every node
//! whichever door the publication came in by. While nothing is exported nothing is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::Context;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::protocol::{NewPublication, Publication};

const TRACEPARENT: &str = "traceparent";

static EXPORTING: AtomicBool = AtomicBool::new(false);

type Headers = BTreeMap<String, String>;

pub(super) fn export() {
    EXPORTING.store(true, Ordering::Release);
}

fn is_exporting() -> bool {
    EXPORTING.load(Ordering::Acquire)
}

/// The span of one publish, continuing the publisher's trace if it has one, and the publication that carries the span on.
/// `None` while nothing is exported.
pub fn publishing(publication: &NewPublication) -> Option<(Span, NewPublication)> {
    if !is_exporting() {
        return None;
    }
    let mut headers = read(publication.headers.as_deref());
    let span = tracing::info_span!("publish", org = %publication.room.org(), event = %publication.event, logged = publication.log);
    continue_trace(&span, &headers);
    opentelemetry::global::get_text_map_propagator(|propagator| {
        let mut injected = std::collections::HashMap::new();
        propagator.inject_context(&span.context(), &mut injected);
        headers.extend(injected);
    });
    let headers = serde_json::to_string(&headers).ok().map(String::into_boxed_str);
    Some((span, NewPublication { headers, ..publication.clone() }))
}

/// The spans of a batch's fan-out on this node; they end when dropped. Publications without a trace get none.
pub fn fanning_out(batch: &[Arc<Publication>]) -> Vec<Span> {
    if !is_exporting() {
        return Vec::new();
    }
    let traced = batch.iter().filter(|publication| publication.headers.as_ref().is_some_and(|headers| headers.contains(TRACEPARENT)));
    let spans = traced.map(|publication| {
        let span = tracing::info_span!("fan_out", org = %publication.room.org(), event = %publication.event);
        continue_trace(&span, &read(publication.headers.as_deref()));
        span
    });
    spans.collect()
}

fn read(headers: Option<&str>) -> Headers {
    headers.and_then(|headers| serde_json::from_str(headers).ok()).unwrap_or_default()
}

fn continue_trace(span: &Span, headers: &Headers) {
    let Some(traceparent) = headers.get(TRACEPARENT) else { return };
    let carrier = std::collections::HashMap::from([(TRACEPARENT.to_owned(), traceparent.clone())]);
    let parent: Context = opentelemetry::global::get_text_map_propagator(|propagator| propagator.extract(&carrier));
    // Fails only where no exporting layer is installed, and then there is nothing to continue.
    let _ = span.set_parent(parent);
}
