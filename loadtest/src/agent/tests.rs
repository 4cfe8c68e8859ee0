use std::sync::mpsc;

use super::*;
use crate::wire::STRANGER_BYTES_MAX;
use crate::wire::message::Secret;

/// As long as a test waits for what must come.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

/// An agent on a free port of loopback, with its listener.
pub(crate) fn agent(secret: Option<&str>) -> (Agent, TcpListener) {
    let mut agent = Agent { listen: "127.0.0.1:0".parse().unwrap(), secret: secret.map(str::to_owned) };
    let listener = agent.bind().unwrap();
    agent.listen = listener.local_addr().unwrap();
    (agent, listener)
}

/// Takes its turns until it is stopped, and says so.
fn endless(progress: &mut Progress) -> anyhow::Result<Report> {
    loop {
        progress.tell(Default::default)?;
        thread::park_timeout(Duration::from_millis(1));
    }
}

fn hello(agent: &Agent, secret: Option<&str>) -> Wire {
    let mut wire = Wire::new(TcpStream::connect(agent.listen).unwrap()).unwrap();
    wire.send(&ToAgent::Hello { protocol: PROTOCOL, secret: secret.map(|secret| Secret(secret.to_owned())) }).unwrap();
    wire
}

fn job(words: &[&str]) -> ToAgent {
    ToAgent::Job { words: words.iter().map(|word| (*word).to_owned()).collect(), token: None, clock_offset_us: 0 }
}

#[test]
fn beyond_loopback_a_secret_is_demanded() {
    let open = Agent { listen: "0.0.0.0:0".parse().unwrap(), secret: None };
    assert!(open.bind().unwrap_err().to_string().contains("ROOMCAST_LOADTEST_SECRET"));
    let empty = Agent { secret: Some(String::new()), ..open };
    assert!(empty.bind().is_err());
}

#[test]
fn who_does_not_know_the_secret_runs_nothing() {
    let (agent, listener) = agent(Some("right"));
    let ran = |_: &[String], _: Progress| -> anyhow::Result<Report> { panic!("it ran") };
    for secret in [None, Some(""), Some("wrong"), Some("righ"), Some("right ")] {
        thread::scope(|scope| {
            let served = scope.spawn(|| agent.serve_one(&listener, &ran));
            let mut wire = hello(&agent, secret);
            let answer: ToCoordinator = wire.expect(WAIT).unwrap();
            assert!(matches!(&answer, ToCoordinator::Failed { why } if why.contains("secret")), "{answer:?}");
            assert!(served.join().unwrap().is_err());
        });
    }
}

#[test]
fn who_speaks_another_protocol_or_none_is_turned_away() {
    let (agent, listener) = agent(None);
    let ran = |_: &[String], _: Progress| -> anyhow::Result<Report> { panic!("it ran") };
    let talk = |say: &(dyn Fn(&mut Wire) + Sync)| {
        thread::scope(|scope| {
            let served = scope.spawn(|| agent.serve_one(&listener, &ran));
            say(&mut Wire::new(TcpStream::connect(agent.listen).unwrap()).unwrap());
            format!("{:#}", served.join().unwrap().unwrap_err())
        })
    };
    let other = talk(&|wire| wire.send(&ToAgent::Hello { protocol: PROTOCOL + 1, secret: None }).unwrap());
    assert!(other.contains("protocol 2"), "{other}");
    assert!(talk(&|wire| wire.send(&job(&["fanout"])).unwrap()).contains("hello first"));
    assert!(talk(&|wire| wire.send(&"GET / HTTP/1.1").unwrap()).contains("no message of this protocol"));
    assert!(talk(&|wire| wire.send(&"x".repeat(STRANGER_BYTES_MAX)).unwrap()).contains("a line has more than"));
    assert!(talk(&|_| {}).contains("the connection ended"));
}

#[test]
fn what_could_start_a_process_is_not_obeyed() {
    let (agent, listener) = agent(None);
    let ran = |_: &[String], _: Progress| -> anyhow::Result<Report> { panic!("it ran") };
    for words in [&["fanout", "--gateway=/bin/sh"][..], &["agent"], &["fanout", "--json=out.json"], &[]] {
        thread::scope(|scope| {
            scope.spawn(|| agent.serve_one(&listener, &ran));
            let mut wire = hello(&agent, None);
            assert!(matches!(wire.expect(WAIT).unwrap(), ToCoordinator::Welcome));
            wire.send(&job(words)).unwrap();
            assert!(matches!(wire.expect(WAIT).unwrap(), ToCoordinator::Failed { .. }), "{words:?}");
        });
    }
}

#[test]
fn a_coordinator_that_dies_ends_the_run_and_the_next_one_is_served() {
    let (agent, listener) = agent(None);
    let (says, said) = mpsc::sync_channel(4);
    let run = move |_: &[String], mut progress: Progress| {
        says.send("begun".to_owned()).unwrap();
        let outcome = endless(&mut progress);
        says.send(format!("{:#}", outcome.as_ref().unwrap_err())).unwrap();
        outcome
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            let served = scope.spawn(|| agent.serve_one(&listener, &run));
            let mut wire = hello(&agent, None);
            assert!(matches!(wire.expect(WAIT).unwrap(), ToCoordinator::Welcome));
            wire.send(&job(&["fanout"])).unwrap();
            assert_eq!(said.recv_timeout(WAIT).unwrap(), "begun");
            drop(wire);
            assert!(said.recv_timeout(WAIT).unwrap().contains("the coordinator is gone"));
            assert!(served.join().unwrap().is_err());
        }
    });
}

#[test]
fn a_token_travels_beside_the_words_and_is_not_shown() {
    let (agent, listener) = agent(None);
    let run = |words: &[String], _: Progress| {
        let options = words.iter().map(|word| (word.clone(), String::new())).collect();
        Ok(Report { options, ..Report::default() })
    };
    thread::scope(|scope| {
        scope.spawn(|| agent.serve_one(&listener, &run));
        let mut wire = hello(&agent, None);
        assert!(matches!(wire.expect(WAIT).unwrap(), ToCoordinator::Welcome));
        let message = ToAgent::Job { words: vec!["idle".to_owned()], token: Some(Secret("t0ken".to_owned())), clock_offset_us: 0 };
        assert!(!format!("{message:?}").contains("t0ken"));
        wire.send(&message).unwrap();
        loop {
            if let ToCoordinator::Report { report } = wire.expect(WAIT).unwrap() {
                assert!(report.options.contains_key("--token=t0ken"));
                break;
            }
        }
    });
}
