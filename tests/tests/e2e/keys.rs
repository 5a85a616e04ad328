//! The keys of a machine: what is shown of them, what they open, where an entry says that they lie.

use reconciler_tests::{Fleet, Host, Key, Output, SYSTEM, Store, Var, run, tool};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PLAIN: &str = "a secret to be opened";

fn tooled(name: &str, arguments: &[&str]) -> Output {
    run(
        Command::new(tool(name))
            .args(arguments)
            .env_clear()
            .env("HOME", "/nonexistent"),
        Duration::from_secs(60),
    )
    .ended(0)
}

/// Makes an SSH key; its public line.
fn ssh_key(path: &Path, kind: &str) -> String {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let path = path.to_str().unwrap();
    tooled(
        "ssh-keygen",
        &["-q", "-t", kind, "-N", "", "-C", "root@cinnabar", "-f", path],
    );
    let line = std::fs::read_to_string(format!("{path}.pub")).unwrap();
    line.trim().trim_end_matches(" root@cinnabar").to_owned()
}

#[test]
fn keys_shows_every_recipient_and_what_is_wrong() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let mut host = Host::new(&store, &fleet, "cinnabar");
    let native = ssh_key(&host.path("etc/ssh/ssh_host_ed25519_key"), "ed25519");
    let rsa = ssh_key(&host.path("etc/ssh/ssh_host_rsa_key"), "rsa");
    host.set(
        "identity.ssh_host_keys",
        "[\"/etc/ssh/ssh_host_ed25519_key\", \"/etc/ssh/ssh_host_rsa_key\", \"/etc/ssh/ssh_host_ecdsa_key\"]",
    );
    ssh_key(&host.path("etc/ssh/ssh_host_ecdsa_key"), "ecdsa");
    let key = Key::of("cinnabar");
    host.write("var/lib/sops-nix/key.txt", &key.identity, 0o644);

    let keys = host.run(&["keys", "--json"]).ended(0).json();
    let recipients = keys["recipients"].as_array().unwrap();
    let kinds: Vec<_> = recipients
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["age", "ssh-to-age", "ssh", "ssh"], "{keys:#}");
    assert_eq!(recipients[0]["recipient"], key.recipient);
    assert_eq!(recipients[2]["recipient"], native);
    assert_eq!(recipients[3]["recipient"], rsa);
    let text = |list: &str| keys[list][0]["text"].as_str().unwrap().to_owned();
    assert!(text("warnings").ends_with("its mode is 0644"), "{keys:#}");
    assert!(text("problems").contains("ecdsa-sha2-nistp256"), "{keys:#}");
    host.run(&["keys"])
        .ended(0)
        .says(&native)
        .says("as ssh-to-age converts it")
        .says("hint: chmod 0600")
        .never_says("SECRET")
        .never_says("PRIVATE");

    for file in [
        "etc/ssh/ssh_host_ed25519_key",
        "etc/ssh/ssh_host_rsa_key",
        "var/lib/sops-nix/key.txt",
    ] {
        std::fs::remove_file(host.path(file)).unwrap();
    }
    host.run(&["keys"])
        .ended(14)
        .says("this machine has no key that opens secrets")
        .says("var/lib/sops-nix/key.txt does not exist")
        .says("hint: `age-keygen -o");
}

#[test]
fn a_host_key_with_a_passphrase_is_named_with_what_to_type() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    ssh_key(&host.path("etc/ssh/ssh_host_ed25519_key"), "ed25519");
    let key = host.path("etc/ssh/ssh_host_ed25519_key").display().to_string();
    tooled(
        "ssh-keygen",
        &["-q", "-p", "-P", "", "-N", "a passphrase", "-f", &key],
    );
    let typed = format!("`ssh-keygen -p -N '' -f {key}`");
    let why = format!("the key in {key} is protected by a passphrase");
    Var::per_machine("cinnabar", "web", "token").encrypt(&fleet, PLAIN, &["cinnabar"]);
    fleet.publish("a secret");
    // Another key opens everything: the pass goes on, and says it.
    host.run(&["keys"]).ended(0).says(&why).says(&typed);
    host.run(&["now"]).ended(0).says(&why).says(&typed);
    std::fs::remove_file(host.path("var/lib/sops-nix/key.txt")).unwrap();
    Var::per_machine("cinnabar", "web", "other").encrypt(&fleet, PLAIN, &["cinnabar"]);
    fleet.publish("another");
    host.run(&["now"])
        .ended(14)
        .says("no key of this machine can be read")
        .says(&why)
        .says(&format!("hint: {typed}"));
    host.write("sealed", PLAIN, 0o600);
    let sealed = host.path("sealed").display().to_string();
    host.run(&["vars", "decrypt", &sealed])
        .ended(14)
        .says(&why)
        .says(&format!("hint: {typed}"));
}

