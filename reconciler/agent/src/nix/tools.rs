//! The `nix` commands found on the machine: where they are, how new, and the environment they run in.

use crate::config::{NixSettings, Paths};
use crate::process::{Command, RunError, locate};
use std::path::PathBuf;
use std::time::Duration;

/// The oldest Nix that is served: the first whose daemon reports a result per build.
const OLDEST: (u32, u32) = (2, 8);

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

/// The commands of Nix.
#[derive(Debug, Clone)]
pub struct NixTools {
    nix: PathBuf,
    nix_env: PathBuf,
    search_path: String,
    environment: Vec<(&'static str, String)>,
    version: String,
}

impl NixTools {
    /// Finds the commands in `folders` and asks for their version.
    pub async fn find(
        folders: &[PathBuf],
        settings: &NixSettings,
        paths: &Paths,
    ) -> Result<NixTools, ToolError> {
        let find = |program: &'static str| {
            locate(program, folders).ok_or_else(|| ToolError::Missing {
                program,
                folders: folders.to_vec(),
            })
        };
        let mut tools = NixTools {
            nix: find("nix")?,
            nix_env: find("nix-env")?,
            search_path: folders
                .iter()
                .map(|folder| folder.display().to_string())
                .collect::<Vec<_>>()
                .join(":"),
            environment: environment(settings, paths),
            version: String::new(),
        };
        let said = Command::new(&tools.nix, Duration::from_secs(30))
            .arg("--version")
            // Without one it wants an entry in the user database.
            .env("HOME", "/")
            .run(&mut |_| {})
            .await
            .map_err(ToolError::Version)?;
        let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        let Some((found, version)) = version(&said) else {
            return Err(ToolError::NoVersion { said });
        };
        if version < OLDEST {
            return Err(ToolError::TooOld { found });
        }
        tools.version = found;
        Ok(tools)
    }

    /// `nix`, with everything that any of its uses needs.
    #[must_use]
    pub fn nix(&self, limit: Duration) -> Command {
        self.command(Command::new(&self.nix, limit))
            .args(["--extra-experimental-features", "nix-command flakes"])
    }

    /// The path of `nix` itself, for a wrapper to run.
    #[must_use]
    pub fn nix_path(&self) -> &std::path::Path {
        &self.nix
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

    /// The version, as Nix writes it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// `nix (Nix) 2.8.0`, `nix (Lix, like Nix) 2.93.0`, `nix (Determinate Nix 3.6) 2.29.0`.
fn version(said: &str) -> Option<(String, (u32, u32))> {
    let word = said.split_whitespace().last()?;
    let mut parts = word.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((word.to_owned(), (major, minor))),
        _ => None,
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
    fn versions_of_every_nix() {
        let table = [
            ("nix (Nix) 2.8.0", Some((2, 8))),
            ("nix (Nix) 2.34.8", Some((2, 34))),
            ("nix (Nix) 2.35.0pre20260101_abcdef", Some((2, 35))),
            ("nix (Lix, like Nix) 2.93.3", Some((2, 93))),
            ("nix (Determinate Nix 3.22.0) 2.33.1", Some((2, 33))),
            ("nix", None),
        ];
        for (said, expected) in table {
            assert_eq!(version(said).map(|(_, version)| version), expected, "{said}");
        }
    }
}
