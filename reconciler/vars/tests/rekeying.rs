//! Secrets of a fleet that are sealed for others than before, whatever form they have.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use reconciler_vars::generators::{
    Directory, Graph, LinkNames, RekeyError, SecretFolder, Writer, key_file, rekey_all,
};
use reconciler_vars::sops::inspect;
use reconciler_vars::{DirectoryTree, ReaderKind, SealError, decrypt_file};
use support::lab::Lab;

const TIME: &str = "2024-02-29T12:00:00Z";
const TOKEN: &str = "vars/shared/web/token";

#[expect(clippy::disallowed_methods, reason = "a test lays out its own tree")]
fn put(fleet: &Path, path: &str, bytes: &[u8]) {
    let path = fleet.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A fleet with one secret, whose readers are these people.
fn fleet(lab: &Lab, people: &[&str], secret: &[u8]) -> tempfile::TempDir {
    let fleet = tempfile::tempdir().unwrap();
    for name in people {
        let (_, file) = key_file(ReaderKind::User, &lab.age_recipient(name)).unwrap();
        put(fleet.path(), &ReaderKind::User.key_file(name), &file);
        put(fleet.path(), &format!("{TOKEN}/users/{name}"), b"");
    }
    put(fleet.path(), &format!("{TOKEN}/secret"), secret);
    fleet
}

fn names(people: &[&str]) -> LinkNames {
    LinkNames {
        users: people.iter().map(ToString::to_string).collect(),
        ..LinkNames::default()
    }
}

fn rekeyed(
    fleet: &Path,
    directory: &Directory<'_>,
    lab: &Lab,
    keys: &[&str],
    people: &[&str],
) -> Result<Vec<u8>, Vec<RekeyError>> {
    let wanted = BTreeMap::from([(
        SecretFolder {
            path: TOKEN.to_owned(),
        },
        names(people),
    )]);
    let tree = DirectoryTree::new(fleet);
    let rekeying = rekey_all(fleet, &tree, directory, &lab.identities(keys), &wanted, TIME)?;
    for edit in &rekeying.edits {
        edit.commit(fleet).unwrap();
    }
    Ok(fs::read(fleet.join(TOKEN).join("secret")).unwrap())
}

fn opens(sealed: &[u8], lab: &Lab, keys: &[&str]) -> bool {
    let opened = decrypt_file(sealed, &lab.identities(keys));
    opened.is_ok_and(|opened| opened.into_bytes().unwrap().as_slice() == b"secret")
}

#[test]
fn a_file_keeps_its_key_groups_when_people_come_change_and_go() {
    let lab = Lab::new();
    for name in ["ann", "bob", "cleo", "dan", "new"] {
        lab.age_key(name);
    }
    let groups = format!(
        "key_groups: [{{age: [{}, {}]}}, {{age: [{}]}}]",
        lab.age_recipient("ann"),
        lab.age_recipient("cleo"),
        lab.age_recipient("bob")
    );
    let sealed = lab.seal(b"secret", "binary", &lab.age_recipient("ann"), &[]);
    let grouped = lab.seal_as(b"secret", "binary", &["shamir_threshold: 2", &groups]);
    assert_eq!(
        (
            inspect(&sealed).unwrap().groups.len(),
            inspect(&grouped).unwrap().groups.len()
        ),
        (1, 2)
    );
    let home = fleet(&lab, &["ann", "bob", "cleo"], &grouped);
    let fleet = home.path();
    let tree = DirectoryTree::new(fleet);

    // Nobody comes or goes.
    let directory = Directory::new(&tree);
    let keys = ["ann.txt", "bob.txt"];
    let same = rekeyed(fleet, &directory, &lab, &keys, &["ann", "bob", "cleo"]).unwrap();
    assert_eq!(same, grouped);

    // bob has another key: it stands where the old one stood. dan comes, and can open it alone.
    let mut directory = Directory::new(&tree);
    directory.set(
        ReaderKind::User,
        "bob",
        Some(vec![lab.age_recipient("new").parse().unwrap()]),
    );
    directory.set(
        ReaderKind::User,
        "dan",
        Some(vec![lab.age_recipient("dan").parse().unwrap()]),
    );
    let people = ["ann", "bob", "cleo", "dan"];
    let after = rekeyed(fleet, &directory, &lab, &keys, &people).unwrap();
    assert_eq!(inspect(&after).unwrap().groups.len(), 2);
    for (keys, expected) in [
        (&["dan.txt"][..], true),
        (&["ann.txt", "new.txt"], true),
        (&["new.txt"], false),
        (&["ann.txt", "cleo.txt"], false),
        (&["ann.txt", "bob.txt"], false),
    ] {
        assert_eq!(opens(&after, &lab, keys), expected, "{keys:?}");
    }
    lab.age_key_in_force("dan.txt");
    assert_eq!(lab.open_as(&after, "binary"), b"secret");

    // Another value for the same people keeps the groups, too.
    let declared = r#"{"storeDir":"/nix/store","machines":{"jon":{"web":{"share":true,"scripted":true,
        "files":{"token":{"deploy":false}}}}}}"#;
    let graph = Graph::new(&serde_json::from_str(declared).unwrap()).unwrap();
    let (id, node) = graph.iter().next().unwrap();
    let people = names(&people);
    let writer = Writer {
        root: fleet,
        tree: &tree,
        directory: &directory,
        people: &people,
        identities: &lab.identities(&["dan.txt"]),
        now: TIME,
    };
    let value = zeroize::Zeroizing::new(b"another".to_vec());
    let values = BTreeMap::from([("token".to_owned(), value)]);
    writer.write(id, node, &values, None).unwrap();
    let written = fs::read(fleet.join(TOKEN).join("secret")).unwrap();
    let told = inspect(&written).unwrap();
    assert_eq!(
        (told.groups.len(), told.age_readers()),
        (2, inspect(&after).unwrap().age_readers())
    );
    assert!(decrypt_file(&written, &lab.identities(&["dan.txt"])).is_ok());
    assert!(decrypt_file(&written, &lab.identities(&["new.txt"])).is_err());

    // With bob the second group would lose its last member but dan.
    let errors = rekeyed(fleet, &directory, &lab, &["dan.txt"], &["ann", "cleo"]).unwrap_err();
    assert!(
        matches!(
            errors.as_slice(),
            [RekeyError::Seal {
                source: SealError::EmptyGroup { group: 2, groups: 2 },
                ..
            }]
        ),
        "{errors:?}"
    );
}

