//! What is wrong with an inventory although clan-core accepts it. Only what the JSON itself shows: a
//! machine whose class the service has no module for cannot be seen here, since services are not in it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::inventory::Inventory;
use crate::names;

/// A mistake that evaluation passes over in silence or with a mere warning. The text form is one sentence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// A role goes to a tag that no machine has, so to nobody.
    #[error(
        "instance `{instance}` gives role `{role}` to tag `{tag}`, which no machine has{}",
        names::hint(.closest)
    )]
    TagWithoutMachines {
        /// The instance.
        instance: String,
        /// The role.
        role: String,
        /// The tag.
        tag: String,
        /// Tags that machines do have and that are spelled alike, closest first.
        closest: Vec<String>,
    },
    /// A role goes to a name that is no machine: the service is evaluated for it and never deployed.
    #[error(
        "instance `{instance}` gives role `{role}` to `{machine}`, which is not a machine of the fleet{}",
        names::hint(.closest)
    )]
    UnknownRoleMachine {
        /// The instance.
        instance: String,
        /// The role.
        role: String,
        /// The name.
        machine: String,
        /// Machines that are spelled alike, closest first.
        closest: Vec<String>,
    },
    /// A tag lists a name that is no machine.
    #[error("tag `{tag}` lists `{machine}`, which is not a machine of the fleet{}", names::hint(.closest))]
    UnknownTagMachine {
        /// The tag.
        tag: String,
        /// The name.
        machine: String,
        /// Machines that are spelled alike, closest first.
        closest: Vec<String>,
    },
}

impl Inventory {
    /// Everything that is wrong, instances first, in the order of the names. Empty for a sound inventory.
    #[must_use]
    pub fn check(&self) -> Vec<Finding> {
        let machines = self.machine_names();
        let owned = |names: Vec<&str>| names.into_iter().map(ToOwned::to_owned).collect::<Vec<String>>();
        let mut findings = Vec::new();
        let used: Vec<&str> = self
            .machines
            .values()
            .flat_map(|machine| machine.tags.iter().map(String::as_str))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        for (instance_name, instance) in &self.instances {
            for (role_name, role) in &instance.roles {
                for name in role
                    .machines
                    .keys()
                    .filter(|name| !self.machines.contains_key(*name))
                {
                    findings.push(Finding::UnknownRoleMachine {
                        instance: instance_name.clone(),
                        role: role_name.clone(),
                        machine: name.clone(),
                        closest: owned(names::closest(name, &machines)),
                    });
                }
                for tag in role
                    .tags
                    .keys()
                    .filter(|tag| used.binary_search(&tag.as_str()).is_err())
                {
                    findings.push(Finding::TagWithoutMachines {
                        instance: instance_name.clone(),
                        role: role_name.clone(),
                        tag: tag.clone(),
                        closest: owned(names::closest(tag, &used)),
                    });
                }
            }
        }
        for (tag, members) in &self.tags {
            let unknown: BTreeSet<&String> = members
                .iter()
                .filter(|name| !self.machines.contains_key(*name))
                .collect();
            findings.extend(unknown.into_iter().map(|name| Finding::UnknownTagMachine {
                tag: tag.clone(),
                machine: name.clone(),
                closest: owned(names::closest(name, &machines)),
            }));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(json: &str) -> Vec<String> {
        Inventory::from_json(json)
            .unwrap()
            .check()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn what_clan_accepts_in_silence() {
        let cases: &[(&str, &[&str])] = &[
            (
                r#"{"machines": {"jon": {"tags": ["web"]}},
                    "instances": {"i": {"roles": {"r": {"machines": {"jon": {}}, "tags": {"web": {}, "all": {}}}}}}}"#,
                &[],
            ),
            (
                r#"{"machines": {"jon": {"tags": ["backup"]}},
                    "instances": {"i": {"roles": {"r": {"tags": {"bakcup": {}}}}}}}"#,
                &[
                    "instance `i` gives role `r` to tag `bakcup`, which no machine has; did you mean `backup`?",
                ],
            ),
            (
                r#"{"machines": {"jon": {}}, "instances": {"i": {"roles": {"r": {"tags": {"darwin": {}}}}}}}"#,
                &["instance `i` gives role `r` to tag `darwin`, which no machine has"],
            ),
            (
                r#"{"machines": {"jon": {}, "sara": {}}, "instances": {"i": {"roles": {"r": {"machines": {"jonn": {}}}}}}}"#,
                &[
                    "instance `i` gives role `r` to `jonn`, which is not a machine of the fleet; did you mean `jon`?",
                ],
            ),
            (
                r#"{"machines": {"jon": {}}, "tags": {"web": ["printer", "jon", "printer"]}}"#,
                &["tag `web` lists `printer`, which is not a machine of the fleet"],
            ),
            (
                // A tag that lists no machine at all is one that no machine has.
                r#"{"machines": {"jon": {}}, "tags": {"web": ["jno"]},
                    "instances": {"i": {"roles": {"r": {"tags": {"web": {}}}}}}}"#,
                &[
                    "instance `i` gives role `r` to tag `web`, which no machine has",
                    "tag `web` lists `jno`, which is not a machine of the fleet; did you mean `jon`?",
                ],
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(&findings(json), expected, "{json}");
        }
    }

    #[test]
    fn the_json_shape() {
        let finding = Finding::UnknownTagMachine {
            tag: "web".into(),
            machine: "jno".into(),
            closest: vec!["jon".into()],
        };
        assert_eq!(
            serde_json::to_string(&finding).unwrap(),
            r#"{"kind":"unknown-tag-machine","tag":"web","machine":"jno","closest":["jon"]}"#
        );
    }
}
