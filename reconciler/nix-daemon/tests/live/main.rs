//! The client against a real Nix daemon, each test on a store of its own.

#![expect(clippy::disallowed_methods, reason = "tests write files of their own")]

#[cfg(test)]
mod daemon;

#[cfg(test)]
mod builds;
#[cfg(test)]
mod connection;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod repair;
#[cfg(test)]
mod store;
#[cfg(test)]
mod substitute;
#[cfg(test)]
mod transcript;
#[cfg(test)]
mod users;
