//! A machine in a folder: its configuration, its keys, and the command line on it.

use crate::agent::Agent;
use crate::binary::{fixtures, reconcile, tool};
use crate::fleet::Fleet;
use crate::key::Key;
use crate::output::{Output, run};
use crate::plaintexts::Plaintexts;
use crate::scratch::Scratch;
use crate::store::Store;
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use unix::sys::signal::{Signal, killpg};
use unix::unistd::Pid;

/// How long a command may take before its test fails.
const LIMIT: Duration = Duration::from_secs(300);

/// A host. Its root lies in memory, so that its secrets do.
#[derive(Debug)]
pub struct Host {
    scratch: Scratch,
    tools: Scratch,
    store_folder: PathBuf,
    settings: BTreeMap<String, String>,
    /// How often it was started anew.
    boots: u32,
    plaintexts: Plaintexts,
}

impl Host {
    /// A host that is `machine` of a fleet and has its key from the example.
    #[must_use]
    pub fn new(store: &Store, fleet: &Fleet, machine: &str) -> Host {
        let mut host = Host {
            scratch: Scratch::in_memory(),
            tools: Scratch::on_disk(),
            store_folder: store.store(),
            settings: BTreeMap::new(),
            boots: 0,
            plaintexts: fleet.plaintexts(),
        };
        // The line that is the key: what stands around it is said on purpose.
        let identity = Key::of(machine).identity;
        let private = identity.lines().find(|line| line.starts_with("AGE-SECRET-KEY-"));
        host.plaintexts.add(private.unwrap_or_default());
        host.watch("nix");
        host.watch("nix-env");
        host.write("var/lib/sops-nix/key.txt", &Key::of(machine).identity, 0o600);
        let root = host.root().display().to_string();
        let settings = [
            ("machine", machine.to_owned()),
            ("fleet.url", fleet.url()),
            ("fleet.poll", "1s".to_owned()),
            ("paths.root", root),
            ("nix.daemon", store.socket().display().to_string()),
            ("nix.store", store.store().display().to_string()),
            ("nix.state", store.state().display().to_string()),
        ];
        for (key, value) in settings {
            host.settings.insert(key.to_owned(), format!("{value:?}"));
        }
        host.set("policy.probe_grace", "\"1s\"");
        host.set("policy.probe_retries", "0");
        host.set("policy.probe_soak", "\"0s\"");
        host
    }

    /// Puts a program of the fixtures before the host's own of that name.
    pub fn install(&self, program: &str) {
        let to = self.tools.path().join("bin").join(program);
        std::fs::copy(fixtures().join("bin").join(program), &to).unwrap();
        std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The folder of programs that come before the host's own.
    #[must_use]
    pub fn tools(&self) -> PathBuf {
        self.tools.path().join("bin")
    }

    /// Lets the host have a systemd: its mark, and a `systemctl` with a memory.
    pub fn with_systemd(&self) {
        self.install("systemctl");
        std::fs::create_dir_all(self.path("run/systemd/system")).unwrap();
    }

    /// How a unit is, as its `systemctl` says.
    #[must_use]
    pub fn unit(&self, name: &str) -> String {
        let state = self.path("run/systemd/memory/state").join(name);
        std::fs::read_to_string(state).map_or_else(|_| "unknown".to_owned(), |state| state.trim().to_owned())
    }

    /// Sets a key of the configuration to a value in TOML's own writing.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.insert(key.to_owned(), value.to_owned());
        let lines = self
            .settings
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"));
        self.write("etc/reconciler/config.toml", &lines.collect::<String>(), 0o644);
    }

