//! The client: one method an operation. Owns the rule when a connection may be used again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::build::{BuildMode, BuildResult};
use crate::connect::{ConnectError, ConnectOptions};
use crate::derived_path::DerivedPath;
use crate::error::{Connection, Error};
use crate::event::EventSink;
use crate::garbage::{Collected, Garbage, Root, Verification};
use crate::handshake::{Greeting, ProtocolVersion, Trust, greet};
use crate::link::{Answer, Link, LinkError};
use crate::missing::{Missing, Substitution};
use crate::nar;
use crate::operation::Operation;
use crate::path_info::PathInfo;
use crate::read::{Reader, Source};
use crate::request::{
    AddIndirectRoot, AddPermRoot, AddSignatures, AddTempRoot, BuildPathsWithResults, CollectGarbage,
    EnsurePath, FindRoots, IsValidPath, NarFromPath, OptimiseStore, QueryAllValidPaths,
    QueryDerivationOutputMap, QueryMissing, QueryPathFromHashPart, QueryPathInfo, QueryReferrers,
    QuerySubstitutablePaths, QueryValidPaths, Request, SetOptions, VerifyStore,
};
use crate::settings::ClientSettings;
use crate::store_path::{HashPart, StorePath};
use crate::write::Sink;

/// A connection to a Nix daemon.
///
/// Operations follow one another; the daemon serves one at a time. Temporary roots, settings and running
/// builds belong to the connection: they end when the client is dropped. Dropping the future of an operation
/// closes the connection at once, and so kills what it was building.
#[derive(Debug)]
pub struct Client {
    /// Empty where the stream was the caller's.
    socket: PathBuf,
    options: ConnectOptions,
    greeting: Greeting,
    link: Option<Link>,
}

impl Client {
    /// Connects to the daemon's socket and agrees on a version.
    ///
    /// # Errors
    /// One variant for each thing a person would do something else about; see [`ConnectError`].
    pub async fn connect(socket: &Path, options: &ConnectOptions) -> Result<Client, ConnectError> {
        let opening = async {
            let stream = UnixStream::connect(socket)
                .await
                .map_err(|source| ConnectError::opening(socket.to_owned(), source))?;
            let (source, sink) = stream.into_split();
            Client::greet(Box::new(source), Box::new(sink), socket, options).await
        };
        let after = options.connect_timeout;
        timeout(after, opening).await.unwrap_or_else(|_| {
            Err(ConnectError::Timeout {
                socket: socket.to_owned(),
                after,
            })
        })
    }

