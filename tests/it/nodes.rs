//! The promises, shown by real gateway processes on a real Redis: nothing here looks into a node.

mod doors;
mod transcript;
