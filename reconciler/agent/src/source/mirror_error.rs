//! What goes wrong with the mirror.

use std::io;

use camino::Utf8PathBuf;
use git2::Oid;

/// What went wrong with the mirror.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// There is something at the mirror's place that is no whole repository; [`Mirror::recreate`](super::Mirror::recreate) repairs
    /// it.
    #[error("the mirror {path} is damaged")]
    Corrupt {
        /// Where.
        path: Utf8PathBuf,
        /// How it showed.
        #[source]
        source: git2::Error,
    },
    /// The mirror cannot be made.
    #[error("cannot create the mirror {path}")]
    Create {
        /// Where.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// The mirror's mode cannot be set.
    #[error("cannot keep others out of the mirror {path}")]
    Protect {
        /// Where.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The damaged mirror cannot be removed.
    #[error("cannot remove the damaged mirror {path}")]
    Remove {
        /// Where.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The commit is not in the mirror, or is not whole.
    #[error("cannot read commit {oid}")]
    Commit {
        /// Which.
        oid: Oid,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// No commit goes by this name.
    #[error("there is no commit {name:?} in the mirror")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Several commits start with these digits.
    #[error("{name:?} is ambiguous: it may be {}", .candidates.iter().map(Oid::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// The digits.
        name: String,
        /// The commits.
        candidates: Vec<Oid>,
    },
    /// A name cannot be looked up.
    #[error("cannot look up {name:?} in the mirror")]
    Lookup {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// The history cannot be walked.
    #[error("cannot walk the history of {oid}")]
    History {
        /// From where.
        oid: Oid,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// A note cannot be read or written.
    #[error("cannot use the note of {oid} in {reference}")]
    Note {
        /// Where notes are.
        reference: String,
        /// Of which commit.
        oid: Oid,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// A generation's ref cannot be written or removed.
    #[error("cannot keep the commit of generation {generation}")]
    Pin {
        /// Which generation.
        generation: u64,
        /// Why.
        #[source]
        source: git2::Error,
    },
}
