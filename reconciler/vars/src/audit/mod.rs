//! The check of a fleet's vars, for people and CI: every secret against who may read it and what the machines
//! declare, with or without keys.

mod age_store;
mod check;
mod declared;
mod defect;
mod finding;
mod keybook;
#[cfg(test)]
pub(crate) mod memory;
mod opening;
mod places;
mod public_key;
mod report;
mod resolve;
mod rule;
mod sarif;
mod secret;
#[cfg(test)]
mod tests;

pub use check::{Audit, MachineEntry, audit};
pub use defect::{Defect, Linked};
pub use finding::Finding;
pub use keybook::Holder;
pub use opening::Openings;
pub use public_key::{KeyFileError, PublicKey, parse_key_file};
pub use report::{Counts, FindingDocument, MachineSummary, Report};
pub use rule::{Level, Rule};
pub use sarif::sarif;
