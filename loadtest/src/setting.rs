//! What a run is held under, for its report: options and machine.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::report::Machine;

/// The options by name, as they were given or are by default; neither credentials nor what is switched off, nor what has no meaning here.
pub fn options(options: &impl Serialize) -> BTreeMap<String, String> {
    let Ok(Value::Object(mut options)) = serde_json::to_value(options) else { return BTreeMap::new() };
    let is_started = options.get("gateway").is_some_and(|binary| !binary.is_null());
    (if is_started { &["nodes"][..] } else { &["gateways"] }).iter().for_each(|meaningless| drop(options.remove(*meaningless)));
    options.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
}

/// As people write it on the command line.
fn text(value: Value) -> Option<String> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) => Some(text),
        Value::Array(values) => {
            let texts: Vec<String> = values.into_iter().filter_map(text).collect();
            (!texts.is_empty()).then(|| texts.join(","))
        }
        value => Some(value.to_string()),
    }
}

/// Where the tool runs.
pub fn machine() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let processor = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name.to_owned());
    Machine {
        processor: processor.unwrap_or_default(),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::trial::Common;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        common: Common,
    }

    #[test]
    fn options_are_told_without_credentials() {
        let options = super::options(&Cli::parse_from(["tool", "--token", "very-secret", "--runs", "3"]).common);
        assert_eq!(options.get("runs").map(String::as_str), Some("3"));
        assert!(!options.values().any(|value| value.contains("very-secret")), "{options:?}");
        assert_eq!(options.get("nodes").map(String::as_str), Some("127.0.0.1:8080"));
        assert!(["gateways", "redis", "settings"].iter().all(|name| !options.contains_key(*name)), "{options:?}");
        let options = super::options(&Cli::parse_from(["tool", "--gateway", "roomcast", "--set", "A=1", "--set", "B=x,y"]).common);
        assert_eq!(options.get("settings").map(String::as_str), Some("A=1,B=x,y"));
        assert!(options.contains_key("gateways") && !options.contains_key("nodes"));
    }
}
