//! Owns the opening of everything that a manifest names, in memory: values, owners, places, templates. It must
//! never write, and never stop at the first thing that is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::call::Passwd;
use super::finding::{Consequence, Kind, ManifestFinding, Reason};
use super::manifest::{Manifest, SecretEntry, TemplateEntry};
use super::name::{place, rendered};
use super::source::{Sources, Value, read_bounded};
use super::template::Template;
use crate::identity::Identities;
use crate::install::{AccountKind, Accounts, Ownership};
use crate::mode::Mode;
use crate::sops::Format;

/// The largest text of a template, in bytes.
const LARGEST_TEXT: u64 = 32 << 20;

/// One file to be installed.
pub(super) struct File {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Path below the generation's folder.
    pub(super) place: String,
    /// Where it is looked for.
    pub(super) path: PathBuf,
    /// `None` where it failed.
    pub(super) value: Option<Value>,
    /// `None` leaves it with the account that writes it.
    pub(super) ownership: Option<Ownership>,
    pub(super) mode: Mode,
    pub(super) restart: Vec<String>,
    pub(super) reload: Vec<String>,
    /// How the values go into it, where it is a template.
    pub(super) template: Option<Template>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("place", &self.place)
            .field("opened", &self.value.is_some())
            .finish_non_exhaustive()
    }
}

/// A manifest, opened in memory. Its values are overwritten when it is dropped.
#[derive(Debug)]
pub struct Prepared {
    pub(super) files: Vec<File>,
    pub(super) findings: Vec<ManifestFinding>,
}

impl Prepared {
    /// All that is wrong.
    pub fn findings(&self) -> &[ManifestFinding] {
        &self.findings
    }

    /// All that is wrong, without the values.
    pub fn into_findings(self) -> Vec<ManifestFinding> {
        self.findings
    }

    /// How many secrets and templates have a value.
    pub fn len(&self) -> usize {
        self.files.iter().filter(|file| file.value.is_some()).count()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Opens all secrets of a manifest, looks all accounts up and fills all templates.
///
/// An owner that does not exist is a finding, and its file is prepared for root alone.
pub fn prepare(
    manifest: &Manifest,
    identities: &Identities,
    accounts: &Accounts,
    passwd: Passwd,
) -> Prepared {
    let mut work = Work {
        manifest,
        accounts,
        passwd,
        sources: Sources::new(identities),
        files: Vec::with_capacity(manifest.secrets.len().saturating_add(manifest.templates.len())),
        findings: Vec::new(),
        taken: BTreeMap::new(),
    };
    for secret in &manifest.secrets {
        work.secret(secret);
    }
    for template in &manifest.templates {
        work.template(template);
    }
    let mut prepared = Prepared {
        files: work.files,
        findings: work.findings,
    };
    prepared.fill_templates();
    prepared
}

impl Prepared {
    /// Fills the templates whose secrets all have a value, and that are not filled yet.
    pub(super) fn fill_templates(&mut self) {
        let values: BTreeMap<String, Value> = self
            .files
            .iter()
            .filter(|file| file.kind == Kind::Secret)
            .filter_map(|file| Some((file.name.clone(), file.value.clone()?)))
            .collect();
        for file in self.files.iter_mut().filter(|file| file.value.is_none()) {
            let Some(template) = &file.template else {
                continue;
            };
            let value = |name: &str| values.get(name).map(|value| value.as_slice());
            file.value = template.render(value).ok().map(Value::new);
        }
    }
}

struct Work<'a> {
    manifest: &'a Manifest,
    accounts: &'a Accounts,
    passwd: Passwd,
    sources: Sources<'a>,
    files: Vec<File>,
    findings: Vec<ManifestFinding>,
    /// Whose place is whose.
    taken: BTreeMap<String, String>,
}

impl Work<'_> {
    fn secret(&mut self, entry: &SecretEntry) {
        let (kind, name) = (Kind::Secret, entry.name.as_str());
        let Some((place, mode)) = self.common(kind, name, place(name), &entry.mode) else {
            return;
        };
        let (ownership, mode) = self.access(
            kind,
            name,
            mode,
            (AccountKind::User, entry.owner.as_deref(), entry.uid),
            (AccountKind::Group, entry.group.as_deref(), entry.gid),
        );
        let value = format_of(&entry.format).map_err(Reason::from).and_then(|format| {
            self.sources
                .value(&entry.sops_file, format, &entry.key)
                .map_err(Reason::from)
        });
        let value = value.map_err(|reason| self.find(kind, name, reason)).ok();
        self.files.push(File {
            kind,
            name: name.to_owned(),
            place,
            path: PathBuf::from(&entry.path),
            value,
            ownership,
            mode,
            restart: entry.restart_units.clone(),
            reload: entry.reload_units.clone(),
            template: None,
        });
    }

