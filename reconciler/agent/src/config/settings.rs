//! The configuration after its defaults and checks: what the rest of the agent is given.
//!
//! Paths of the host are resolved below `paths.root` here, once.

use super::Fragment;
use super::fragment::Urls;
use crate::nix::{ImportFromDerivation, InputCredentials};
use camino::{Utf8Path, Utf8PathBuf};
use std::time::Duration;

/// A configuration that parses but cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// There is nothing to follow.
    #[error("`fleet.url` is not set: there is no fleet to follow")]
    NoUrl,
    /// The machine's name cannot be one in a fleet.
    #[error("`machine` is `{name}`, which cannot be the name of a machine (letters, digits, `-`, `_`, `.`)")]
    MachineName {
        /// The name.
        name: String,
    },
    /// A duration that is none.
    #[error("`{key}` is `{value}`, which is no duration such as \"60s\" or \"5min\"")]
    Duration {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What the parser says.
        #[source]
        source: jiff::Error,
    },
    /// A duration that makes no sense here.
    #[error("`{key}` is {value}: it has to be at least one second")]
    TooShort {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// A value that is not one of those a key takes.
    #[error("`{key}` is `{value}`; it is one of {}", allowed.join(", "))]
    Choice {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static [&'static str],
    },
    /// A path that is not absolute, or that units and scripts could misread.
    #[error("`{key}` is `{value}`: it has to be an absolute path of letters, digits and `/._+-`")]
    Path {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// `fleet.directory` leads out of the repository.
    #[error("`fleet.directory` is `{value}`: it has to be a folder inside the repository")]
    Directory {
        /// Its value.
        value: String,
    },
    /// Signed commits are asked for, and nothing here can check a signature yet.
    #[error(
        "`trust.commits = \"signed\"`: this version cannot verify signatures, and trusts nothing instead"
    )]
    SignedCommits,
}

/// The settings of one machine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The machine's name in the fleet.
    pub machine: String,
    /// What is followed, and how.
    pub fleet: Fleet,
    /// Whether a rewritten branch is followed.
    pub history: HistoryRule,
    /// What opens secrets.
    pub identity: Identity,
    /// Where things lie, already below the root.
    pub paths: Paths,
    /// Where Nix is.
    pub nix: NixSettings,
    /// The local policies, in the order in which they are merged upon the fleet's.
    pub policy: Vec<reconciler_policies::Fragment>,
}

/// The fleet's repository.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// URLs in the order they are tried; at least one.
    pub urls: Vec<String>,
    /// The branch.
    pub branch: String,
    /// Folder of `flake.nix` in the repository, without slashes at its ends; empty at the root.
    pub directory: String,
    /// Time between polls.
    pub poll: Duration,
    /// How long a remote may be silent.
    pub timeout: Duration,
    /// Token for https.
    pub token_file: Option<Utf8PathBuf>,
    /// Credentials for https.
    pub netrc: Option<Utf8PathBuf>,
    /// Key for ssh.
    pub ssh_key: Option<Utf8PathBuf>,
    /// Whether the SSH agent is asked.
    pub ssh_agent: SshAgent,
    /// Accepted host keys.
    pub known_hosts: Vec<Utf8PathBuf>,
}

/// Whether the SSH agent of the environment may be asked for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SshAgent {
    /// It is asked.
    Asked,
    /// It is not.
    Ignored,
}

/// Whether a branch that was rewritten is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryRule {
    /// Only descendants of the accepted commit.
    Forward,
    /// Whatever the branch points at.
    Any,
}

/// Private keys of this machine.
#[derive(Debug, Clone)]
pub struct Identity {
    /// SSH host keys.
    pub ssh_host_keys: Vec<Utf8PathBuf>,
    /// age key files.
    pub age_keys: Vec<Utf8PathBuf>,
    /// Where the programs of age plugins are looked for, if not in the usual folders.
    pub plugin_folders: Option<Vec<Utf8PathBuf>>,
}

/// The SSH host keys of a machine that names none.
const SSH_HOST_KEYS: [&str; 1] = ["/etc/ssh/ssh_host_ed25519_key"];
/// The age keys of a machine that names none: where clan puts them.
const AGE_KEYS: [&str; 1] = ["/var/lib/sops-nix/key.txt"];

