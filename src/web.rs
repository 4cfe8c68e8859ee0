//! The built-in page: files of `web/console` carried in the binary, and the headers that they are served with.
//!
//! The node mounts [`router`] beside the other front doors. Nothing here reads credentials or asks the broker: the page itself
//! connects to `/ws` like any other client. Debug builds read the files from the source tree, so that the page can be worked
//! on without building anew.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{StatusCode, header};
use rust_embed::{Embed, EmbeddedFile};

/// Where the page lives. With the slash, because its files are named relative to it.
const HOME: &str = "/console/";

/// Only what the server itself sends is run or shown; text can never become markup, nor the page a part of another one.
const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'; connect-src 'self'";

#[derive(Embed)]
#[folder = "web/console/"]
#[exclude = "*.test.js"]
struct Console;

/// `/` leads to the page, `/console/…` serves its files.
pub fn router() -> Router {
    Router::new()
        .route("/", get(home))
        .route("/console", get(home))
        .route(HOME, get(|headers: HeaderMap| async move { serve("index.html", &headers) }))
        .route("/console/{*path}", get(|Path(path): Path<String>, headers: HeaderMap| async move { serve(&path, &headers) }))
}

/// Browsers keep the fragment, and the token in it, across the redirect.
async fn home(headers: HeaderMap) -> impl IntoResponse {
    (security_headers(&headers), Redirect::temporary(HOME))
}

fn serve(path: &str, asked: &HeaderMap) -> Response {
    let Some((file, content_type)) = Console::get(path).zip(content_type(path)) else {
        return (StatusCode::NOT_FOUND, security_headers(asked), "there is no such page\n").into_response();
    };
    let etag = etag(&file);
    // Always asked for anew and answered with 304 while unchanged: after an upgrade no page is made of old and new files.
    let cache = [(CACHE_CONTROL, HeaderValue::from_static("no-cache")), (ETAG, etag.clone())];
    if is_known(asked, &etag) {
        return (StatusCode::NOT_MODIFIED, security_headers(asked), cache).into_response();
    }
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static(content_type))];
    (security_headers(asked), cache, content_type, file.data).into_response()
}

fn security_headers(asked: &HeaderMap) -> [(HeaderName, HeaderValue); 6] {
    [
        (CONTENT_SECURITY_POLICY, policy(asked)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ]
}

/// The page holds a token, so it may connect to this server and to nobody else. Browsers that do not take a WebSocket to their
/// own origin for `'self'` need the host by its name.
fn policy(asked: &HeaderMap) -> HeaderValue {
    let host = asked.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let plain = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
    let named = if plain { HeaderValue::try_from(format!("{POLICY} ws://{host} wss://{host}")).ok() } else { None };
    named.unwrap_or(HeaderValue::from_static(POLICY))
}

/// The media type by the file's ending; `None` for what is not meant to be served.
fn content_type(path: &str) -> Option<&'static str> {
    match path.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

/// Names the content by its hash, in quotes as RFC 9110 section 8.8.3 wants it.
fn etag(file: &EmbeddedFile) -> HeaderValue {
    let hash: String = file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether the client holds this very content (RFC 9110 section 13.1.2, compared weakly).
fn is_known(asked: &HeaderMap, etag: &HeaderValue) -> bool {
    let lists = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn get(path: &str, if_none_match: Option<&str>) -> Response {
        let mut request = Request::get(path);
        if let Some(tag) = if_none_match {
            request = request.header(IF_NONE_MATCH, tag);
        }
        router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn text(response: Response) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_root_leads_to_the_page() {
        for path in ["/", "/console"] {
            let response = get(path, None).await;
            assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
            assert_eq!(response.headers()[header::LOCATION], HOME);
        }
        let page = get(HOME, None).await;
        assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert!(text(page).await.contains("<title>roomcast console</title>"));
    }

    #[tokio::test]
    async fn every_file_that_the_page_names_is_there_with_its_type() {
        let mut names: Vec<String> = Console::iter().map(|name| name.to_string()).collect();
        names.sort();
        for name in ["app.js", "roomcast.js", "favicon.svg", "style.css"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
        for name in &names {
            let response = get(&format!("{HOME}{name}"), None).await;
            assert_eq!(response.status(), StatusCode::OK, "{name}");
            for import in text(response).await.split(" from './").skip(1) {
                let import = import.split('\'').next().unwrap();
                assert!(names.iter().any(|known| known == import), "{name} imports {import}");
            }
        }
    }

    #[tokio::test]
    async fn nothing_else_is_served() {
        for path in ["/console/none.js", "/console/strip.test.js", "/console/../package.json", "/console/..%2fpackage.json", "/console/x/"]
        {
            let response = get(path, None).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn the_page_may_connect_to_its_own_host_and_to_no_other() {
        let policy_for = |host: &str| {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_str(host).unwrap())]);
            policy(&headers).to_str().unwrap().to_owned()
        };
        assert!(policy_for("rt.example.com:8443").ends_with("connect-src 'self' ws://rt.example.com:8443 wss://rt.example.com:8443"));
        for hostile in ["", "a; script-src *", "*", "a b", "a'unsafe-inline'", "a,b", "a/b"] {
            assert_eq!(policy_for(hostile), POLICY, "{hostile}");
        }
    }

    #[tokio::test]
    async fn what_the_client_holds_is_not_sent_again() {
        let first = get("/console/app.js", None).await;
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let again = get("/console/app.js", Some(&known)).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert!(text(again).await.is_empty());
        }
        assert_eq!(get("/console/style.css", Some(&tag)).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn every_answer_carries_the_policy_and_the_page_keeps_to_it() {
        for path in ["/", HOME, "/console/app.js", "/console/none"] {
            let response = get(path, None).await;
            let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
            assert!(policy.ends_with("connect-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
            assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(response.headers()[REFERRER_POLICY], "no-referrer");
        }
        let page = text(get(HOME, None).await).await;
        for inline in ["<style", " style=", "javascript:", " onclick", "<script>", "http://", "https://"] {
            assert!(!page.contains(inline), "{inline}");
        }
    }
}
