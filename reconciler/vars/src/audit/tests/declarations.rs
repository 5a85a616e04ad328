//! Fleets with one defect each, by what their machines declare; and what a report is made into.

use std::collections::BTreeMap;

use super::super::memory::MemoryTree;
use super::super::*;
use super::fleet::*;
use crate::backend::Backend;
use crate::fleet_kind::FleetKind;
use crate::identity::Identities;

#[test]
fn each_defect_against_the_declarations_is_told_once() {
    let both = || vec![entry("jon", JON), entry("sara", SARA)];
    type Change = fn(&mut MemoryTree, &mut Vec<MachineEntry>);
    let table: &[(&str, Change, &[&str])] = &[
        (
            "a public value is missing",
            |tree, _| tree.remove("vars/per-machine/jon/ssh/key.pub"),
            &["missing vars/per-machine/jon/ssh/key.pub/value is missing"],
        ),
        (
            "a generator was never run",
            |tree, _| tree.remove("vars/per-machine/jon/ssh"),
            &["never-generated vars/per-machine/jon/ssh is missing: generator ssh was never run"],
        ),
        (
            "a secret lies there as a public value",
            |tree, _| {
                tree.remove("vars/per-machine/jon/ssh/key");
                tree.write("vars/per-machine/jon/ssh/key/value", b"hunter2");
            },
            &["cleartext vars/per-machine/jon/ssh/key/value lies in cleartext: it is declared a secret"],
        ),
        (
            "the hash is another",
            |tree, _| tree.write("vars/per-machine/jon/ssh/.validation-hash", b"00"),
            &[
                "stale-hash vars/per-machine/jon/ssh/.validation-hash is stale: its generator had a validation when",
            ],
        ),
        (
            "the hash is missing",
            |_, entries| {
                let text = JON.replacen("\"files\"", "\"validationHash\":\"11\",\"files\"", 1);
                entries[0] = entry("jon", &text);
            },
            &["stale-hash vars/per-machine/jon/ssh/.validation-hash is stale: it was made before"],
        ),
        (
            "the hash is the same",
            |tree, entries| {
                tree.write("vars/per-machine/jon/ssh/.validation-hash", b"11");
                let text = JON.replacen("\"files\"", "\"validationHash\":\"11\",\"files\"", 1);
                entries[0] = entry("jon", &text);
            },
            &[],
        ),
        (
            "a machine declares it, and is not linked",
            |tree, _| {
                tree.remove("vars/shared/wifi/psk/machines/sara");
                tree.write(
                    SHARED,
                    sealed(&[&key("jon"), &key("alice"), &key("bob")]).as_bytes(),
                );
            },
            &["not-encrypted vars/shared/wifi/psk/secret is not encrypted to machine sara"],
        ),
        (
            "for administrators alone, and the machine can read it",
            |_, entries| {
                entries[0] = entry(
                    "jon",
                    &JON.replacen("\"key\":{}", "\"key\":{\"deploy\":false}", 1),
                );
            },
            &[
                "not-deployed vars/per-machine/jon/ssh/key/secret is for administrators alone, and is encrypted to machine jon",
            ],
        ),
        (
            "a machine is gone that can still read",
            |tree, entries| {
                entries.pop();
                tree.remove("vars/per-machine/sara");
            },
            &[
                "removed-machine vars/shared/wifi/psk/secret is encrypted to machine sara, which the fleet no longer has",
                "unknown-machine sops/machines/sara is of sara",
            ],
        ),
        (
            "nobody declares it",
            |_, entries| {
                entries[0] = entry("jon", SARA);
            },
            &[
                "undeclared vars/per-machine/jon/ssh/key is declared",
                "undeclared vars/per-machine/jon/ssh/key.pub is declared",
            ],
        ),
        (
            "a store elsewhere",
            |tree, entries| {
                entries[0].backend = Backend::of(Some("password-store"));
                tree.remove("vars/per-machine/jon/ssh/key");
            },
            &["not-pullable vars/per-machine/jon has its secrets in password-store"],
        ),
        (
            "a machine that does not evaluate",
            |_, entries| entries[0].declared = Err("attribute 'x' missing".to_owned()),
            &["not-evaluated flake.nix could not be evaluated: attribute 'x' missing"],
        ),
        (
            "two machines that differ",
            |_, entries| {
                entries[1] = entry(
                    "sara",
                    &SARA.replacen("\"psk\":{}", "\"psk\":{},\"ssid\":{\"secret\":false}", 1),
                );
            },
            &[
                "conflicting-declarations vars/shared/wifi is declared by sara in another way than by jon",
                "missing vars/shared/wifi/ssid/value is missing",
            ],
        ),
        (
            "names that climb",
            |_, entries| entries[1] = entry("sara", r#"{"generators":{"..":{"files":{"x":{}}}}}"#),
            &["declaration vars/per-machine/sara cannot be served"],
        ),
    ];
    for (name, change, expected) in table {
        let (mut tree, mut entries) = (fleet(), both());
        change(&mut tree, &mut entries);
        agrees(name, &found(&tree, Some(&entries)), expected);
    }
}

#[test]
fn hints_can_be_pasted_and_are_of_the_fleet() {
    let mut tree = fleet();
    tree.write(OWN, sealed(&[&key("alice"), &key("sara")]).as_bytes());
    tree.remove("vars/per-machine/jon/ssh/key.pub");
    let entries = [entry("jon", JON), entry("sara", SARA)];
    let hints = |kind| -> BTreeMap<&'static str, String> {
        let report = audit(&Audit {
            tree: &tree,
            kind,
            entries: Some(&entries),
            identities: &Identities::default(),
        })
        .unwrap();
        let hints = report
            .findings
            .iter()
            .map(|finding| (finding.rule().id(), finding.hint(kind).unwrap()));
        hints.collect()
    };
    let clan = hints(FleetKind::Clan);
    assert_eq!(clan["missing"], "clan vars generate jon --generator ssh");
    assert_eq!(clan["not-encrypted"], "clan vars fix jon");
    assert_eq!(
        clan["not-linked"],
        "if they may read it: mkdir -p vars/per-machine/jon/ssh/key/machines && ln -s ../../../../../../sops/machines/sara \
         vars/per-machine/jon/ssh/key/machines/sara; if not: clan vars fix jon"
    );
    let native = hints(FleetKind::Native);
    assert_eq!(native["missing"], "reconcile vars generate jon --generator ssh");
    assert_eq!(native["not-encrypted"], "reconcile vars rekey");
}

