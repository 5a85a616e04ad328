//! Doors for the fuzz targets, behind the feature `fuzzing`. No part of the public interface: what lies behind them is
//! private. Owns nothing but the way in; judges nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::identity::fuzzing::{plugin_key, plugin_stanzas};
pub use crate::sops::fuzzing::{Fields, fields, open, reseal, same_values, seal, seal_value};
pub use crate::sops_nix::fuzzing::{declared, search_path, store_paths};

use crate::identity::{Identities, IdentitySource, Plugins};

/// The identities of a key file with these bytes; with no plugin installed.
#[must_use]
pub fn identities(bytes: &[u8]) -> Identities {
    let path = Path::new("key");
    let mut identities = Identities::default();
    let plugins = Plugins::new(Vec::<PathBuf>::new(), Duration::from_secs(1));
    let source = IdentitySource::KeyFile(path.to_owned());
    identities.add_bytes(&source, path, bytes, &plugins);
    identities
}

/// The numbers of the accounts in a file like `passwd` or `group`.
#[must_use]
pub fn accounts(text: &str) -> HashMap<String, u32> {
    crate::install::numbers(text)
}
