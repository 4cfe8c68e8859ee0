//! The snippets of the page for publishers, run as they stand there: what each of them publishes reaches a subscriber.
//!
//! The packages that they need are put into `.cache/snippets` by `scripts/test.sh --prepare`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use roomcast::protocol::Position;
use serde_json::json;
use tokio::process::Command;

use crate::support::DEADLINE;
use crate::support::redis::Redis;
use crate::support::world::{Person, World, messages};

/// The Python that has its package, in the folder of the packages.
const PYTHON: &str = "venv/bin/python";

/// A fenced block of the page.
#[derive(Debug)]
struct Snippet {
    language: String,
    code: String,
    /// The `v` that it publishes: the snippets of the page count up.
    number: usize,
}

/// The blocks of the page that are programs, in its order.
fn snippets() -> Vec<Snippet> {
    let text = std::fs::read_to_string(root().join("docs/publishing.md")).unwrap();
    let blocks = text.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap());
    let programs = blocks.filter(|(language, _)| *language != "text");
    programs.zip(1..).map(|((language, code), number)| Snippet { language: language.into(), code: code.into(), number }).collect()
}

/// Those that publish, and those that write to collections.
fn publishing_and_writing() -> (Vec<Snippet>, Vec<Snippet>) {
    snippets().into_iter().partition(|snippet| !snippet.is_write())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Snippet {
    /// Whether nobody waits for the answer, so that the position is not to be had.
    fn is_ingest(&self) -> bool {
        self.code.contains("rc:ingest")
    }

    /// Whether it is for where functions are not to be had.
    fn is_script(&self) -> bool {
        self.code.contains("EVALSHA")
    }

    /// Whether it writes to a collection.
    fn is_write(&self) -> bool {
        self.code.contains("sync:acme:") || self.code.contains("\"table\"")
    }

    /// Runs it to its end as its reader would, with the packages that the page asks for, and returns what it printed.
    async fn run(&self, redis_url: &str) -> String {
        let folder = prepared();
        let mut program = match self.language.as_str() {
            "sh" => program("sh", &["-ec"]),
            "python" => program(folder.join(PYTHON), &["-c"]),
            "js" => program("node", &["--input-type=module", "--eval"]),
            other => panic!("nobody knows how to run {other}"),
        };
        program.arg(&self.code).env("REDIS_URL", redis_url).stdin(Stdio::null()).kill_on_drop(true);
        // Node looks for packages from the folder that it runs in.
        program.current_dir(folder);
        let ended = tokio::time::timeout(DEADLINE, program.output()).await;
        let Output { status, stdout, stderr } = ended.unwrap_or_else(|_| panic!("{self:?} does not end")).unwrap();
        assert!(status.success(), "{self:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }
}

fn program(name: impl AsRef<OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args);
    command
}

/// The folder with the packages.
fn prepared() -> PathBuf {
    let folder = root().join(".cache/snippets");
    for path in [PYTHON, "node_modules/redis"] {
        assert!(folder.join(path).exists(), "{} has no {path}: run scripts/test.sh --prepare", folder.display());
    }
    folder
}

/// Runs the snippet and waits for what it publishes; where it prints the answer, that is the publication's position.
async fn publishes(snippet: &Snippet, redis_url: &str, alice: &Person) {
    let printed = snippet.run(redis_url).await;
    let data = json!({ "v": snippet.number });
    let what = format!("{snippet:?}");
    let publication = alice.until(&what, |events| messages(events).find(|message| message.data == data).cloned()).await;
    assert_eq!((&*publication.event, publication.room.as_deref()), ("kpi:update", Some("kpi:acme:sales:support")), "{what}");
    if !snippet.is_ingest() {
        let position = printed.lines().next().unwrap_or_default();
        assert!(position.parse::<Position>().is_ok(), "{what} printed {printed:?}");
        assert_eq!(publication.id, position, "{what}");
    }
}

/// The `v` of all that arrived, in order.
fn numbers(alice: &Person) -> Vec<u64> {
    let events = alice.events();
    messages(&events).filter(|message| message.event == "kpi:update").filter_map(|message| message.data["v"].as_u64()).collect()
}

#[test]
fn every_way_in_is_shown() {
    let (publishing, writing) = publishing_and_writing();
    let shown = |snippets: &[Snippet]| -> Vec<_> {
        snippets.iter().map(|snippet| (snippet.language.clone(), snippet.is_ingest(), snippet.is_script())).collect()
    };
    let one_call = ["sh", "python", "js"].map(|language| (language.to_owned(), false, false));
    let script = [("sh".to_owned(), false, true)];
    let ingest = ["sh", "python", "js"].map(|language| (language.to_owned(), true, false));
    assert_eq!(shown(&publishing), [&one_call[..], &script, &ingest].concat());
    assert_eq!(shown(&writing), [&one_call[..], &ingest].concat());
}

#[tokio::test]
async fn what_every_snippet_publishes_arrives() {
    let world = World::of(1).await;
    let alice = world.member("acme", "alice", 0, &["kpi:acme"]).await;
    for snippet in publishing_and_writing().0.iter().filter(|snippet| !snippet.is_script()) {
        publishes(snippet, &world.redis.url(), &alice).await;
    }
    assert_eq!(numbers(&alice), [1, 2, 3, 5, 6, 7], "each once, in the order of the page");
}

#[tokio::test]
async fn what_the_script_publishes_arrives_where_functions_are_forbidden() {
    let redis = Redis::start(&[]).await;
    let allowed = redis.cli(&["ACL", "SETUSER", "default", "on", "nopass", "~*", "&*", "+@all", "-function", "-fcall"]);
    assert_eq!(allowed, "OK");
    let world = World::on(redis, 1, &[]).await;
    let alice = world.member("acme", "alice", 0, &["kpi:acme"]).await;
    for snippet in snippets().iter().filter(|snippet| snippet.is_script()) {
        publishes(snippet, &world.redis.url(), &alice).await;
    }
    assert_eq!(numbers(&alice), [4]);
}

#[tokio::test]
async fn what_every_snippet_writes_to_a_collection_is_mirrored_once() {
    let world = World::of(1).await;
    let alice = world.member("acme", "alice", 0, &["sync:acme"]).await;
    let (_, writing) = publishing_and_writing();
    for snippet in &writing {
        let printed = snippet.run(&world.redis.url()).await;
        let what = format!("{snippet:?}");
        let change =
            alice.until(&what, |events| messages(events).find(|message| message.data["value"]["v"] == snippet.number).cloned()).await;
        let version = change.data["version"].to_string();
        assert!(snippet.is_ingest() || printed.contains(&version), "{what} printed {printed:?}");
    }
    let events = alice.events();
    let changes = messages(&events).filter(|message| message.event.starts_with("sync:")).map(|change| {
        (change.event.clone(), change.room.clone().unwrap_or_default(), change.data["key"].as_str().unwrap_or_default().to_owned())
    });
    let expected = [
        ("sync:insert", "sync:acme:tasks", "task-17"),
        ("sync:update", "sync:acme:tasks", "task-17"),
        ("sync:update", "sync:acme:tasks", "task-17"),
        ("sync:insert", "sync:acme:tasks", "task-18"),
        ("sync:insert", "sync:acme:orders", "A-1"),
        ("sync:insert", "sync:acme:tasks", "18"),
    ];
    let expected = expected.map(|(event, room, key)| (event.to_owned(), room.to_owned(), key.to_owned()));
    assert_eq!(changes.collect::<Vec<_>>(), expected);
}
