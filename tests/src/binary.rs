//! Where the programs and folders lie that the tests are about.

use std::path::{Path, PathBuf};

/// The binary under test: `RECONCILE_BIN`, or `reconcile` in the folder that the tests were built in.
#[must_use]
pub fn reconcile() -> PathBuf {
    if let Some(binary) = std::env::var_os("RECONCILE_BIN") {
        return PathBuf::from(binary);
    }
    let test = std::env::current_exe().unwrap();
    let binary = test.ancestors().nth(2).unwrap().join("reconcile");
    assert!(
        binary.exists(),
        "there is no {}: build it with `cargo build -p reconciler --bin reconcile`, or set RECONCILE_BIN",
        binary.display()
    );
    binary
}

/// A tool that the tests need: in the folder of `RECONCILE_TEST_TOOLS`, or on the `PATH`.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::var_os("RECONCILE_TEST_TOOLS")
        .into_iter()
        .map(PathBuf::from);
    let found = folders
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|tool| tool.exists());
    found.unwrap_or_else(|| {
        panic!("these tests need `{name}`: install it, or name its folder in RECONCILE_TEST_TOOLS")
    })
}

/// The example fleet, whose toplevels and keys the tests use.
#[must_use]
pub fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/eight-machines")
}

/// The fixtures of these tests.
#[must_use]
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Whether the tests run as root. Some things only root can try: other users, mounts, owners.
#[must_use]
pub fn is_root() -> bool {
    unix::unistd::geteuid().is_root()
}
