//! ● What requests over HTTP bring besides their address: commands in bodies, wishes in queries, names and numbers in headers.

use bytes::Bytes;
use http::header::{COOKIE, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;

use super::name::Name;
use crate::protocol::command::{Action, Subscribe};
use crate::protocol::{Command, Fault};
use crate::transport::credentials::elsewhere;
use crate::transport::websocket::{self, handshake};

/// Names the session in the first answer and in everything that the client asks of it afterwards.
pub const SESSION: HeaderName = HeaderName::from_static("x-roomcast-session");
/// The client's count of its requests with commands, from 1.
pub const NUMBER: HeaderName = HeaderName::from_static("x-roomcast-number");
/// Up to where a client has what it polled for.
pub const CURSOR: HeaderName = HeaderName::from_static("x-roomcast-cursor");
/// The position of the last event that a browser's `EventSource` got (HTML standard, section 9.2).
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Keys of a query that hold one text each.
const TEXTS: [&str; 5] = ["organization_id", "department_id", "queue_name", "since", "filter"];

/// Why a request is not served: the status, and a sentence for whoever wrote the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bad {
    pub status: StatusCode,
    pub why: String,
}

impl Bad {
    pub fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }
}

impl From<Fault> for Bad {
    fn from(fault: Fault) -> Self {
        let status = StatusCode::from_u16(fault.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, why: fault.to_string() }
    }
}

/// The commands of a body: one JSON object, or an array of up to `max` of them. `None` for anything else.
pub fn commands(body: &Bytes, max: usize) -> Option<Vec<Bytes>> {
    let whole: &RawValue = serde_json::from_slice(body).ok()?;
    let commands = match whole.get().as_bytes().first()? {
        b'{' => vec![whole],
        b'[' => serde_json::from_str::<Vec<&RawValue>>(whole.get()).ok()?,
        _ => return None,
    };
    let few = (1..=max).contains(&commands.len());
    few.then(|| commands.into_iter().map(|command| body.slice_ref(command.get().as_bytes())).collect())
}

/// The session that is spoken of; `None` where a new one is meant.
///
/// # Errors
/// 404 for what was never a name: a client can do no more with it than with one that is forgotten.
pub fn session(headers: &HeaderMap) -> Result<Option<Name>, Bad> {
    let Some(text) = one(headers, &SESSION)? else { return Ok(None) };
    Name::parse(text).map(Some).ok_or_else(|| Bad::new(StatusCode::NOT_FOUND, "there is no such session"))
}

