//! No error shows a value. Good files with secrets in them, sealed and not, are damaged at random; whatever is then
//! told of them, in any words, holds nothing of the secrets.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own helpers may fail loudly"
)]

mod support;

use std::fmt::{Debug, Display};
use std::fs;
use std::sync::LazyLock;

use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::{Index, select};
use reconciler_vars::audit::{Audit, audit, parse_key_file, sarif};
use reconciler_vars::sops::{
    KeyGroups, MacScope, SealOptions, SealedKeys, Selection, edit, encrypt, inspect, rekey, rotate,
};
use reconciler_vars::sops_nix::{CheckMode, Manifest, Passwd, check, prepare};
use reconciler_vars::{
    Accounts, DirectoryTree, FleetKind, Format, Identities, IdentitySource, Recipient, decrypt, decrypt_file,
    ssh_public_key_to_recipient,
};
use serde_json::json;
use support::{age_key, fixture, fleet, requirements};

const TIME: &str = "2024-02-29T12:00:00Z";
/// In every value and comment.
const CANARY: &str = "Kanari7v";

/// A document of each store that has it in all places but keys.
const DOCUMENTS: [(Format, &str); 5] = [
    (
        Format::Yaml,
        "# Kanari7v\na: Kanari7v\nb:\n    - Kanari7v # Kanari7v\n    - c: |\n        Kanari7v\n        Kanari7v\n      d: 'Kanari7v'\nn: 17\ne_clear: \"Kanari7v\"\n",
    ),
    (
        Format::Json,
        "{\n\t\"a\": \"Kanari7v\",\n\t\"b\": [\n\t\t\"Kanari7v\",\n\t\t{\n\t\t\t\"c\": \"Kanari7v\"\n\t\t}\n\t],\n\t\"n\": 17,\n\t\"e_clear\": \"Kanari7v\"\n}\n",
    ),
    (
        Format::Dotenv,
        "# Kanari7v\nA=Kanari7v\nB=\"Kanari7v\"\nE_clear=Kanari7v\\nKanari7v\n",
    ),
    (
        Format::Ini,
        "; Kanari7v\n[one]\na = Kanari7v\nb = `Kanari7v`\n[two]\nt = \"\"\"Kanari7v\nKanari7v\"\"\"\ne_clear = Kanari7v\n",
    ),
    (Format::Binary, "Kanari7v\n"),
];

/// Each of them, sealed and not.
static FILES: LazyLock<Vec<(Format, Vec<u8>)>> = LazyLock::new(|| {
    let mut files = Vec::new();
    for (format, plain) in DOCUMENTS {
        files.push((format, plain.as_bytes().to_vec()));
        let options = SealOptions {
            readers: KeyGroups::any_of(&[recipient("machine")]).unwrap(),
            selection: Selection::UnencryptedSuffix("_clear".to_owned()),
            mac: MacScope::All,
        };
        files.push((format, encrypt(plain.as_bytes(), format, &options, TIME).unwrap()));
    }
    files
});
static MACHINE: LazyLock<Identities> = LazyLock::new(|| age_key("machine"));

fn recipient(name: &str) -> Recipient {
    age_key(name).recipients()[0].recipient.parse().unwrap()
}

