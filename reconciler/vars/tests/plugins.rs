//! age plugins: a real one that speaks the protocol, those that misbehave, and the search for them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use age_core::primitives::bech32_encode;
use reconciler_vars::{
    Identities, IdentityKind, IdentityProblem, IdentitySource, PluginProblem, Plugins, Recipient, SealError,
    SopsError, decrypt_file, encrypt_binary,
};
use support::lab::Lab;
use support::{CANARY, identity_of_plugin};

/// What every plugin of these tests begins with: `read_stanza` sets `head` and `body`.
const COMMON: &str = r#"#!/bin/sh
read_stanza() {
    read -r mark head || exit 3
    body=
    while read -r part; do
        body=$body$part
        [ ${#part} -eq 64 ] || return 0
    done
    exit 3
}
say() { printf -- '-> %s\n%s\n' "$1" "$2"; }
ask() { say "$1" "$2"; read_stanza; }
if [ "$1" = --age-plugin=recipient-v1 ]; then
    while read_stanza; do
        case $head in wrap-file-key*) key=$body ;; done) break ;; esac
    done
    # No cryptography: the key with a mark before it.
    sealed=$({ printf mark; echo "$key==" | base64 -d; } | base64 -w0 | tr -d =)
    ask "recipient-stanza 0 marked" "$sealed"
    say done
    exit
fi
while read_stanza; do
    case $head in
    add-identity*) identity=${head#* } ;;
    'recipient-stanza 0 marked'*) sealed=$body ;;
    done) break ;;
    esac
done
unseal() { echo "$sealed==" | base64 -d 2>/dev/null | tail -c +5 | base64 -w0 | tr -d =; }
"#;

const HONEST: &str = r#"
[ "$1" = --age-plugin=identity-v1 ] || exit 4
ask grease-x1 "$(echo ignore me | base64 -w0 | tr -d =)"
[ "$head" = unsupported ] || exit 5
ask msg "$(printf 'looking for the token' | base64 -w0 | tr -d =)"
[ "$head" = ok ] || exit 5
[ -z "$sealed" ] || ask "file-key 0" "$(unseal)"
say done
"#;

