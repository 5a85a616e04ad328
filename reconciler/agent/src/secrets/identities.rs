//! Which private keys this machine has, in the order they are tried.

use crate::config::Identity;
use camino::Utf8PathBuf;
use reconciler_vars::IdentitySource;

/// Key files that a person names: of which kind each is, its content says.
#[must_use]
pub fn named(files: &[Utf8PathBuf]) -> Vec<IdentitySource> {
    files
        .iter()
        .map(|path| IdentitySource::KeyFile(path.clone().into()))
        .collect()
}

/// The configured keys, then those that the entry names besides.
#[must_use]
pub fn sources(identity: &Identity, named: &[Utf8PathBuf]) -> Vec<IdentitySource> {
    let mut sources: Vec<IdentitySource> = identity
        .age_keys
        .iter()
        .map(|path| IdentitySource::AgeKeyFile(path.clone().into()))
        .collect();
    sources.extend(
        identity
            .ssh_host_keys
            .iter()
            .map(|path| IdentitySource::SshHostKey(path.clone().into())),
    );
    for path in named {
        let source = IdentitySource::AgeKeyFile(path.clone().into());
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources
}
