//! The fixtures of patterns: canonical forms, what is refused, and who is reached, as the gateway itself reads and routes.

use roomcast::config::rooms;
use roomcast::hub::router::Router;
use roomcast::protocol::{Fault, Pattern, RoomName, RoomSyntax};
use serde_json::{Value, json};

use crate::fixtures::folder;

/// Every case of one file, each with the rule that it stands for.
fn cases(file: &str) -> Vec<(String, Value)> {
    let groups = folder("patterns").remove(file).unwrap();
    let cases = groups.as_array().unwrap().iter().flat_map(|group| {
        let rule = group["rule"].as_str().unwrap();
        group["cases"].as_array().unwrap().iter().map(move |case| (format!("{rule} {case}"), case.clone()))
    });
    cases.collect()
}

fn syntax() -> RoomSyntax {
    rooms::Config::default().syntax()
}

fn pattern(case: &Value, member: &str) -> Result<Pattern, Fault> {
    syntax().pattern(case[member].as_str().unwrap())
}

fn room(case: &Value, member: &str) -> Result<RoomName, Fault> {
    syntax().room(case[member].as_str().unwrap())
}

#[test]
fn no_file_is_overlooked() {
    assert!(folder("patterns").keys().eq(["canonical", "reach", "refused", "rooms"]));
}

#[test]
fn a_pattern_has_the_canonical_form_of_its_fixture() {
    for (rule, case) in cases("canonical") {
        let read = pattern(&case, "written").unwrap_or_else(|fault| panic!("{rule}: {fault}"));
        assert_eq!(json!(read), case["canonical"], "{rule}");
        assert_eq!(pattern(&case, "canonical"), Ok(read), "{rule}");
    }
}

#[test]
fn what_is_no_pattern_is_refused_with_the_code_of_its_fixture() {
    for (rule, case) in cases("refused") {
        let fault = pattern(&case, "written").expect_err(&rule);
        assert_eq!(json!(fault.code), case["code"], "{rule}");
    }
}

#[test]
fn a_room_is_read_or_refused_as_its_fixture_says() {
    for (rule, case) in cases("rooms") {
        match room(&case, "written") {
            Ok(room) => assert_eq!(json!(room), case["canonical"], "{rule}"),
            Err(fault) => assert_eq!(json!(fault.code), case["code"], "{rule}"),
        }
    }
}

#[test]
fn a_publication_reaches_whom_its_fixture_says() {
    for (rule, case) in cases("reach") {
        let (pattern, room) = (pattern(&case, "pattern").unwrap(), room(&case, "room").unwrap());
        let cascade = case["cascade"].as_bool().unwrap();
        assert_eq!(json!(pattern.is_reached_by(&room, cascade)), case["reaches"], "{rule}");
        assert_eq!(json!(is_routed(&pattern, &room, cascade)), case["reaches"], "routed: {rule}");
    }
}

/// Whether the hub of the pattern's org, which gets only what is published in that org, would deliver.
fn is_routed(pattern: &Pattern, room: &RoomName, cascade: bool) -> bool {
    let (mut router, mut reached) = (Router::default(), false);
    router.subscribe(pattern, 0);
    router.visit(room, cascade, &mut |_| reached = true);
    reached && pattern.org() == room.org()
}
