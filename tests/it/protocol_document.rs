//! The protocol's documents show the fixtures themselves, and the first leaves no code out.

use std::path::PathBuf;

use roomcast::protocol::{CloseCode, Code, GapReason};
use serde_json::Value;

use crate::fixtures::folder;

fn text(page: &str) -> String {
    std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(page)).unwrap()
}

/// The fenced JSON blocks: the fixture that a block's first line names, and what the block holds.
fn blocks(text: &str) -> Vec<(String, Value)> {
    let fenced = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("json"));
    let read = fenced.map(|block| {
        let (name, body) = block.split_once('\n').unwrap();
        (name.trim().to_owned(), serde_json::from_str(body).unwrap_or_else(|error| panic!("{name}: {error}")))
    });
    read.collect()
}

#[test]
fn every_example_is_a_fixture() {
    let protocol = blocks(&text("protocol.md"));
    assert!(protocol.len() > 20, "{} examples", protocol.len());
    assert!(protocol.iter().all(|(name, _)| !name.is_empty()), "a block names no fixture");
    // Beside its messages this page shows an item, and what databases say.
    let presence = blocks(&text("presence.md"));
    let collections = blocks(&text("collections.md")).into_iter().filter(|(name, _)| !name.is_empty());
    for (name, shown) in protocol.into_iter().chain(presence).chain(collections) {
        let (kind, file) = name.split_once('/').unwrap_or_else(|| panic!("the block {shown} names no fixture"));
        let fixture = &folder(kind)[file];
        let expected = if kind == "closes" { &fixture["reason"] } else { &fixture["wire"] };
        assert_eq!(shown, *expected, "{name}");
    }
}

#[test]
fn every_code_is_explained() {
    let text = text("protocol.md");
    for code in Code::ALL {
        assert!(text.contains(&format!("| `{}` |", code.as_str())), "{code:?} is missing");
    }
    for code in CloseCode::ALL {
        assert!(text.contains(&format!("| {} |", code as u16)), "{code:?} is missing");
    }
    for reason in [GapReason::Trimmed, GapReason::Fork, GapReason::LogLost, GapReason::Evicted, GapReason::Unreadable] {
        assert!(text.contains(&format!("| `{}` |", reason.as_str())), "{reason:?} is missing");
    }
}
