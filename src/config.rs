//! The configuration: every section in one tree, loaded once from defaults, a TOML file, the environment and the command line.
//!
//! Sections belong to the modules that they configure; a new one is one more field of [`Config`], and the file, the variables,
//! the checks and docs/configuration.md follow from its schema. The command line loads it; nothing below reads the environment.

pub mod broker;
pub mod check;
pub mod docs;
pub mod drain;
pub mod fault;
pub mod internal;
pub mod limits;
pub mod node;
pub mod rooms;
pub mod shape;
pub mod source;
mod validate;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use fault::{Fault, Faults, Origin};
pub use source::{Override, Sources};

/// Everything that can be configured.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// This node itself.
    pub node: node::Config,
    /// The public address.
    pub server: crate::transport::listener::Config,
    /// The WebSocket door.
    pub websocket: crate::transport::websocket::Config,
    /// Ways of speaking for clients of other servers.
    pub dialects: crate::dialect::Config,
    /// The doors for where WebSockets do not pass: server-sent events and long polling. Credentials and origins are those of `websocket`.
    pub http: crate::transport::http_session::Config,
    /// The REST API.
    pub api: crate::api::Config,
    /// Who may connect.
    pub auth: crate::auth::Config,
    /// Probes and metrics, on an address that clients do not reach.
    pub internal: internal::Config,
    /// Which rooms and events there are.
    pub rooms: rooms::Config,
    /// What clients may ask of a node and of the cluster.
    pub limits: limits::Config,
    /// What each org may use.
    pub quotas: crate::limit::quota::Config,
    /// Fan-out, recent logs in memory, send queues.
    pub hub: crate::hub::Config,
    /// Who is in a room.
    pub presence: crate::hub::presence::Config,
    /// Times and bounds of sessions.
    pub session: crate::session::Config,
    /// Where the logs live and how nodes hear of each other.
    pub broker: broker::Config,
    /// Logs and traces.
    pub telemetry: crate::telemetry::Config,
    /// The planned shutdown.
    pub drain: drain::Config,
    /// Moving sessions between nodes that go on.
    pub balance: crate::balance::Config,
}

/// A configuration together with where each value that is not a default came from.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// By key, as in `limits.commands_burst`.
    pub origins: BTreeMap<String, Origin>,
}

