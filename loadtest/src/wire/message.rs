//! What coordinators and agents say to each other.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::progress::Status;
use crate::report::Report;

/// From the coordinator.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum ToAgent {
    /// Comes first.
    Hello {
        protocol: u32,
        secret: Option<Secret>,
    },
    /// To be answered at once.
    Clock,
    /// What to run; `clock_offset_us` is added to the agent's Unix time to have the coordinator's.
    Job {
        words: Vec<String>,
        token: Option<Secret>,
        clock_offset_us: i64,
    },
    /// Everybody is ready; publishing begins at this time of the coordinator's clock.
    Start {
        at_us: u64,
    },
    /// So many publications there were.
    Published {
        count: u64,
    },
    Alive,
    Stop {
        why: String,
    },
}

/// From an agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum ToCoordinator {
    Welcome,
    /// Before or after the job: why there will be no report.
    Failed {
        why: String,
    },
    /// The agent's Unix time.
    Clock {
        unix_us: u64,
    },
    Ready,
    Status {
        status: Status,
    },
    Published {
        count: u64,
    },
    Alive,
    Report {
        report: Box<Report>,
    },
}

/// Something that must not be shown by accident.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
