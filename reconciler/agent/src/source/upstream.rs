//! The fleet's repository, wherever it is: polls it and fetches it, url by url.
//!
//! Says where the branch is and brings its commits here; whether to believe them is not decided here.

use std::path::PathBuf;

use reqwest::Client;
use url::Url;

use super::object_id::ObjectId;
use super::{
    branches,
    child::{Limits, Program},
    credentials::{self, Offered},
    failure::{Failures, HostKey, RemoteError, UrlFailure},
    fleet_url::{Address, FleetUrl, HttpAddress, SshAddress},
    home,
    http::HttpRemote,
    http_client::{self, HttpClientError},
    local::{self, Local},
    mirror::Mirror,
    mirror_error::MirrorError,
    progress::FetchProgress,
    protocol::{Agent, Failure, Login, Operation, Request},
    settings::SourceSettings,
};

/// Why a source cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is nothing to poll.
    #[error("no fleet url is set")]
    NoUrl,
    /// git would not take the branch's name.
    #[error("{branch:?} is no name of a branch")]
    Branch {
        /// The name.
        branch: String,
    },
    /// Polls over http cannot be made.
    #[error("cannot poll over http")]
    Http(#[from] HttpClientError),
    /// The agent does not find its own binary.
    #[error("cannot find the agent's own program")]
    Program(#[source] std::io::Error),
}

/// No url said where the branch is.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask for the fleet's branch: {failures}")]
pub struct PollError {
    /// One for each url.
    pub failures: Failures,
}

/// The commits are not here.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The mirror cannot be used.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// No url brought them.
    #[error("cannot fetch the fleet's branch: {0}")]
    Urls(Failures),
    /// The branch was rewritten after the poll, and the advertised commit is gone.
    #[error(
        "the branch moved from {wanted} to {found} while it was fetched, and does not contain it any more"
    )]
    Moved {
        /// What was advertised.
        wanted: ObjectId,
        /// Where the branch is now; fetched.
        found: ObjectId,
    },
}

/// Where the branch is, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// The configured url that answered.
    pub url: FleetUrl,
    /// The branch's head.
    pub head: ObjectId,
    /// Where `url` redirected to.
    moved_to: Option<Url>,
}

/// The fleet's repository.
#[derive(Debug)]
pub struct Source {
    settings: SourceSettings,
    remotes: Vec<Remote>,
    client: Option<Client>,
    program: Program,
}

#[derive(Debug)]
struct Remote {
    url: FleetUrl,
    http: HttpRemote,
}

