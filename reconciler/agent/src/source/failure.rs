//! What can go wrong between this machine and a fleet's repository.

use std::{fmt, io, process::ExitStatus, time::Duration};

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::{
    advertisement::AdvertisementError,
    credentials::{CredentialsError, Offered},
    fleet_url::FleetUrl,
};

/// One attempt to speak with one url, and why it failed.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The server wants to know who asks, or does not let in who does.
    #[error("the server refuses {offered}")]
    Unauthorized {
        /// What it was shown.
        offered: Offered,
    },
    /// There is no repository; a forge says so of private ones too.
    #[error("there is no such repository, or the credentials do not reach it")]
    NotFound,
    /// The repository has no such branch.
    #[error("there is no branch {branch:?}{}", listed(branches))]
    BranchMissing {
        /// The branch.
        branch: String,
        /// Some that exist, the most similar first.
        branches: Vec<String>,
    },
    /// An http status that says nothing about repositories.
    #[error("the server answers with http status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// A web page or anything else that is not git's.
    #[error("the answer is not from a git server{}", of_type(content_type.as_deref()))]
    NotGit {
        /// The content type.
        content_type: Option<String>,
    },
    /// A redirect to another host, to another port, or from https to http.
    #[error("the server redirects to {to}, which is not followed")]
    Redirect {
        /// Where to, without user information, path or query.
        to: String,
    },
    /// More redirects than a repository has use for.
    #[error("the server redirects in a circle")]
    RedirectLoop,
    /// The exchange over http failed.
    #[error("http request failed")]
    Http(#[source] reqwest::Error),
    /// No answer in time.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// The limit.
        after: Duration,
    },
    /// The answer says nothing about refs.
    #[error("cannot read the server's list of refs")]
    Advertisement(#[from] AdvertisementError),
    /// The credentials cannot be read.
    #[error("cannot read the credentials")]
    Credentials(#[from] CredentialsError),
    /// No file of known hosts has a key of this host.
    #[error("the ssh host {} is not known: it shows {} {}", .0.host, .0.algorithm, .0.fingerprint)]
    HostKeyUnknown(HostKey),
    /// The known hosts have other keys of this host.
    #[error("the ssh host {} shows another key than the known one: {} {}", .0.host, .0.algorithm, .0.fingerprint)]
    HostKeyChanged(HostKey),
    /// The host's TLS certificate is not trusted.
    #[error("the server's certificate is not trusted")]
    Certificate(#[source] LibgitError),
    /// No connection.
    #[error("cannot connect")]
    Connect(#[source] LibgitError),
    /// Any other failure of libgit2.
    #[error("git failed")]
    Git(#[source] LibgitError),
    /// A repository on this machine cannot be opened or read.
    #[error("cannot read the repository {path}")]
    Local {
        /// Where.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// Another process fetches into the same mirror.
    #[error("another fetch into the mirror is running")]
    Busy,
    /// The mirror cannot take what was fetched.
    #[error("cannot write the mirror")]
    Mirror(#[source] LibgitError),
    /// A fetch without progress.
    #[error("the fetch made no progress for {after:?}")]
    Stalled {
        /// The limit.
        after: Duration,
    },
    /// The private home of the transport cannot be written.
    #[error("cannot prepare the transport's home {path}")]
    Home {
        /// Which file or folder.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The child process cannot be started or spoken to.
    #[error("cannot run the git transport")]
    Spawn(#[source] io::Error),
    /// The child's words are not those of this version.
    #[error("cannot read the git transport's answer")]
    Protocol(#[source] serde_json::Error),
    /// The child ended without an answer.
    #[error("the git transport ended without an answer: {status}")]
    Died {
        /// How it ended.
        status: ExitStatus,
    },
}

impl RemoteError {
    /// A bounded name for metrics and records.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "unauthorized",
            Self::NotFound => "not-found",
            Self::BranchMissing { .. } => "branch-missing",
            Self::Status { .. } => "status",
            Self::NotGit { .. } => "not-git",
            Self::Redirect { .. } | Self::RedirectLoop => "redirect",
            Self::Http(_) | Self::Connect(_) => "network",
            Self::TimedOut { .. } | Self::Stalled { .. } => "timeout",
            Self::Advertisement(_) => "advertisement",
            Self::Credentials(_) => "credentials",
            Self::HostKeyUnknown(_) => "host-key-unknown",
            Self::HostKeyChanged(_) => "host-key-changed",
            Self::Certificate(_) => "certificate",
            Self::Git(_) => "git",
            Self::Local { .. } => "local",
            Self::Busy => "busy",
            Self::Mirror(_) => "mirror",
            Self::Home { .. } | Self::Spawn(_) | Self::Protocol(_) | Self::Died { .. } => "transport",
        }
    }

    /// What a person can do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unauthorized { offered } => Some(offered.hint().to_owned()),
            Self::HostKeyUnknown(key) => Some(format!(
                "compare the fingerprint with the forge's own page; if it is the same: ssh-keyscan {} >> /etc/ssh/ssh_known_hosts",
                key.keyscan_arguments()
            )),
            Self::HostKeyChanged(_) => Some(
                "either the host was given a new key or someone sits in between; compare the fingerprint with the forge's own page before replacing the known key".to_owned(),
            ),
            Self::Redirect { .. } => Some("if the repository moved, set fleet.url to where it is now".to_owned()),
            Self::NotGit { .. } => Some("is fleet.url the address that `git clone` takes?".to_owned()),
            Self::BranchMissing { branches, .. } => {
                branches.first().map(|branch| format!("did you mean fleet.branch = {branch:?}?"))
            }
            _ => None,
        }
    }
}

/// A host key that a server showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostKey {
    /// The host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The key's algorithm, as in known_hosts.
    pub algorithm: String,
    /// As `ssh-keygen -l` prints it: `SHA256:` and base64 without padding.
    pub fingerprint: String,
}

impl HostKey {
    fn keyscan_arguments(&self) -> String {
        if self.port == 22 {
            self.host.clone()
        } else {
            format!("-p {} {}", self.port, self.host)
        }
    }
}

/// What libgit2 says of a failure, across the process boundary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct LibgitError {
    /// `git_error_t`.
    pub class: u32,
    /// `git_error_code`.
    pub code: i32,
    /// libgit2's words, without user information.
    pub message: String,
}

impl From<&git2::Error> for LibgitError {
    fn from(error: &git2::Error) -> Self {
        Self {
            class: error.raw_class(),
            code: error.raw_code(),
            message: error.message().trim().to_owned(),
        }
    }
}

/// One url's failure.
#[derive(Debug)]
pub struct UrlFailure {
    /// Which url.
    pub url: FleetUrl,
    /// What went wrong.
    pub error: RemoteError,
}

/// Every url's failure, in the order in which they were tried.
#[derive(Debug)]
pub struct Failures(pub Vec<UrlFailure>);

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, UrlFailure { url, error }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{url}: {error}")?;
            let mut cause = std::error::Error::source(error);
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
        }
        Ok(())
    }
}

fn listed(branches: &[String]) -> String {
    if branches.is_empty() {
        ": the repository is empty".to_owned()
    } else {
        format!("; there are {}", branches.join(", "))
    }
}

fn of_type(content_type: Option<&str>) -> String {
    content_type
        .map(|content_type| format!(" but {content_type:?}"))
        .unwrap_or_default()
}
