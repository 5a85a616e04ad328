//! A real Nix daemon on a store of its own, for as long as a test runs.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix_daemon_client::{Client, ConnectOptions, Garbage, PathInfo, StorePath};
use tempfile::TempDir;

/// How long anything is waited for that has to happen.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A daemon, its store, and the folder both live in.
pub(crate) struct Daemon {
    process: Child,
    root: TempDir,
    path: PathBuf,
}

impl Daemon {
    /// Starts a daemon that trusts this user.
    pub(crate) fn start() -> Daemon {
        Daemon::start_with(&format!("trusted-users = {}\nallowed-users = *\n", user()))
    }

    /// Starts a daemon with these lines in its configuration.
    ///
    /// The socket is bound here and handed over, as systemd does it: whoever connects waits in the socket's
    /// queue until the daemon is up.
    pub(crate) fn start_with(lines: &str) -> Daemon {
        assert!(
            Command::new("nix-daemon")
                .arg("--version")
                .output()
                .is_ok_and(|out| out.status.success()),
            "these tests need a real Nix daemon: install it (Debian: `apt-get install nix-bin`) so that \
             `nix-daemon` and `nix-instantiate` are in PATH"
        );
        // A short path: a socket's name has room for 108 bytes, of which macOS gives 104.
        let root = tempfile::Builder::new().prefix("nd").tempdir_in("/tmp").unwrap();
        let path = root.path().canonicalize().unwrap();
        for folder in ["store", "etc", "home", "var/nix"] {
            std::fs::create_dir_all(path.join(folder)).unwrap();
        }
        let config = format!(
            "sandbox = false\nbuild-users-group =\nsubstituters =\nbuilders =\nrequire-sigs = false\n{lines}"
        );
        std::fs::write(path.join("etc/nix.conf"), config).unwrap();
        let listener = UnixListener::bind(path.join("d.sock")).unwrap();
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg("exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec nix-daemon")
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        environment(&mut command, &path);
        let process = command.spawn().unwrap();
        Daemon { process, root, path }
    }

    /// The folder of this daemon: `store`, `var`, the socket; tests put their own files beside them.
    pub(crate) fn root(&self) -> &Path {
        &self.path
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join("d.sock")
    }

    pub(crate) fn store_dir(&self) -> String {
        self.path.join("store").to_str().unwrap().to_owned()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.socket(), &ConnectOptions::default())
            .await
            .unwrap()
    }

    /// The processes that serve a connection each.
    pub(crate) fn workers(&self) -> Vec<unix::unistd::Pid> {
        let found = Command::new("pgrep")
            .arg("-P")
            .arg(self.process.id().to_string())
            .output()
            .unwrap();
        let text = String::from_utf8(found.stdout).unwrap();
        text.lines()
            .map(|line| unix::unistd::Pid::from_raw(line.parse().unwrap()))
            .collect()
    }

    /// Instantiates derivations, each of which runs a shell script of its own, in one go.
    pub(crate) fn derivations(&self, names: &[String], script: &str) -> Vec<StorePath> {
        let list: String = names.iter().map(|name| format!("\"{name}\" ")).collect();
        let expression = format!(
            "map (name: derivation {{ inherit name; system = builtins.currentSystem; builder = \"/bin/sh\"; \
             PATH = \"/usr/bin:/bin\"; args = [ \"-c\" ''{script}'' ]; }}) [ {list}]"
        );
        let drvs = self.tool("nix-instantiate", &["-E", &expression]);
        drvs.lines()
            .map(|drv| StorePath::parse(&self.store_dir(), drv).unwrap())
            .collect()
    }

    /// Instantiates a derivation that runs a shell script; `attributes` are further ones, in Nix.
    pub(crate) fn derivation(&self, name: &str, script: &str, attributes: &str) -> StorePath {
        let expression = format!(
            "derivation {{ name = \"{name}\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
             PATH = \"/usr/bin:/bin\"; args = [ \"-c\" ''{script}'' ]; {attributes} }}"
        );
        self.instantiate(&expression)
    }

    /// Evaluates an expression to a derivation.
    pub(crate) fn instantiate(&self, expression: &str) -> StorePath {
        let drv = self.tool("nix-instantiate", &["-E", expression]);
        StorePath::parse(&self.store_dir(), &drv).unwrap()
    }

    /// What is known of a path that is valid.
    pub(crate) async fn info(&self, path: &StorePath) -> PathInfo {
        let mut client = self.client().await;
        client.query_path_info(path).await.unwrap().unwrap()
    }

    /// Deletes a path; nobody may hold it any more.
    pub(crate) async fn delete(&self, path: &StorePath) {
        let garbage = Garbage::Delete([path.clone()].into());
        // The daemon's worker for a connection that held it ends a moment after the connection.
        let deleted = async {
            while self
                .client()
                .await
                .collect_garbage(&garbage, &mut ())
                .await
                .is_err()
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, deleted)
            .await
            .expect("it stays alive");
    }

    /// Runs one of Nix's own tools against this daemon; returns what it prints.
    pub(crate) fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(arguments).env("NIX_REMOTE", "daemon");
        environment(&mut command, &self.path);
        run(&mut command)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Store paths are read-only, which stops whoever is not root from removing them.
        let _ = Command::new("chmod")
            .args(["-R", "u+w"])
            .arg(self.root.path())
            .status();
    }
}

fn environment(command: &mut Command, root: &Path) {
    command
        .env("NIX_STORE_DIR", root.join("store"))
        .env("NIX_STATE_DIR", root.join("var/nix"))
        .env("NIX_LOG_DIR", root.join("var/log/nix"))
        .env("NIX_LOCALSTATE_DIR", root.join("var"))
        .env("NIX_CONF_DIR", root.join("etc"))
        .env("NIX_USER_CONF_FILES", "/dev/null")
        .env("NIX_DAEMON_SOCKET_PATH", root.join("d.sock"))
        .env("HOME", root.join("home"))
        .env("XDG_CACHE_HOME", root.join("home/cache"))
        .env_remove("NIX_PATH")
        .env_remove("NIX_CONFIG");
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The name of this user.
pub(crate) fn user() -> String {
    run(Command::new("id").arg("-un"))
}
