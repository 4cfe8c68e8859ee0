//! ● Judging a WebSocket handshake request (RFC 6455 section 4.2.1): accept with terms, or refuse with a status.
//!
//! The route's handler calls [`accept`] with the request's head, then [`upgrade`](super::upgrade::upgrade). Credentials are
//! only lifted out here; whether they are worth anything is for auth to say.

use std::fmt;

use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ALLOW, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Version};

use super::Config;
use super::extension::{self, Deflate};
use super::origin::{NotAnOrigin, Origins};

/// Marks the subprotocol entry that carries a token; never sent back.
const BEARER_PREFIX: &str = "bearer.";
/// Most subprotocols that one request may offer.
const PROTOCOLS_MAX: usize = 16;

/// What a handshake is judged by.
#[derive(Clone, Debug)]
pub struct Rules {
    origins: Origins,
    compression: bool,
}

impl Rules {
    /// # Errors
    /// An entry of `allowed_origins` that is no origin.
    pub fn new(config: &Config) -> Result<Self, NotAnOrigin> {
        Ok(Self { origins: Origins::parse(&config.allowed_origins)?, compression: config.compression })
    }
}

/// Subprotocols of the native protocol, in the server's order of preference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subprotocol {
    /// MessagePack in binary frames.
    RoomcastV1Msgpack,
    /// JSON in text frames.
    RoomcastV1,
}

impl Subprotocol {
    const OFFERED: [Self; 2] = [Self::RoomcastV1Msgpack, Self::RoomcastV1];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoomcastV1Msgpack => "roomcast.v1.msgpack",
            Self::RoomcastV1 => "roomcast.v1",
        }
    }
}

/// A token as the client gave it, unchecked. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl Token {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The terms of a connection.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// `None`: the client offered none that the server speaks, and the native JSON protocol is spoken without a name.
    pub protocol: Option<Subprotocol>,
    pub deflate: Option<Deflate>,
    /// From `Authorization: Bearer`, else from the subprotocol `bearer.<jwt>`.
    pub token: Option<Token>,
}

/// Why there will be no connection: the HTTP status and a sentence for whoever wrote the client.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    pub status: StatusCode,
    pub why: &'static str,
}

impl Refused {
    pub(super) fn bad(why: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, why }
    }

    /// Headers that the status calls for (RFC 9110 sections 15.5.6 and 15.5.22, RFC 6455 section 4.4).
    pub fn headers(&self) -> &'static [(HeaderName, HeaderValue)] {
        static UPGRADE_REQUIRED: [(HeaderName, HeaderValue); 3] = [
            (UPGRADE, HeaderValue::from_static("websocket")),
            (CONNECTION, HeaderValue::from_static("upgrade")),
            (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
        ];
        static NOT_GET: [(HeaderName, HeaderValue); 1] = [(ALLOW, HeaderValue::from_static("GET"))];
        match self.status {
            StatusCode::UPGRADE_REQUIRED => &UPGRADE_REQUIRED,
            StatusCode::METHOD_NOT_ALLOWED => &NOT_GET,
            _ => &[],
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.why).into_response();
        response.headers_mut().extend(self.headers().iter().cloned());
        response
    }
}

/// Judges a request's head.
///
/// # Errors
/// 405 for another method than GET, 426 for a request that asks for no WebSocket or another version of it, 403 for an origin
/// that is not allowed, 400 for everything malformed, missing or given twice.
pub fn accept(request: &Parts, rules: &Rules) -> Result<Accepted, Refused> {
    check_request(request)?;
    let headers = &request.headers;
    let host = single(headers, &HOST, "Host is given more than once")?.ok_or(Refused::bad("Host is missing"))?;
    let origin = single(headers, &ORIGIN, "Origin is given more than once")?;
    if origin.is_some_and(|origin| !rules.origins.allow(origin, host)) {
        return Err(Refused { status: StatusCode::FORBIDDEN, why: "pages of this origin may not connect (allowed_origins)" });
    }
    let (protocol, offered_token) = choose_protocol(headers)?;
    let token = authorization(headers)?.or(offered_token);
    let deflate = if rules.compression { extension::negotiate(texts(headers, &SEC_WEBSOCKET_EXTENSIONS)?) } else { None };
    Ok(Accepted { protocol, deflate, token })
}

