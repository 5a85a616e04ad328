//! The classes: how a toplevel of each kind is told apart, activated, judged and observed.

mod custom;
mod identify;
mod nixos;
mod surface;

pub use identify::{IdentifyError, identify};
pub use reconciler_inventory::Class;
pub use surface::{Action, BootEntry, Invocation, Judgement, Surface};
