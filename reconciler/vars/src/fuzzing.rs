//! Doors for the fuzz targets, behind the feature `fuzzing`. No part of the public interface: what lies behind them is
//! private. Owns nothing but the way in; judges nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::sops::fuzzing::{Fields, fields, open, reseal, same_values, seal, seal_value};

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
