//! The classes: how a toplevel of each kind is told apart, activated, judged and observed.

mod amiss;
mod boot_loader;
mod boot_room;
mod custom;
mod darwin;
mod home_manager;
mod identify;
mod leaf;
mod nixos;
mod obstacle;
mod reboot;
mod site;
mod specialisation;
mod surface;
mod system_manager;

pub use amiss::{Amiss, Weight};
pub use boot_room::NoRoom;
pub use home_manager::{Home, current_of, homes};
pub use identify::{IdentifyError, identify};
pub use leaf::{Declared, Leaf};
pub use obstacle::Obstacle;
pub use reconciler_inventory::Class;
pub use site::Site;
pub use specialisation::{NoSpecialisation, Wanted};
pub use surface::{Action, BootEntry, Invocation, Judgement, Surface};
