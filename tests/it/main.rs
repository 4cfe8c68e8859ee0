//! Whole processes and the documents made from the code, in one binary so that it links once.

// A test that cannot go on should end where it stands; helpers of tests are no less tests.
#![allow(clippy::unwrap_used)]

mod cli;
mod docs;
