//! The values of a native fleet: made by its generators, kept in clan's layout, read by real sops and by the agent.

use reconciler_tests::{Desk, Entry, Fleet, Host, SYSTEM, Store, tool};
use std::path::Path;

/// A static shell with its tools, as a derivation that needs nothing: what `pkgs.bash` and `pkgs.coreutils` are to a
/// fleet with nixpkgs.
pub(crate) fn tools() -> String {
    format!(
        "(derivation {{ name = \"tools\"; system = \"{SYSTEM}\"; builder = \"/bin/sh\"; args = [ \"-c\" ''\n\
         PATH=/usr/bin:/bin; mkdir -p $out/bin; cp {} $out/bin/busybox\n\
         for name in sh cat head printf sha256sum cut sleep ln mkfifo mknod ls nc base64 yes truncate tr kill; do\n\
         ln -s busybox $out/bin/$name; done'' ]; }})",
        tool("busybox").display()
    )
}

/// Generators: a shared one, one per machine that depends on it, and one that is asked for.
fn generators() -> String {
    format!(
        "let runtimeInputs = [ {} ]; in {{
          ca = {{ share = true; inherit runtimeInputs; files.key = {{ }}; files.\"ca.pub\".secret = false; script = ''
            head -c 16 /dev/urandom | base64 >$out/key
            sha256sum <$out/key | cut -d' ' -f1 >$out/ca.pub''; }};
          cert = {{ dependencies = [ \"ca\" ]; inherit runtimeInputs; files.cert.secret = false; files.key = {{ }};
            files.password.deploy = false; validation.name = builtins.readFile ../../name; script = ''
            cat $in/ca/ca.pub >$out/cert; head -c 16 /dev/urandom | base64 >$out/key
            printf 'of %s' \"$(cat $in/ca/key)\" >$out/password''; }};
        }}",
        tools()
    )
}

fn fleet(machines: &[&str], generators: &str) -> Fleet {
    let fleet = Fleet::new();
    fleet.write("name", "first");
    for machine in machines {
        fleet.declare(machine, &Entry::nixos().generators(generators));
    }
    fleet
}

fn links(fleet: &Fleet, folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for kind in ["machines", "users", "groups"] {
        for entry in std::fs::read_dir(fleet.work().join(folder).join(kind))
            .into_iter()
            .flatten()
        {
            let path = entry.unwrap().path();
            // Relative, and it leads somewhere.
            assert!(
                std::fs::read_link(&path).unwrap().starts_with("../../../../.."),
                "{}",
                path.display()
            );
            assert!(path.join("key.json").is_file(), "{}", path.display());
            found.push(format!("{kind}/{}", path.file_name().unwrap().to_string_lossy()));
        }
    }
    found.sort();
    found
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn values_are_made_once_and_read_by_sops_and_by_the_agent() {
    let store = Store::new();
    let fleet = fleet(&["cinnabar", "electrum"], &generators());
    let desk = Desk::new(&store, &fleet);
    fleet.commit("no key yet");
    desk.vars(&["generate"])
        .ended(2)
        .says("cinnabar, electrum have no key")
        .says("rekey --add-machine cinnabar=KEY");
    desk.knows("machines", "cinnabar");
    desk.knows("machines", "electrum");
    fleet.commit("keys");
    desk.vars(&["generate", "--dry-run"])
        .ended(0)
        .says("3 generators would run")
        .says("ca (shared)");
    assert!(!fleet.work().join("vars").exists());

    desk.vars(&["generate", "--commit"])
        .ended(0)
        .says("3 generators ran; committed");
    assert_eq!(fleet.git(&["status", "--porcelain"]).stdout, "");
    assert!(
        fleet
            .git(&["log", "-1", "--format=%s"])
            .stdout
            .starts_with("vars: generate ca (shared), cert (cinnabar)")
    );
    assert!(is_empty(desk.memory()), "nothing is left in memory");

    // Real sops, with each key.
    let key = "vars/shared/ca/key";
    assert_eq!(
        links(&fleet, key),
        ["machines/cinnabar", "machines/electrum", "users/admin"]
    );
    let value = desk.sops(&format!("{key}/secret"), "admin").ended(0).stdout;
    for machine in ["cinnabar", "electrum"] {
        assert_eq!(
            desk.sops(&format!("{key}/secret"), machine).ended(0).stdout,
            value
        );
    }
    let own = "vars/per-machine/cinnabar/cert";
    assert_eq!(
        links(&fleet, &format!("{own}/key")),
        ["machines/cinnabar", "users/admin"]
    );
    assert_ne!(desk.sops(&format!("{own}/key/secret"), "electrum").code, Some(0));
    assert_eq!(links(&fleet, &format!("{own}/password")), ["users/admin"]);
    let password = desk
        .sops(&format!("{own}/password/secret"), "admin")
        .ended(0)
        .stdout;
    assert_eq!(password, format!("of {}", value.trim_end()));
    assert_ne!(
        desk.sops(&format!("{own}/password/secret"), "cinnabar").code,
        Some(0)
    );
    assert_eq!(
        fleet.read(&format!("{own}/cert/value")),
        fleet.read("vars/shared/ca/ca.pub/value")
    );
    // clan's own example of a hash: no newline.
    let hash = fleet.read(&format!("{own}/.validation-hash"));
    assert!(hash.len() == 64 && !hash.contains('\n'), "{hash:?}");

    // A second run changes nothing, also where everything is evaluated anew.
    desk.vars(&["generate"]).ended(0).says("nothing was changed");
    assert_eq!(fleet.git(&["status", "--porcelain"]).stdout, "");

    // What the values depend on changes: those, and no others.
    fleet.write("name", "second");
    desk.vars(&["generate", "electrum"])
        .ended(0)
        .says("1 generator ran; staged in git");
    let changed = fleet.git(&["diff", "--cached", "--name-only"]).stdout;
    assert!(
        changed
            .lines()
            .all(|path| path.starts_with("vars/per-machine/electrum/cert/")),
        "{changed}"
    );
    assert!(
        !changed.contains("/cert/cert/value"),
        "the same value is not written: {changed}"
    );
    desk.vars(&["list", "cinnabar"])
        .ended(0)
        .says("(stale)")
        .says("********")
        .never_says(value.trim_end());
    desk.vars(&["generate", "--commit"])
        .ended(0)
        .says("1 generator ran");

    // New values on request, with all that was made of them.
    desk.vars(&["generate", "--regenerate", "--generator", "ca"])
        .ended(0)
        .says("3 generators ran");
    assert_ne!(
        desk.sops(&format!("{key}/secret"), "admin").ended(0).stdout,
        value
    );
    assert_eq!(
        fleet.read(&format!("{own}/cert/value")),
        fleet.read("vars/shared/ca/ca.pub/value")
    );

    // The machine opens them.
    fleet.motd("cinnabar", "first");
    fleet.publish("values");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let installed = host.secret("vars/shared/ca/key").unwrap();
    assert_eq!(
        installed,
        desk.sops(&format!("{key}/secret"), "cinnabar").ended(0).stdout
    );
}

#[test]
fn a_fleet_that_needs_too_much_memory_or_time_makes_nothing() {
    let (store, fleet) = (Store::new(), fleet(&["cinnabar"], &generators()));
    let desk = Desk::new(&store, &fleet);
    let fails = |policy: &str, generators: &str, says: &str| {
        fleet.write("reconciler.toml", &format!("[policy]\n{policy}\n"));
        fleet.declare("cinnabar", &Entry::nixos().generators(generators));
        fleet.commit(says);
        desk.vars(&["generate"])
            .ended(13)
            .says(says)
            .says("hint: raise `evaluation_memory` or `evaluation_timeout`");
    };
    fails(
        "evaluation_memory = \"1 GiB\"",
        "builtins.seq (builtins.length (builtins.genList (x: x) 300000000)) { }",
        "the evaluation needs more than the 1.0 GiB it may use",
    );
    fails(
        "evaluation_timeout = \"2s\"",
        "let f = n: if n < 2 then n else f (n - 1) + f (n - 2); in { web.files = { ${toString (f 60)} = { }; }; }",
        "the evaluation did not end within 2",
    );
}

#[test]
fn a_machine_that_comes_later_reads_shared_values_and_moves_leave_no_old_files() {
    let store = Store::new();
    let shared = format!(
        "{{ psk = {{ share = true; runtimeInputs = [ {} ]; files.psk = {{ }}; script = \"printf one >$out/psk\"; }}; }}",
        tools()
    );
    let fleet = fleet(&["cinnabar"], &shared);
    let desk = Desk::new(&store, &fleet);
    for machine in ["cinnabar", "electrum", "galena"] {
        desk.knows("machines", machine);
    }
    fleet.commit("one machine");
    desk.vars(&["generate", "--commit"]).ended(0);
    // Two more: one with the generator, one without.
    fleet.declare("electrum", &Entry::nixos().generators(&shared));
    fleet.declare("galena", &Entry::nixos());
    fleet.commit("three machines");
    desk.vars(&["generate", "--commit"])
        .ended(0)
        .says("now for machine electrum as well");
    let folder = "vars/shared/psk/psk";
    assert_eq!(
        links(&fleet, folder),
        ["machines/cinnabar", "machines/electrum", "users/admin"]
    );
    assert_eq!(
        desk.sops(&format!("{folder}/secret"), "electrum").ended(0).stdout,
        "one"
    );
    assert_ne!(desk.sops(&format!("{folder}/secret"), "galena").code, Some(0));
    // It is each machine's own now.
    let own = shared.replace("share = true;", "");
    fleet.declare("cinnabar", &Entry::nixos().generators(&own));
    fleet.declare("electrum", &Entry::nixos().generators(&own));
    fleet.commit("own values");
    desk.vars(&["generate", "cinnabar", "--commit"]).ended(0);
    assert!(
        fleet.work().join(folder).exists(),
        "electrum has none of its own yet"
    );
    desk.vars(&["generate", "--commit"])
        .ended(0)
        .says("vars/shared/psk  moved away");
    assert!(!fleet.work().join("vars/shared/psk").exists());
    assert_eq!(fleet.git(&["status", "--porcelain"]).stdout, "");
    assert_eq!(
        desk.sops("vars/per-machine/electrum/psk/psk/secret", "electrum")
            .ended(0)
            .stdout,
        "one"
    );
}

#[test]
fn prompts_are_answered_by_files_and_by_people() {
    let store = Store::new();
    let generators = format!(
        "{{ login = {{ runtimeInputs = [ {} ]; prompts.password = {{ type = \"hidden\"; persist = true; description = \"of root\"; }};
             prompts.user.display.label = \"account\"; files.line = {{ }};
             script = ''printf '%s:%s' \"$(cat $prompts/user)\" \"$(cat $prompts/password)\" >$out/line''; }};
           notes = {{ prompts.text = {{ type = \"multiline\"; persist = true; }}; files.text.secret = false;
             prompts.key = {{ type = \"multiline-hidden\"; persist = true; }}; }}; }}",
        tools()
    );
    let fleet = fleet(&["cinnabar"], &generators);
    let desk = Desk::new(&store, &fleet);
    desk.knows("machines", "cinnabar");
    fleet.commit("prompts");
    let line = "vars/per-machine/cinnabar/login/line/secret";

    // Nobody is there: everything that is missing is named, and nothing is made.
    desk.vars(&["generate"])
        .ended(2)
        .says("4 prompts not answered")
        .says("cinnabar/login/password  of root")
        .says("cinnabar/notes/text")
        .says("--prompt cinnabar/login/password=FILE");
    desk.write("several", "one\ntwo\n");
    let several = desk.home().join("several").display().to_string();
    desk.vars(&["generate", "--prompt", &format!("login/password={several}")])
        .ended(2)
        .says("the answer has several lines");
    desk.vars(&["generate", "--prompt", &format!("login/nothing={several}")])
        .ended(2)
        .says("no prompt login/nothing");
    assert!(!fleet.work().join("vars").exists());

    // A person: hidden answers are not shown, and an empty one is asked for again.
    let (code, shown) = desk.on_terminal(
        &["generate"],
        &[
            ("login/password – of root: ", "\n"),
            ("login/password – of root: ", "hunter22\n"),
            ("login/user, account: ", "ann\n"),
            ("notes/key (end with", "hidden one\nhidden two\n\u{4}"),
            ("notes/text (end with", "shown one\nshown two\n\u{4}"),
        ],
    );
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("ann") && shown.contains("shown one"), "{shown}");
    assert!(
        !shown.contains("hunter22") && !shown.contains("hidden one"),
        "{shown}"
    );
    assert_eq!(desk.sops(line, "cinnabar").ended(0).stdout, "ann:hunter22");
    let key = "vars/per-machine/cinnabar/notes/key/secret";
    assert_eq!(
        desk.sops(key, "cinnabar").ended(0).stdout,
        "hidden one\nhidden two\n"
    );
    assert_eq!(
        fleet.read("vars/per-machine/cinnabar/notes/text/value"),
        "shown one\nshown two\n"
    );
    fleet.commit("values");

    // What is stored need not be asked for; what is not, has to be, and comes from standard input here.
    fleet.remove("vars/per-machine/cinnabar/login/line");
    desk.fed(&["generate", "--prompt", "cinnabar/login/user=-"], b"bob\n")
        .ended(0);
    assert_eq!(desk.sops(line, "cinnabar").ended(0).stdout, "bob:hunter22");

    // New values: the person is asked, and may keep the old one; an interrupt leaves everything as it is.
    let before = fleet.read(line);
    let (code, shown) = desk.on_terminal(
        &["generate", "--regenerate", "--generator", "login"],
        &[("keeps what is stored]: ", "\u{3}")],
    );
    assert_eq!(code, Some(1), "{shown}");
    assert!(
        shown.contains("stopped while asking; nothing was changed"),
        "{shown}"
    );
    assert_eq!(fleet.read(line), before);
    let (code, shown) = desk.on_terminal(
        &["generate", "--regenerate", "--generator", "login"],
        &[
            ("keeps what is stored]: ", "\n"),
            ("login/user, account: ", "eve\n"),
        ],
    );
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(desk.sops(line, "cinnabar").ended(0).stdout, "eve:hunter22");
}

#[test]
fn single_values_are_set_shown_and_listed() {
    let store = Store::new();
    let generators = "{ wifi = { share = true; validation = 1; files.psk = { }; files.name.secret = false; };
                        mine.files.token = { }; }";
    let fleet = fleet(&["cinnabar"], generators);
    let desk = Desk::new(&store, &fleet);
    desk.knows("machines", "cinnabar");
    fleet.commit("values by hand");
    // No script makes them.
    desk.vars(&["generate"]).ended(2).says("it has no script");
    desk.fed(&["set", "cinnabar", "wifi/pks"], b"x")
        .ended(2)
        .says("did you mean wifi/psk?");
    desk.fed(&["set", "cinnabar", "wifi/psk"], b"")
        .ended(2)
        .says("empty");
    desk.fed(&["set", "cinnabar", "wifi/psk"], b"\xffnot text\n")
        .ended(0)
        .says("staged in git");
    desk.fed(&["set", "cinnabar", "wifi/name"], b"home").ended(0);
    desk.fed(&["set", "cinnabar", "mine/token", "--commit"], b"canary-token")
        .ended(0)
        .says("committed");
    fleet.commit("set");
    let before = fleet.read("vars/per-machine/cinnabar/mine/token/secret");
    desk.fed(&["set", "cinnabar", "mine/token"], b"canary-token")
        .ended(0)
        .says("there already");
    assert_eq!(fleet.read("vars/per-machine/cinnabar/mine/token/secret"), before);
    // Set by hand, they stand for what is declared now.
    desk.vars(&["generate"]).ended(0).says("nothing was changed");

    assert_eq!(
        desk.vars(&["get", "cinnabar", "mine/token"]).ended(0).stdout,
        "canary-token"
    );
    assert_eq!(
        desk.vars(&["get", "cinnabar", "wifi/name"]).ended(0).stdout,
        "home"
    );
    desk.vars(&["get", "cinnabar", "mine/tokens"])
        .ended(2)
        .says("did you mean mine/token?");
    // With the machine's key instead, and with one that opens nothing.
    desk.sops("vars/per-machine/cinnabar/mine/token/secret", "cinnabar")
        .ended(0);
    desk.sops("vars/per-machine/cinnabar/mine/token/secret", "galena");
    let key = |name: &str| desk.home().join(format!("{name}.txt")).display().to_string();
    desk.vars(&["get", "cinnabar", "mine/token", "--identity", &key("cinnabar")])
        .ended(0)
        .says("canary-token");
    desk.vars(&["get", "cinnabar", "mine/token", "--identity", &key("galena")])
        .ended(14)
        .says("encrypted to: age1")
        .never_says("canary-token");
    let list = desk
        .vars(&["list", "--json"])
        .ended(0)
        .never_says("canary-token")
        .json();
    assert_eq!(list[0]["path"], "vars/per-machine/cinnabar/mine/token");
    assert_eq!(
        list[0]["readers"],
        serde_json::json!(["machines/cinnabar", "users/admin"])
    );
    assert_eq!(
        (&list[1]["value"], &list[1]["shared"]),
        (&"home".into(), &true.into())
    );
    assert_eq!(
        (&list[2]["secret"], &list[2]["value"]),
        (&true.into(), &serde_json::Value::Null)
    );
    // From a folder below, and outside of a fleet.
    desk.vars(&["list", "--fleet", "/"]).ended(2).says("no flake.nix");
}
