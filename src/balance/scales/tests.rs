//! What holds whatever the nodes say.

use proptest::prelude::*;

use super::*;

const SETTLE_MS: u64 = 30_000;
const ROUND_MS: u64 = 15_000;

fn node(index: usize, sessions: u64, said_at_ms: u64) -> NodeInfo {
    NodeInfo { id: format!("n{index}"), started_at_ms: 1, sessions, said_at_ms, ..NodeInfo::default() }
}

fn nodes(counts: &[u64], said_at_ms: u64) -> Vec<NodeInfo> {
    counts.iter().enumerate().map(|(index, count)| node(index, *count, said_at_ms)).collect()
}

/// The first of the nodes, after it has seen all of them for long enough.
fn settled(config: Config, counts: &[u64]) -> (Scales, u64) {
    let mut scales = Scales::new(config, "n0");
    let mut now_ms = 0;
    while now_ms < SETTLE_MS {
        assert_eq!(scales.weigh(counts[0], Some(&nodes(counts, now_ms)), 0, now_ms), Weighed::UNKNOWN);
        now_ms += ROUND_MS;
    }
    (scales, now_ms)
}

fn weigh(scales: &mut Scales, counts: &[u64], asked: u64, now_ms: u64) -> Weighed {
    scales.weigh(counts[0], Some(&nodes(counts, now_ms)), asked, now_ms)
}

#[test]
fn a_new_node_gets_its_share_of_what_the_others_have() {
    let (mut scales, now_ms) = settled(Config::default(), &[1_200, 1_200, 0]);
    let weighed = weigh(&mut scales, &[1_200, 1_200, 0], 0, now_ms);
    assert_eq!(weighed, Weighed { ask: 120, excess: Some(400.0), pause_ms: None }, "one in a hundred per second, for ten seconds");
    let weighed = weigh(&mut scales, &[830, 830, 740], 120, now_ms + ROUND_MS);
    assert_eq!(weighed.ask, 30, "it does not stop at the line where it would not have begun");
    let weighed = weigh(&mut scales, &[820, 820, 760], 30, now_ms + 2 * ROUND_MS);
    assert_eq!(weighed.ask, 0, "within a tenth of each other");
    let weighed = weigh(&mut scales, &[830, 830, 740], 0, now_ms + 3 * ROUND_MS);
    assert_eq!(weighed.ask, 0, "it begins again only where chance does not explain it");
}

#[test]
fn one_node_among_twenty_that_is_empty_is_filled_by_all() {
    let mut counts = [1_000; 20];
    counts[19] = 0;
    let (mut scales, now_ms) = settled(Config::default(), &counts);
    assert_eq!(weigh(&mut scales, &counts, 0, now_ms).ask, 50, "nobody is a tenth above the mean, but one is far below");
}

#[test]
fn whoever_comes_goes_drains_or_is_not_heard_of_makes_everybody_wait() {
    type Change = fn(&mut Vec<NodeInfo>);
    let counts = [1_000, 100];
    let calm = |scales: &mut Scales, now_ms: u64| weigh(scales, &counts, 0, now_ms).excess.is_none();
    let cases: [(&str, Change); 5] = [
        ("comes", |nodes| nodes.push(node(2, 0, 7))),
        ("goes", |nodes| nodes.truncate(1)),
        ("drains", |nodes| nodes[1].draining = true),
        ("was restarted", |nodes| nodes[1].started_at_ms += 1),
        ("is not heard of", |nodes| nodes[1].said_at_ms = ROUND_MS),
    ];
    for (what, change) in cases {
        let (mut scales, now_ms) = settled(Config::default(), &counts);
        let mut changed = nodes(&counts, now_ms);
        change(&mut changed);
        assert_eq!(scales.weigh(1_000, Some(&changed), 0, now_ms), Weighed::UNKNOWN, "{what}");
        let settled_ms = (now_ms + ROUND_MS..).step_by(ROUND_MS as usize).find(|now_ms| !calm(&mut scales, *now_ms));
        let waited_ms = settled_ms.map(|settled_ms| settled_ms - now_ms);
        assert!(waited_ms.is_some_and(|waited_ms| (SETTLE_MS..=2 * SETTLE_MS).contains(&waited_ms)), "{what}: {waited_ms:?}");
    }
}

#[test]
fn with_the_broker_away_or_a_node_that_does_not_see_itself_nobody_is_asked() {
    let counts = [1_000, 100];
    let (mut scales, now_ms) = settled(Config::default(), &counts);
    assert_eq!(scales.weigh(1_000, None, 0, now_ms), Weighed::UNKNOWN);
    assert_eq!(weigh(&mut scales, &counts, 0, now_ms + 1), Weighed::UNKNOWN, "what was known before counts for nothing");
    let mut scales = Scales::new(Config::default(), "n7");
    for round in 0..10 {
        assert_eq!(weigh(&mut scales, &counts, 0, round * ROUND_MS), Weighed::UNKNOWN);
    }
}

