//! The program that sops-nix calls: what it installs, what it names, and what it never does. `sops_nix_calls.rs` has
//! what is around that.

use reconciler_tests::{Key, SopsNix, is_root};
use serde_json::{Value, json};

/// Stands in every value: no output may have it.
pub(crate) const CANARY: &str = "canary-5f1c";

/// A folder with a file of two keys, for the machine.
pub(crate) fn folder() -> Option<SopsNix> {
    if !is_root() {
        eprintln!("only root can mount what secrets lie on");
        return None;
    }
    let folder = SopsNix::new();
    let ours = Key::of("cinnabar").recipient;
    let plain = json!({"a": format!("{CANARY}-a"), "b": format!("{CANARY}-b"), "deep": {"er": format!("{CANARY}-c")}});
    folder.seal("s.json", "json", &plain.to_string(), &[&ours]);
    Some(folder)
}

pub(crate) fn placeholder(name: &str) -> String {
    // The form alone counts: sops-nix has the hash of the name in it.
    format!("<SOPS:{:0>64}:PLACEHOLDER>", name.len())
}

pub(crate) fn with(mut secret: Value, fields: Value) -> Value {
    for (key, value) in fields.as_object().unwrap() {
        secret[key] = value.clone();
    }
    secret
}

#[test]
fn owner_mode_place_and_link_are_exact_under_any_umask() {
    let Some(folder) = folder() else { return };
    let ours = Key::of("cinnabar").recipient;
    folder.seal("s.env", "dotenv", "A=one\nB=two\n", &[&ours]);
    folder.seal("s.bin", "binary", "any \u{1} bytes", &[&ours]);
    let secrets = [
        folder.secret("a", "a", "s.json", "json"),
        with(
            folder.secret("deep/er", "deep/er", "s.json", "json"),
            json!({"owner": "nobody", "group": "nogroup", "mode": "0666"}),
        ),
        with(
            folder.secret("env", "A", "s.env", "dotenv"),
            json!({"uid": 420, "gid": 421, "mode": "440", "path": "/run/else/where/env"}),
        ),
        folder.secret("bin", "ignored", "s.bin", "binary"),
        folder.secret("whole", "", "s.json", "json"),
    ];
    let template = json!({
        "name": "t/conf", "content": format!("a={}\n", placeholder("a")), "file": "/nonexistent", "mode": "0444",
        "path": "/run/else/conf", "owner": "nobody", "uid": 0, "group": null, "gid": 7,
        "restartUnits": [], "reloadUnits": [],
    });
    let more = json!({"templates": [template], "placeholderBySecretName": {"a": placeholder("a")}});
    folder.manifest(&secrets, more);
    for umask in ["000", "022", "077", "777"] {
        let script = r#"
            mkdir /run/secrets # sops-nix replaces an empty folder
            is "$(umask UMASK; "$install" manifest.json >/dev/null 2>&1; echo $?)" 0
            is "$(readlink /run/secrets)" /run/secrets.d/1
            is "$(access /run/secrets.d | cut -d: -f1)" '751 0'
            is "$(access /run/secrets.d/1/deep | cut -d: -f1)" '751 0'
            is "$(stat -c %G /run/secrets.d/1)" "$(getent group keys >/dev/null && echo keys || echo nogroup)"
            is "$(access /run/secrets/a)" '400 0:0'
            is "$(access /run/secrets/deep/er)" "666 $(id -u nobody):$(getent group nogroup | cut -d: -f3)"
            is "$(access /run/secrets/env)" '440 420:421'
            is "$(access /run/secrets/rendered/t/conf)" "444 $(id -u nobody):7"
            is "$(cat /run/secrets/a)" canary-5f1c-a
            is "$(cat /run/secrets/deep/er)" canary-5f1c-c
            is "$(cat /run/secrets/bin | od -An -c | tr -d ' ')" 'any001bytes'
            is "$(cat /run/secrets/env)" "$(printf 'A=one\nB=two')"
            is "$(jq -c . /run/secrets/whole)" '{"a":"canary-5f1c-a","b":"canary-5f1c-b","deep":{"er":"canary-5f1c-c"}}'
            is "$(cat /run/else/conf)" a=canary-5f1c-a
            is "$(readlink /run/else/where/env)" /run/secrets/env
            is "$(stat -c %u:%g /run/else/where/env)" 420:421
            is "$(access /run/else/where | cut -d' ' -f1)" 755
            is "$(stat -f -c %T /run/secrets.d)" ramfs
            is "$(grep -rl AGE-SECRET-KEY /run)" ''
            is "$(ls -A /run/secrets.d)" 1
        "#;
        folder.run(&script.replace("UMASK", umask)).ended(0);
    }
}