#[test]
fn a_report_is_cut_to_machines_and_its_documents_are_whole() {
    let mut tree = fleet();
    tree.write(OWN, sealed(&[&key("alice")]).as_bytes());
    tree.write(
        SHARED,
        sealed(&[&key("jon"), &key("alice"), &key("bob")]).as_bytes(),
    );
    let report = || {
        let identities = Identities::default();
        audit(&Audit {
            tree: &tree,
            kind: FleetKind::Clan,
            entries: None,
            identities: &identities,
        })
        .unwrap()
    };
    assert_eq!(report().findings.len(), 2);
    let sara = report().only(&["sara".to_owned()]);
    assert_eq!(sara.findings.len(), 1);
    assert_eq!(sara.machines.len(), 1);
    let document = serde_json::to_value(sarif(&report(), "fleet dir", "1.2.3")).unwrap();
    let run = &document["runs"][0];
    assert_eq!(document["version"], "2.1.0");
    assert_eq!(
        run["tool"]["driver"]["rules"].as_array().unwrap().len(),
        Rule::ALL.len()
    );
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        let uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
            .as_str()
            .unwrap();
        assert!(uri.starts_with("fleet%20dir/vars/"), "{uri}");
        assert!(result["message"]["text"].as_str().unwrap().len() > 10);
    }
}
