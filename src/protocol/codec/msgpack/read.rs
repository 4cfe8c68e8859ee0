//! From MessagePack to JSON text: strict, bounded, and nothing is taken for granted of what a client sends.

use bytes::{BufMut, BytesMut};

use super::super::json;
use crate::protocol::code::{Code, Fault};
use crate::protocol::publication::DEPTH_MAX;

/// A message as JSON.
#[derive(Debug)]
pub struct Read<'a> {
    pub json: BytesMut,
    /// Bytes that stood for `data` within `data`, where the JSON has `null`.
    pub data: Option<&'a [u8]>,
}

/// Reads one map.
///
/// # Errors
/// `INVALID_MESSAGE` for what is no map, not whole or followed by something; for keys that are no text, text that is not UTF-8, numbers that
/// JSON does not have, extension types, bytes elsewhere than in the data of a publication; for what is nested deeper than 64 levels or comes to
/// more than `json_bytes_max` as JSON.
pub fn to_json(bytes: &[u8], json_bytes_max: usize) -> Result<Read<'_>, Fault> {
    let is_map = matches!(bytes.first(), Some(0x80..=0x8f | 0xde | 0xdf));
    if !is_map {
        return Err(invalid("it must be a map"));
    }
    let mut reader = Reader { rest: bytes, json: BytesMut::with_capacity(bytes.len() * 2), json_bytes_max, data: None, open: Vec::new() };
    reader.read()?;
    if !reader.rest.is_empty() {
        return Err(invalid("something follows it"));
    }
    Ok(Read { json: reader.json, data: reader.data })
}

fn invalid(why: &'static str) -> Fault {
    Fault::new(Code::InvalidMessage, format!("the message is no MessagePack as is expected here: {why}"))
}

struct Reader<'a> {
    rest: &'a [u8],
    json: BytesMut,
    json_bytes_max: usize,
    data: Option<&'a [u8]>,
    /// The lists and maps around what is read, outermost first.
    open: Vec<Level>,
}

struct Level {
    is_map: bool,
    /// Values that are still to come, keys of maps included.
    left: u64,
    is_first: bool,
    /// The last key was `data`.
    is_data: bool,
}

