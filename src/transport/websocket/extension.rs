//! ● Agreeing on permessage-deflate: `Sec-WebSocket-Extensions` (RFC 6455 section 9.1, RFC 7692 section 7.1).
//!
//! The handshake asks once per connection. Only terms are agreed to that need no state between messages.

/// What was agreed to. Both ends begin every message with an empty context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deflate {
    Plain,
    /// The client named a window of 15 bits for the server, which an answer has to repeat.
    Window15,
}

impl Deflate {
    /// The value of the response's `Sec-WebSocket-Extensions`.
    pub fn response(self) -> &'static str {
        match self {
            Self::Plain => "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            Self::Window15 => "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15",
        }
    }
}

/// The first acceptable offer among the header's values; `None` leaves the connection uncompressed.
///
/// An offer is passed over when a parameter is unknown, given twice or malformed, or when it limits the server's window to
/// fewer than 15 bits, which the deflater does not do.
pub fn negotiate<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Deflate> {
    headers.into_iter().flat_map(|header| split(header, ',')).find_map(agree)
}

fn agree(offer: &str) -> Option<Deflate> {
    let mut parts = split(offer, ';').map(str::trim);
    if parts.next() != Some("permessage-deflate") {
        return None;
    }
    let mut seen = [false; 4];
    let mut agreed = Deflate::Plain;
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(unquote(value.trim_start())?)),
            None => (part, None),
        };
        let index = match (name, value) {
            ("server_no_context_takeover", None) => 0,
            ("client_no_context_takeover", None) => 1,
            ("client_max_window_bits", None) => 2,
            ("client_max_window_bits", Some(bits)) if window_bits(bits).is_some() => 2,
            ("server_max_window_bits", Some(bits)) if window_bits(bits) == Some(15) => {
                agreed = Deflate::Window15;
                3
            }
            _ => return None,
        };
        if std::mem::replace(&mut seen[index], true) {
            return None;
        }
    }
    Some(agreed)
}

/// 8 to 15, in decimal without leading zeros.
fn window_bits(text: &str) -> Option<u8> {
    let bits: u8 = text.parse().ok()?;
    ((8..=15).contains(&bits) && bits.to_string() == text).then_some(bits)
}

/// A quoted value without its quotes, another as it is; `None` for a lone quote. Values that we take need no escapes.
fn unquote(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => (!value.contains('"')).then_some(value),
    }
}

/// Splits at `separator`, except inside quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let literal = escaped;
        escaped = quoted && !literal && c == '\\';
        if c == '"' && !literal {
            quoted = !quoted;
        }
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_that_browsers_make_are_agreed_to() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits=10 ; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits=\"15\"; client_no_context_takeover",
            "x-webkit-deflate-frame, permessage-deflate; client_max_window_bits",
            "foo; a=\"1, 2; 3\", permessage-deflate",
            "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        ] {
            assert_eq!(negotiate([offer]), Some(Deflate::Plain), "{offer}");
        }
        assert_eq!(negotiate(["foo", "permessage-deflate; server_max_window_bits=15"]), Some(Deflate::Window15));
        assert!(Deflate::Window15.response().ends_with("server_max_window_bits=15"));
    }

    #[test]
    fn offers_beyond_what_is_done_are_declined() {
        for offer in [
            "",
            "permessage-bzip2",
            "Permessage-Deflate",
            "permessage-deflate; server_max_window_bits=14",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=010",
            "permessage-deflate; client_max_window_bits=+9",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits=\"10",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=15",
            "permessage-deflate; unknown",
            "permessage-deflate;",
            "foo; a=\"x, permessage-deflate, y\"",
        ] {
            assert_eq!(negotiate([offer]), None, "{offer}");
        }
    }
}
