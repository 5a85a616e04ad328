//! Generations of secrets on a real tmpfs.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use reconciler_vars::{
    Accounts, Backing, ChangeKind, DirectoryTree, Filesystem, InstallError, Opened, Requirements,
    SecretsRoot, UnknownAccounts, preflight, stage,
};
use support::{CANARY, age_key, fleet, requirements, sealed};

const TWO: &str =
    r#"{"generators":{"g":{"files":{"a":{"restartUnits":["a.service"]},"b":{"mode":"0440"}}}}}"#;

/// A folder on /dev/shm, which is a tmpfs, and the secrets' root in it.
fn root() -> (tempfile::TempDir, SecretsRoot) {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let root = SecretsRoot::new(folder.path().join("secrets"));
    assert_eq!(root.ensure_ramfs().unwrap(), Backing::Found(Filesystem::Tmpfs));
    (folder, root)
}

fn accounts() -> Accounts {
    Accounts::of_process(Path::new("/")).unwrap()
}

fn open_as(requirements: &Requirements, a: &str, b: &str) -> Opened {
    let files = [
        ("per-machine/jon/g/a/secret", &sealed(a)[..]),
        ("per-machine/jon/g/b/secret", &sealed(b)),
    ];
    let folder = fleet(&files);
    preflight(
        &DirectoryTree::new(folder.path()),
        "jon",
        requirements,
        &age_key("machine"),
    )
    .unwrap()
}

fn open(text: &str) -> Opened {
    open_as(&requirements(text), "binary", "binary-bytes")
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

fn install(root: &SecretsRoot, opened: &Opened, number: u64) {
    let generation = stage(root, opened, number, &accounts())
        .unwrap()
        .activate()
        .unwrap();
    assert_eq!(generation.number, number);
}

#[test]
fn a_generation_is_installed_and_put_in_force() {
    let (folder, root) = root();
    assert_eq!((root.current(), root.generations().unwrap()), (None, vec![]));
    let staged = stage(&root, &open(TWO), 1, &accounts()).unwrap();
    assert_eq!((root.current(), root.exists(1)), (None, true));
    assert!(!root.link.exists());
    staged.activate().unwrap();
    assert_eq!(root.current(), Some(1));
    let place = root.link.join("vars/per-machine/jon/g");
    assert_eq!(
        fs::read_to_string(place.join("a")).unwrap(),
        format!("{CANARY}\n")
    );
    assert_eq!(fs::read(place.join("b")).unwrap(), b"\xff\xfe\x00\x01binary");
    assert_eq!(
        (mode(&place.join("a")), mode(&place.join("b")), mode(&place)),
        (0o400, 0o440, 0o751)
    );
    assert_eq!(root.link.read_link().unwrap(), Path::new("secrets.d/1"));
    // Nothing but the link and the folder behind it is left.
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["secrets", "secrets.d"]);
}

#[test]
fn what_users_need_is_apart_and_switches_with_the_rest() {
    let (_folder, root) = root();
    let text = r#"{"generators":{"g":{"files":{"a":{"neededFor":"users"},"b":{}}}}}"#;
    install(&root, &open(text), 1);
    let users = root.users_link.join("vars/per-machine/jon/g/a");
    assert_eq!(fs::read_to_string(&users).unwrap(), format!("{CANARY}\n"));
    assert!(!root.link.join("vars/per-machine/jon/g/a").exists());
    assert!(root.users_link.to_str().unwrap().ends_with("secrets-for-users"));
    let other = open_as(&requirements(text), "binary-empty", "binary-bytes");
    let staged = stage(&root, &other, 2, &accounts()).unwrap();
    assert_eq!(fs::read_to_string(&users).unwrap(), format!("{CANARY}\n"));
    let changes = staged.changes_from(Some(1)).unwrap();
    assert_eq!(
        (changes.len(), changes[0].path.as_str()),
        (1, "vars/per-machine/jon/g/a")
    );
    staged.activate().unwrap();
    assert_eq!(fs::read_to_string(&users).unwrap(), "");
    root.switch_to(1).unwrap();
    assert_eq!(fs::read_to_string(&users).unwrap(), format!("{CANARY}\n"));
}

