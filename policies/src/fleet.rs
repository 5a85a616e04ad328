//! The policy that a fleet declares in `reconciler.toml`: for all machines, for tags, for machines. It owns
//! the file's shape and the order of its parts; combining them is `Policy::merge`'s.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

use crate::document::{Document, DocumentError};
use crate::fragment::Fragment;

/// The parts of a fleet's `reconciler.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetPolicy {
    /// `[policy]`
    pub all: Fragment,
    /// `[policy.tags.<tag>]`
    pub tags: BTreeMap<String, Fragment>,
    /// `[policy.machines.<machine>]`
    pub machines: BTreeMap<String, Fragment>,
}

impl FleetPolicy {
    /// Reads the text of a `reconciler.toml`. An empty text declares nothing.
    ///
    /// # Errors
    /// [`DocumentError`] with the line and the key of the first mistake.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let (document, mut root) = Document::parse(text)?;
        let policy = root.get_mut().remove("policy");
        if let Some(key) = root.get_ref().keys().next() {
            return Err(document.unknown_key(key.get_ref(), &key.span(), &["policy"]));
        }
        let Some(policy) = policy else {
            return Ok(Self::default());
        };
        let span = policy.span();
        let DeValue::Table(mut table) = policy.into_inner() else {
            return Err(document.not_a_table("policy", span.start));
        };
        let tags = table.remove("tags");
        let machines = table.remove("machines");
        Ok(Self {
            all: document.table(Spanned::new(span, table), &["tags", "machines"])?,
            tags: fragments(&document, tags)?,
            machines: fragments(&document, machines)?,
        })
    }

    /// The fragments that concern a machine, in the order in which they are merged: all machines, its tags
    /// in alphabetical order, the machine itself.
    #[must_use]
    pub fn fragments<S: AsRef<str>>(&self, machine: &str, tags: &[S]) -> Vec<Fragment> {
        let tagged = self
            .tags
            .iter()
            .filter(|(name, _)| tags.iter().any(|tag| tag.as_ref() == *name));
        std::iter::once(&self.all)
            .chain(tagged.map(|(_, fragment)| fragment))
            .chain(self.machines.get(machine))
            .cloned()
            .collect()
    }
}

