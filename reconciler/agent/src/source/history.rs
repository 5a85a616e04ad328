//! How the mirror's commits stand to each other.

use git2::{Oid, Sort};

use super::{mirror::Mirror, mirror_error::MirrorError, trust::Relation};

impl Mirror {
    /// How many commits `oid` and its ancestors are: Nix's `revCount`. Walks the whole history.
    ///
    /// # Errors
    /// If a commit is missing.
    pub fn rev_count(&self, oid: Oid) -> Result<usize, MirrorError> {
        self.commits_since(oid, None).map(|commits| commits.len())
    }

    /// The commits that `head` has and `base` has not, ancestors last.
    ///
    /// # Errors
    /// If a commit is missing.
    pub fn commits_since(&self, head: Oid, base: Option<Oid>) -> Result<Vec<Oid>, MirrorError> {
        let walk = || {
            let mut walk = self.repository.revwalk()?;
            walk.set_sorting(Sort::TOPOLOGICAL)?;
            walk.push(head)?;
            if let Some(base) = base {
                walk.hide(base)?;
            }
            walk.collect::<Result<Vec<Oid>, git2::Error>>()
        };
        walk().map_err(|source| MirrorError::History { oid: head, source })
    }

    /// How `commit` stands to `other`. A commit that is not here is related to nothing.
    ///
    /// # Errors
    /// If the history cannot be read.
    pub fn relation(&self, commit: Oid, other: Oid) -> Result<Relation, MirrorError> {
        if commit == other {
            return Ok(Relation::Same);
        }
        if !self.contains(commit) || !self.contains(other) {
            return Ok(Relation::Diverged);
        }
        let descends = |commit, ancestor| {
            self.repository
                .graph_descendant_of(commit, ancestor)
                .map_err(|source| MirrorError::History { oid: commit, source })
        };
        Ok(if descends(commit, other)? {
            Relation::Descendant
        } else if descends(other, commit)? {
            Relation::Ancestor
        } else {
            Relation::Diverged
        })
    }
}
