//! Owns the `sops` section of a file. It must never open anything with it.

use super::error::{KeyKind, SopsError};
use super::json::Node;
use super::rules::{Rule, compile};

/// A data key sealed for one recipient.
pub(super) struct Sealed {
    pub(super) recipient: String,
    /// A whole armored age file.
    pub(super) armored: String,
}

/// The parts of the `sops` section that opening needs.
pub(super) struct Metadata {
    pub(super) age: Vec<Sealed>,
    pub(super) others: Vec<KeyKind>,
    pub(super) last_modified: String,
    pub(super) mac: String,
    pub(super) rule: Rule,
    pub(super) mac_only_encrypted: bool,
}

/// The key lists besides `age`, by the names in the file.
const OTHERS: [(&str, KeyKind); 6] = [
    ("pgp", KeyKind::Pgp),
    ("kms", KeyKind::Kms),
    ("gcp_kms", KeyKind::GcpKms),
    ("hckms", KeyKind::HuaweiKms),
    ("azure_kv", KeyKind::AzureKeyVault),
    ("hc_vault", KeyKind::Vault),
];

impl Metadata {
    pub(super) fn read(node: &Node) -> Result<Self, SopsError> {
        let section = Section::of(node, "sops")?;
        let mut age = section.sealed()?;
        let mut others = section.others()?;
        // Key groups count only where the section itself lists no key (stores/stores.go).
        if age.is_empty() && others.is_empty() {
            match section.list("key_groups")? {
                [] => {}
                [group] => {
                    let group = Section::of(group, "key_groups")?;
                    age = group.sealed()?;
                    others = group.others()?;
                }
                groups => return Err(SopsError::KeyGroups { count: groups.len() }),
            }
        }
        Ok(Self {
            age,
            others,
            last_modified: section.text("lastmodified")?.to_owned(),
            mac: section.text("mac")?.to_owned(),
            rule: section.rule()?,
            mac_only_encrypted: section.flag("mac_only_encrypted")?,
        })
    }
}

struct Section<'a>(&'a [(String, Node)]);

impl<'a> Section<'a> {
    fn of(node: &'a Node, field: &'static str) -> Result<Self, SopsError> {
        match node {
            Node::Map(entries) => Ok(Self(entries)),
            _ => Err(SopsError::Metadata { field }),
        }
    }

    fn get(&self, field: &str) -> Option<&'a Node> {
        let entry = self.0.iter().find(|(key, _)| key == field);
        entry
            .map(|(_, value)| value)
            .filter(|value| !matches!(value, Node::Null))
    }

    fn list(&self, field: &'static str) -> Result<&'a [Node], SopsError> {
        match self.get(field) {
            None => Ok(&[]),
            Some(Node::List(items)) => Ok(items),
            Some(_) => Err(SopsError::Metadata { field }),
        }
    }

    /// Missing is empty.
    fn text(&self, field: &'static str) -> Result<&'a str, SopsError> {
        match self.get(field) {
            None => Ok(""),
            Some(Node::Text(text)) => Ok(text),
            Some(_) => Err(SopsError::Metadata { field }),
        }
    }

    /// sops decodes its section weakly typed; these are the words that Go's `ParseBool` takes.
    fn flag(&self, field: &'static str) -> Result<bool, SopsError> {
        match self.get(field) {
            None => Ok(false),
            Some(Node::Bool(flag)) => Ok(*flag),
            Some(Node::Integer(number)) => Ok(*number != 0),
            Some(Node::Text(text)) => match text.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
                "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
                _ => Err(SopsError::Metadata { field }),
            },
            Some(_) => Err(SopsError::Metadata { field }),
        }
    }

    fn sealed(&self) -> Result<Vec<Sealed>, SopsError> {
        let entries = self.list("age")?.iter();
        let read = entries.map(|entry| {
            let entry = Section::of(entry, "age")?;
            Ok(Sealed {
                recipient: entry.text("recipient")?.to_owned(),
                armored: entry.text("enc")?.to_owned(),
            })
        });
        read.collect()
    }

    fn others(&self) -> Result<Vec<KeyKind>, SopsError> {
        let mut kinds = Vec::new();
        for (field, kind) in OTHERS {
            if !self.list(field)?.is_empty() {
                kinds.push(kind);
            }
        }
        Ok(kinds)
    }

    fn rule(&self) -> Result<Rule, SopsError> {
        let names = [
            "unencrypted_suffix",
            "encrypted_suffix",
            "unencrypted_regex",
            "encrypted_regex",
            "unencrypted_comment_regex",
            "encrypted_comment_regex",
        ];
        let mut given = Vec::new();
        for name in names {
            let text = self.text(name)?;
            if !text.is_empty() {
                given.push((name, text));
            }
        }
        match given.as_slice() {
            [] => Ok(Rule::by_default()),
            [("unencrypted_suffix", suffix)] => Ok(Rule::UnencryptedSuffix((*suffix).to_owned())),
            [("encrypted_suffix", suffix)] => Ok(Rule::EncryptedSuffix((*suffix).to_owned())),
            [(name @ "unencrypted_regex", regex)] => Ok(Rule::UnencryptedRegex(compile(name, regex)?)),
            [(name @ "encrypted_regex", regex)] => Ok(Rule::EncryptedRegex(compile(name, regex)?)),
            [(name, _)] => Err(SopsError::UnsupportedRule { rule: name }),
            _ => Err(SopsError::ConflictingRules),
        }
    }
}
