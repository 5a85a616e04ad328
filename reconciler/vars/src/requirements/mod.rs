//! What a machine needs of its fleet's vars.

mod declared;
mod discovered;
mod error;
mod requirement;

pub(crate) use error::check_name;
pub use error::{InvalidName, NameKind, RequirementProblem, RequirementProblems, RequirementsError};
pub use requirement::{Requirement, Requirements};
