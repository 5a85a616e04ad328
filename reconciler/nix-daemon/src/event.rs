//! What the daemon tells while it works. Owns the vocabulary of events; every enum is open, because newer
//! daemons add numbers and builders can inject any number they like.

use std::task::{Context, Poll};

use crate::text::Text;

/// The number of an activity, unique while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActivityId(pub u64);

/// One message of the daemon. All of it is untrusted: builders write log lines and can inject activities.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A line or lines of free text.
    Line(Text),
    /// An activity began.
    Start {
        /// Its number.
        id: ActivityId,
        /// The activity it belongs to; 0 for none.
        parent: ActivityId,
        /// How important it is; the daemon does not filter by it.
        level: Level,
        /// What it is.
        kind: ActivityKind,
        /// What it is, for a person; may be empty.
        text: Text,
        /// What it is about; see [`ActivityKind`].
        fields: Vec<Field>,
    },
    /// An activity ended, well or not.
    Stop {
        /// Its number.
        id: ActivityId,
    },
    /// An activity has news.
    Result {
        /// The activity's number.
        id: ActivityId,
        /// What the news is.
        kind: ResultKind,
        /// The news; see [`ResultKind`].
        fields: Vec<Field>,
    },
}

/// Takes events as they arrive.
///
/// It is called between reads of the socket: while it runs, nothing is read, and the daemon stops working
/// once its side of the socket is full. It must not block.
pub trait EventSink: Send {
    /// Takes one event.
    fn event(&mut self, event: Event);

    /// Asked before each message is read: while it is pending, the daemon is held back. Ready unless
    /// something else is said; whoever says so sees to it that the waker is called.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// Takes no notice.
impl EventSink for () {
    fn event(&mut self, _: Event) {}
}

impl<F: FnMut(Event) + Send> EventSink for F {
    fn event(&mut self, event: Event) {
        self(event);
    }
}

/// A value that goes with an activity or a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// A number.
    Int(u64),
    /// A text.
    Text(Text),
}

impl Field {
    /// The number, if it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<u64> {
        match self {
            Field::Int(value) => Some(*value),
            Field::Text(_) => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&Text> {
        match self {
            Field::Int(_) => None,
            Field::Text(text) => Some(text),
        }
    }
}

macro_rules! open_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
            /// A number that is not known here.
            Other(u64),
        }

        impl $name {
            /// The number on the wire.
            #[must_use]
            pub fn code(self) -> u64 {
                match self {
                    $($name::$variant => $number,)*
                    $name::Other(number) => number,
                }
            }
        }

        impl From<u64> for $name {
            fn from(number: u64) -> $name {
                match number {
                    $($number => $name::$variant,)*
                    other => $name::Other(other),
                }
            }
        }
    };
}
pub(crate) use open_enum;

open_enum! {
    /// How important a message is: Nix's `Verbosity`.
    Level {
        /// An error.
        Error = 0,
        /// A warning.
        Warn = 1,
        /// Worth a person's notice.
        Notice = 2,
        /// Shown by default.
        Info = 3,
        /// Shown with `-v`.
        Talkative = 4,
        /// Shown with `-vv`.
        Chatty = 5,
        /// Shown with `--debug`.
        Debug = 6,
        /// Shown to those who asked for everything.
        Vomit = 7,
    }
}

open_enum! {
    /// What an activity is: Nix's `ActivityType`.
    ActivityKind {
        /// Not said.
        Unknown = 0,
        /// A path is copied: path, source, destination.
        CopyPath = 100,
        /// A file is transferred: URL.
        FileTransfer = 101,
        /// Paths are realised.
        Realise = 102,
        /// Paths are copied; its progress counts them.
        CopyPaths = 103,
        /// Derivations are built; its progress counts them.
        Builds = 104,
        /// A derivation is built: drv, machine (empty for this one), 1, 1.
        Build = 105,
        /// The store is optimised.
        OptimiseStore = 106,
        /// The store is verified.
        VerifyPaths = 107,
        /// A path is substituted: path, substituter.
        Substitute = 108,
        /// A substituter is asked about a path: path, substituter.
        QueryPathInfo = 109,
        /// The post-build hook runs: drv.
        PostBuildHook = 110,
        /// A build waits for a lock: nothing, or drv and what it resolved to.
        BuildWaiting = 111,
        /// A tree is fetched.
        FetchTree = 112,
    }
}

open_enum! {
    /// What the news of an activity is: Nix's `ResultType`.
    ResultKind {
        /// A file was replaced by a link: bytes.
        FileLinked = 100,
        /// A builder printed a line: line.
        BuildLogLine = 101,
        /// A path is not trusted: path.
        UntrustedPath = 102,
        /// A path is corrupt: path.
        CorruptedPath = 103,
        /// A builder entered a phase: phase.
        SetPhase = 104,
        /// Counts: done, expected, running, failed.
        Progress = 105,
        /// How much is expected of another kind of activity: activity kind, amount.
        SetExpected = 106,
        /// The post-build hook printed a line: line.
        PostBuildLogLine = 107,
        /// A fetcher's state: text.
        FetchStatus = 108,
    }
}

#[cfg(test)]
mod tests {
    use super::{ActivityKind, EventSink, Level, ResultKind};

    #[test]
    fn unknown_numbers_are_carried() {
        for number in (0..130).chain([9999, u64::MAX]) {
            assert_eq!(Level::from(number).code(), number);
            assert_eq!(ActivityKind::from(number).code(), number);
            assert_eq!(ResultKind::from(number).code(), number);
        }
        assert_eq!(ActivityKind::from(113), ActivityKind::Other(113));
        assert_eq!(ResultKind::from(9999), ResultKind::Other(9999));
    }

    /// What Nix calls `FetchToStore` is a hash mismatch for Determinate Nix.
    #[test]
    fn a_number_with_two_meanings_has_none() {
        assert_eq!(ResultKind::from(109), ResultKind::Other(109));
        // Of an activity it has but one.
        assert_eq!(ActivityKind::from(109), ActivityKind::QueryPathInfo);
    }

    #[test]
    fn closures_and_unit_are_sinks() {
        fn sink(_: &mut dyn EventSink) {}
        sink(&mut ());
        sink(&mut |_| {});
    }
}
