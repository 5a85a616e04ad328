//! What changes between two toplevels: packages, sizes, units, secrets.

mod change;
mod dry_activation;
mod keyed;
mod package;
mod packages;
mod units;
mod version;

pub use change::{CHANGE_VERSION, Change, Cost, Side};
pub use dry_activation::{UnitPlan, planned_units};
pub use keyed::Differences;
pub use package::package_name;
pub use packages::{Direction, PackageChange, Packages, Weight, packages};
pub use units::{UnitFiles, unit_files};