    /// The root, below which everything of the host lies.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.scratch.path()
    }

    /// A path of the host.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// The agent's state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path("var/lib/reconciler")
    }

    /// The folder of the paths of its store.
    #[must_use]
    pub fn store(&self) -> &Path {
        &self.store_folder
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path("etc/reconciler/config.toml")
    }

    /// Writes a file of the host with an exact mode.
    pub fn write(&self, path: &str, text: &str, mode: u32) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Runs `reconcile` with these words, as root's shell on the host would, with no more than a short
    /// environment.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        match self.boots {
            0 => self.silent(run(self.command().args(arguments), LIMIT), arguments),
            boot => self.run_in_boot(boot, arguments),
        }
    }

    /// What a command printed has no plaintext in it, but where it was asked for.
    #[track_caller]
    fn silent(&self, output: Output, arguments: &[&str]) -> Output {
        let asked = arguments.starts_with(&["vars", "decrypt"]);
        for stream in [&output.stdout, &output.stderr] {
            let found = self.plaintexts.in_bytes(stream.as_bytes());
            assert!(
                asked || found.is_none(),
                "it shows the plaintext {found:?}\n{output}"
            );
        }
        output
    }

    /// Nothing that the agent and its tools keep, or log, has a plaintext in it.
    fn is_silent(&self) -> Result<(), String> {
        let places = [
            self.state(),
            self.path("run/reconciler"),
            self.tools.path().join("agent.log"),
            self.tools.path().join("uses"),
        ];
        match places.iter().find_map(|place| self.plaintexts.in_files(place)) {
            Some(found) => Err(found),
            None => Ok(()),
        }
    }

    pub(crate) fn count_boot(&mut self) {
        self.boots += 1;
    }

    /// Runs `reconcile` as another user, to whom everything of the host is given; only root can.
    #[track_caller]
    pub fn run_as(&self, id: u32, arguments: &[&str]) -> Output {
        give(self.root(), id);
        // Where the tests were built others may not look.
        let binary = self.tools().join("reconcile");
        if !binary.exists() {
            std::fs::copy(reconcile(), &binary).unwrap();
        }
        let mut command = Command::new(tool("setpriv"));
        command
            .args([format!("--reuid={id}"), format!("--regid={id}")])
            .args(["--clear-groups", "--"])
            .arg(binary)
            .args(arguments);
        self.environment(&mut command);
        self.silent(run(&mut command, LIMIT), arguments)
    }

    /// Runs `reconcile` with variables besides.
    #[track_caller]
    pub fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = self.command();
        command.envs(variables.iter().copied()).args(arguments);
        self.silent(run(&mut command, LIMIT), arguments)
    }

    /// Starts `reconcile` with variables besides, and leaves it running; what it says goes into a file.
    #[must_use]
    pub fn start(&self, variables: &[(&str, &str)], arguments: &[&str], says: &Path) -> Child {
        let file = std::fs::File::create(says).unwrap();
        self.command()
            .envs(variables.iter().copied())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap()
    }

    /// The process of the deadman of a transaction that waits, by its marker.
    #[must_use]
    pub fn deadman(&self, transaction: u64) -> Option<u32> {
        let folder = self.state().join(format!("transactions/{transaction}"));
        holder(&folder.join("deadman.started"))
    }

    /// Runs `reconcile` in a mount namespace of its own, after a shell command that mounts things there; only
    /// root can. The paths of the host are `$1`.
    #[track_caller]
    pub fn run_unshared(&self, mount: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(tool("unshare"));
        command
            .args(["--mount", "--", "/bin/sh", "-c"])
            .arg(format!("{{ {mount}; }} && shift && exec \"$@\""))
            .arg("sh")
            .arg(self.root())
            .arg(reconcile())
            .args(arguments);
        self.environment(&mut command);
        self.silent(run(&mut command, LIMIT), arguments)
    }

    /// `reconcile now --json`: its document, after it ended with `code`.
    #[track_caller]
    pub fn now(&self, code: i32) -> Value {
        self.run(&["now", "--json"]).ended(code).json()
    }

    /// `reconcile status --json`.
    #[track_caller]
    #[must_use]
    pub fn status(&self) -> Value {
        self.run(&["status", "--json"]).ended(0).json()
    }

    /// `reconcile history --json`: a list, the newest first.
    #[track_caller]
    #[must_use]
    pub fn history(&self) -> Vec<Value> {
        let output = self.run(&["history", "--json"]).ended(0);
        match output.json() {
            Value::Array(list) => list,
            _ => panic!("the history is no list\n{output}"),
        }
    }

    /// Starts the agent.
    #[must_use]
    pub fn agent(&self) -> Agent {
        let log = self.tools.path().join("agent.log");
        Agent::start(self.command().arg("agent"), log)
    }

    /// Puts a shell script before a program of the host, in place of what watches it.
    pub fn stand_in(&self, program: &str, script: &str) {
        let file = self.tools.path().join("bin").join(program);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Takes away what watches a program, so that the host has its own.
    pub fn stop_watching(&self, program: &str) {
        std::fs::remove_file(self.tools.path().join("bin").join(program)).unwrap();
    }

    /// Every use of `nix` and `nix-env` by the agent so far, one a line: user id, program, arguments.
    #[must_use]
    pub fn nix_uses(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.tools.path().join("uses")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(reconcile());
        self.environment(&mut command);
        command
    }

    fn environment(&self, command: &mut Command) {
        let path = format!("{}/bin:/usr/local/bin:/usr/bin:/bin", self.tools.path().display());
        command
            .env_clear()
            .env("PATH", path)
            .env("RECONCILER_CONFIG", self.config())
            .env("RUST_BACKTRACE", "1")
            .current_dir("/");
    }

    /// Puts a program before the real one that writes its use down.
    fn watch(&self, program: &str) {
        let uses = self.tools.path().join("uses");
        std::fs::write(&uses, "").unwrap();
        // The evaluator is another user.
        std::fs::set_permissions(&uses, std::fs::Permissions::from_mode(0o666)).unwrap();
        let wrapper = self.tools.path().join("bin").join(program);
        std::fs::create_dir_all(wrapper.parent().unwrap()).unwrap();
        let script = format!(
            "#!/bin/sh\necho \"$(id -u) {program} $*\" | head -n 1 >>{}\nexec {} \"$@\"\n",
            uses.display(),
            tool(program).display()
        );
        std::fs::write(&wrapper, script).unwrap();
        std::fs::set_permissions(wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Gives a folder to a user, with everything below it.
fn give(folder: &Path, id: u32) {
    std::os::unix::fs::lchown(folder, Some(id), Some(id)).unwrap();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            give(&entry.path(), id);
        } else {
            std::os::unix::fs::lchown(entry.path(), Some(id), Some(id)).unwrap();
        }
    }
}

impl Drop for Host {
    /// A deadman would wait for a host that is gone. And whatever the test was about: no plaintext is left anywhere.
    fn drop(&mut self) {
        let transactions = std::fs::read_dir(self.state().join("transactions"));
        for folder in transactions.into_iter().flatten().flatten() {
            if let Some(deadman) = holder(&folder.path().join("deadman.started")) {
                let _ = killpg(Pid::from_raw(deadman.cast_signed()), Signal::SIGKILL);
            }
        }
        if !std::thread::panicking()
            && let Err(found) = self.is_silent()
        {
            panic!("{found}");
        }
    }
}

/// The process that holds a marker: while somebody does, the one that is written in it.
fn holder(marker: &Path) -> Option<u32> {
    let file = std::fs::File::open(marker).ok()?;
    if file.try_lock_shared().is_ok() {
        return None;
    }
    let text = std::fs::read_to_string(marker).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("pid ")?.parse().ok())
}
