//! The HTTP client behind `health`, `publish` and `tail`.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A client that speaks HTTP/1.1, with TLS for `https`.
pub(super) fn client() -> Client<HttpsConnector<HttpConnector>, Full<Bytes>> {
    let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
    Client::builder(TokioExecutor::new()).build(connector)
}

/// Sends one request and reads the whole answer within `timeout`.
pub(super) async fn exchange(request: Request<Full<Bytes>>, timeout: Duration) -> anyhow::Result<Response<Bytes>> {
    let uri = request.uri().clone();
    let answer = tokio::time::timeout(timeout, async {
        let (parts, body): (_, Incoming) = client().request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| anyhow::anyhow!(error))?;
        anyhow::Ok(Response::from_parts(parts, body.to_bytes()))
    });
    match answer.await {
        Ok(answer) => answer.with_context(|| format!("{uri} did not answer")),
        Err(_) => bail!("{uri} did not answer within {} ms", timeout.as_millis()),
    }
}

/// `path` below the server's base address; `ws` and `wss` mean `http` and `https`.
pub(super) fn address(base: &str, path: &str) -> anyhow::Result<Uri> {
    if base.contains('@') {
        bail!("the address must hold no user and no password: a token is what a node asks for (--token-file, ROOMCAST_TOKEN)");
    }
    let uri: Uri = base.parse().with_context(|| format!("{base:?} is no address such as http://127.0.0.1:8080"))?;
    let (scheme, authority) = match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "ws"), Some(authority)) => (Scheme::HTTP, authority.clone()),
        (Some("https" | "wss"), Some(authority)) => (Scheme::HTTPS, authority.clone()),
        _ => bail!("{base:?} is no address such as http://127.0.0.1:8080"),
    };
    let path = format!("{}{path}", uri.path().trim_end_matches('/'));
    Ok(Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_base_path() {
        assert_eq!(address("ws://h:1/base/", "/ws").unwrap().to_string(), "http://h:1/base/ws");
        assert_eq!(address("https://h", "/ws").unwrap().to_string(), "https://h/ws");
        assert!(address("http://user:password@h", "/ws").is_err_and(|error| !error.to_string().contains("password@")));
        assert!(address("h:1", "/ws").is_err() && address("ftp://h", "/ws").is_err());
    }
}
