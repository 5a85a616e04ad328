//! When an agent may act: the phase of its polls, the waits after failures, the gates before a pass goes
//! on, and the policy that a fleet declares. Everything here is a function of its arguments: it reads no
//! clock, no file and no environment, and it never acts.

pub mod backoff;
pub mod chain;
pub mod document;
pub mod facts;
pub mod fleet;
pub mod fragment;
pub mod gate;
pub mod gates;
pub mod phase;
pub mod policy;
pub mod preset;
pub mod quarantine;
pub mod retention;
pub mod values;

pub use backoff::Backoff;
pub use chain::Decision;
pub use document::DocumentError;
pub use facts::{Candidate, Drift, Facts, Failure, Force, Hold, Pin, Stage};
pub use fleet::FleetPolicy;
pub use fragment::Fragment;
pub use gate::{GateLine, GateName, GateReport, Reason, Verdict, VerdictName};
pub use policy::{Policy, PolicyError};
pub use preset::Preset;
pub use values::{
    Age, ByteSize, Check, Command, DriftResponse, GenerationCount, Grace, KernelChange, Probe, RetryCount,
    Timeout, UnitName,
};
