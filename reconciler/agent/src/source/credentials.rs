//! What is shown to a server: a token, a netrc login, a url's own password, or ssh keys.
//!
//! Read anew for every attempt, so that a rotated token needs no restart. Never sent over plain http, but to
//! the loopback.

use std::{fmt, fs, io};

use camino::{Utf8Path, Utf8PathBuf};
use url::{Host, Url};

use super::{
    fleet_url::HttpAddress,
    netrc::{self, NetrcError},
    secret::Secret,
    settings::{HttpsSettings, SshSettings},
};

/// GitHub asks for this user with app tokens; GitHub, GitLab and Forgejo accept any with the other kinds.
const TOKEN_USER: &str = "x-access-token";

/// Why credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A token is one line.
    #[error("{path} does not hold one line with a token")]
    NotAToken {
        /// Which file.
        path: Utf8PathBuf,
    },
    /// The netrc file is broken.
    #[error("cannot read {path}")]
    Netrc {
        /// Which file.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: NetrcError,
    },
}

/// What was shown to a server that refused it. `Display` completes "the server refuses …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// Nothing is configured for this host.
    Nothing,
    /// The password in the url.
    UrlPassword,
    /// The token of this file.
    Token(Utf8PathBuf),
    /// The login of this netrc file.
    Netrc(Utf8PathBuf),
    /// There are credentials, but the connection is not encrypted.
    Withheld,
    /// These private keys, and the agent's.
    Ssh {
        /// Those that exist.
        keys: Vec<Utf8PathBuf>,
        /// The agent's socket.
        agent: Option<Utf8PathBuf>,
    },
}

impl Offered {
    /// What a person can do when it is refused.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Nothing => "set `fleet.token_file` or `fleet.netrc` that names the host",
            Self::UrlPassword | Self::Token(_) | Self::Netrc(_) => {
                "the token needs read access to the repository's contents, and must not be expired"
            }
            Self::Withheld => "use https: credentials are not sent in clear text",
            Self::Ssh { keys, agent: None } if keys.is_empty() => {
                "set a private key that exists, or an ssh-agent"
            }
            Self::Ssh { .. } => {
                "is the public key registered with the repository, as a deploy key with read access?"
            }
        }
    }
}

impl fmt::Display for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("access without credentials"),
            Self::UrlPassword => f.write_str("the password of the url"),
            Self::Token(path) => write!(f, "the token of {path}"),
            Self::Netrc(path) => write!(f, "the login of {path}"),
            Self::Withheld => f.write_str("access without credentials, which are not sent over plain http"),
            Self::Ssh { keys, agent } => {
                let mut names: Vec<String> = keys.iter().map(|key| format!("the key {key}")).collect();
                names.extend(
                    agent
                        .iter()
                        .map(|socket| format!("the keys of the agent {socket}")),
                );
                if names.is_empty() {
                    return f.write_str("a login without any key");
                }
                f.write_str(&names.join(" and "))
            }
        }
    }
}

/// The login for an http server.
#[derive(Debug, Clone)]
pub(super) struct Basic {
    pub(super) login: Option<(String, Secret)>,
    pub(super) offered: Offered,
}

/// Reads the login for `address`.
pub(super) fn basic(settings: &HttpsSettings, address: &HttpAddress) -> Result<Basic, CredentialsError> {
    let (login, offered) = if let Some(password) = &address.password {
        (
            Some((user(settings, address), password.clone())),
            Offered::UrlPassword,
        )
    } else if let Some(path) = &settings.token_file {
        (
            Some((user(settings, address), token(path)?)),
            Offered::Token(path.clone()),
        )
    } else if let Some(path) = &settings.netrc {
        let text = Secret::new(read(path)?);
        let host = address.url.host_str().unwrap_or_default();
        let login = netrc::lookup(text.expose(), host).map_err(|source| CredentialsError::Netrc {
            path: path.clone(),
            source,
        })?;
        let offered = if login.is_some() {
            Offered::Netrc(path.clone())
        } else {
            Offered::Nothing
        };
        (login, offered)
    } else {
        (None, Offered::Nothing)
    };
    if login.is_some() && !is_private(&address.url) {
        return Ok(Basic {
            login: None,
            offered: Offered::Withheld,
        });
    }
    Ok(Basic { login, offered })
}

/// Whether nobody on the way can read what is sent: TLS, or the loopback.
fn is_private(url: &Url) -> bool {
    url.scheme() == "https"
        || match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

fn user(settings: &HttpsSettings, address: &HttpAddress) -> String {
    settings
        .user
        .clone()
        .or_else(|| address.user.clone())
        .unwrap_or_else(|| TOKEN_USER.to_owned())
}

fn token(path: &Utf8Path) -> Result<Secret, CredentialsError> {
    let text = Secret::new(read(path)?);
    let token = text.expose().trim();
    if token.is_empty() || token.chars().any(char::is_whitespace) {
        return Err(CredentialsError::NotAToken {
            path: path.to_owned(),
        });
    }
    Ok(Secret::new(token.to_owned()))
}

fn read(path: &Utf8Path) -> Result<String, CredentialsError> {
    fs::read_to_string(path).map_err(|source| CredentialsError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The private keys that exist, and the agent.
pub(super) fn ssh(settings: &SshSettings) -> (Vec<Utf8PathBuf>, Option<Utf8PathBuf>) {
    (
        settings.keys.iter().filter(|key| key.exists()).cloned().collect(),
        settings.agent.clone(),
    )
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests write their own files")]
mod tests {
    use super::{CredentialsError, HttpsSettings, Offered, basic};
    use crate::source::fleet_url::{Address, FleetUrl, HttpAddress};

    fn http(url: &str) -> HttpAddress {
        match url.parse().unwrap() {
            FleetUrl(Address::Http(http)) => http,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_is_sent_over_tls_or_to_the_loopback_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = camino::Utf8Path::from_path(dir.path()).unwrap().join("token");
        std::fs::write(&path, "t0ken\n").unwrap();
        let settings = HttpsSettings {
            token_file: Some(path.clone()),
            ..HttpsSettings::default()
        };
        for (url, user) in [
            ("https://h.example/x", Some("x-access-token")),
            ("https://deploy@h.example/x", Some("deploy")),
            ("http://h.example/x", None),
            ("http://localhost.h.example/x", None),
            ("http://127.0.0.1:8080/x", Some("x-access-token")),
            ("http://[::1]/x", Some("x-access-token")),
        ] {
            let found = basic(&settings, &http(url)).unwrap();
            assert_eq!(found.login.as_ref().map(|(user, _)| user.as_str()), user, "{url}");
            assert_eq!(found.offered == Offered::Withheld, user.is_none(), "{url}");
        }
        std::fs::write(&path, "two words").unwrap();
        assert!(matches!(
            basic(&settings, &http("https://h/x")),
            Err(CredentialsError::NotAToken { .. })
        ));
    }

    #[test]
    fn the_urls_own_password_wins() {
        let settings = HttpsSettings {
            token_file: Some("/nonexistent".into()),
            ..HttpsSettings::default()
        };
        let found = basic(&settings, &http("https://u:p@h/x")).unwrap();
        assert_eq!(found.offered, Offered::UrlPassword);
        assert!(matches!(
            basic(&settings, &http("https://h/x")),
            Err(CredentialsError::Read { .. })
        ));
    }
}
