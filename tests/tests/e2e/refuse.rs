//! What cannot be is refused, with a sentence, a code, a hint where there is one; and the machine stays.

use reconciler_tests::{Entry, Fleet, Host, Output, Server, Store, Var, is_root};
use serde_json::Value;
use std::io::{Seek, SeekFrom, Write};

/// A machine on a good generation.
struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
}

impl Stage {
    fn new() -> Stage {
        let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
        fleet.declare("electrum", &Entry::nixos());
        fleet.publish("declare electrum");
        let host = Host::new(&store, &fleet, "cinnabar");
        host.now(0);
        Stage { store, fleet, host }
    }

    /// A pass ends with `code`, says all of this in one error, and leaves the machine as it is.
    #[track_caller]
    fn refuses(&self, code: i32, says: &[&str], hint: Option<&str>) {
        let before = self.host.picture(&self.store);
        let output = refusal(self.host.run(&["now"]), code, says, hint);
        assert_eq!(self.host.picture(&self.store), before, "\n{output}");
        // The same for machines.
        let ended = self.host.now(code);
        assert_eq!((&ended["outcome"], &ended["generation"]), (&name(code).into(), &1.into()), "{ended:#}");
        if let Some(hint) = hint {
            assert!(ended["hint"].as_str().is_some_and(|found| found.contains(hint)), "{ended:#}");
        }
        let status = self.host.status();
        assert_eq!(status["last_pass"]["outcome"], ended["outcome"], "{status:#}");
        assert_eq!(status["generation"]["number"], 1, "{status:#}");
        self.host.run(&["status", "--check"]).ended(code);
    }

    /// Pushes a bad commit; a pass refuses it.
    #[track_caller]
    fn refuses_commit(&self, code: i32, says: &[&str], hint: Option<&str>) {
        self.fleet.motd("cinnabar", "bad");
        self.fleet.publish("a bad commit");
        self.refuses(code, says, hint);
    }

    /// Declares cinnabar with this toplevel; a pass refuses it.
    #[track_caller]
    fn refuses_entry(&self, entry: &Entry, code: i32, says: &[&str], hint: Option<&str>) {
        self.fleet.declare("cinnabar", entry);
        self.refuses_commit(code, says, hint);
    }
}

/// The name of an exit code.
fn name(code: i32) -> &'static str {
    match code {
        11 => "refused",
        12 => "fetch-failed",
        13 => "evaluation-failed",
        14 => "preflight-failed",
        15 => "build-failed",
        other => panic!("{other} is no code of a refusal"),
    }
}

/// Checks the one shape of an error: a sentence, what is below it, a hint.
#[track_caller]
fn refusal(output: Output, code: i32, says: &[&str], hint: Option<&str>) -> Output {
    let mut output = output.ended(code).never_says("panicked").never_says("error: error");
    for text in says {
        output = output.says(text);
    }
    let lines = |start: &str| output.stderr.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>();
    assert_eq!(lines("error: ").len(), 1, "one error, in one sentence\n{output}");
    match (hint, lines("hint: ").as_slice()) {
        (None, []) => {}
        (Some(hint), [line]) => assert!(line.contains(hint), "the hint should have {hint:?}\n{output}"),
        (_, _) => panic!("the hint should be {hint:?}\n{output}"),
    }
    output
}

// Fetch.

#[test]
fn a_remote_that_is_not_there() {
    let stage = Stage::new();
    std::fs::rename(stage.fleet.bare(), stage.fleet.bare().with_extension("away")).unwrap();
    stage.refuses(12, &["fleet.git"], None);
    // It comes back.
    std::fs::rename(stage.fleet.bare().with_extension("away"), stage.fleet.bare()).unwrap();
    stage.host.now(0);
    stage.host.run(&["status", "--check"]).ended(0);
}

#[test]
fn a_remote_where_nobody_listens() {
    let mut stage = Stage::new();
    // The port of a server that has gone is nobody's for a while.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    stage.host.set("fleet.url", &format!("\"http://127.0.0.1:{port}/infra.git\""));
    stage.refuses(12, &[&format!("127.0.0.1:{port}"), "refused"], None);
}

#[test]
fn a_remote_that_wants_credentials() {
    let mut stage = Stage::new();
    let server = Server::answering("401 Unauthorized", &["WWW-Authenticate: Basic realm=\"git\""]);
    stage.host.set("fleet.url", &format!("{:?}", server.url()));
    stage.refuses(12, &["the server refuses"], Some("token file"));
}

#[test]
fn a_remote_that_is_a_web_page() {
    let mut stage = Stage::new();
    let server = Server::answering("200 OK", &["Content-Type: text/html"]);
    stage.host.set("fleet.url", &format!("{:?}", server.url()));
    stage.refuses(12, &["not from a git server"], Some("git clone"));
}