impl Default for Identity {
    fn default() -> Self {
        Identity {
            ssh_host_keys: SSH_HOST_KEYS.map(Utf8PathBuf::from).into(),
            age_keys: AGE_KEYS.map(Utf8PathBuf::from).into(),
            plugin_folders: None,
        }
    }
}

/// Where things lie.
#[derive(Debug, Clone)]
pub struct Paths {
    /// What everything of the host is below.
    pub root: Utf8PathBuf,
    /// Journal, mirror, transactions.
    pub state: Utf8PathBuf,
    /// Control socket, volatile state.
    pub run: Utf8PathBuf,
    /// The link to the secrets in force.
    pub secrets: Utf8PathBuf,
    /// The Nix profile, where it is not the class's canonical one.
    pub profile: Option<Utf8PathBuf>,
}

/// Where Nix is.
#[derive(Debug, Clone)]
pub struct NixSettings {
    /// The daemon's socket.
    pub daemon: Utf8PathBuf,
    /// The store's folder.
    pub store: Utf8PathBuf,
    /// Nix's state.
    pub state: Utf8PathBuf,
    /// The evaluator's user, if it was named.
    pub evaluator_user: Option<String>,
    /// Where the fleet is evaluated.
    pub evaluate: Evaluate,
    /// Whether an evaluation may build.
    pub import_from_derivation: ImportFromDerivation,
    /// What private inputs are fetched with.
    pub credentials: InputCredentials,
}

/// Where the fleet is evaluated for this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluate {
    /// On this machine.
    Here,
    /// Elsewhere: its toplevel is in the map that the fleet publishes in a file, and comes from a cache.
    Published,
    /// Elsewhere; where the file says nothing of a commit, a note on it may.
    Noted,
}

