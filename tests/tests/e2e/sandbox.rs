//! Generators that mean harm, or hang: nothing of the administrator's is read or reached, nothing is kept, and the
//! command ends with what happened.

use super::generate::tools;
use reconciler_tests::{Desk, Entry, Fleet, Output, Store, eventually};
use std::net::TcpListener;
use std::path::Path;
use unix::sys::signal::{Signal, kill};
use unix::unistd::Pid;

/// A fleet whose one generator runs this script.
fn fleet(script: &str) -> Fleet {
    let fleet = Fleet::new();
    fleet.declare("cinnabar", &Entry::nixos().generators(&generator(script)));
    fleet.commit("a generator");
    fleet
}

fn generator(script: &str) -> String {
    let script = script.replace("''", "'''").replace("${", "''${");
    format!(
        "{{ g = {{ runtimeInputs = [ {} ]; files.f = {{ }}; script = ''\n{script}\n''; }}; }}",
        tools()
    )
}

/// Runs another script in the same fleet.
fn with_script(fleet: &Fleet, desk: &Desk<'_>, script: &str, more: &[&str]) -> Output {
    fleet.declare("cinnabar", &Entry::nixos().generators(&generator(script)));
    desk.vars(&[&["generate"], more].concat())
}

fn nothing_is_left(fleet: &Fleet, desk: &Desk<'_>) {
    assert!(!fleet.work().join("vars").exists(), "something was kept");
    assert!(
        std::fs::read_dir(desk.memory()).unwrap().next().is_none(),
        "something is left in memory"
    );
}

#[test]
fn what_a_hostile_script_makes_is_not_taken() {
    let store = Store::new();
    let fleet = fleet("exit 0");
    let desk = Desk::new(&store, &fleet);
    desk.knows("machines", "cinnabar");
    for (script, said) in [
        ("exit 0", "did not make f; it made nothing in $out"),
        ("echo x >$out/other", "did not make f; it made other"),
        ("ln -s /etc/passwd $out/f", "made `f` as a symbolic link"),
        ("mkfifo $out/f", "made `f` as a socket or a pipe"),
        ("ln -s . $out/f", "made `f` as a symbolic link"),
        (
            "mknod $out/f c 1 3; : >$out/x; cat $out/f",
            "failed with exit code 1",
        ),
        ("truncate -s 20000000 $out/f", "of 20000000 bytes"),
        (
            "head -c 100000000 /dev/zero >$out/f; sleep 1000",
            "wrote more than 64 MiB to $out",
        ),
        (
            "head -c 300000000 /dev/zero >/tmp/f; echo more >$out/f",
            "failed with exit code 1",
        ),
        ("yes flood", "wrote more than"),
        ("yes flood >&2", "wrote more than"),
        ("kill -9 $$", "failed with"),
    ] {
        with_script(&fleet, &desk, script, &[]).ended(1).says(said);
        nothing_is_left(&fleet, &desk);
    }
    with_script(&fleet, &desk, "sleep 1000 & sleep 1000", &["--time-limit", "1"])
        .ended(1)
        .says("did not end within 1.0 s")
        .says("--time-limit");
    nothing_is_left(&fleet, &desk);
    // What it says of its values is not passed on.
    with_script(
        &fleet,
        &desk,
        "echo canary-value >$out/f; cat $out/f >&2; echo the reason >&2; exit 3",
        &[],
    )
    .ended(1)
    .says("the reason")
    .says("[redacted]")
    .never_says("canary-value");
    nothing_is_left(&fleet, &desk);
    // More than it declares is told, and not kept.
    with_script(&fleet, &desk, "echo one >$out/f; echo two >$out/more", &[])
        .ended(0)
        .says("g (cinnabar) made more, which it does not declare");
    assert!(!fleet.work().join("vars/per-machine/cinnabar/g/more").exists());
}