#[test]
fn no_secret_is_anybody_elses_for_a_moment() {
    let Some(folder) = folder() else { return };
    let secrets = [with(
        folder.secret("a", "a", "s.json", "json"),
        json!({"owner": "nobody", "group": "nogroup", "mode": "0444"}),
    )];
    let template = json!({
        "name": "t", "content": placeholder("a"), "mode": "0444", "path": "/run/secrets/rendered/t", "owner": "nobody",
    });
    let more = json!({"templates": [template], "placeholderBySecretName": {"a": placeholder("a")}});
    folder.manifest(&secrets, more);
    // Every call that makes a file or a folder, or changes who may read one, in the order of the calls.
    let script = r#"
        umask 000
        # A file for each thread: in one, a call could be cut in two by another.
        strace -ff -qq -y -e trace=open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,chmod,fchmod,fchmodat,?fchmodat2,chown,fchown,lchown,fchownat,rename,renameat,renameat2,link,linkat,write -o trace "$install" manifest.json
        is $? 0
        cat trace.* >trace
        is "$(access /run/secrets/a) $(access /run/secrets/rendered/t | cut -d: -f1)" "444 $(id -u nobody):$(getent group nogroup | cut -d: -f3) 444 $(id -u nobody)"
    "#;
    folder.run(script).ended(0);
    let trace = folder.read("trace");
    let made: Vec<&str> = trace
        .lines()
        .filter(|line| line.contains("O_CREAT") && line.contains("/run/secrets.d"))
        .collect();
    assert!(made.len() >= 2, "{trace}");
    for line in made {
        assert!(line.contains("O_EXCL") && line.contains(", 0600)"), "{line}");
    }
    for line in trace
        .lines()
        .filter(|line| line.contains("mkdir") && line.contains("secrets.d"))
    {
        assert!(line.contains(", 0700)") || line.contains(", 0751)"), "{line}");
    }
    for name in ["a", "rendered/t"] {
        // By the descriptor alone: written, then given to its owner, and readable to others last.
        let of_file: Vec<&str> = trace
            .lines()
            .filter(|line| line.contains(&format!("/{name}>")) && !line.contains("O_CREAT"))
            .filter_map(|line| line.split('(').next())
            .collect();
        assert_eq!(of_file, ["write", "fchown", "fchmod"], "{name}\n{trace}");
    }
}

