//! Owns what the tests of the audit share: a fleet in order, in memory. What is sealed here only has the form of
//! it.

use super::super::memory::MemoryTree;
use super::super::*;
use crate::backend::Backend;
use crate::declared::Declared;
use crate::fleet_kind::FleetKind;
use crate::identity::Identities;

pub(super) fn key(name: &str) -> String {
    format!("age1{name}{}", "q".repeat(58 - name.len()))
}

/// A file of the form that sops writes, for these recipients.
pub(super) fn sealed(recipients: &[&str]) -> String {
    let entries = recipients.iter().map(|recipient| {
        serde_json::json!({"recipient": recipient, "enc": "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n"})
    });
    serde_json::json!({
        "data": "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]",
        "sops": {
            "age": entries.collect::<Vec<_>>(),
            "lastmodified": "2026-01-01T00:00:00Z",
            "mac": "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]",
            "version": "3.12.0",
        },
    })
    .to_string()
}

/// The same, with a share of its key for each of these groups.
pub(super) fn shared_out(groups: &[&[&str]], threshold: u8) -> String {
    let mut file: serde_json::Value = serde_json::from_str(&sealed(&[])).unwrap();
    let groups = groups.iter().map(|recipients| {
        let group: serde_json::Value = serde_json::from_str(&sealed(recipients)).unwrap();
        serde_json::json!({"age": group["sops"]["age"]})
    });
    file["sops"]["key_groups"] = groups.collect();
    file["sops"]["shamir_threshold"] = threshold.into();
    file.to_string()
}

/// Of the form that age writes, with so many recipients.
pub(super) fn age_file(recipients: usize) -> String {
    let stanzas = "-> X25519 AAAA\nBBBB\n".repeat(recipients);
    format!("age-encryption.org/v1\n{stanzas}--- MAC\nbytes")
}

pub(super) const UP: &str = "../../../../../../";

/// Two machines and two people; jon has a secret of its own, both share one, and there is a group of administrators.
pub(super) fn fleet() -> MemoryTree {
    let mut tree = MemoryTree::default();
    for (kind, name) in [
        ("machines", "jon"),
        ("machines", "sara"),
        ("users", "alice"),
        ("users", "bob"),
    ] {
        let text = format!(r#"[{{"publickey":"{}","type":"age"}}]"#, key(name));
        tree.write(&format!("sops/{kind}/{name}/key.json"), text.as_bytes());
    }
    tree.point("sops/groups/admins/users/alice", "../../../users/alice");
    tree.point("sops/groups/admins/users/bob", "../../../users/bob");
    let own = "vars/per-machine/jon/ssh/key";
    tree.write(
        &format!("{own}/secret"),
        sealed(&[&key("jon"), &key("alice")]).as_bytes(),
    );
    tree.point(&format!("{own}/machines/jon"), &format!("{UP}sops/machines/jon"));
    tree.point(&format!("{own}/users/alice"), &format!("{UP}sops/users/alice"));
    tree.write("vars/per-machine/jon/ssh/key.pub/value", b"public");
    let shared = "vars/shared/wifi/psk";
    let readers = ["jon", "sara", "alice", "bob"].map(key);
    tree.write(
        &format!("{shared}/secret"),
        sealed(&readers.each_ref().map(String::as_str)).as_bytes(),
    );
    for machine in ["jon", "sara"] {
        tree.point(
            &format!("{shared}/machines/{machine}"),
            &format!("../../../../../sops/machines/{machine}"),
        );
    }
    tree.point(
        &format!("{shared}/groups/admins"),
        "../../../../../sops/groups/admins",
    );
    tree.write(
        "sops/secrets/jon-age.key/secret",
        sealed(&[&key("alice")]).as_bytes(),
    );
    tree.point("sops/secrets/jon-age.key/users/alice", "../../../users/alice");
    tree
}

pub(super) const OWN: &str = "vars/per-machine/jon/ssh/key/secret";
pub(super) const SHARED: &str = "vars/shared/wifi/psk/secret";

pub(super) fn entry(name: &str, declared: &str) -> MachineEntry {
    let declared: Declared = serde_json::from_str(declared).unwrap();
    MachineEntry {
        name: name.to_owned(),
        declared: Ok(Some(declared)),
        backend: Backend::Sops,
    }
}

pub(super) const JON: &str = r#"{"generators":{"ssh":{"files":{"key":{},"key.pub":{"secret":false}}},"wifi":{"share":true,"files":{"psk":{}}}}}"#;
pub(super) const SARA: &str = r#"{"generators":{"wifi":{"share":true,"files":{"psk":{}}}}}"#;

pub(super) fn found(tree: &MemoryTree, entries: Option<&[MachineEntry]>) -> Vec<String> {
    let report = audit(&Audit {
        tree,
        kind: FleetKind::Clan,
        entries,
        identities: &Identities::default(),
    })
    .unwrap();
    let documents = report.documents("").into_iter();
    documents
        .map(|finding| format!("{} {}", finding.rule, finding.message))
        .collect()
}

pub(super) type Spoil = fn(&mut MemoryTree);

#[track_caller]
pub(super) fn agrees(name: &str, found: &[String], expected: &[&str]) {
    assert_eq!(found.len(), expected.len(), "{name}: {found:#?}");
    for expected in expected {
        assert!(
            found.iter().any(|found| found.starts_with(expected)),
            "{name}: {expected}\n{found:#?}"
        );
    }
    assert!(
        !found.iter().any(|found| found.contains("hunter2")),
        "{name}: {found:#?}"
    );
}
