//! What can go wrong after a connection was made. Owns the error types; decides nothing.

use std::fmt::{self, Write as _};
use std::io;
use std::time::Duration;

use crate::derived_path::DerivedPathError;
use crate::event::Level;
use crate::handshake::ProtocolVersion;
use crate::operation::Operation;
use crate::path_info::NarHashError;
use crate::store_path::{StorePath, StorePathError};

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket failed, or the daemon hung up before its reply was complete. The connection is closed.
    #[error("{operation}: lost the connection to the nix daemon")]
    Transport {
        /// The operation under way.
        operation: Operation,
        /// What the socket said.
        #[source]
        source: io::Error,
    },
    /// The daemon sent what the protocol does not allow. The connection is closed.
    #[error("{operation}: the nix daemon broke its protocol at byte {offset} of the connection")]
    Protocol {
        /// The operation under way.
        operation: Operation,
        /// How many bytes had been read since the connection was opened.
        offset: u64,
        /// What was wrong.
        #[source]
        violation: Violation,
    },
    /// The daemon refused or failed, and said why.
    #[error("{operation}: {error}")]
    Daemon {
        /// The operation that failed.
        operation: Operation,
        /// What the daemon said.
        error: Box<DaemonError>,
        /// Whether the connection may still be used.
        connection: Connection,
    },
    /// The protocol agreed on does not have the operation; nothing was sent.
    #[error("{operation} needs protocol 1.{needed}, the nix daemon speaks {version}")]
    Unsupported {
        /// The operation asked for.
        operation: Operation,
        /// The first minor version that has it.
        needed: u16,
        /// The version agreed on.
        version: ProtocolVersion,
    },
    /// No byte moved for too long. The connection is closed.
    #[error("{operation}: the nix daemon was silent for {} s", after.as_secs_f64())]
    Timeout {
        /// The operation under way.
        operation: Operation,
        /// How long was waited.
        after: Duration,
    },
    /// The connection was closed by an earlier failure or a dropped future, or the daemon hung up or sent
    /// something while nothing was asked. Nothing was sent.
    #[error("{operation}: the connection to the nix daemon is closed")]
    Closed {
        /// The operation asked for.
        operation: Operation,
    },
    /// The caller's archive could not be read. The connection is closed, as the daemon waits for the rest.
    #[error("{operation}: failed to read the archive to send")]
    Source {
        /// The operation under way.
        operation: Operation,
        /// What the reader said.
        #[source]
        source: io::Error,
    },
    /// The caller's bytes are no archive. The connection is closed before the daemon sees where they are wrong.
    #[error("{operation}: what was to be sent is no well-formed archive")]
    Archive {
        /// The operation under way.
        operation: Operation,
        /// What is wrong.
        #[source]
        violation: Violation,
    },
    /// The caller's writer for an archive failed. The connection is closed, as the rest was not read.
    #[error("{operation}: failed to write the archive received")]
    Sink {
        /// The operation under way.
        operation: Operation,
        /// What the writer said.
        #[source]
        source: io::Error,
    },
    /// A path of a closure is not in the store.
    #[error("{operation}: path `{path}` is not valid")]
    InvalidPath {
        /// The operation that needed it.
        operation: Operation,
        /// The path that is missing.
        path: StorePath,
    },
    /// A name for a store object is not one that Nix allows; nothing was sent.
    #[error("{operation}: `{name}` is no name for a store object")]
    Name {
        /// The operation asked for.
        operation: Operation,
        /// The name given.
        name: String,
    },
}

/// Whether a connection outlived an error of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// It answered a harmless request afterwards.
    Alive,
    /// It did not, and was closed.
    Closed,
}

/// An error that the daemon sent. Its texts are untrusted: they may quote what a builder printed.
///
/// It is shown as Nix shows it: the message, and below it a line `… while doing this` for each of the innermost traces.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", Below(traces))]
pub struct DaemonError {
    /// How severe the daemon holds it to be.
    pub level: Level,
    /// What happened, stripped of terminal escapes; may have several lines.
    pub message: String,
    /// The context the daemon gave, outermost first, stripped likewise.
    pub traces: Vec<String>,
}

