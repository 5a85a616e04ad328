//! One open connection. Owns the order of words on it: request, messages, reply.
//!
//! A link is taken out of its client for every operation and put back only when the reply was read to the
//! end. Whoever drops the future in between drops the link with it, and so closes the socket.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::error::{DaemonError, Error, Violation};
use crate::event::EventSink;
use crate::handshake::ProtocolVersion;
use crate::message;
use crate::missing::Substitution;
use crate::operation::Operation;
use crate::read::{ReadError, Reader};
use crate::request::{Patience, QueryValidPaths, Request, encode};
use crate::write::{Encoder, Sink, WriteError, write_all};

/// An open connection between two operations, or within one.
pub(crate) struct Link {
    pub(crate) reader: Reader,
    pub(crate) sink: Sink,
    pub(crate) version: ProtocolVersion,
    /// How long the other side may be silent, or take nothing, unless a request says otherwise.
    pub(crate) patience: Duration,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("reader", &self.reader)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// How the daemon answered, if it kept to the protocol.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    Reply(T),
    Refusal(DaemonError),
}

/// Why there is no answer; the link is of no more use.
#[derive(Debug)]
pub(crate) enum LinkError {
    Read(ReadError),
    Write(WriteError),
    /// The caller's archive could not be read.
    Source(io::Error),
    /// The caller's archive is none.
    Archive(Violation),
}

impl From<ReadError> for LinkError {
    fn from(error: ReadError) -> LinkError {
        LinkError::Read(error)
    }
}

impl From<WriteError> for LinkError {
    fn from(error: WriteError) -> LinkError {
        LinkError::Write(error)
    }
}

impl LinkError {
    /// The error for the caller, who wants to know during what it happened.
    pub(crate) fn during(self, operation: Operation) -> Error {
        match self {
            LinkError::Read(ReadError::Io(source)) | LinkError::Write(WriteError::Io(source)) => {
                Error::Transport { operation, source }
            }
            LinkError::Read(ReadError::Silent(after)) | LinkError::Write(WriteError::Stalled(after)) => {
                Error::Timeout { operation, after }
            }
            LinkError::Read(ReadError::Violation { offset, violation }) => Error::Protocol {
                operation,
                offset,
                violation,
            },
            LinkError::Read(ReadError::Sink(source)) => Error::Sink { operation, source },
            LinkError::Source(source) => Error::Source { operation, source },
            LinkError::Archive(violation) => Error::Archive { operation, violation },
        }
    }
}

/// How long a daemon may be silent that asks caches or takes a tree in.
const LONG: Duration = Duration::from_secs(30 * 60);

impl Link {
    pub(crate) fn wait(&mut self, patience: Patience) {
        match patience {
            Patience::Prompt => self.reader.set_patience(self.patience),
            Patience::Long => self.reader.set_patience(self.patience.max(LONG)),
            Patience::Endless => {
                self.reader.set_patience(self.patience);
                self.reader.await_messages();
            }
        }
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn converse<R: Request>(
        &mut self,
        request: &R,
        events: &mut dyn EventSink,
    ) -> Result<Answer<R::Reply>, LinkError> {
        let mut out = Encoder::default();
        encode(request, &mut out);
        write_all(&mut self.sink, out.as_slice(), self.patience).await?;
        self.answer(request, events).await
    }

    /// Reads the answer to a request that was sent.
    pub(crate) async fn answer<R: Request>(
        &mut self,
        request: &R,
        events: &mut dyn EventSink,
    ) -> Result<Answer<R::Reply>, LinkError> {
        self.wait(request.patience());
        match message::drain(&mut self.reader, events).await? {
            Ok(()) => Ok(Answer::Reply(
                request.decode(&mut self.reader, self.version).await?,
            )),
            Err(error) => Ok(Answer::Refusal(error)),
        }
    }

    /// Tells whether the link outlived an error, by a request that cannot fail.
    ///
    /// An error that was thrown before the daemon began to work is sent twice, and then the daemon exits: the
    /// second copy would pass for the answer to the next request.
    pub(crate) async fn survives(&mut self) -> bool {
        if !self.reader.is_quiet().await {
            return false;
        }
        let nothing = BTreeSet::new();
        let probe = QueryValidPaths {
            paths: &nothing,
            substitution: Substitution::Never,
        };
        match self.converse(&probe, &mut ()).await {
            Ok(Answer::Reply(paths)) => paths.is_empty(),
            Ok(Answer::Refusal(_)) | Err(_) => false,
        }
    }
}
