//! The secrets that a system installs by itself: the manifests of what was just built open before the switch, or
//! nothing is switched.

use crate::sops_nix::with;
use reconciler_tests::{Entry, Fleet, Host, Key, SopsNix, Store, Var};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;

/// A toplevel whose activation script calls sops-nix's program with the manifest beside its entry, and makes accounts as
/// NixOS does, of the document beside it.
fn entry() -> Entry {
    Entry::custom("").toplevel(
        "let\n\
         manifest = builtins.toFile \"manifest.json\" (builtins.replaceStrings [ \"@file@\" ] [ \"${./s.json}\" ] \
         (builtins.readFile ./manifest.json));\n\
         accounts = builtins.toFile \"users-groups.json\" (builtins.readFile ./users-groups.json);\n\
         program = derivation { name = \"sops-install-secrets\"; inherit system; builder = \"/bin/sh\"; args = [ \"-c\" \
         ''PATH=/usr/bin:/bin; mkdir -p $out/bin; echo >$out/bin/reconcile; \
         ln -s reconcile $out/bin/sops-install-secrets'' ]; };\n\
         in derivation { inherit name system; builder = \"/bin/sh\";\n\
         script = ''\n#!/bin/sh\n: ${accounts}\n\
         [ -e \"$RECONCILER_ROOT/never\" ] && ${program}/bin/sops-install-secrets ${manifest}\n\
         echo x >>\"$RECONCILER_ROOT/activations\"\n'';\n\
         args = [ \"-c\" ''PATH=/usr/bin:/bin; mkdir -p $out/bin; printf %s \"$script\" >$out/bin/activate; \
         chmod +x $out/bin/activate; cp $out/bin/activate $out/activate'' ]; }",
    )
}

/// What NixOS is told of users and groups.
fn accounts(fleet: &Fleet, names: &[&str]) {
    let named: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    let document = json!({"mutableUsers": true, "users": named, "groups": named});
    fleet.write("machines/cinnabar/users-groups.json", &document.to_string());
}

/// Writes the manifest and what it names, sealed for one machine.
pub(crate) fn declare(fleet: &Fleet, secrets: &[Value], reader: &str) {
    declare_with(fleet, secrets, &Key::of(reader), json!({}));
}

/// The same for any key, with further fields.
pub(crate) fn declare_with(fleet: &Fleet, secrets: &[Value], reader: &Key, fields: Value) {
    let desk = SopsNix::new();
    for value in ["canary-of-a", "canary-of-b"] {
        fleet.keeps_secret(value);
    }
    desk.seal(
        "s.json",
        "json",
        "{\"a\": \"canary-of-a\", \"b\": \"canary-of-b\"}",
        &[&reader.recipient],
    );
    fleet.write("machines/cinnabar/s.json", &desk.read("s.json"));
    let manifest = json!({
        "secrets": secrets, "templates": [], "placeholderBySecretName": {},
        "secretsMountPoint": "/run/secrets.d", "symlinkPath": "/run/secrets", "keepGenerations": 1,
        "sshKeyPaths": [], "ageKeyFile": "/var/lib/sops-nix/key.txt", "ageSshKeyPaths": [],
    });
    let manifest = with(manifest, fields);
    fleet.write("machines/cinnabar/manifest.json", &manifest.to_string());
}

pub(crate) fn secret(name: &str, key: &str) -> Value {
    json!({
        "name": name, "key": key, "sopsFile": "@file@", "format": "json", "mode": "0400",
        "path": format!("/run/secrets/{name}"), "owner": "root", "group": "root",
    })
}

