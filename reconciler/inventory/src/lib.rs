//! The inventory of a fleet: machines, tags, instances and roles, as clan-core serialises them, and
//! what is wrong with them. It reads JSON that someone else evaluated; it never evaluates Nix, touches a
//! file or merges settings, which only Nix's module system can do.

mod check;
mod class;
mod instance;
mod inventory;
mod machine;
pub mod names;
mod resolve;
mod settings;

pub use check::Finding;
pub use class::Class;
pub use instance::{Instance, Module, Role, RoleTarget};
pub use inventory::{Inventory, InventoryError};
pub use machine::{Machine, UnknownMachine};
pub use names::{closest, closest_first};
pub use settings::Settings;
