//! Bad input of every kind against real gateway processes over raw sockets: input, expected reaction, reason.
//!
//! Every theme runs under a [`stage`]: while the cases abuse the node, an honest client's publications must all arrive, in
//! order and in time; afterwards the node must not have panicked and must not hold the memory.

mod careless_backend;
pub mod client;
mod collections;
mod commands;
mod compression;
mod dialects;
mod echo;
mod floods;
mod frames;
mod gateway;
mod handshake;
mod http;
mod limits;
mod logs;
mod msgpack;
mod rest;
mod secrets;
mod stage;
mod tokens;
