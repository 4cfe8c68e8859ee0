use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::protocol::publication::DEPTH_MAX;

const MAX: usize = 1 << 20;

fn written(json: &Value) -> BytesMut {
    let mut out = BytesMut::new();
    from_json(json.to_string().as_bytes(), None, &mut out);
    out
}

fn read(bytes: &[u8]) -> Result<Value, Fault> {
    to_json(bytes, MAX).map(|read| serde_json::from_slice(&read.json).unwrap())
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-70_000i64..70_000).prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        "[a-z\"\\\\\n\u{1f600}]{250,300}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 128, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..40).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..20).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_put_into_messagepack_comes_out_the_same(value in values()) {
        let message = json!({ "event": "x", "data": value });
        prop_assert_eq!(read(&written(&message)).unwrap(), message.clone());
        // White space means nothing.
        let mut spaced = BytesMut::new();
        from_json(format!("{message:#}").as_bytes(), None, &mut spaced);
        prop_assert_eq!(spaced, written(&message));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(read) = to_json(&bytes, MAX) {
            prop_assert!(serde_json::from_slice::<Value>(&read.json).is_ok_and(|value| value.is_object()));
        }
        let _ = command(&bytes, MAX);
        let mut out = BytesMut::new();
        from_json(&bytes, Some(b"x"), &mut out);
    }
}

