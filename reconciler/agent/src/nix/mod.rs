//! Everything that is asked of Nix: the evaluation of the entry, the build, profiles and GC roots.

mod build;
mod checkout;
mod closure;
mod entry;
mod evaluate;
mod profile;
mod roots;
mod source_tree;
mod survey;
mod tools;

pub use build::{BuildError, Built, Fresh, build};
pub use checkout::{Checkout, CheckoutError, Script};
pub use closure::{ClosureError, closure};
pub use entry::{Clan, Derivation, Entry, Metadata};
pub use evaluate::{EvaluateError, Evaluator, Limits, SourceTree, UnusableEntry};
pub use profile::{Profile, ProfileError};
pub use roots::{RootError, Roots};
pub use source_tree::{AddSourceError, PackError, add_source};
pub use survey::{Survey, SurveyError};
pub use tools::{NixTools, ToolError};