fn check_request(request: &Parts) -> Result<(), Refused> {
    if request.method != Method::GET {
        return Err(Refused { status: StatusCode::METHOD_NOT_ALLOWED, why: "a WebSocket begins with GET" });
    }
    if request.version != Version::HTTP_11 {
        return Err(Refused::bad("a WebSocket begins with HTTP/1.1"));
    }
    let headers = &request.headers;
    let upgrades = listed(headers, &UPGRADE, "websocket")?;
    if upgrades > 1 {
        return Err(Refused::bad("Upgrade names websocket more than once"));
    }
    if upgrades == 0 || listed(headers, &CONNECTION, "upgrade")? == 0 {
        return Err(Refused { status: StatusCode::UPGRADE_REQUIRED, why: "this address speaks WebSocket: send Upgrade and Connection" });
    }
    if single(headers, &SEC_WEBSOCKET_VERSION, "Sec-WebSocket-Version is given more than once")? != Some("13") {
        return Err(Refused { status: StatusCode::UPGRADE_REQUIRED, why: "Sec-WebSocket-Version must be 13" });
    }
    let key = single(headers, &SEC_WEBSOCKET_KEY, "Sec-WebSocket-Key is given more than once")?;
    if key.and_then(|key| STANDARD.decode(key).ok()).is_none_or(|key| key.len() != 16) {
        return Err(Refused::bad("Sec-WebSocket-Key must be 16 bytes in base64"));
    }
    let length = single(headers, &CONTENT_LENGTH, "Content-Length is given more than once")?;
    if headers.contains_key(TRANSFER_ENCODING) || !matches!(length, None | Some("0")) {
        return Err(Refused::bad("a handshake has no body"));
    }
    Ok(())
}

fn choose_protocol(headers: &HeaderMap) -> Result<(Option<Subprotocol>, Option<Token>), Refused> {
    let mut offered: Vec<&str> = Vec::new();
    let mut token = None;
    for entry in texts(headers, &SEC_WEBSOCKET_PROTOCOL)?.into_iter().flat_map(|value| value.split(',')).map(str::trim) {
        if entry.is_empty() || !entry.bytes().all(is_token_byte) {
            return Err(Refused::bad("Sec-WebSocket-Protocol is malformed"));
        }
        if offered.contains(&entry) {
            return Err(Refused::bad("Sec-WebSocket-Protocol names a protocol twice"));
        }
        if offered.len() == PROTOCOLS_MAX {
            return Err(Refused::bad("Sec-WebSocket-Protocol names too many protocols"));
        }
        offered.push(entry);
        let Some(jwt) = entry.strip_prefix(BEARER_PREFIX) else { continue };
        if jwt.is_empty() || token.replace(Token(jwt.into())).is_some() {
            return Err(Refused::bad("Sec-WebSocket-Protocol must hold one token at most, and no empty one"));
        }
    }
    let protocol = Subprotocol::OFFERED.into_iter().find(|protocol| offered.contains(&protocol.as_str()));
    Ok((protocol, token))
}

/// The token of `Authorization: Bearer`; other schemes are left to whoever stands in front.
pub(in crate::transport) fn authorization(headers: &HeaderMap) -> Result<Option<Token>, Refused> {
    let Some(value) = single(headers, &AUTHORIZATION, "Authorization is given more than once")? else { return Ok(None) };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    match token.trim() {
        token if token.is_empty() || token.contains(' ') => Err(Refused::bad("Authorization: Bearer must be followed by one token")),
        token => Ok(Some(Token(token.into()))),
    }
}

/// How often a comma-separated header lists `wanted`, in whatever case and however many lines.
fn listed(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> Result<usize, Refused> {
    let entries = texts(headers, name)?.into_iter().flat_map(|value| value.split(','));
    Ok(entries.filter(|entry| entry.trim().eq_ignore_ascii_case(wanted)).count())
}

fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Vec<&'a str>, Refused> {
    let read = |value: &'a HeaderValue| value.to_str().map_err(|_| Refused::bad("a header of the handshake is not ASCII"));
    headers.get_all(name).iter().map(read).collect()
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName, doubled: &'static str) -> Result<Option<&'a str>, Refused> {
    match texts(headers, name)?[..] {
        [] => Ok(None),
        [value] => Ok(Some(value)),
        _ => Err(Refused::bad(doubled)),
    }
}

/// RFC 9110 section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
