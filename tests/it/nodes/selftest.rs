//! `roomcast selftest` against real nodes: it goes through where everything works, and says what is missing where not.

use std::process::Output;

use tokio::process::Command;

use crate::support::gateway::{Gateway, Token};
use crate::support::redis::Redis;

async fn selftest(node: &Gateway, token: String) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast"));
    command.args(["selftest", "--url", &format!("http://{}", node.address)]).env_clear().env("ROOMCAST_TOKEN", token);
    command.kill_on_drop(true).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn a_selftest_goes_through_every_step_and_can_be_repeated() {
    let redis = Redis::start(&[]).await;
    let node = Gateway::start("n1", &[("BROKER__KIND", "redis"), ("BROKER__REDIS__URL", &redis.url())]).await;
    for _ in 0..2 {
        let output = selftest(&node, Token::of("acme", "tester").mint()).await;
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        let lines = text(&output.stdout);
        assert_eq!(lines.lines().filter(|line| line.starts_with("ok  ")).count(), 5, "{lines}");
    }
}

#[tokio::test]
async fn a_selftest_names_the_step_that_its_token_does_not_allow() {
    let node = Gateway::start("n1", &[]).await;
    let output = selftest(&node, Token::of("acme", "reader").granting(&["subscribe:*:acme:**"]).mint()).await;
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    assert!(errors.contains("FAILED publish and receive it") && errors.contains("UNAUTHORIZED"), "{errors}");
}

#[tokio::test]
async fn the_path_of_the_native_protocol_may_be_another_one() {
    let node = Gateway::start("n1", &[("WEBSOCKET__PATH", "/realtime")]).await;
    let run = async |args: &[&str], env: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast"));
        command.args(args).args(["--url", &format!("http://{}", node.address)]).env_clear();
        command.env("ROOMCAST_TOKEN", Token::of("acme", "tester").mint()).envs(env.iter().copied());
        command.kill_on_drop(true).output().await.unwrap()
    };
    let configured = [("ROOMCAST_WEBSOCKET__PATH", "/realtime")];
    for (args, env) in [(&["selftest", "--path", "/realtime"][..], &[][..]), (&["selftest"], &configured)] {
        let output = run(args, env).await;
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    }
    let errors = text(&run(&["selftest"], &[]).await.stderr);
    assert!(errors.contains("on /ws"), "{errors}");
    // Far enough to be turned away there.
    let refused = [configured[0], ("ROOMCAST_TOKEN", "none")];
    for (args, env) in [(&["tail", "system:acme", "--path", "/realtime"][..], &refused[1..]), (&["tail", "system:acme"], &refused)] {
        let errors = text(&run(args, env).await.stderr);
        assert!(errors.contains("AUTH_FAILED"), "{errors}");
    }
}
