//! Pages made from the code are as the code makes them.

use std::path::Path;

use serde_json::{Map, Value, json};

fn is_current(path: &str, made: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, made).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == made, "{path} is stale: write it anew with UPDATE_DOCS=1 cargo test --test it docs");
}

#[test]
fn the_configuration_page_is_current() {
    is_current("docs/configuration.md", &roomcast::config::docs::markdown());
}

#[test]
fn the_metrics_page_is_current() {
    is_current("docs/metrics.md", &roomcast::telemetry::metrics::markdown());
}

#[test]
fn the_openapi_document_is_current() {
    is_current("docs/openapi.json", &roomcast::api::document());
}

#[test]
fn the_schema_of_the_protocol_is_current() {
    is_current("docs/protocol.schema.json", &roomcast::protocol::schema::document());
}

/// What stands under `config` of the chart's values is judged by Helm already, key by key.
#[test]
fn the_charts_schema_has_the_configuration() {
    let path = "helm/roomcast/values.schema.json";
    let written = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let mut values: Value = serde_json::from_str(&written).unwrap();
    let schema: Value = serde_json::from_str(&roomcast::config::docs::schema()).unwrap();
    let mut config = spelled_out(&schema, &schema["$defs"]);
    // The chart says itself where the internal port is.
    config["properties"].as_object_mut().unwrap().remove("internal");
    config["description"] = json!("The sections of docs/configuration.md, made from the code: UPDATE_DOCS=1 cargo test --test it docs");
    values["properties"]["config"] = config;
    is_current(path, &format!("{values:#}\n"));
}

/// The schema without references, which not every Helm follows, and without what only documents.
fn spelled_out(schema: &Value, definitions: &Value) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    let each = |schemas: &Value| match schemas {
        Value::Array(items) => items.iter().map(|item| spelled_out(item, definitions)).collect(),
        Value::Object(named) => named.iter().map(|(name, item)| (name.clone(), spelled_out(item, definitions))).collect(),
        plain => plain.clone(),
    };
    let mut whole = Map::new();
    for (keyword, member) in members {
        match keyword.as_str() {
            "$defs" | "$schema" | "title" | "default" | "format" | "writeOnly" => {}
            "$ref" => {
                let name = member.as_str().unwrap().trim_start_matches("#/$defs/");
                let referred = spelled_out(&definitions[name], definitions);
                for (keyword, of) in referred.as_object().unwrap() {
                    whole.entry(keyword.clone()).or_insert(of.clone());
                }
            }
            "properties" | "anyOf" | "oneOf" | "allOf" => drop(whole.insert(keyword.clone(), each(member))),
            "items" | "additionalProperties" => drop(whole.insert(keyword.clone(), spelled_out(member, definitions))),
            _ => drop(whole.insert(keyword.clone(), member.clone())),
        }
    }
    Value::Object(whole)
}