/// A count in a header.
///
/// # Errors
/// 400 for anything but digits.
pub fn count(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Bad> {
    let Some(text) = one(headers, name)? else { return Ok(None) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let count = text.parse().ok().filter(|_| digits);
    count.map(Some).ok_or_else(|| Bad::new(StatusCode::BAD_REQUEST, format!("{name} must be a whole number")))
}

/// The token, by the order of belief of the native path: header, cookie, query.
///
/// # Errors
/// 400 for a header that is malformed or given twice.
pub fn token(head: &mut Parts, config: &websocket::Config) -> Result<Option<String>, Bad> {
    let refused = |refused: handshake::Refused| Bad::new(refused.status, refused.why);
    if let Some(token) = handshake::authorization(&head.headers).map_err(refused)? {
        return Ok(Some(token.expose().to_owned()));
    }
    // Pages of other sites can have a browser GET anything, cookies included, without naming themselves: images, for one.
    let site = one(&head.headers, &FETCH_SITE)?;
    if !head.headers.contains_key(ORIGIN) && !matches!(site, None | Some("same-origin" | "none")) {
        head.headers.remove(COOKIE);
    }
    Ok(elsewhere(config, config.query_token, &head.uri, &head.headers))
}

/// What a query wishes to be subscribed to, from where on: `rooms` and `channels` (repeated, or with commas), `organization_id`,
/// `department_id`, `queue_name`, `since`, `filter`, `latest` (`true`); `Last-Event-ID` knows better than `since` and `latest`.
///
/// # Errors
/// What the command `subscribe` is refused for.
pub fn wishes(head: &Parts) -> Result<Subscribe, Bad> {
    let mut data = serde_json::Map::new();
    for (key, value) in form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()) {
        match &*key {
            "rooms" | "channels" => {
                let list = data.entry(key).or_insert_with(|| Vec::<String>::new().into());
                let names = value.split(',').filter(|name| !name.is_empty()).map(|name| name.trim().into());
                list.as_array_mut().into_iter().for_each(|list| list.extend(names.clone()));
            }
            key if TEXTS.contains(&key) => drop(data.insert(key.to_owned(), value.into())),
            "latest" => drop(data.insert(key.into_owned(), (value == "true").into())),
            _ => {}
        }
    }
    if let Some(position) = one(&head.headers, &LAST_EVENT_ID)?.filter(|position| !position.is_empty()) {
        data.insert("since".to_owned(), position.into());
        // A browser comes back with the address that it came with first.
        data.remove("latest");
    }
    let command = serde_json::json!({ "event": "subscribe", "data": data }).to_string();
    match Command::parse(command.as_bytes()).map_err(|unreadable| unreadable.fault)?.action {
        Action::Subscribe(subscribe) => Ok(subscribe),
        _ => Ok(Subscribe::default()),
    }
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Bad> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Bad::new(StatusCode::BAD_REQUEST, format!("{name} is given more than once")));
    }
    let text = |value: &'a http::HeaderValue| value.to_str().map_err(|_| Bad::new(StatusCode::BAD_REQUEST, format!("{name} is not ASCII")));
    first.map(text).transpose()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::protocol::command::Named;

    fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn bodies_hold_one_command_or_several() {
        let texts = |body: &'static str| {
            let commands = commands(&Bytes::from_static(body.as_bytes()), 3)?;
            Some(commands.iter().map(|command| String::from_utf8(command.to_vec()).unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(texts(" {\"a\": 1}\n").unwrap(), ["{\"a\": 1}"]);
        assert_eq!(texts("[{\"a\":[1]}, 7,\n{}]").unwrap(), ["{\"a\":[1]}", "7", "{}"], "what is no command is for the session to say");
        for bad in ["", "[]", "[1,2,3,4]", "7", "{", "{} {}", "\"x\"", "null"] {
            assert!(texts(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn wishes_are_those_of_the_command() {
        let wishes = wishes(&head(
            "/sse?rooms=kpi:acme,chat%3Aacme&rooms=*:acme:**&channels=kpi&department_id=d&filter=a%20in%20(1,2)&x=1&token=t",
            &[],
        ))
        .unwrap();
        assert_eq!(wishes.selector.rooms, ["kpi:acme", "chat:acme", "*:acme:**"].map(|room| Named::Plain(room.to_owned())));
        assert_eq!(wishes.selector.channels, ["kpi"]);
        assert_eq!(wishes.selector.department_id.as_deref(), Some("d"));
        assert_eq!(wishes.selector.filter.as_deref(), Some("a in (1,2)"));
        assert_eq!(wishes.since, None);
        assert!(super::wishes(&head("/sse", &[])).unwrap().selector.is_empty());
        assert_eq!(super::wishes(&head("/sse?since=nowhere", &[])).unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn the_last_event_knows_better_than_the_address() {
        let wishes = |id| super::wishes(&head("/sse?since=1-2-3", &[("Last-Event-ID", id)])).unwrap().since.unwrap();
        assert_eq!((wishes("1-5-6").seq, wishes("").seq), (5, 2));
        let latest = |headers: &[(&str, &str)]| super::wishes(&head("/sse?rooms=kpi:acme&latest=true", headers)).unwrap();
        assert!(latest(&[]).latest && latest(&[]).since.is_none());
        let back = latest(&[("Last-Event-ID", "1-5-6")]);
        assert_eq!((back.latest, back.since.unwrap().seq), (false, 5));
        assert_eq!(super::wishes(&head("/sse?latest=true&since=1-2-3", &[])).unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn cookies_count_only_for_pages_that_may_be_asked_who_they_are() {
        let config = websocket::Config {
            token_cookie: "t".into(),
            allowed_origins: vec!["https://a.example".into()],
            query_token: true,
            ..websocket::Config::default()
        };
        let token = |headers: &[(&str, &str)]| token(&mut head("/sse", headers), &config).unwrap();
        assert_eq!(token(&[("Cookie", "t=abc")]).as_deref(), Some("abc"));
        assert_eq!(token(&[("Cookie", "t=abc"), ("Sec-Fetch-Site", "same-origin")]).as_deref(), Some("abc"));
        assert_eq!(
            token(&[("Cookie", "t=abc"), ("Sec-Fetch-Site", "cross-site"), ("Origin", "https://a.example")]).as_deref(),
            Some("abc")
        );
        assert_eq!(token(&[("Cookie", "t=abc"), ("Sec-Fetch-Site", "cross-site")]), None);
        assert_eq!(token(&[("Cookie", "t=abc"), ("Authorization", "Bearer xyz")]).as_deref(), Some("xyz"));
        assert_eq!(super::token(&mut head("/sse?token=q", &[]), &config).unwrap().as_deref(), Some("q"));
        assert_eq!(super::token(&mut head("/sse?token=q", &[]), &websocket::Config::default()).unwrap(), None);
    }

    #[test]
    fn names_and_numbers_are_read_strictly() {
        assert_eq!(session(&HeaderMap::new()).unwrap(), None);
        let bad = |name: &str, value: &str| head("/sse", &[(name, value)]).headers;
        assert_eq!(session(&bad("x-roomcast-session", "abc")).unwrap_err().status, StatusCode::NOT_FOUND);
        assert_eq!(count(&bad("x-roomcast-number", "12"), &NUMBER).unwrap(), Some(12));
        for value in ["", "+1", "-1", "1.0", "99999999999999999999", "x"] {
            assert!(count(&bad("x-roomcast-number", value), &NUMBER).is_err(), "{value}");
        }
    }
}
