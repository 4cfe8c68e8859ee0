use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::*;
use crate::agent::tests::{WAIT, agent};
use crate::clock::unix_us;
use crate::progress::Status;
use crate::report::{Counts, Figure};
use crate::wire::Wire;
use crate::wire::message::{ToAgent, ToCoordinator};

const PUBLICATIONS: u64 = 100;

fn order(subscribers: u64) -> Order {
    let line = format!("fanout --subscribers {subscribers} --rate 50");
    let command = clap::Command::new("fanout").args([
        clap::Arg::new("subscribers").long("subscribers"),
        clap::Arg::new("rate").long("rate"),
        clap::Arg::new("role").long("role"),
    ]);
    Order::of(&command, &command.clone().get_matches_from(line.split(' '))).unwrap()
}

fn coordinator(agents: &[&crate::agent::Agent]) -> Coordinator {
    Coordinator { agents: agents.iter().map(|agent| agent.listen.to_string()).collect(), agents_deadline_s: 60 }
}

/// A scenario without a server: everybody gets whatever is published.
fn fake(words: &[String], mut progress: Progress, begun: &Mutex<Vec<(u64, u64)>>) -> anyhow::Result<Report> {
    let number = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)).unwrap().to_owned();
    let subscribers: u64 = number("--subscribers=").parse()?;
    let publishes = number("--role=") == "both";
    let ready_us = unix_us();
    while !progress.ready()? {
        progress.tell(|| Status { phase: "connecting".to_owned(), connections: subscribers, ..Status::default() })?;
        thread::park_timeout(Duration::from_millis(1));
    }
    begun.lock().push((ready_us, unix_us()));
    let published = loop {
        if publishes {
            progress.published(PUBLICATIONS);
            break PUBLICATIONS;
        }
        if let Some(count) = progress.published_elsewhere() {
            break count;
        }
        progress.tell(Status::default)?;
        thread::park_timeout(Duration::from_millis(1));
    };
    let received = subscribers * published;
    let figure = Figure { name: "deliveries_per_s".to_owned(), value: received as f64, ..Figure::default() };
    let options = words.iter().map(|word| (word.clone(), String::new())).collect();
    let ledger = Counts { published: if publishes { published } else { 0 }, received, ..Counts::default() };
    Ok(Report { scenario: "fanout".to_owned(), ledger, figures: vec![figure], options, ..Report::default() })
}

#[test]
fn agents_share_a_run_and_begin_together() {
    let (one, two, three) = (agent(Some("s")), agent(Some("s")), agent(Some("s")));
    let begun = Mutex::new(Vec::new());
    let run = |words: &[String], progress: Progress| fake(words, progress, &begun);
    let report = thread::scope(|scope| {
        for (agent, listener) in [&one, &two, &three] {
            scope.spawn(|| agent.serve_one(listener, &run).unwrap());
        }
        coordinator(&[&one.0, &two.0, &three.0]).run_with(&order(10), Some("s"), Progress::new(true)).unwrap()
    });
    assert_eq!((report.ledger.published, report.ledger.received), (PUBLICATIONS, 10 * PUBLICATIONS));
    assert_eq!(report.figure("deliveries_per_s").unwrap().value, 1_000.0);
    assert_eq!(report.options["subscribers"], "10");
    assert!(report.options.contains_key("--rate=50"));
    let shares: Vec<u64> = report.agents.iter().map(|agent| agent.ledger.received).collect();
    assert_eq!(shares, [400, 300, 300]);
    assert!(report.agents.iter().all(|agent| agent.clock_error_us < 5_000_000));
    let begun = begun.into_inner();
    let last_ready = begun.iter().map(|(ready, _)| *ready).max().unwrap();
    assert!(begun.iter().all(|(_, started)| *started >= last_ready), "nobody begins before the last is ready: {begun:?}");
}

