//! The client against a real Nix daemon, each test on a store of its own.

#![expect(clippy::disallowed_methods, reason = "tests write files of their own")]

#[cfg(test)]
mod daemon;

#[cfg(test)]
mod builds;
#[cfg(test)]
mod connection;
#[cfg(test)]
mod store;
#[cfg(test)]
mod transcript;
