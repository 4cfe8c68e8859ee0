//! What publications look like in Redis: the header line, and what nodes make of it. Pure.
//!
//! The publish function writes these bytes, `redis::pubsub` and `redis::log` read them. Whatever stands in Redis may have been
//! put there by anyone, so reading judges everything and trusts nothing: room, event, options, and that the data is one
//! JSON value, because nodes splice it into frames as it stands.
//!
//! Later versions add options and kinds of fences, and never another meaning of what is here (adr/0023): a node that meets one which it does
//! not know says so, instead of leaving out what it cannot read.
//!
//! ```text
//! header      = check " " room " " event *( " " option )
//! option      = "p=" priority / "c" / "a" / "b" (data are bytes) / "t=" ttl-ms / "s=" session *( "," session ) / "h=" headers-to-end-of-line
//! fence       = check " ! fork"
//! log entry   = fields "h" (header) and "d" (data)
//! bus message = ( epoch "-" seq / "-" ) " " header LF data            ; "-": ephemeral. check, epoch, seq: lower-case hex
//!             / "~ " room " " number LF news                          ; presence: the number before the news, in decimal digits
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::presence::News;
use super::{Body, Entry, OrgEvent};
use crate::protocol::publication::{Content, DEPTH_MAX, is_deeper_than, is_paired};
use crate::protocol::{EventName, GapReason, OrgId, Position, Priority, Publication, RoomSyntax, SessionId};

/// The longest line before the data of a bus message, in bytes: the limits of the publish function with room to spare.
const LINE_BYTES_MAX: usize = 32 * 1_024;

/// A bus message that says nothing, not even where in the log it belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a message on an org's bus is not roomcast's")]
pub struct Unreadable;

/// Why an entry is not read as a publication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unread {
    Malformed,
    /// It is well-formed up to an option that this version does not know.
    Newer,
}

/// Reads a message from the bus of `org`.
///
/// # Errors
/// [`Unreadable`] when not even the position can be read, or an ephemeral publication is malformed. A malformed log entry is an
/// entry all the same, because it has its number.
pub fn bus_message(payload: &Bytes, org: &OrgId, syntax: &RoomSyntax) -> Result<OrgEvent, Unreadable> {
    let window = &payload[..payload.len().min(LINE_BYTES_MAX)];
    let end = window.iter().position(|byte| *byte == b'\n').ok_or(Unreadable)?;
    let line = std::str::from_utf8(&payload[..end]).map_err(|_| Unreadable)?;
    let (place, header) = line.split_once(' ').ok_or(Unreadable)?;
    let data = payload.slice(end + 1..);
    if place == "~" {
        return presence_news(header, data, org, syntax).map(OrgEvent::Presence).ok_or(Unreadable);
    }
    if place == "-" {
        let time_us = check_of(header).ok_or(Unreadable)?;
        let publication = publication(header, data, None, time_us, org, syntax).map_err(|_| Unreadable)?;
        return Ok(OrgEvent::Ephemeral(Arc::new(publication)));
    }
    let (epoch, seq) = place.split_once('-').ok_or(Unreadable)?;
    let (epoch, seq) = (hex(epoch).ok_or(Unreadable)?, hex(seq).ok_or(Unreadable)?);
    Ok(OrgEvent::Entry(log_entry(epoch, seq, header.as_bytes(), data, org, syntax)))
}

fn presence_news(header: &str, lines: Bytes, org: &OrgId, syntax: &RoomSyntax) -> Option<News> {
    let (room, before) = header.split_once(' ')?;
    let room = syntax.room(room).ok()?;
    // Isolation: a room of another org on this org's bus is nobody's.
    (room.org() == org).then_some(News { room, before: before.parse().ok()?, lines })
}

/// The message without its data where those are longer than allowed: what is left is a malformed entry, which keeps its number.
pub fn within(payload: Bytes, data_bytes_max: usize) -> Bytes {
    if payload.len() <= data_bytes_max {
        return payload;
    }
    let window = payload.len().min(LINE_BYTES_MAX);
    match payload[..window].iter().position(|byte| *byte == b'\n') {
        Some(end) if payload.len() - end - 1 <= data_bytes_max => payload,
        Some(end) => payload.slice(..=end),
        None => payload.slice(..window),
    }
}