/// What stands next.
#[derive(Clone, Copy)]
enum Token<'a> {
    Nil,
    Boolean(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    List(u32),
    Map(u32),
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<(), Fault> {
        loop {
            // Before each value, what is complete around it is closed; after the outermost there is none.
            while let Some(level) = self.open.last()
                && level.left == 0
            {
                self.json.put_u8(if level.is_map { b'}' } else { b']' });
                self.open.pop();
                if self.open.is_empty() {
                    return Ok(());
                }
            }
            let token = self.token()?;
            if self.next_is_key() {
                self.key(token)?;
            } else {
                self.value(token)?;
            }
            if self.json.len() > self.json_bytes_max {
                return Err(invalid("it is too long as JSON"));
            }
        }
    }

    /// In a map keys and values take turns, and an even number is left before a key.
    fn next_is_key(&self) -> bool {
        self.open.last().is_some_and(|level| level.is_map && level.left.is_multiple_of(2))
    }

    fn key(&mut self, token: Token<'a>) -> Result<(), Fault> {
        let Token::Text(key) = token else { return Err(invalid("a key is no text")) };
        self.separate();
        json::value(key, &mut self.json);
        self.json.put_u8(b':');
        if let Some(level) = self.open.last_mut() {
            level.is_data = key == "data";
        }
        Ok(())
    }

    fn value(&mut self, token: Token<'a>) -> Result<(), Fault> {
        if self.open.last().is_some_and(|level| level.is_map) {
            self.passed();
        } else {
            self.separate();
        }
        match token {
            Token::Nil => self.json.put_slice(b"null"),
            Token::Boolean(yes) => json::value(&yes, &mut self.json),
            Token::Unsigned(number) => json::value(&number, &mut self.json),
            Token::Signed(number) => json::value(&number, &mut self.json),
            Token::Float(number) if number.is_finite() => json::value(&number, &mut self.json),
            Token::Float(_) => return Err(invalid("JSON has no such number")),
            Token::Text(text) => json::value(text, &mut self.json),
            Token::Bytes(bytes) => {
                let in_data = self.open.len() == 2 && self.open.iter().all(|level| level.is_map && level.is_data);
                if !in_data || self.data.replace(bytes).is_some() {
                    return Err(invalid("bytes may stand for the data of a publication only"));
                }
                self.json.put_slice(b"null");
            }
            Token::List(count) => self.begin(false, u64::from(count))?,
            Token::Map(count) => self.begin(true, 2 * u64::from(count))?,
        }
        Ok(())
    }

    fn begin(&mut self, is_map: bool, left: u64) -> Result<(), Fault> {
        if self.open.len() == DEPTH_MAX {
            return Err(invalid("it is nested deeper than 64 levels"));
        }
        self.json.put_u8(if is_map { b'{' } else { b'[' });
        self.open.push(Level { is_map, left, is_first: true, is_data: false });
        Ok(())
    }

    /// A comma before all but the first.
    fn separate(&mut self) {
        if let Some(level) = self.open.last()
            && !level.is_first
        {
            self.json.put_u8(b',');
        }
        self.passed();
    }

    fn passed(&mut self) {
        if let Some(level) = self.open.last_mut() {
            level.left -= 1;
            level.is_first = false;
        }
    }

    fn token(&mut self) -> Result<Token<'a>, Fault> {
        let first = self.number::<1>()?[0];
        Ok(match first {
            0x00..=0x7f => Token::Unsigned(u64::from(first)),
            0x80..=0x8f => Token::Map(u32::from(first & 0x0f)),
            0x90..=0x9f => Token::List(u32::from(first & 0x0f)),
            0xa0..=0xbf => Token::Text(self.text(u32::from(first & 0x1f))?),
            0xc0 => Token::Nil,
            0xc2 => Token::Boolean(false),
            0xc3 => Token::Boolean(true),
            0xc4..=0xc6 => {
                let length = self.length(1 << (first - 0xc4))?;
                Token::Bytes(self.take(length)?)
            }
            0xca => Token::Float(f64::from(f32::from_be_bytes(self.number()?))),
            0xcb => Token::Float(f64::from_be_bytes(self.number()?)),
            0xcc => Token::Unsigned(u64::from(self.number::<1>()?[0])),
            0xcd => Token::Unsigned(u64::from(u16::from_be_bytes(self.number()?))),
            0xce => Token::Unsigned(u64::from(u32::from_be_bytes(self.number()?))),
            0xcf => Token::Unsigned(u64::from_be_bytes(self.number()?)),
            0xd0 => Token::Signed(i64::from(i8::from_be_bytes(self.number()?))),
            0xd1 => Token::Signed(i64::from(i16::from_be_bytes(self.number()?))),
            0xd2 => Token::Signed(i64::from(i32::from_be_bytes(self.number()?))),
            0xd3 => Token::Signed(i64::from_be_bytes(self.number()?)),
            0xd9..=0xdb => {
                let length = self.length(1 << (first - 0xd9))?;
                Token::Text(self.text(length)?)
            }
            0xdc..=0xdd => Token::List(self.length(2 << (first - 0xdc))?),
            0xde..=0xdf => Token::Map(self.length(2 << (first - 0xde))?),
            0xe0..=0xff => Token::Signed(i64::from(first.cast_signed())),
            0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => return Err(invalid("extension types have no place in it")),
        })
    }

    /// A length of so many bytes: 1, 2 or 4.
    fn length(&mut self, bytes: usize) -> Result<u32, Fault> {
        Ok(match bytes {
            1 => u32::from(self.number::<1>()?[0]),
            2 => u32::from(u16::from_be_bytes(self.number()?)),
            _ => u32::from_be_bytes(self.number()?),
        })
    }

    fn text(&mut self, length: u32) -> Result<&'a str, Fault> {
        str::from_utf8(self.take(length)?).map_err(|_| invalid("a text is not UTF-8"))
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(taken)
    }

    fn number<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Fault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(*taken)
    }
}

fn cut_off() -> Fault {
    invalid("it is not whole")
}
