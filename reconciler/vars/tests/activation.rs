//! What activation scripts need, in clan's upload directory, beside the machine's own key.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]
#![allow(clippy::disallowed_methods, reason = "a test lays out its own files")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use reconciler_vars::{
    Accounts, ChangeKind, DirectoryTree, InstallError, Requirements, SecretsRoot, preflight, salvage, stage,
};
use support::{CANARY, age_key, fleet, requirements, sealed};

const TWO: &str = r#"{"generators":{"g":{"files":{
    "a":{"neededFor":"activation","mode":"0440","restartUnits":["a.service"]},
    "b":{"neededFor":"activation"}}}}}"#;
const ONE: &str = r#"{"generators":{"g":{"files":{"a":{"neededFor":"activation"}}}}}"#;

/// A host's folder in memory: the secrets' root, and an upload directory with the machine's key.
struct Host {
    folder: tempfile::TempDir,
    root: SecretsRoot,
}

impl Host {
    fn new() -> Host {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let root = SecretsRoot::new(folder.path().join("secrets"));
        root.ensure_ramfs().unwrap();
        let host = Host { folder, root };
        fs::create_dir(host.upload()).unwrap();
        fs::write(host.upload().join("key.txt"), "the key").unwrap();
        host
    }

    fn upload(&self) -> PathBuf {
        self.folder.path().join("sops-nix")
    }

    fn placed(&self, path: &str) -> PathBuf {
        self.upload().join("activation").join(path)
    }

    /// Stages a generation with these two ciphertexts.
    fn stage(&self, number: u64, requirements: &Requirements, a: &str, b: &str) {
        let files = [
            ("per-machine/jon/g/a/secret", &sealed(a)[..]),
            ("per-machine/jon/g/b/secret", &sealed(b)),
        ];
        let tree = fleet(&files);
        let opened = preflight(
            &DirectoryTree::new(tree.path()),
            "jon",
            requirements,
            &age_key("machine"),
        )
        .unwrap();
        stage(&self.root, &opened, number, &Accounts::unprivileged()).unwrap();
    }

    fn place(&self, number: u64) -> Result<Vec<String>, InstallError> {
        let known: Vec<_> = requirements(TWO).activation_paths("jon").collect();
        self.root.place_activation(number, &self.upload(), &known)
    }

    /// Every path below the upload directory that is no folder.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        list(&self.upload(), "", &mut names);
        names.sort();
        names
    }
}

fn list(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            list(&entry.path(), &format!("{name}/"), names);
        } else {
            names.push(name);
        }
    }
}

const A: &str = "activation/per-machine/jon/g/a";
const B: &str = "activation/per-machine/jon/g/b";

