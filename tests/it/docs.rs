//! Pages made from the code are as the code makes them.

use std::path::Path;

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
