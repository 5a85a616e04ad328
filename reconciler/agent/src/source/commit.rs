//! What a person wants to know of a commit.

use git2::Oid;
use jiff::Timestamp;

/// How many digits an abbreviated id has at least.
const SHORT: usize = 7;

/// One commit of the mirror. Only [`Mirror`](super::Mirror) makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    oid: Oid,
    /// The shortest unambiguous id, of seven digits or more.
    pub short: String,
    /// The first line of the message.
    pub subject: String,
    /// The author's name.
    pub author: String,
    /// When it was committed, by the committer's clock. Whoever commits chooses it.
    pub time: Timestamp,
    /// Its parents.
    pub parents: Vec<Oid>,
}

/// A commit's signature, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitSignature {
    /// As the commit holds it: `-----BEGIN SSH SIGNATURE-----` or `-----BEGIN PGP SIGNATURE-----`.
    pub armored: Vec<u8>,
    /// The bytes it signs: the commit without the signature.
    pub signed: Vec<u8>,
}

impl CommitInfo {
    /// The full id.
    pub fn oid(&self) -> Oid {
        self.oid
    }

    pub(super) fn of(commit: &git2::Commit<'_>) -> Self {
        let oid = commit.id();
        let short = commit.as_object().short_id().ok();
        let short = short.and_then(|short| short.as_str().ok().map(str::to_owned));
        Self {
            oid,
            short: short.unwrap_or_else(|| oid.to_string().chars().take(SHORT).collect()),
            subject: printable(commit.summary_bytes().unwrap_or_default()),
            author: printable(commit.author().name_bytes()),
            time: Timestamp::from_second(commit.time().seconds()).unwrap_or_default(),
            parents: commit.parent_ids().collect(),
        }
    }
}

/// A commit's text goes to terminals; whoever commits chooses it.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().filter(|c| !c.is_control()).collect()
}