impl Config {
    /// Reads all sources, the later ones winning: defaults, file, environment, command line.
    ///
    /// # Errors
    /// Every fault of every source at once.
    pub fn load(sources: &Sources) -> Result<Loaded, Faults> {
        let shape = shape::Shape::of_config();
        let merged = source::merge(sources, &shape)?;
        let config: Self = serde_path_to_error::deserialize(toml::Value::Table(merged.table)).map_err(|error| {
            let path = error.path().to_string().replace('[', ".").replace(']', "");
            let message = check::deserialization_message(&shape, &path, error.inner());
            Faults::from(Fault { origin: merged.origins.get(&path).cloned(), key: path, message })
        })?;
        let faults = validate::faults(&config, &merged.origins);
        if faults.is_empty() { Ok(Loaded { config, origins: merged.origins }) } else { Err(faults) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn load(file: &str, env: &[(&str, &str)], overrides: Vec<Override>) -> Result<Loaded, Faults> {
        let mut toml = tempfile::NamedTempFile::new().unwrap();
        toml.write_all(file.as_bytes()).unwrap();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::load(&Sources { file: Some(toml.path().to_owned()), env, overrides })
    }

    fn message(result: Result<Loaded, Faults>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn no_source_at_all_is_the_default() {
        let loaded = Config::load(&Sources::default()).unwrap();
        assert_eq!(toml::to_string(&loaded.config).unwrap(), toml::to_string(&Config::default()).unwrap());
        assert!(loaded.origins.is_empty());
    }

    #[test]
    fn the_command_line_beats_the_environment_which_beats_the_file() {
        let file = "[limits]\ncommands_per_s = 1\nmembers_per_room_max = 1\n[internal]\nlisten = \"127.0.0.1:1\"\n";
        let env = [("ROOMCAST_LIMITS__MEMBERS_PER_ROOM_MAX", "2"), ("ROOMCAST_INTERNAL__LISTEN", "127.0.0.1:2")];
        let flag = Override { flag: "--internal-listen", key: "internal.listen", value: "127.0.0.1:3".into() };
        let loaded = load(file, &env, vec![flag]).unwrap();
        assert_eq!(loaded.config.limits.commands_per_s, 1);
        assert_eq!(loaded.config.limits.members_per_room_max, 2);
        assert_eq!(loaded.config.internal.listen.port(), 3);
        assert_eq!(loaded.origins["internal.listen"], Origin::Flag("--internal-listen"));
    }

    #[test]
    fn unknown_keys_name_their_line_and_the_likely_key() {
        let text = message(load("[limits]\n\ncomands_burst = 5\n", &[("ROOMCAST_LIMIT__COMMANDS_PER_S", "1")], Vec::new()));
        assert!(text.contains(":3: limits.comands_burst: there is no such key; did you mean limits.commands_burst?"), "{text}");
        assert!(text.contains("did you mean ROOMCAST_LIMITS__COMMANDS_PER_S?"), "{text}");
    }

    #[test]
    fn types_are_checked_with_key_value_and_expectation() {
        let text = message(load(
            "[limits]\ncommands_per_s = \"many\"\n[rooms]\nchannels = [1]\n[broker]\nkind = \"rediss\"\n",
            &[("ROOMCAST_LIMITS__AUTH_TIMEOUT_MS", "-1"), ("ROOMCAST_NODE__DEV", "maybe"), ("ROOMCAST_INTERNAL__LISTEN", "nowhere")],
            Vec::new(),
        ));
        assert!(text.contains("limits.commands_per_s: \"many\" is not a whole number"), "{text}");
        assert!(text.contains("rooms.channels.0: 1 is not text"), "{text}");
        assert!(text.contains("broker.kind: \"rediss\" is not one of memory, redis; did you mean redis?"), "{text}");
        assert!(text.contains("ROOMCAST_LIMITS__AUTH_TIMEOUT_MS: limits.auth_timeout_ms: \"-1\" is not a whole number"), "{text}");
        assert!(text.contains("ROOMCAST_NODE__DEV: node.dev: \"maybe\" is not true or false"), "{text}");
        let text = message(load("", &[("ROOMCAST_INTERNAL__LISTEN", "nowhere")], Vec::new()));
        assert!(text.contains("ROOMCAST_INTERNAL__LISTEN: internal.listen: invalid socket address"), "{text}");
    }

    #[test]
    fn lists_come_from_the_environment_with_commas_or_as_toml() {
        for value in ["kpi, chat", "[\"kpi\", \"chat\"]"] {
            let loaded = load("", &[("ROOMCAST_ROOMS__CHANNELS", value)], Vec::new()).unwrap();
            assert_eq!(loaded.config.rooms.channels, ["kpi", "chat"]);
        }
    }

    #[test]
    fn what_an_orchestrator_sets_by_itself_is_no_configuration() {
        let env = [
            ("ROOMCAST_SERVICE_HOST", "10.0.0.1"),
            ("ROOMCAST_SERVICE_PORT_HTTP", "80"),
            ("ROOMCAST_PORT", "tcp://10.0.0.1:80"),
            ("ROOMCAST_INTERNAL_PORT_9090_TCP_ADDR", "10.0.0.1"),
            ("ROOMCAST_LIMITS__COMMANDS_PER_S", ""),
        ];
        assert!(load("", &env, Vec::new()).unwrap().origins.is_empty());
        assert!(message(load("", &[("ROOMCAST_LIMITS_COMMANDS_PER_S", "1")], Vec::new())).contains("ROOMCAST_LIMITS__COMMANDS_PER_S"));
    }

    #[test]
    fn secrets_come_from_files_and_are_not_shown() {
        let mut secret = tempfile::NamedTempFile::new().unwrap();
        secret.write_all(b"authorization=Bearer s3cr3t\n").unwrap();
        let path = secret.path().to_str().unwrap();
        let endpoint = ("ROOMCAST_TELEMETRY__OTLP__ENDPOINT", "http://127.0.0.1:4318");
        let loaded = load("", &[endpoint, ("ROOMCAST_TELEMETRY__OTLP__HEADERS_FILE", path)], Vec::new()).unwrap();
        assert_eq!(loaded.config.telemetry.otlp.headers.as_deref(), Some("authorization=Bearer s3cr3t"));
        let both = [("ROOMCAST_TELEMETRY__OTLP__HEADERS_FILE", path), ("ROOMCAST_TELEMETRY__OTLP__HEADERS", "a=b")];
        assert!(message(load("", &both, Vec::new())).contains("both"));
        let text = message(load("[telemetry.otlp]\nheaders = [\"s3cr3t\"]\n", &[], Vec::new()));
        assert!(text.contains("telemetry.otlp.headers") && !text.contains("s3cr3t"), "{text}");
    }

    #[test]
    fn faults_across_fields_come_all_at_once() {
        let text = message(load("[limits]\nping_interval_ms = 60000\n[rooms]\nsegments_max = 9\nchannels = [\"org\"]\n", &[], Vec::new()));
        for key in ["limits.stale_after_ms", "rooms.segments_max", "rooms.channels"] {
            assert!(text.contains(key), "{key} in {text}");
        }
    }

    #[test]
    fn the_example_can_be_loaded_and_speaks_every_dialect() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/roomcast.toml");
        let config = Config::load(&Sources { file: Some(file), ..Sources::default() }).unwrap().config;
        assert_eq!(config.dialects.dialects().count(), crate::dialect::ALL.len());
        let toml = "[websocket]\npath = \"/ws/chat\"\n[dialects]\nenabled = [\"chat\", \"chat\"]\n";
        let text = message(load(toml, &[], Vec::new()));
        assert!(text.contains("taken by websocket.path") && text.contains("listed twice"), "{text}");
        let unknown = message(load("", &[("ROOMCAST_DIALECTS__ENABLED", "chat,chats")], Vec::new()));
        assert!(unknown.contains("did you mean chat?"), "{unknown}");
    }

    #[test]
    fn a_file_that_is_no_toml_names_the_line() {
        let text = message(load("[limits]\ncommands_per_s = = 1\n", &[], Vec::new()));
        assert!(text.contains(":2: "), "{text}");
        let missing = Sources { file: Some("/nonexistent/roomcast.toml".into()), ..Sources::default() };
        assert!(Config::load(&missing).unwrap_err().to_string().contains("/nonexistent/roomcast.toml"));
    }
}
