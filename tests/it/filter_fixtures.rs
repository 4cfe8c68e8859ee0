//! The files of `fixtures/filters`: what is a filter, which are the same, and what passes them.

use std::sync::Arc;

use roomcast::config::rooms;
use roomcast::protocol::filter::Document;
use roomcast::protocol::{EventName, Filter, NewPublication};
use serde_json::Value;

use super::fixtures::folder;

/// The cases of one file, each with what its rule says for all.
fn cases(file: &str) -> Vec<(Value, Value)> {
    let rules = folder("filters").remove(file).unwrap();
    let each = |rule: &Value| rule["cases"].as_array().unwrap().iter().map(|case| (rule.clone(), case.clone())).collect::<Vec<_>>();
    rules.as_array().unwrap().iter().flat_map(each).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn each_filter_has_one_canonical_form() {
    for (rule, case) in cases("canonical") {
        let filter = Filter::parse(text(&case["written"])).unwrap_or_else(|error| panic!("{}: {case}: {error}", rule["rule"]));
        assert_eq!(filter.as_str(), text(&case["canonical"]), "{}", rule["rule"]);
        assert_eq!(Filter::parse(filter.as_str()).unwrap(), filter, "{case}");
    }
}

#[test]
fn what_is_no_filter_is_refused_at_its_place() {
    for (rule, case) in cases("refused") {
        match Filter::parse(text(&case["filter"])) {
            Ok(filter) => panic!("{}: {case} is read as {filter:?}", rule["rule"]),
            Err(error) => assert_eq!(error.at as u64, case["at"].as_u64().unwrap(), "{}: {case}: {error}", rule["rule"]),
        }
    }
}

#[test]
fn filters_judge_as_their_fixtures_say() {
    let room = rooms::Config::default().syntax().room("kpi:acme").unwrap();
    for (rule, case) in cases("judged") {
        let of_both = |name: &str| case.get(name).or_else(|| rule.get(name)).cloned();
        let data = of_both("data").unwrap().to_string();
        let mut new = NewPublication::new(room.clone(), EventName::parse("kpi:update").unwrap(), data);
        new.headers = of_both("headers").map(|headers| headers.to_string().into());
        let document = Document::of(&Arc::new(new.placed(None, 1)));
        let filter = Filter::parse(text(&case["filter"])).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(filter.passes(&document), case["passes"].as_bool().unwrap(), "{}: {case}", rule["rule"]);
    }
}
