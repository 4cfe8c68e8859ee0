//! How many sockets the tool may have open.

use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::report::number::count;

/// Files that the tool has open besides members' sockets.
const FILES_BESIDES: u64 = 128;

/// Lets the tool have as many files open as it may, and makes sure that those are enough.
pub fn raise(sockets: usize) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let (wanted, allowed) = (sockets as u64 + FILES_BESIDES, limit.maximum.unwrap_or(u64::MAX));
    if wanted > allowed {
        let [sockets, wanted, allowed] = [sockets as u64, wanted, allowed].map(count);
        bail!(
            "{sockets} sockets need {wanted} open files and this user may have {allowed}: take fewer subscribers (each needs two with \
             --floor), or raise `ulimit -Hn`"
        );
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).context("the limit of open files cannot be raised")
}

/// How many sockets this user may have open.
pub fn sockets_max() -> usize {
    getrlimit(Resource::Nofile)
        .maximum
        .map_or(usize::MAX, |files| usize::try_from(files.saturating_sub(FILES_BESIDES)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_sockets_are_refused_with_what_to_do() {
        let refusal = raise(usize::MAX / 2).unwrap_err().to_string();
        assert!(getrlimit(Resource::Nofile).maximum.is_none() || refusal.contains("ulimit -Hn"), "{refusal}");
    }
}
