//! Owns the places in which clan's secret stores keep a secret in the repository. It must never read one.

use crate::requirements::Requirement;

/// Which of clan's secret stores (`clan.core.vars.settings.secretStore`) keeps a machine's secrets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Backend {
    /// sops files beside the public values: `vars/<place>/<generator>/<file>/secret`. Native fleets have this one.
    Sops,
    /// age files: `secrets/clan-vars/<place>/<generator>/<file>/<file>.age`.
    Age,
    /// A store that keeps nothing in the repository, so that nothing can be pulled from there.
    Elsewhere {
        /// Its name, as the fleet gives it: `password-store`, `custom` …
        name: String,
    },
}

impl Backend {
    /// The store of a name that an entry gives; sops where it gives none, which is clan's default.
    #[must_use]
    pub fn of(name: Option<&str>) -> Self {
        match name {
            None | Some("sops") => Self::Sops,
            Some("age") => Self::Age,
            Some(name) => Self::Elsewhere {
                name: name.to_owned(),
            },
        }
    }

    /// Where a file of a machine lies, below the fleet's directory. Public values lie at one place for all stores;
    /// for secrets of a store elsewhere it is the place where sops would have them.
    #[must_use]
    pub fn path(&self, requirement: &Requirement, machine: &str) -> String {
        match self {
            Self::Age if requirement.secret => age_path(
                requirement.install_path(machine).trim_start_matches("vars/"),
                &requirement.file,
            ),
            _ => requirement.repository_path(machine),
        }
    }
}

/// The folder of the age store's secrets.
pub(crate) const AGE_SECRETS: &str = "secrets/clan-vars";

/// The folder of the age store's keys of machines: `<m>/pub`, `<m>/key.age`.
pub(crate) const AGE_KEYS: &str = "secrets/age-keys/machines";

/// The file of the age store for `per-machine/<m>/<g>/<f>` or `shared/<g>/<f>`.
pub(crate) fn age_path(place: &str, file: &str) -> String {
    format!("{AGE_SECRETS}/{place}/{file}.age")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::Declared;
    use crate::requirements::Requirements;

    /// The paths of clan's own test of its age store (`age-source-path.nix`).
    #[test]
    fn paths_are_those_of_clan() {
        let text = r#"{"generators":{"zerotier":{"files":{"identity":{},"ip":{"secret":false}}},
            "wifi":{"share":true,"files":{"psk":{}}}}}"#;
        let declared: Declared = serde_json::from_str(text).unwrap();
        let requirements = Requirements::declared(&declared, "jon", "root").unwrap();
        let paths = |backend: Backend| -> Vec<String> {
            requirements
                .files()
                .iter()
                .map(|file| backend.path(file, "jon"))
                .collect()
        };
        assert_eq!(
            paths(Backend::Age),
            [
                "secrets/clan-vars/per-machine/jon/zerotier/identity/identity.age",
                "vars/per-machine/jon/zerotier/ip/value",
                "secrets/clan-vars/shared/wifi/psk/psk.age",
            ]
        );
        assert_eq!(
            paths(Backend::of(None)),
            [
                "vars/per-machine/jon/zerotier/identity/secret",
                "vars/per-machine/jon/zerotier/ip/value",
                "vars/shared/wifi/psk/secret",
            ]
        );
        assert!(matches!(
            Backend::of(Some("password-store")),
            Backend::Elsewhere { .. }
        ));
    }
}
