//! Real mounts, in a mount namespace of the test's own thread. Without the right to make one, what is left to
//! prove is that nothing is written to a disk.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use reconciler_vars::{
    Accounts, Backing, BackingError, DirectoryTree, Filesystem, InstallError, SecretsRoot, preflight, stage,
};
use support::{CANARY, age_key, fleet, requirements, sealed};
use unix::mount::{MsFlags, mount};
use unix::sched::{CloneFlags, unshare};

/// Runs in a thread with its own mounts; false where the system does not allow that.
fn with_own_mounts(test: fn(&Path)) -> bool {
    // Held by this thread, which does not see the mounts and can remove the folder under them.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().to_owned();
    let thread = std::thread::spawn(move || {
        if unshare(CloneFlags::CLONE_NEWNS).is_err() {
            return false;
        }
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
        test(&path);
        true
    });
    thread.join().unwrap()
}

fn refuses_the_disk() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let root = SecretsRoot::new(folder.path().join("secrets"));
    assert!(matches!(
        root.ensure_ramfs(),
        Err(BackingError::NotPrivileged { .. } | BackingError::Mount { .. })
    ));
}

#[test]
fn a_folder_on_a_disk_gets_a_tmpfs_that_is_found_again() {
    let ran = with_own_mounts(|folder| {
        let root = SecretsRoot::new(folder.join("run/secrets"));
        let backing = root.ensure_ramfs().unwrap();
        assert!(
            matches!(
                backing,
                Backing::Mounted(Filesystem::Tmpfs | Filesystem::TmpfsNoSwap)
            ),
            "{backing:?}"
        );
        assert_eq!(root.ensure_ramfs().unwrap(), Backing::Found(Filesystem::Tmpfs));
        let place = root.folder().unwrap();
        assert_eq!(place.metadata().unwrap().mode() & 0o7777, 0o751);
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let line = mounts
            .lines()
            .find(|line| line.contains(place.to_str().unwrap()))
            .unwrap();
        for option in ["nosuid", "nodev", "noexec"] {
            assert!(line.contains(option), "{line}");
        }
        assert_eq!(
            line.contains("noswap"),
            backing.filesystem() == Filesystem::TmpfsNoSwap,
            "{line}"
        );
    });
    if !ran {
        refuses_the_disk();
    }
}

#[test]
fn a_ramfs_that_is_there_is_taken() {
    let ran = with_own_mounts(|folder| {
        let root = SecretsRoot::new(folder.join("secrets"));
        fs::create_dir(root.folder().unwrap()).unwrap();
        mount(
            Some("ramfs"),
            &root.folder().unwrap(),
            Some("ramfs"),
            MsFlags::empty(),
            Some("mode=0751"),
        )
        .unwrap();
        assert_eq!(root.ensure_ramfs().unwrap(), Backing::Found(Filesystem::Ramfs));
    });
    if !ran {
        refuses_the_disk();
    }
}

#[test]
fn a_full_disk_leaves_the_old_generation_in_force_and_nothing_half_written() {
    let ran = with_own_mounts(|folder| {
        let text = r#"{"generators":{"g":{"files":{"a":{},"b":{}}}}}"#;
        let fleet = fleet(&[
            ("per-machine/jon/g/a/secret", &sealed("binary")),
            ("per-machine/jon/g/b/secret", &sealed("binary")),
        ]);
        let tree = DirectoryTree::new(fleet.path());
        let opened = preflight(&tree, "jon", &requirements(text), &age_key("machine")).unwrap();
        let root = SecretsRoot::new(folder.join("secrets"));
        fs::create_dir(root.folder().unwrap()).unwrap();
        // Room for one generation of two pages, and for one page of the next.
        let room = "mode=0751,nr_blocks=3";
        mount(
            Some("tmpfs"),
            &root.folder().unwrap(),
            Some("tmpfs"),
            MsFlags::empty(),
            Some(room),
        )
        .unwrap();
        root.ensure_ramfs().unwrap();
        let accounts = Accounts::unprivileged();
        stage(&root, &opened, 1, &accounts).unwrap().activate().unwrap();
        let error = stage(&root, &opened, 2, &accounts).unwrap_err();
        assert!(matches!(error, InstallError::NoSpace { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains(CANARY));
        assert_eq!(root.current(), Some(1));
        let names: Vec<_> = fs::read_dir(root.folder().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["1"]);
        let installed = root.link.join("vars/per-machine/jon/g/b");
        assert_eq!(fs::read_to_string(installed).unwrap(), format!("{CANARY}\n"));
    });
    if !ran {
        refuses_the_disk();
    }
}
