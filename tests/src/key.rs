//! The keys that open secrets: the published ones of the example fleet.

use crate::binary::example;

/// An age key pair.
#[derive(Debug, Clone)]
pub struct Key {
    /// The text of the key file, as age-keygen writes it.
    pub identity: String,
    /// `age1…`
    pub recipient: String,
}

impl Key {
    /// The key of a machine of the example, or of its `admin`.
    #[must_use]
    pub fn of(name: &str) -> Key {
        let identity = std::fs::read_to_string(example().join(format!("example-keys/{name}.txt"))).unwrap();
        let line = identity
            .lines()
            .find_map(|line| line.strip_prefix("# public key: "));
        let recipient = line.unwrap_or_else(|| panic!("the key of {name} does not name its recipient"));
        Key {
            recipient: recipient.to_owned(),
            identity,
        }
    }

    /// The one key of the plugin `age-plugin-marked`, which is among the programs of the fixtures.
    #[must_use]
    pub fn of_plugin() -> Key {
        Key {
            identity: "AGE-PLUGIN-MARKED-1VYS8GETNWS9TFDQV".to_owned(),
            recipient: "age1marked1vys8getnwsanrc70".to_owned(),
        }
    }
}
