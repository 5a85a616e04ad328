//! The commands of Nix found on the machine: where they are, and the environment they run in.

use super::interpreter::OLDEST;
use crate::config::{NixSettings, Paths};
use crate::process::{Command, RunError, locate};
use camino::{Utf8Path, Utf8PathBuf};
use std::path::PathBuf;
use std::time::Duration;

/// Nix is not usable on this machine.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is no `nix` in any of the folders.
    #[error("there is no `{program}` in {}", folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", "))]
    Missing {
        /// The command.
        program: &'static str,
        /// Where it was looked for.
        folders: Vec<PathBuf>,
    },
    /// It could not say its version.
    #[error("cannot ask nix for its version")]
    Version(#[source] RunError),
    /// It said something that is no version.
    #[error("`nix --version` says `{said}`, which names no version")]
    NoVersion {
        /// What it said.
        said: String,
    },
    /// It is older than the oldest that is served.
    #[error("nix is {found}; {}.{} or newer is needed", OLDEST.0, OLDEST.1)]
    TooOld {
        /// Its version.
        found: String,
    },
}

impl ToolError {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            ToolError::Missing { .. } => "install Nix, or give the agent a PATH that has it",
            ToolError::TooOld { .. } => {
                "upgrade Nix as it was installed: by the distribution's package, by `nix-channel --update; nix-env -iA \
                 nixpkgs.nix` as root, or with NixOS"
            }
            ToolError::NoVersion { .. } | ToolError::Version(_) => {
                "is it Nix? `nix --version` should name one"
            }
        }
    }
}

/// The commands of Nix.
#[derive(Debug, Clone)]
pub struct NixTools {
    nix_env: PathBuf,
    search_path: String,
    environment: Vec<(&'static str, String)>,
    configuration: Utf8PathBuf,
}

impl NixTools {
    /// Finds them in `folders`.
    pub fn find(folders: &[PathBuf], settings: &NixSettings, paths: &Paths) -> Result<NixTools, ToolError> {
        Ok(NixTools {
            nix_env: locate("nix-env", folders).ok_or_else(|| ToolError::Missing {
                program: "nix-env",
                folders: folders.to_vec(),
            })?,
            search_path: folders
                .iter()
                .map(|folder| folder.display().to_string())
                .collect::<Vec<_>>()
                .join(":"),
            environment: environment(settings, paths),
            configuration: paths.host("/etc/nix/nix.conf"),
        })
    }

    /// `nix-env`.
    #[must_use]
    pub fn nix_env(&self, limit: Duration) -> Command {
        self.command(Command::new(&self.nix_env, limit))
    }

    /// The environment every command of Nix gets here.
    #[must_use]
    pub fn command(&self, command: Command) -> Command {
        let command = command.env("PATH", &self.search_path);
        self.environment
            .iter()
            .fold(command, |command, (name, value)| command.env(name, value))
    }

    /// What the host's nix.conf(5) says, with all that it includes: settings change what an evaluation gives.
    #[must_use]
    pub fn configuration(&self) -> String {
        let mut text = String::new();
        included(&self.configuration, INCLUDES, &mut text);
        text
    }
}

/// How deep files may include each other.
const INCLUDES: u32 = 8;

fn included(file: &Utf8Path, depth: u32, text: &mut String) {
    // A file that is not there says nothing; one that cannot be read, Nix complains of.
    let Ok(said) = std::fs::read_to_string(file) else {
        return;
    };
    for line in said.lines() {
        text.push_str(line);
        text.push('\n');
        let mut words = line.split_whitespace();
        if let (Some("include" | "!include"), Some(other)) = (words.next(), words.next())
            && depth > 0
        {
            let folder = file.parent().unwrap_or(Utf8Path::new("/"));
            included(&folder.join(other), depth - 1, text);
        }
    }
}

fn environment(settings: &NixSettings, paths: &Paths) -> Vec<(&'static str, String)> {
    let mut environment = vec![
        // Root would otherwise open the database itself, past the daemon.
        ("NIX_REMOTE", "daemon".to_owned()),
        ("NIX_DAEMON_SOCKET_PATH", settings.daemon.to_string()),
        ("NIX_STORE_DIR", settings.store.to_string()),
        ("NIX_STATE_DIR", settings.state.to_string()),
        // Neither root's nor anybody's own settings have a say.
        ("NIX_USER_CONF_FILES", "/dev/null".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
    ];
    if paths.root != "/" {
        environment.push(("NIX_CONF_DIR", paths.host("/etc/nix").to_string()));
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_all_its_files() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(scratch.path()).unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            crate::durable::replace(&path, text.as_bytes(), 0o600, crate::durable::Lasting::Process).unwrap();
        };
        write("nix.conf", "cores = 1\n!include more.conf\ninclude gone.conf\n");
        write("more.conf", "include nix.conf\npure-eval = true\n");
        let mut text = String::new();
        included(&folder.join("nix.conf"), 1, &mut text);
        assert_eq!(
            text,
            "cores = 1\n!include more.conf\ninclude nix.conf\npure-eval = true\ninclude gone.conf\n"
        );
    }
}
