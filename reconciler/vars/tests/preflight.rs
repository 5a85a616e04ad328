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
    DirectoryTree, FindingReason, Identities, IdentitySource, Opened, PreflightError, Requirements,
    SopsError, Tree, TreeError, preflight,
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
            "vars/per-machine/jon/g/cut/secret",
            "vars/per-machine/jon/g/linked/secret",
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
        reasons[1],
        FindingReason::Tree(TreeError::NotAFile { .. })
    ));
    assert!(matches!(reasons[3], FindingReason::Missing));
    assert!(matches!(
        reasons[6],
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
