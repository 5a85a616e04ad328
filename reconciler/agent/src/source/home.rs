//! The transport's private HOME: the only configuration of git and ssh that it sees.
//!
//! Its content follows from the settings alone, so that two agents with the same settings write the same bytes;
//! each file is replaced in one rename.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    failure::RemoteError,
    fleet_url::{Address, FleetUrl},
    known_hosts::{self, KnownKey},
    settings::SourceSettings,
};

/// Writes the home anew.
pub(super) fn prepare(settings: &SourceSettings) -> Result<(), RemoteError> {
    let ssh = settings.home.join(".ssh");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&ssh)
        .map_err(failed(&ssh))?;
    replace(&ssh.join("known_hosts"), &known_hosts_of(settings)?)?;
    replace(&settings.home.join(".gitconfig"), &git_config(settings))
}

/// The keys that the configured files have for a host.
pub(super) fn known_keys(files: &[Utf8PathBuf], host: &str, port: u16) -> Result<Vec<KnownKey>, RemoteError> {
    let mut text = String::new();
    for path in files {
        match fs::read(path) {
            Ok(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(path)(error)),
        }
        // A file may end without a newline. One text, so that a key revoked in any file is revoked.
        text.push('\n');
    }
    Ok(known_hosts::keys(&text, host, port))
}

/// libssh2 knows neither wildcards nor markers: it gets one plain line for each key of each host.
fn known_hosts_of(settings: &SourceSettings) -> Result<String, RemoteError> {
    let mut text = String::new();
    for url in &settings.urls {
        let FleetUrl(Address::Ssh(ssh)) = url else {
            continue;
        };
        for KnownKey { algorithm, key } in known_keys(&settings.ssh.known_hosts, &ssh.host, ssh.port)? {
            text.push_str(&format!(
                "{} {algorithm} {key}\n",
                known_hosts::name(&ssh.host, ssh.port)
            ));
        }
    }
    Ok(text)
}

/// A repository that was named in the configuration is meant, whoever owns it.
fn git_config(settings: &SourceSettings) -> String {
    let mut text = "[http]\n\tfollowRedirects = false\n[safe]\n".to_owned();
    let paths = settings.urls.iter().filter_map(FleetUrl::local_path);
    for path in paths.chain([settings.mirror.as_path()]) {
        let path = path
            .as_str()
            .trim_end_matches('/')
            .replace('\\', "\\\\")
            .replace('"', "\\\"");
        for form in [path.clone(), format!("{path}/.git")] {
            text.push_str(&format!("\tdirectory = \"{form}\"\n"));
        }
    }
    text
}

fn replace(path: &Utf8Path, text: &str) -> Result<(), RemoteError> {
    let draft = Utf8PathBuf::from(format!("{path}.{}", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&draft, path)
    };
    write().map_err(failed(path))
}

fn failed(path: &Utf8Path) -> impl FnOnce(io::Error) -> RemoteError {
    let path = path.to_owned();
    |source| RemoteError::Home { path, source }
}
