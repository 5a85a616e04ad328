//! An asynchronous client of the Nix daemon's worker protocol. Owns one connection at a time; never starts a process,
//! reads a configuration file or touches the store on disk.
//!
#![doc = include_str!("../README.md")]

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod nar;

mod build;
mod client;
mod closure;
mod connect;
mod derived_path;
mod error;
mod event;
mod garbage;
mod handshake;
mod link;
mod message;
mod missing;
mod operation;
mod path_info;
mod progress;
mod read;
mod request;
mod settings;
mod store_path;
mod stream;
#[cfg(test)]
mod tests;
mod text;
mod upload;
mod write;

pub use build::{BuildMode, BuildResult, BuildStatus};
pub use client::Client;
pub use connect::{ConnectError, ConnectOptions};
pub use derived_path::{DerivedPath, DerivedPathError, Outputs};
pub use error::{Connection, DaemonError, Error, Violation};
pub use event::{ActivityId, ActivityKind, Event, EventSink, Field, Level, ResultKind};
pub use garbage::{Collected, Garbage, Root, Verification};
pub use handshake::{ProtocolVersion, Trust};
pub use missing::{Missing, Substitution};
pub use operation::Operation;
pub use path_info::{AddMethod, NarHash, NarHashError, PathInfo, SignatureCheck};
pub use progress::{Progress, RunningBuild, RunningFetch, Tally, Transfer};
pub use settings::ClientSettings;
pub use store_path::{HashPart, StorePath, StorePathError};
pub use stream::{EventSender, EventStream};
pub use text::Text;
