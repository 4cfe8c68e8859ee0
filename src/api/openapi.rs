//! The OpenAPI document: made from the routes, served at `/api/ws/openapi.json`, kept as docs/openapi.json.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use serde_json::json;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use super::problem::Problem;
use crate::auth::api_key::API_KEY_HEADER;
use crate::protocol::Code;

const ABOUT: &str = "\
Publish into a roomcast cluster, read its logs, and look after its connections.

Requests carry `Authorization: Bearer` with a service token or an API key, or `X-API-Key`. Each route names the scope that it needs; \
`admin` stands for all of them. Credentials that are for one organization reach nothing of another.

Refusals are `application/problem+json` (RFC 9457) with a `code`. Answers are for the whole cluster: nodes that did not answer in time \
are named in `partial`. Lists come in pages: send `next_cursor` back as `cursor`.";

/// The document without its routes.
pub(super) fn frame() -> OpenApi {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
    let bearer = bearer.description(Some("A service token with the claim `scope`, or an API key.")).build();
    let mut components = Components::new();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(API_KEY_HEADER))));
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    let info = InfoBuilder::new().title("roomcast").version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT)).build();
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// docs/openapi.json.
pub fn document() -> String {
    let (_, document) = super::routes().split_for_parts();
    // The document is plain data with keys of text, which always serializes.
    document.to_pretty_json().unwrap_or_default() + "\n"
}

/// Show this document
///
/// It needs no credentials.
#[utoipa::path(get, path = "/api/ws/openapi.json", operation_id = "showDocument", tag = "operations", security(()),
    responses((status = 200, description = "The OpenAPI document of this API", content_type = "application/json", body = Object)))]
pub(super) async fn show() -> impl IntoResponse {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document().into());
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.clone())
}

/// The refusals that every route with credentials can answer with.
pub(super) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let problems = [
            ("400", "The request is not valid", Code::InvalidMessage, "limit must be from 1 to 1000", None),
            ("401", "The credentials are missing or not valid", Code::AuthFailed, "no credentials were given", None),
            ("403", "The credentials do not allow this", Code::Unauthorized, "this needs the scope publish", None),
            ("413", "The body is too large", Code::MessageTooLarge, "the body is longer than api.body_bytes_max", None),
            ("429", "Too many requests", Code::RateLimitExceeded, "more than 100 requests per second", Some(10)),
            ("500", "Something went wrong inside", Code::InternalError, "the broker refused the publication", None),
            ("503", "The broker cannot be reached", Code::BrokerUnavailable, "the log cannot be read at the moment", Some(1_000)),
            (
                "504",
                "The request took too long",
                Code::BrokerUnavailable,
                "the request took too long; its outcome is not known",
                Some(1_000),
            ),
        ];
        let response =
            |(status, title, code, detail, wait_ms)| (str::to_owned(status), problem(status, title, code, detail, wait_ms).into());
        problems.map(response).into()
    }
}

fn problem(status: &str, title: &str, code: Code, detail: &str, wait_ms: Option<u64>) -> Response {
    let mut example = json!({"status": status.parse::<u16>().unwrap_or_default(), "code": code, "title": title, "detail": detail});
    if let Some(wait_ms) = wait_ms {
        example["retry_after_ms"] = wait_ms.into();
    }
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).example(Some(example)).build();
    ResponseBuilder::new().description(title).content("application/problem+json", content).build()
}
