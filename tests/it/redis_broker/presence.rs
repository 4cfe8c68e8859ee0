//! Leases on presence, by Redis' own clock, and what a restart without data makes of them.

use roomcast::broker::presence::{ChangeError, Keeping, Owner, PresenceStore};
use roomcast::protocol::OrgId;

use super::{broker_on, config, start};
use crate::broker_contract::presence::{LEASE_MS, enters, keeping, room, sessions};
use crate::broker_contract::{Ear, org, ready};
use crate::support::eventually;
use crate::support::redis::Redis;

const SHORT_MS: u64 = 300;

fn briefly(owner: u64) -> Keeping {
    Keeping { lease_ms: SHORT_MS, ..keeping(owner) }
}

/// Waits until a lease is over by the server's clock. To ask for it by the broker would renew it.
async fn runs_out(server: &Redis, org: &OrgId, owner: Owner) {
    let until_ms: u64 = server.cli(&["HGET", &format!("rc:{{{org}}}:presence"), &owner.to_string()]).parse().expect("it has a lease");
    eventually("the lease has run out", async || {
        let (seconds, micros): (u64, u64) = server.ask(&redis::cmd("TIME")).await;
        (seconds * 1_000 + micros / 1_000 > until_ms).then_some(())
    })
    .await;
}

#[tokio::test]
async fn stays_end_with_the_lease_of_their_owner_and_are_swept_once() {
    let redis = Redis::start(&[]).await;
    let (one, other) = (broker_on(&redis).await, start(config(redis.url()), "n2"));
    ready(&*other).await;
    let (acme, lobby) = (org("acme"), room("chat:acme:lobby"));
    one.change_presence(&acme, &[enters(&lobby, 1, "alice"), enters(&lobby, 2, "alice")], briefly(1)).await.unwrap();
    other.change_presence(&acme, &[enters(&lobby, 3, "bob")], keeping(2)).await.unwrap();
    let history = other.keep_presence(&acme, None, LEASE_MS, &[]).await.unwrap().history;
    eventually("the lease has run out", async || {
        let kept = other.keep_presence(&acme, Some(Owner(2)), LEASE_MS, &[]).await.unwrap();
        (kept.is_held && !kept.owners.contains(&Owner(1))).then_some(())
    })
    .await;
    assert_eq!(sessions(&*other, &lobby).await.len(), 3, "readers tell by the owners");

    let mut ear = Ear::join(&*other, &acme).await;
    other.sweep_presence(&lobby, "another history").await.unwrap();
    assert_eq!(sessions(&*other, &lobby).await.len(), 3, "whoever knows other data sweeps nothing");
    let before = other.presence(&lobby).await.unwrap().seq;
    for _ in 0..2 {
        other.sweep_presence(&lobby, &history).await.unwrap();
    }
    let roster = other.presence(&lobby).await.unwrap();
    assert_eq!((roster.seq, roster.stays.len()), (before + 2, 1));
    assert_eq!(ear.news().await.count(), 2);

    let late = one.change_presence(&acme, &[enters(&lobby, 1, "alice")], Keeping { is_known: true, ..briefly(1) }).await;
    assert_eq!(late, Err(ChangeError::Lapsed), "who lost the lease may have lost everything");
}

#[tokio::test]
async fn a_name_whose_lease_ran_out_is_not_taken_up_again() {
    let redis = Redis::start(&[]).await;
    let broker = broker_on(&redis).await;
    let (acme, lobby) = (org("acme"), room("chat:acme:lobby"));
    broker.change_presence(&acme, &[enters(&lobby, 1, "alice")], briefly(1)).await.unwrap();
    runs_out(&redis, &acme, Owner(1)).await;
    let kept = broker.keep_presence(&acme, Some(Owner(1)), LEASE_MS, &[]).await.unwrap();
    assert!(!kept.is_held && !kept.owners.contains(&Owner(1)));
}

#[tokio::test]
async fn a_restart_without_data_shows_in_the_history_and_numbers_go_on_upwards() {
    let mut redis = Redis::start(&[]).await;
    let broker = broker_on(&redis).await;
    let (acme, lobby) = (org("acme"), room("chat:acme:lobby"));
    broker.change_presence(&acme, &[enters(&lobby, 1, "alice")], keeping(1)).await.unwrap();
    let seq = broker.presence(&lobby).await.unwrap().seq;
    let before = broker.keep_presence(&acme, Some(Owner(1)), LEASE_MS, std::slice::from_ref(&lobby)).await.unwrap();
    redis.restart_empty(0).await;
    let rooms = [lobby.clone()];
    let after = eventually("Redis is back", async || broker.keep_presence(&acme, Some(Owner(1)), LEASE_MS, &rooms).await.ok()).await;
    assert!(before.is_held && !after.is_held);
    assert_ne!(before.history, after.history);
    assert_eq!(after.seqs, [None]);
    assert!(broker.presence(&lobby).await.unwrap().seq > seq);
}
