//! `reconcile vars check`: a fleet's secrets as a person and CI check them, on what lies there and on a commit, with keys
//! and without. Everything is sealed by the real sops and the real age.

use reconciler_tests::{Entry, Fleet, Key, Output, Store, Var, assert_sarif, is_root, reconcile, run, write};
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const GENERATORS: &str =
    "{ web.files = { token = { }; cert.secret = false; }; mesh = { share = true; files.psk = { }; }; }";

/// Two machines, a secret of cinnabar's own and one of both, readable for the administrator.
pub(crate) fn fleet() -> Fleet {
    let fleet = Fleet::new();
    fleet.declare("cinnabar", &Entry::nixos().generators(GENERATORS));
    fleet.declare(
        "electrum",
        &Entry::nixos().generators("{ mesh = { share = true; files.psk = { }; }; }"),
    );
    let admin = Key::of("admin").recipient;
    fleet.write(
        "sops/users/admin/key.json",
        &format!("{{\"publickey\": \"{admin}\", \"type\": \"age\"}}\n"),
    );
    seal(&fleet, &token(), &["cinnabar"]);
    seal(&fleet, &psk(), &["cinnabar", "electrum"]);
    Var::per_machine("cinnabar", "web", "cert").publish(&fleet, "public");
    fleet.commit("a fleet in order");
    fleet
}

pub(crate) fn token() -> Var {
    Var::per_machine("cinnabar", "web", "token")
}

pub(crate) fn psk() -> Var {
    Var::shared("mesh", "psk")
}

pub(crate) fn seal(fleet: &Fleet, var: &Var, machines: &[&str]) {
    var.encrypt(fleet, "hunter2", machines);
    let up = "../".repeat(var.installed().matches('/').count() + 2);
    fleet.link(
        &format!("{}/users/admin", var.installed()),
        &format!("{up}sops/users/admin"),
    );
}

/// Seals a value anew for others than the links say.
pub(crate) fn seal_for(fleet: &Fleet, var: &Var, names: &[&str]) {
    let recipients: Vec<String> = names.iter().map(|name| Key::of(name).recipient).collect();
    var.encrypt_to(fleet, "hunter2", &recipients);
}

/// Checks the fleet as somebody who works in it; with a store, the machines are evaluated.
pub(crate) fn check(fleet: &Fleet, store: Option<&Store>, arguments: &[&str]) -> Output {
    let mut command = Command::new(reconcile());
    match store {
        Some(store) => {
            store.environment(&mut command).env("NIX_REMOTE", "daemon");
        }
        None => {
            command
                .env_clear()
                .env("PATH", "/usr/bin:/bin")
                .env("HOME", fleet.work());
        }
    }
    command.args(["--color", "never", "vars", "check"]);
    if store.is_none() {
        command.arg("--no-evaluate");
    }
    // From a folder of the fleet: the flake is looked for above it.
    command.args(arguments).current_dir(fleet.work().join("machines"));
    run(&mut command, Duration::from_secs(120)).never_says("hunter2")
}

/// `rule path` of every finding, sorted.
pub(crate) fn told(output: &Output) -> Vec<String> {
    let document = output.json();
    let findings = document["findings"].as_array().unwrap().iter();
    let mut told: Vec<String> = findings
        .map(|finding| {
            format!(
                "{} {}",
                finding["rule"].as_str().unwrap(),
                finding["path"].as_str().unwrap()
            )
        })
        .collect();
    told.sort();
    told
}

pub(crate) fn key_file(fleet: &Fleet, name: &str) -> String {
    let file = fleet.work().with_file_name(format!("{name}.key"));
    write(&file, &Key::of(name).identity);
    file.to_string_lossy().into_owned()
}