impl Paths {
    /// A path of the host, below the root.
    #[must_use]
    pub fn host(&self, path: &str) -> Utf8PathBuf {
        below(&self.root, path)
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> Utf8PathBuf {
        self.state.join("journal.db")
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> Utf8PathBuf {
        self.run.join("control.sock")
    }
}

/// Host keys that are known to everybody on the host.
pub(super) const SYSTEM_KNOWN_HOSTS: &str = "/etc/ssh/ssh_known_hosts";

impl Settings {
    /// What names this machine's entry in the fleet.
    #[must_use]
    pub fn entry(&self) -> String {
        format!("{}#{}", self.fleet.directory, self.machine)
    }

    /// Fills in defaults and checks everything; `host_name` is the machine's name unless one is set.
    pub fn resolve(mut fragment: Fragment, host_name: &str) -> Result<Settings, SettingsError> {
        let policy = fragment.policies();
        let fleet = fragment.fleet.unwrap_or_default();
        let trust = fragment.trust.unwrap_or_default();
        let identity = fragment.identity.unwrap_or_default();
        let paths = fragment.paths.unwrap_or_default();
        let nix = fragment.nix.unwrap_or_default();

        let machine = fragment.machine.unwrap_or_else(|| host_name.to_owned());
        if !host_name_is_usable(&machine) {
            return Err(SettingsError::MachineName { name: machine });
        }
        let urls = fleet.url.map(|Urls(urls)| urls).unwrap_or_default();
        if urls.is_empty() {
            return Err(SettingsError::NoUrl);
        }
        match trust.commits.as_deref() {
            None | Some("any") => {}
            Some("signed") => return Err(SettingsError::SignedCommits),
            Some(other) => return Err(choice("trust.commits", other, &["any", "signed"])),
        }
        let history = match trust.history.as_deref() {
            None | Some("forward") => HistoryRule::Forward,
            Some("any") => HistoryRule::Any,
            Some(other) => return Err(choice("trust.history", other, &["forward", "any"])),
        };

        let root = absolute("paths.root", paths.root.unwrap_or_else(|| "/".to_owned()))?;
        let host = |key, value: Option<String>, default: &str| -> Result<Utf8PathBuf, SettingsError> {
            let path = absolute(key, value.unwrap_or_else(|| default.to_owned()))?;
            Ok(below(&root, path.as_str()))
        };
        let list = |key, value: Option<Vec<String>>, default: &[&str]| {
            let paths = value.unwrap_or_else(|| default.iter().map(|path| (*path).to_owned()).collect());
            paths
                .into_iter()
                .map(|path| host(key, Some(path), ""))
                .collect::<Result<Vec<_>, _>>()
        };
        let optional = |key, value: Option<String>| value.map(|path| host(key, Some(path), "")).transpose();
        let evaluate = match nix.evaluate.as_deref() {
            None | Some("here") => Evaluate::Here,
            Some("published") => Evaluate::Published,
            Some("noted") => Evaluate::Noted,
            Some(other) => return Err(choice("nix.evaluate", other, &["here", "published", "noted"])),
        };
        let import_from_derivation = match nix.import_from_derivation {
            None | Some(true) => ImportFromDerivation::Allowed,
            Some(false) => ImportFromDerivation::Forbidden,
        };
        let known_hosts = list("fleet.known_hosts", fleet.known_hosts, &[SYSTEM_KNOWN_HOSTS])?;
        // Inputs lie where the fleet does, more often than not.
        let credentials = InputCredentials {
            access_tokens: optional("nix.access_tokens_file", nix.access_tokens_file)?,
            netrc: optional("nix.netrc", nix.netrc.or_else(|| fleet.netrc.clone()))?,
            ssh_key: optional("nix.ssh_key", nix.ssh_key.or_else(|| fleet.ssh_key.clone()))?,
            known_hosts: known_hosts.clone(),
        };

        let directory = folder_of_flake(fleet.directory.unwrap_or_default())?;
        Ok(Settings {
            machine,
            fleet: Fleet {
                urls,
                branch: fleet.branch.unwrap_or_else(|| "main".to_owned()),
                directory,
                poll: duration("fleet.poll", fleet.poll, Duration::from_secs(60))?,
                timeout: duration("fleet.timeout", fleet.timeout, Duration::from_secs(30))?,
                token_file: optional("fleet.token_file", fleet.token_file)?,
                netrc: optional("fleet.netrc", fleet.netrc)?,
                ssh_key: optional("fleet.ssh_key", fleet.ssh_key)?,
                ssh_agent: if fleet.ssh_agent == Some(true) {
                    SshAgent::Asked
                } else {
                    SshAgent::Ignored
                },
                known_hosts,
            },
            history,
            identity: Identity {
                ssh_host_keys: list("identity.ssh_host_keys", identity.ssh_host_keys, &SSH_HOST_KEYS)?,
                age_keys: list("identity.age_keys", identity.age_keys, &AGE_KEYS)?,
                plugin_folders: identity
                    .plugin_folders
                    .map(|folders| list("identity.plugin_folders", Some(folders), &[]))
                    .transpose()?,
            },
            paths: Paths {
                state: host("paths.state", paths.state, "/var/lib/reconciler")?,
                run: host("paths.run", paths.run, "/run/reconciler")?,
                secrets: host("paths.secrets", paths.secrets, "/run/secrets")?,
                profile: optional("paths.profile", paths.profile)?,
                root: root.clone(),
            },
            // Nix is not of the host below the root: a store is named as its daemon names it.
            nix: NixSettings {
                daemon: absolute(
                    "nix.daemon",
                    nix.daemon
                        .unwrap_or_else(|| "/nix/var/nix/daemon-socket/socket".to_owned()),
                )?,
                store: absolute("nix.store", nix.store.unwrap_or_else(|| "/nix/store".to_owned()))?,
                state: absolute(
                    "nix.state",
                    nix.state.unwrap_or_else(|| "/nix/var/nix".to_owned()),
                )?,
                evaluator_user: nix.evaluator_user,
                evaluate,
                import_from_derivation,
                credentials,
            },
            policy,
        })
    }
}

/// A folder of the repository, without slashes at its ends.
pub fn folder_of_flake(value: String) -> Result<String, SettingsError> {
    let directory = value.trim_matches('/').to_owned();
    if directory
        .split('/')
        .any(|part| matches!(part, "." | ".." | ".git"))
        || directory.contains("//")
        || !directory
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._+-".contains(c))
    {
        return Err(SettingsError::Directory { value: directory });
    }
    Ok(directory)
}

/// Whether a name can be one of a machine: it becomes part of attribute paths, file names and messages.
#[must_use]
pub fn host_name_is_usable(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && !name.starts_with('.')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn choice(key: &'static str, value: &str, allowed: &'static [&'static str]) -> SettingsError {
    SettingsError::Choice {
        key,
        value: value.to_owned(),
        allowed,
    }
}

fn duration(key: &'static str, value: Option<String>, default: Duration) -> Result<Duration, SettingsError> {
    let Some(value) = value else { return Ok(default) };
    let parsed: jiff::SignedDuration = match value.parse() {
        Ok(parsed) => parsed,
        Err(source) => return Err(SettingsError::Duration { key, value, source }),
    };
    match Duration::try_from(parsed) {
        Ok(length) if length >= Duration::from_secs(1) => Ok(length),
        _ => Err(SettingsError::TooShort { key, value }),
    }
}

fn absolute(key: &'static str, value: String) -> Result<Utf8PathBuf, SettingsError> {
    let harmless = value
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._+-".contains(c));
    if value.starts_with('/') && harmless && !value.split('/').any(|part| part == "..") {
        Ok(Utf8PathBuf::from(value))
    } else {
        Err(SettingsError::Path { key, value })
    }
}

/// `path` below `root`; a path that lies there already is left as it is.
fn below(root: &Utf8Path, path: &str) -> Utf8PathBuf {
    if root == "/" || Utf8Path::new(path).starts_with(root) {
        return Utf8PathBuf::from(path);
    }
    root.join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, SettingsError> {
        Settings::resolve(super::super::parse(Utf8Path::new("c"), text).unwrap(), "cinnabar")
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let settings = settings("[fleet]\nurl = \"file:///f\"\n").unwrap();
        assert_eq!(settings.machine, "cinnabar");
        assert_eq!(
            (settings.fleet.branch.as_str(), settings.fleet.poll.as_secs()),
            ("main", 60)
        );
        assert_eq!(settings.paths.journal(), "/var/lib/reconciler/journal.db");
        assert_eq!(settings.nix.daemon, "/nix/var/nix/daemon-socket/socket");
        assert_eq!(settings.history, HistoryRule::Forward);
    }

    #[test]
    fn the_host_lies_below_the_root_and_nix_does_not() {
        let text = "[fleet]\nurl = \"file:///f\"\n[paths]\nroot = \"/t\"\nstate = \"/t/state\"\n";
        let settings = settings(text).unwrap();
        assert_eq!(settings.paths.state, "/t/state");
        assert_eq!(settings.paths.secrets, "/t/run/secrets");
        assert_eq!(settings.identity.age_keys, ["/t/var/lib/sops-nix/key.txt"]);
        assert_eq!(settings.nix.store, "/nix/store");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let table = [
            ("", "`fleet.url` is not set: there is no fleet to follow"),
            (
                "machine = \"a b\"\n",
                "`machine` is `a b`, which cannot be the name of a machine (letters, digits, `-`, `_`, `.`)",
            ),
            (
                "[fleet]\nurl = \"x\"\npoll = \"soon\"\n",
                "`fleet.poll` is `soon`, which is no duration such as \"60s\" or \"5min\"",
            ),
            (
                "[fleet]\nurl = \"x\"\npoll = \"1ms\"\n",
                "`fleet.poll` is 1ms: it has to be at least one second",
            ),
            (
                "[fleet]\nurl = \"x\"\ndirectory = \"../x\"\n",
                "`fleet.directory` is `../x`: it has to be a folder inside the repository",
            ),
            (
                "[fleet]\nurl = \"x\"\n[trust]\nhistory = \"all\"\n",
                "`trust.history` is `all`; it is one of forward, any",
            ),
            (
                "[fleet]\nurl = \"x\"\n[paths]\nstate = \"var\"\n",
                "`paths.state` is `var`: it has to be an absolute path of letters, digits and `/._+-`",
            ),
        ];
        for (text, message) in table {
            assert_eq!(settings(text).unwrap_err().to_string(), message);
        }
        let signed = settings("[fleet]\nurl = \"x\"\n[trust]\ncommits = \"signed\"\n");
        assert!(matches!(signed, Err(SettingsError::SignedCommits)));
    }
}
