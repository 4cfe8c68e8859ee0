//! Which rooms a pattern means, told once more and simply: the judge does not borrow the server's answer. Pure.

/// The org of a room in short form.
pub(super) fn org(room: &str) -> Option<&str> {
    room.split(':').nth(1)
}

/// Whether a publication into `room` reaches a subscription: a room means itself and everything below it, `*` exactly one
/// segment, a final `**` any rest.
pub(crate) fn reaches(pattern: &str, room: &str) -> bool {
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
    !pattern.contains('*') || segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_means_what_lies_below_and_a_pattern_what_it_says() {
        for (pattern, room) in [("kpi:acme", "kpi:acme:a:b"), ("kpi:acme:*:q", "kpi:acme:a:q"), ("*:acme:**", "ai:acme:x")] {
            assert!(reaches(pattern, room), "{pattern} {room}");
        }
        for (pattern, room) in
            [("kpi:acme:a", "kpi:acme"), ("*:acme", "kpi:acme:a"), ("kpi:acme", "kpi:acmes"), ("kpi:acme:*:q", "kpi:acme:a:r")]
        {
            assert!(!reaches(pattern, room), "{pattern} {room}");
        }
    }
}