    fn template(&mut self, entry: &TemplateEntry) {
        let (kind, name) = (Kind::Template, entry.name.as_str());
        let Some((place, mode)) = self.common(kind, name, rendered(name), &entry.mode) else {
            return;
        };
        let (ownership, mode) = self.access(
            kind,
            name,
            mode,
            (AccountKind::User, entry.owner.as_deref(), entry.uid),
            (AccountKind::Group, entry.group.as_deref(), entry.gid),
        );
        let template = match text_of(entry) {
            Ok(text) => Some(parse_template(text, self.manifest)),
            Err(reason) => {
                self.find(kind, name, reason);
                None
            }
        };
        for reason in template
            .iter()
            .flat_map(|template| strays(template, self.manifest))
        {
            self.findings.push(ManifestFinding {
                consequence: Consequence::Installed,
                ..ManifestFinding::new(kind, name, reason)
            });
        }
        let failed = |needed: &&str| {
            let secret = self
                .files
                .iter()
                .find(|file| file.kind == Kind::Secret && file.name == **needed);
            secret.is_none_or(|secret| secret.value.is_none())
        };
        let failed = template
            .as_ref()
            .and_then(|template| template.names().find(failed));
        if let Some(failed) = failed.map(str::to_owned) {
            self.find(kind, name, Reason::NoValue { name: failed });
        }
        self.files.push(File {
            kind,
            name: name.to_owned(),
            place,
            path: PathBuf::from(&entry.path),
            value: None,
            ownership,
            mode,
            restart: entry.restart_units.clone(),
            reload: entry.reload_units.clone(),
            template,
        });
    }

    fn find(&mut self, kind: Kind, name: &str, reason: impl Into<Reason>) {
        self.findings.push(ManifestFinding::new(kind, name, reason));
    }

    /// Place and mode; a file without a place cannot be installed, one without a mode is root's to read.
    fn common(
        &mut self,
        kind: Kind,
        name: &str,
        place: Result<String, super::InvalidPlace>,
        mode: &str,
    ) -> Option<(String, Mode)> {
        let missing = |reason: Reason| ManifestFinding {
            consequence: Consequence::Missing,
            ..ManifestFinding::new(kind, name, reason)
        };
        let place = match place {
            Ok(place) => place,
            Err(error) => {
                self.findings.push(missing(error.into()));
                return None;
            }
        };
        if let Some(other) = taken_by(&self.taken, &place) {
            self.findings.push(missing(Reason::Taken { other }));
            return None;
        }
        self.taken.insert(place.clone(), name.to_owned());
        let mode = match Mode::from_octal(mode) {
            Ok(mode) => mode,
            Err(error) => {
                self.findings.push(ManifestFinding {
                    consequence: Consequence::RootOnly,
                    ..ManifestFinding::new(kind, name, error)
                });
                Mode::OWNER_READ
            }
        };
        Some((place, mode))
    }

