//! Instances of services and their roles, in the shape of clan-core's `inventory.instances`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// One instance of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// The service's module.
    #[serde(default)]
    pub module: Module,
    /// The roles, by name.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
}

/// Which module an instance is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// The flake input; `None` stands for clan-core's own modules, `self` for the fleet's flake.
    #[serde(default)]
    pub input: Option<String>,
    /// The module's name; `None` stands for the instance's name.
    #[serde(default)]
    pub name: Option<String>,
}

/// One role of an instance: who plays it, and with which settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// Machines named one by one.
    #[serde(default)]
    pub machines: BTreeMap<String, RoleTarget>,
    /// Tags, each of which stands for the machines that have it.
    #[serde(default)]
    pub tags: BTreeMap<String, RoleTarget>,
    /// Settings for all who play the role.
    #[serde(default)]
    pub settings: Settings,
}

/// What a role says of one of its machines or tags.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoleTarget {
    /// Settings for that machine, or for the machines with that tag.
    #[serde(default)]
    pub settings: Settings,
}