#[test]
fn a_system_whose_secrets_do_not_open_is_not_switched_to() {
    let (store, fleet) = (Store::new(), Fleet::new());
    fleet.declare("cinnabar", &entry());
    accounts(&fleet, &["root"]);
    declare(&fleet, &[secret("one", "a"), secret("two", "b")], "cinnabar");
    fleet.publish("two secrets");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.run(&["now"])
        .ended(0)
        .says("2 secrets of the new system open");
    let before = host.picture(&store);

    // Sealed for somebody else.
    declare(&fleet, &[secret("one", "a")], "electrum");
    fleet.publish("not for this machine");
    for arguments in [&["now"][..], &["plan"]] {
        let output = host.run(arguments).ended(14).never_says("canary-of");
        // By the name that people know the file by, in the sentence and in the hint.
        output
            .says("secret one: machines/cinnabar/s.json is not encrypted to this machine")
            .says("`sops updatekeys machines/cinnabar/s.json`");
    }
    assert_eq!(host.picture(&store), before);

    // A key that the file does not have, told beside the one that it has.
    declare(&fleet, &[secret("one", "a"), secret("three", "c")], "cinnabar");
    fleet.publish("a key that is not there");
    host.run(&["now"]).ended(14).says("three").never_says("canary-of");
    assert_eq!(host.picture(&store), before);

    declare(
        &fleet,
        &[secret("one", "a"), secret("two", "b"), secret("again", "a")],
        "cinnabar",
    );
    fleet.publish("mended");
    host.run(&["now"])
        .ended(0)
        .says("3 secrets of the new system open");
}

#[test]
fn an_owner_whom_the_switch_takes_away_is_none() {
    let (store, fleet) = (Store::new(), Fleet::new());
    fleet.declare("cinnabar", &entry());
    let mut owned = secret("one", "a");
    owned["owner"] = json!("web");
    owned["group"] = json!("web");
    declare(&fleet, &[owned], "cinnabar");
    accounts(&fleet, &["root", "web"]);
    fleet.publish("a secret of web");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.run(&["now"]).ended(0);

    // As the activation of NixOS left it: web is there, and noted as declared.
    host.write(
        "etc/passwd",
        "root:x:0:0::/root:/bin/sh\nweb:x:400:400::/:/bin/sh\n",
        0o644,
    );
    host.write("etc/group", "root:x:0:\nweb:x:400:\n", 0o644);
    host.write("var/lib/nixos/declarative-users", "root web", 0o644);
    host.write("var/lib/nixos/declarative-groups", "root", 0o644);
    accounts(&fleet, &["root"]);
    fleet.publish("web is gone, and its secret is not");
    host.run(&["now"])
        .ended(14)
        .says("secret one: the new system has no user web any more")
        .never_says("no group web");
    // Made by hand it stays, as long as users may be made by hand.
    host.write("var/lib/nixos/declarative-users", "root", 0o644);
    host.run(&["now"]).ended(0);
}

#[test]
fn two_installers_at_one_place_are_refused() {
    let (store, fleet) = (Store::new(), Fleet::new());
    let token = Var::per_machine("cinnabar", "web", "token");
    fleet.declare("cinnabar", &entry().generators("{ web.files.token = { }; }"));
    accounts(&fleet, &["root"]);
    token.encrypt(&fleet, "the token", &["cinnabar"]);
    declare(&fleet, &[secret("one", "a")], "cinnabar");
    fleet.publish("secrets of the fleet's and of sops-nix's");
    let mut host = Host::new(&store, &fleet, "cinnabar");
    host.write("run/secrets.d/7/one", "theirs", 0o400);
    symlink(host.path("run/secrets.d/7"), host.path("run/secrets")).unwrap();
    host.run(&["now"])
        .ended(14)
        .says("has sops-nix install its secrets in")
        .says("hint: set `paths.secrets`");
    assert_eq!(host.secret("one").as_deref(), Some("theirs"));
    assert_eq!(host.current(), None);
    // Each at its own.
    host.set("paths.secrets", "\"/run/of-the-fleet\"");
    host.now(0);
    assert_eq!(host.secret("one").as_deref(), Some("theirs"));
    let own = host.path("run/of-the-fleet").join(token.installed());
    assert_eq!(std::fs::read_to_string(own).unwrap(), "the token");
}
