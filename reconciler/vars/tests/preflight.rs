//! The preflight over whole fleets.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use std::os::unix::fs::symlink;

use reconciler_vars::{
    Backend, Declared, DirectoryTree, Expected, FindingReason, FleetKind, Identities, IdentitySource, Opened,
    PreflightError, Requirements, SopsError, Tree, TreeError, preflight, preflight_of,
};
use support::{CANARY, age_key, fixture, fleet, requirements, sealed};

fn check(folder: &tempfile::TempDir, requirements: &Requirements) -> Result<Opened, PreflightError> {
    preflight(
        &DirectoryTree::new(folder.path()),
        "jon",
        requirements,
        &age_key("machine"),
    )
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let text = r#"{"generators":{"g":{"files":{"good":{},"missing":{},"other":{},"mac":{},"plain":{},"pgp":{},
        "cut":{},"public":{"secret":false},"public-missing":{"secret":false},"linked":{},
        "admins":{"deploy":false},"luks":{"neededFor":"partitioning"}}},"s":{"share":true,"files":{"x":{}}}}}"#;
    let folder = fleet(&[
        ("per-machine/jon/g/good/secret", &sealed("binary")),
        (
            "per-machine/jon/g/other/secret",
            &sealed("binary-other-recipient"),
        ),
        ("per-machine/jon/g/mac/secret", &sealed("bad-mac-of-another")),
        ("per-machine/jon/g/plain/secret", CANARY.as_bytes()),
        ("per-machine/jon/g/pgp/secret", &sealed("bad-pgp-only")),
        ("per-machine/jon/g/cut/secret", &sealed("bad-truncated")),
        ("per-machine/jon/g/public/value", b"hello"),
    ]);
    let linked = folder.path().join("vars/per-machine/jon/g/linked");
    std::fs::create_dir_all(&linked).unwrap();
    symlink("/etc/passwd", linked.join("secret")).unwrap();
    let error = check(&folder, &requirements(text)).unwrap_err();
    let PreflightError::Findings(findings) = &error else {
        panic!("{error:?}")
    };
    let named: Vec<_> = findings.0.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(
        named,
        [
            // For administrators alone, or for the day of the installation: it has to be there all the same.
            "vars/per-machine/jon/g/admins/secret",
            "vars/per-machine/jon/g/cut/secret",
            "vars/per-machine/jon/g/linked/secret",
            "vars/per-machine/jon/g/luks/secret",
            "vars/per-machine/jon/g/mac/secret",
            "vars/per-machine/jon/g/missing/secret",
            "vars/per-machine/jon/g/other/secret",
            "vars/per-machine/jon/g/pgp/secret",
            "vars/per-machine/jon/g/plain/secret",
            "vars/per-machine/jon/g/public-missing/value",
            "vars/shared/s/x/secret",
        ]
    );
    let text = format!("{error} {error:?}");
    assert!(!text.contains(CANARY) && !text.contains("root:"), "{text}");
    for path in named {
        assert!(text.contains(path));
    }
    for finding in &findings.0 {
        assert!(!finding.hint().is_empty() && !finding.hint().contains(CANARY));
    }
    let reasons: Vec<_> = findings.0.iter().map(|finding| &finding.reason).collect();
    assert!(matches!(
        reasons[2],
        FindingReason::Tree(TreeError::NotAFile { .. })
    ));
    assert!(matches!(reasons[5], FindingReason::Missing));
    assert!(matches!(
        reasons[8],
        FindingReason::Sops(SopsError::Syntax { .. })
    ));
}

