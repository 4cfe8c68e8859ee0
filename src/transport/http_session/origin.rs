//! ● Which pages may use HTTP's doors: the allow-list of `websocket`, and the headers by which browsers are told (Fetch standard,
//! section 3.2).

use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, HOST, HeaderValue, ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, StatusCode};

use super::request::Bad;
use crate::transport::websocket::Config;
use crate::transport::websocket::origin::{NotAnOrigin, Origins};

/// What a page may send, and what it may read.
const ALLOWED: &str = "authorization, content-type, last-event-id, x-roomcast-session, x-roomcast-number, x-roomcast-cursor";
const EXPOSED: &str = "x-roomcast-session, retry-after";
/// How long browsers may keep the answer to a preflight request, in seconds.
const PREFLIGHT_AGE_S: &str = "600";

/// The rules of one node.
#[derive(Debug)]
pub struct Pages {
    origins: Origins,
    /// Browsers send cookies to other origins only where that is allowed by name.
    cookies: bool,
}

impl Pages {
    /// # Errors
    /// An entry of `allowed_origins` that is no origin.
    pub fn new(config: &Config) -> Result<Self, NotAnOrigin> {
        let cookies = !config.token_cookie.is_empty() && !config.allowed_origins.is_empty();
        Ok(Self { origins: Origins::parse(&config.allowed_origins)?, cookies })
    }

    /// The page's origin where one is named; programs name none.
    ///
    /// # Errors
    /// 403 for a page that may not.
    pub fn admit(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Bad> {
        let Some(origin) = headers.get(ORIGIN) else { return Ok(None) };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let allowed = headers.get_all(ORIGIN).iter().count() == 1 && origin.to_str().is_ok_and(|origin| self.origins.allow(origin, host));
        if allowed {
            return Ok(Some(origin.clone()));
        }
        Err(Bad::new(StatusCode::FORBIDDEN, "pages of this origin may not connect (allowed_origins)"))
    }

    /// The answer to a browser that asks what it may.
    pub fn preflight(&self) -> Response {
        let headers = [
            (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED),
            (ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE_S),
        ];
        (StatusCode::NO_CONTENT, headers).into_response()
    }

    /// Adds to an answer what all of them have.
    pub fn mark(&self, response: &mut Response, origin: Option<HeaderValue>) {
        let headers = response.headers_mut();
        for (name, value) in [(CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (VARY, "origin")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        // nginx and those that took it over from there hold nothing back then.
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        let Some(origin) = origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        if self.cookies {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(origins: &[&str], cookie: &str) -> Pages {
        let allowed_origins = origins.iter().map(ToString::to_string).collect();
        Pages::new(&Config { allowed_origins, token_cookie: cookie.into(), ..Config::default() }).unwrap()
    }

    fn asked(origin: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin)), (HOST, HeaderValue::from_static("gw.example"))])
    }

    #[test]
    fn pages_are_judged_like_those_of_websockets() {
        assert!(pages(&[], "").admit(&asked("https://gw.example")).unwrap().is_some());
        assert_eq!(pages(&[], "").admit(&asked("https://b.example")).unwrap_err().status, StatusCode::FORBIDDEN);
        assert!(pages(&["https://b.example"], "").admit(&asked("https://b.example")).unwrap().is_some());
        assert!(pages(&["https://b.example"], "").admit(&HeaderMap::new()).unwrap().is_none());
        let mut twice = asked("https://b.example");
        twice.append(ORIGIN, HeaderValue::from_static("https://b.example"));
        assert!(pages(&["https://b.example"], "").admit(&twice).is_err());
    }

    #[test]
    fn credentials_are_allowed_only_with_a_list_and_never_with_a_star() {
        for (pages, credentials) in
            [(pages(&["https://b.example"], "t"), true), (pages(&["https://b.example"], ""), false), (pages(&["*"], ""), false)]
        {
            let mut response = pages.preflight();
            let origin = pages.admit(&asked("https://b.example")).unwrap();
            pages.mark(&mut response, origin);
            assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "https://b.example", "named, whatever the rule");
            assert_eq!(response.headers().contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS), credentials);
            assert_eq!(response.headers()[VARY], "origin");
        }
    }
}