#[test]
fn an_agent_that_cannot_be_reached_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let coordinator = Coordinator { agents: vec![free.clone()], agents_deadline_s: 60 };
    let text = coordinator.run_with(&order(1), None, Progress::new(true)).unwrap_err().to_string();
    assert!(text.contains(&free) && text.contains("cannot be reached"), "{text}");
}

#[test]
fn a_wrong_secret_is_said_so() {
    let (agent, listener) = agent(Some("right"));
    let run = |_: &[String], _: Progress| Ok(Report::default());
    thread::scope(|scope| {
        scope.spawn(|| agent.serve_one(&listener, &run));
        let text = coordinator(&[&agent]).run_with(&order(1), Some("wrong"), Progress::new(true)).unwrap_err().to_string();
        assert!(text.contains("ROOMCAST_LOADTEST_SECRET"), "{text}");
    });
}

#[test]
fn what_fails_at_one_agent_fails_the_run_and_stops_the_others() {
    let (good, bad) = (agent(None), agent(None));
    let stopped = Mutex::new(String::new());
    let endless = |_: &[String], mut progress: Progress| -> anyhow::Result<Report> {
        loop {
            if let Err(error) = progress.tell(Status::default) {
                *stopped.lock() = error.to_string();
                return Err(error.into());
            }
            thread::park_timeout(Duration::from_millis(1));
        }
    };
    let fails = |_: &[String], _: Progress| -> anyhow::Result<Report> { bail!("room for 3 connections only") };
    let text = thread::scope(|scope| {
        scope.spawn(|| good.0.serve_one(&good.1, &endless));
        scope.spawn(|| bad.0.serve_one(&bad.1, &fails));
        coordinator(&[&good.0, &bad.0]).run_with(&order(2), None, Progress::new(true)).unwrap_err().to_string()
    });
    assert!(text.contains(&bad.0.listen.to_string()) && text.contains("room for 3 connections only"), "{text}");
    assert!(stopped.into_inner().contains("room for 3 connections only"));
}

#[test]
fn a_scenario_that_panics_is_told() {
    let (agent, listener) = agent(None);
    let run = |_: &[String], _: Progress| -> anyhow::Result<Report> { panic!("on purpose") };
    let text = thread::scope(|scope| {
        scope.spawn(|| agent.serve_one(&listener, &run));
        coordinator(&[&agent]).run_with(&order(1), None, Progress::new(true)).unwrap_err().to_string()
    });
    assert!(text.contains("panicked"), "{text}");
}

#[test]
fn an_agent_that_dies_fails_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let text = thread::scope(|scope| {
        scope.spawn(|| {
            let mut wire = Wire::new(listener.accept().unwrap().0).unwrap();
            loop {
                match wire.expect(WAIT).unwrap() {
                    ToAgent::Hello { .. } => wire.send(&ToCoordinator::Welcome).unwrap(),
                    ToAgent::Clock => wire.send(&ToCoordinator::Clock { unix_us: unix_us() }).unwrap(),
                    // It has its share, and is gone.
                    _ => return,
                }
            }
        });
        let coordinator = Coordinator { agents: vec![address.clone()], agents_deadline_s: 60 };
        coordinator.run_with(&order(1), None, Progress::new(true)).unwrap_err().to_string()
    });
    assert!(text.contains(&address) && text.contains("it is gone"), "{text}");
}

#[test]
fn a_run_has_an_end() {
    let (agent, listener) = agent(None);
    let turns = AtomicU64::new(0);
    let run = |_: &[String], mut progress: Progress| -> anyhow::Result<Report> {
        loop {
            progress.tell(Status::default)?;
            turns.fetch_add(1, Ordering::Relaxed);
            thread::park_timeout(Duration::from_millis(1));
        }
    };
    let text = thread::scope(|scope| {
        scope.spawn(|| agent.serve_one(&listener, &run));
        let coordinator = Coordinator { agents: vec![agent.listen.to_string()], agents_deadline_s: 0 };
        coordinator.run_with(&order(1), None, Progress::new(true)).unwrap_err().to_string()
    });
    assert!(text.contains("--agents-deadline-s"), "{text}");
}