    fn access(
        &mut self,
        kind: Kind,
        name: &str,
        mode: Mode,
        user: (AccountKind, Option<&str>, i64),
        group: (AccountKind, Option<&str>, i64),
    ) -> (Option<Ownership>, Mode) {
        if self.manifest.user_mode || self.accounts.is_unprivileged() {
            return (None, mode);
        }
        let root = Ownership { uid: 0, gid: 0 };
        if self.passwd == Passwd::Ignore {
            return (Some(root), mode);
        }
        let mut number = |(account, owner, number): (AccountKind, Option<&str>, i64)| {
            let found = match owner {
                None => u32::try_from(number)
                    .ok()
                    // That number is chown's "leave it as it is".
                    .filter(|number| *number != u32::MAX)
                    .ok_or(Reason::AccountNumber {
                        kind: account,
                        number,
                    }),
                Some(owner) => match self.accounts.resolve(account, owner) {
                    Ok(Some(_)) if self.accounts.leaves(account, owner) => Err(Reason::Leaving {
                        kind: account,
                        name: owner.to_owned(),
                    }),
                    Ok(Some(number)) => Ok(number),
                    Ok(None) => Err(Reason::Account {
                        kind: account,
                        name: owner.to_owned(),
                    }),
                    Err(error) => Err(error.into()),
                },
            };
            let finding = |reason| ManifestFinding {
                consequence: Consequence::RootOnly,
                ..ManifestFinding::new(kind, name, reason)
            };
            found.map_err(|reason| self.findings.push(finding(reason))).ok()
        };
        match (number(user), number(group)) {
            (Some(uid), Some(gid)) => (Some(Ownership { uid, gid }), mode),
            _ => (Some(root), mode.for_owner_alone()),
        }
    }
}

/// sops-nix takes an empty format for YAML.
pub(super) fn format_of(format: &str) -> Result<Format, crate::sops::UnknownFormat> {
    if format.is_empty() {
        return Ok(Format::Yaml);
    }
    format.parse()
}

/// The entry that has this place, one below it or one above it.
pub(super) fn taken_by(taken: &BTreeMap<String, String>, place: &str) -> Option<String> {
    let above = place
        .match_indices('/')
        .filter_map(|(index, _)| taken.get(place.get(..index)?))
        .next();
    let below = || {
        let (other, name) = taken.range(place.to_owned()..).next()?;
        let rest = other.strip_prefix(place)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(name)
    };
    // Between `a` and `a/b` other names may lie, such as `a-b`.
    let folder = || {
        let folder = format!("{place}/");
        let (other, name) = taken.range(folder.clone()..).next()?;
        other.starts_with(&folder).then_some(name)
    };
    above.or_else(below).or_else(folder).cloned()
}

pub(super) fn text_of(entry: &TemplateEntry) -> Result<Vec<u8>, Reason> {
    if !entry.content.is_empty() {
        return Ok(entry.content.clone().into_bytes());
    }
    if entry.file.is_empty() {
        return Err(Reason::NoText);
    }
    let path = Path::new(&entry.file);
    let failed = |source| Reason::Text {
        path: path.to_owned(),
        source,
    };
    read_bounded(path, LARGEST_TEXT)
        .and_then(|text| text.ok_or_else(|| std::io::ErrorKind::FileTooLarge.into()))
        .map_err(failed)
}

/// Cut at the placeholders of the manifest's own secrets: those of others stay as they are, as in sops-nix.
pub(super) fn parse_template(text: Vec<u8>, manifest: &Manifest) -> Template {
    let own: BTreeMap<_, _> = manifest
        .secrets
        .iter()
        .filter_map(|secret| {
            let placeholder = manifest.placeholder_by_secret_name.get(&secret.name)?;
            Some((secret.name.clone(), placeholder.clone()))
        })
        .collect();
    Template::parse(text, &own)
}

/// The placeholders that stay in a template's text.
pub(super) fn strays<'a>(
    template: &'a Template,
    manifest: &'a Manifest,
) -> impl Iterator<Item = Reason> + 'a {
    template.strays().iter().map(|placeholder| {
        let owner = manifest
            .placeholder_by_secret_name
            .iter()
            .find(|(_, known)| *known == placeholder);
        match owner {
            Some((name, _)) => Reason::ForeignSecret { name: name.clone() },
            None => Reason::Stray {
                placeholder: placeholder.clone(),
            },
        }
    })
}

impl File {
    /// The bytes to be written.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        self.value.as_ref().map(|value| value.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_by_itself_its_folder_and_what_is_in_it() {
        let taken: BTreeMap<_, _> = ["a/b", "c", "d-e", "d/f"]
            .into_iter()
            .map(|place| (place.to_owned(), place.to_owned()))
            .collect();
        for (place, by) in [
            ("a", Some("a/b")),
            ("a/b", Some("a/b")),
            ("a/b/c", Some("a/b")),
            ("a/c", None),
            ("c/d/e", Some("c")),
            ("d", Some("d/f")),
            ("e", None),
        ] {
            assert_eq!(taken_by(&taken, place).as_deref(), by, "{place}");
        }
    }
}
