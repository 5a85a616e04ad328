//! Where a fleet's repository is: the forms git knows, less those that run a program.
//!
//! What is shown never carries a password; what is sent to a server is asked for by name.

use std::{fmt, str::FromStr};

use camino::Utf8PathBuf;
use serde::Deserialize;
use url::Url;

use super::secret::Secret;

const SSH_PORT: u16 = 22;
/// Without a user, ssh would log in as the agent's own user; forges want `git`.
const SSH_USER: &str = "git";

/// A repository's address: `https://`, `http://`, `ssh://`, `user@host:path`, `file://` or an absolute path.
///
/// `Display` and `Debug` show no user information of an http url and no password of any.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FleetUrl(pub(super) Address);

/// The parsed forms.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Address {
    Http(HttpAddress),
    Ssh(SshAddress),
    Local(Utf8PathBuf),
}

/// `url` holds no user information.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpAddress {
    pub(super) url: Url,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SshAddress {
    pub(super) user: String,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    /// As the server gets it: absolute, or relative to the user's home.
    pub(super) path: String,
}

/// Why a text is no fleet url.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FleetUrlError {
    /// The text is not a url.
    #[error("cannot parse the fleet url")]
    Parse(#[source] url::ParseError),
    /// A scheme the agent does not speak.
    #[error(
        "cannot fetch over `{scheme}:`: a fleet url is https://, http://, ssh://, user@host:path, file:// or an absolute path"
    )]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A path that depends on the working directory.
    #[error("the fleet's path {path:?} is not absolute")]
    Relative {
        /// The path.
        path: String,
    },
    /// An address without a host.
    #[error("the fleet url names no host")]
    NoHost,
    /// An address without a path.
    #[error("the fleet url names no repository on its host")]
    NoPath,
    /// A `file:` url with a host, or with a path that is not UTF-8.
    #[error("the file url does not name a path of this machine")]
    NotAPath,
    /// Flake parameters such as `?dir=` or `?ref=`, which have their own settings.
    #[error("the fleet url has parameters; the branch and the directory are settings of their own")]
    Parameters,
}

impl FleetUrl {
    /// As git's library takes it; holds no password.
    pub(super) fn transport(&self) -> String {
        match &self.0 {
            Address::Http(http) => http.url.to_string(),
            Address::Ssh(ssh) => ssh.to_string(),
            Address::Local(path) => path.to_string(),
        }
    }

    /// The path, where the repository is on this machine.
    pub fn local_path(&self) -> Option<&camino::Utf8Path> {
        match &self.0 {
            Address::Local(path) => Some(path),
            Address::Http(_) | Address::Ssh(_) => None,
        }
    }
}

impl FromStr for FleetUrl {
    type Err = FleetUrlError;

    fn from_str(text: &str) -> Result<Self, FleetUrlError> {
        let text = text.trim();
        // Flakes write `git+https://`; people copy it.
        let text = text.strip_prefix("git+").unwrap_or(text);
        if text.starts_with('/') {
            return Ok(Self(Address::Local(text.into())));
        }
        if !text.contains("://") {
            return scp_like(text).map(|ssh| Self(Address::Ssh(ssh)));
        }
        let mut url = Url::parse(text).map_err(FleetUrlError::Parse)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(FleetUrlError::Parameters);
        }
        match url.scheme() {
            "http" | "https" => {
                let user = decoded(url.username());
                let password = url.password().and_then(decoded).map(Secret::new);
                // Both fail only for urls without a host, which http does not have.
                let _ = url.set_username("");
                let _ = url.set_password(None);
                if url.path() == "/" {
                    return Err(FleetUrlError::NoPath);
                }
                Ok(Self(Address::Http(HttpAddress { url, user, password })))
            }
            "ssh" => {
                let host = url
                    .host_str()
                    .filter(|host| !host.is_empty())
                    .ok_or(FleetUrlError::NoHost)?;
                if url.path().len() < 2 {
                    return Err(FleetUrlError::NoPath);
                }
                Ok(Self(Address::Ssh(SshAddress {
                    user: decoded(url.username()).unwrap_or_else(|| SSH_USER.to_owned()),
                    host: host
                        .trim_start_matches('[')
                        .trim_end_matches(']')
                        .to_ascii_lowercase(),
                    port: url.port().unwrap_or(SSH_PORT),
                    path: decoded(url.path()).ok_or(FleetUrlError::NoPath)?,
                })))
            }
            "file" => {
                let path = url.to_file_path().map_err(|()| FleetUrlError::NotAPath)?;
                let path = Utf8PathBuf::from_path_buf(path).map_err(|_| FleetUrlError::NotAPath)?;
                Ok(Self(Address::Local(path)))
            }
            scheme => Err(FleetUrlError::Scheme {
                scheme: scheme.to_owned(),
            }),
        }
    }
}