/// The examples of the specification's formats, at their borders.
#[test]
fn every_length_has_its_shortest_form() {
    let first = |value: Value| written(&json!([value]))[1..].first().copied().unwrap();
    for (number, byte) in [(0, 0x00), (127, 0x7f), (128, 0xcc), (256, 0xcd), (65_536, 0xce), (1i64 << 32, 0xcf), (-1, 0xff), (-32, 0xe0)] {
        assert_eq!(first(json!(number)), byte, "{number}");
    }
    for (number, byte) in [(-33, 0xd0), (-129, 0xd1), (-32_769, 0xd2), (-(1i64 << 31) - 1, 0xd3)] {
        assert_eq!(first(json!(number)), byte, "{number}");
    }
    for (length, byte) in [(0, 0xa0), (31, 0xbf), (32, 0xd9), (256, 0xda), (65_536, 0xdb)] {
        assert_eq!(first(json!("x".repeat(length))), byte, "{length}");
    }
    for (length, byte) in [(15, 0x9f), (16, 0xdc), (65_536, 0xdd)] {
        assert_eq!(first(json!(vec![0; length])), byte, "{length}");
        assert_eq!(read(&written(&json!({ "data": vec![7; length], "x": 1 }))).unwrap()["x"], 1);
    }
    assert_eq!(written(&json!({}))[..], [0x80]);
    assert_eq!(written(&json!(-0.0))[..], [0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    let mut huge = BytesMut::new();
    from_json(b"4e4444", None, &mut huge);
    assert_eq!(f64::from_be_bytes(huge[1..].try_into().unwrap()), f64::INFINITY);
}

/// Deep and long at once: what takes more than one look at each byte per level would show.
#[test]
fn what_is_nested_deep_around_much_is_put_over_like_anything_else() {
    let numbers = vec!["1"; 16].join(",");
    let deep = format!("{}[{}]{}", format!("[{numbers},").repeat(60), vec!["7"; 200_000].join(","), "]".repeat(60));
    let mut out = BytesMut::new();
    from_json(format!("{{\"x\":{deep}}}").as_bytes(), None, &mut out);
    assert_eq!(out.len(), 1 + 2 + 60 * (3 + 16) + 5 + 200_000);
    assert_eq!(to_json(&out, MAX).unwrap().json, format!("{{\"x\":{deep}}}").as_bytes());
}

#[test]
fn bytes_stand_in_the_place_of_the_data() {
    for length in [0usize, 255, 256, 65_536] {
        let bytes = vec![0xc1; length];
        let mut out = BytesMut::new();
        from_json(br#"{"event":"e","data": null,"x":{"data":1}}"#, Some(&bytes), &mut out);
        let header = [&b"\x83\xa5event\xa1e\xa4data"[..]].concat();
        assert_eq!(out[..header.len()], header);
        assert!(out.ends_with(b"\xa1x\x81\xa4data\x01"), "only the outermost");
        let bin = &out[header.len()..out.len() - b"\xa1x\x81\xa4data\x01".len()];
        assert!(bin.ends_with(&bytes) && matches!(bin[0], 0xc4..=0xc6), "{length}");
    }
}

fn publish(data: &[u8]) -> Vec<u8> {
    [b"\x82\xa5event\xa7publish\xa4data\x83\xa5event\xaakpi:update\xa4room\xa8kpi:acme\xa4data", data].concat()
}

#[test]
fn a_publication_may_have_bytes_for_data_and_nothing_else_may() {
    let Action::Publish(published) = command(&publish(b"\xc4\x03\x00\xff\x01"), MAX).unwrap().action else { panic!() };
    assert_eq!(published.bytes.as_deref(), Some(&b"\x00\xff\x01"[..]));
    let Action::Publish(published) = command(&publish(b"\x93\x01\xc0\xca\x3f\xc0\x00\x00"), MAX).unwrap().action else { panic!() };
    assert_eq!((published.bytes, published.data.get()), (None, "[1,null,1.5]"));
    for elsewhere in [
        publish(b"\x91\xc4\x01\x00"),
        b"\x82\xa5event\xabclient:ping\xa4data\xc4\x01\x00".to_vec(),
        b"\x82\xa5event\xa9subscribe\xa4data\x82\xa5rooms\x91\xa8kpi:acme\xa4data\xc4\x01\x00".to_vec(),
        b"\x81\xa5event\xc4\x04ping".to_vec(),
    ] {
        assert_eq!(command(&elsewhere, MAX).unwrap_err().fault.code, Code::InvalidMessage, "{}", elsewhere.escape_ascii());
    }
}

#[test]
fn what_json_would_refuse_is_refused() {
    let deep = |levels: usize| [b"\x81\xa1x", vec![0x91; levels].as_slice(), b"\xc0"].concat();
    assert!(to_json(&deep(DEPTH_MAX - 1), MAX).is_ok());
    for (bytes, why) in [
        (b"".to_vec(), "nothing"),
        (b"\x91\xa4ping".to_vec(), "a list"),
        (b"\x81\xa5event".to_vec(), "a map that is cut off"),
        (b"\xdf\xff\xff\xff\xff".to_vec(), "four billion members"),
        (b"\x81\xa1x\xdb\xff\xff\xff\xff".to_vec(), "four gigabytes of text"),
        (b"\x81\x01\x01".to_vec(), "a key that is a number"),
        (b"\x81\xa1\xff\x01".to_vec(), "a key that is not UTF-8"),
        (b"\x81\xa1x\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00".to_vec(), "no number"),
        (b"\x81\xa1x\xca\x7f\x80\x00\x00".to_vec(), "infinity"),
        (b"\x81\xa1x\xc1".to_vec(), "the byte that is never used"),
        (b"\x81\xa1x\xd6\xff\x00\x00\x00\x00".to_vec(), "a timestamp"),
        (b"\x80\x80".to_vec(), "two messages"),
        (deep(DEPTH_MAX), "65 levels"),
        (deep(100_000), "very many levels"),
        ([&b"\x82\xa5event\xa4ping\xa5event\xa4ping"[..]].concat(), "a field twice"),
    ] {
        assert_eq!(command(&bytes, MAX).unwrap_err().fault.code, Code::InvalidMessage, "{why}");
    }
    let zeros = [&b"\x81\xa1x\xdc\x00\xff"[..], &[0; 255]].concat();
    assert!(to_json(&zeros, 600).is_ok() && to_json(&zeros, 400).is_err(), "it may not grow beyond the bound");
}