#[test]
fn numbers_that_cannot_be_do_no_harm() {
    for others in [[u64::MAX, u64::MAX], [u64::MAX, 0]] {
        let counts = [1_000, others[0], others[1]];
        let (mut scales, now_ms) = settled(Config::default(), &counts);
        assert_eq!(weigh(&mut scales, &counts, u64::MAX, now_ms).ask, 0);
    }
}

#[test]
fn beside_a_node_that_does_not_tell_when_it_spoke_nobody_is_asked() {
    let before: NodeInfo =
        serde_json::from_str(r#"{"id":"n1","address":"127.0.0.1:1","version":"0.1.0","started_at_ms":1,"sessions":10}"#).unwrap();
    let mut scales = Scales::new(Config::default(), "n0");
    for round in 1..20 {
        let nodes = [node(0, 1_000, round), before.clone()];
        assert_eq!(scales.weigh(1_000, Some(&nodes), 0, round * ROUND_MS), Weighed::UNKNOWN);
    }
}

#[test]
fn whose_sessions_come_back_pauses_for_ever_longer_and_begins_anew_among_other_nodes() {
    let counts = [1_000, 0];
    let config = Config::default();
    let (mut scales, begun_ms) = settled(config.clone(), &counts);
    let (mut asked, mut total, mut pauses, mut paused) = (0, 0, Vec::new(), false);
    for now_ms in (begun_ms..begun_ms + 24 * 3_600_000).step_by(ROUND_MS as usize) {
        let weighed = weigh(&mut scales, &counts, asked, now_ms);
        (asked, total) = (weighed.ask, total + weighed.ask);
        if let Some(pause_ms) = weighed.pause_ms
            && !paused
        {
            pauses.push(pause_ms);
        }
        paused = weighed.pause_ms.is_some();
        assert!(!paused || asked == 0);
    }
    assert_eq!(&pauses[..4], [60_000, 120_000, 240_000, 480_000]);
    assert_eq!(pauses.last(), Some(&config.pause_ms_max));
    assert!((29..=31).contains(&pauses.len()), "{}", pauses.len());
    assert_eq!(total, 100 * (pauses.len() as u64 + 2), "three rounds at first, then one after each pause");

    let others = [1_000, 0, 0];
    let again = (begun_ms + 25 * 3_600_000..).step_by(ROUND_MS as usize).take(5);
    assert!(again.map(|now_ms| weigh(&mut scales, &others, 0, now_ms).ask).any(|ask| ask > 0));
}

proptest! {
    /// Over many rounds in which anything may happen to the counts.
    #[test]
    fn nobody_is_asked_below_the_mean_nor_more_than_is_above_it_nor_faster_than_allowed(
        rounds in prop::collection::vec((prop::collection::vec(0u64..5_000, 1..6), any::<bool>(), 0u64..200), 1..60),
        per_s in 1u32..200,
        percent in 1u8..=100,
        tolerance_percent in 1u8..=50,
    ) {
        let config = Config { sessions_per_s_max: per_s, percent_per_s_max: percent, tolerance_percent, settle_ms: 0, ..Config::default() };
        let mut scales = Scales::new(config, "n0");
        let mut before = 0;
        for (round, (counts, away, asked)) in rounds.iter().enumerate() {
            let now_ms = round as u64 * ROUND_MS;
            let nodes = nodes(counts, now_ms);
            let weighed = scales.weigh(counts[0], (!away).then_some(&nodes[..]), *asked, now_ms);
            let (total, fullest, emptiest) = (counts.iter().sum::<u64>(), counts.iter().max().unwrap(), counts.iter().min().unwrap());
            let mean = total as f64 / counts.len() as f64;
            prop_assert!(weighed.ask as f64 <= (counts[0] as f64 - mean).max(0.0));
            let share = (counts[0] * u64::from(percent)).div_ceil(100).max(1);
            prop_assert!(weighed.ask <= u64::from(per_s).min(share) * 10);
            if weighed.ask > 0 {
                prop_assert!(!away && counts.len() > 1 && counts.len() == before && counts[0] >= 100 && weighed.pause_ms.is_none());
                prop_assert!((fullest - emptiest) * 100 > fullest * u64::from(tolerance_percent));
            }
            before = if *away { 0 } else { counts.len() };
        }
    }
}
