//! An asynchronous client of the Nix daemon's worker protocol, over the daemon's unix socket.
//!
//! It speaks protocol 1.34 to 1.38 with no optional feature, which is every Nix since 2.8, every Lix and
//! every Determinate Nix. It owns one connection at a time and never starts a process, reads a
//! configuration file or touches the store on disk.
//!
//! Three rules hold everywhere. What the daemon sends is untrusted: lengths are bounded before anything is
//! allocated and unknown numbers are carried, not rejected. A connection is used again only after its last
//! reply was read to the end: an error of transport or protocol, a timeout and a dropped future all close it.
//! Nothing is retried: the caller knows what may be asked twice.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use nix_daemon_client::{BuildMode, Client, ConnectOptions, DerivedPath, Outputs, Progress, StorePath};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let socket = Path::new("/nix/var/nix/daemon-socket/socket");
//! let mut client = Client::connect(socket, &ConnectOptions::default()).await?;
//! let drv: StorePath = "/nix/store/vvr0hzs0n3lmwj6h0yc1nn8wj1p3kd3w-hello.drv".parse()?;
//! client.add_temp_root(&drv).await?;
//! let target = DerivedPath::Built { drv: drv.clone(), outputs: Outputs::All };
//! let mut progress = Progress::new();
//! for (_, result) in client.build_paths_with_results(&[target], BuildMode::Normal, &mut progress).await? {
//!     if !result.is_success() {
//!         eprintln!("{}\n{:?}", result.message, progress.failed_log(&drv));
//!     }
//! }
//! # Ok(())
//! # }
//! ```

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
