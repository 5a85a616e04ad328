//! Which fetched commits become a revision. Pure.
//!
//! [`Revision`] is the proof that history was checked: only this file makes one. Signatures are checked by
//! whoever holds the keys, before or after.

use git2::Oid;
use serde::{Deserialize, Serialize};

use super::commit::CommitInfo;

/// What may happen to the branch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum History {
    /// It only grows.
    #[default]
    Forward,
    /// It may be rewritten or set back.
    Any,
}

/// How one commit stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The same commit.
    Same,
    /// The first descends from the second.
    Descendant,
    /// The first is an ancestor of the second.
    Ancestor,
    /// Neither.
    Diverged,
}

/// A commit that may be deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision(Oid);

/// Why a commit is no revision.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum TrustError {
    /// The branch does not contain the accepted commit any more.
    #[error("the branch was rewritten: {head} does not descend from {accepted}, which was accepted before")]
    Rewritten {
        /// The branch's head.
        head: Oid,
        /// The last accepted commit.
        accepted: Oid,
    },
    /// The branch was set back.
    #[error("the branch was set back: {head} is older than {accepted}, which was accepted before")]
    Older {
        /// The branch's head.
        head: Oid,
        /// The last accepted commit.
        accepted: Oid,
    },
}

impl Revision {
    /// Judges the branch's head by the last accepted commit and how `head` stands to it.
    pub fn accept(head: Oid, last: Option<(Oid, Relation)>, history: History) -> Result<Self, TrustError> {
        match (last, history) {
            (None | Some((_, Relation::Same | Relation::Descendant)), _) | (Some(_), History::Any) => {
                Ok(Self(head))
            }
            (Some((accepted, Relation::Ancestor)), History::Forward) => {
                Err(TrustError::Older { head, accepted })
            }
            (Some((accepted, Relation::Diverged)), History::Forward) => {
                Err(TrustError::Rewritten { head, accepted })
            }
        }
    }

    /// A commit of the mirror that a person named: a pin may go back. The information can only come from the
    /// mirror, so the commit was fetched from the fleet.
    pub fn pinned(commit: &CommitInfo) -> Self {
        Self(commit.oid())
    }

    /// The commit.
    pub fn oid(self) -> Oid {
        self.0
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use git2::Oid;

    use super::{History, Relation, Revision, TrustError};

    #[test]
    fn only_growth_is_accepted_unless_told_otherwise() {
        let head = "1111111111111111111111111111111111111111".parse::<Oid>().unwrap();
        let accepted = "2222222222222222222222222222222222222222".parse::<Oid>().unwrap();
        let older = Err(TrustError::Older { head, accepted });
        let rewritten = Err(TrustError::Rewritten { head, accepted });
        for (relation, forward) in [
            (Relation::Same, Ok(head)),
            (Relation::Descendant, Ok(head)),
            (Relation::Ancestor, older),
            (Relation::Diverged, rewritten),
        ] {
            let judge =
                |history| Revision::accept(head, Some((accepted, relation)), history).map(Revision::oid);
            assert_eq!(judge(History::Forward), forward, "{relation:?}");
            assert_eq!(judge(History::Any), Ok(head), "{relation:?}");
        }
        assert_eq!(
            Revision::accept(head, None, History::Forward).map(Revision::oid),
            Ok(head)
        );
    }
}
