//! The inventory as a whole, read from `clanInternals.inventoryClass.inventorySerialization` as JSON. It
//! owns how tags become effective; who plays which role is in `resolve`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::class::Class;
use crate::instance::Instance;
use crate::machine::{Machine, MachineFields, UnknownMachine};

/// The machines of a fleet, their tags, and the instances that give them roles. It deserialises as
/// [`Inventory::from_json`] reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Fields")]
pub struct Inventory {
    /// Every machine, by name.
    pub machines: BTreeMap<String, Machine>,
    /// The inventory's own tags and the names they list, machines or not. A tag that a machine declares
    /// for itself does not appear here, as in clan-core.
    pub tags: BTreeMap<String, Vec<String>>,
    /// The instances of services, by name.
    pub instances: BTreeMap<String, Instance>,
}

/// Why an inventory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The text is not JSON, or not of an inventory's shape.
    #[error("cannot read the inventory as JSON")]
    Json {
        /// Where and what.
        #[source]
        source: serde_json::Error,
    },
}

/// The JSON as it stands. Unknown fields are skipped: clan-core adds some between versions.
#[derive(Debug, Deserialize)]
struct Fields {
    #[serde(default)]
    machines: BTreeMap<String, MachineFields>,
    #[serde(default)]
    tags: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    instances: BTreeMap<String, Instance>,
}

impl Inventory {
    /// Reads `{machines: {<m>: {machineClass, tags}}, tags: {<tag>: [machine]}, instances}`, every part of
    /// which may be missing. Tags that clan-core predefines (`all`, `nixos`, `darwin`) are added unless the
    /// JSON defines them; already effective tags stay as they are.
    ///
    /// # Errors
    /// [`InventoryError::Json`] where the text is no JSON of that shape.
    pub fn from_json(json: &str) -> Result<Self, InventoryError> {
        serde_json::from_str(json).map_err(|source| InventoryError::Json { source })
    }

    /// The machine of that name.
    ///
    /// # Errors
    /// [`UnknownMachine`] with the closest names of the fleet.
    pub fn machine(&self, name: &str) -> Result<&Machine, UnknownMachine> {
        self.machines
            .get(name)
            .ok_or_else(|| UnknownMachine::new(name, &self.machine_names()))
    }

    /// The names of all machines, sorted.
    #[must_use]
    pub fn machine_names(&self) -> Vec<&str> {
        self.machines.keys().map(String::as_str).collect()
    }
}

impl From<Fields> for Inventory {
    fn from(fields: Fields) -> Self {
        let Fields {
            machines,
            mut tags,
            instances,
        } = fields;
        predefine(&mut tags, &machines);
        let machines = machines
            .into_iter()
            .map(|(name, machine)| {
                let tags = effective(&name, machine.tags, &tags);
                let machine_class = machine.machine_class.unwrap_or_default();
                (
                    name.clone(),
                    Machine {
                        name,
                        machine_class,
                        tags,
                    },
                )
            })
            .collect();
        Self {
            machines,
            tags,
            instances,
        }
    }
}

/// Adds the tags that clan-core gives a default to (inventory.nix, computed-tags.nix).
fn predefine(tags: &mut BTreeMap<String, Vec<String>>, machines: &BTreeMap<String, MachineFields>) {
    let members = |class: Option<Class>| -> Vec<String> {
        let of_class = |machine: &MachineFields| {
            class.is_none_or(|class| machine.machine_class.unwrap_or_default() == class)
        };
        machines
            .iter()
            .filter(|(_, machine)| of_class(machine))
            .map(|(name, _)| name.clone())
            .collect()
    };
    for (tag, class) in [
        ("all", None),
        ("nixos", Some(Class::Nixos)),
        ("darwin", Some(Class::Darwin)),
    ] {
        tags.entry(tag.to_owned()).or_insert_with(|| members(class));
    }
}

