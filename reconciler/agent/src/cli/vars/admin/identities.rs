//! The keys of the person who types: those that are named, or where sops looks for them. Never the machine's.

use crate::host::Environment;
use crate::secrets;
use camino::Utf8PathBuf;
use reconciler_vars::{Identities, IdentitySource};

/// Loads them; what cannot be loaded is a problem of the identities, and told where one is needed.
pub(super) fn load(named: &[Utf8PathBuf], environment: &Environment) -> Identities {
    let sources: Vec<IdentitySource> = if named.is_empty() {
        usual(environment)
    } else {
        secrets::named(named)
    };
    Identities::load_with(&sources, &secrets::plugins(environment)).0
}

/// Where sops looks (age/keysource.go), but for keys in the environment itself.
fn usual(environment: &Environment) -> Vec<IdentitySource> {
    let mut sources = Vec::new();
    sources.extend(
        environment
            .sops_age_key_file
            .clone()
            .map(|file| IdentitySource::AgeKeyFile(file.into())),
    );
    if let Some(folder) = &environment.configuration {
        sources.push(IdentitySource::AgeKeyFile(
            folder.join("sops/age/keys.txt").into(),
        ));
    }
    if let Some(home) = &environment.home {
        let keys = ["id_ed25519", "id_rsa"].map(|name| home.join(".ssh").join(name));
        sources.extend(keys.map(|key| IdentitySource::SshHostKey(key.into())));
    }
    sources
}
