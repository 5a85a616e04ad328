//! Owns the shape in which a fleet declares the vars of a machine. It must never decide what of it is
//! needed: that is [`Requirements`](crate::Requirements).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The entry's `vars` attribute.
///
/// `{ generators.<g> = { share ? false; validationHash ? null; files.<f> = { secret ? true, deploy ? true, owner ? "root",
/// group ? the class's, mode ? "0400", neededFor ? "services", restartUnits ? [] } } }`. Types are
/// strict; attributes that are not named here are passed over, as a newer fleet may have more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// Generators by name.
    #[serde(default)]
    pub generators: BTreeMap<String, DeclaredGenerator>,
}

impl Declared {
    /// Whether no generator is declared, so that the fleet's directory says what is needed.
    pub fn is_empty(&self) -> bool {
        self.generators.is_empty()
    }
}

/// One generator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeclaredGenerator {
    /// Whether its files are the same for all machines.
    pub share: bool,
    /// SHA-256, in lower-case hexadecimal, of what the values depend on (clan's `validationHash`). The values are
    /// stale where the file `.validation-hash` beside them has another.
    pub validation_hash: Option<String>,
    /// Files by name.
    pub files: BTreeMap<String, DeclaredFile>,
}

/// One file of a generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeclaredFile {
    /// Whether it is encrypted.
    pub secret: bool,
    /// Whether it is meant for the machine at all; without, it is for the fleet's admins alone.
    pub deploy: bool,
    /// Name or number of the account that owns the installed file.
    pub owner: String,
    /// Name or number of its group; `None` is the class's own.
    pub group: Option<String>,
    /// Four octal digits.
    pub mode: String,
    /// The stage of the system's start that needs it.
    pub needed_for: NeededFor,
    /// systemd units to restart when it changes.
    pub restart_units: Vec<String>,
}

impl Default for DeclaredFile {
    fn default() -> Self {
        Self {
            secret: true,
            deploy: true,
            owner: "root".to_owned(),
            group: None,
            mode: "0400".to_owned(),
            needed_for: NeededFor::Services,
            restart_units: Vec::new(),
        }
    }
}

/// The stage of a system's life at which a secret must be there (clan's `neededFor`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NeededFor {
    /// Before the disk is partitioned: at installation only, and never installed here.
    Partitioning,
    /// Before the activation script runs: laid down on the disk, in clan's upload directory, as clan does.
    Activation,
    /// Before accounts are made; installed apart and for root alone.
    Users,
    /// Before services start.
    #[default]
    Services,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_contract() {
        let declared: Declared = serde_json::from_str(r#"{"generators":{"g":{"files":{"f":{}}}}}"#).unwrap();
        let generator = &declared.generators["g"];
        assert!(!generator.share);
        assert_eq!(generator.files["f"], DeclaredFile::default());
        assert!(serde_json::from_str::<Declared>("{}").unwrap().is_empty());
    }

    #[test]
    fn more_attributes_are_passed_over_and_wrong_types_are_not() {
        let text = r#"{"store":"sops","generators":{"g":{"share":true,"validationHash":null,"files":{"f":
            {"secret":false,"neededFor":"users","group":"wheel","restartUnits":["a.service"],"path":"/x"}}}}}"#;
        let declared: Declared = serde_json::from_str(text).unwrap();
        let file = &declared.generators["g"].files["f"];
        assert_eq!(
            (file.secret, file.needed_for, file.group.as_deref()),
            (false, NeededFor::Users, Some("wheel"))
        );
        for wrong in [
            r#"{"secret":"yes"}"#,
            r#"{"mode":400}"#,
            r#"{"neededFor":"boot"}"#,
            r#"{"restartUnits":"a"}"#,
            r#"{"deploy":null}"#,
        ] {
            let text = format!(r#"{{"generators":{{"g":{{"files":{{"f":{wrong}}}}}}}}}"#);
            assert!(serde_json::from_str::<Declared>(&text).is_err(), "{wrong}");
        }
    }
}