#[test]
fn decrypt_opens_whatever_is_sealed_for_the_machine() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    let native = ssh_key(&host.path("etc/ssh/ssh_host_ed25519_key"), "ed25519");
    host.write("plain", PLAIN, 0o600);
    let plain = host.path("plain").display().to_string();
    for (name, recipient) in [("age", Key::of("cinnabar").recipient), ("ssh", native)] {
        let sealed = host.path(name).display().to_string();
        tooled("age", &["-r", &recipient, "-o", &sealed, &plain]);
        assert_eq!(host.run(&["vars", "decrypt", &sealed]).ended(0).stdout, PLAIN);
        let json = host.run(&["vars", "decrypt", "--json", &sealed]).ended(0).json();
        assert_eq!(json, serde_json::json!({ "data": PLAIN, "encoding": "utf-8" }));
    }
    let token = Var::per_machine("cinnabar", "web", "token");
    token.encrypt(&fleet, PLAIN, &["cinnabar"]);
    let sealed = fleet.work().join(token.secret()).display().to_string();
    assert_eq!(host.run(&["vars", "decrypt", &sealed]).ended(0).stdout, PLAIN);
    // Of several documents JSON has room for one, and says so.
    host.write("documents.yaml", &format!("a: 1\n---\nb: {PLAIN:?}\n"), 0o600);
    let documents = host.path("documents.yaml").display().to_string();
    let sealed = tooled(
        "sops",
        &["encrypt", "--age", &Key::of("cinnabar").recipient, &documents],
    );
    host.write("several.yaml", &sealed.stdout, 0o600);
    let sealed = host.path("several.yaml").display().to_string();
    let json = host
        .run(&["vars", "decrypt", "--json", &sealed])
        .ended(0)
        .says("holds 2 documents: this is the first");
    assert_eq!(json.json(), serde_json::json!({ "a": 1 }));
    let text = host.run(&["vars", "decrypt", &sealed]).ended(0);
    assert!(
        text.stderr.is_empty() && text.stdout.contains("---\nb: "),
        "{text}"
    );

    let other = Key::of("admin");
    tooled(
        "age",
        &[
            "-r",
            &other.recipient,
            "-o",
            &host.path("other").display().to_string(),
            &plain,
        ],
    );
    let foreign = host.path("other").display().to_string();
    host.run(&["vars", "decrypt", &foreign])
        .ended(14)
        .says("it is not encrypted to this machine")
        .says(&format!("opened here: {}", Key::of("cinnabar").recipient))
        .says("--identity FILE");
    host.write("admin.txt", &other.identity, 0o600);
    let identity = host.path("admin.txt").display().to_string();
    let opened = host
        .run(&["vars", "decrypt", &foreign, "--identity", &identity])
        .ended(0);
    assert_eq!(opened.stdout, PLAIN);
}

#[test]
fn a_key_that_only_the_entry_names_opens_secrets_also_after_a_reboot() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    std::fs::remove_file(host.path("var/lib/sops-nix/key.txt")).unwrap();
    let native = ssh_key(&host.path("persist/agenix"), "ed25519");
    let flake = format!(
        "{{ outputs = {{ self }}: let\n\
         name = \"cinnabar\"; system = \"{SYSTEM}\";\n\
         toplevel = (import ./toplevel.nix) {{ inherit name system; class = \"nixos\"; folders = [ ./machines/cinnabar/root ]; }};\n\
         in {{ nixosConfigurations.cinnabar = {{\n\
         pkgs.stdenv.hostPlatform.system = system;\n\
         config = {{ system.build.toplevel = toplevel; age.identityPaths = [ \"/persist/agenix\" ]; }};\n}}; }}; }}\n"
    );
    fleet.write("flake.nix", &flake);
    let token = Var::per_machine("cinnabar", "web", "token");
    token.encrypt_to(&fleet, "value-one", std::slice::from_ref(&native));
    fleet.publish("a machine with agenix");
    host.now(0);
    assert_eq!(host.secret(token.installed()).as_deref(), Some("value-one"));
    host.run(&["keys"]).ended(0).says(&native).says("persist/agenix");
    // What a reboot takes is opened again before anything is evaluated.
    let link = host.path("run/secrets");
    std::fs::remove_file(&link).unwrap();
    std::fs::remove_dir_all(host.path("run/secrets.d")).unwrap();
    std::fs::rename(fleet.bare(), fleet.bare().with_extension("away")).unwrap();
    host.run(&["now"]).ended(12);
    assert_eq!(host.secret(token.installed()).as_deref(), Some("value-one"));
}