#[test]
fn the_second_remote_serves_when_the_first_does_not() {
    let mut stage = Stage::new();
    let server = Server::answering("503 Service Unavailable", &[]);
    stage.host.set("fleet.url", &format!("[{:?}, {:?}]", server.url(), stage.fleet.url()));
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.publish("change the motd");
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "second");
}

#[test]
fn a_branch_that_is_not_there() {
    let mut stage = Stage::new();
    stage.host.set("fleet.branch", "\"release\"");
    stage.refuses(12, &["there is no branch \"release\"", "main"], Some("fleet.branch"));
}

// Trust.

#[test]
fn a_branch_that_was_rewritten() {
    let mut stage = Stage::new();
    let accepted = stage.fleet.head();
    stage.fleet.reset("HEAD~1");
    stage.fleet.motd("cinnabar", "rewritten");
    let rewritten = stage.fleet.commit("another past");
    stage.fleet.push_force();
    stage.refuses(11, &["the branch was rewritten", &accepted[..8], &rewritten[..8]], Some("reconcile pin"));
    assert_eq!(stage.host.status()["sync"], "refused");

    stage.host.set("trust.history", "\"any\"");
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "rewritten");
}

#[test]
fn a_branch_that_was_set_back() {
    let stage = Stage::new();
    stage.fleet.reset("HEAD~1");
    stage.fleet.push_force();
    stage.refuses(11, &["the branch was set back"], Some("reconcile pin"));
}

#[test]
fn a_commit_that_never_ran_binds_nobody() {
    // A fix may be pushed over the commit that broke.
    let stage = Stage::new();
    stage.fleet.write("flake.nix", "{ this is no Nix");
    stage.fleet.publish("a broken commit");
    stage.host.now(13);
    stage.fleet.reset("HEAD~1");
    stage.fleet.motd("cinnabar", "fixed");
    stage.fleet.commit("the same, and right");
    stage.fleet.push_force();
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "fixed");
}

#[test]
fn a_revision_that_nobody_knows() {
    let stage = Stage::new();
    let output = stage.host.run(&["now", "--revision", "deadbeef"]);
    refusal(output, 2, &["cannot find deadbeef in the fleet"], None);
}

// Evaluation.

#[test]
fn a_fleet_without_a_flake() {
    let stage = Stage::new();
    stage.fleet.remove("flake.nix");
    stage.refuses_commit(13, &["there is no flake.nix in the repository"], Some("fleet.directory"));
}

#[test]
fn inputs_that_are_not_locked() {
    let stage = Stage::new();
    let flake = stage.fleet.read("flake.nix");
    let flake = flake.replacen('{', "{\n  inputs.nixpkgs.url = \"github:NixOS/nixpkgs\";\n", 1);
    stage.fleet.write("flake.nix", &flake);
    stage.refuses_commit(13, &["flake.lock does not lock nixpkgs"], Some("nix flake lock"));
}

#[test]
fn a_machine_that_is_not_in_the_fleet() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    for machine in ["scheelite", "electrum"] {
        fleet.declare(machine, &Entry::nixos());
    }
    fleet.publish("declare more machines");
    let mut host = Host::new(&store, &fleet, "cinnabar");
    host.set("machine", "\"electron\"");
    let output = host.run(&["now"]);
    refusal(output, 13, &["no machine `electron`; it has electrum, "], Some("machine = \"electrum\""));
    assert_eq!(host.current(), None);
    assert_eq!(host.status()["generation"], Value::Null);
}

#[test]
fn another_name_is_another_machine() {
    let mut stage = Stage::new();
    stage.fleet.motd("electrum", "I am electrum");
    stage.fleet.publish("change electrum");
    stage.host.now(0);
    stage.host.set("machine", "\"electrum\"");
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "I am electrum");
}

#[test]
fn a_throw() {
    let stage = Stage::new();
    let entry = Entry::nixos().toplevel("throw \"the option services.web is gone\"");
    stage.refuses_entry(&entry, 13, &["cannot evaluate cinnabar", "the option services.web is gone", "entry.nix"], None);
}

#[test]
fn nonsense_instead_of_nix() {
    let stage = Stage::new();
    stage.fleet.write("flake.nix", "{ outputs = ");
    stage.refuses_commit(13, &["cannot evaluate cinnabar", "syntax error", "flake.nix:"], None);
}

#[test]
fn an_infinite_recursion() {
    let entry = Entry::nixos().toplevel("let x = x; in x");
    Stage::new().refuses_entry(&entry, 13, &["infinite recursion encountered"], None);
}