#[test]
fn the_same_secrets_are_the_same_and_every_difference_is_told() {
    let (_folder, root) = root();
    let requirements_two = requirements(TWO);
    install(&root, &open(TWO), 1);
    assert!(open(TWO).same_as(&root, 1, &accounts()));
    // Another ciphertext of the same plaintext needs no restart.
    let resealed = open_as(&requirements_two, "binary-several", "binary-bytes");
    assert!(resealed.same_as(&root, 1, &accounts()));
    let staged = stage(&root, &resealed, 2, &accounts()).unwrap();
    assert!(staged.same_as(1) && !staged.same_as(7));
    assert!(matches!(
        staged.changes_from(Some(7)),
        Err(InstallError::Gone { number: 7 })
    ));
    assert_eq!(staged.changes_from(None).unwrap().len(), 2);

    let changed = stage(
        &root,
        &open_as(&requirements_two, "binary-empty", "binary-bytes"),
        3,
        &accounts(),
    )
    .unwrap();
    let changes = changed.changes_from(Some(1)).unwrap();
    assert_eq!((changes.len(), changes[0].kind), (1, ChangeKind::Content));
    assert_eq!(
        (changes[0].path.as_str(), &changes[0].restart_units[..]),
        ("vars/per-machine/jon/g/a", &["a.service".to_owned()][..])
    );

    let fewer = r#"{"generators":{"g":{"files":{"a":{"mode":"0404"}}}}}"#;
    let staged = stage(&root, &open(fewer), 4, &accounts()).unwrap();
    let changes: Vec<_> = staged
        .changes_from(Some(1))
        .unwrap()
        .into_iter()
        .map(|change| change.kind)
        .collect();
    assert_eq!(changes, [ChangeKind::Ownership, ChangeKind::Removed]);
    assert!(!open(fewer).same_as(&root, 1, &accounts()));

    // Someone's edit of an installed file is a difference too.
    let place = root.link.join("vars/per-machine/jon/g/a");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(!open(TWO).same_as(&root, 1, &accounts()));
}

#[test]
fn going_back_needs_the_old_folder() {
    let (_folder, root) = root();
    for number in 1..=4 {
        install(&root, &open(TWO), number);
    }
    assert_eq!(root.switch_to(2).unwrap().number, 2);
    assert_eq!(root.prune(&[3]).unwrap(), [1, 4]);
    assert_eq!(
        (root.generations().unwrap(), root.current()),
        (vec![2, 3], Some(2))
    );
    assert!(matches!(root.switch_to(4), Err(InstallError::Gone { number: 4 })));
    assert_eq!(root.current(), Some(2));
}

