//! The check, before anything is built, that every needed var is there and opens.

mod check;
mod expected;
mod finding;
mod opened;

pub use check::{PreflightError, Salvaged, preflight, preflight_of, salvage};
pub use expected::Expected;
pub use finding::{Finding, FindingReason, Findings, Problems};
pub use opened::Opened;
