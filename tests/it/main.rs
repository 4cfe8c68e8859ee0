//! Whole parts and whole nodes, in one binary: the tests of each module read as sentences about one of them.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod jwks;
