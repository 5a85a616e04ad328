//! One thing of the host that is not as a toplevel declares it, in words. Looks at nothing and changes nothing.

use camino::Utf8PathBuf;

/// How much a deviation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The toplevel is in place, and does not run as it should.
    Degraded,
    /// The toplevel is not in place.
    Broken,
}

/// Something that is not as it is declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Amiss {
    /// A file is not there.
    #[error("{path} is missing")]
    Missing {
        /// The file.
        path: Utf8PathBuf,
    },
    /// Something else is where a link is declared.
    #[error("{path} is no link to what is declared")]
    NoLink {
        /// The file.
        path: Utf8PathBuf,
    },
    /// A link leads elsewhere.
    #[error("{path} leads to {found}")]
    Elsewhere {
        /// The link.
        path: Utf8PathBuf,
        /// Where it leads.
        found: Utf8PathBuf,
    },
    /// A copy has other content.
    #[error("{path} does not hold what is declared")]
    Content {
        /// The file.
        path: Utf8PathBuf,
    },
    /// A copy has another mode.
    #[error("{path} has mode {found:04o} instead of {declared:04o}")]
    Mode {
        /// The file.
        path: Utf8PathBuf,
        /// Its mode.
        found: u32,
        /// The mode it should have.
        declared: u32,
    },
    /// A copy has another owner.
    #[error("{path} belongs to {}:{} instead of {}:{}", found.0, found.1, declared.0, declared.1)]
    Owner {
        /// The file.
        path: Utf8PathBuf,
        /// Its user and group ids.
        found: (u32, u32),
        /// Those it should have.
        declared: (u32, u32),
    },
    /// A copy belongs to an account that does not exist.
    #[error("{path} is to belong to {account}, which does not exist")]
    Account {
        /// The file.
        path: Utf8PathBuf,
        /// The user or group.
        account: String,
    },
    /// The supervisor does not know a unit or a job that is installed.
    #[error("{unit} is not loaded ({found})")]
    NotLoaded {
        /// The unit or job.
        unit: String,
        /// What the supervisor says of it.
        found: String,
    },
    /// systemd runs an older file of a unit.
    #[error("{unit} changed and was not reloaded")]
    NotReloaded {
        /// The unit.
        unit: String,
    },
    /// A unit that is declared to be masked is not.
    #[error("{unit} is not masked")]
    NotMasked {
        /// The unit.
        unit: String,
    },
    /// A unit or job that should run does not.
    #[error("{unit} is {found}")]
    NotRunning {
        /// The unit or job.
        unit: String,
        /// How it is instead.
        found: String,
    },
    /// The toplevel itself does not say what it declares.
    #[error("cannot read what {path} declares: {why}")]
    Undeclared {
        /// The file of the toplevel.
        path: Utf8PathBuf,
        /// Why.
        why: String,
    },
}

impl Amiss {
    /// How much it means.
    #[must_use]
    pub fn weight(&self) -> Weight {
        match self {
            // The toplevel's own accounts may be made after its files are laid down.
            Amiss::Owner { .. }
            | Amiss::Account { .. }
            | Amiss::NotRunning { .. }
            | Amiss::NotReloaded { .. } => Weight::Degraded,
            Amiss::Missing { .. }
            | Amiss::NoLink { .. }
            | Amiss::Elsewhere { .. }
            | Amiss::Content { .. }
            | Amiss::Mode { .. }
            | Amiss::NotLoaded { .. }
            | Amiss::NotMasked { .. }
            | Amiss::Undeclared { .. } => Weight::Broken,
        }
    }
}
