//! Why a connection was not made, or ended without a close frame. Pure: clients write it into their journals, whoever judges them counts it.

use std::fmt;
use std::io;

use crate::socket::SocketError;

/// What the client noticed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Loss {
    /// Nobody listens there.
    Refused,
    /// The other side, or something in between, broke it off.
    Reset,
    /// It ended as TCP ends.
    Ended,
    /// An HTTP status came where protocols were to be switched. With `asked_to_wait` it said when to come back, as a node does that takes
    /// no more; load balancers say nothing of the kind.
    Answered { status: u16, asked_to_wait: bool },
    /// It was not made in time.
    Late,
    /// Nothing came over it for too long.
    Silent,
    /// The client was told to drop it.
    Cut,
    /// Anything else, in the words of whoever noticed.
    Other(String),
}

impl From<SocketError> for Loss {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Io(error) => Self::from(error),
            SocketError::Ended => Self::Ended,
            SocketError::Refused(head) => Self::of_head(&head),
            error @ SocketError::TooLarge(_) => Self::Other(error.to_string()),
        }
    }
}

impl From<io::Error> for Loss {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => Self::Reset,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl Loss {
    fn of_head(head: &str) -> Self {
        let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        let asked_to_wait = head.lines().skip(1).any(|line| {
            let name = line.split(':').next().unwrap_or_default();
            name.eq_ignore_ascii_case("retry-after")
        });
        match status {
            Some(status) => Self::Answered { status, asked_to_wait },
            None => Self::Other(head.lines().next().unwrap_or_default().to_owned()),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::Reset => f.write_str("connection reset"),
            Self::Ended => f.write_str("ended without a close frame"),
            Self::Answered { status, asked_to_wait: false } => write!(f, "HTTP {status}"),
            Self::Answered { status, asked_to_wait: true } => write!(f, "HTTP {status} with Retry-After"),
            Self::Late => f.write_str("not made in time"),
            Self::Silent => f.write_str("nothing came for too long"),
            Self::Cut => f.write_str("cut on purpose"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_balancer_says_is_told_from_what_a_node_says() {
        let loss = |head: &str| Loss::from(SocketError::Refused(head.to_owned()));
        let balancer = loss("HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/html\r\n\r\n");
        let node = loss("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n");
        assert_eq!(balancer, Loss::Answered { status: 503, asked_to_wait: false });
        assert_eq!(node, Loss::Answered { status: 503, asked_to_wait: true });
        assert_eq!((balancer.to_string(), node.to_string()), ("HTTP 503".to_owned(), "HTTP 503 with Retry-After".to_owned()));
        assert_eq!(loss("no HTTP"), Loss::Other("no HTTP".to_owned()));
    }

    #[test]
    fn errors_of_sockets_have_names() {
        let loss = |kind: io::ErrorKind| Loss::from(SocketError::Io(kind.into()));
        assert_eq!((loss(io::ErrorKind::ConnectionRefused), loss(io::ErrorKind::BrokenPipe)), (Loss::Refused, Loss::Reset));
        assert!(matches!(loss(io::ErrorKind::HostUnreachable), Loss::Other(_)));
    }
}
