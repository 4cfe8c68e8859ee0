//! ● When a session has been open for long enough.
//!
//! [`super::run`] asks those to move that have.

use super::Config;
use crate::protocol::SessionId;

/// How old a session may become, in milliseconds; `None`: as old as it likes. It follows from the session's name, so that nothing need be
/// kept of it.
pub fn limit_ms(config: &Config, id: SessionId) -> Option<u64> {
    // The last eight bytes of a name are random but for the two bits of its variant (RFC 9562 section 5.7).
    let random = id.0.as_u128() as u64 & (u64::MAX >> 2);
    let early_ms = (u128::from(most_early_ms(config)) * u128::from(random)) >> 62;
    (config.connection_age_max_ms > 0).then(|| config.connection_age_max_ms.saturating_sub(early_ms as u64))
}

/// What no session is asked before.
pub fn least_ms(config: &Config) -> Option<u64> {
    (config.connection_age_max_ms > 0).then(|| config.connection_age_max_ms - most_early_ms(config))
}

fn most_early_ms(config: &Config) -> u64 {
    config.connection_age_max_ms / 100 * u64::from(config.connection_age_jitter_percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(count: u64) -> impl Iterator<Item = SessionId> {
        (0..count).map(|at_ms| SessionId(uuid::Builder::from_unix_timestamp_millis(at_ms, &rand::random()).into_uuid()))
    }

    #[test]
    fn ages_lie_evenly_between_the_least_and_the_most() {
        let config = Config { connection_age_max_ms: 3_600_000, connection_age_jitter_percent: 25, ..Config::default() };
        let mut tenths = [0; 10];
        for session in sessions(10_000) {
            let limit_ms = limit_ms(&config, session).unwrap();
            assert!((2_700_000..=3_600_000).contains(&limit_ms) && least_ms(&config).unwrap() <= limit_ms, "{limit_ms}");
            tenths[((limit_ms - 2_700_000) / 90_001) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (800..1_200).contains(count)), "{tenths:?}");
    }

    #[test]
    fn without_jitter_all_are_the_same_and_without_an_age_there_is_none() {
        let config = Config { connection_age_max_ms: 5_000, connection_age_jitter_percent: 0, ..Config::default() };
        assert!(sessions(100).all(|session| limit_ms(&config, session) == Some(5_000)));
        let whole = Config { connection_age_jitter_percent: 100, ..config };
        assert_eq!(least_ms(&whole), Some(0));
        assert_eq!(sessions(1).next().and_then(|session| limit_ms(&Config::default(), session)), None);
    }
}