#[test]
fn one_bad_secret_costs_no_other() {
    let Some(folder) = folder() else { return };
    let other = Key::of("electrum").recipient;
    folder.seal("other.bin", "binary", CANARY, &[&other]);
    let mut pgp: Value = serde_json::from_str(&folder.read("other.bin")).unwrap();
    pgp["sops"]["age"] = Value::Null;
    pgp["sops"]["pgp"] =
        json!([{"fp": "0123456789ABCDEF", "enc": "-----BEGIN PGP MESSAGE-----", "created_at": ""}]);
    folder.write("pgp.bin", &pgp.to_string());
    let changed = folder.read("s.json").replacen("data:", "data:AAAA", 1);
    folder.write("changed.json", &changed);
    let bad = |name: &str, fields| with(folder.secret(name, "a", "s.json", "json"), fields);
    let secrets = [
        folder.secret("missing-key", "nope/below", "s.json", "json"),
        folder.secret("elsewhere", "", "other.bin", "binary"),
        folder.secret("pgp", "", "pgp.bin", "binary"),
        folder.secret("changed", "a", "changed.json", "json"),
        folder.secret("no-file", "a", "none.json", "json"),
        folder.secret("map", "deep", "s.json", "json"),
        folder.secret("good", "a", "s.json", "json"),
        bad("ghost", json!({"owner": "no-such-user", "mode": "0444"})),
        bad("ghosts", json!({"group": "no-such-group", "mode": "0440"})),
        bad("far", json!({"uid": 4294967295_u64})),
        bad("bits", json!({"mode": "rwx"})),
        bad("form", json!({"format": "toml"})),
        bad("../escape", json!({})),
        bad("good/below", json!({})),
        bad("good", json!({})),
    ];
    let template = |name: &str, content: &str| json!({"name": name, "content": content, "mode": "0400", "path": format!("/run/secrets/rendered/{name}")});
    let templates = [
        template("fine", &placeholder("good")),
        template("of-bad", &format!("x{}", placeholder("missing-key"))),
        template("stray", &format!("<SOPS:{}:PLACEHOLDER>", "ab".repeat(32))),
        template("foreign", &format!("<SOPS:{}:PLACEHOLDER>", "cd".repeat(32))),
    ];
    let placeholders = json!({
        "good": placeholder("good"), "missing-key": placeholder("missing-key"),
        "users": format!("<SOPS:{}:PLACEHOLDER>", "cd".repeat(32)),
    });
    let more = json!({
        "templates": templates, "placeholderBySecretName": placeholders, "sshKeyPaths": ["/etc/ssh/ssh_host_rsa_key"],
    });
    folder.manifest(&secrets, more);
    let output = folder.run(
        r#"
        "$install" manifest.json; is $? 1
        is "$(cat /run/secrets/good)$(cat /run/secrets/rendered/fine)" canary-5f1c-acanary-5f1c-a
        is "$(access /run/secrets/ghost)" '400 0:0'
        is "$(access /run/secrets/ghosts)" '400 0:0'
        is "$(access /run/secrets/bits)" '400 0:0'
        is "$(cd /run/secrets; find . -type f | sort | tr '\n' ' ')" \
            './bits ./far ./ghost ./ghosts ./good ./rendered/fine ./rendered/foreign ./rendered/stray '
        is "$(ls /run)" "$(printf 'nixos\nsecrets\nsecrets.d')"
        "#,
    );
    let mut output = output.ended(0).never_says(CANARY).never_says("panicked");
    for says in [
        "secret missing-key: ",
        "the key \"nope\" is not there; it is not installed",
        "secret elsewhere: ",
        "is not encrypted to this machine; it is not installed",
        "secret pgp: ",
        "is encrypted for no age key, only for: pgp",
        "PGP keys that sops-nix makes of RSA keys",
        "secret changed: ",
        "secret no-file: cannot read",
        "secret map: ",
        "secret ghost: there is no user no-such-user; it is installed for root alone",
        "secret ghosts: there is no group no-such-group",
        "secret far: 4294967295 is no number of a user",
        "secret bits: mode \"rwx\"",
        "secret form: ",
        "secret ../escape: its name is no path",
        "secret good/below: lies where good lies too",
        "template of-bad: takes the value of secret missing-key, which failed; it is not installed",
        "template stray: has the placeholder <SOPS:abab",
        "template foreign: takes the value of secret users, which this manifest does not install",
    ] {
        output = output.says(says);
    }
}

#[test]
fn what_no_longer_opens_stays_as_it_was() {
    let Some(folder) = folder() else { return };
    let secrets = [
        folder.secret("a", "a", "s.json", "json"),
        folder.secret("b", "b", "s.json", "json"),
    ];
    folder.manifest(&secrets, json!({}));
    let before = folder.read("manifest.json");
    let secrets = [
        folder.secret("a", "gone", "s.json", "json"),
        folder.secret("b", "a", "s.json", "json"),
    ];
    folder.manifest(&secrets, json!({}));
    folder.write("before.json", &before);
    let script = r#"
        "$install" before.json; is $? 0
        "$install" manifest.json; is $? 1
        is "$(cat /run/secrets/a) $(cat /run/secrets/b)" 'canary-5f1c-a canary-5f1c-a'
        is "$(ls /run/secrets.d)" 2
    "#;
    let output = folder.run(script).ended(0).never_says(CANARY);
    output
        .says("its value of before stays")
        .says("modifying secret: b");
}