fn program(folder: &Path, name: &str, script: &str) -> PathBuf {
    let path = folder.join(format!("age-plugin-{name}"));
    #[expect(clippy::disallowed_methods, reason = "a test lays out its own files")]
    fs::write(&path, format!("{COMMON}{script}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn recipient(name: &str) -> String {
    bech32_encode(bech32::Hrp::parse(&format!("age1{name}")).unwrap(), b"a test")
}

/// The identities of a file that names this plugin, found in the lab's folder.
fn load(lab: &Lab, name: &str, limit: Duration) -> Identities {
    let text = format!(
        "#    Recipient: {}\n{}\n",
        recipient(name),
        identity_of_plugin(name)
    );
    let path = lab.write(&format!("{name}.txt"), text.as_bytes());
    // The folders are the plugin's PATH, too, and these use the usual programs.
    let folders = [lab.folder(), Path::new("/usr/bin"), Path::new("/bin")];
    let plugins = Plugins::new(folders.map(Path::to_owned).into(), limit);
    let (identities, problems) = Identities::load_with(&[IdentitySource::AgeKeyFile(path)], &plugins);
    assert!(problems.is_empty(), "{problems:?}");
    identities
}

const PATIENT: Duration = Duration::from_secs(120);

#[test]
fn a_plugin_opens_age_files_and_sops_files() {
    let lab = Lab::new();
    lab.write("plain", CANARY.as_bytes());
    program(lab.folder(), "marked", HONEST);
    let identities = load(&lab, "marked", PATIENT);
    let info = &identities.recipients()[0];
    assert_eq!(
        (info.kind, &info.recipient),
        (IdentityKind::PluginKey, &recipient("marked"))
    );
    assert_eq!(identities.plugin_names().collect::<Vec<_>>(), ["marked"]);
    assert!(!format!("{identities:?}").contains("AGE-PLUGIN"));

    let sealed = lab.run("age", &["-r", &recipient("marked"), "plain"]);
    assert_eq!(
        decrypt_file(&sealed, &identities)
            .unwrap()
            .into_bytes()
            .unwrap()
            .as_slice(),
        CANARY.as_bytes()
    );
    lab.run("age-keygen", &["-o", "machine.txt"]);
    let admin = lab.line("age-keygen", &["-y", "machine.txt"]);
    let both = format!("{admin},{}", recipient("marked"));
    let sealed = lab.run(
        "sops",
        &[
            "--config",
            "/dev/null",
            "encrypt",
            "--input-type",
            "binary",
            "--age",
            &both,
            "plain",
        ],
    );
    assert_eq!(
        decrypt_file(&sealed, &identities)
            .unwrap()
            .into_bytes()
            .unwrap()
            .as_slice(),
        CANARY.as_bytes()
    );
    // What is another's stays another's.
    let sealed = lab.run("age", &["-r", &admin, "plain"]);
    assert!(matches!(
        decrypt_file(&sealed, &identities),
        Err(SopsError::NotEncryptedToThisMachine { .. })
    ));
}

#[test]
fn what_a_plugin_does_instead_of_answering_is_told_and_never_waited_for() {
    let lab = Lab::new();
    lab.write("plain", CANARY.as_bytes());
    program(lab.folder(), "marked", HONEST);
    let sealed = lab.run("age", &["-r", &recipient("marked"), "plain"]);
    let text = |text: &str| base64::Engine::encode(&base64::prelude::BASE64_STANDARD_NO_PAD, text);
    let interaction = |asked: &str| PluginProblem::Interaction {
        asked: asked.to_owned(),
    };
    let failed = |message: &str| PluginProblem::Failed {
        message: message.to_owned(),
    };
    let secret = identity_of_plugin("echoes");
    let table = [
        (
            "pin",
            format!("ask request-secret {}; say done\n", text("PIN for slot 1")),
            interaction("PIN for slot 1"),
        ),
        (
            "name",
            format!("ask request-public {}; say done\n", text("which card")),
            interaction("which card"),
        ),
        (
            "touch",
            format!("ask 'confirm eWVz' {}; exit 1\n", text("insert the key")),
            interaction("insert the key"),
        ),
        ("gone", "exit 7\n".to_owned(), PluginProblem::Ended),
        ("early", "kill -9 $$\n".to_owned(), PluginProblem::Ended),
        (
            "garbage",
            "echo hello; sleep 1000\n".to_owned(),
            PluginProblem::Protocol,
        ),
        (
            "flood",
            "head -c 3000000 /dev/zero\n".to_owned(),
            PluginProblem::Protocol,
        ),
        (
            "says",
            format!("ask 'error internal' {}; say done\n", text("no\ttoken\nhere")),
            failed("no token here"),
        ),
        (
            "echoes",
            format!(
                "ask 'error identity 0' {}; say done\n",
                text(&format!("bad {secret}"))
            ),
            failed("bad [redacted]"),
        ),
    ];
    for (name, script, expected) in table {
        program(lab.folder(), name, &script);
        let identities = load(&lab, name, PATIENT);
        let error = decrypt_file(&sealed, &identities).unwrap_err();
        assert_eq!(
            error,
            SopsError::Plugin {
                name: name.to_owned(),
                problem: expected
            },
            "{name}"
        );
        assert!(!error.to_string().contains("AGE-PLUGIN-"));
    }
    // A wrong key, or one of another length, opens nothing.
    for script in [
        "ask 'file-key 0' AAAAAAAAAAAAAAAAAAAAAA; say done\n",
        "ask 'file-key 0' AAAA; say done\n",
    ] {
        program(lab.folder(), "wrong", script);
        assert_eq!(
            decrypt_file(&sealed, &load(&lab, "wrong", PATIENT)).unwrap_err(),
            SopsError::AgeFile
        );
    }
}

#[test]
fn a_plugin_that_never_answers_is_killed_with_its_children_and_not_asked_again() {
    let lab = Lab::new();
    lab.write("plain", CANARY.as_bytes());
    program(lab.folder(), "marked", HONEST);
    let sealed = lab.run("age", &["-r", &recipient("marked"), "plain"]);
    let pid = lab.path("pid");
    let said = base64::Engine::encode(&base64::prelude::BASE64_STANDARD_NO_PAD, "touch it");
    let script = format!("sleep 1000 & echo $! >>{}\nask msg {said}\nwait\n", pid.display());
    program(lab.folder(), "hangs", &script);
    let limit = Duration::from_secs(3);
    let identities = load(&lab, "hangs", limit);
    let expected = SopsError::Plugin {
        name: "hangs".to_owned(),
        problem: PluginProblem::TimedOut {
            limit,
            said: "touch it".to_owned(),
        },
    };
    let began = Instant::now();
    for _ in 0..50 {
        assert_eq!(decrypt_file(&sealed, &identities).unwrap_err(), expected);
    }
    assert!(
        began.elapsed() < limit * 20,
        "it was waited for again: {:?}",
        began.elapsed()
    );
    let pids = fs::read_to_string(&pid).unwrap();
    assert_eq!(pids.lines().count(), 1);
    let state = format!("/proc/{}/stat", pids.trim());
    let deadline = Instant::now() + PATIENT;
    while fs::read_to_string(&state).is_ok_and(|state| !state.contains(") Z ")) {
        assert!(Instant::now() < deadline, "the plugin's child outlived it");
        std::thread::yield_now();
    }
    // One that reads nothing cannot hold its asker up either, however much it is told.
    program(lab.folder(), "deaf", "");
    #[expect(clippy::disallowed_methods, reason = "a test lays out its own files")]
    fs::write(lab.path("age-plugin-deaf"), "#!/bin/sh\nexec sleep 1000\n").unwrap();
    let stanza = format!("-> x {}\n\n", "a".repeat(1000)).repeat(500);
    let file = format!(
        "age-encryption.org/v1\n{stanza}--- {}\n0123456789abcdef",
        "A".repeat(43)
    );
    let error = decrypt_file(file.as_bytes(), &load(&lab, "deaf", Duration::from_secs(1))).unwrap_err();
    assert!(
        matches!(
            error,
            SopsError::Plugin {
                problem: PluginProblem::TimedOut { .. },
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_plugin_gets_nothing_of_the_environment() {
    let lab = Lab::new();
    lab.write("plain", CANARY.as_bytes());
    program(lab.folder(), "marked", HONEST);
    let sealed = lab.run("age", &["-r", &recipient("marked"), "plain"]);
    let seen = lab.path("seen");
    let script = format!(
        "{{ env; pwd; echo \"$*\"; }} | sort >{}\n{HONEST}",
        seen.display()
    );
    program(lab.folder(), "looks", &script);
    decrypt_file(&sealed, &load(&lab, "looks", PATIENT)).unwrap();
    let seen = fs::read_to_string(seen).unwrap();
    // A shell adds PWD, and some add more of their own.
    let known = [
        "PWD=",
        "LC_ALL=C",
        "PATH=",
        "/",
        "--age-plugin=identity-v1",
        "_=",
        "SHLVL=",
        "OLDPWD",
    ];
    for line in seen.lines() {
        assert!(known.iter().any(|known| line.starts_with(known)), "{seen}");
    }
    assert!(!seen.contains(&identity_of_plugin("looks")), "{seen}");
}

#[test]
fn only_programs_that_nobody_else_could_have_put_there_are_run() {
    let lab = Lab::new();
    let problem = |name: &str, folder: PathBuf| {
        let path = lab.write("key.txt", identity_of_plugin(name).as_bytes());
        let plugins = Plugins::new(vec![folder], PATIENT);
        let (identities, problems) = Identities::load_with(&[IdentitySource::AgeKeyFile(path)], &plugins);
        match problems.as_slice() {
            [] => {
                assert!(!identities.is_empty());
                None
            }
            [IdentityProblem::Plugin { problem, .. }] => Some(problem.clone()),
            other => panic!("{other:?}"),
        }
    };
    let good = lab.path("good");
    fs::create_dir(&good).unwrap();
    let honest = program(&good, "marked", HONEST);
    assert_eq!(problem("marked", good.clone()), None);
    symlink(&good, lab.path("link")).unwrap();
    assert_eq!(problem("marked", lab.path("link")), None);

    // Not absolute, though it is there from here.
    let here = std::env::current_dir().unwrap();
    let up = "../".repeat(here.components().count());
    let relative = Path::new(&up).join(good.strip_prefix("/").unwrap());
    assert!(relative.join("age-plugin-marked").is_file());
    assert!(matches!(
        problem("marked", relative),
        Some(PluginProblem::NotInstalled { .. })
    ));

    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&honest, 0o644);
    assert!(matches!(
        problem("marked", good.clone()),
        Some(PluginProblem::NotInstalled { .. })
    ));
    mode(&honest, 0o775);
    assert!(
        matches!(problem("marked", good.clone()), Some(PluginProblem::Untrusted { part, .. }) if part.ends_with("age-plugin-marked"))
    );
    mode(&honest, 0o755);
    mode(&good, 0o777);
    assert!(
        matches!(problem("marked", good.clone()), Some(PluginProblem::Untrusted { part, .. }) if part.ends_with("good"))
    );
    mode(&good, 0o1777);
    assert_eq!(problem("marked", good.clone()), None);
    if unix::unistd::geteuid().is_root() {
        chown(&honest, Some(65534), None).unwrap();
        assert!(matches!(
            problem("marked", good.clone()),
            Some(PluginProblem::Untrusted { .. })
        ));
        chown(&honest, Some(0), None).unwrap();
    }
    // A name that is a path is none (rage, GHSA-4fg7-vxc8-qx5w).
    fs::create_dir(lab.path("age-plugin-x")).unwrap();
    program(lab.folder(), "evil", HONEST);
    assert!(matches!(
        problem("x/../age-plugin-evil", lab.folder().to_owned()),
        Some(PluginProblem::NotInstalled { .. })
    ));
}

#[test]
fn what_is_sealed_here_for_a_plugin_sops_and_age_open_with_it() {
    let lab = Lab::new();
    program(lab.folder(), "marked", HONEST);
    let folders = [lab.folder(), Path::new("/usr/bin"), Path::new("/bin")];
    let plugins = Plugins::new(folders.map(Path::to_owned).into(), PATIENT);
    let to = recipient("marked").parse::<Recipient>().unwrap();
    let to = [to.with_plugins(&plugins)];
    let sealed = encrypt_binary(CANARY.as_bytes(), &to, "2024-02-29T12:00:00Z").unwrap();
    let opened = decrypt_file(&sealed, &load(&lab, "marked", PATIENT)).unwrap();
    assert_eq!(opened.into_bytes().unwrap().as_slice(), CANARY.as_bytes());
    lab.write("machine.txt", identity_of_plugin("marked").as_bytes());
    assert_eq!(lab.open_as(&sealed, "binary"), CANARY.as_bytes());

    for (name, script, expected) in [
        ("none", None, "is not installed in any of"),
        (
            "error",
            Some("ask \"error recipient 0\" \"$(printf 'no token' | base64 -w0 | tr -d =)\"; say done"),
            "no token",
        ),
        ("silent", Some("say done"), "does not speak the protocol"),
        (
            "asks",
            Some("ask request-secret \"$(printf 'the PIN' | base64 -w0 | tr -d =)\"; say done"),
            "the PIN",
        ),
        ("gone", Some("exit 1"), "ended without an answer"),
        ("noise", Some("echo hello"), "does not speak the protocol"),
    ] {
        if let Some(script) = script {
            let early = format!(
                "[ \"$1\" = --age-plugin=recipient-v1 ] && {{ while read_stanza; do [ \"$head\" = done ] && break; done; {script}; exit; }}\n"
            );
            let path = program(lab.folder(), name, "");
            let text = COMMON.replacen("if [ \"$1\"", &format!("{early}if [ \"$1\""), 1);
            #[expect(clippy::disallowed_methods, reason = "a test lays out its own files")]
            fs::write(path, text).unwrap();
        }
        let to = recipient(name).parse::<Recipient>().unwrap();
        let to = [to.with_plugins(&plugins)];
        let error = encrypt_binary(CANARY.as_bytes(), &to, "2024-02-29T12:00:00Z").unwrap_err();
        let SealError::DataKey {
            recipient: named,
            source,
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!(*named, recipient(name));
        assert!(source.to_string().contains(expected), "{name}: {source}");
    }
}

#[test]
#[ignore = "needs age 1.3, which not every place that runs the tests can build"]
fn the_post_quantum_plugin_opens_with_its_own_kind_of_identity() {
    let lab = Lab::new();
    lab.write("plain", CANARY.as_bytes());
    lab.run("age-1.3/age-keygen", &["-pq", "-o", "key.txt"]);
    let recipient = lab.line("age-1.3/age-keygen", &["-y", "key.txt"]);
    let identity = lab.line("age-1.3/age-plugin-pq", &["-identity", "key.txt"]);
    let text = identity
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("AGE-PLUGIN-PQ-"));
    let path = lab.write("plugin.txt", text.unwrap().as_bytes());
    let place = support::lab::find_tool("age-1.3/age-plugin-pq").unwrap();
    let plugins = Plugins::new(vec![place.parent().unwrap().to_owned()], PATIENT);
    let (identities, problems) = Identities::load_with(&[IdentitySource::AgeKeyFile(path)], &plugins);
    assert!(problems.is_empty(), "{problems:?}");
    let sealed = lab.run("age-1.3/age", &["-r", &recipient, "plain"]);
    assert_eq!(
        decrypt_file(&sealed, &identities)
            .unwrap()
            .into_bytes()
            .unwrap()
            .as_slice(),
        CANARY.as_bytes()
    );
}