/// Reads an entry of the log of `org`.
pub fn log_entry(epoch: u64, seq: u64, header: &[u8], data: Bytes, org: &OrgId, syntax: &RoomSyntax) -> Entry {
    let header = std::str::from_utf8(header).unwrap_or_default();
    // An entry without a readable check value keeps its place by number; 0 is what the log's state says of it too.
    let check = check_of(header).unwrap_or(0);
    let position = Position { epoch, seq, check };
    let body = match body(header, data, position, org, syntax) {
        Ok(body) => body,
        Err(Unread::Newer) => Body::Newer,
        Err(Unread::Malformed) => Body::Malformed,
    };
    Entry { position, body }
}

fn body(header: &str, data: Bytes, position: Position, org: &OrgId, syntax: &RoomSyntax) -> Result<Body, Unread> {
    let (_, rest) = header.split_once(' ').ok_or(Unread::Malformed)?;
    let time_us = check_of(header).ok_or(Unread::Malformed)?;
    match rest.strip_prefix("! ") {
        Some("fork") => Ok(Body::Fence(GapReason::Fork)),
        Some(_) => Err(Unread::Newer),
        None => {
            let publication = publication(header, data, Some(position), time_us, org, syntax)?;
            Ok(Body::Publication(Arc::new(publication)))
        }
    }
}

fn publication(
    header: &str,
    data: Bytes,
    position: Option<Position>,
    time_us: u64,
    org: &OrgId,
    syntax: &RoomSyntax,
) -> Result<Publication, Unread> {
    let mut words = header.split(' ').skip(1);
    let room = words.next().and_then(|word| syntax.room(word).ok()).ok_or(Unread::Malformed)?;
    let event = words.next().and_then(|word| EventName::parse(word).ok()).ok_or(Unread::Malformed)?;
    // Isolation: a room of another org on this org's bus is nobody's.
    if room.org() != org {
        return Err(Unread::Malformed);
    }
    let mut read = Publication {
        position,
        time_us,
        room,
        event,
        data,
        content: Content::Json,
        priority: Priority::Medium,
        cascade: false,
        requires_ack: false,
        ttl_ms: None,
        headers: None,
        sessions: Vec::new(),
    };
    let options = header.splitn(4, ' ').nth(3).unwrap_or_default();
    read_options(options, &mut read)?;
    if read.json().is_none_or(|json| is_data(json)) { Ok(read) } else { Err(Unread::Malformed) }
}

fn read_options(mut rest: &str, into: &mut Publication) -> Result<(), Unread> {
    while !rest.is_empty() {
        if let Some(headers) = rest.strip_prefix("h=") {
            // Headers reach frames and traces: an object of strings, nothing else.
            serde_json::from_str::<HashMap<String, String>>(headers).map_err(|_| Unread::Malformed)?;
            into.headers = Some(headers.into());
            return Ok(());
        }
        let (option, after) = rest.split_once(' ').unwrap_or((rest, ""));
        match option.split_once('=') {
            None if option == "c" => into.cascade = true,
            None if option == "a" => into.requires_ack = true,
            None if option == "b" => into.content = Content::Bytes,
            Some(("p", priority)) => into.priority = Priority::parse(priority).ok_or(Unread::Malformed)?,
            Some(("t", ttl_ms)) => into.ttl_ms = Some(ttl_ms.parse().map_err(|_| Unread::Malformed)?),
            Some(("s", sessions)) => {
                let ids = sessions.split(',').map(str::parse::<SessionId>).collect::<Result<_, _>>();
                into.sessions = ids.map_err(|_| Unread::Malformed)?;
            }
            _ => return Err(Unread::Newer),
        }
        rest = after;
    }
    Ok(())
}

/// Whether the bytes can be a publication's data: one JSON value in UTF-8, nested so that the message around it keeps to [`DEPTH_MAX`].
pub fn is_data(data: &[u8]) -> bool {
    // Skipping over a value neither looks into its strings, so their encoding is checked first, nor counts its levels.
    let one_value = || std::str::from_utf8(data).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    !is_deeper_than(DEPTH_MAX - 1, data) && one_value() && is_paired(data)
}

fn check_of(header: &str) -> Option<u64> {
    hex(header.split(' ').next()?)
}