#[derive(Debug, Clone)]
enum Damage {
    Cut(Index),
    Drop(Index, Index),
    Insert(Index, &'static str),
    Replace(Index, u8),
    DropLine(Index),
    DoubleLine(Index),
    SwapLines(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let pieces = vec![
        "\"",
        "'",
        "\n",
        " ",
        "\t",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "=",
        "#",
        "\\",
        "&a ",
        "*a",
        "!!int ",
        "---\n",
        "ENC[",
        "ENC[AES256_GCM,data:",
        "\u{0}",
        "null",
        "1e999",
        "\u{feff}",
    ];
    prop_oneof![
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Drop(from, to)),
        (any::<Index>(), select(pieces)).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        any::<Index>().prop_map(Damage::DropLine),
        any::<Index>().prop_map(Damage::DoubleLine),
        (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Damage::SwapLines(one, other)),
    ]
}

fn damaged(file: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut file = file.to_vec();
    for damage in damages {
        if file.is_empty() {
            return file;
        }
        let mut lines: Vec<Vec<u8>> = file
            .split_inclusive(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        match damage {
            Damage::Cut(at) => file.truncate(at.index(file.len())),
            Damage::Drop(from, to) => {
                let (from, to) = (from.index(file.len()), to.index(file.len()));
                file.drain(from.min(to)..from.max(to));
            }
            Damage::Insert(at, piece) => {
                let at = at.index(file.len());
                file.splice(at..at, piece.bytes());
            }
            Damage::Replace(at, byte) => {
                let at = at.index(file.len());
                file[at] = *byte;
            }
            Damage::DropLine(at) => {
                lines.remove(at.index(lines.len()));
                file = lines.concat();
            }
            Damage::DoubleLine(at) => {
                let at = at.index(lines.len());
                lines.insert(at, lines[at].clone());
                file = lines.concat();
            }
            Damage::SwapLines(one, other) => {
                let (one, other) = (one.index(lines.len()), other.index(lines.len()));
                lines.swap(one, other);
                file = lines.concat();
            }
        }
    }
    file
}

/// Whether the damage made a key of a secret, or of what begins with one: keys are told.
fn is_key(file: &[u8]) -> bool {
    let text = String::from_utf8_lossy(file);
    let mut lines = text.lines().flat_map(|line| line.split('\r'));
    lines.any(|line| {
        let mut places = line.match_indices(CANARY);
        line.contains('?')
            || line.trim_start().starts_with('[') && line.contains(CANARY)
            || places.any(|(at, _)| line[at..].contains(['=', ':']))
    })
}

/// All that may be told of it.
struct Told(String);

impl Told {
    fn outcome<T: Debug, E: Display + Debug + std::error::Error>(
        &mut self,
        outcome: Result<T, E>,
    ) -> Option<T> {
        match outcome {
            Ok(value) => {
                self.0.push_str(&format!("{value:?}\n"));
                Some(value)
            }
            Err(error) => {
                self.0.push_str(&format!("{error} {error:?}\n"));
                let mut source = error.source();
                while let Some(cause) = source {
                    self.0.push_str(&format!("{cause} {cause:?}\n"));
                    source = cause.source();
                }
                None
            }
        }
    }

    fn shows_nothing_of(&self, secret: &str) {
        assert!(!self.0.contains(secret), "{}", self.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_damaged_files_nothing_is_told(
        file in any::<Index>(), damages in proptest::collection::vec(damage(), 1..4), key in "[abn](/[01c])?(/c)?",
    ) {
        let (format, good) = &FILES[file.index(FILES.len())];
        let bad = damaged(good, &damages);
        if is_key(&bad) {
            return Ok(());
        }
        let mut told = Told(String::new());
        if let Some(opened) = told.outcome(decrypt(&bad, *format, &MACHINE))
            && let Err(error) = opened.lookup(&key)
        {
            told.outcome(Err::<(), _>(error));
        }
        told.outcome(decrypt_file(&bad, &MACHINE));
        told.outcome(inspect(&bad));
        if let Some(keys) = told.outcome(SealedKeys::read(&bad, *format)) {
            told.outcome(keys.find(&key));
        }
        let readers = KeyGroups::any_of(&[recipient("admin")]).unwrap();
        // What is made of it is no error and may hold what stands in cleartext.
        told.outcome(encrypt(&bad, *format, &SealOptions::new(readers.clone()), TIME).map(drop));
        told.outcome(rekey(&bad, *format, &MACHINE, &readers).map(drop));
        told.outcome(rotate(&bad, *format, &MACHINE, &readers, TIME).map(drop));
        let sealed = FILES.iter().rfind(|(store, _)| store == format).unwrap();
        told.outcome(edit(&sealed.1, *format, &MACHINE, &bad, TIME).map(drop));
        told.outcome(edit(&bad, *format, &MACHINE, good, TIME).map(drop));
        told.shows_nothing_of(CANARY);
    }

    #[test]
    fn of_damaged_fleets_nothing_is_told(
        damages in proptest::collection::vec(damage(), 1..4), sealed: bool,
    ) {
        let good = &FILES[if sealed { FILES.len() - 1 } else { FILES.len() - 2 }].1;
        let bad = damaged(good, &damages);
        let folder = fleet(&[("per-machine/jon/g/f/secret", &bad)]);
        let tree = DirectoryTree::new(folder.path().to_owned());
        let needed = requirements(r#"{"generators":{"g":{"files":{"f":{}}}}}"#);
        let mut told = Told(String::new());
        told.outcome(reconciler_vars::preflight(&tree, "jon", &needed, &MACHINE));
        let report = audit(&Audit { tree: &tree, kind: FleetKind::Native, entries: None, identities: &MACHINE });
        let report = told.outcome(report).unwrap();
        for finding in report.documents("fleet") {
            told.0.push_str(&format!("{} {:?}\n", finding.message, finding.hint));
        }
        told.0.push_str(&serde_json::to_string(&sarif(&report, "fleet", "0")).unwrap());
        told.shows_nothing_of(CANARY);
    }

    #[test]
    fn of_damaged_manifests_nothing_is_told(
        file in any::<Index>(), damages in proptest::collection::vec(damage(), 0..3), key in "[abn]?(/[01c])?",
    ) {
        let (format, good) = &FILES[file.index(FILES.len())];
        let bad = damaged(good, &damages);
        if is_key(&bad) {
            return Ok(());
        }
        let folder = tempfile::tempdir().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a test lays out its own files")]
        fs::write(folder.path().join("s"), &bad).unwrap();
        let placeholder = format!("<SOPS:{}:PLACEHOLDER>", "0f".repeat(32));
        let manifest = json!({
            "secrets": [{"name": "s", "key": key, "sopsFile": folder.path().join("s"), "format": format.name(),
                "mode": "0400", "owner": "nobody"}],
            "templates": [{"name": "t", "content": format!("x {placeholder}"), "mode": "9"}],
            "placeholderBySecretName": {"s": placeholder},
        });
        let manifest = Manifest::parse(manifest.to_string().as_bytes()).unwrap();
        let prepared = prepare(&manifest, &MACHINE, &Accounts::unprivileged(), Passwd::Ignore);
        let mut told = Told(format!("{prepared:?}"));
        let checked = check(&manifest, CheckMode::SopsFile);
        for finding in prepared.findings().iter().chain(&checked) {
            told.0.push_str(&format!("{finding} {finding:?} {:?}\n", finding.hint()));
        }
        told.shows_nothing_of(CANARY);
    }

    /// Of a private key nothing is told wherever it was put by mistake.
    #[test]
    fn of_damaged_key_files_nothing_is_told(
        name in select(vec!["machine.txt", "post-quantum.txt", "ssh_host_ed25519_key", "ssh_host_rsa_key",
            "ssh_host_ecdsa_key", "sealed_ed25519_key"]),
        damages in proptest::collection::vec(damage(), 0..4),
    ) {
        let good = fs::read(fixture(&format!("keys/{name}"))).unwrap();
        let bad = damaged(&good, &damages);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        #[expect(clippy::disallowed_methods, reason = "a test lays out its own files")]
        fs::write(&path, &bad).unwrap();
        let mut told = Told(String::new());
        for source in [
            IdentitySource::KeyFile(path.clone()),
            IdentitySource::AgeKeyFile(path.clone()),
            IdentitySource::SshHostKey(path.clone()),
        ] {
            let (identities, problems) = Identities::load(&[source]);
            told.0.push_str(&format!("{identities:?} {:?}\n", identities.recipients()));
            for problem in problems {
                told.outcome(Err::<(), _>(problem));
            }
        }
        let text = String::from_utf8_lossy(&bad).into_owned();
        told.outcome(ssh_public_key_to_recipient(&text));
        if damages.is_empty() {
            told.outcome(text.parse::<Recipient>());
        }
        for wrong in [
            json!({"publickey": text, "type": "age"}),
            json!({"publickey": "age1x", "type": text}),
            json!([text]),
            json!({"publickey": [text]}),
            json!(text),
        ] {
            told.outcome(parse_key_file(wrong.to_string().as_bytes()));
        }
        told.outcome(parse_key_file(&bad));
        // SSH's format has the public half in it, too.
        let public = fs::read_to_string(fixture(&format!("keys/{name}.pub"))).unwrap_or_default();
        for line in String::from_utf8_lossy(&good).lines() {
            let is_key = line.len() >= 40 && !line.starts_with(['#', '-']);
            let middle = line.len() / 2;
            if is_key && !public.contains(&line[middle..middle + 12]) {
                told.shows_nothing_of(&line[middle..middle + 12]);
            }
        }
    }
}
