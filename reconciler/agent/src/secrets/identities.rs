//! Which private keys this machine has, in the order they are tried.

use crate::config::Identity;
use crate::host::Environment;
use crate::journal::{Journal, JournalError};
use camino::Utf8PathBuf;
use reconciler_vars::{Identities, IdentitySource, Plugins};

/// Key files that a person names: of which kind each is, its content says.
#[must_use]
pub fn named(files: &[Utf8PathBuf]) -> Vec<IdentitySource> {
    files
        .iter()
        .map(|path| IdentitySource::KeyFile(path.into()))
        .collect()
}

/// The configured keys, then those that the entry names besides.
#[must_use]
pub fn sources(identity: &Identity, named: &[Utf8PathBuf]) -> Vec<IdentitySource> {
    let age = identity
        .age_keys
        .iter()
        .map(|path| IdentitySource::AgeKeyFile(path.into()));
    let ssh = identity
        .ssh_host_keys
        .iter()
        .map(|path| IdentitySource::SshHostKey(path.into()));
    let mut sources: Vec<IdentitySource> = age.chain(ssh).collect();
    for path in named {
        if !sources.iter().any(|source| source.path() == path) {
            sources.push(IdentitySource::KeyFile(path.into()));
        }
    }
    sources
}

/// Where the age plugins of whoever started this process are: with their other programs.
#[must_use]
pub fn plugins(environment: &Environment) -> Plugins {
    Plugins::default().in_folders(environment.folders.clone())
}

/// Loads keys: those of `first`, which a person named, then those of the machine.
#[must_use]
pub fn load(first: &[Utf8PathBuf], identity: &Identity, named: &[Utf8PathBuf]) -> Identities {
    let mut keys = self::named(first);
    keys.extend(sources(identity, named));
    let plugins = match &identity.plugin_folders {
        Some(folders) => Plugins::default().in_folders(folders.iter().map(Into::into).collect()),
        None => Plugins::default(),
    };
    Identities::load_with(&keys, &plugins).0
}

/// The key files that the entry of the newest evaluation named, below the host's root.
///
/// # Errors
/// When the journal cannot be read.
pub fn recorded(journal: &Journal) -> Result<Vec<Utf8PathBuf>, JournalError> {
    Ok(journal.identities()?.into_iter().map(Utf8PathBuf::from).collect())
}
