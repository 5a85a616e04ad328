//! What the agent and its transport child say to each other: one JSON line of request on stdin, JSON lines of
//! events on stdout. Both are the same binary; nothing here is stable.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::{failure::LibgitError, progress::FetchProgress, secret::Secret};

/// What the child is to do. The only secret in it is the password, and it never leaves the pipe.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) url: String,
    pub(super) branch: String,
    pub(super) operation: Operation,
    pub(super) login: Login,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Operation {
    /// Where the branch is.
    List,
    /// Fetch the branch into this bare repository, and the notes below a ref, where there are any.
    Fetch {
        mirror: Utf8PathBuf,
        notes: Option<String>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Login {
    None,
    Password {
        user: String,
        password: Secret,
    },
    Ssh {
        user: String,
        keys: Vec<Utf8PathBuf>,
        agent: Agent,
    },
}

/// Whether an ssh-agent is in the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Agent {
    Running,
    Absent,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub(super) enum Event {
    /// Objects arrive or are indexed.
    Progress(FetchProgress),
    /// The server says that it works.
    Alive,
    /// The fetch went well, the tidying after it did not.
    PacksNotJoined { reason: String },
    /// Done: the branch is there.
    Head { oid: String },
    /// Given up.
    Failed { failure: Failure },
}

/// What the child can tell of a failure; the parent adds what it knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Failure {
    Unauthorized,
    NotFound,
    BranchMissing { branches: Vec<String> },
    Status { status: u16 },
    Redirect { to: String },
    NotGit,
    HostKey { algorithm: String, fingerprint: String },
    Certificate(LibgitError),
    Connect(LibgitError),
    Busy,
    Mirror(LibgitError),
    Git(LibgitError),
}