/// A number in lower-case hex; `from_str_radix` alone would accept a sign.
pub fn hex(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if plain { u64::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn syntax() -> RoomSyntax {
        RoomSyntax::new(4, ["kpi", "chat"])
    }

    fn acme() -> OrgId {
        OrgId::parse("acme").unwrap()
    }

    /// The header as the publish function writes it.
    fn header_of(publication: &Publication) -> String {
        let mut line = format!("{:x} {} {}", publication.time_us, publication.room, publication.event);
        if publication.priority != Priority::Medium {
            line.push_str(&format!(" p={}", publication.priority.as_str()));
        }
        if publication.cascade {
            line.push_str(" c");
        }
        if publication.requires_ack {
            line.push_str(" a");
        }
        if publication.content == Content::Bytes {
            line.push_str(" b");
        }
        if let Some(ttl_ms) = publication.ttl_ms {
            line.push_str(&format!(" t={ttl_ms}"));
        }
        if !publication.sessions.is_empty() {
            let sessions: Vec<_> = publication.sessions.iter().map(ToString::to_string).collect();
            line.push_str(&format!(" s={}", sessions.join(",")));
        }
        if let Some(headers) = &publication.headers {
            line.push_str(&format!(" h={headers}"));
        }
        line
    }

    prop_compose! {
        fn publications()(
            room in "(kpi|chat):acme(:[a-z0-9_.@-]{4,64}){0,2}",
            event in "[A-Za-z0-9_.:-]{1,128}",
            (content, data) in prop_oneof![
                Just((Content::Json, &b"{\"v\":1}"[..])), Just((Content::Json, &b"[1,\n2]"[..])), Just((Content::Json, &b"null"[..])),
                Just((Content::Json, &b"\"h= c a\""[..])), Just((Content::Bytes, &b"\x00\xff\n{"[..])), Just((Content::Bytes, &b""[..])),
            ],
            priority in prop_oneof![Just(Priority::Low), Just(Priority::Medium), Just(Priority::High), Just(Priority::Urgent)],
            cascade: bool,
            requires_ack: bool,
            ttl_ms: Option<u64>,
            headers in prop::option::of(Just("{\"traceparent\":\"00-a b-c\", \"x\": \"é c a\"}")),
            sessions in prop::collection::vec(any::<u128>(), 0..3),
            place in prop::option::of((any::<u64>(), any::<u64>())),
            time_us: u64,
        ) -> Publication {
            Publication {
                position: place.map(|(epoch, seq)| Position { epoch, seq, check: time_us }),
                time_us,
                room: syntax().room(&room).unwrap(),
                event: EventName::parse(&event).unwrap(),
                data: Bytes::from_static(data),
                content,
                priority,
                cascade,
                requires_ack,
                ttl_ms,
                headers: headers.map(Into::into),
                sessions: sessions.into_iter().map(|id| SessionId(uuid::Uuid::from_u128(id))).collect(),
            }
        }
    }

    proptest! {
        #[test]
        fn what_the_function_writes_is_read_back(publication in publications()) {
            let header = header_of(&publication);
            let place = publication.position.map_or("-".to_owned(), |position| format!("{:x}-{:x}", position.epoch, position.seq));
            let mut payload = format!("{place} {header}\n").into_bytes();
            payload.extend_from_slice(&publication.data);
            let event = bus_message(&payload.into(), &acme(), &syntax()).unwrap();
            match (publication.position, event) {
                (None, OrgEvent::Ephemeral(read)) => prop_assert_eq!(&*read, &publication),
                (Some(position), OrgEvent::Entry(entry)) => {
                    prop_assert_eq!(entry.position, position);
                    let logged = log_entry(position.epoch, position.seq, header.as_bytes(), publication.data.clone(), &acme(), &syntax());
                    prop_assert_eq!(&entry, &logged);
                    prop_assert_eq!(entry.body, Body::Publication(Arc::new(publication)));
                }
                (_, other) => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn any_bytes_are_judged_without_panic(payload in prop::collection::vec(any::<u8>(), 0..256), header in ".{0,64}") {
            let payload = Bytes::from(payload);
            let _ = bus_message(&payload, &acme(), &syntax());
            let _ = log_entry(1, 1, &payload, payload.clone(), &acme(), &syntax());
            let _ = log_entry(1, 1, header.as_bytes(), payload, &acme(), &syntax());
        }

        #[test]
        fn near_misses_are_judged_without_panic(header in "[0-9a-f]{0,17} (kpi:acme|kpi:other|!) [a-z:!]{0,6}( [pcats]=?[a-z0-9,]{0,4}){0,3}") {
            let payload = Bytes::from(format!("1-1 {header}\n{{}}"));
            let _ = bus_message(&payload, &acme(), &syntax());
        }
    }

    fn judge(header: &str, data: &'static [u8]) -> Body {
        log_entry(7, 1, header.as_bytes(), Bytes::from_static(data), &acme(), &syntax()).body
    }

    #[test]
    fn a_fence_is_read_as_such() {
        assert_eq!(judge("5 ! fork", b""), Body::Fence(GapReason::Fork));
    }

    #[test]
    fn news_of_presence_are_read_where_they_are_of_the_org() {
        let message = |text: &'static str| bus_message(&Bytes::from_static(text.as_bytes()), &acme(), &syntax());
        let room = syntax().room("chat:acme:lobby").unwrap();
        assert_eq!(
            message("~ chat:acme:lobby 41\nabc\n"),
            Ok(OrgEvent::Presence(News { room, before: 41, lines: Bytes::from_static(b"abc\n") }))
        );
        for bad in ["~ chat:other:lobby 41\n", "~ chat:acme:*  41\n", "~ chat:acme\n", "~ chat:acme -1\n", "~ chat:acme 41", "~\n"] {
            assert_eq!(message(bad), Err(Unreadable), "{bad:?}");
        }
    }

    #[test]
    fn nothing_is_nested_deeper_than_receivers_can_parse() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels)).into_bytes();
        assert!(is_data(&nested(DEPTH_MAX - 1)));
        assert!(!is_data(&nested(DEPTH_MAX)));
        assert!(!is_data(&nested(100_000)));
    }

    #[test]
    fn what_would_break_a_frame_or_reach_another_org_is_malformed() {
        assert!(matches!(judge("5 kpi:acme e", b"{}"), Body::Publication(_)));
        assert!(matches!(judge("5 kpi:acme e b", b"\xff"), Body::Publication(_)));
        for (header, data) in [
            ("5 kpi:other e", &b"{}"[..]),
            ("5 nope:acme e", b"{}"),
            ("5 kpi:acme e", b"{}}"),
            ("5 kpi:acme e", b"{\"a\":1},{\"b\":2}"),
            ("5 kpi:acme e", b""),
            ("5 kpi:acme e", b"\"\xff\""),
            ("5 kpi:acme e", b"NaN"),
            ("5 kpi:acme e h={\"a\":1}", b"{}"),
            ("5 kpi:acme e h={} ,\"evil\":1", b"{}"),
            ("5 kpi:acme e p=", b"{}"),
            ("5 kpi:acme", b"{}"),
            ("+5 kpi:acme e", b"{}"),
            ("", b""),
        ] {
            assert_eq!(judge(header, data), Body::Malformed, "{header:?} {data:?}");
        }
    }

    #[test]
    fn what_a_later_version_adds_is_known_for_it() {
        for header in ["5 kpi:acme e x=1", "5 kpi:acme e c z", "5 kpi:acme e p=high z=1 h={}", "5 ! moved", "5 ! fork 7"] {
            assert_eq!(judge(header, b"{}"), Body::Newer, "{header:?}");
        }
        // Of another org it is nobody's, whoever wrote it.
        assert_eq!(judge("5 kpi:other e x=1", b"{}"), Body::Malformed);
        let ephemeral = bus_message(&Bytes::from_static(b"- 5 kpi:acme e x=1\n{}"), &acme(), &syntax());
        assert_eq!(ephemeral, Err(Unreadable));
    }

    /// Lines as the versions before this one wrote them.
    #[test]
    fn what_earlier_versions_wrote_is_read() {
        for header in ["5 kpi:acme:sales kpi:update", "5 kpi:acme e p=low c a t=9 s=00000000-0000-0000-0000-000000000001 h={\"a\":\"b c\"}"]
        {
            assert!(matches!(judge(header, b"{}"), Body::Publication(_)), "{header:?}");
        }
    }
}
