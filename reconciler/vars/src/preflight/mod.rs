//! The check, before anything is built, that every needed var is there and opens.

mod check;
mod finding;
mod opened;

pub use check::{PreflightError, Salvaged, preflight, salvage};
pub use finding::{Finding, FindingReason, Findings, Problems};
pub use opened::Opened;