    /// Agrees on a version with a daemon at the other end of a stream: one that `nix-daemon --stdio` serves, or
    /// that comes through a tunnel. The socket of an error is empty then.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static,
        options: &ConnectOptions,
    ) -> Result<Client, ConnectError> {
        let (source, sink) = tokio::io::split(stream);
        let after = options.connect_timeout;
        let socket = Path::new("");
        timeout(
            after,
            Client::greet(Box::new(source), Box::new(sink), socket, options),
        )
        .await
        .unwrap_or_else(|_| {
            Err(ConnectError::Timeout {
                socket: socket.to_owned(),
                after,
            })
        })
    }

    /// Greets over streams that are open.
    pub(crate) async fn greet(
        source: Source,
        mut sink: Sink,
        socket: &Path,
        options: &ConnectOptions,
    ) -> Result<Client, ConnectError> {
        let mut reader = Reader::new(source);
        let patience = options.idle_timeout;
        let greeting = greet(
            &mut reader,
            &mut sink,
            options.max_minor,
            options.connect_timeout,
            &mut (),
        )
        .await
        .map_err(|error| ConnectError::greeting(socket.to_owned(), error))?;
        let link = Link {
            reader,
            sink,
            version: greeting.version,
            patience,
        };
        Ok(Client {
            socket: socket.to_owned(),
            options: options.clone(),
            greeting,
            link: Some(link),
        })
    }

    /// Closes what is left of the connection and opens a new one to the same socket.
    ///
    /// Temporary roots and settings of the old connection are gone.
    ///
    /// # Errors
    /// As [`Client::connect`], and [`ConnectError::NoSocket`] after [`Client::over`]; the client stays closed then.
    pub async fn reconnect(&mut self) -> Result<(), ConnectError> {
        self.link = None;
        if self.socket.as_os_str().is_empty() {
            return Err(ConnectError::NoSocket);
        }
        *self = Client::connect(&self.socket, &self.options).await?;
        Ok(())
    }

    /// Whether the next operation will be sent at all: false once something closed the connection.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.link.is_some()
    }

    /// The version agreed on.
    #[must_use]
    pub fn protocol(&self) -> ProtocolVersion {
        self.greeting.version
    }

    /// Whether the daemon trusts this user.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.greeting.trust
    }

    /// The daemon's version as it names itself, such as `2.8.0`.
    #[must_use]
    pub fn daemon_version(&self) -> Option<&str> {
        self.greeting.daemon.as_deref()
    }

    /// Whether a path is in the store.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn is_valid_path(&mut self, path: &StorePath) -> Result<bool, Error> {
        self.call(&IsValidPath(path), &mut ()).await
    }

    /// What the store knows about a path; `None` when it is not valid.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn query_path_info(&mut self, path: &StorePath) -> Result<Option<PathInfo>, Error> {
        self.call(&QueryPathInfo(path), &mut ()).await
    }

    /// Those of the paths that are in the store; with [`Substitution::Allowed`], after fetching what can be.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn query_valid_paths(
        &mut self,
        paths: &BTreeSet<StorePath>,
        substitution: Substitution,
    ) -> Result<BTreeSet<StorePath>, Error> {
        self.call(&QueryValidPaths { paths, substitution }, &mut ()).await
    }

    /// Every path in the store.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn query_all_valid_paths(&mut self) -> Result<BTreeSet<StorePath>, Error> {
        self.call(&QueryAllValidPaths, &mut ()).await
    }

    /// Those of the paths that a substituter has.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn query_substitutable_paths(
        &mut self,
        paths: &BTreeSet<StorePath>,
    ) -> Result<BTreeSet<StorePath>, Error> {
        self.call(&QuerySubstitutablePaths(paths), &mut ()).await
    }

    /// Adds signatures (`<key name>:<base 64>`) to what is known of a path. Nix 2.8 lets only trusted users.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn add_signatures(
        &mut self,
        path: &StorePath,
        signatures: &BTreeSet<String>,
    ) -> Result<(), Error> {
        self.call(&AddSignatures { path, signatures }, &mut ()).await
    }

    /// Replaces identical files in the store by links to one of them.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn optimise_store(&mut self, events: &mut dyn EventSink) -> Result<(), Error> {
        self.call(&OptimiseStore, events).await
    }

    /// What building the targets would build and fetch.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn query_missing(&mut self, targets: &[DerivedPath]) -> Result<Missing, Error> {
        self.call(&QueryMissing(targets), &mut ()).await
    }

    /// The valid path with this hash part, if there is one.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn query_path_from_hash_part(&mut self, hash: &HashPart) -> Result<Option<StorePath>, Error> {
        self.call(&QueryPathFromHashPart(hash), &mut ()).await
    }

    /// The valid paths that refer to a path.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn query_referrers(&mut self, path: &StorePath) -> Result<BTreeSet<StorePath>, Error> {
        self.call(&QueryReferrers(path), &mut ()).await
    }

    /// The outputs of a derivation by name; without a path where it is not known before the build.
    ///
    /// # Errors
    /// Those of every operation; the daemon's own when the derivation is not in the store.
    pub async fn query_derivation_output_map(
        &mut self,
        drv: &StorePath,
    ) -> Result<BTreeMap<String, Option<StorePath>>, Error> {
        self.call(&QueryDerivationOutputMap(drv), &mut ()).await
    }

    /// Keeps a path from the garbage collector until the connection ends.
    ///
    /// It succeeds for a path that is not valid: root first, then ask whether it is valid.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn add_temp_root(&mut self, path: &StorePath) -> Result<(), Error> {
        self.call(&AddTempRoot(path), &mut ()).await
    }

    /// Makes a link that lies anywhere a root of the garbage collector. The link need not exist yet.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn add_indirect_root(&mut self, link: &Path) -> Result<(), Error> {
        self.call(&AddIndirectRoot(link), &mut ()).await
    }

    /// Makes the daemon write a link that is a root. For trusted users, and not before protocol 1.36.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an older daemon; those of every operation.
    pub async fn add_perm_root(&mut self, path: &StorePath, link: &Path) -> Result<(), Error> {
        self.call(&AddPermRoot { path, link }, &mut ()).await
    }

    /// All roots; the daemon also forgets indirect roots whose link is gone.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn find_roots(&mut self) -> Result<Vec<Root>, Error> {
        self.call(&FindRoots, &mut ()).await
    }

    /// Makes a path valid by substitution.
    ///
    /// # Errors
    /// The daemon's own when no substituter has it; those of every operation.
    pub async fn ensure_path(&mut self, path: &StorePath, events: &mut dyn EventSink) -> Result<(), Error> {
        self.call(&EnsurePath(path), events).await
    }

    /// Lists or deletes garbage.
    ///
    /// # Errors
    /// The daemon's own when a path to delete is alive; those of every operation.
    pub async fn collect_garbage(
        &mut self,
        garbage: &Garbage,
        events: &mut dyn EventSink,
    ) -> Result<Collected, Error> {
        self.call(&CollectGarbage(garbage), events).await
    }

    /// Verifies the store; true when errors remain.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn verify_store(
        &mut self,
        verification: Verification,
        events: &mut dyn EventSink,
    ) -> Result<bool, Error> {
        self.call(&VerifyStore(verification), events).await
    }

    /// Lays settings over the daemon's own for the rest of the connection. Never sent unless asked.
    ///
    /// What a user who is not trusted may not set is left out by the daemon, which says so in lines of its own.
    ///
    /// # Errors
    /// Those of every operation; see [`Error`].
    pub async fn set_options(
        &mut self,
        settings: &ClientSettings,
        events: &mut dyn EventSink,
    ) -> Result<(), Error> {
        self.call(&SetOptions(settings), events).await
    }

    /// Builds or substitutes the targets; each has its own result, in no particular order. One that the daemon
    /// did not get to, because another failed, is there as well: see [`BuildResult::is_not_attempted`].
    ///
    /// It takes as long as it takes; dropping the future closes the connection and kills the builders. The
    /// outputs are kept from the garbage collector until the connection ends.
    ///
    /// # Errors
    /// A failed build is not an error but a result. Those of every operation; see [`Error`].
    pub async fn build_paths_with_results(
        &mut self,
        targets: &[DerivedPath],
        mode: BuildMode,
        events: &mut dyn EventSink,
    ) -> Result<Vec<(DerivedPath, BuildResult)>, Error> {
        self.call(&BuildPathsWithResults { targets, mode }, events).await
    }

    /// Writes the archive of a path; returns its length in bytes.
    ///
    /// # Errors
    /// The daemon's own when the path is not valid, [`Error::Sink`] when `out` fails; those of every operation.
    pub async fn nar_from_path(
        &mut self,
        path: &StorePath,
        out: &mut (dyn AsyncWrite + Send + Unpin),
    ) -> Result<u64, Error> {
        let operation = Operation::NarFromPath;
        let mut link = self.take(operation).await?;
        let answer = link
            .converse(&NarFromPath(path), &mut ())
            .await
            .map_err(|error| error.during(operation))?;
        let answer = match answer {
            Answer::Refusal(error) => Answer::Refusal(error),
            Answer::Reply(()) => Answer::Reply(
                nar::copy(&mut link.reader, out)
                    .await
                    .map_err(|error| LinkError::from(error).during(operation))?,
            ),
        };
        self.settle(operation, link, answer).await
    }

    /// Sends one request and reads its reply.
    async fn call<R: Request>(&mut self, request: &R, events: &mut dyn EventSink) -> Result<R::Reply, Error> {
        let mut link = self.take(R::OPERATION).await?;
        let answer = link
            .converse(request, events)
            .await
            .map_err(|error| error.during(R::OPERATION))?;
        self.settle(R::OPERATION, link, answer).await
    }

    /// Takes the link for an operation, if there is one that may be used and speaks the operation.
    pub(crate) async fn take(&mut self, operation: Operation) -> Result<Link, Error> {
        let version = self.greeting.version;
        if version.minor < operation.since() {
            return Err(Error::Unsupported {
                operation,
                needed: operation.since(),
                version,
            });
        }
        let mut link = self.link.take().ok_or(Error::Closed { operation })?;
        // What nobody asked for would be taken for the reply.
        if link.reader.is_quiet().await {
            Ok(link)
        } else {
            Err(Error::Closed { operation })
        }
    }

    /// Puts the link back after a complete answer, if it may be used again.
    pub(crate) async fn settle<T>(
        &mut self,
        operation: Operation,
        mut link: Link,
        answer: Answer<T>,
    ) -> Result<T, Error> {
        match answer {
            Answer::Reply(reply) => {
                self.link = Some(link);
                Ok(reply)
            }
            Answer::Refusal(error) => {
                let connection = if link.survives().await {
                    self.link = Some(link);
                    Connection::Alive
                } else {
                    Connection::Closed
                };
                Err(Error::Daemon {
                    operation,
                    error: Box::new(error),
                    connection,
                })
            }
        }
    }

    /// Puts back a link whose last answer was read to the end.
    pub(crate) fn put_back(&mut self, link: Link) {
        self.link = Some(link);
    }
}