/// A machine's own tags, then the inventory's tags that list it, each once.
fn effective(machine: &str, own: Vec<String>, tags: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let listed = tags
        .iter()
        .filter(|(_, members)| members.iter().any(|member| member == machine))
        .map(|(tag, _)| tag.clone());
    let mut effective = Vec::with_capacity(own.len());
    for tag in own.into_iter().chain(listed) {
        if !effective.contains(&tag) {
            effective.push(tag);
        }
    }
    effective
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tags<'a>(inventory: &'a Inventory, machine: &str) -> Vec<&'a str> {
        inventory
            .machine(machine)
            .unwrap()
            .tags
            .iter()
            .map(String::as_str)
            .collect()
    }

    #[test]
    fn own_tags_come_first_and_each_tag_once() {
        let inventory = Inventory::from_json(
            r#"{
                "machines": {"a": {"machineClass": "darwin", "tags": ["x", "y", "x"]}, "b": {"tags": []}},
                "tags": {"static": ["a"], "all": ["a", "b"], "darwin": ["a"], "nixos": ["b"]}
            }"#,
        )
        .unwrap();
        assert_eq!(tags(&inventory, "a"), ["x", "y", "all", "darwin", "static"]);
        assert_eq!(tags(&inventory, "b"), ["all", "nixos"]);
    }

    #[test]
    fn a_machines_own_tag_does_not_enter_the_inventorys() {
        let inventory = Inventory::from_json(r#"{"machines": {"x": {"tags": ["foo"]}}}"#).unwrap();
        assert!(!inventory.tags.contains_key("foo"));
        assert_eq!(tags(&inventory, "x"), ["foo", "all", "nixos"]);
    }

    #[test]
    fn predefined_tags_follow_the_class_unless_the_fleet_defines_them() {
        let json = r#"{"machines": {"machine1": {}, "machine2": {"machineClass": "darwin"},
                       "machine3": {"machineClass": "nixos"}, "machine4": {"machineClass": "home-manager"}}}"#;
        let inventory = Inventory::from_json(json).unwrap();
        assert_eq!(
            inventory.tags["all"],
            ["machine1", "machine2", "machine3", "machine4"]
        );
        assert_eq!(inventory.tags["nixos"], ["machine1", "machine3"]);
        assert_eq!(inventory.tags["darwin"], ["machine2"]);
        assert_eq!(inventory.machine("machine1").unwrap().machine_class, Class::Nixos);

        let own =
            Inventory::from_json(r#"{"machines": {"a": {}, "b": {}}, "tags": {"all": ["b"]}}"#).unwrap();
        assert_eq!(tags(&own, "a"), ["nixos"]);
        assert_eq!(tags(&own, "b"), ["all", "nixos"]);
    }

    #[test]
    fn unknown_fields_are_skipped_and_wrong_types_are_not() {
        let cases = [
            ("{}", true),
            (
                r#"{"meta": {"name": "infra"}, "machines": {"a": {"installedAt": 1, "deploy": {}}}}"#,
                true,
            ),
            (r#"{"machines": []}"#, false),
            (r#"{"machines": {"a": {"machineClass": "windows"}}}"#, false),
            (
                r#"{"instances": {"i": {"roles": {"r": {"machines": ["a"]}}}}}"#,
                false,
            ),
            ("", false),
        ];
        for (json, accepted) in cases {
            assert_eq!(Inventory::from_json(json).is_ok(), accepted, "{json}");
        }
    }

    #[test]
    fn a_machine_that_is_not_in_the_fleet() {
        let inventory = Inventory::from_json(r#"{"machines": {"cinnabar": {}, "basalt": {}}}"#).unwrap();
        let cases = [
            (
                "cinabar",
                "machine `cinabar` is not in the fleet; did you mean `cinnabar`?",
            ),
            (
                "basalt.local",
                "machine `basalt.local` is not in the fleet; did you mean `basalt`?",
            ),
            ("printer", "machine `printer` is not in the fleet"),
        ];
        for (name, expected) in cases {
            assert_eq!(inventory.machine(name).unwrap_err().to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back_the_same(
            machines in prop::collection::btree_map("[a-d]", prop::collection::vec("[r-w]", 0..4), 0..4),
            tags in prop::collection::btree_map("[r-z]", prop::collection::vec("[a-f]", 0..4), 0..4),
        ) {
            let machines: serde_json::Map<_, _> = machines
                .into_iter()
                .map(|(name, tags)| (name, serde_json::json!({ "tags": tags })))
                .collect();
            let json = serde_json::json!({ "machines": machines, "tags": tags }).to_string();
            let once = Inventory::from_json(&json).unwrap();
            let twice = Inventory::from_json(&serde_json::to_string(&once).unwrap()).unwrap();
            prop_assert_eq!(once, twice);
        }
    }
}
