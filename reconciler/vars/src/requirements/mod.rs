//! What a machine needs of its fleet's vars.

mod declared;
mod discovered;
mod error;
mod placement;
mod requirement;

pub(crate) use error::check_name;
pub use error::{InvalidName, NameKind, RequirementProblem, RequirementProblems, RequirementsError};
pub use placement::{Installer, Placement};
pub use requirement::{Requirement, Requirements};
