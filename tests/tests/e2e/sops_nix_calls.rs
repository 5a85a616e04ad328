//! The program that sops-nix calls, and those around it: units that hear of a change, keys of the host, the build that
//! validates, the arguments.

use crate::sops_nix::{CANARY, folder, placeholder, with};
use reconciler_tests::{Key, fixtures, run, tool};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

#[test]
fn units_hear_of_what_changed_for_them() {
    let Some(folder) = folder() else { return };
    let units = json!({"restartUnits": ["a.service", "both.service"], "reloadUnits": ["soft.service"]});
    let secret = |key: &str, fields: Value| {
        with(
            with(folder.secret("a", key, "s.json", "json"), units.clone()),
            fields,
        )
    };
    let b = folder.secret("b", "b", "s.json", "json");
    let template = json!({"name": "t", "content": placeholder("b"), "mode": "0400", "restartUnits": ["t.service"],
        "path": "/run/secrets/rendered/t"});
    let manifest = |name: &str, secrets: &[Value], text: &str| {
        let template = with(
            template.clone(),
            json!({"content": format!("{text}{}", placeholder("b"))}),
        );
        let more = json!({"templates": [template],
            "placeholderBySecretName": {"a": placeholder("aa"), "b": placeholder("b")}});
        folder.manifest(secrets, more);
        std::fs::rename(folder.path("manifest.json"), folder.path(name)).unwrap();
    };
    manifest("first", &[secret("a", json!({})), b.clone()], "");
    manifest("content", &[secret("b", json!({})), b.clone()], "");
    manifest("owner", &[secret("b", json!({"owner": "nobody"})), b.clone()], "");
    manifest(
        "mode",
        &[secret("b", json!({"owner": "nobody", "mode": "0440"})), b.clone()],
        "",
    );
    manifest(
        "template",
        &[secret("b", json!({"owner": "nobody", "mode": "0440"})), b.clone()],
        "x",
    );
    manifest(
        "ghost",
        &[secret("b", json!({"owner": "made-by-the-activation"})), b.clone()],
        "x",
    );
    manifest("gone", &[b], "x");
    let script = r#"
        all='activation-reload-list: soft.service activation-restart-list: a.service both.service'
        run() { "$install" $1 >said 2>&1; is $? 0; is "$(lists | tr '\n' ' ')" "$2"; is "$(cat said)" "$3"; }
        run first '' '' # at boot nothing runs yet
        run first '' ''
        dry=$(NIXOS_ACTION=dry-activate "$install" content); is "$dry" 'would modify secret: a'
        is "$(lists | tr '\n' ' ')" "dry-$(echo $all | sed 's/ activation/ dry-activation/') "
        is "$(ls /run/secrets.d)$(cat /run/secrets/a)" 2canary-5f1c-a
        run content "$all " 'modifying secret: a'
        run owner "$all " 'modifying secret: a'
        run mode "$all " 'modifying secret: a'
        run template 'activation-restart-list: t.service ' 'modifying rendered secret: t'
        NIXOS_ACTION=dry-activate "$install" ghost >said 2>&1; is $? 0; is "$(cat said)" ''
        is "$(lists)" ''
        rm /run/secrets/b; : >/run/secrets/more; : >/run/secrets/rendered/more
        run template '' "$(printf 'adding secret: b\nremoving secret: more\nremoving rendered secret: more')"
        run gone '' 'removing secret: a'
        rm -r /run/nixos # as where no switch runs
        "$install" first; is $? 0
    "#;
    folder.run(script).ended(0).never_says(CANARY);
}

#[test]
fn systemctl_is_called_once_the_new_secrets_are_in_force() {
    let Some(folder) = folder() else { return };
    let units = json!({"restartUnits": ["a.service", "--force"], "reloadUnits": ["soft.service"]});
    folder.manifest(
        &[with(folder.secret("a", "b", "s.json", "json"), units.clone())],
        json!({}),
    );
    std::fs::rename(folder.path("manifest.json"), folder.path("second")).unwrap();
    folder.manifest(
        &[with(folder.secret("a", "a", "s.json", "json"), units)],
        json!({}),
    );
    // A real systemd is for its own tests; this one writes down what it was asked, and what it would have read.
    folder.write(
        "systemctl",
        "#!/bin/sh\necho \"$* ($(cat /run/secrets/a))\" >>/run/asked\nexit $(cat /run/exit)\n",
    );
    let script = r#"
        chmod +x systemctl; export PATH="$PWD:$PATH" SOPS_RESTART_UNITS_VIA_SYSTEMCTL=1
        asked() { cat /run/asked; rm -f /run/asked; }
        echo 0 >/run/exit
        "$install" manifest.json; is $? 0
        is "$(asked 2>&1)" 'cat: /run/asked: No such file or directory'
        NIXOS_ACTION=dry-activate "$install" second 2>said; is $? 0
        is "$(cat said | sed 's/.*secrets: //' | tr '\n' ' ')" 'would restart a.service would restart --force would reload soft.service '
        echo 4 >/run/exit
        "$install" second 2>said; is $? 1
        is "$(asked)" "$(printf '%s\n' '--no-block try-restart -- a.service --force (canary-5f1c-b)' \
            '--no-block try-reload-or-restart -- soft.service (canary-5f1c-b)')"
        grep -q 'systemctl try-restart a.service --force failed; it is tried again at the next run' said; is $? 0
        echo 0 >/run/exit
        "$install" second; is $? 0 # nothing changed since, and it is owed
        is "$(asked | wc -l)" 2
        "$install" second; is $? 0
        is "$(asked 2>/dev/null)" ''
        is "$(lists)" ''
    "#;
    folder.run(script).ended(0);
}

