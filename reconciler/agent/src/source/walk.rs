//! One pass over everything below a directory, in the order in which archives want it.

use super::tree::{Entry, EntryKind, TreeError, TreeView};

/// One step of a walk.
#[derive(Debug)]
pub enum Step<'a> {
    /// A directory starts; its entries follow.
    Enter(&'a Entry),
    /// The directory that was entered last is over.
    Leave,
    /// Anything that is not a directory.
    Leaf(&'a Entry),
}

/// Why a walk ended early.
#[derive(Debug, thiserror::Error)]
pub enum WalkError<E> {
    /// The tree cannot be read.
    #[error(transparent)]
    Tree(TreeError),
    /// Whoever is shown the steps had enough.
    #[error(transparent)]
    Visitor(E),
}

impl<E> From<TreeError> for WalkError<E> {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}

impl TreeView<'_> {
    /// Shows every entry below this directory to `visit`: depth first, siblings sorted by the bytes of their
    /// names, each directory as [`Step::Enter`], its entries, [`Step::Leave`]. This directory itself is not
    /// shown. The depth of a tree costs memory, not stack.
    ///
    /// # Errors
    /// The first that the tree or `visit` has.
    pub fn walk<E>(&self, mut visit: impl FnMut(Step<'_>) -> Result<(), E>) -> Result<(), WalkError<E>> {
        let mut open = vec![self.entries()?.into_iter()];
        while let Some(entries) = open.last_mut() {
            match entries.next() {
                Some(entry) if entry.kind == EntryKind::Directory => {
                    visit(Step::Enter(&entry)).map_err(WalkError::Visitor)?;
                    open.push(self.at(entry.oid)?.entries()?.into_iter());
                }
                Some(entry) => visit(Step::Leaf(&entry)).map_err(WalkError::Visitor)?,
                None => {
                    open.pop();
                    if !open.is_empty() {
                        visit(Step::Leave).map_err(WalkError::Visitor)?;
                    }
                }
            }
        }
        Ok(())
    }
}
