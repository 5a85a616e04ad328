//! Who plays a role, and who has a tag, by the rules of clan-core (`lib/inventory`,
//! `distributed-services.nix`). It answers questions about an inventory and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::instance::Role;
use crate::inventory::Inventory;
use crate::machine::Machine;

impl Inventory {
    /// The names that play the role: those it names, and every machine that has one of its tags. A name
    /// that is no machine is among them, as in clan-core; [`Inventory::check`] tells.
    #[must_use]
    pub fn members<'a>(&'a self, role: &'a Role) -> BTreeSet<&'a str> {
        let named = role.machines.keys().map(String::as_str);
        let tagged = self
            .machines
            .values()
            .filter(|machine| role.tags.keys().any(|tag| machine.has_tag(tag)))
            .map(|machine| machine.name.as_str());
        named.chain(tagged).collect()
    }

    /// The roles that the machine plays: instance → roles. Instances without a role for it are left out.
    #[must_use]
    pub fn roles_of(&self, machine: &str) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut roles: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (instance_name, instance) in &self.instances {
            for (role_name, role) in &instance.roles {
                if self.members(role).contains(machine) {
                    roles.entry(instance_name).or_default().insert(role_name);
                }
            }
        }
        roles
    }

    /// The machines that have all of the tags, by name; without tags, all machines.
    pub fn machines_with<'a, S: AsRef<str>>(
        &'a self,
        tags: &'a [S],
    ) -> impl Iterator<Item = &'a Machine> + 'a {
        self.machines
            .values()
            .filter(move |machine| tags.iter().all(|tag| machine.has_tag(tag.as_ref())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn inventory(value: serde_json::Value) -> Inventory {
        Inventory::from_json(&value.to_string()).unwrap()
    }

    fn role(value: serde_json::Value) -> Role {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn members_of_a_role() {
        let inventory = inventory(json!({
            "machines": {"jon": {"tags": ["foo"]}, "sara": {"tags": ["foo"]}, "hxi": {}},
            "tags": {"static": ["hxi", "ghost"]},
        }));
        let cases = [
            (json!({"tags": {"foo": {}}}), vec!["jon", "sara"]),
            (
                json!({"machines": {"jon": {}}, "tags": {"all": {}}}),
                vec!["hxi", "jon", "sara"],
            ),
            (json!({"machines": {"jon": {}}}), vec!["jon"]),
            (
                json!({"machines": {"hxi": {}}, "tags": {"foo": {}}}),
                vec!["hxi", "jon", "sara"],
            ),
            // What a tag lists counts only where it is a machine, what a role names counts in any case.
            (json!({"tags": {"static": {}}}), vec!["hxi"]),
            (json!({"machines": {"ghost": {}}}), vec!["ghost"]),
            (json!({"tags": {"nope": {}}}), vec![]),
            (json!({}), vec![]),
        ];
        for (given, expected) in cases {
            let role = role(given.clone());
            assert_eq!(
                inventory.members(&role).into_iter().collect::<Vec<_>>(),
                expected,
                "{given}"
            );
        }
    }

    #[test]
    fn tags_of_a_selection_intersect() {
        let inventory = inventory(json!({
            "machines": {"jon": {"tags": ["foo", "bar"]}, "sara": {"tags": ["foo", "baz"]}},
        }));
        let cases: &[(&[&str], &[&str])] = &[
            (&["foo"], &["jon", "sara"]),
            (&["foo", "bar"], &["jon"]),
            (&["bar", "baz"], &[]),
            (&[], &["jon", "sara"]),
        ];
        for (tags, expected) in cases {
            let names: Vec<&str> = inventory
                .machines_with(tags)
                .map(|machine| machine.name.as_str())
                .collect();
            assert_eq!(&names, expected, "{tags:?}");
        }
    }

    #[test]
    fn roles_of_a_machine() {
        let inventory = inventory(json!({
            "machines": {"jon": {}, "sara": {}},
            "instances": {
                "admin": {"module": {"input": null, "name": "admin"}, "roles": {"default": {"machines": {"jon": {}}}}},
                "borgbackup": {"roles": {"client": {"tags": {"all": {}}}, "server": {"machines": {"jon": {}}}}},
                "empty": {"roles": {"peer": {}}},
            },
        }));
        let roles = |machine: &str| {
            inventory
                .roles_of(machine)
                .into_iter()
                .map(|(instance, roles)| (instance, roles.into_iter().collect()))
                .collect::<Vec<(&str, Vec<&str>)>>()
        };
        assert_eq!(roles("sara"), [("borgbackup", vec!["client"])]);
        assert_eq!(
            roles("jon"),
            [
                ("admin", vec!["default"]),
                ("borgbackup", vec!["client", "server"])
            ]
        );
        assert_eq!(roles("ghost"), []);
    }

    proptest! {
        #[test]
        fn members_are_the_union_over_names_and_tags(
            machines in prop::collection::btree_map("[a-e]", prop::collection::vec("[r-v]", 0..4), 0..5),
            named in prop::collection::btree_set("[a-g]", 0..3),
            tagged in prop::collection::btree_set("[r-x]", 0..3),
        ) {
            let fields: serde_json::Map<_, _> =
                machines.iter().map(|(name, tags)| (name.clone(), json!({ "tags": tags }))).collect();
            let target = |names: &BTreeSet<String>| -> serde_json::Map<_, _> {
                names.iter().map(|name| (name.clone(), json!({}))).collect()
            };
            let inventory = inventory(json!({ "machines": fields }));
            let role = role(json!({ "machines": target(&named), "tags": target(&tagged) }));
            let members = inventory.members(&role);
            for name in machines.keys().chain(&named) {
                let expected = named.contains(name)
                    || machines.get(name).is_some_and(|tags| tags.iter().any(|tag| tagged.contains(tag)));
                prop_assert_eq!(members.contains(name.as_str()), expected);
            }
            prop_assert!(members.iter().all(|name| machines.contains_key(*name) || named.contains(*name)));
        }
    }
}
