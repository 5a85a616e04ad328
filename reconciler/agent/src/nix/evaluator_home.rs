//! The evaluator's home: made for one evaluation, in memory where `paths.run` is, gone with it. What private
//! inputs are fetched with lies here, readable by the evaluator's user alone: never in an argument, an
//! environment or a log.

use crate::durable::{self, DurableError, Lasting};
use crate::process::Account;
use camino::{Utf8Path, Utf8PathBuf};
use std::ffi::OsString;
use std::io;
use zeroize::Zeroizing;

/// Where the credentials of private inputs are.
#[derive(Debug, Clone, Default)]
pub struct InputCredentials {
    /// `access-tokens` as in nix.conf(5), or one `host=token` a line.
    pub access_tokens: Option<Utf8PathBuf>,
    /// Logins by host, for `https://`.
    pub netrc: Option<Utf8PathBuf>,
    /// Private key for `git+ssh://`.
    pub ssh_key: Option<Utf8PathBuf>,
    /// Host keys that `git+ssh://` accepts; those that exist are read.
    pub known_hosts: Vec<Utf8PathBuf>,
}

/// The home could not be made.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A file of credentials cannot be read.
    #[error("cannot read {path}, which private inputs are fetched with")]
    Read {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line of the access tokens is none.
    #[error("line {line} of {path} is no access token such as `github.com=…`")]
    Token {
        /// The file.
        path: Utf8PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A file could not be laid down.
    #[error(transparent)]
    Write(#[from] DurableError),
    /// A file could not be given to the evaluator's user.
    #[error("cannot give {path} to the evaluator's user")]
    Give {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What an earlier evaluation left could not be removed.
    #[error("cannot clear {path}")]
    Clear {
        /// The folder.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The home of one evaluation. What was made for it goes with it.
#[derive(Debug)]
pub struct EvaluatorHome {
    folder: Utf8PathBuf,
    environment: Vec<(OsString, OsString)>,
    lasting: Keep,
}

#[derive(Debug, PartialEq, Eq)]
enum Keep {
    No,
    Yes,
}

impl EvaluatorHome {
    /// Makes the home at `folder`, whatever lies there, for `account`; its cache lasts, at `cache`.
    pub fn make(
        folder: &Utf8Path,
        cache: &Utf8Path,
        account: Option<Account>,
        credentials: &InputCredentials,
    ) -> Result<EvaluatorHome, HomeError> {
        clear(folder)?;
        let mut home = EvaluatorHome {
            folder: folder.to_owned(),
            environment: Vec::new(),
            lasting: Keep::No,
        };
        durable::folder(folder, 0o700)?;
        let mut conf = Zeroizing::new(String::new());
        if let Some(path) = &credentials.access_tokens {
            let tokens = access_tokens(path, &read(path)?)?;
            conf.push_str(&format!("access-tokens ={}\n", tokens.as_str()));
        }
        if let Some(path) = &credentials.netrc {
            // Git looks for it in the home, Nix where it is told.
            let netrc = home.lay(".netrc", &read(path)?, account)?;
            conf.push_str(&format!("netrc-file = {netrc}\n"));
        }
        let settings = home.lay("nix.conf", &conf, account)?;
        let known = known_hosts(&credentials.known_hosts)?;
        let known = home.lay("known_hosts", &known, account)?;
        let key = match &credentials.ssh_key {
            Some(path) => {
                let key = home.lay("ssh_key", &read(path)?, account)?;
                format!(" -o IdentitiesOnly=yes -i {key}")
            }
            None => String::new(),
        };
        give(folder, account)?;
        let ssh = format!(
            "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile={known} \
             -o GlobalKnownHostsFile=/dev/null{key}"
        );
        let environment = [
            ("HOME", folder.as_str()),
            ("XDG_CACHE_HOME", cache.as_str()),
            ("NIX_USER_CONF_FILES", settings.as_str()),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_SSH_COMMAND", &ssh),
        ];
        home.environment = environment
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Ok(home)
    }

    /// A person's own home, as it is, with these variables of theirs.
    #[must_use]
    pub fn of_person(folder: Utf8PathBuf, environment: Vec<(OsString, OsString)>) -> EvaluatorHome {
        EvaluatorHome {
            folder,
            environment,
            lasting: Keep::Yes,
        }
    }

    pub(super) fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    pub(super) fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }

    fn lay(&self, name: &str, content: &str, account: Option<Account>) -> Result<Utf8PathBuf, HomeError> {
        let path = self.folder.join(name);
        durable::replace(&path, content.as_bytes(), 0o400, Lasting::Process)?;
        give(&path, account)?;
        Ok(path)
    }
}

impl Drop for EvaluatorHome {
    fn drop(&mut self) {
        if self.lasting == Keep::No {
            // What stays is cleared by the next evaluation.
            let _ = clear(&self.folder);
        }
    }
}

fn clear(folder: &Utf8Path) -> Result<(), HomeError> {
    match std::fs::remove_dir_all(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(HomeError::Clear {
            path: folder.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

fn give(path: &Utf8Path, account: Option<Account>) -> Result<(), HomeError> {
    let Some(account) = account else { return Ok(()) };
    std::os::unix::fs::chown(path, Some(account.uid), Some(account.gid)).map_err(|source| HomeError::Give {
        path: path.to_owned(),
        source,
    })
}

fn read(path: &Utf8Path) -> Result<Zeroizing<String>, HomeError> {
    std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| HomeError::Read {
            path: path.to_owned(),
            source,
        })
}

fn known_hosts(files: &[Utf8PathBuf]) -> Result<String, HomeError> {
    let mut text = String::new();
    for path in files {
        match std::fs::read_to_string(path) {
            Ok(known) => text.push_str(&known),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(HomeError::Read {
                    path: path.clone(),
                    source,
                });
            }
        }
        // A file may end without a newline.
        text.push('\n');
    }
    Ok(text)
}

/// The tokens, each after a space: of a snippet of nix.conf(5) that people include, or one a line.
fn access_tokens(path: &Utf8Path, text: &str) -> Result<Zeroizing<String>, HomeError> {
    let mut tokens = Zeroizing::new(String::new());
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let names = ["access-tokens", "extra-access-tokens"];
        let value = line
            .split_once('=')
            .filter(|(name, _)| names.contains(&name.trim()))
            .map_or(line, |(_, value)| value);
        for token in value.split_whitespace() {
            if !token
                .split_once('=')
                .is_some_and(|(host, token)| !host.is_empty() && !token.is_empty())
            {
                return Err(HomeError::Token {
                    path: path.to_owned(),
                    line: number + 1,
                });
            }
            tokens.push(' ');
            tokens.push_str(token);
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn tokens_are_read_as_people_keep_them() {
        let path = Utf8Path::new("/t");
        let table = [
            ("github.com=ghp_1\n", Some(" github.com=ghp_1")),
            (
                "access-tokens = github.com=a gitlab.com=PAT:b\n",
                Some(" github.com=a gitlab.com=PAT:b"),
            ),
            (
                "# mine\n\nextra-access-tokens = h=t # why\nk=u\n",
                Some(" h=t k=u"),
            ),
            ("github.com=\n", None),
            ("ghp_1\n", None),
        ];
        for (text, expected) in table {
            let tokens = access_tokens(path, text);
            assert_eq!(
                tokens.as_ref().ok().map(|tokens| tokens.as_str()),
                expected,
                "{text}"
            );
            if let Err(error) = tokens {
                assert_eq!(
                    error.to_string(),
                    "line 1 of /t is no access token such as `github.com=…`"
                );
            }
        }
    }

    #[test]
    fn credentials_are_one_users_own_and_gone_afterwards() {
        let scratch = tempfile::tempdir().unwrap();
        let scratch = Utf8Path::from_path(scratch.path()).unwrap();
        let write = |name: &str, text: &str| {
            durable::replace(&scratch.join(name), text.as_bytes(), 0o600, Lasting::Process).unwrap();
        };
        write("netrc", "machine h login l password hunter2\n");
        write("tokens", "h=hunter3\n");
        let folder = scratch.join("home");
        let home = EvaluatorHome::make(
            &folder,
            &scratch.join("cache"),
            None,
            &InputCredentials {
                access_tokens: Some(scratch.join("tokens")),
                netrc: Some(scratch.join("netrc")),
                ..InputCredentials::default()
            },
        )
        .unwrap();
        let mode = |path: &Utf8Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        for file in [".netrc", "nix.conf"] {
            assert_eq!(mode(&folder.join(file)), 0o400, "{file}");
        }
        let conf = std::fs::read_to_string(folder.join("nix.conf")).unwrap();
        assert_eq!(
            conf,
            format!("access-tokens = h=hunter3\nnetrc-file = {folder}/.netrc\n")
        );
        assert!(!format!("{home:?}").contains("hunter"), "{home:?}");
        drop(home);
        assert!(!folder.exists());
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let scratch = Utf8Path::from_path(scratch.path()).unwrap();
        let credentials = InputCredentials {
            netrc: Some("/nonexistent/netrc".into()),
            ..InputCredentials::default()
        };
        let error = EvaluatorHome::make(&scratch.join("home"), scratch, None, &credentials).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read /nonexistent/netrc, which private inputs are fetched with"
        );
        assert!(!scratch.join("home").exists());
    }
}
