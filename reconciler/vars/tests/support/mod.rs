//! Owns what the tests of this crate share: the fixtures' places, keys, and fleets made of them.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's own helpers may fail loudly"
)]

pub(crate) mod documents;
pub(crate) mod lab;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use reconciler_vars::{Declared, Identities, IdentitySource, Requirements};

/// The secret in every binary fixture that has one.
pub(crate) const CANARY: &str = "correct-horse-battery-staple";

pub(crate) fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(path)
}

pub(crate) fn sealed(name: &str) -> Vec<u8> {
    fs::read(fixture(&format!("sops/{name}.json"))).unwrap()
}

pub(crate) fn age_key(name: &str) -> Identities {
    let (identities, problems) =
        Identities::load(&[IdentitySource::AgeKeyFile(fixture(&format!("keys/{name}.txt")))]);
    assert!(problems.is_empty(), "{problems:?}");
    identities
}

pub(crate) fn host_key() -> Identities {
    let source = IdentitySource::SshHostKey(fixture("keys/ssh_host_ed25519_key"));
    let (identities, problems) = Identities::load(&[source]);
    assert!(problems.is_empty(), "{problems:?}");
    identities
}

pub(crate) fn requirements(text: &str) -> Requirements {
    let declared: Declared = serde_json::from_str(text).unwrap();
    Requirements::declared(&declared, "jon", "root").unwrap()
}

/// A fleet's directory of encrypted files, each given by its path below `vars/` and its bytes.
#[expect(clippy::disallowed_methods, reason = "a test lays out its own tree")]
pub(crate) fn fleet(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = folder.path().join("vars").join(path);
        fs::create_dir_all(path.parent().unwrap().join("machines")).unwrap();
        fs::write(&path, bytes).unwrap();
        symlink(
            "../../../../../../sops/machines/jon",
            path.parent().unwrap().join("machines/jon"),
        )
        .unwrap();
    }
    folder
}

/// An identity as a plugin of this name prints it, in upper case.
pub(crate) fn identity_of_plugin(name: &str) -> String {
    let prefix = age_core::primitives::bech32_encode(
        bech32::Hrp::parse(&format!("age-plugin-{name}-")).unwrap(),
        b"a test",
    );
    prefix.to_uppercase()
}
