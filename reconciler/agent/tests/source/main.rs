//! The source module against real git, real http and real ssh servers on the loopback.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests, and what only tests use"
)]

mod http_server;
mod https;
mod ssh_server;
mod support;

mod fetching;
mod http;
mod local;
mod mirror;
mod ssh;
