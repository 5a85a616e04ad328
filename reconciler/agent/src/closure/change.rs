//! Everything that changes between two toplevels, as `diff --json` and `plan --json` print it. Facts only.

use super::dry_activation::UnitPlan;
use super::keyed::Differences;
use super::packages::Packages;
use nix_daemon_client::Missing;
use serde::{Deserialize, Serialize};

/// The version of the document.
pub const CHANGE_VERSION: u32 = 1;

/// One of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The generation's number; none for what was never activated.
    pub generation: Option<u64>,
    /// The commit, 40 hexadecimal digits; none for what did not come from the fleet.
    pub revision: Option<String>,
    /// The commit's first line.
    pub subject: Option<String>,
    /// The store path.
    pub toplevel: String,
}

/// What has to be done until the second toplevel is in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Names of the derivations that are built.
    pub build: Vec<String>,
    /// Names of the store paths that are fetched.
    pub fetch: Vec<String>,
    /// Names of the store paths of which nobody knows where they come from.
    pub unknown: Vec<String>,
    /// Bytes to download, compressed.
    pub download: u64,
    /// Bytes of the fetched paths' archives.
    pub unpack: u64,
}

impl Cost {
    /// Whether nothing has to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.build.is_empty() && self.fetch.is_empty() && self.unknown.is_empty()
    }
}

impl From<&Missing> for Cost {
    fn from(missing: &Missing) -> Cost {
        let names = |paths: &std::collections::BTreeSet<nix_daemon_client::StorePath>| {
            let mut names: Vec<_> = paths
                .iter()
                .map(|path| path.name().trim_end_matches(".drv").to_owned())
                .collect();
            names.sort();
            names
        };
        Cost {
            build: names(&missing.will_build),
            fetch: names(&missing.will_substitute),
            unknown: names(&missing.unknown),
            download: missing.download_size,
            unpack: missing.nar_size,
        }
    }
}

/// What changes from one toplevel to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// [`CHANGE_VERSION`].
    pub version: u32,
    /// The first; none on a machine that runs nothing that is known.
    pub from: Option<Side>,
    /// The second.
    pub to: Side,
    /// What had to be built and fetched for it; none where nobody looked.
    pub cost: Option<Cost>,
    /// The packages; none where one of the two is not in the store.
    pub packages: Option<Packages>,
    /// Units whose definitions differ; none where one of the two is not in the store.
    pub units: Option<Differences>,
    /// What the activation would do with units, where the class has a dry run.
    pub activation: Option<UnitPlan>,
    /// Secrets that differ, by their path below the secrets' link; the encrypted files are compared, none is opened.
    pub secrets: Differences,
}
