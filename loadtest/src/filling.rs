//! What publications are filled with: JSON values of a wanted size. Pure.

use std::fmt::Write;

/// About `bytes` of JSON: one long text, or `varied` records as dashboards get them, which compress as such do.
pub fn filling(bytes: usize, varied: bool) -> String {
    if !varied {
        return format!("\"{}\"", "x".repeat(bytes));
    }
    let mut out = "[".to_owned();
    // A small generator, so that every run has the same bytes (Knuth's MMIX constants).
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    while out.len() < bytes.saturating_sub(1) {
        let separator = if out.len() > 1 { "," } else { "" };
        let (agent, calls, answered, wait) = (next(10_000), next(500), next(100), next(90_000));
        let _ = write!(
            out,
            r#"{separator}{{"agent":"agent-{agent:04}","calls":{calls},"answered_percent":{answered},"average_wait_ms":{wait},"queue":"support"}}"#
        );
    }
    out.push(']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fillings_are_json_of_about_the_wanted_size() {
        for (bytes, varied) in [(0, false), (64, false), (0, true), (1_000, true), (4_000, true)] {
            let filling = filling(bytes, varied);
            assert!(serde_json::from_str::<serde_json::Value>(&filling).is_ok(), "{filling}");
            assert!((bytes..bytes + 128).contains(&filling.len()), "{bytes}: {}", filling.len());
        }
    }
}
