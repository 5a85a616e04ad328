//! The admin's side of the vars: how a fleet's values come to be. Only names things.
//!
//! The order of work is [`FleetGenerators`] → [`Graph`] → [`plan()`] → one run per generator in a sandbox →
//! [`collect()`] → [`Writer`]; [`rekey_all`] seals what is there for those who are to read it.

mod definition;
mod edit;
mod graph;
mod id;
mod output;
mod plan;
mod prompts;
mod readers;
mod recover;
mod rekey;
pub mod sandbox;
mod survey;
mod writer;

pub use definition::{
    DefaultReaders, FleetGenerators, GeneratedFile, Generator, Prompt, PromptDisplay, PromptKind,
};
pub use edit::{Edit, EditError};
pub use graph::{Graph, GraphProblem, GraphProblems, Node};
pub use id::{FileId, GeneratorId, InvalidFileId, Placement};
pub use output::{Collected, LARGEST_VALUE, OutputError, collect, without_values};
pub use plan::{PlanError, Reason, Request, Run, Wanted, plan};
pub use prompts::{Answer, PromptId, PromptProblem};
pub use readers::{Directory, KeyFile, LinkNames, NoReader, default_people, key_file, link_target};
pub use recover::recover;
pub use rekey::{Membership, RekeyError, Rekeying, Sealing, SecretFolder, rekey_all, secret_folders};
pub use survey::{Present, survey};
pub use writer::{Value, WriteError, Writer, Written};