#[test]
fn a_file_becomes_a_folder_and_a_folder_a_file() {
    let Some(folder) = folder() else { return };
    let units = json!({"restartUnits": ["foo.service"]});
    folder.manifest(
        &[with(folder.secret("foo", "a", "s.json", "json"), units.clone())],
        json!({}),
    );
    std::fs::rename(folder.path("manifest.json"), folder.path("file")).unwrap();
    folder.manifest(
        &[with(folder.secret("foo/bar", "a", "s.json", "json"), units)],
        json!({}),
    );
    let script = r#"
        "$install" file; is $? 0
        "$install" manifest.json >said; is $? 0
        is "$(cat said)" "$(printf 'adding secret: foo/bar\nremoving secret: foo')"
        is "$(lists)" 'activation-restart-list: foo.service'
        is "$(cat /run/secrets/foo/bar)" canary-5f1c-a
        "$install" file >/dev/null; is $? 0
        is "$(cat /run/secrets/foo)" canary-5f1c-a
    "#;
    folder.run(script).ended(0);
}

#[test]
fn links_are_followed_only_where_nobody_else_makes_them() {
    let Some(folder) = folder() else { return };
    let at = |name: &str, path: &str| {
        with(
            folder.secret(name, "a", "s.json", "json"),
            json!({"path": path, "owner": "nobody"}),
        )
    };
    let secrets = [
        at("hostile", "/run/theirs/way/secret"),
        at("theirs", "/run/theirs/secret"),
        at("ours", "/run/ours/secret"),
        at("round", "/run/round/secret"),
        at("file", "/run/file"),
        at("empty", "/run/empty"),
        at("full", "/run/full"),
        at("plain", "/run/file-on-the-way/secret"),
    ];
    folder.manifest(&secrets, json!({}));
    let script = r#"
        install -d -o nobody /run/theirs; mkdir /run/victim /run/place /run/empty /run/full
        ln -s /run/victim /run/theirs/way; ln -s place /run/ours; ln -s round /run/round
        : >/run/file; : >/run/full/of; : >/run/file-on-the-way; ln -s /etc/hostname /run/theirs/secret
        before=$(cat /etc/hostname)
        "$install" manifest.json; is $? 1
        is "$(ls -A /run/victim)" ''
        is "$(cat /etc/hostname)" "$before"
        is "$(readlink /run/theirs/secret)" /run/secrets/theirs
        is "$(stat -c %U /run/theirs/secret)" nobody
        is "$(readlink /run/place/secret)" /run/secrets/ours
        is "$(readlink /run/file)" /run/secrets/file
        is "$(readlink /run/empty)" /run/secrets/empty
        is "$(ls -A /run/full)" of
        is "$(ls -A /run/theirs | sort | tr '\n' ' ')" 'secret way '
        is "$(ls /run/secrets | wc -l)" 8 # each is installed, be it without its link
    "#;
    let mut output = folder.run(script).ended(0).never_says(CANARY);
    for says in [
        "secret hostile: /run/theirs/way is a link in a folder that others can change",
        "secret round: too many links on the way",
        "secret full: /run/full is a folder that is not empty",
        "secret plain: could not open the folder /run/file-on-the-way",
        "the file itself is installed",
    ] {
        output = output.says(says);
    }
}

#[test]
fn old_generations_go_when_their_time_has_come() {
    let Some(folder) = folder() else { return };
    let secrets = [folder.secret("a", "a", "s.json", "json")];
    folder.manifest(&secrets, json!({"keepGenerations": 0}));
    std::fs::rename(folder.path("manifest.json"), folder.path("all")).unwrap();
    folder.manifest(&secrets, json!({"keepGenerations": 10}));
    // As in sops-nix's own test of it.
    let script = r#"
        "$install" all; is $? 0
        for n in $(seq 2 99); do mkdir /run/secrets.d/$n; done
        mkdir /run/secrets.d/non-numeric; ln -fsn /run/secrets.d/99 /run/secrets
        "$install" all >/dev/null; is $? 0
        is "$(cd /run/secrets.d && ls -d 1 90 100 non-numeric | wc -l)" 4
        "$install" manifest.json; is $? 0
        is "$(readlink /run/secrets)" /run/secrets.d/101
        is "$(ls /run/secrets.d | sort -n | tr '\n' ' ')" 'non-numeric 92 93 94 95 96 97 98 99 100 101 '
    "#;
    folder.run(script).ended(0);
}

