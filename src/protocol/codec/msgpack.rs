//! The native protocol as MessagePack (<https://github.com/msgpack/msgpack/blob/master/spec.md>): one map per message, with the fields of the
//! JSON, and bytes as `bin`.
//!
//! Both encodings are made of the same JSON: messages are written as JSON first and put into MessagePack here, commands the other way
//! round. So whatever is added to the protocol is there in both, and read with the same strictness. Publications are put over once per kind of
//! wire, not per session.

mod read;
mod write;

use bytes::{Bytes, BytesMut};

use super::json;
use crate::protocol::code::{Code, Fault};
use crate::protocol::command::{Action, Command, Unreadable};
use crate::protocol::publication::{Content, Publication};
use crate::protocol::push::{Answer, Push};

pub use read::{Read, to_json};
pub use write::from_json;

/// Appends `push` as one map.
pub fn push(push: &Push<'_>, out: &mut BytesMut) {
    let mut text = BytesMut::new();
    match push {
        Push::Publication { publication, manner } if publication.content == Content::Bytes => {
            json::push(&Push::Publication { publication: &without_data(publication), manner: *manner }, &mut text);
            from_json(&text, Some(&publication.data), out);
        }
        push => {
            json::push(push, &mut text);
            from_json(&text, None, out);
        }
    }
}

/// Appends `answer` as one map.
pub fn answer(answer: &Answer, out: &mut BytesMut) {
    let mut text = BytesMut::new();
    json::answer(answer, &mut text);
    from_json(&text, None, out);
}

/// The bytes take the place of the `null`, without a detour through base64.
fn without_data(publication: &Publication) -> Publication {
    Publication { data: Bytes::from_static(b"null"), content: Content::Json, ..publication.clone() }
}

/// Reads one message; as JSON it may come to at most `json_bytes_max`.
///
/// # Errors
/// `INVALID_MESSAGE`, saying what is wrong with it; `MESSAGE_TOO_LARGE` is not among them, because it is no larger than was allowed.
pub fn command(bytes: &[u8], json_bytes_max: usize) -> Result<Command, Unreadable> {
    let Read { json, data } = to_json(bytes, json_bytes_max)?;
    let mut command = Command::parse(&json)?;
    if let Some(data) = data {
        match &mut command.action {
            Action::Publish(publish) => publish.bytes = Some(Bytes::copy_from_slice(data)),
            _ => {
                let fault = Fault::new(Code::InvalidMessage, "bytes may stand for the data of a publication only");
                return Err(Unreadable { id: command.id, fault });
            }
        }
    }
    Ok(command)
}

#[cfg(test)]
mod tests;