#[test]
fn nothing_of_the_administrator_can_be_reached() {
    let store = Store::new();
    let fleet = fleet("exit 0");
    let desk = Desk::new(&store, &fleet);
    desk.knows("machines", "cinnabar");
    desk.write("secret", "canary-home");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let home = desk.home().display();
    let work = fleet.work().display().to_string();
    // Every line of the report is something that it could reach.
    let probe = format!(
        "{{ for file in {home}/secret {home}/.config/sops/age/keys.txt {work}/flake.nix /etc/shadow /proc/1/root{home}/secret \
         /root /home /usr /var /run /dev/shm/*; do\n\
         if [ -e \"$file\" ]; then echo reached $file; fi; done\n\
         nc 127.0.0.1 {port} </dev/null >/dev/null 2>/dev/null & sleep 1; kill $! 2>/dev/null || :\n\
         for line in $(cut -d: -f1 -s /proc/net/dev); do if [ $line != lo ]; then echo reached $line; fi; done\n\
         for process in /proc/[0-9]*; do case $(tr '\\0' ' ' <$process/cmdline) in *vars?generate*) echo reached $process;; esac; done\n\
         if echo x 2>/dev/null >{store}/probe; then echo reached the store; fi\n\
         if echo x 2>/dev/null >/probe; then echo reached the root; fi\n\
         if echo x 2>/dev/null >/work/in/probe; then echo reached its input; fi\n\
         case $(cat /proc/self/status) in *Uid:?1000?*) ;; *) echo reached another user ;; esac\n\
         if [ -n \"${{XDG_RUNTIME_DIR:-}}${{NIX_REMOTE:-}}${{SSH_AUTH_SOCK:-}}\" ]; then echo reached the environment; fi\n\
         echo end; }} >$out/f",
        store = store.store().display(),
    );
    with_script(&fleet, &desk, &probe, &[]).ended(0);
    let found = desk
        .sops("vars/per-machine/cinnabar/g/f/secret", "admin")
        .ended(0)
        .stdout;
    assert_eq!(found, "end\n");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "it came through the network");
    // Without the sandbox it is said loudly, and the same script does reach things: the probe can tell.
    let output = with_script(
        &fleet,
        &desk,
        &probe,
        &["--no-sandbox", "--regenerate", "--time-limit", "60"],
    );
    output.ended(0).says("warning: the scripts run without a sandbox");
    let found = desk
        .sops("vars/per-machine/cinnabar/g/f/secret", "admin")
        .ended(0)
        .stdout;
    assert!(found.contains(&format!("reached {home}/secret")), "{found}");
    assert!(
        listener.accept().is_ok(),
        "the probe cannot use the network at all"
    );
}

#[test]
fn without_a_sandbox_or_a_shell_nothing_runs() {
    let store = Store::new();
    let fleet = Fleet::new();
    let bare = "{ g = { files.f = { }; script = \"echo x >$out/f\"; }; }";
    fleet.declare("cinnabar", &Entry::nixos().generators(bare));
    let desk = Desk::new(&store, &fleet);
    desk.knows("machines", "cinnabar");
    fleet.commit("a generator");
    // The host's own shell is not in this store.
    desk.vars(&["generate"])
        .ended(2)
        .says("there is no shell in its runtimeInputs");
    desk.vars(&["generate", "--no-sandbox"]).ended(0);
}

#[test]
fn a_stopped_command_leaves_whole_generators_and_no_plaintext() {
    let store = Store::new();
    let fleet = Fleet::new();
    let generators = format!(
        "let runtimeInputs = [ {} ]; in {{
           a = {{ inherit runtimeInputs; files.f = {{ }}; files.g = {{ }}; script = \"echo one >$out/f; echo one >$out/g\"; }};
           b = {{ inherit runtimeInputs; dependencies = [ \"a\" ]; files.f = {{ }}; files.g = {{ }};
                 script = \"echo canary-half >$out/f; sleep ''${{builtins.readFile ../../seconds}}; echo x >$out/g\"; }}; }}",
        tools()
    );
    fleet.write("seconds", "1000");
    fleet.declare(
        "cinnabar",
        &Entry::nixos().generators(&generators.replace("''$", "$")),
    );
    let desk = Desk::new(&store, &fleet);
    desk.knows("machines", "cinnabar");
    fleet.commit("two generators");
    let first = fleet.work().join("vars/per-machine/cinnabar/a/g/secret");
    let second = fleet.work().join("vars/per-machine/cinnabar/b");
    for (signal, leaves) in [
        (Signal::SIGINT, false),
        (Signal::SIGTERM, false),
        (Signal::SIGKILL, true),
    ] {
        let mut running = desk.start(&["generate"]);
        eventually("the second generator runs", || {
            first.exists() && holds(desk.memory(), "canary-half")
        });
        kill(Pid::from_raw(running.id().cast_signed()), signal).unwrap();
        let status = running.wait().unwrap();
        assert!(!status.success());
        assert!(!second.exists(), "half a generator");
        let left = std::fs::read_dir(desk.memory()).unwrap().next().is_some();
        assert_eq!(left, leaves, "after {signal}");
        // What was made is whole, and is not made again.
        let made = std::fs::read(&first).unwrap();
        assert_eq!(
            desk.sops("vars/per-machine/cinnabar/a/g/secret", "cinnabar")
                .ended(0)
                .stdout,
            "one\n"
        );
        desk.vars(&["generate", "--dry-run"])
            .ended(0)
            .says("1 generator would run");
        assert_eq!(std::fs::read(&first).unwrap(), made);
    }
    // The next one clears what the killed one left, and finishes.
    fleet.write("seconds", "0");
    desk.vars(&["generate"]).ended(0).says("1 generator ran");
    assert!(std::fs::read_dir(desk.memory()).unwrap().next().is_none());
    assert_eq!(
        desk.sops("vars/per-machine/cinnabar/b/f/secret", "cinnabar")
            .ended(0)
            .stdout,
        "canary-half\n"
    );
}

/// Whether any file below a folder holds a text.
fn holds(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            let path = entry.path();
            if path.symlink_metadata().is_ok_and(|facts| facts.is_dir()) {
                holds(&path, text)
            } else {
                // The script itself says the word as well.
                path.file_name().is_some_and(|name| name == "f")
                    && std::fs::read_to_string(&path).is_ok_and(|content| content.contains(text))
            }
        })
}
