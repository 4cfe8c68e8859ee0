//! As much of Redis' protocol (RESP2) as a load test needs: commands out, replies measured or read, one connection that asks. The part
//! that meets no socket is pure.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long Redis may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest reply that is read.
const REPLY_BYTES_MAX: usize = 1 << 20;

/// Appends a command.
pub fn command(words: &[&str], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// How many bytes the first reply takes up, once it is whole.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let line = memchr::memchr(b'\n', bytes)? + 1;
    let count = || std::str::from_utf8(&bytes[1..line]).ok()?.trim_end().parse::<i64>().ok();
    match bytes[0] {
        b'$' => {
            let end = usize::try_from(count()?).map_or(line, |length| line + length + 2);
            (bytes.len() >= end).then_some(end)
        }
        b'*' => (0..count()?.max(0)).try_fold(line, |used, _| Some(used + length(bytes.get(used..)?)?)),
        _ => Some(line),
    }
}

/// A connection on which one command follows the answer to the one before.
pub struct Connection {
    tcp: TcpStream,
}

impl Connection {
    /// # Errors
    /// When nobody listens there.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { tcp })
    }

    /// The answer as it was sent.
    ///
    /// # Errors
    /// When none comes, or it is an error.
    pub fn ask(&mut self, words: &[&str]) -> io::Result<String> {
        let mut out = Vec::new();
        command(words, &mut out);
        self.tcp.write_all(&out)?;
        let (mut reply, mut piece) = (Vec::new(), [0; 16 << 10]);
        while length(&reply).is_none() {
            let read = self.tcp.read(&mut piece)?;
            if read == 0 || reply.len() > REPLY_BYTES_MAX {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            reply.extend_from_slice(&piece[..read]);
        }
        let reply = String::from_utf8_lossy(&reply).into_owned();
        if reply.starts_with('-') { Err(io::Error::other(reply.trim().to_owned())) } else { Ok(reply) }
    }

    /// Processor time so far in seconds, memory in bytes, and calls by command.
    ///
    /// # Errors
    /// When no answer comes.
    pub fn usage(&mut self) -> io::Result<Usage> {
        let info = self.ask(&["INFO", "everything"])?;
        Ok(Usage::of_info(&info))
    }
}

/// What a Redis server has done since its start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    pub cpu_s: f64,
    pub memory_bytes: u64,
    pub calls: BTreeMap<String, u64>,
}

impl Usage {
    fn of_info(info: &str) -> Self {
        let mut usage = Self::default();
        for (name, value) in info.lines().filter_map(|line| line.trim_end().split_once(':')) {
            match name {
                "used_cpu_sys" | "used_cpu_user" => usage.cpu_s += value.parse().unwrap_or(0.0),
                "used_memory" => usage.memory_bytes = value.parse().unwrap_or(0),
                _ => {
                    let calls = value.strip_prefix("calls=").and_then(|rest| rest.split(',').next()?.parse().ok());
                    if let Some((command, calls)) = name.strip_prefix("cmdstat_").zip(calls) {
                        usage.calls.insert(command.to_owned(), calls);
                    }
                }
            }
        }
        usage
    }

    /// What was done since `earlier`; memory is what it is.
    pub fn since(&self, earlier: &Self) -> Self {
        let calls = self.calls.iter().map(|(command, calls)| (command.clone(), calls - earlier.calls.get(command).unwrap_or(&0)));
        Self { cpu_s: self.cpu_s - earlier.cpu_s, memory_bytes: self.memory_bytes, calls: calls.filter(|(_, calls)| *calls > 0).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_measured_once_they_are_whole() {
        for reply in ["+OK\r\n", ":5\r\n", "$2\r\nhi\r\n", "$-1\r\n", "*2\r\n$1\r\na\r\n:0\r\n", "*-1\r\n", "-ERR no\r\n"] {
            assert_eq!(length(format!("{reply}+next").as_bytes()), Some(reply.len()), "{reply:?}");
            assert_eq!(length(&reply.as_bytes()[..reply.len() - 1]), None, "{reply:?}");
        }
    }

    #[test]
    fn usage_is_read_from_info_and_told_as_a_difference() {
        let before =
            Usage::of_info("used_cpu_sys:1.5\r\nused_memory:9\r\ncmdstat_xrange:calls=4,usec=1\r\ncmdstat_ping:calls=1,usec=1\r\n");
        let after = Usage::of_info(
            "used_cpu_sys:2.5\r\nused_cpu_user:1.0\r\nused_memory:8\r\ncmdstat_xrange:calls=7,usec=9\r\ncmdstat_ping:calls=1,usec=1\r\n",
        );
        let expected = Usage { cpu_s: 2.0, memory_bytes: 8, calls: [("xrange".to_owned(), 3)].into() };
        assert_eq!(after.since(&before), expected);
    }
}
