//! Doors for the fuzz targets, behind the feature `fuzzing`: what is read from the texts of a built system. Owns no
//! judgement.

use std::path::{Path, PathBuf};

use super::declared::DeclaredAccounts;
use crate::install::AccountNames;

/// The paths of a store that a text names, each with where it begins.
#[must_use]
pub fn store_paths(text: &str, store: &Path) -> Vec<(usize, String)> {
    super::discover::store_paths(text, store)
}

/// The folders of the last `PATH` that a text sets.
#[must_use]
pub fn search_path(text: &str) -> Option<Vec<PathBuf>> {
    super::search_path::search_path(text)
}

/// The accounts that a text declares, in any of the ways that there are.
#[must_use]
pub fn declared(text: &str) -> AccountNames {
    DeclaredAccounts::of_text(text)
}
