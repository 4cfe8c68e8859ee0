//! The built binary, as users and scripts meet it.

mod against_a_server;

use std::io::Write;
use std::process::{Command, Output};

/// The binary with a clean environment: what a developer has exported must not matter.
fn roomcast(args: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_roomcast")).args(args).env_clear().envs(env.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

#[test]
fn a_faulty_configuration_is_refused_with_every_fault_at_once() {
    let config = file("[limits]\ncomands_per_s = 5\nauth_timeout_ms = \"soon\"\n");
    let path = config.path().to_str().unwrap();
    for command in [&["serve", "--config", path][..], &["config", "check", "--config", path], &["--config", path]] {
        let output = roomcast(command, &[("ROOMCAST_LIMITS__COMMANDS_PR_S", "7")]);
        assert_eq!(output.status.code(), Some(1));
        let errors = text(&output.stderr);
        assert!(errors.contains(&format!("{path}:2: limits.comands_per_s: there is no such key; did you mean limits.commands_per_s?")));
        assert!(errors.contains(&format!("{path}:3: limits.auth_timeout_ms: \"soon\" is not a whole number of at least 0")), "{errors}");
        assert!(
            errors.contains("ROOMCAST_LIMITS__COMMANDS_PR_S: there is no such variable; did you mean ROOMCAST_LIMITS__COMMANDS_PER_S?")
        );
    }
}

#[test]
fn the_check_tells_where_each_value_comes_from() {
    let config = file("[limits]\ncommands_per_s = 5\nmembers_per_room_max = 6\n");
    let path = config.path().to_str().unwrap();
    let env = [("ROOMCAST_CONFIG", path), ("ROOMCAST_LIMITS__COMMANDS_PER_S", "7")];
    let output = roomcast(&["config", "check"], &env);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(shown.contains("limits.commands_per_s = 7   from ROOMCAST_LIMITS__COMMANDS_PER_S\n"), "{shown}");
    assert!(shown.contains(&format!("limits.members_per_room_max = 6   from {path}:3\n")), "{shown}");
}

#[test]
fn a_secret_is_read_from_its_file_and_never_printed() {
    let secret = file("authorization=s3cr3t\n");
    let env = [("ROOMCAST_TELEMETRY__OTLP__HEADERS_FILE", secret.path().to_str().unwrap())];
    let output = roomcast(&["config", "check"], &env);
    assert!(text(&output.stdout).contains("telemetry.otlp.headers = (secret)   from ROOMCAST_TELEMETRY__OTLP__HEADERS_FILE\n"));
    let malformed = roomcast(&["config", "check"], &[("ROOMCAST_TELEMETRY__OTLP__HEADERS", "s3cr3t")]);
    assert!(!malformed.status.success());
    for output in [output, malformed] {
        assert!(!format!("{}{}", text(&output.stdout), text(&output.stderr)).contains("s3cr3t"));
    }
}

#[test]
fn the_printed_defaults_check_out() {
    let defaults = roomcast(&["config", "defaults"], &[]);
    let config = file(&text(&defaults.stdout));
    let output = roomcast(&["config", "check", "--config", config.path().to_str().unwrap()], &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn variables_and_schema_are_printed() {
    assert!(text(&roomcast(&["config", "env"], &[]).stdout).contains("ROOMCAST_WEBSOCKET__MESSAGE_BYTES_MAX\n"));
    let schema: serde_json::Value = serde_json::from_slice(&roomcast(&["config", "schema"], &[]).stdout).unwrap();
    assert!(schema["properties"]["limits"].is_object());
}

#[test]
fn help_is_what_the_snapshots_say() {
    insta::assert_snapshot!("help", text(&roomcast(&["--help"], &[]).stdout));
    for command in ["serve", "tail", "publish", "token", "config", "health", "selftest", "completions"] {
        insta::assert_snapshot!(format!("help_{command}"), text(&roomcast(&[command, "--help"], &[]).stdout));
    }
}

#[test]
fn a_minted_token_is_accepted_by_the_configuration_that_made_it_and_by_no_other() {
    let env = [("ROOMCAST_AUTH__SECRET", "a-secret-of-at-least-thirty-two-bytes")];
    let mint = ["token", "mint", "--sub", "alice", "--org", "acme", "--grant", "kpi:acme:**=subscribe,publish", "--scope", "read"];
    let minted = text(&roomcast(&mint, &env).stdout);
    let (here, elsewhere) = (("ROOMCAST_TOKEN", minted.trim()), ("ROOMCAST_AUTH__SECRET", "another-secret-of-thirty-two-bytes!!"));
    let accepted = roomcast(&["token", "inspect"], &[env[0], here]);
    assert!(accepted.status.success(), "{}", text(&accepted.stderr));
    let shown = text(&accepted.stdout);
    assert!(shown.contains("subscribe:kpi:acme:**") && shown.contains("roomcast:read") && shown.contains("\"verified\": false"), "{shown}");
    let refused = roomcast(&["token", "inspect"], &[elsewhere, here]);
    assert!(!refused.status.success() && text(&refused.stdout).contains("signature does not fit"));
    let mistaken = roomcast(&["token", "mint", "--sub", "a", "--org", "acme", "--grant", "kpi:acme=read"], &env);
    assert!(text(&mistaken.stderr).contains("the rights are subscribe, publish, presence, history"));
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = roomcast(&["completions", shell], &[]);
        assert!(output.status.success());
        let script = text(&output.stdout);
        assert!(script.contains("publish") && script.contains("internal-listen"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let script = format!("set -o pipefail; {} config env | head -n 1", env!("CARGO_BIN_EXE_roomcast"));
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}
