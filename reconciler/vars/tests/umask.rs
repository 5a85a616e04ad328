//! Modes under umasks that would change them. The umask belongs to the whole process, so this is the one
//! test of its binary.
#![cfg(target_os = "linux")]

mod support;

use std::os::unix::fs::MetadataExt;

use reconciler_vars::{Accounts, DirectoryTree, SecretsRoot, preflight, stage};
use support::{age_key, fleet, requirements, sealed};
use unix::sys::stat::{Mode, umask};

#[test]
fn modes_are_exact_under_any_umask() {
    let fleet = fleet(&[
        ("per-machine/jon/g/a/secret", &sealed("binary")),
        ("per-machine/jon/g/b/secret", &sealed("binary")),
        ("per-machine/jon/g/c/secret", &sealed("binary")),
    ]);
    let text = r#"{"generators":{"g":{"files":{"a":{"mode":"0666"},"b":{"mode":"0400"},"c":{"mode":"0777","neededFor":"users"}}}}}"#;
    let tree = DirectoryTree::new(fleet.path());
    let opened = preflight(&tree, "jon", &requirements(text), &age_key("machine")).unwrap();
    // One that takes the owner's own bits away bars all but root from the folders that they make.
    let odd = unix::unistd::geteuid().is_root().then_some(0o777);
    for bits in [0o000, 0o022, 0o077].into_iter().chain(odd) {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let root = SecretsRoot::new(folder.path().join("run/secrets"));
        // The parent is made under the usual umask: it is the host's, not the installer's.
        std::fs::create_dir(folder.path().join("run")).unwrap();
        let before = umask(Mode::from_bits_truncate(bits));
        let staged = root
            .ensure_ramfs()
            .map(|_| stage(&root, &opened, 1, &Accounts::unprivileged()));
        umask(before);
        staged.unwrap().unwrap().activate().unwrap();
        let mode = |path: &str| {
            root.folder()
                .unwrap()
                .join(path)
                .symlink_metadata()
                .unwrap()
                .mode()
                & 0o7777
        };
        for (path, expected) in [
            ("", 0o751),
            ("1", 0o751),
            ("1/vars/per-machine/jon", 0o751),
            ("1/.users/vars", 0o751),
            ("1/vars/per-machine/jon/g/a", 0o666),
            ("1/vars/per-machine/jon/g/b", 0o400),
            ("1/.users/vars/per-machine/jon/g/c", 0o777),
        ] {
            assert_eq!(mode(path), expected, "umask {bits:03o}, {path}");
        }
    }
}