#[test]
fn they_come_and_go_with_their_generation_and_nothing_else_does() {
    let host = Host::new();
    host.stage(1, &requirements(TWO), "binary", "binary-bytes");
    assert_eq!(host.place(1).unwrap().len(), 2);
    assert_eq!(host.names(), [A, B, "key.txt"]);
    let a = host.placed("per-machine/jon/g/a");
    assert_eq!(fs::read_to_string(&a).unwrap(), format!("{CANARY}\n"));
    assert_eq!(a.metadata().unwrap().mode() & 0o7777, 0o440);
    // Where services look for theirs they are not.
    host.root.switch_to(1).unwrap();
    assert!(!host.root.link.join("vars").exists());
    // Doing it again changes nothing, not even a time.
    let before = a.metadata().unwrap().ino();
    assert!(host.place(1).unwrap().is_empty());
    assert_eq!(a.metadata().unwrap().ino(), before);

    // Somebody's own file stays, whatever comes and goes.
    fs::write(host.placed("per-machine/jon/g/mine"), "mine").unwrap();
    host.stage(2, &requirements(ONE), "binary-empty", "binary");
    assert_eq!(host.place(2).unwrap().len(), 2);
    let mine = "activation/per-machine/jon/g/mine";
    assert_eq!(host.names(), [A, mine, "key.txt"]);
    assert_eq!(fs::read(&a).unwrap(), b"");
    assert_eq!(a.metadata().unwrap().mode() & 0o7777, 0o400);
    // Back, without a key.
    host.place(1).unwrap();
    assert_eq!(host.names(), [A, B, mine, "key.txt"]);
    assert_eq!(fs::read_to_string(&a).unwrap(), format!("{CANARY}\n"));

    fs::remove_file(host.placed("per-machine/jon/g/mine")).unwrap();
    host.stage(
        3,
        &requirements(r#"{"generators":{"g":{"files":{"a":{}}}}}"#),
        "binary",
        "binary",
    );
    assert_eq!(host.place(3).unwrap().len(), 2);
    assert_eq!(host.names(), ["key.txt"]);
    assert!(!host.placed("per-machine").exists());
    assert_eq!(
        fs::read_to_string(host.upload().join("key.txt")).unwrap(),
        "the key"
    );
}

#[test]
fn their_units_are_those_of_what_changed() {
    let host = Host::new();
    host.stage(1, &requirements(TWO), "binary", "binary-bytes");
    host.stage(2, &requirements(TWO), "binary-several", "binary-bytes");
    host.stage(3, &requirements(TWO), "binary-empty", "binary-bytes");
    let changes = |from, to| host.root.changes(from, to, &requirements(TWO), "jon").unwrap();
    assert!(changes(Some(1), 2).is_empty());
    let changed = changes(Some(1), 3);
    assert_eq!((changed.len(), changed[0].kind), (1, ChangeKind::Content));
    assert_eq!(changed[0].path, "vars/per-machine/jon/g/a");
    assert_eq!(changed[0].restart_units, ["a.service"]);
    assert_eq!(changes(None, 3).len(), 2);
    assert!(matches!(
        host.root.changes(Some(9), 3, &requirements(TWO), "jon"),
        Err(InstallError::Gone { number: 9 })
    ));
}

#[test]
fn no_link_is_followed_and_no_folder_of_others_is_used() {
    let host = Host::new();
    host.stage(1, &requirements(TWO), "binary", "binary-bytes");
    let elsewhere = host.folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, host.upload().join("activation")).unwrap();
    assert!(host.place(1).is_err());
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    fs::remove_file(host.upload().join("activation")).unwrap();

    // A link where a secret is to be is replaced; what it leads to stays as it is.
    let victim = elsewhere.join("victim");
    fs::write(&victim, "untouched").unwrap();
    fs::create_dir_all(host.placed("per-machine/jon/g")).unwrap();
    symlink(&victim, host.placed("per-machine/jon/g/a")).unwrap();
    symlink(&victim, host.placed("per-machine/jon/g/.a.reconcile-new")).unwrap();
    host.place(1).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(host.names(), [A, B, "key.txt"]);

    fs::set_permissions(host.placed("per-machine"), fs::Permissions::from_mode(0o777)).unwrap();
    host.stage(2, &requirements(TWO), "binary-empty", "binary-bytes");
    assert!(matches!(
        host.place(2),
        Err(InstallError::Insecure { mode: 0o777, .. })
    ));
    assert_eq!(host.names(), [A, B, "key.txt"]);
}

#[test]
fn an_upload_directory_that_is_not_there_is_made_for_root_alone() {
    let host = Host::new();
    fs::remove_dir_all(host.upload()).unwrap();
    host.stage(1, &requirements(TWO), "binary", "binary-bytes");
    host.place(1).unwrap();
    assert_eq!(host.upload().metadata().unwrap().mode() & 0o7777, 0o700);
    assert_eq!(host.names(), [A, B]);
}

#[test]
fn what_a_kill_left_is_gone_the_next_time() {
    let host = Host::new();
    host.stage(1, &requirements(TWO), "binary", "binary-bytes");
    host.place(1).unwrap();
    fs::write(host.placed("per-machine/jon/g/.b.reconcile-new"), CANARY).unwrap();
    host.place(1).unwrap();
    assert_eq!(host.names(), [A, B, "key.txt"]);
}

#[test]
fn what_opens_is_had_and_the_rest_is_named() {
    let tree = fleet(&[
        ("per-machine/jon/g/a/secret", &sealed("binary")[..]),
        ("per-machine/jon/g/b/secret", &sealed("binary-other-recipient")),
    ]);
    let tree = DirectoryTree::new(tree.path());
    let three = r#"{"generators":{"g":{"files":{"a":{},"b":{},"c":{}}}}}"#;
    let salvaged = salvage(&tree, "jon", &requirements(three), &age_key("machine")).unwrap();
    assert_eq!((salvaged.opened.len(), salvaged.findings.0.len()), (1, 2));
    let told = salvaged.findings.to_string();
    assert!(
        told.contains("g/b/secret") && told.contains("g/c/secret is missing"),
        "{told}"
    );
    assert!(!told.contains(CANARY));
    let fewer = r#"{"generators":{"g":{"files":{"b":{}}}}}"#;
    assert!(salvaged.opened.only(&requirements(fewer)).is_empty());
}
