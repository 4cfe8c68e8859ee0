//! The examples of the page about sessions over HTTP, run as they stand there.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::support::DEADLINE;
use crate::support::gateway::Token;
use crate::support::world::World;

/// The shell's blocks of the page, in its order.
fn examples() -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/http.md")).unwrap();
    let blocks = text.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap());
    blocks.filter(|(language, _)| *language == "sh").map(|(_, code)| code.to_owned()).collect()
}

#[tokio::test]
async fn every_example_does_what_the_page_says() {
    let world = World::of(1).await;
    let address = format!("http://{}", world.nodes[0].address);
    let expected: [&[&str]; 3] = [
        &["retry: ", "id: ", "data: {\"event\":\"authenticated\"", "\"rooms\":[\"kpi:acme\",\"alerts:acme\"]"],
        &["202\n", "\"event\":\"authenticated\"", "\"event\":\"published\",\"id\":1", "\"room\":\"kpi:acme:sales\"", "\"data\":{\"v\":42}"],
        &[
            "{\"cursor\":\"1\",\"messages\":[{\"event\":\"authenticated\"",
            "{\"cursor\":\"2\",\"messages\":[{\"event\":\"client:pong\",\"id\":7",
        ],
    ];
    let examples = examples();
    assert_eq!(examples.len(), expected.len());
    for (example, expected) in examples.iter().zip(expected) {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-ec", example]).env("ROOMCAST", &address).env("TOKEN", Token::of("acme", "alice").mint());
        shell.current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
        let ended = tokio::time::timeout(DEADLINE, shell.output()).await.expect("the example ends").unwrap();
        let printed = String::from_utf8(ended.stdout).unwrap();
        assert!(ended.status.success(), "{example}\nprinted {printed}{}", String::from_utf8_lossy(&ended.stderr));
        for text in expected {
            assert!(printed.contains(text), "{text} in what {example}\nprinted: {printed}");
        }
    }
}