/// `[user@]host:path`, as git and scp read it: no slash before the first colon.
fn scp_like(text: &str) -> Result<SshAddress, FleetUrlError> {
    let relative = || FleetUrlError::Relative {
        path: text.to_owned(),
    };
    let (login, path) = text.split_once(':').ok_or_else(relative)?;
    if login.contains('/') {
        return Err(relative());
    }
    // `github:owner/repo` and `ext::program` look like a host; a host of one label without a user is not
    // worth the surprise.
    let (user, host) = match login.split_once('@') {
        Some((user, host)) => (user, host),
        None if login.contains('.') => (SSH_USER, login),
        None => {
            return Err(FleetUrlError::Scheme {
                scheme: login.to_owned(),
            });
        }
    };
    if host.is_empty() || user.is_empty() {
        return Err(FleetUrlError::NoHost);
    }
    if path.is_empty() {
        return Err(FleetUrlError::NoPath);
    }
    Ok(SshAddress {
        user: user.to_owned(),
        host: host.to_ascii_lowercase(),
        port: SSH_PORT,
        path: path.to_owned(),
    })
}

/// Percent-decoded text; `None` when it is empty or not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, after @ ..]) => hex_digit(*high)
                .zip(hex_digit(*low))
                .map(|(high, low)| (high * 16 + low, after)),
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*first, tail));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

impl TryFrom<String> for FleetUrl {
    type Error = FleetUrlError;

    fn try_from(text: String) -> Result<Self, FleetUrlError> {
        text.parse()
    }
}

impl fmt::Display for SshAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            user,
            host,
            port,
            path,
        } = self;
        if !path.starts_with('/') {
            return write!(f, "{user}@{host}:{path}");
        }
        match (host.contains(':'), *port) {
            (false, SSH_PORT) => write!(f, "ssh://{user}@{host}{path}"),
            (false, port) => write!(f, "ssh://{user}@{host}:{port}{path}"),
            (true, port) => write!(f, "ssh://{user}@[{host}]:{port}{path}"),
        }
    }
}

impl fmt::Display for FleetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Address::Http(http) => http.url.fmt(f),
            Address::Ssh(ssh) => ssh.fmt(f),
            Address::Local(path) => write!(f, "file://{path}"),
        }
    }
}

impl fmt::Debug for FleetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FleetUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, FleetUrl, FleetUrlError};

    #[test]
    fn forms_that_git_knows_are_read() {
        for (text, shown) in [
            (
                "https://git.example.org/infra.git",
                "https://git.example.org/infra.git",
            ),
            (
                "https://user:hunter2@git.example.org/infra.git",
                "https://git.example.org/infra.git",
            ),
            (
                "git+https://git.example.org/infra",
                "https://git.example.org/infra",
            ),
            ("ssh://git.example.org/infra", "ssh://git@git.example.org/infra"),
            (
                "ssh://deploy:hunter2@Git.example.org:2222/infra",
                "ssh://deploy@git.example.org:2222/infra",
            ),
            ("ssh://git@[::1]:2222/infra", "ssh://git@[::1]:2222/infra"),
            (
                "git@git.example.org:team/infra.git",
                "git@git.example.org:team/infra.git",
            ),
            ("git.example.org:infra.git", "git@git.example.org:infra.git"),
            (
                "git@git.example.org:/srv/infra.git",
                "ssh://git@git.example.org/srv/infra.git",
            ),
            ("file:///srv/in%20fra.git", "file:///srv/in fra.git"),
            ("/srv/infra.git", "file:///srv/infra.git"),
        ] {
            let url: FleetUrl = text.parse().expect(text);
            assert_eq!(url.to_string(), shown, "{text}");
            assert!(
                !format!("{url:?} {}", url.transport()).contains("hunter2"),
                "{text}"
            );
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let scheme = |scheme: &str| FleetUrlError::Scheme {
            scheme: scheme.into(),
        };
        for (text, error) in [
            ("git://git.example.org/infra", scheme("git")),
            ("ext::sh -c id", scheme("ext")),
            ("github:owner/repo", scheme("github")),
            (
                "infra.git",
                FleetUrlError::Relative {
                    path: "infra.git".into(),
                },
            ),
            ("./a:b", FleetUrlError::Relative { path: "./a:b".into() }),
            ("https://git.example.org/", FleetUrlError::NoPath),
            ("ssh://git.example.org", FleetUrlError::NoPath),
            ("git@:infra", FleetUrlError::NoHost),
            ("https://git.example.org/infra?dir=nix", FleetUrlError::Parameters),
            ("file://elsewhere/srv/infra", FleetUrlError::NotAPath),
        ] {
            assert_eq!(text.parse::<FleetUrl>(), Err(error), "{text}");
        }
    }

    #[test]
    fn user_information_is_decoded() {
        let FleetUrl(Address::Http(http)) = "https://a%40b:p%2Fw@h/x".parse().unwrap() else {
            panic!("http")
        };
        assert_eq!(http.user.as_deref(), Some("a@b"));
        assert_eq!(http.password.unwrap().expose(), "p/w");
    }
}