fn fragments(
    document: &Document<'_>,
    value: Option<Spanned<DeValue<'_>>>,
) -> Result<BTreeMap<String, Fragment>, DocumentError> {
    value.map_or_else(|| Ok(BTreeMap::new()), |value| document.value(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::preset::Preset;

    const FLEET: &str = r#"
[policy]
keep_generations = 8
build_timeout = "2h"
critical_units = ["sshd.service"]

[policy.probes]
ssh = { command = ["systemctl", "is-active", "sshd"] }

[policy.tags.laptop]
preset = "laptop"
build_timeout = "4h"

[policy.tags.edge]
build_timeout = "3h"
critical_units = ["nginx.service"]
kernel_change = "reboot"
evaluation_memory = "2 GiB"

[policy.machines.cinnabar]
evaluation_memory = "3 GiB"

[policy.machines.cinnabar.probes]
ssh = { command = ["true"], timeout = "5s" }
web = { command = ["curl", "-f", "http://localhost"] }
"#;

    #[test]
    fn all_then_tags_then_machine_then_local() {
        let fleet = FleetPolicy::parse(FLEET).unwrap();
        let mut order = fleet.fragments("cinnabar", &["laptop", "edge", "all"]);
        let policy = Policy::merge(&order).unwrap();
        let text = serde_json::to_value(&policy).unwrap();
        assert_eq!(
            text,
            serde_json::json!({
                "preset": "laptop",
                "activation_timeout": "1h",
                "evaluation_timeout": "30m",
                // the machine's, not the tag's
                "evaluation_memory": "3 GiB",
                // of two tags the later one in the alphabet
                "build_timeout": "4h",
                "drift": "report",
                "drift_interval": "4h",
                "foreign_generation": "report",
                "probe_grace": "20s",
                "probe_retries": 1,
                "probe_soak": "5s",
                "probes": {
                    "ssh": {"command": ["true"], "timeout": "5s"},
                    "web": {"command": ["curl", "-f", "http://localhost"], "timeout": "10s"},
                },
                "keep_generations": 8,
                "keep_within": null,
                "critical_units": ["nginx.service", "sshd.service"],
                "specialisation": null,
                "kernel_change": "reboot",
                "boot_grace": "3m",
            })
        );
        order.push(Fragment {
            preset: Some(Preset::Server),
            ..Fragment::default()
        });
        let local = Policy::merge(&order).unwrap();
        assert_eq!(local.activation_timeout.get().as_secs(), 30 * 60);
        assert_eq!(local.keep_generations.get(), 8);
    }

    #[test]
    fn other_machines_get_what_is_for_all() {
        let fleet = FleetPolicy::parse(FLEET).unwrap();
        assert_eq!(fleet.fragments::<&str>("basalt", &[]), vec![fleet.all.clone()]);
        let policy = Policy::merge(&fleet.fragments("basalt", &["edge"])).unwrap();
        assert_eq!(policy.evaluation_memory.to_string(), "2 GiB");
        assert_eq!(policy.probes.len(), 1);
    }

    #[test]
    fn an_empty_text_declares_nothing() {
        assert_eq!(FleetPolicy::parse("").unwrap(), FleetPolicy::default());
        assert_eq!(FleetPolicy::parse("[policy]\n").unwrap(), FleetPolicy::default());
    }

    #[test]
    fn mistakes_name_line_key_and_what_was_meant() {
        let cases = [
            (
                "[polcy]\nkeep_generations = 3",
                "line 1: unknown key `polcy`; did you mean `policy`?",
                "",
            ),
            (
                "\n[policy]\nkeep_generation = 3",
                "line 3: unknown key `policy.keep_generation`; did you mean `keep_generations`?",
                "",
            ),
            (
                "[policy.tag.web]\npreset = \"server\"",
                "line 1: unknown key `policy.tag`; did you mean `tags`?",
                "",
            ),
            (
                "[policy.tags.web]\n\nevaluation_memry = \"1 GiB\"",
                "line 3: unknown key `policy.tags.web.evaluation_memry`; did you mean `evaluation_memory`?",
                "",
            ),
            (
                "[policy.probes]\na = { comand = [\"x\"] }",
                "line 2: unknown key `policy.probes.a.comand`; did you mean `command`?",
                "",
            ),
            ("[policy]\nzzz = 1", "line 2: unknown key `policy.zzz`", ""),
            (
                "[policy.tags.web.tags]",
                "line 1: unknown key `policy.tags.web.tags`",
                "",
            ),
            ("policy = 3", "line 1: `policy` must be a table", ""),
            (
                "[policy]\ntags = 3",
                "line 2: cannot read `policy.tags`",
                "invalid type: integer `3`, expected a map",
            ),
            (
                "[policy]\nbuild_timeout = \"soon\"",
                "line 2: cannot read `policy.build_timeout`",
                "`soon` is not a duration such as `90s`, `5min` or `2h`",
            ),
            (
                "[policy]\nbuild_timeout = \"0s\"",
                "line 2: cannot read `policy.build_timeout`",
                "a timeout of `0s` is not longer than nothing",
            ),
            (
                "[policy]\nbuild_timeout = 60",
                "line 2: cannot read `policy.build_timeout`",
                "invalid type: integer `60`, expected a string",
            ),
            (
                "[policy]\npreset = \"desktop\"",
                "line 2: cannot read `policy.preset`",
                "unknown variant `desktop`, expected one of `server`, `workstation`, `laptop`",
            ),
            (
                "[policy.machines.m]\nkeep_generations = 1",
                "line 2: cannot read `policy.machines.m.keep_generations`",
                "to keep 1 is too few: a rollback needs 2 generations or more",
            ),
            (
                "[policy.probes.a]\ncommand = []",
                "line 2: cannot read `policy.probes.a.command`",
                "a probe needs a command: a list that starts with the program",
            ),
            (
                "[policy.probes.a]\ntimeout = \"1s\"",
                "line 1: cannot read `policy.probes.a`",
                "a probe has exactly one of `command`, `http`, `tcp` and `unit`",
            ),
            (
                "[policy]\ncritical_units = [\"sshd\"]",
                "line 2: cannot read `policy.critical_units`",
                "`sshd` is not the name of a unit with its type, such as `sshd.service`",
            ),
            (
                "[policy]\nkeep_generations 3",
                "line 2: this is not TOML",
                "key with no value, expected `=`",
            ),
        ];
        for (text, expected, because) in cases {
            let error = FleetPolicy::parse(text).unwrap_err();
            assert_eq!(error.to_string(), expected, "{text}");
            let source = std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default();
            assert_eq!(source, because, "{text}");
        }
    }
}
