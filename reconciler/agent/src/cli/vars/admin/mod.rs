//! The admin's side of `reconcile vars`: making, changing and sharing the values of a native fleet, in the folder
//! that a person works in. Only names things.

mod args;
mod error;
mod execute;
mod fleet;
mod generate;
mod get;
mod git;
mod identities;
mod list;
mod membership;
mod memory;
mod prompts;
mod rekey;
mod set;
mod terminal;

pub(in crate::cli) use args::{GenerateOptions, GetOptions, ListOptions, RekeyOptions, SetOptions};
pub(in crate::cli) use error::AdminError;

pub(super) use generate::run as generate;
pub(super) use get::run as get;
pub(super) use list::run as list;
pub(super) use rekey::run as rekey;
pub(super) use set::run as set;
