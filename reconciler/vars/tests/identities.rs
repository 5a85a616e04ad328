//! Key files of every kind, against the identities and problems that they give.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use reconciler_vars::{
    Identities, IdentityKind, IdentityProblem, IdentitySource, IdentityWarning, PluginProblem,
    ssh_public_key_to_recipient,
};
use support::{fixture, identity_of_plugin};

fn read(path: &str) -> String {
    fs::read_to_string(fixture(path)).unwrap().trim().to_owned()
}

fn one_problem(source: IdentitySource) -> IdentityProblem {
    let (identities, problems) = Identities::load(&[source]);
    assert!(identities.is_empty());
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert!(!problem.hint().is_empty());
    problem.clone()
}

#[test]
fn a_host_key_converts_as_ssh_to_age_converts_it() {
    let expected = read("keys/ssh_host_ed25519_key.recipient");
    let identities = support::host_key();
    assert_eq!(identities.recipients()[0].recipient, expected);
    assert_eq!(identities.recipients()[0].kind, IdentityKind::SshHostKey);
    let public = read("keys/ssh_host_ed25519_key.pub");
    for line in [
        public.clone(),
        format!("host.example.org {public}"),
        format!("{public}\n"),
    ] {
        assert_eq!(ssh_public_key_to_recipient(&line).unwrap(), expected);
    }
    // The private half, too, is ssh-to-age's: the same recipient comes from the identity that it printed.
    let source = IdentitySource::AgeKeyFile(fixture("keys/ssh_host_ed25519_key.identity"));
    let (identities, _) = Identities::load(&[source]);
    assert_eq!(identities.recipients()[0].recipient, expected);
    for path in ["keys/ssh_host_rsa_key.pub", "keys/ssh_host_ecdsa_key.pub"] {
        assert!(ssh_public_key_to_recipient(&read(path)).is_err());
    }
    assert!(ssh_public_key_to_recipient("").is_err());
}

#[test]
fn sources_are_tried_in_order_and_the_same_key_counts_once() {
    let sources = [
        IdentitySource::SshHostKey(fixture("keys/ssh_host_ed25519_key")),
        IdentitySource::AgeKeyFile(fixture("keys/none.txt")),
        IdentitySource::AgeKeyFile(fixture("keys/machine.txt")),
        IdentitySource::AgeKeyFile(fixture("keys/ssh_host_ed25519_key.identity")),
    ];
    let (identities, problems) = Identities::load(&sources);
    let kinds: Vec<_> = identities.recipients().iter().map(|info| info.kind).collect();
    assert_eq!(
        kinds,
        [
            IdentityKind::SshHostKey,
            IdentityKind::NativeSshKey,
            IdentityKind::AgeKey
        ]
    );
    assert!(matches!(problems.as_slice(), [problem] if problem.is_absence()));
    let text = format!("{identities:?}");
    assert!(text.contains("age1") && !text.contains("SECRET"), "{text}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test lays out its own files")]
fn every_problem_has_its_own_type() {
    let ssh = |name: &str| one_problem(IdentitySource::SshHostKey(fixture(&format!("keys/{name}"))));
    assert!(matches!(ssh("none"), IdentityProblem::NotFound { .. }));
    let sealed = ssh("sealed_ed25519_key");
    assert!(matches!(sealed, IdentityProblem::PassphraseProtected { .. }));
    let typed = format!(
        "ssh-keygen -p -N '' -f {}",
        fixture("keys/sealed_ed25519_key").display()
    );
    assert!(sealed.hint().contains(&typed), "{}", sealed.hint());
    assert!(
        matches!(ssh("ssh_host_ecdsa_key"), IdentityProblem::UnsupportedSshKey { algorithm, .. } if algorithm.contains("ecdsa"))
    );
    assert!(matches!(
        ssh("ssh_host_rsa_key.pub"),
        IdentityProblem::PublicKey { .. }
    ));
    assert!(matches!(ssh("machine.txt"), IdentityProblem::SshKey { .. }));
    assert!(matches!(ssh(""), IdentityProblem::NotAKeyFile { .. }));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.txt");
    let age = |text: &[u8]| {
        fs::write(&path, text).unwrap();
        one_problem(IdentitySource::AgeKeyFile(path.clone()))
    };
    assert!(matches!(age(b"# nothing\n\n"), IdentityProblem::Empty { .. }));
    assert!(matches!(
        age(b"# a\nAGE-SECRET-KEY-1NONSENSE\n"),
        IdentityProblem::AgeKey { line: 2, .. }
    ));
    let absent = identity_of_plugin("no-such-plugin");
    assert!(matches!(
        age(absent.as_bytes()),
        IdentityProblem::Plugin { line: 1, problem: PluginProblem::NotInstalled { program, .. }, .. }
            if program == "age-plugin-no-such-plugin"
    ));
    assert!(matches!(
        age(b"AGE-SECRET-KEY-PQ-1QQ\n"),
        IdentityProblem::AgeKey { line: 1, .. }
    ));
    assert!(matches!(
        age(b"# old\nage1u7snfagg0d2vq6lqdz6vxjyd43w4naecg5w0zfaq8tqsa07nxc6qzku6d2\n"),
        IdentityProblem::PublicKey { .. }
    ));
    for sealed in [
        "age-encryption.org/v1\n-> scrypt a 18\n",
        "-----BEGIN AGE ENCRYPTED FILE-----\n",
    ] {
        assert!(matches!(
            age(sealed.as_bytes()),
            IdentityProblem::EncryptedKeyFile { .. }
        ));
    }
    assert!(matches!(age(b"\xff\xfe"), IdentityProblem::AgeKey { .. }));
    assert!(matches!(
        age(&vec![b'#'; 1 << 20]),
        IdentityProblem::NotAKeyFile { .. }
    ));
    let problem = age(b"AGE-SECRET-KEY-1NONSENSE\n");
    assert!(!format!("{problem} {problem:?}").contains("NONSENSE"));

    if !unix::unistd::geteuid().is_root() {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        let problem = one_problem(IdentitySource::AgeKeyFile(path.clone()));
        assert!(matches!(problem, IdentityProblem::Unreadable { .. }));
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test lays out its own files")]
fn a_bad_line_does_not_hide_a_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.txt");
    let good = read("keys/machine.txt");
    fs::write(&path, format!("AGE-PLUGIN-TPM-1QQ\n{good}\n")).unwrap();
    let (identities, problems) = Identities::load(&[IdentitySource::AgeKeyFile(path)]);
    assert_eq!((identities.recipients().len(), problems.len()), (1, 1));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test lays out its own files")]
fn a_key_that_others_can_read_is_used_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.txt");
    fs::copy(fixture("keys/machine.txt"), &path).unwrap();
    let load = || Identities::load(&[IdentitySource::AgeKeyFile(path.clone())]).0;
    for (mode, told) in [
        (0o600, false),
        (0o400, false),
        (0o640, true),
        (0o604, true),
        (0o620, true),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let identities = load();
        assert_eq!(identities.recipients().len(), 1);
        let expected = IdentityWarning::OpenToOthers {
            path: path.clone(),
            mode,
        };
        let expected: &[_] = if told { &[expected] } else { &[] };
        assert_eq!(identities.warnings(), expected, "{mode:o}");
    }
    if unix::unistd::geteuid().is_root() {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        assert!(matches!(
            load().warnings(),
            [IdentityWarning::OthersOwn { owner: 65534, .. }]
        ));
    }
    // A file without a key needs no warning.
    fs::write(&path, "# nothing\n").unwrap();
    assert!(load().warnings().is_empty());
}
