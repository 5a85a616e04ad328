//! Inputs that only some may fetch: the evaluator may, and nobody hears with what.

use crate::refusal::{Stage, refusal};
use reconciler_tests::{Agent, FileServer, Output, Sshd, run, tool, write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What must not be found in anything that is printed or kept. In base64, as a header has it.
const PASSWORD: &str = "canary-hunter2";
const BASIC: &str = "Basic bWU6Y2FuYXJ5LWh1bnRlcjI=";
const LIMIT: Duration = Duration::from_secs(60);

/// A repository of its own beside the fleet's, with one file.
fn repository(stage: &Stage) -> PathBuf {
    let folder = stage.fleet.work().with_file_name("private");
    let script = "git init -q --initial-branch=main w && cd w && echo imported >name && git add . && \
                  git -c user.name=a -c user.email=a@example.org commit -qm x && git clone -q --bare . ../private.git && \
                  git -C ../private.git update-server-info";
    std::fs::create_dir(&folder).unwrap();
    let mut command = Command::new("/bin/sh");
    command
        .args(["-ec", script])
        .current_dir(&folder)
        .env("HOME", &folder);
    run(&mut command, LIMIT).ended(0);
    folder
}

/// Makes the fleet name cinnabar after the file of the input, locked as a person does who may fetch it.
fn use_input(stage: &Stage, url: &str, netrc: Option<&str>, ssh: Option<&str>) {
    let flake = stage.fleet.read("flake.nix");
    let flake = flake
        .replacen('{', &format!("{{\n  inputs.private = {{ url = \"{url}\"; flake = false; }};"), 1)
        .replace("{ self }:", "{ self, private }:")
        .replace(
            "{ inherit name toplevel; }",
            "{ name = \"${name}-${builtins.replaceStrings [ \"\\n\" ] [ \"\" ] (builtins.readFile (private + \"/name\"))}\"; inherit toplevel; }",
        );
    stage.fleet.write("flake.nix", &flake);
    stage.fleet.git(&["add", "--all"]);
    let home = stage.store.folder().join("person");
    std::fs::create_dir_all(&home).unwrap();
    if let Some(netrc) = netrc {
        write(&home.join(".netrc"), netrc);
    }
    let mut command = Command::new(tool("nix"));
    stage
        .store
        .environment(&mut command)
        .env("HOME", &home)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .args([
            "--extra-experimental-features",
            "nix-command flakes",
            "flake",
            "lock",
        ])
        .args([
            "--option",
            "netrc-file",
            &home.join(".netrc").display().to_string(),
        ])
        .args(["--option", "flake-registry", ""])
        .current_dir(stage.fleet.work());
    if let Some(ssh) = ssh {
        command.env("GIT_SSH_COMMAND", ssh);
    }
    run(&mut command, LIMIT).ended(0);
    stage.fleet.publish("use a private input");
    // The evaluator has neither the person's cache nor what they put into the store.
    std::fs::remove_dir_all(home).unwrap();
    stage.store.nix("nix-store", &["--gc"]).ended(0);
}

#[track_caller]
fn converges(stage: &Stage) {
    stage
        .host
        .run(&["now", "--verbose"])
        .ended(0)
        .never_says("canary");
    let current = stage.host.current().unwrap().display().to_string();
    assert!(current.contains("imported"), "{current}");
    no_canary(stage);
}

/// Neither the host nor the store nor any log has the password, but for the file that it came in.
#[track_caller]
fn no_canary(stage: &Stage) {
    for folder in [stage.host.root(), stage.store.folder()] {
        let mut command = Command::new("grep");
        command
            .args(["-rlaF", "-e", "canary", "-e", &BASIC["Basic ".len()..]])
            .arg(folder);
        let found: Output = run(&mut command, LIMIT);
        let found: Vec<&str> = found
            .stdout
            .lines()
            .filter(|file| !Path::new(file).starts_with(stage.host.path("etc/secret")))
            .collect();
        assert!(found.is_empty(), "{found:#?}");
    }
    assert!(!stage.host.path("run/reconciler/evaluator").exists());
}

#[test]
fn a_git_repository_behind_a_password() {
    let mut stage = Stage::new();
    let server = FileServer::new(&repository(&stage), BASIC);
    let netrc = format!("machine 127.0.0.1 login me password {PASSWORD}\n");
    use_input(
        &stage,
        &format!("git+{}/private.git?ref=main", server.url()),
        Some(&netrc),
        None,
    );
    let refused = server.refused();
    let output = stage.host.run(&["now"]).never_says("canary");
    refusal(output, 13, &["cannot evaluate cinnabar"], None);
    assert!(server.refused() > refused);

    stage.host.write("etc/secret/netrc", &netrc, 0o600);
    stage.host.set("nix.netrc", "\"/etc/secret/netrc\"");
    // The commit that failed is tried again later, another one at once.
    stage.fleet.publish("an empty commit");
    // While it runs as a service, too: its log is looked at below.
    let agent: Agent = stage.host.agent();
    agent.until("it converges", || {
        stage
            .host
            .current()
            .is_some_and(|path| path.display().to_string().contains("imported"))
    });
    assert!(!agent.log().contains("canary"), "{}", agent.log());
    assert_eq!(agent.terminate(), Some(0));
    no_canary(&stage);
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.publish("change the motd");
    converges(&stage);
}

#[test]
fn a_git_repository_behind_ssh() {
    let mut stage = Stage::new();
    let (sshd, folder) = (Sshd::new(), repository(&stage));
    let known = stage.fleet.work().with_file_name("known_hosts");
    write(&known, &sshd.known_host());
    let ssh = format!(
        "ssh -F /dev/null -i {} -o IdentitiesOnly=yes -o UserKnownHostsFile={}",
        sshd.key().display(),
        known.display()
    );
    let url = format!("git+{}?ref=main", sshd.url(&folder.join("private.git")));
    use_input(&stage, &url, None, Some(&ssh));
    stage
        .host
        .run(&["now"])
        .ended(13)
        .says("cannot evaluate cinnabar");
    let key = std::fs::read_to_string(sshd.key()).unwrap();
    stage.host.write("etc/secret/key", &key, 0o600);
    stage.host.set("nix.ssh_key", "\"/etc/secret/key\"");
    // A host that nobody vouches for is not spoken to.
    stage
        .host
        .run(&["now"])
        .ended(13)
        .says("Host key verification failed");
    stage
        .host
        .write("etc/ssh/ssh_known_hosts", &sshd.known_host(), 0o644);
    converges(&stage);
    let secret = key.lines().nth(1).unwrap();
    let mut command = Command::new("grep");
    command
        .args(["-rlaF", secret])
        .arg(stage.host.path("var"))
        .arg(stage.store.folder());
    assert_eq!(run(&mut command, LIMIT).stdout, "");
}

#[test]
fn credentials_that_are_not_there_or_no_credentials() {
    let mut stage = Stage::new();
    stage.host.set("nix.netrc", "\"/etc/secret/netrc\"");
    stage.refuses_commit(13, &["cannot read", "etc/secret/netrc"], Some("nix.netrc"));
    stage.host.write("etc/secret/netrc", "", 0o600);
    stage
        .host
        .write("etc/secret/tokens", &format!("# mine\n{PASSWORD}\n"), 0o600);
    stage.host.set("nix.access_tokens_file", "\"/etc/secret/tokens\"");
    stage.refuses_commit(
        13,
        &["line 2 of", "is no access token"],
        Some("nix.access_tokens_file"),
    );
    no_canary(&stage);
    stage
        .host
        .write("etc/secret/tokens", &format!("example.org={PASSWORD}\n"), 0o600);
    // Real Nix says what it was given; the stand-in, whether it was given as it should be.
    let seen = stage.store.folder().join("seen");
    write(&seen, "");
    std::fs::set_permissions(&seen, std::fs::Permissions::from_mode(0o666)).unwrap();
    let script = format!(
        "case \"$*\" in *canary*) echo argument >>{seen};; esac\n\
         ! env | grep -q canary || echo environment >>{seen}\n\
         {nix} --extra-experimental-features nix-command show-config 2>/dev/null | \
         grep -q '^access-tokens = example.org={PASSWORD}$' && echo settings >>{seen}\n\
         exec {nix} \"$@\"",
        seen = seen.display(),
        nix = tool("nix").display(),
    );
    stage.host.stand_in("nix", &script);
    stage.host.run(&["now"]).ended(0);
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("settings"), "{seen}");
    assert!(
        !seen.contains("argument") && !seen.contains("environment"),
        "{seen}"
    );
    no_canary(&stage);
}
