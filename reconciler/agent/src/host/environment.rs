//! What the agent takes from its own environment, read once at the rim.

use camino::Utf8PathBuf;
use std::env;
use std::path::PathBuf;

/// Where Nix and the system keep commands when `PATH` does not say: a service has a short one.
const USUAL_FOLDERS: [&str; 8] = [
    "/run/wrappers/bin",
    "/run/current-system/sw/bin",
    "/nix/var/nix/profiles/default/bin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// The host could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// It has no name that could be a machine's.
    #[error("cannot ask for the host name")]
    HostName(#[source] unix::Error),
    /// The running boot could not be identified.
    #[error("cannot tell which boot this is")]
    BootId(#[source] std::io::Error),
}

/// The parts of the environment that matter.
#[derive(Debug, Clone)]
pub struct Environment {
    /// `RECONCILER_CONFIG`.
    pub config: Option<Utf8PathBuf>,
    /// Where commands are looked for: `PATH`, then the usual folders.
    pub folders: Vec<PathBuf>,
    /// `SSH_AUTH_SOCK`.
    pub ssh_agent: Option<Utf8PathBuf>,
    /// `NOTIFY_SOCKET`, where systemd wants to hear of readiness.
    pub notify: Option<String>,
    /// `SUDO_USER` or `USER`: who is at the keyboard.
    pub user: Option<String>,
}

impl Environment {
    /// Reads it.
    #[must_use]
    pub fn read() -> Environment {
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let mut folders: Vec<PathBuf> = env::var_os("PATH")
            .map(|path| env::split_paths(&path).collect())
            .unwrap_or_default();
        for folder in USUAL_FOLDERS {
            if !folders.iter().any(|known| known == folder) {
                folders.push(PathBuf::from(folder));
            }
        }
        folders.retain(|folder| folder.is_absolute());
        Environment {
            config: variable("RECONCILER_CONFIG").map(Utf8PathBuf::from),
            folders,
            ssh_agent: variable("SSH_AUTH_SOCK").map(Utf8PathBuf::from),
            notify: variable("NOTIFY_SOCKET"),
            user: variable("SUDO_USER").or_else(|| variable("USER")),
        }
    }

    /// The search path as one variable.
    #[must_use]
    pub fn search_path(&self) -> String {
        self.folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect::<Vec<_>>()
            .join(":")
    }
}

/// The host's name, up to its first dot.
pub fn host_name() -> Result<String, HostError> {
    let name = unix::unistd::gethostname().map_err(HostError::HostName)?;
    let name = name.to_string_lossy();
    Ok(name.split('.').next().unwrap_or_default().to_owned())
}

/// This machine's system as Nix names it.
#[must_use]
pub fn system() -> &'static str {
    match (std::env::consts::ARCH, std::env::consts::OS) {
        ("x86_64", "linux") => "x86_64-linux",
        ("aarch64", "linux") => "aarch64-linux",
        ("aarch64", "macos") => "aarch64-darwin",
        ("x86_64", "macos") => "x86_64-darwin",
        (_, _) => "unknown",
    }
}
