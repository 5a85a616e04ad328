//! One machine of the inventory, and the error for a name that is none.

use serde::{Deserialize, Serialize};

use crate::class::Class;
use crate::names;

/// A machine as the inventory declares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// The machine's name, unique in the fleet.
    pub name: String,
    /// The class; `nixos` where none is declared, as in clan-core.
    pub machine_class: Class,
    /// The effective tags, each once: the machine's own in their order, then the inventory's tags that
    /// list the machine, by tag name.
    pub tags: Vec<String>,
}

impl Machine {
    /// Whether the machine has the tag.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }
}

/// A machine as it stands in the JSON; fields that are not about resolution are skipped.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MachineFields {
    pub(crate) machine_class: Option<Class>,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
}

/// A name that no machine of the fleet has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("machine `{name}` is not in the fleet{}", names::hint(.closest))]
pub struct UnknownMachine {
    /// The name that was looked up.
    pub name: String,
    /// The fleet's names that come closest, closest first; may be empty.
    pub closest: Vec<String>,
}

impl UnknownMachine {
    /// The error for `name` in a fleet whose machines are `known`.
    pub fn new<S: AsRef<str>>(name: &str, known: &[S]) -> Self {
        let closest = names::closest(name, known)
            .into_iter()
            .map(ToOwned::to_owned)
            .collect();
        Self {
            name: name.to_owned(),
            closest,
        }
    }
}