#[test]
fn what_an_interrupted_staging_left_is_replaced_and_what_is_in_force_is_not() {
    let (_folder, root) = root();
    install(&root, &open(TWO), 1);
    assert!(matches!(
        stage(&root, &open(TWO), 1, &accounts()),
        Err(InstallError::InForce { number: 1 })
    ));
    let folder = root.folder().unwrap();
    for name in ["2.partial/vars/per-machine", "5.partial", "notes"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    assert_eq!(root.generations().unwrap(), [1]);
    stage(&root, &open(TWO), 2, &accounts()).unwrap();
    let staged = stage(&root, &open(TWO), 2, &accounts()).unwrap();
    assert!(!folder.join("2.partial").exists());
    staged.discard().unwrap();
    assert_eq!((root.exists(2), root.current()), (false, Some(1)));
    root.prune(&[]).unwrap();
    assert!(!folder.join("5.partial").exists() && folder.join("notes").exists());
}

#[test]
fn nothing_but_a_link_of_ours_is_replaced_or_followed() {
    let (folder, root) = root();
    fs::create_dir(&root.link).unwrap();
    let staged = stage(&root, &open(TWO), 1, &accounts()).unwrap();
    assert!(matches!(staged.activate(), Err(InstallError::NotALink { .. })));
    fs::remove_dir(&root.link).unwrap();
    symlink("elsewhere/1", &root.link).unwrap();
    assert_eq!(root.current(), None);
    // What an earlier interruption left under the temporary name is no obstacle.
    symlink("nowhere", folder.path().join(".secrets.new")).unwrap();
    root.switch_to(1).unwrap();
    assert_eq!(root.current(), Some(1));

    let behind = folder.path().join("behind");
    fs::create_dir(&behind).unwrap();
    let trap = SecretsRoot::new(folder.path().join("trap"));
    symlink(&behind, folder.path().join("trap.d")).unwrap();
    assert!(stage(&trap, &open(TWO), 1, &accounts()).is_err());
    assert_eq!(fs::read_dir(&behind).unwrap().count(), 0);

    fs::set_permissions(root.folder().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(
        stage(&root, &open(TWO), 2, &accounts()),
        Err(InstallError::Insecure { mode: 0o777, .. })
    ));
    for wrong in ["relative/secrets", "/", "/run/.."] {
        assert!(matches!(
            SecretsRoot::new(wrong).switch_to(1),
            Err(InstallError::Gone { .. })
        ));
        assert!(matches!(
            stage(&SecretsRoot::new(wrong), &open(TWO), 1, &accounts()),
            Err(InstallError::Link(_))
        ));
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test lays out its own files")]
fn accounts_are_found_by_name_or_number_and_unknown_ones_are_all_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("etc")).unwrap();
    fs::write(
        folder.path().join("etc/passwd"),
        "git:x:4001:4001::/:/bin/sh\nbroken\n:::\ngit:x:9::",
    )
    .unwrap();
    fs::write(folder.path().join("etc/group"), "git:x:4002:\n").unwrap();
    let accounts = Accounts::system(folder.path()).unwrap();
    let text = r#"{"generators":{"g":{"files":{"a":{"owner":"git","group":"git"},"b":{"owner":"4003","group":"0"}}}}}"#;
    let (_folder, root) = root();
    let opened = open(text);
    let unknown = r#"{"generators":{"g":{"files":{"a":{"owner":"nobody-here","group":"git","mode":"0440"},
        "b":{"owner":"4294967295","group":"no-group"}}}}}"#;
    let error = stage(&root, &open(unknown), 9, &accounts).unwrap_err();
    assert!(
        matches!(&error, InstallError::UnknownAccounts(unknown) if unknown.len() == 3),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains("user nobody-here of vars/per-machine/jon/g/a"),
        "{error}"
    );
    assert!(!root.exists(9));

    if !unix::unistd::geteuid().is_root() {
        // Only root may give files away; anyone else is told so and nothing is left behind.
        assert!(matches!(
            stage(&root, &opened, 1, &accounts),
            Err(InstallError::System { .. })
        ));
        assert!(root.generations().unwrap().is_empty());
        return;
    }
    stage(&root, &opened, 1, &accounts).unwrap().activate().unwrap();
    let facts = |name: &str| {
        let facts = root
            .link
            .join("vars/per-machine/jon/g")
            .join(name)
            .symlink_metadata()
            .unwrap();
        (facts.uid(), facts.gid(), facts.mode() & 0o7777)
    };
    assert_eq!((facts("a"), facts("b")), ((4001, 4002, 0o400), (4003, 0, 0o400)));

    // An account that the activation is yet to make: for root alone until it exists.
    let deferring = accounts.with_unknown(UnknownAccounts::Defer);
    stage(&root, &open(unknown), 2, &deferring)
        .unwrap()
        .activate()
        .unwrap();
    assert_eq!((facts("a"), facts("b")), ((0, 0, 0o400), (0, 0, 0o400)));
    fs::write(
        folder.path().join("etc/passwd"),
        "nobody-here:x:4005:1::/:/bin/sh\n4294967295:x:1:1::/:\n",
    )
    .unwrap();
    let now = Accounts::system(folder.path()).unwrap();
    let missing = root.settle(2, &requirements(unknown), "jon", &now).unwrap_err();
    assert!(
        matches!(&missing, InstallError::UnknownAccounts(unknown) if unknown.len() == 1),
        "{missing:?}"
    );
    assert_eq!(facts("a"), (4005, 4002, 0o440));
    fs::write(folder.path().join("etc/group"), "git:x:4002:\nno-group:x:4006:\n").unwrap();
    let now = Accounts::system(folder.path()).unwrap();
    assert_eq!(
        root.settle(2, &requirements(unknown), "jon", &now).unwrap(),
        ["vars/per-machine/jon/g/b"]
    );
    assert_eq!(facts("b"), (1, 4006, 0o400));
    assert!(
        root.settle(2, &requirements(unknown), "jon", &now)
            .unwrap()
            .is_empty()
    );
    assert!(matches!(
        root.settle(3, &requirements(unknown), "jon", &now),
        Err(InstallError::Gone { number: 3 })
    ));
}

#[test]
fn a_file_may_become_a_folder_from_one_generation_to_the_next() {
    let (_folder, root) = root();
    install(&root, &open(TWO), 1);
    let text = r#"{"generators":{"g":{"share":true,"files":{"a":{}}}}}"#;
    let folder = fleet(&[("shared/g/a/secret", &sealed("binary"))]);
    let tree = DirectoryTree::new(folder.path());
    let opened = preflight(&tree, "jon", &requirements(text), &age_key("machine")).unwrap();
    install(&root, &opened, 2);
    assert!(root.link.join("vars/shared/g/a").is_file());
    assert!(!root.link.join("vars/per-machine").exists());
}