impl Source {
    /// Checks the settings. Touches neither the network nor the disk, but for the file of certificates.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn new(settings: SourceSettings) -> Result<Self, SourceError> {
        let program = if cfg!(target_os = "linux") {
            // Finds this very binary even after an upgrade replaced or collected it.
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe().map_err(SourceError::Program)?
        };
        Self::with_program(settings, program)
    }

    /// As [`Source::new`], with another program that serves the `git-transport` subcommand.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn with_program(settings: SourceSettings, program: PathBuf) -> Result<Self, SourceError> {
        if settings.urls.is_empty() {
            return Err(SourceError::NoUrl);
        }
        if !branches::is_name(&settings.branch) {
            return Err(SourceError::Branch {
                branch: settings.branch,
            });
        }
        let speaks_http = settings
            .urls
            .iter()
            .any(|FleetUrl(address)| matches!(address, Address::Http(_)));
        let client = if speaks_http {
            Some(http_client::client(&settings.https, settings.timeouts)?)
        } else {
            None
        };
        let remotes = settings
            .urls
            .iter()
            .map(|url| Remote {
                url: url.clone(),
                http: HttpRemote::new(),
            })
            .collect();
        Ok(Self {
            settings,
            remotes,
            client,
            program: Program(program),
        })
    }

    /// Asks where the branch is, of one url after the other until one answers.
    ///
    /// # Errors
    /// Every url's failure. Cancel-safe.
    pub async fn poll(&self) -> Result<Advertised, PollError> {
        let mut failures = Vec::new();
        for remote in &self.remotes {
            match self.poll_one(remote).await {
                Ok(advertised) => return Ok(advertised),
                Err(error) => failures.push(UrlFailure {
                    url: remote.url.clone(),
                    error,
                }),
            }
        }
        Err(PollError {
            failures: Failures(failures),
        })
    }

    async fn poll_one(&self, remote: &Remote) -> Result<Advertised, RemoteError> {
        let after = self.settings.timeouts.poll;
        let asked = self.ask(remote);
        tokio::time::timeout(after, asked)
            .await
            .map_err(|_| RemoteError::TimedOut { after })?
    }

    async fn ask(&self, remote: &Remote) -> Result<Advertised, RemoteError> {
        let url = remote.url.clone();
        let branch = &self.settings.branch;
        let (head, moved_to) = match (&url.0, &self.client) {
            (Address::Http(address), Some(client)) => {
                let (https, patience) = (&self.settings.https, self.settings.timeouts.connect);
                let found = remote.http.head(client, https, address, branch, patience).await?;
                (found.head, (found.url != address.url).then_some(found.url))
            }
            (Address::Local(path), _) => {
                let (path, branch) = (path.clone(), branch.clone());
                let looked = tokio::task::spawn_blocking(move || local::head(&path, &branch)).await;
                match looked.map_err(|error| RemoteError::Spawn(error.into()))?? {
                    Local::Head(head) => (head, None),
                    Local::NotOwned => (self.list(&url).await?, None),
                }
            }
            (Address::Ssh(_) | Address::Http(_), _) => (self.list(&url).await?, None),
        };
        Ok(Advertised { url, head, moved_to })
    }

    async fn list(&self, url: &FleetUrl) -> Result<ObjectId, RemoteError> {
        let limit = self.settings.timeouts.poll;
        self.transport(
            url,
            None,
            Operation::List,
            Limits {
                stall: limit,
                total: limit,
            },
            &mut |_| (),
        )
        .await
    }

    /// Brings the advertised commit into the mirror: from the url that advertised it, or else from the others in
    /// order. The branch may have grown since; the mirror then has its new head too.
    ///
    /// # Errors
    /// [`FetchError::Urls`] with every url's failure; the mirror is then as it was, less what a killed transfer
    /// left, which the next fetch removes. Cancel-safe.
    pub async fn fetch(
        &self,
        wanted: &Advertised,
        progress: &mut (dyn FnMut(FetchProgress) + Send),
    ) -> Result<(), FetchError> {
        if self.mirror()?.head(&self.settings.branch) == Some(wanted.head.oid()) {
            return Ok(());
        }
        self.bring(wanted, None, progress).await
    }

    /// Brings the notes below a ref into the mirror, and the advertised commit with them. Where the remote has no such
    /// notes, none come.
    ///
    /// # Errors
    /// As of [`Source::fetch`].
    pub async fn fetch_notes(
        &self,
        wanted: &Advertised,
        notes: &str,
        progress: &mut (dyn FnMut(FetchProgress) + Send),
    ) -> Result<(), FetchError> {
        self.bring(wanted, Some(notes), progress).await
    }

    async fn bring(
        &self,
        wanted: &Advertised,
        notes: Option<&str>,
        progress: &mut (dyn FnMut(FetchProgress) + Send),
    ) -> Result<(), FetchError> {
        let others = self
            .settings
            .urls
            .iter()
            .filter(|url| **url != wanted.url)
            .map(|url| (url, None));
        let mut failures = Vec::new();
        for (url, moved_to) in std::iter::once((&wanted.url, wanted.moved_to.as_ref())).chain(others) {
            let limits = Limits {
                stall: self.settings.timeouts.stall,
                total: self.settings.timeouts.fetch,
            };
            let operation = Operation::Fetch {
                mirror: self.settings.mirror.clone(),
                notes: notes.map(str::to_owned),
            };
            match self.transport(url, moved_to, operation, limits, progress).await {
                Ok(found) if found == wanted.head || self.mirror()?.contains(wanted.head.oid()) => {
                    return Ok(());
                }
                Ok(found) => {
                    return Err(FetchError::Moved {
                        wanted: wanted.head,
                        found,
                    });
                }
                Err(error) => failures.push(UrlFailure {
                    url: url.clone(),
                    error,
                }),
            }
        }
        Err(FetchError::Urls(Failures(failures)))
    }

    /// Opens the mirror; makes it if there is none.
    ///
    /// # Errors
    /// [`MirrorError::Corrupt`] if it is damaged.
    pub fn mirror(&self) -> Result<Mirror, MirrorError> {
        Mirror::open_or_create(&self.settings.mirror)
    }

    /// The settings it was made from.
    pub fn settings(&self) -> &SourceSettings {
        &self.settings
    }

    async fn transport(
        &self,
        url: &FleetUrl,
        moved_to: Option<&Url>,
        operation: Operation,
        limits: Limits,
        progress: &mut (dyn FnMut(FetchProgress) + Send),
    ) -> Result<ObjectId, RemoteError> {
        home::prepare(&self.settings)?;
        let (login, offered) = self.login(url, moved_to)?;
        let request = Request {
            url: moved_to.map_or_else(|| url.transport(), Url::to_string),
            branch: self.settings.branch.clone(),
            operation,
            login,
        };
        let outcome = self
            .program
            .run(&self.settings, &request, limits, progress)
            .await?;
        outcome.map_err(|failure| self.explain(url, failure, offered))
    }

    fn login(&self, url: &FleetUrl, moved_to: Option<&Url>) -> Result<(Login, Offered), RemoteError> {
        Ok(match &url.0 {
            Address::Local(_) => (Login::None, Offered::Nothing),
            Address::Http(address) => {
                let url = moved_to.unwrap_or(&address.url).clone();
                let basic = credentials::basic(
                    &self.settings.https,
                    &HttpAddress {
                        url,
                        ..address.clone()
                    },
                )?;
                let login = basic
                    .login
                    .map_or(Login::None, |(user, password)| Login::Password { user, password });
                (login, basic.offered)
            }
            Address::Ssh(address) => {
                let (keys, agent) = credentials::ssh(&self.settings.ssh);
                let running = if agent.is_some() {
                    Agent::Running
                } else {
                    Agent::Absent
                };
                let login = Login::Ssh {
                    user: address.user.clone(),
                    keys: keys.clone(),
                    agent: running,
                };
                (login, Offered::Ssh { keys, agent })
            }
        })
    }

    /// Adds to a failure what only this side knows.
    fn explain(&self, url: &FleetUrl, failure: Failure, offered: Offered) -> RemoteError {
        match failure {
            Failure::Unauthorized => RemoteError::Unauthorized { offered },
            Failure::NotFound => RemoteError::NotFound,
            Failure::BranchMissing { branches } => RemoteError::BranchMissing {
                branch: self.settings.branch.clone(),
                branches,
            },
            Failure::Status { status } => RemoteError::Status { status },
            Failure::Redirect { to } => RemoteError::Redirect { to },
            Failure::NotGit => RemoteError::NotGit { content_type: None },
            Failure::HostKey {
                algorithm,
                fingerprint,
            } => self.host_key(url, algorithm, fingerprint),
            Failure::Certificate(error) => RemoteError::Certificate(error),
            Failure::Connect(error) => RemoteError::Connect(error),
            Failure::Busy => RemoteError::Busy,
            Failure::Mirror(error) => RemoteError::Mirror(error),
            Failure::Git(error) => RemoteError::Git(error),
        }
    }

    fn host_key(&self, url: &FleetUrl, algorithm: String, fingerprint: String) -> RemoteError {
        let (host, port) = match &url.0 {
            Address::Ssh(SshAddress { host, port, .. }) => (host.clone(), *port),
            Address::Http(_) | Address::Local(_) => (url.to_string(), 0),
        };
        let known = home::known_keys(&self.settings.ssh.known_hosts, &host, port);
        let key = HostKey {
            host,
            port,
            algorithm,
            fingerprint,
        };
        match known {
            Ok(known) if known.is_empty() => RemoteError::HostKeyUnknown(key),
            Ok(_) => RemoteError::HostKeyChanged(key),
            Err(error) => error,
        }
    }
}
