//! The greeting that opens a connection. Owns the versions this client speaks; asks for no feature, because
//! without one every later format is the same for every daemon.

use std::fmt;
use std::time::Duration;

use crate::error::DaemonError;
use crate::event::EventSink;
use crate::message;
use crate::read::{ReadError, Reader};
use crate::write::{Encoder, Sink, WriteError, write_all};

/// `nixc`, the client's first word.
pub(crate) const CLIENT_MAGIC: u64 = 0x6e69_7863;
/// `dxio`, the daemon's first word.
pub(crate) const DAEMON_MAGIC: u64 = 0x6478_696f;
/// The first word of Determinate Nix for a user who is not in `allowed-users`.
const DENIED_MAGIC: u64 = 0xab9a_9ff0;
/// The daemon sends its version as text since this minor version.
const DAEMON_VERSION_SINCE: u16 = 33;
/// The daemon says whether it trusts the user since this minor version.
const TRUST_SINCE: u16 = 35;
/// Both sides name optional features since this minor version.
const FEATURES_SINCE: u16 = 38;

/// A version of the worker protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProtocolVersion {
    /// 1 since the first release.
    pub major: u16,
    /// What grows.
    pub minor: u16,
}

impl ProtocolVersion {
    /// The oldest minor version spoken: Nix 2.8.
    pub const OLDEST_MINOR: u16 = 34;
    /// The newest minor version spoken: Nix 2.24 and everything since.
    pub const NEWEST_MINOR: u16 = 38;

    /// From the wire: the major version in the second byte, the minor in the first.
    fn from_wire(number: u64) -> ProtocolVersion {
        ProtocolVersion {
            major: u16::try_from(number >> 8).unwrap_or(u16::MAX),
            minor: u16::try_from(number & 0xff).unwrap_or(u16::MAX),
        }
    }

    fn to_wire(self) -> u64 {
        (u64::from(self.major) << 8) | u64::from(self.minor & 0xff)
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Whether the daemon trusts the user of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The daemon did not say; those before protocol 1.35 never do.
    Unknown,
    /// It does.
    Trusted,
    /// It does not.
    Untrusted,
}

/// What the daemon said about itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) version: ProtocolVersion,
    pub(crate) trust: Trust,
    pub(crate) daemon: Option<String>,
}

/// Why the greeting failed.
#[derive(Debug)]
pub(crate) enum GreetingError {
    /// The daemon hung up without a word, or said that the user is not allowed.
    Denied,
    /// The first word is not a Nix daemon's.
    NotADaemon {
        word: u64,
    },
    /// No version of the protocol is common to both.
    Version(ProtocolVersion),
    /// The daemon reported an error.
    Daemon(DaemonError),
    Read(ReadError),
    Write(WriteError),
}

impl From<ReadError> for GreetingError {
    fn from(error: ReadError) -> GreetingError {
        GreetingError::Read(error)
    }
}

impl From<WriteError> for GreetingError {
    fn from(error: WriteError) -> GreetingError {
        GreetingError::Write(error)
    }
}

/// Greets the daemon, announcing `1.max_minor`; the version agreed on is the lower of both sides'.
pub(crate) async fn greet(
    reader: &mut Reader,
    sink: &mut Sink,
    max_minor: u16,
    patience: Duration,
    events: &mut dyn EventSink,
) -> Result<Greeting, GreetingError> {
    let ours = ProtocolVersion {
        major: 1,
        minor: max_minor.clamp(ProtocolVersion::OLDEST_MINOR, ProtocolVersion::NEWEST_MINOR),
    };
    // All that does not depend on what the daemon says, at once. The zeros are the processor affinity and the reserved
    // space, both obsolete; or the number of features, none, and the affinity.
    let mut hello = Encoder::default();
    hello.u64(CLIENT_MAGIC);
    hello.u64(ours.to_wire());
    hello.u64(0);
    hello.u64(0);
    reader.set_patience(patience);
    // Neither waits for the other: not even a stream that holds a few bytes stands still.
    let (said, heard) = tokio::join!(write_all(sink, hello.as_slice(), patience), hear(reader));
    if let Err(stalled @ WriteError::Stalled(_)) = said {
        return Err(stalled.into());
    }
    // A daemon that denies access may have hung up already: what counts is whether it said something.
    let theirs = heard?;
    said?;
    if theirs.major != 1 || theirs.minor < ProtocolVersion::OLDEST_MINOR {
        return Err(GreetingError::Version(theirs));
    }
    let version = ours.min(theirs);

    reader.begin();
    if version.minor >= FEATURES_SINCE {
        // The reserved space.
        let mut rest = Encoder::default();
        rest.u64(0);
        let (said, features) = tokio::join!(write_all(sink, rest.as_slice(), patience), reader.strings());
        features?;
        said?;
    }
    let daemon = if version.minor >= DAEMON_VERSION_SINCE {
        Some(reader.plain().await?)
    } else {
        None
    };
    let trust = match version.minor {
        TRUST_SINCE.. => match reader.u64().await? {
            1 => Trust::Trusted,
            2 => Trust::Untrusted,
            _ => Trust::Unknown,
        },
        _ => Trust::Unknown,
    };
    message::drain(reader, events)
        .await?
        .map_err(GreetingError::Daemon)?;
    Ok(Greeting {
        version,
        trust,
        daemon: daemon.filter(|text| !text.is_empty()),
    })
}

/// The daemon's first words: that it is one, and its version.
async fn hear(reader: &mut Reader) -> Result<ProtocolVersion, GreetingError> {
    match reader.u64().await {
        Ok(DAEMON_MAGIC) => Ok(ProtocolVersion::from_wire(reader.u64().await?)),
        Ok(DENIED_MAGIC) => Err(GreetingError::Denied),
        Ok(word) => Err(GreetingError::NotADaemon { word }),
        Err(ReadError::Io(_)) if reader.is_untouched() => Err(GreetingError::Denied),
        Err(error) => Err(error.into()),
    }
}
