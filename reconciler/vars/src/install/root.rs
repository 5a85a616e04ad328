//! Owns the places of installed secrets: the link, the folder behind it, the numbered generations. It must
//! never write a secret.

use std::path::{Path, PathBuf};

use super::error::{InstallError, InvalidLink, Operation};

/// Where a machine's secrets are installed.
///
/// `<link>` points at `<link>.d/<n>`, a generation's folder; `<link>-for-users` at the part of it that is needed
/// before accounts are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsRoot {
    /// The link, for example `/run/secrets`.
    pub link: PathBuf,
    /// The link for what is needed before accounts are made, for example `/run/secrets-for-users`.
    pub users_link: PathBuf,
    /// The folder of all generations, where it is not `<link>.d`.
    generations: Option<PathBuf>,
}

impl SecretsRoot {
    /// The places that belong to a link.
    pub fn new(link: impl Into<PathBuf>) -> Self {
        let link = link.into();
        let mut users_link = link.clone().into_os_string();
        users_link.push("-for-users");
        Self {
            link,
            users_link: users_link.into(),
            generations: None,
        }
    }

    /// The places of a link whose generations lie in a folder of any name.
    pub(crate) fn at(link: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        Self {
            generations: Some(folder.into()),
            ..Self::new(link)
        }
    }

    /// The folder of all generations, `<link>.d`.
    ///
    /// # Errors
    /// [`InvalidLink`] where the link is not absolute, or has no name.
    pub fn folder(&self) -> Result<PathBuf, InvalidLink> {
        if let Some(folder) = &self.generations {
            return Ok(folder.clone());
        }
        Ok(self.parent()?.join(format!("{}.d", self.name()?)))
    }

    pub(super) fn parent(&self) -> Result<&Path, InvalidLink> {
        let parent = self.link.parent().filter(|_| self.link.is_absolute());
        parent.ok_or_else(|| InvalidLink {
            path: self.link.clone(),
        })
    }

    pub(crate) fn name(&self) -> Result<&str, InvalidLink> {
        let name = self.link.file_name().and_then(|name| name.to_str());
        name.ok_or_else(|| InvalidLink {
            path: self.link.clone(),
        })
    }

    /// The folder of one generation.
    ///
    /// # Errors
    /// As [`Self::folder`].
    pub fn generation_folder(&self, number: u64) -> Result<PathBuf, InvalidLink> {
        Ok(self.folder()?.join(number.to_string()))
    }

    /// The generation that the link points at; `None` where there is no link, or it points elsewhere.
    pub fn current(&self) -> Option<u64> {
        let target = self.parent().ok()?.join(self.link.read_link().ok()?);
        let number = target.file_name()?.to_str().and_then(parse_number)?;
        (target.parent()? == self.folder().ok()?).then_some(number)
    }

    /// Whether a generation's folder is there. A folder that was only half written never has its number.
    pub fn exists(&self, number: u64) -> bool {
        let folder = self.generation_folder(number).ok();
        folder.is_some_and(|folder| folder.symlink_metadata().is_ok_and(|facts| facts.is_dir()))
    }

    /// The numbers of all generations that are there, in ascending order.
    ///
    /// # Errors
    /// [`InstallError::System`] when the folder is there and cannot be listed.
    pub fn generations(&self) -> Result<Vec<u64>, InstallError> {
        let mut numbers: Vec<_> = self
            .names()?
            .iter()
            .filter_map(|name| parse_number(name))
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Removes all generations but those of `keep` and the one in force, and what an interrupted staging left.
    /// Tells the numbers that it removed.
    ///
    /// # Errors
    /// [`InstallError::System`] when something cannot be listed or removed.
    pub fn prune(&self, keep: &[u64]) -> Result<Vec<u64>, InstallError> {
        let current = self.current();
        let mut removed = Vec::new();
        for name in self.names()? {
            match parse_number(&name) {
                Some(number) if keep.contains(&number) || current == Some(number) => continue,
                Some(number) => {
                    self.remove_folder(&name)?;
                    removed.push(number);
                }
                None if name.strip_suffix(PARTIAL).and_then(parse_number).is_some() => {
                    self.remove_folder(&name)?;
                }
                None => {}
            }
        }
        removed.sort_unstable();
        Ok(removed)
    }

    fn names(&self) -> Result<Vec<String>, InstallError> {
        let folder = self.folder()?;
        let failed = || InstallError::during(Operation::Inspect, &folder);
        let entries = match folder.read_dir() {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed()(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry.map_err(failed())?.file_name().into_string());
        }
        Ok(names)
    }

    /// Removes a folder of the generations' folder, if it is there.
    pub(super) fn remove_folder(&self, name: &str) -> Result<(), InstallError> {
        let path = self.folder()?.join(name);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(InstallError::during(Operation::Remove, &path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Ending of a folder that is still being written.
pub(super) const PARTIAL: &str = ".partial";

/// A number as [`u64::to_string`] writes it, and in no other spelling.
fn parse_number(text: &str) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|number: &u64| number.to_string() == text)
}
