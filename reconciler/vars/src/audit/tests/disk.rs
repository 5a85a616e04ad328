//! Fleets with one defect each, by what lies there alone.

use super::fleet::*;

#[test]
fn a_fleet_in_order_has_no_finding() {
    assert!(found(&fleet(), None).is_empty(), "{:?}", found(&fleet(), None));
    let entries = [entry("jon", JON), entry("sara", SARA)];
    assert!(
        found(&fleet(), Some(&entries)).is_empty(),
        "{:?}",
        found(&fleet(), Some(&entries))
    );
}

#[test]
fn each_defect_on_the_disk_is_told_once() {
    let table: &[(&str, Spoil, &[&str])] = &[
        (
            "a machine is linked and cannot read",
            |tree| tree.write(OWN, sealed(&[&key("alice")]).as_bytes()),
            &["not-encrypted vars/per-machine/jon/ssh/key/secret is not encrypted to machine jon"],
        ),
        (
            "a machine has one of the two shares that it takes",
            |tree| {
                let groups: &[&[&str]] = &[&[&key("jon")], &[&key("alice")]];
                tree.write(OWN, shared_out(groups, 2).as_bytes());
            },
            &[
                "not-encrypted vars/per-machine/jon/ssh/key/secret does not open for machine jon alone: it takes 2 of 2 key groups, and machine jon is in 1",
            ],
        ),
        (
            "a file that says nothing takes two shares",
            |tree| {
                let (jon, alice) = (key("jon"), key("alice"));
                let groups: &[&[&str]] = &[&[&jon], &[&alice], &[&alice]];
                tree.write(OWN, shared_out(groups, 0).as_bytes());
            },
            &[
                "not-encrypted vars/per-machine/jon/ssh/key/secret does not open for machine jon alone: it takes 2 of 3",
            ],
        ),
        (
            "a machine has as many shares as it takes, and a person has not",
            |tree| {
                let (jon, alice) = (key("jon"), key("alice"));
                let groups: &[&[&str]] = &[&[&jon, &alice], &[&jon]];
                tree.write(OWN, shared_out(groups, 2).as_bytes());
            },
            &[],
        ),
        (
            "an age file among those of sops",
            |tree| tree.write(OWN, age_file(2).as_bytes()),
            &["plain-age vars/per-machine/jon/ssh/key/secret is a plain age file"],
        ),
        (
            "an age file for keys of another kind",
            |tree| {
                let text = age_file(2).replace("X25519", "piv-p256");
                tree.write(OWN, text.as_bytes());
            },
            &[
                "plain-age vars/per-machine/jon/ssh/key/secret is a plain age file",
                "not-encrypted vars/per-machine/jon/ssh/key/secret is not encrypted to machine jon",
                "not-encrypted vars/per-machine/jon/ssh/key/secret is not encrypted to user alice",
            ],
        ),
        (
            "a member of a group cannot read",
            |tree| {
                tree.write(
                    SHARED,
                    sealed(&[&key("jon"), &key("sara"), &key("alice")]).as_bytes(),
                );
            },
            &["not-encrypted vars/shared/wifi/psk/secret is not encrypted to user bob"],
        ),
        (
            "a second key of somebody is missing",
            |tree| {
                let two = format!(
                    r#"[{{"publickey":"{}","type":"age"}},{{"publickey":"AB","type":"pgp"}}]"#,
                    key("alice")
                );
                tree.write("sops/users/alice/key.json", two.as_bytes());
                tree.remove("vars/shared");
                tree.remove("sops/secrets");
            },
            &[
                "not-encrypted vars/per-machine/jon/ssh/key/secret is not encrypted to user alice (PGP key AB)",
            ],
        ),
        (
            "somebody who is not linked can read",
            |tree| {
                tree.write(
                    OWN,
                    sealed(&[&key("jon"), &key("alice"), &key("sara")]).as_bytes(),
                );
            },
            &["not-linked vars/per-machine/jon/ssh/key/secret is encrypted to machine sara"],
        ),
        (
            "a stranger can read",
            |tree| tree.write(OWN, sealed(&[&key("jon"), &key("alice"), &key("eve")]).as_bytes()),
            &["unknown-recipient vars/per-machine/jon/ssh/key/secret is encrypted to age1eve"],
        ),
        (
            "nobody is linked",
            |tree| {
                tree.remove("vars/per-machine/jon/ssh/key/machines");
                tree.remove("vars/per-machine/jon/ssh/key/users");
            },
            &["no-links vars/per-machine/jon/ssh/key/secret"],
        ),
        (
            "a person is gone",
            |tree| {
                tree.remove("sops/users/bob");
                tree.remove("sops/groups/admins/users/bob");
                tree.write(
                    SHARED,
                    sealed(&[&key("jon"), &key("sara"), &key("alice")]).as_bytes(),
                );
                tree.point(
                    "vars/per-machine/jon/ssh/key/users/bob",
                    &format!("{UP}sops/users/bob"),
                );
            },
            &["dangling-link vars/per-machine/jon/ssh/key/users/bob leads to no user bob"],
        ),
        (
            "a person is gone and can still read: the link says it",
            |tree| {
                tree.remove("sops/users/alice");
                tree.remove("sops/groups/admins/users/alice");
                tree.remove("sops/secrets");
                tree.remove("vars/shared");
            },
            &["dangling-link vars/per-machine/jon/ssh/key/users/alice leads to no user alice"],
        ),
        (
            "a group's member is gone",
            |tree| tree.point("sops/groups/admins/users/carol", "../../../users/carol"),
            &["dangling-link sops/groups/admins/users/carol leads to no user carol"],
        ),
        (
            "a group is gone",
            |tree| {
                tree.point(
                    "vars/per-machine/jon/ssh/key/groups/ops",
                    &format!("{UP}sops/groups/ops"),
                );
            },
            &["dangling-link vars/per-machine/jon/ssh/key/groups/ops leads to no group ops"],
        ),
        (
            "a link lies about whom it leads to",
            |tree| {
                tree.point(
                    "vars/per-machine/jon/ssh/key/users/bob",
                    &format!("{UP}sops/users/alice"),
                );
            },
            &[
                "misdirected-link vars/per-machine/jon/ssh/key/users/bob says user bob and leads to ../../../../../../sops/users/alice",
            ],
        ),
        (
            "a link leads out",
            |tree| tree.point("vars/per-machine/jon/ssh/key/users/bob", "/home/bob"),
            &["misdirected-link vars/per-machine/jon/ssh/key/users/bob says user bob and leads to /home/bob"],
        ),
        (
            "links lead round and round",
            |tree| {
                tree.point("vars/per-machine/jon/ssh/key/users/bob", "carol");
                tree.point("vars/per-machine/jon/ssh/key/users/carol", "bob");
            },
            &[
                "misdirected-link vars/per-machine/jon/ssh/key/users/bob says user bob and leads round",
                "misdirected-link vars/per-machine/jon/ssh/key/users/carol says user carol and leads round",
            ],
        ),
        (
            "a file stands among the links",
            |tree| tree.write("vars/per-machine/jon/ssh/key/users/bob", b"x"),
            &["not-a-link vars/per-machine/jon/ssh/key/users/bob says user bob and is no symbolic link"],
        ),
        (
            "a machine has no key",
            |tree| {
                tree.remove("sops/machines/sara/key.json");
                tree.write("sops/machines/sara/README", b"");
                tree.write(
                    SHARED,
                    sealed(&[&key("jon"), &key("alice"), &key("bob")]).as_bytes(),
                );
            },
            &["no-key sops/machines/sara/key.json is missing: machine sara has no key"],
        ),
        (
            "a key file is broken",
            |tree| {
                tree.write("sops/machines/sara/key.json", b"[]");
                tree.write(
                    SHARED,
                    sealed(&[&key("jon"), &key("alice"), &key("bob")]).as_bytes(),
                );
            },
            &["key-file sops/machines/sara/key.json holds no key"],
        ),
        (
            "cleartext",
            |tree| tree.write(OWN, b"hunter2\n"),
            &["cleartext vars/per-machine/jon/ssh/key/secret lies in cleartext"],
        ),
        (
            "cleartext JSON",
            |tree| tree.write(OWN, br#"{"password": "hunter2"}"#),
            &["cleartext vars/per-machine/jon/ssh/key/secret lies in cleartext"],
        ),
        (
            "cleartext in a sops file",
            |tree| {
                let text = sealed(&[&key("jon"), &key("alice")]).replacen(
                    "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]",
                    "hunter2",
                    1,
                );
                tree.write(OWN, text.as_bytes());
            },
            &["cleartext vars/per-machine/jon/ssh/key/secret value \"data\" is not encrypted"],
        ),
        (
            "cut off",
            |tree| {
                let text = sealed(&[&key("jon"), &key("alice")]);
                tree.write(OWN, &text.as_bytes()[..text.len() / 2]);
            },
            &["malformed vars/per-machine/jon/ssh/key/secret is truncated"],
        ),
        (
            "merged badly",
            |tree| {
                let text = sealed(&[&key("jon"), &key("alice")]);
                tree.write(
                    OWN,
                    format!("<<<<<<< HEAD\n{text}\n=======\n{text}\n>>>>>>> x\n").as_bytes(),
                );
            },
            &["malformed vars/per-machine/jon/ssh/key/secret is not a sops file"],
        ),
        (
            "a key twice",
            |tree| {
                let text = sealed(&[&key("jon"), &key("alice")]).replacen('{', "{\"data\":\"\",", 1);
                tree.write(OWN, text.as_bytes());
            },
            &["duplicate-key vars/per-machine/jon/ssh/key/secret has the key \"data\" twice"],
        ),
        (
            "no MAC",
            |tree| {
                let text = sealed(&[&key("jon"), &key("alice")]).replace("\"mac\":", "\"was_mac\":");
                tree.write(OWN, text.as_bytes());
            },
            &["bad-mac vars/per-machine/jon/ssh/key/secret has no message authentication code"],
        ),
        (
            "a link where the file should be",
            |tree| {
                tree.remove(OWN);
                tree.point(OWN, "../other");
            },
            &["malformed vars/per-machine/jon/ssh/key/secret"],
        ),
        (
            "an older secret of clan",
            |tree| {
                tree.write(
                    "sops/secrets/jon-age.key/secret",
                    sealed(&[&key("bob")]).as_bytes(),
                );
            },
            &[
                "not-encrypted sops/secrets/jon-age.key/secret is not encrypted to user alice",
                "not-linked sops/secrets/jon-age.key/secret is encrypted to user bob",
            ],
        ),
        (
            "an empty secret is legal",
            |tree| {
                let text = sealed(&[&key("jon"), &key("alice")]).replacen(
                    "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]",
                    "",
                    1,
                );
                tree.write(OWN, text.as_bytes());
            },
            &[],
        ),
        (
            "a list of keys and a spelling of its own are fine",
            |tree| {
                tree.write(
                    "sops/machines/jon/key.json",
                    format!(
                        r#"{{"publickey":" {} ","type":"age"}}"#,
                        key("jon").to_uppercase()
                    )
                    .as_bytes(),
                );
            },
            &[],
        ),
    ];
    for (name, spoil, expected) in table {
        let mut tree = fleet();
        spoil(&mut tree);
        agrees(name, &found(&tree, None), expected);
    }
}
