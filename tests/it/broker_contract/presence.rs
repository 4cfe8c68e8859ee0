//! What every broker promises of presence.

use std::collections::BTreeMap;
use std::sync::Arc;

use roomcast::broker::presence::{Change, Keeping, News, Owner, Verdict};
use roomcast::broker::{Broker, OrgEvent};
use roomcast::protocol::presence::{Member, State, Status, UserId};
use roomcast::protocol::{RoomName, SessionId};

use super::{Ear, org, syntax};

pub const LEASE_MS: u64 = 60_000;

pub fn room(text: &str) -> RoomName {
    syntax().room(text).unwrap()
}

pub fn session(number: u128) -> SessionId {
    SessionId(uuid::Uuid::from_u128(number))
}

pub fn member(user: &str, state: &str) -> Arc<Member> {
    Arc::new(Member { user_id: UserId::parse(user).unwrap(), status: Status::Busy, state: State::stored(state).unwrap() })
}

pub fn keeping(owner: u64) -> Keeping {
    Keeping { owner: Owner(owner), is_known: false, lease_ms: LEASE_MS, stays_max: 3 }
}

pub fn enters(room: &RoomName, number: u128, user: &str) -> Change {
    Change { room: room.clone(), session: session(number), to: Some(member(user, r#"{"a":"b c"}"#)), is_admitted: false }
}

pub fn leaves(room: &RoomName, number: u128) -> Change {
    Change { room: room.clone(), session: session(number), to: None, is_admitted: true }
}

impl Ear {
    pub async fn news(&mut self) -> News {
        loop {
            if let OrgEvent::Presence(news) = self.next().await {
                return news;
            }
        }
    }
}

/// The room by users' names and sessions, as the store has it.
pub async fn sessions(broker: &dyn Broker, room: &RoomName) -> BTreeMap<SessionId, String> {
    let roster = broker.presence(room).await.unwrap();
    roster.stays.into_iter().map(|(session, stay)| (session, stay.member.user_id.to_string())).collect()
}

async fn news_follow_what_was_read_without_a_hole(broker: &dyn Broker) {
    let (here, lobby) = (org("present"), room("chat:present:lobby"));
    let mut ear = Ear::join(broker, &here).await;
    let before = broker.presence(&lobby).await.unwrap();
    assert_eq!(before.stays, []);
    let changes = [enters(&lobby, 1, "alice"), enters(&lobby, 2, "alice"), enters(&lobby, 3, "bob")];
    assert_eq!(broker.change_presence(&here, &changes, keeping(7)).await.unwrap(), [Verdict::Done; 3]);
    let (mut seq, mut heard) = (before.seq, BTreeMap::new());
    while seq < before.seq + 3 {
        let news = ear.news().await;
        assert_eq!((&news.room, news.before), (&lobby, seq));
        seq += news.count();
        heard.extend(news.read().unwrap());
    }
    let roster = broker.presence(&lobby).await.unwrap();
    assert_eq!(roster.seq, seq);
    assert!(roster.owners.contains(&Owner(7)));
    let read: BTreeMap<_, _> = roster.stays.into_iter().map(|(session, stay)| (session, Some(stay))).collect();
    assert_eq!(heard, read, "news say what a reading says");
    assert_eq!(read[&session(2)].as_ref().unwrap().member, member("alice", r#"{"a":"b c"}"#));
    assert!(read[&session(1)].as_ref().unwrap().told < read[&session(2)].as_ref().unwrap().told);

    // What is as wanted already makes no news; another owner does.
    broker.change_presence(&here, &changes[..1], keeping(7)).await.unwrap();
    broker.change_presence(&here, &[enters(&lobby, 1, "alice")], keeping(8)).await.unwrap();
    broker.change_presence(&here, &[leaves(&lobby, 3), leaves(&lobby, 9)], keeping(8)).await.unwrap();
    let news = ear.news().await;
    assert_eq!((news.before, news.count(), news.read().unwrap()[0].1.as_ref().unwrap().owner), (seq, 1, Owner(8)));
    let news = ear.news().await;
    assert_eq!((news.before, news.read().unwrap()), (seq + 1, vec![(session(3), None)]));
    assert_eq!(sessions(broker, &lobby).await.into_keys().collect::<Vec<_>>(), [session(1), session(2)]);
    broker.leave(&here).await;
}

async fn a_room_has_its_full_number_of_sessions(broker: &dyn Broker) {
    let (here, lobby) = (org("crowded"), room("chat:crowded:lobby"));
    let changes: Vec<Change> = (1..=4).map(|number| enters(&lobby, number, "alice")).collect();
    let verdicts = broker.change_presence(&here, &changes, keeping(1)).await.unwrap();
    assert_eq!(verdicts, [Verdict::Done, Verdict::Done, Verdict::Done, Verdict::Full]);
    let elsewhere = enters(&room("chat:crowded:bar"), 4, "alice");
    let again = Change { is_admitted: true, ..enters(&lobby, 5, "bob") };
    let verdicts = broker.change_presence(&here, &[elsewhere, enters(&lobby, 2, "bob"), again], keeping(1)).await.unwrap();
    assert_eq!(verdicts, [Verdict::Done; 3], "another room, a session that is in, and one that was admitted before");
    let verdicts = broker.change_presence(&here, &[leaves(&lobby, 1), leaves(&lobby, 5), enters(&lobby, 4, "alice")], keeping(1)).await;
    assert_eq!(verdicts.unwrap(), [Verdict::Done; 3]);
    assert_eq!(sessions(broker, &lobby).await.len(), 3);
}

async fn a_room_that_was_left_by_all_counts_on(broker: &dyn Broker) {
    let (here, lobby) = (org("left"), room("chat:left:lobby"));
    broker.change_presence(&here, &[enters(&lobby, 1, "alice"), leaves(&lobby, 1)], keeping(1)).await.unwrap();
    let empty = broker.presence(&lobby).await.unwrap();
    broker.change_presence(&here, &[enters(&lobby, 1, "alice")], keeping(1)).await.unwrap();
    assert!(broker.presence(&lobby).await.unwrap().seq > empty.seq);
    let kept = broker.keep_presence(&here, Some(Owner(1)), LEASE_MS, &[lobby.clone(), room("chat:left:bar")]).await.unwrap();
    assert!(kept.is_held && kept.owners.contains(&Owner(1)));
    assert_eq!(kept.seqs[0], Some(broker.presence(&lobby).await.unwrap().seq));
    assert!(!broker.keep_presence(&here, Some(Owner(2)), LEASE_MS, &[]).await.unwrap().is_held, "who told nothing has no lease");
    broker.sweep_presence(&lobby, &kept.history).await.unwrap();
    assert_eq!(sessions(broker, &lobby).await.len(), 1, "nobody's lease has run out");
}

pub async fn all_promises(broker: &dyn Broker) {
    news_follow_what_was_read_without_a_hole(broker).await;
    a_room_has_its_full_number_of_sessions(broker).await;
    a_room_that_was_left_by_all_counts_on(broker).await;
}
