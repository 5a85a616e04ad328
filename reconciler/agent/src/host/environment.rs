//! What the agent takes from its own environment, read once at the rim.

use camino::Utf8PathBuf;
use std::env;
use std::ffi::OsString;
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
    /// `HOME`.
    pub home: Option<Utf8PathBuf>,
    /// Where a person's programs keep their configuration.
    pub configuration: Option<Utf8PathBuf>,
    /// `XDG_RUNTIME_DIR`: a person's folder in memory.
    pub runtime: Option<Utf8PathBuf>,
    /// `SOPS_AGE_KEY_FILE`.
    pub sops_age_key_file: Option<Utf8PathBuf>,
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
        let home = variable("HOME").map(Utf8PathBuf::from);
        let usual_configuration = home.as_ref().map(|home| {
            home.join(match env::consts::OS {
                "macos" => "Library/Application Support",
                _ => ".config",
            })
        });
        Environment {
            configuration: variable("XDG_CONFIG_HOME")
                .map(Utf8PathBuf::from)
                .or(usual_configuration),
            home,
            runtime: variable("XDG_RUNTIME_DIR").map(Utf8PathBuf::from),
            sops_age_key_file: variable("SOPS_AGE_KEY_FILE").map(Utf8PathBuf::from),
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

/// Variables that a person's own tools (nix, git, ssh, gpg) go by. A name that ends in `_` stands for all that
/// begin so.
const OF_A_PERSON: [&str; 27] = [
    "HOME",
    "USER",
    "LOGNAME",
    "TERM",
    "LANG",
    "LC_",
    "TZ",
    "TMPDIR",
    "NIX_",
    "XDG_",
    "GIT_",
    "SSH_AUTH_SOCK",
    "SSH_ASKPASS",
    "GNUPGHOME",
    "GPG_TTY",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "SSL_CERT_FILE",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// The environment of tools that run as the person who typed the command, with `path` as their search path.
#[must_use]
pub fn of_a_person(path: &str) -> Vec<(OsString, OsString)> {
    let wanted = |name: &OsString| {
        name.to_str().is_some_and(|name| {
            OF_A_PERSON
                .iter()
                .any(|known| name == *known || (known.ends_with('_') && name.starts_with(known)))
        })
    };
    let mut environment: Vec<_> = env::vars_os().filter(|(name, _)| wanted(name)).collect();
    environment.push(("PATH".into(), path.into()));
    environment
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
