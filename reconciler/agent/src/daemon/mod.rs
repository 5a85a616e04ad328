//! The running agent: one at a time, polling, listening on its control socket.

mod client;
mod control;
mod lock;
mod notify;
mod renewal;
mod serve;
mod station;
mod worker;

pub use client::{AskError, ask};
pub use control::ControlError;
pub use lock::{Lock, LockError};
pub use serve::{ServeError, serve};
pub use station::Station;
pub use worker::{WorkerError, work};
