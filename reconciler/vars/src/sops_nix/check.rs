//! Owns the judging of a manifest where no key is, as in the build of a system. It must never open a value.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::call::CheckMode;
use super::finding::{Kind, ManifestFinding, Reason};
use super::manifest::{Manifest, SecretEntry};
use super::name::{place, rendered};
use super::prepare::{format_of, parse_template, strays, taken_by, text_of};
use super::source::{self, SourceError};
use crate::mode::Mode;
use crate::sops::{Format, SealedKeys};

/// All that is wrong with a manifest as far as it can be told without a key: names, modes, formats, templates and
/// their placeholders; and with [`CheckMode::SopsFile`], that each file reads and has the keys.
pub fn check(manifest: &Manifest, mode: CheckMode) -> Vec<ManifestFinding> {
    let mut work = Work {
        mode,
        findings: Vec::new(),
        taken: BTreeMap::new(),
        formats: HashMap::new(),
        files: HashMap::new(),
    };
    if !manifest.gnupg_home.is_empty() {
        let others = [
            ("sshKeyPaths", !manifest.ssh_key_paths.is_empty()),
            ("ageKeyFile", !manifest.age_key_file.is_empty()),
        ];
        for (field, _) in others.into_iter().filter(|(_, is_set)| *is_set) {
            work.find(Kind::Manifest, "", Reason::Exclusive { field });
        }
    }
    for secret in &manifest.secrets {
        work.entry(Kind::Secret, &secret.name, place(&secret.name), &secret.mode);
        if let Err(reason) = work.source(secret) {
            work.find(Kind::Secret, &secret.name, reason);
        }
    }
    for template in &manifest.templates {
        let (kind, name) = (Kind::Template, template.name.as_str());
        work.entry(kind, name, rendered(name), &template.mode);
        match text_of(template) {
            Ok(text) => {
                let template = parse_template(text, manifest);
                for reason in strays(&template, manifest) {
                    work.find(kind, name, reason);
                }
            }
            Err(reason) => work.find(kind, name, reason),
        }
    }
    work.findings
}

struct Work<'a> {
    mode: CheckMode,
    findings: Vec<ManifestFinding>,
    taken: BTreeMap<String, String>,
    /// In which format a file was first read, and for which secret.
    formats: HashMap<&'a Path, (Format, &'a str)>,
    files: HashMap<&'a Path, Result<SealedKeys, SourceError>>,
}

impl<'a> Work<'a> {
    fn find(&mut self, kind: Kind, name: &str, reason: impl Into<Reason>) {
        self.findings.push(ManifestFinding::new(kind, name, reason));
    }

    fn entry(&mut self, kind: Kind, name: &str, place: Result<String, super::InvalidPlace>, mode: &str) {
        match place {
            Err(error) => self.find(kind, name, error),
            Ok(place) => {
                if let Some(other) = taken_by(&self.taken, &place) {
                    self.find(kind, name, Reason::Taken { other });
                }
                self.taken.insert(place, name.to_owned());
            }
        }
        if let Err(error) = Mode::from_octal(mode) {
            self.find(kind, name, error);
        }
    }

    fn source(&mut self, secret: &'a SecretEntry) -> Result<(), Reason> {
        let path = secret.sops_file.as_path();
        let format = format_of(&secret.format)?;
        let (before, other) = *self.formats.entry(path).or_insert((format, &secret.name));
        if before != format {
            let (path, other) = (path.to_owned(), other.to_owned());
            return Err(SourceError::TwoFormats {
                path,
                format,
                before,
                other,
            }
            .into());
        }
        if self.mode != CheckMode::SopsFile {
            return Ok(());
        }
        let read = || {
            let bytes = source::read(path)?;
            SealedKeys::read(&bytes, format).map_err(|error| source::sops_error(path, error))
        };
        let keys = self.files.entry(path).or_insert_with(read).as_ref();
        let keys = keys.map_err(Clone::clone)?;
        if !secret.key.is_empty() {
            keys.find(&secret.key).map_err(|reason| SourceError::Key {
                path: path.to_owned(),
                reason,
            })?;
        }
        Ok(())
    }
}