#[test]
fn an_age_file_becomes_one_of_sops_that_says_whom_it_is_for() {
    let lab = Lab::new();
    for name in ["ann", "bob"] {
        lab.age_key(name);
    }
    let ssh = lab.ssh_key("cleo", &["-t", "rsa", "-b", "2048"]);
    lab.write("plain", b"secret");
    let sealed = lab.run("age", &["-r", &lab.age_recipient("ann"), "plain"]);
    let home = fleet(&lab, &["ann", "bob"], &sealed);
    let tree = DirectoryTree::new(home.path());
    let mut directory = Directory::new(&tree);
    let cleo = key_file(ReaderKind::User, &format!("{ssh} cleo@home")).unwrap().0;
    directory.set(ReaderKind::User, "cleo", Some(vec![cleo]));
    let people = ["ann", "bob", "cleo"];
    let after = rekeyed(home.path(), &directory, &lab, &["ann.txt"], &people).unwrap();
    let readers = BTreeSet::from([lab.age_recipient("ann"), lab.age_recipient("bob"), ssh]);
    assert_eq!(inspect(&after).unwrap().age_readers(), readers);
    for key in ["ann.txt", "bob.txt", "cleo"] {
        assert!(opens(&after, &lab, &[key]), "{key}");
    }
    let again = rekeyed(home.path(), &directory, &lab, &["cleo"], &people).unwrap();
    assert_eq!(again, after);
}
