//! ● Tokens that come with a request instead of in a first command.
//!
//! The doors lift them out here; whether they are worth anything is for auth to say. The order of belief is the doors' own.

use http::header::COOKIE;
use http::{HeaderMap, Uri};

use super::websocket::Config;

/// A token from the cookie or the query, where the configuration allows that. Tokens are URL-safe as they are, so nothing is
/// decoded.
pub fn elsewhere(config: &Config, query_token: bool, uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let cookie =
        if config.token_cookie.is_empty() || config.allowed_origins.is_empty() { None } else { cookie(headers, &config.token_cookie) };
    let query = if query_token { uri.query() } else { None };
    cookie.or_else(|| query?.split('&').find_map(|pair| pair.strip_prefix("token=")).map(str::to_owned))
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}
