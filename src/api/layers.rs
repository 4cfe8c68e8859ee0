//! What stands around every route: CORS, a log line, error counts, panics and time limits.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::Api;
use super::problem::Problem;
use crate::auth::api_key::API_KEY_HEADER;
use crate::protocol::Code;
use crate::transport::websocket::origin::Origins;

/// Whoever opens an answer in a browser gets a page that can do nothing.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
/// How long browsers may keep the answer to a preflight request.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

pub(super) fn around(router: Router<Arc<Api>>, api: &Arc<Api>, origins: Option<Origins>) -> Router<Arc<Api>> {
    let router = router
        .fallback(async || Problem::not_found("there is nothing at this path; see /api/ws/openapi.json"))
        .method_not_allowed_fallback(async || {
            Problem::http(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods; see /api/ws/openapi.json")
        })
        .layer(DefaultBodyLimit::max(api.parts.config.body_bytes_max))
        .layer(from_fn_with_state(Arc::clone(api), limit_time))
        .layer(CatchPanicLayer::custom(|_: Box<dyn Any + Send>| Problem::of_panic().into_response()))
        .layer(from_fn_with_state(Arc::clone(api), watch));
    match origins {
        Some(origins) => router.layer(cors(origins)),
        None => router,
    }
}

async fn limit_time(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let limit = Duration::from_millis(api.parts.config.request_timeout_ms);
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| Problem::timeout().into_response())
}

/// Counts errors, marks the answer as private, and logs the request: its path, never its query, which may hold what is nobody's business.
async fn watch(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    // What is answered is for the caller alone, and never a page.
    for (name, value) in [(CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (CONTENT_SECURITY_POLICY, POLICY)] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if let Some(code) = response.extensions().get::<Code>() {
        api.parts.counters.error(*code);
        tracing::debug!(%method, path, status = response.status().as_u16(), code = code.as_str(), "refused a request");
    } else {
        tracing::debug!(%method, path, status = response.status().as_u16(), "served a request");
    }
    response
}

fn cors(origins: Origins) -> CorsLayer {
    let allowed = AllowOrigin::predicate(move |origin: &HeaderValue, request| {
        let host = request.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        origin.to_str().is_ok_and(|origin| origins.allow(origin, host))
    });
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, HeaderName::from_static(API_KEY_HEADER), HeaderName::from_static("traceparent")])
        .expose_headers([RETRY_AFTER])
        .max_age(PREFLIGHT_AGE)
}
