//! Git's notes: what a build server says of a commit without changing it.

use git2::{ErrorCode, Oid, Signature};

use super::{mirror::Mirror, mirror_error::MirrorError};

/// Of `Repository::note`: a newer word takes the place of an older one.
const OVERWRITE: bool = true;
/// Who writes notes where git does not know who works there, as on most build servers.
const NOBODY: (&str, &str) = ("reconcile", "reconcile@localhost");

impl Mirror {
    /// The note on a commit below `reference`, such as `refs/notes/commits`; none where there is none.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn note(&self, reference: &str, commit: Oid) -> Result<Option<Vec<u8>>, MirrorError> {
        match self.repository.find_note(Some(reference), commit) {
            Ok(note) => Ok(Some(note.message_bytes().to_vec())),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(source) => Err(MirrorError::Note {
                reference: reference.to_owned(),
                oid: commit,
                source,
            }),
        }
    }

    /// Puts a note on a commit, in place of one that is there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn annotate(&self, reference: &str, commit: Oid, text: &str) -> Result<(), MirrorError> {
        let written = || {
            let who = match self.repository.signature() {
                Ok(who) => who,
                Err(_) => Signature::now(NOBODY.0, NOBODY.1)?,
            };
            self.repository
                .note(&who, &who, Some(reference), commit, text, OVERWRITE)
        };
        written().map(|_| ()).map_err(|source| MirrorError::Note {
            reference: reference.to_owned(),
            oid: commit,
            source,
        })
    }

    /// A commit and those before it, the newest first, as far as they are here and not more than `most`.
    ///
    /// # Errors
    /// If the commit is not here.
    pub fn before(&self, commit: Oid, most: usize) -> Result<Vec<Oid>, MirrorError> {
        let walked = || {
            let mut walk = self.repository.revwalk()?;
            walk.push(commit)?;
            // A shallow clone ends in the middle.
            Ok(walk.take(most).map_while(Result::ok).collect())
        };
        walked().map_err(|source| MirrorError::History { oid: commit, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;

    #[test]
    fn a_note_is_read_as_it_was_written_last() {
        let scratch = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(scratch.path()).unwrap();
        let repository = git2::Repository::init_bare(path).unwrap();
        let who = Signature::now("a", "a@example.org").unwrap();
        let tree = repository
            .find_tree(repository.treebuilder(None).unwrap().write().unwrap())
            .unwrap();
        let first = repository
            .commit(Some("HEAD"), &who, &who, "first", &tree, &[])
            .unwrap();
        let parent = repository.find_commit(first).unwrap();
        let second = repository
            .commit(Some("HEAD"), &who, &who, "second", &tree, &[&parent])
            .unwrap();
        let mirror = Mirror::of(path).unwrap();
        assert_eq!(mirror.note("refs/notes/x/y", first).unwrap(), None);
        for text in ["one", "two"] {
            mirror.annotate("refs/notes/x/y", first, text).unwrap();
        }
        assert_eq!(
            mirror.note("refs/notes/x/y", first).unwrap().as_deref(),
            Some(b"two".as_slice())
        );
        assert_eq!(mirror.note("refs/notes/x/y", second).unwrap(), None);
        assert_eq!(mirror.note("refs/notes/x/z", first).unwrap(), None);
        assert_eq!(mirror.before(second, 5).unwrap(), [second, first]);
        assert_eq!(mirror.before(second, 1).unwrap(), [second]);
    }
}