/// How many traces of an error are shown.
const TRACES: usize = 8;
/// How many characters of each.
const TRACE_LENGTH: usize = 500;

/// Traces as they stand below a message, what is closest to it first.
struct Below<'a>(&'a [String]);

impl fmt::Display for Below<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for trace in self.0.iter().rev().take(TRACES) {
            let words = trace.split_whitespace().collect::<Vec<_>>().join(" ");
            f.write_str("\n… ")?;
            words
                .chars()
                .take(TRACE_LENGTH)
                .try_for_each(|c| f.write_char(c))?;
        }
        match self.0.len().saturating_sub(TRACES) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

/// What the daemon may not send; of an archive, neither side.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A string or archive is longer than this client reads.
    #[error("length {length} is over the limit of {limit} bytes")]
    TooLong {
        /// The length announced.
        length: u64,
        /// The most that is read.
        limit: u64,
    },
    /// One message or reply holds more than this client keeps.
    #[error("a message is over the limit of {limit} bytes")]
    TooMuch {
        /// The most that is read for one message.
        limit: u64,
    },
    /// The bytes that fill a string up to a multiple of eight are not zero.
    #[error("padding is not zero")]
    Padding,
    /// A message has a tag that the protocol does not know, or does not know at this place.
    #[error("unexpected message {tag:#x}")]
    Message {
        /// The tag.
        tag: u64,
    },
    /// A field of an activity or a result has a type that is neither number nor text.
    #[error("unknown field type {tag}")]
    Field {
        /// The type's number.
        tag: u64,
    },
    /// An optional value is marked neither as absent nor as present.
    #[error("unknown option tag {tag}")]
    Option {
        /// The mark.
        tag: u64,
    },
    /// A store path is malformed.
    #[error("malformed store path")]
    StorePath(#[source] StorePathError),
    /// A build target is malformed.
    #[error("malformed build target")]
    DerivedPath(#[source] DerivedPathError),
    /// A hash of an archive is malformed.
    #[error("malformed archive hash")]
    NarHash(#[source] NarHashError),
    /// The description of a built output is no JSON object with a text `outPath`.
    #[error("malformed description of output `{output}`")]
    Realisation {
        /// The output's name.
        output: String,
    },
    /// An archive has another word where the format wants this one.
    #[error("archive has no `{expected}` where one is needed")]
    Archive {
        /// The word the format wants.
        expected: &'static str,
    },
    /// An archive ends before its end, or goes on after it.
    #[error("archive does not end where its structure says")]
    ArchiveEnd,
    /// A name in an archive is not allowed, or does not sort after the one before it; or a link has no target.
    #[error("archive has an entry without a valid name or target, or entries out of order")]
    ArchiveName,
    /// An archive is nested too deeply.
    #[error("archive is nested deeper than {limit} directories")]
    ArchiveDepth {
        /// The most that is followed.
        limit: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::DaemonError;
    use crate::event::Level;

    fn shown(traces: &[&str]) -> String {
        DaemonError {
            level: Level::Error,
            message: "no such file".to_owned(),
            traces: traces.iter().map(|&trace| trace.to_owned()).collect(),
        }
        .to_string()
    }

    #[test]
    fn traces_stand_below_the_message_innermost_first() {
        assert_eq!(shown(&[]), "no such file");
        assert_eq!(
            shown(&["while building\n  'a'", "while reading 'b'"]),
            "no such file\n… while reading 'b'\n… while building 'a'"
        );
    }

    #[test]
    fn traces_without_end_are_cut() {
        let (many, long) = (vec!["while nesting"; 1000], "x".repeat(1 << 20));
        let text = shown(&many);
        assert_eq!(text.lines().count(), 1 + 8 + 1);
        assert!(text.ends_with("\n… and 992 more"), "{text}");
        assert!(shown(&[&long]).len() < 600);
    }
}
