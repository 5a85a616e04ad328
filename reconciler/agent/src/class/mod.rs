//! The classes: how a toplevel of each kind is told apart, activated, judged and observed.

mod amiss;
mod custom;
mod darwin;
mod home_manager;
mod identify;
mod leaf;
mod nixos;
mod obstacle;
mod site;
mod surface;
mod system_manager;

pub use amiss::{Amiss, Weight};
pub use home_manager::{Home, current_of, homes};
pub use identify::{IdentifyError, identify};
pub use leaf::{Declared, Leaf};
pub use obstacle::Obstacle;
pub use reconciler_inventory::Class;
pub use site::Site;
pub use surface::{Action, BootEntry, Invocation, Judgement, Surface};
