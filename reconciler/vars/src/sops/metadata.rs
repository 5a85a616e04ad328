//! Owns the `sops` section of a file. It must never open anything with it.

use std::borrow::Cow;

use super::error::{KeyKind, SopsError};
use super::node::{self, Entry, Node};
use super::rules::Rule;

/// A data key sealed for one recipient.
pub(super) struct Sealed {
    pub(super) recipient: String,
    /// A whole armored age file.
    pub(super) armored: String,
}

/// Keys of which any one opens the same.
pub(super) struct Group {
    pub(super) age: Vec<Sealed>,
    /// The kinds of its other keys, each once.
    pub(super) others: Vec<KeyKind>,
    /// The fingerprints of its PGP keys.
    pub(super) pgp: Vec<String>,
    /// How many keys of services it has.
    pub(super) services: usize,
}

/// The parts of the `sops` section that opening needs.
pub(super) struct Metadata {
    /// Of one group, each key opens the data key; of several, a share of it.
    pub(super) groups: Vec<Group>,
    /// How many of several groups are needed; 0 where the file does not say.
    pub(super) threshold: usize,
    pub(super) last_modified: String,
    pub(super) mac: String,
    pub(super) protection: Protection,
}

/// Which values are encrypted, and which the MAC vouches for.
pub(super) struct Protection {
    pub(super) rule: Rule,
    pub(super) mac_only_encrypted: bool,
}

impl Protection {
    pub(super) fn read(section: &[Entry]) -> Result<Self, SopsError> {
        let section = Section(section);
        Ok(Self {
            rule: section.rule()?,
            mac_only_encrypted: section.flag("mac_only_encrypted")?,
        })
    }
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
    pub(super) fn read(section: &[Entry]) -> Result<Self, SopsError> {
        let protection = Protection::read(section)?;
        let section = Section(section);
        let top = section.group()?;
        // Key groups count only where the section itself lists no key (stores/stores.go).
        let groups = if top.age.is_empty() && top.others.is_empty() {
            let groups = section.list("key_groups")?;
            if groups.len() > MOST_GROUPS {
                return Err(SopsError::TooManyGroups {
                    count: groups.len(),
                    limit: MOST_GROUPS,
                });
            }
            groups
                .into_iter()
                .map(|group| Section::of(group, "key_groups")?.group())
                .collect::<Result<_, _>>()?
        } else {
            vec![top]
        };
        Ok(Self {
            groups,
            threshold: section.count("shamir_threshold")?,
            last_modified: section.text("lastmodified")?.into_owned(),
            mac: section.text("mac")?.into_owned(),
            protection,
        })
    }

    /// How many of several groups open the file together: as many as it says, and no fewer than two, as sops has it
    /// (sops.go, `GetDataKeyWithKeyServices`).
    pub(super) fn groups_needed(&self) -> usize {
        self.threshold.max(2)
    }

    /// Every entry for an age key, of all groups.
    pub(super) fn age(&self) -> impl Iterator<Item = &Sealed> {
        self.groups.iter().flat_map(|group| &group.age)
    }
}

/// More shares there cannot be: each has a point of its own in a field of 256 (shamir/shamir.go).
const MOST_GROUPS: usize = 255;

/// sops decodes its section weakly typed: a number may be a text, a text a number.
struct Section<'a>(&'a [Entry]);

impl<'a> Section<'a> {
    fn of(node: &'a Node, field: &'static str) -> Result<Self, SopsError> {
        match node {
            Node::Map(entries) => Ok(Self(entries)),
            _ => Err(SopsError::Metadata { field }),
        }
    }

    fn get(&self, field: &str) -> Option<&'a Node> {
        node::get(self.0, field).filter(|value| !matches!(value, Node::Null))
    }

    fn list(&self, field: &'static str) -> Result<Vec<&'a Node>, SopsError> {
        match self.get(field) {
            None => Ok(Vec::new()),
            Some(Node::List(items)) => Ok(node::values(items).collect()),
            Some(Node::Map(entries)) if entries.is_empty() => Ok(Vec::new()),
            Some(single @ Node::Map(_)) => Ok(vec![single]),
            Some(_) => Err(SopsError::Metadata { field }),
        }
    }

    /// Missing is empty.
    fn text(&self, field: &'static str) -> Result<Cow<'a, str>, SopsError> {
        let malformed = SopsError::Metadata { field };
        Ok(match self.get(field) {
            None => Cow::Borrowed(""),
            Some(text @ Node::Text(_)) => Cow::Borrowed(text.as_str().ok_or(malformed)?),
            // A YAML file need not quote its time.
            Some(Node::Time(time)) => Cow::Owned(time.to_string()),
            Some(Node::Integer(number)) => Cow::Owned(number.to_string()),
            Some(_) => return Err(malformed),
        })
    }

    fn count(&self, field: &'static str) -> Result<usize, SopsError> {
        let malformed = SopsError::Metadata { field };
        match self.get(field) {
            None => Ok(0),
            Some(Node::Integer(number)) => usize::try_from(*number).map_err(|_| malformed),
            Some(Node::Float(number)) if *number == number.trunc() && (0.0..256.0).contains(number) => {
                Ok(*number as usize)
            }
            Some(text) => text.as_str().and_then(|text| text.parse().ok()).ok_or(malformed),
        }
    }

    /// The words are those that Go's `ParseBool` takes.
    fn flag(&self, field: &'static str) -> Result<bool, SopsError> {
        match self.get(field) {
            None => Ok(false),
            Some(Node::Bool(flag)) => Ok(*flag),
            Some(Node::Integer(number)) => Ok(*number != 0),
            Some(text) => match text.as_str().ok_or(SopsError::Metadata { field })? {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
                "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
                _ => Err(SopsError::Metadata { field }),
            },
        }
    }

    fn group(&self) -> Result<Group, SopsError> {
        let (mut others, mut services) = (Vec::new(), 0_usize);
        for (field, kind) in OTHERS {
            let keys = self.list(field)?.len();
            if keys > 0 {
                others.push(kind);
            }
            if kind != KeyKind::Pgp {
                services = services.saturating_add(keys);
            }
        }
        let pgp = self.list("pgp")?.into_iter();
        let pgp = pgp.map(|key| Ok(Section::of(key, "pgp")?.text("fp")?.into_owned()));
        Ok(Group {
            age: self.sealed()?,
            others,
            pgp: pgp.collect::<Result<_, _>>()?,
            services,
        })
    }

    fn sealed(&self) -> Result<Vec<Sealed>, SopsError> {
        let entries = self.list("age")?.into_iter();
        let read = entries.map(|entry| {
            let entry = Section::of(entry, "age")?;
            Ok(Sealed {
                recipient: entry.text("recipient")?.into_owned(),
                armored: entry.text("enc")?.into_owned(),
            })
        });
        read.collect()
    }

    fn rule(&self) -> Result<Rule, SopsError> {
        let mut rule = None;
        for name in Rule::NAMES {
            let text = self.text(name)?;
            if text.is_empty() {
                continue;
            }
            if rule.is_some() {
                return Err(SopsError::ConflictingRules);
            }
            rule = Some(Rule::named(name, &text)?);
        }
        Ok(rule.unwrap_or_else(Rule::by_default))
    }
}
