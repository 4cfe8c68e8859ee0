//! Which rooms a pattern means, told once more and simply: the judge does not borrow the server's answer. Pure.

/// The org of a room in short form.
pub(super) fn org(room: &str) -> Option<&str> {
    room.split(':').nth(1)
}

/// Whether a publication into `room` reaches a subscription on `pattern`: that room, and everything below it.
pub(super) fn reaches(pattern: &str, room: &str) -> bool {
    let mut segments = room.split(':');
    for wanted in pattern.split(':') {
        match (wanted, segments.next()) {
            ("**", _) => return true,
            (_, None) => return false,
            ("*", Some(_)) => {}
            (wanted, Some(segment)) if wanted == segment => {}
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_its_rooms_and_what_lies_below() {
        for (pattern, room) in [("kpi:acme", "kpi:acme:a:b"), ("kpi:acme:*:q", "kpi:acme:a:q"), ("*:acme:**", "ai:acme:x")] {
            assert!(reaches(pattern, room), "{pattern} {room}");
        }
        for (pattern, room) in [("kpi:acme:a", "kpi:acme"), ("kpi:acme", "kpi:acmes"), ("kpi:acme:*:q", "kpi:acme:a:r")] {
            assert!(!reaches(pattern, room), "{pattern} {room}");
        }
    }
}
