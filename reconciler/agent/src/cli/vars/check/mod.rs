//! `reconcile vars check`: every secret of a fleet, for people and CI. Only names its parts.

mod args;
mod error;
mod fleet;
mod page;
mod run;

pub(in crate::cli) use args::CheckOptions;
pub(in crate::cli) use error::CheckError;
pub(in crate::cli) use run::run;
