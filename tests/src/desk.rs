//! An administrator's desk: the fleet's work tree, their own key, and the command line there.

use crate::binary::{reconcile, tool};
use crate::fleet::Fleet;
use crate::key::Key;
use crate::output::{Output, run, run_fed};
use crate::scratch::Scratch;
use crate::store::Store;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;
use unix::pty::openpty;

/// How long a command may take before its test fails.
const LIMIT: Duration = Duration::from_secs(300);

/// A person with a home, who works in a fleet.
#[derive(Debug)]
pub struct Desk<'a> {
    home: Scratch,
    memory: Scratch,
    store: &'a Store,
    fleet: &'a Fleet,
}

impl<'a> Desk<'a> {
    /// A desk with the key of the example's `admin`, who is the fleet's only user.
    #[must_use]
    pub fn new(store: &'a Store, fleet: &'a Fleet) -> Desk<'a> {
        let desk = Desk {
            home: Scratch::on_disk(),
            memory: Scratch::in_memory(),
            store,
            fleet,
        };
        let admin = Key::of("admin");
        desk.write(".config/sops/age/keys.txt", &admin.identity);
        desk.knows("users", "admin");
        desk
    }

    /// Puts the example's key of a machine or person into the fleet.
    pub fn knows(&self, kind: &str, name: &str) {
        let key = format!(
            "{{\n  \"publickey\": \"{}\",\n  \"type\": \"age\"\n}}\n",
            Key::of(name).recipient
        );
        self.fleet.write(&format!("sops/{kind}/{name}/key.json"), &key);
    }

    /// The person's home.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The person's folder in memory.
    #[must_use]
    pub fn memory(&self) -> &Path {
        self.memory.path()
    }

    /// Writes a file of the home, for its owner alone.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs `reconcile vars` with these words.
    #[track_caller]
    pub fn vars(&self, arguments: &[&str]) -> Output {
        run(self.command().arg("vars").args(arguments), LIMIT)
    }

    /// The same with something on its standard input.
    #[track_caller]
    pub fn fed(&self, arguments: &[&str], input: &[u8]) -> Output {
        run_fed(self.command().arg("vars").args(arguments), input, LIMIT)
    }

    /// Starts the same, and leaves it running.
    #[must_use]
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command().arg("vars").args(arguments).spawn().unwrap()
    }

    /// Runs it on a terminal: of each pair, the second is typed when the first stands there. Its exit code, and all
    /// that the terminal showed.
    #[track_caller]
    #[must_use]
    pub fn on_terminal(&self, arguments: &[&str], answers: &[(&str, &str)]) -> (Option<i32>, String) {
        let pty = openpty(None, None).unwrap();
        let terminal = File::from(pty.slave);
        let mut command = self.command();
        command
            .arg("vars")
            .args(arguments)
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .stderr(terminal);
        let mut child = command.spawn().unwrap();
        // Its ends of the terminal are the command's alone now.
        drop(command);
        let mut person = File::from(pty.master);
        let mut shown = Vec::new();
        let mut answers = answers.iter();
        let mut next = answers.next();
        let mut asked_from = 0;
        loop {
            let mut bytes = [0; 4096];
            match person.read(&mut bytes) {
                // EIO: nobody holds the other end any more.
                Ok(0) | Err(_) => break,
                Ok(count) => shown.extend(bytes.iter().take(count)),
            }
            let text = String::from_utf8_lossy(&shown).into_owned();
            while let Some((question, answer)) = next
                && let Some(at) = text.get(asked_from..).and_then(|text| text.find(question))
            {
                asked_from += at + question.len();
                person.write_all(answer.as_bytes()).unwrap();
                next = answers.next();
            }
        }
        let code = child.wait().unwrap().code();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert!(
            next.is_none(),
            "it should ask {:?}\n{shown}",
            next.map(|(question, _)| question)
        );
        (code, shown)
    }

    /// What real sops reads of a secret with the key of a machine or person of the example.
    #[track_caller]
    pub fn sops(&self, secret: &str, who: &str) -> Output {
        let keys = self.home.path().join(format!("{who}.txt"));
        std::fs::write(&keys, Key::of(who).identity).unwrap();
        let mut command = Command::new(tool("sops"));
        command
            .args(["decrypt", "--input-type", "binary", "--output-type", "binary"])
            .arg(self.fleet.work().join(secret))
            .env_clear()
            .env("HOME", self.home.path().join("nobody"))
            .env("SOPS_AGE_KEY_FILE", keys);
        run(&mut command, Duration::from_secs(60))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(reconcile());
        self.store
            .environment(&mut command)
            .env("PATH", path())
            .env("HOME", self.home.path())
            .env("XDG_RUNTIME_DIR", self.memory.path())
            .env("NIX_REMOTE", "daemon")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "admin")))
            .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "admin@example.org")))
            .env("RUST_BACKTRACE", "1")
            .current_dir(self.fleet.work());
        command
    }
}

/// Where the tools are, those of the tests included.
fn path() -> String {
    let folders = ["nix", "git", "bwrap"].map(|name| tool(name).parent().map(PathBuf::from));
    let mut path: Vec<String> = folders
        .into_iter()
        .flatten()
        .map(|folder| folder.display().to_string())
        .collect();
    path.extend(["/usr/bin", "/bin"].map(str::to_owned));
    path.dedup();
    path.join(":")
}