#[test]
fn users_secrets_are_roots_before_there_are_users() {
    let Some(folder) = folder() else { return };
    let secret = with(
        folder.secret("password", "a", "s.json", "json"),
        json!({"owner": "not-there-yet", "group": "not-there-yet", "path": "/run/secrets-for-users/password"}),
    );
    folder.manifest(
        &[secret],
        json!({"secretsMountPoint": "/run/secrets-for-users.d", "symlinkPath": "/run/secrets-for-users"}),
    );
    let script = r#"
        mkdir /run/none; mount --bind /run/none /etc # neither passwd nor group
        "$install" -ignore-passwd manifest.json; is $? 0
        is "$(access /run/secrets-for-users/password)" '400 0:0'
        is "$(access /run/secrets-for-users.d)" '751 0:0'
    "#;
    folder.run(script).ended(0);
}

#[test]
fn a_user_installs_for_himself() {
    let Some(folder) = folder() else { return };
    let secret = with(
        folder.secret("a", "a", "s.json", "json"),
        json!({"path": "%r/elsewhere/a", "mode": "0444"}),
    );
    let home = json!({"secretsMountPoint": "%r/secrets.d", "symlinkPath": "/run/home/.config/sops-nix/secrets", "userMode": true});
    folder.manifest(&[secret], home);
    let script = r#"
        chmod 644 key.txt s.json manifest.json
        install -d -m 700 -o nobody /run/user-7 /run/home
        as() { setpriv --reuid=nobody --regid=nogroup --clear-groups -- "$@"; }
        as "$install" -ignore-passwd manifest.json 2>said; is $? 1
        grep -q 'XDG_RUNTIME_DIR is not set' said; is $? 0
        export XDG_RUNTIME_DIR=/run/user-7
        as "$install" -ignore-passwd manifest.json; is $? 0
        as "$install" -ignore-passwd manifest.json; is $? 0
        is "$(readlink /run/home/.config/sops-nix/secrets)" /run/user-7/secrets.d/2
        is "$(readlink /run/user-7/elsewhere/a)" /run/home/.config/sops-nix/secrets/a
        is "$(access /run/user-7/secrets.d/2/a | cut -d: -f1)" "444 $(id -u nobody)"
        is "$(ls /run/user-7/secrets.d)" 2
        is "$(lists)" ''
    "#;
    folder.run(script).ended(0);
}

#[test]
fn a_full_memory_leaves_the_old_secrets_in_force() {
    let Some(folder) = folder() else { return };
    let ours = Key::of("cinnabar").recipient;
    folder.seal("big.bin", "binary", &CANARY.repeat(30_000), &[&ours]);
    let small = folder.secret("a", "a", "s.json", "json");
    folder.manifest(std::slice::from_ref(&small), json!({"useTmpfs": true}));
    std::fs::rename(folder.path("manifest.json"), folder.path("small")).unwrap();
    folder.manifest(
        &[folder.secret("big", "", "big.bin", "binary"), small],
        json!({"useTmpfs": true}),
    );
    let script = r#"
        mkdir /run/secrets.d; mount -t tmpfs -o size=128k,mode=751 none /run/secrets.d
        "$install" small; is $? 0
        "$install" manifest.json 2>said; is $? 1
        grep -q 'no space left to write' said; is $? 0
        is "$(readlink /run/secrets) $(ls -A /run/secrets.d)" '/run/secrets.d/1 1'
        rm -r /run/secrets /run/secrets.d/1 # as at boot: what can be is installed
        "$install" manifest.json 2>said; is $? 1
        is "$(ls -A /run/secrets)" a
    "#;
    folder.run(script).ended(0).never_says(CANARY);
}