#[test]
fn a_secret_for_others_names_both_sides() {
    let folder = fleet(&[("per-machine/jon/g/f/secret", &sealed("binary-other-recipient"))]);
    let error = check(
        &folder,
        &requirements(r#"{"generators":{"g":{"files":{"f":{}}}}}"#),
    )
    .unwrap_err();
    let PreflightError::Findings(findings) = &error else {
        panic!("{error:?}")
    };
    let (own, other) = (age_key("machine"), age_key("admin"));
    let (own, other) = (&own.recipients()[0].recipient, &other.recipients()[0].recipient);
    assert_eq!(
        findings.0[0].to_string(),
        format!(
            "vars/per-machine/jon/g/f/secret is not encrypted to this machine ({own}; it is encrypted to {other})"
        )
    );
    assert!(findings.0[0].hint().contains(own.as_str()));
}

#[test]
fn what_is_there_opens_and_tells_nothing_but_its_paths() {
    let text = r#"{"generators":{"g":{"files":{"a":{},"b":{"mode":"0440"}}}}}"#;
    let files = [
        ("per-machine/jon/g/a/secret", &sealed("binary")[..]),
        ("per-machine/jon/g/b/secret", &sealed("binary-empty")),
    ];
    let folder = fleet(&files);
    let opened = check(&folder, &requirements(text)).unwrap();
    assert_eq!((opened.len(), opened.is_empty()), (2, false));
    let shown = format!("{opened:?}");
    assert!(
        shown.contains("vars/per-machine/jon/g/a") && !shown.contains("horse"),
        "{shown}"
    );
    let fingerprint = opened.fingerprint();
    assert!(fingerprint.len() == 64 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(
        check(&folder, &requirements(text)).unwrap().fingerprint(),
        fingerprint
    );
    // Another mode, another owner, another ciphertext of the same plaintext: another fingerprint.
    for other in [
        r#"{"generators":{"g":{"files":{"a":{},"b":{"mode":"0400"}}}}}"#,
        r#"{"generators":{"g":{"files":{"a":{"owner":"git"},"b":{"mode":"0440"}}}}}"#,
        r#"{"generators":{"g":{"files":{"a":{"neededFor":"users"},"b":{"mode":"0440"}}}}}"#,
    ] {
        assert_ne!(
            check(&folder, &requirements(other)).unwrap().fingerprint(),
            fingerprint
        );
    }
    let folder = fleet(&[(files[0].0, &sealed("binary-several")), files[1]]);
    assert_ne!(
        check(&folder, &requirements(text)).unwrap().fingerprint(),
        fingerprint
    );
}

#[test]
fn without_a_key_the_sources_are_blamed_and_without_secrets_nobody_is() {
    let folder = fleet(&[("per-machine/jon/g/p/value", b"hello")]);
    let tree = DirectoryTree::new(folder.path());
    let (nobody, _) = Identities::load(&[IdentitySource::SshHostKey(fixture("keys/none"))]);
    let text = r#"{"generators":{"g":{"files":{"f":{},"p":{"secret":false}}}}}"#;
    let error = preflight(&tree, "jon", &requirements(text), &nobody).unwrap_err();
    assert!(matches!(&error, PreflightError::NoIdentity { needed: 1, .. }));
    assert!(error.to_string().contains("keys/none does not exist"), "{error}");
    let text = r#"{"generators":{"g":{"files":{"p":{"secret":false}}}}}"#;
    assert!(
        preflight(&tree, "jon", &requirements(text), &nobody)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn stored_requirements_with_names_that_climb_are_refused() {
    let folder = fleet(&[]);
    let stored = serde_json::to_string(&requirements(r#"{"generators":{"g":{"files":{"f":{}}}}}"#)).unwrap();
    for (from, to) in [("\"f\"", "\"..\""), ("\"g\"", "\"a/b\""), ("\"f\"", "\"\"")] {
        let requirements: Requirements = serde_json::from_str(&stored.replace(from, to)).unwrap();
        assert!(matches!(
            check(&folder, &requirements),
            Err(PreflightError::Name(_))
        ));
    }
}

#[test]
fn a_tree_over_a_folder_never_leaves_it() {
    let folder = fleet(&[("shared/g/f/secret", b"x")]);
    symlink("/etc", folder.path().join("vars/shared/out")).unwrap();
    let tree = DirectoryTree::new(folder.path());
    assert_eq!(tree.read("vars/shared/g/f/secret").unwrap().unwrap(), b"x");
    assert_eq!(tree.read("vars/shared/out/passwd").unwrap(), None);
    assert!(tree.list("vars/shared/out").unwrap().is_empty());
    for path in [
        "/etc/passwd",
        "../x",
        "vars/../../x",
        "vars//shared",
        "",
        "vars/./x",
        "vars/",
    ] {
        assert!(matches!(tree.read(path), Err(TreeError::Path { .. })), "{path}");
    }
    assert!(matches!(
        tree.read("vars/shared"),
        Err(TreeError::NotAFile { .. })
    ));
    assert_eq!(tree.list("vars/shared").unwrap().len(), 2);
}

fn findings(error: PreflightError) -> Vec<(String, String)> {
    let PreflightError::Findings(findings) = error else {
        panic!("{error:?}")
    };
    let told = findings
        .0
        .iter()
        .map(|finding| (finding.to_string(), finding.hint()));
    told.collect()
}

/// Against an entry of a clan, whose declaration is `text` and whose backend is `store`.
fn check_entry(folder: &tempfile::TempDir, text: &str, store: &str) -> Result<Opened, PreflightError> {
    let declared: Declared = serde_json::from_str(text).unwrap();
    let expected = Expected::of_entry(FleetKind::Clan, Backend::of(Some(store)), Some(&declared));
    let tree = DirectoryTree::new(folder.path());
    preflight_of(&tree, "jon", &expected, &requirements(text), &age_key("machine"))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test lays out its own tree")]
fn values_that_are_older_than_their_declaration_are_refused() {
    let text = r#"{"generators":{"g":{"validationHash":"9df63919","files":{"f":{}}},"h":{"files":{"p":{"secret":false}}}}}"#;
    let folder = fleet(&[
        ("per-machine/jon/g/f/secret", &sealed("binary")),
        ("per-machine/jon/h/p/value", b"hello"),
    ]);
    let hash = folder.path().join("vars/per-machine/jon/g/.validation-hash");
    let stale = (
        "vars/per-machine/jon/g/.validation-hash is stale: what the values depend on changed since they were made".to_owned(),
        "`clan vars generate jon --generator g`, commit and push".to_owned(),
    );
    assert_eq!(
        findings(check_entry(&folder, text, "sops").unwrap_err()),
        std::slice::from_ref(&stale)
    );
    std::fs::write(&hash, "00").unwrap();
    assert_eq!(findings(check_entry(&folder, text, "sops").unwrap_err()), [stale]);
    std::fs::write(&hash, "9df63919").unwrap();
    assert_eq!(check_entry(&folder, text, "sops").unwrap().len(), 1);
    // One that lost its validation is stale as well.
    std::fs::write(
        folder.path().join("vars/per-machine/jon/h/.validation-hash"),
        "11",
    )
    .unwrap();
    assert_eq!(findings(check_entry(&folder, text, "sops").unwrap_err()).len(), 1);
}

#[test]
fn what_opens_has_to_name_this_machine() {
    let own = age_key("machine").recipients()[0].recipient.clone();
    let other = age_key("admin").recipients()[0].recipient.clone();
    let bytes = String::from_utf8(sealed("binary")).unwrap().replace(&own, &other);
    let folder = fleet(&[("per-machine/jon/g/f/secret", bytes.as_bytes())]);
    let text = r#"{"generators":{"g":{"files":{"f":{}}}}}"#;
    let (told, hint) = findings(check_entry(&folder, text, "sops").unwrap_err()).remove(0);
    assert!(
        told.contains("opens with this machine's key and does not name it among its recipients"),
        "{told}"
    );
    assert!(hint.contains("`clan vars fix jon`"), "{hint}");
    // In another spelling it is the same key.
    let bytes = String::from_utf8(sealed("binary"))
        .unwrap()
        .replace(&own, &own.to_uppercase());
    let folder = fleet(&[("per-machine/jon/g/f/secret", bytes.as_bytes())]);
    check_entry(&folder, text, "sops").unwrap();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test lays out its own tree")]
fn the_age_store_of_a_clan_is_read_where_it_lies() {
    let folder = fleet(&[("per-machine/jon/g/p/value", b"hello")]);
    let text =
        r#"{"generators":{"g":{"files":{"f":{},"p":{"secret":false}}},"s":{"share":true,"files":{"x":{}}}}}"#;
    let told = findings(check_entry(&folder, text, "age").unwrap_err());
    assert_eq!(
        told.iter().map(|(told, _)| told.as_str()).collect::<Vec<_>>(),
        [
            "secrets/clan-vars/per-machine/jon/g/f/f.age is missing",
            "secrets/clan-vars/shared/s/x/x.age is missing",
        ]
    );
    let own: age::x25519::Recipient = age_key("machine").recipients()[0].recipient.parse().unwrap();
    for path in ["per-machine/jon/g/f/f.age", "shared/s/x/x.age"] {
        let path = folder.path().join("secrets/clan-vars").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, age::encrypt(&own, CANARY.as_bytes()).unwrap()).unwrap();
    }
    let opened = check_entry(&folder, text, "age").unwrap();
    let places: Vec<_> = opened.files().map(|(_, place)| place.to_owned()).collect();
    assert_eq!(places, ["vars/per-machine/jon/g/f", "vars/shared/s/x"]);
    // Without the entry's word, as at a way back, it is found all the same.
    let tree = DirectoryTree::new(folder.path());
    assert_eq!(
        preflight(&tree, "jon", &requirements(text), &age_key("machine"))
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_store_elsewhere_is_named() {
    let folder = fleet(&[("per-machine/jon/g/p/value", b"hello")]);
    let text = r#"{"generators":{"g":{"files":{"f":{},"p":{"secret":false}}}}}"#;
    let error = check_entry(&folder, text, "password-store").unwrap_err();
    assert!(
        matches!(&error, PreflightError::NotPullable { needed: 1, store, .. } if store == "password-store")
    );
    // Where no secret is needed, it is nobody's affair where others are.
    let text = r#"{"generators":{"g":{"files":{"p":{"secret":false},"q":{"deploy":false}}}}}"#;
    assert!(check_entry(&folder, text, "password-store").unwrap().is_empty());
}
