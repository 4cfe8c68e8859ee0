//! From JSON text to MessagePack, without a tree between them: one pass counts what lists and maps hold, a second one writes.

use bytes::{BufMut, BytesMut};

/// Appends one JSON value as MessagePack. `data` goes as `bin` in the place of the value of the outermost `data`. Whole numbers become the
/// shortest integer, all others 64-bit floats: one that exceeds those is infinite, as in JavaScript.
///
/// The text is one that was admitted as JSON; what becomes of another is not said, but that it takes no longer.
pub fn from_json(json: &[u8], data: Option<&[u8]>, out: &mut BytesMut) {
    out.reserve(json.len());
    let mut counts = counts(json).into_iter();
    let (mut rest, mut depth) = (json, 0usize);
    // What comes next is the value of the outermost `data`.
    let mut is_data = false;
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'{' | b'[' => {
                depth += 1;
                container(*first == b'{', counts.next().unwrap_or_default(), out);
                after
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                after
            }
            b'"' => {
                let (raw, behind) = after.split_at(end_of_text(after));
                let behind = behind.get(1..).unwrap_or_default();
                is_data = data.is_some() && depth == 1 && raw == b"data" && behind.trim_ascii_start().first() == Some(&b':');
                text(raw, out);
                behind
            }
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => after,
            _ => {
                let (word, behind) = rest.split_at(rest.iter().position(|byte| ends_word(*byte)).unwrap_or(rest.len()));
                match data.filter(|_| is_data) {
                    Some(data) => bin(data, out),
                    None => literal(word, out),
                }
                is_data = false;
                behind
            }
        };
    }
}

/// How many items or members each list and map has, in the order in which they begin.
fn counts(json: &[u8]) -> Vec<u32> {
    let (mut counts, mut open, mut rest) = (Vec::<u32>::new(), Vec::<usize>::new(), json);
    while let Some((first, after)) = rest.split_first() {
        if !matches!(first, b'}' | b']' | b':' | b' ' | b'\t' | b'\r' | b'\n')
            && let Some(around) = open.last().and_then(|around| counts.get_mut(*around))
        {
            // Whatever comes first is one, and behind each comma is another.
            *around = (*around + u32::from(*first == b',')).max(1);
        }
        rest = match first {
            b'{' | b'[' => {
                open.push(counts.len());
                counts.push(0);
                after
            }
            b'}' | b']' => {
                open.pop();
                after
            }
            b'"' => after.get(end_of_text(after) + 1..).unwrap_or_default(),
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => after,
            _ => &rest[rest.iter().position(|byte| ends_word(*byte)).unwrap_or(rest.len())..],
        };
    }
    counts
}

/// What may stand behind a number or one of the three words.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n')
}

fn container(is_map: bool, count: u32, out: &mut BytesMut) {
    let (short, two, four) = if is_map { (0x80, 0xde, 0xdf) } else { (0x90, 0xdc, 0xdd) };
    match count {
        0..=15 => out.put_u8(short | count as u8),
        16..=0xffff => {
            out.put_u8(two);
            out.put_u16(count as u16);
        }
        _ => {
            out.put_u8(four);
            out.put_u32(count);
        }
    }
}

/// Where the text ends whose opening quote is passed.
fn end_of_text(json: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &json[at..]) {
        at += found;
        if json[at] == b'"' {
            return at;
        }
        at = (at + 2).min(json.len());
    }
    json.len()
}

fn text(raw: &[u8], out: &mut BytesMut) {
    if !raw.contains(&b'\\') {
        str_header(raw.len(), out);
        out.put_slice(raw);
        return;
    }
    let quoted = [b"\"", raw, b"\""].concat();
    let plain: String = serde_json::from_slice(&quoted).unwrap_or_default();
    str_header(plain.len(), out);
    out.put_slice(plain.as_bytes());
}

/// No text and no bytes are longer than the bound of a message, which is far below four gigabytes.
fn str_header(length: usize, out: &mut BytesMut) {
    match length {
        0..=31 => out.put_u8(0xa0 | length as u8),
        32..=0xff => out.put_slice(&[0xd9, length as u8]),
        0x100..=0xffff => {
            out.put_u8(0xda);
            out.put_u16(length as u16);
        }
        _ => {
            out.put_u8(0xdb);
            out.put_u32(length as u32);
        }
    }
}

fn bin(bytes: &[u8], out: &mut BytesMut) {
    match bytes.len() {
        length @ 0..=0xff => out.put_slice(&[0xc4, length as u8]),
        length @ 0x100..=0xffff => {
            out.put_u8(0xc5);
            out.put_u16(length as u16);
        }
        length => {
            out.put_u8(0xc6);
            out.put_u32(length as u32);
        }
    }
    out.put_slice(bytes);
}

fn literal(word: &[u8], out: &mut BytesMut) {
    match word {
        b"null" => out.put_u8(0xc0),
        b"false" => out.put_u8(0xc2),
        b"true" => out.put_u8(0xc3),
        word => number(str::from_utf8(word).unwrap_or_default(), out),
    }
}

fn number(text: &str, out: &mut BytesMut) {
    if text == "-0" {
        out.put_u8(0xcb);
        out.put_f64(-0.0);
    } else if let Ok(whole) = text.parse::<u64>() {
        unsigned(whole, out);
    } else if let Ok(whole) = text.parse::<i64>() {
        signed(whole, out);
    } else {
        out.put_u8(0xcb);
        out.put_f64(text.parse().unwrap_or(f64::NAN));
    }
}

fn unsigned(number: u64, out: &mut BytesMut) {
    match number {
        0..=0x7f => out.put_u8(number as u8),
        0x80..=0xff => out.put_slice(&[0xcc, number as u8]),
        0x100..=0xffff => {
            out.put_u8(0xcd);
            out.put_u16(number as u16);
        }
        0x1_0000..=0xffff_ffff => {
            out.put_u8(0xce);
            out.put_u32(number as u32);
        }
        _ => {
            out.put_u8(0xcf);
            out.put_u64(number);
        }
    }
}

/// Below zero: the others are unsigned.
fn signed(number: i64, out: &mut BytesMut) {
    if let Ok(short) = i8::try_from(number) {
        if short < -32 {
            out.put_u8(0xd0);
        }
        out.put_i8(short);
    } else if let Ok(short) = i16::try_from(number) {
        out.put_u8(0xd1);
        out.put_i16(short);
    } else if let Ok(short) = i32::try_from(number) {
        out.put_u8(0xd2);
        out.put_i32(short);
    } else {
        out.put_u8(0xd3);
        out.put_i64(number);
    }
}