#[test]
fn what_lies_there_and_what_was_committed() {
    let (fleet, store) = (fleet(), Store::new());
    check(&fleet, Some(&store), &[])
        .ended(0)
        .says("nothing is wrong with 2 secrets of 2 machines")
        .says("nothing was opened");
    let admin = key_file(&fleet, "admin");
    check(&fleet, Some(&store), &["--identity", &admin])
        .ended(0)
        .says("2 opened");
    // Not committed: told of what lies there, and not of the commit.
    fleet.remove(&token().secret());
    fleet.remove("vars/per-machine/cinnabar/web/cert");
    fleet.write("vars/shared/mesh/.validation-hash", "00");
    fleet.write("vars/shared/mesh/more/value", "not known to git");
    let output = check(&fleet, Some(&store), &[]).ended(14);
    let text = output.stdout.clone();
    insta::assert_snapshot!(text.replace(&Key::of("electrum").recipient, "age1electrum"), @r"
    1 thing is wrong with 1 secret of 2 machines

    cinnabar
      ✗ vars/per-machine/cinnabar/web is missing: generator web was never run [never-generated]
        hint: reconcile vars generate cinnabar --generator web

    nothing was opened: no key was given (`--identity FILE`)
    git does not track 2 files, so no machine gets them, and they were not looked at: git add vars/shared/mesh/.validation-hash …
    ");
    check(&fleet, Some(&store), &["--revision", "HEAD"]).ended(0);
    // What is known to git counts, committed or not.
    fleet.git(&["add", "--all"]);
    let output = check(&fleet, Some(&store), &["--json"]).ended(14);
    assert_eq!(
        told(&output),
        [
            "never-generated vars/per-machine/cinnabar/web",
            "stale-hash vars/shared/mesh/.validation-hash",
            "undeclared vars/shared/mesh/more",
        ]
    );
    let commit = fleet.commit("spoiled");
    let output = check(
        &fleet,
        Some(&store),
        &["--json", "--revision", &commit[..10], "--machine", "electrum"],
    )
    .ended(14);
    assert_eq!(told(&output), ["stale-hash vars/shared/mesh/.validation-hash"]);
    assert_eq!(output.json()["revision"], commit.as_str());
    // The check wrote nothing into the repository.
    fleet.git(&["fsck", "--strict"]);
    assert_eq!(fleet.git(&["status", "--porcelain"]).stdout, "");
}

/// What is wrong, how it is made so, and what is told.
type Spoiled = (&'static str, fn(&Fleet), &'static [&'static str]);

#[test]
fn recipients_against_links_and_keys() {
    let spoil: &[Spoiled] = &[
        (
            "linked, and cannot read",
            |fleet| seal_for(fleet, &token(), &["admin"]),
            &["not-encrypted vars/per-machine/cinnabar/web/token/secret"],
        ),
        (
            "not linked, and can read",
            |fleet| seal_for(fleet, &token(), &["admin", "cinnabar", "electrum"]),
            &["not-linked vars/per-machine/cinnabar/web/token/secret"],
        ),
        (
            "nobody's key",
            |fleet| seal_for(fleet, &token(), &["admin", "cinnabar", "scheelite"]),
            &["unknown-recipient vars/per-machine/cinnabar/web/token/secret"],
        ),
        (
            "a machine with a new key",
            |fleet| {
                let key = Key::of("scheelite").recipient;
                let text = format!("[{{\"publickey\": \"{key}\", \"type\": \"age\"}}]");
                fleet.write("sops/machines/electrum/key.json", &text);
            },
            &[
                "not-encrypted vars/shared/mesh/psk/secret",
                "unknown-recipient vars/shared/mesh/psk/secret",
            ],
        ),
        (
            "a machine without a key",
            |fleet| fleet.remove("sops/machines/electrum"),
            &["dangling-link vars/shared/mesh/psk/machines/electrum"],
        ),
        (
            "a group whose member is gone",
            |fleet| {
                fleet.link("sops/groups/admins/users/admin", "../../../users/admin");
                fleet.link("sops/groups/admins/users/carol", "../../../users/carol");
                fleet.remove(&format!("{}/users", token().installed()));
                let link = format!("{}/groups/admins", token().installed());
                fleet.link(&link, "../../../../../../sops/groups/admins");
            },
            &["dangling-link sops/groups/admins/users/carol"],
        ),
        (
            "cleartext",
            |fleet| fleet.write(&token().secret(), "hunter2\n"),
            &["cleartext vars/per-machine/cinnabar/web/token/secret"],
        ),
    ];
    let fleet = fleet();
    for (name, spoil, expected) in spoil {
        spoil(&fleet);
        fleet.commit(name);
        let output = check(&fleet, None, &["--json"]).ended(14);
        assert_eq!(told(&output), *expected, "{name}\n{output}");
        fleet.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    }
}

#[test]
fn documents_for_machines() {
    let fleet = fleet();
    seal_for(&fleet, &token(), &["admin"]);
    fleet.commit("spoiled");
    let hide = |text: &str| text.replace(&Key::of("cinnabar").recipient, "age1cinnabar");
    let json = check(&fleet, None, &["--json"]).ended(14);
    insta::assert_snapshot!(hide(&json.stdout), @r#"
    {
      "version": 1,
      "kind": "native",
      "directory": "",
      "revision": null,
      "evaluated": false,
      "fine": false,
      "machines": [
        {
          "name": "cinnabar",
          "secrets": 2
        },
        {
          "name": "electrum",
          "secrets": 1
        }
      ],
      "secrets": 2,
      "values": 1,
      "legacy": 0,
      "opened": 0,
      "unopened": 0,
      "errors": 1,
      "warnings": 0,
      "notes": 0,
      "findings": [
        {
          "rule": "not-encrypted",
          "level": "error",
          "machines": [
            "cinnabar"
          ],
          "path": "vars/per-machine/cinnabar/web/token/secret",
          "message": "vars/per-machine/cinnabar/web/token/secret is not encrypted to machine cinnabar (age1cinnabar), although a link names it",
          "hint": "reconcile vars rekey"
        }
      ],
      "unchecked": [
        "what the machines declare was not looked at",
        "nothing was opened: no key was given (`--identity FILE`)"
      ]
    }
    "#);
    let sarif = check(&fleet, None, &["--sarif"]).ended(14).json();
    assert_sarif(&sarif);
    let run = &sarif["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "reconcile vars check");
    for rule in driver["rules"].as_array().unwrap() {
        for key in [
            "id",
            "name",
            "shortDescription",
            "fullDescription",
            "help",
            "defaultConfiguration",
        ] {
            assert!(rule.get(key).is_some(), "{rule} has no {key}");
        }
    }
    let result = run["results"].as_array().unwrap();
    assert_eq!(result.len(), 1);
    insta::assert_snapshot!(hide(&serde_json::to_string_pretty(&result[0]).unwrap()), @r#"
    {
      "level": "error",
      "locations": [
        {
          "physicalLocation": {
            "artifactLocation": {
              "uri": "vars/per-machine/cinnabar/web/token/secret",
              "uriBaseId": "%SRCROOT%"
            },
            "region": {
              "startLine": 1
            }
          }
        }
      ],
      "message": {
        "text": "vars/per-machine/cinnabar/web/token/secret is not encrypted to machine cinnabar (age1cinnabar), although a link names it. To mend it: reconcile vars rekey"
      },
      "partialFingerprints": {
        "finding/v1": "14cc4830a09dfabbc54526da8c0a6a4e"
      },
      "properties": {
        "machines": [
          "cinnabar"
        ]
      },
      "ruleId": "not-encrypted",
      "ruleIndex": 7
    }
    "#);
    // Paths are those of the repository, also where the fleet is a folder of it, whatever its name.
    std::fs::create_dir(fleet.work().join("infra é")).unwrap();
    fleet.git(&["mv", "vars", "sops", "infra é"]);
    let moved = check(&fleet, None, &["--json", "--fleet", "../infra é"]).ended(14);
    assert_eq!(
        told(&moved),
        [format!("not-encrypted infra é/{}", token().secret())]
    );
    assert_eq!(moved.json()["directory"], "infra é");
    let moved = check(&fleet, None, &["--sarif", "--fleet", "../infra é"]);
    let moved = moved.ended(14).json();
    assert_sarif(&moved);
    let location = &moved["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    let uri = location["artifactLocation"]["uri"].as_str().unwrap();
    assert_eq!(uri, format!("infra%20%C3%A9/{}", token().secret()));
}

#[test]
fn a_fleet_in_order_and_one_that_is_not_are_both_logs_that_tools_read() {
    let fleet = fleet();
    let log = check(&fleet, None, &["--sarif"]).ended(0).json();
    assert_sarif(&log);
    assert_eq!(log["runs"][0]["results"], Value::Array(Vec::new()));
    // Of every kind that needs no key: about a file, a link, a folder, a machine that is gone.
    fleet.write(&token().secret(), "hunter2");
    fleet.write("vars/shared/mesh/psk/users/bob", "no link");
    fleet.link(
        "vars/shared/mesh/psk/machines/gone",
        "../../../../../sops/machines/gone",
    );
    fleet.write("sops/machines/void/note", "no key");
    fleet.write("sops/users/eve/key.json", "{\"publickey\": 7}");
    fleet.commit("spoiled");
    let output = check(&fleet, None, &["--sarif"]).ended(14).never_says("hunter2");
    let log = output.json();
    assert_sarif(&log);
    let results = log["runs"][0]["results"].as_array().unwrap();
    let rules: std::collections::BTreeSet<_> = results
        .iter()
        .map(|result| result["ruleId"].as_str().unwrap())
        .collect();
    for rule in ["cleartext", "not-a-link", "dangling-link", "no-key", "key-file"] {
        assert!(rules.contains(rule), "{rules:?}");
    }
}

#[test]
fn what_cannot_be_checked_says_so() {
    let (fleet, store) = (fleet(), Store::new());
    check(&fleet, None, &["--machine", "cinabar"])
        .ended(2)
        .says("the fleet has no machine `cinabar`")
        .says("--machine cinnabar");
    check(&fleet, None, &["--revision", "nope"])
        .ended(2)
        .says("there is no revision \"nope\"");
    check(&fleet, None, &["--identity", "/nowhere"])
        .ended(2)
        .says("/nowhere does not exist");
    check(&fleet, None, &["--fleet", "/proc"])
        .ended(2)
        .says("there are neither vars nor keys in /proc");
    check(&fleet, None, &["--json", "--sarif"]).ended(2);
    // One machine that does not evaluate; the others are looked at.
    fleet.write(
        "machines/electrum/entry.nix",
        "_: throw \"electrum is not ready\"",
    );
    fleet.commit("a machine that does not evaluate");
    let output = check(&fleet, Some(&store), &["--json"]).ended(13);
    assert_eq!(told(&output), ["not-evaluated flake.nix"]);
    fleet.remove(&token().secret());
    let output = check(&fleet, Some(&store), &[]).ended(14);
    output
        .says("electrum is not ready")
        .says("token/secret is missing");
    // A fleet that does not evaluate at all.
    fleet.write("flake.nix", "{ outputs = _: throw \"no fleet today\"; }");
    fleet.commit("a flake that does not evaluate");
    check(&fleet, Some(&store), &[])
        .ended(13)
        .says("no fleet today")
        .says("--no-evaluate");
}

#[test]
fn a_fleet_that_needs_too_much_memory_is_not_evaluated_to_the_end() {
    let (fleet, store) = (fleet(), Store::new());
    fleet.write("reconciler.toml", "[policy]\nevaluation_memory = \"1 GiB\"\n");
    fleet.write(
        "flake.nix",
        "{ outputs = _: { reconciler.machines = builtins.genList (x: x) 300000000; }; }",
    );
    fleet.commit("a fleet that is too large");
    check(&fleet, Some(&store), &[])
        .ended(13)
        .says("the evaluation needs more than the 1.0 GiB it may use")
        .says("hint: raise `evaluation_memory`");
}

#[test]
fn somebody_who_is_not_root_in_a_checkout_of_theirs() {
    if !is_root() {
        eprintln!("only root can become another");
        return;
    }
    let fleet = fleet();
    let nobody = 65534;
    // The binary may lie where others cannot go.
    let binary = fleet.work().with_file_name("reconcile");
    std::fs::copy(reconcile(), &binary).unwrap();
    let mut give = Command::new("chown");
    give.args(["-R", "65534:65534"]).arg(fleet.work());
    run(&mut give, Duration::from_secs(60)).ended(0);
    let as_nobody = |folder: &Path| {
        let mut command = Command::new(&binary);
        command
            .args(["vars", "check", "--no-evaluate"])
            .current_dir(folder)
            .env_clear()
            .env("HOME", "/")
            .uid(nobody)
            .gid(nobody);
        run(&mut command, Duration::from_secs(60))
    };
    as_nobody(&fleet.work())
        .ended(0)
        .says("nothing is wrong with 2 secrets of 2 machines");
    // Somebody else's: git itself refuses it, and says what to do.
    let mut take = Command::new("chown");
    take.args(["-R", "0:0"]).arg(fleet.work());
    run(&mut take, Duration::from_secs(60)).ended(0);
    as_nobody(&fleet.work()).ended(1).says("safe.directory");
}