#[test]
fn an_evaluation_that_needs_too_much_memory() {
    let mut stage = Stage::new();
    stage.host.set("policy.evaluation_memory", "\"1 GiB\"");
    let entry = Entry::nixos().toplevel("toString (builtins.genList (x: x) 300000000)");
    stage.refuses_entry(&entry, 13, &["needs more than the 1.0 GiB"], Some("evaluation_memory"));
}

#[test]
fn an_evaluation_that_takes_too_long() {
    let mut stage = Stage::new();
    stage.host.set("policy.evaluation_timeout", "\"3s\"");
    let entry = Entry::nixos().toplevel("let f = n: if n < 2 then n else f (n - 1) + f (n - 2); in toString (f 60)");
    stage.refuses_entry(&entry, 13, &["did not end within 3"], Some("evaluation_timeout"));
}

#[test]
fn a_toplevel_that_cannot_be_built() {
    let stage = Stage::new();
    stage.refuses_entry(&Entry::nixos().toplevel("\"/run/current-system\""), 13, &["is a string and not a derivation"], None);
}

#[test]
fn a_class_that_is_not_activated() {
    let entry = Entry::darwin().system(reconciler_tests::SYSTEM);
    Stage::new().refuses_entry(&entry, 13, &["cinnabar is of class darwin"], None);
}

#[test]
fn an_entry_for_another_system() {
    let entry = Entry::nixos().system("riscv64-linux");
    Stage::new().refuses_entry(&entry, 13, &["declared for riscv64-linux", reconciler_tests::SYSTEM], None);
}

#[test]
fn no_nix_daemon() {
    let mut stage = Stage::new();
    stage.store.stop();
    stage.refuses_commit(13, &["cannot reach the nix-daemon", "d.sock"], Some("nix.daemon"));
    stage.store.start();
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "bad");
}

// Policy.

#[test]
fn a_policy_that_cannot_be_read_is_not_followed() {
    let stage = Stage::new();
    stage.fleet.write("reconciler.toml", "[policy]\nkeep_generation = 3\n");
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.publish("a bad policy");
    stage.host.run(&["now"]).ended(0).says("did you mean `keep_generations`").says("stays in force");
    assert_eq!(stage.host.motd(), "second");
}

#[test]
fn policies_that_contradict_each_other() {
    let stage = Stage::new();
    let probe = "[policy.probes.slow]\ncommand = [\"/bin/true\"]\ntimeout = \"2h\"\n";
    stage.fleet.write("reconciler.toml", probe);
    stage.refuses_commit(13, &["the policy cannot be used", "probe `slow`"], None);
}

// Preflight.

#[test]
fn a_secret_that_is_missing() {
    let stage = Stage::new();
    let entry = Entry::nixos().generators("{ web.files.token = { }; }");
    let path = Var::per_machine("cinnabar", "web", "token").secret();
    stage.refuses_entry(&entry, 14, &["1 secret is missing", &format!("{path} is missing")], Some("vars generate"));
}

#[test]
fn a_secret_for_somebody_else() {
    let stage = Stage::new();
    let (token, psk) = (Var::per_machine("cinnabar", "web", "token"), Var::shared("mesh", "psk"));
    token.encrypt(&stage.fleet, "one", &["electrum"]);
    psk.encrypt(&stage.fleet, "two", &["electrum"]);
    let entry = Entry::nixos().generators("{ web.files.token = { }; mesh = { share = true; files.psk = { }; }; }");
    let key = reconciler_tests::Key::of("cinnabar").recipient;
    let says = ["2 secrets are missing or cannot be opened", &token.secret(), &psk.secret(), "is not encrypted to this machine", &key];
    stage.refuses_entry(&entry, 14, &says, Some("sops/machines/cinnabar/key.json"));
}

#[test]
fn a_secret_that_was_cut_off() {
    spoiled("is truncated", "earlier revision", |text| text[..text.len() / 2].to_owned());
}

#[test]
fn a_secret_with_a_conflict_in_it() {
    spoiled("not JSON", "merge conflict", |text| format!("<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n"));
}

#[test]
fn a_secret_that_was_edited() {
    let edit = |text: &str| {
        let mut document: Value = serde_json::from_str(text).unwrap();
        document["sops"]["lastmodified"] = "2020-01-01T00:00:00Z".into();
        document.to_string()
    };
    spoiled("message authentication code", "before it was edited", edit);
}

#[test]
fn a_secret_that_is_none() {
    spoiled("is not a sops file", "merge conflict", |_| "hunter2".to_owned());
    spoiled("is not encrypted", "change that secret", |_| "{\"data\": \"hunter2\"}".to_owned());
}

