//! Two keyed sets compared: what came, what went, what is another one. Pure.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Names that differ, each list sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// Only in the second.
    pub added: Vec<String>,
    /// Only in the first.
    pub removed: Vec<String>,
    /// In both, and not the same.
    pub changed: Vec<String>,
}

impl Differences {
    /// What differs between two sets, by key; a value is only asked whether it is the same.
    #[must_use]
    pub fn between<V: PartialEq>(before: &BTreeMap<String, V>, after: &BTreeMap<String, V>) -> Differences {
        let only = |these: &BTreeMap<String, V>, those: &BTreeMap<String, V>| {
            let names = these.keys().filter(|name| !those.contains_key(*name));
            names.cloned().collect()
        };
        Differences {
            added: only(after, before),
            removed: only(before, after),
            changed: after
                .iter()
                .filter(|(name, value)| before.get(*name).is_some_and(|old| old != *value))
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}
