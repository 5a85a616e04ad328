//! Keeps deployed commits in the mirror: `refs/reconciler/generations/<n>`.

use git2::{ErrorCode, Oid};

use super::{leftovers, mirror::Mirror, mirror_error::MirrorError};

const GENERATIONS: &str = "refs/reconciler/generations/";
/// Of `Repository::reference`: a generation that was made again points to its new commit.
const OVERWRITE: bool = true;

impl Mirror {
    /// Keeps the commit of a generation, wherever the branch goes. One process at a time may pin and unpin.
    ///
    /// # Errors
    /// If the commit is not here or the ref cannot be written.
    pub fn pin(&self, generation: u64, commit: Oid) -> Result<(), MirrorError> {
        self.find(commit)?;
        let name = format!("{GENERATIONS}{generation}");
        leftovers::of_ref(&self.path, &name);
        self.repository
            .reference(&name, commit, OVERWRITE, "keep a generation")
            .map(|_| ())
            .map_err(|source| MirrorError::Pin { generation, source })
    }

    /// Lets the commit of a generation go. One that is not kept is no error.
    ///
    /// # Errors
    /// If the ref cannot be removed.
    pub fn unpin(&self, generation: u64) -> Result<(), MirrorError> {
        let name = format!("{GENERATIONS}{generation}");
        leftovers::of_ref(&self.path, &name);
        match self
            .repository
            .find_reference(&name)
            .and_then(|mut reference| reference.delete())
        {
            Err(error) if error.code() != ErrorCode::NotFound => Err(MirrorError::Pin {
                generation,
                source: error,
            }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The generations that are kept, and their commits.
    ///
    /// # Errors
    /// If the refs cannot be listed.
    pub fn pins(&self) -> Result<Vec<(u64, Oid)>, MirrorError> {
        let corrupt = |source| MirrorError::Corrupt {
            path: self.path.clone(),
            source,
        };
        let mut pins = Vec::new();
        for reference in self
            .repository
            .references_glob(&format!("{GENERATIONS}*"))
            .map_err(corrupt)?
        {
            let reference = reference.map_err(corrupt)?;
            let generation = reference
                .name()
                .ok()
                .and_then(|name| name.strip_prefix(GENERATIONS)?.parse().ok());
            pins.extend(generation.zip(reference.target()));
        }
        pins.sort();
        Ok(pins)
    }
}