#[test]
fn a_machine_without_a_key() {
    let stage = Stage::new();
    Var::per_machine("cinnabar", "web", "token").encrypt(&stage.fleet, "one", &["cinnabar"]);
    let key = stage.host.path("var/lib/sops-nix/key.txt");
    std::fs::remove_file(&key).unwrap();
    stage.refuses_commit(14, &["no key of this machine can be read", key.to_str().unwrap()], Some("reconcile keys"));
}

/// Encrypts a secret, spoils its file, and sees it refused.
#[track_caller]
fn spoiled(says: &str, hint: &str, spoil: impl FnOnce(&str) -> String) {
    let stage = Stage::new();
    let token = Var::per_machine("cinnabar", "web", "token");
    token.encrypt(&stage.fleet, "one", &["cinnabar"]);
    let text = stage.fleet.read(&token.secret());
    stage.fleet.write(&token.secret(), &spoil(&text));
    stage.refuses_commit(14, &[&token.secret(), says], Some(hint));
}

// Build.

#[test]
fn a_build_that_fails() {
    let entry = Entry::nixos().built_by("echo compiling; echo undefined reference to main >&2; exit 1\n");
    Stage::new().refuses_entry(&entry, 15, &["the build of cinnabar failed", "undefined reference to main"], None);
}

#[test]
fn a_build_that_takes_too_long() {
    let mut stage = Stage::new();
    stage.host.set("policy.build_timeout", "\"1s\"");
    let entry = Entry::nixos().built_by("exec sleep 600\n");
    stage.refuses_entry(&entry, 15, &["did not end within 1"], None);
}

#[test]
fn a_package_instead_of_a_system() {
    let entry = Entry::nixos().built_by("mkdir -p $out/bin; echo hello >$out/bin/hello\n");
    Stage::new().refuses_entry(&entry, 15, &["is no nixos toplevel", "nixos-version"], None);
}

#[test]
fn a_system_for_another_machine() {
    let stage = Stage::new();
    stage.fleet.write("machines/cinnabar/root/system", "riscv64-linux");
    stage.refuses_commit(15, &["is for riscv64-linux"], None);
}

// The agent's own.

#[test]
fn a_configuration_with_a_key_that_nobody_knows() {
    let mut stage = Stage::new();
    stage.host.set("fleet.brnach", "\"main\"");
    let before = stage.host.picture(&stage.store);
    let file = stage.host.config();
    for command in ["now", "status", "agent"] {
        let says = [file.to_str().unwrap(), "line 1", "fleet.brnach", "did you mean `branch`?"];
        refusal(stage.host.run(&[command]), 2, &says, None);
    }
    assert_eq!(stage.host.picture(&stage.store), before);
}

#[test]
fn no_configuration() {
    let stage = Stage::new();
    let output = stage.host.run(&["--config", "/nowhere/config.toml", "now"]);
    refusal(output, 2, &["/nowhere/config.toml"], Some("reconcile init"));
}

#[test]
fn a_journal_of_a_newer_agent() {
    let stage = Stage::new();
    let mut file = std::fs::File::options().write(true).open(stage.host.state().join("journal.db")).unwrap();
    // The user version in SQLite's header: https://www.sqlite.org/fileformat.html#user_version_number
    file.seek(SeekFrom::Start(60)).unwrap();
    file.write_all(&99_u32.to_be_bytes()).unwrap();
    let before = stage.host.picture(&stage.store);
    for command in ["now", "status", "history", "rollback", "agent"] {
        refusal(stage.host.run(&[command]), 2, &["has format 99"], Some("a newer agent wrote it"));
    }
    assert_eq!(stage.host.picture(&stage.store), before);
}

#[test]
fn a_full_disk() {
    if !is_root() {
        eprintln!("only root can mount a small file system");
        return;
    }
    let stage = Stage::new();
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.publish("change the motd");
    let before = stage.host.picture(&stage.store);
    let mount = "mkdir \"$1/small\" && mount -t tmpfs -o size=8m small \"$1/small\" && \
                 cp -a \"$1/var/lib/reconciler/.\" \"$1/small\" && { cat /dev/zero >\"$1/small/fill\" 2>/dev/null; true; } && \
                 mount --bind \"$1/small\" \"$1/var/lib/reconciler\"";
    let output = stage.host.run_unshared(mount, &["now"]);
    refusal(output, 1, &["the journal"], Some("free some space"));
    assert_eq!(stage.host.picture(&stage.store), before);
    // With space again all is well.
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "second");
}

#[test]
fn a_second_agent() {
    let stage = Stage::new();
    let agent = stage.host.agent();
    agent.until("the first one answers", || stage.host.path("run/reconciler/control.sock").exists());
    refusal(stage.host.run(&["agent"]), 75, &["another agent or pass is running here"], Some("reconcile status"));
    stage.host.now(0);
    assert_eq!(agent.terminate(), Some(0));
}