#[test]
fn host_keys_open_and_nothing_of_them_is_written() {
    let Some(folder) = folder() else { return };
    let keygen = |kind: &str, name: &str| {
        let mut command = Command::new(tool("ssh-keygen"));
        command
            .args(["-q", "-N", "", "-t", kind, "-f"])
            .arg(folder.path(name));
        run(&mut command, Duration::from_secs(60)).ended(0);
    };
    keygen("ed25519", "host");
    folder.manifest(
        &[],
        json!({"ageKeyFile": null, "ageSshKeyPaths": [folder.path("host")],
        "logging": {"keyImport": true, "secretChanges": false}}),
    );
    let said = folder.run("\"$install\" manifest.json").ended(0).stderr;
    let recipient = said
        .split_whitespace()
        .find(|word| word.starts_with("age1"))
        .unwrap()
        .to_owned();
    folder.seal("host.json", "json", "{\"a\": \"by the host\"}", &[&recipient]);
    folder.manifest(
        &[folder.secret("a", "a", "host.json", "json")],
        json!({"ageKeyFile": null, "ageSshKeyPaths": [folder.path("missing"), folder.path("host")]}),
    );
    let script = r#"
        "$install" manifest.json; is $? 0
        is "$(cat /run/secrets/a)" 'by the host'
        is "$(ls -A /run/secrets.d)" 1
        is "$(grep -rlE 'AGE-SECRET-KEY|OPENSSH PRIVATE' /run)" ''
    "#;
    folder.run(script).ended(0).says("missing does not exist");
}

#[test]
fn a_build_validates_without_any_key() {
    let Some(folder) = folder() else { return };
    let check = |secrets: &[Value], more: Value, mode: &str, code: i32| {
        folder.manifest(secrets, more);
        let script = format!(
            "unset install_dir; \"$install\" -check-mode={mode} manifest.json; code=$?; is \"$(ls /run)\" nixos; exit $code"
        );
        folder.run(&script).ended(code).never_says(CANARY)
    };
    let none = || json!({"ageKeyFile": "/nonexistent"});
    let good = folder.secret("a", "deep/er", "s.json", "json");
    let ghost = with(
        folder.secret("g", "a", "s.json", "json"),
        json!({"owner": "nobody-yet"}),
    );
    check(&[good.clone(), ghost], none(), "sopsfile", 0);
    let absent = folder.secret("b", "deep/none", "s.json", "json");
    check(&[good.clone(), absent.clone()], none(), "manifest", 0);
    check(&[good.clone(), absent], none(), "sopsfile", 1)
        .says("secret b: ")
        .says("\"deep/none\" is not there");
    let other = folder.secret("b", "", "s.json", "binary");
    check(&[good.clone(), other], none(), "manifest", 1)
        .says("is of format binary here and of format json for secret a");
    folder.write("clear.json", &format!("{{\"a\": \"{CANARY}\"}}"));
    check(
        &[folder.secret("c", "a", "clear.json", "json")],
        none(),
        "sopsfile",
        1,
    )
    .says("is not encrypted: it has no `sops` section");
    check(
        &[with(good.clone(), json!({"mode": "u=r"}))],
        none(),
        "manifest",
        1,
    )
    .says("mode \"u=r\"");
    check(
        std::slice::from_ref(&good),
        json!({"gnupgHome": "/g", "sshKeyPaths": ["/k"]}),
        "manifest",
        1,
    )
    .says("gnupgHome and sshKeyPaths exclude each other");
    let stray = json!({"templates": [{"name": "t", "content": format!("<SOPS:{}:PLACEHOLDER>", "ab".repeat(32)), "mode": "0400"}]});
    check(&[good], stray, "sopsfile", 1).says("template t: has the placeholder");
}

#[test]
fn its_arguments_are_those_of_the_original() {
    let Some(folder) = folder() else { return };
    folder.manifest(&[], json!({}));
    let script = r#"
        for call in '' '-h' '--help' 'a b'; do "$install" $call 2>said; is $? 0; grep -q ^Usage said; is $? 0; done
        for call in -nope '-check-mode=all m' '-ignore-passwd=maybe m' -check-mode none.json; do "$install" $call 2>said; is $? 1; done
        is "$(ls -A /run)" nixos
        echo broken >broken.json
        "$install" broken.json 2>said; is $? 1; grep -q 'broken.json is no manifest of sops-nix' said; is $? 0
        "$(readlink "$install")" sops-install-secrets --check-mode manifest --ignore-passwd=true -- manifest.json; is $? 0
    "#;
    folder.run(script).ended(0);
}

#[test]
fn a_plugin_is_found_on_the_path_that_sops_nix_gives() {
    let Some(folder) = folder() else { return };
    let key = Key::of_plugin();
    folder.seal("p.bin", "binary", CANARY, &[&key.recipient]);
    folder.write("key.txt", &key.identity);
    folder.manifest(&[folder.secret("p", "", "p.bin", "binary")], json!({}));
    let script = format!(
        r#"
        "$install" manifest.json 2>said; is $? 1
        grep -q 'age-plugin-marked is not installed in any of' said; is $? 0
        PATH={}:$PATH "$install" manifest.json; is $? 0
        is "$(cat /run/secrets/p)" {CANARY}
        "#,
        fixtures().join("bin").display()
    );
    folder.run(&script).ended(0).never_says(CANARY);
}
