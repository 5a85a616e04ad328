//! A Nix store with a daemon of its own.

use crate::binary::tool;
use crate::output::{Output, run};
use crate::scratch::Scratch;
use crate::wait::wait_for;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Ends the collector, also where the test fails.
struct Finish<'a>(&'a AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A private store and the daemon that serves it. The daemon ends with it.
#[derive(Debug)]
pub struct Store {
    scratch: Scratch,
    daemon: Option<Child>,
}

impl Store {
    /// A new store, empty, and a daemon that answers.
    #[must_use]
    pub fn new() -> Store {
        let mut store = Store {
            scratch: Scratch::on_disk(),
            daemon: None,
        };
        store.lay_out();
        store.start();
        store
    }

    /// Its folders, and the settings of a store in which nothing is fetched and nothing is checked that only a shared
    /// one needs.
    fn lay_out(&self) {
        for folder in [self.store(), self.state(), self.configuration(), self.home()] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let user = run(Command::new("id").arg("-un"), Duration::from_secs(10)).stdout;
        let settings = format!(
            "sandbox = false\nbuild-users-group =\nsubstituters =\nrequire-sigs = false\nfsync-metadata = false\n\
             experimental-features = nix-command flakes\ntrusted-users = {}\nallowed-users = *\n",
            user.trim()
        );
        std::fs::write(self.configuration().join("nix.conf"), settings).unwrap();
    }

    /// Puts the store of another machine at this one's place, empty at the first time, and takes it away at the next:
    /// what one of them builds, the other can have only if both have the same path.
    pub fn swap(&mut self) {
        self.stop();
        let _ = std::fs::remove_file(self.socket());
        let mut is_new = false;
        for name in ["store", "var", "etc"] {
            let (here, aside, between) = (
                self.scratch.path().join(name),
                self.scratch.path().join(format!("{name}.aside")),
                self.scratch.path().join(format!("{name}.between")),
            );
            std::fs::rename(&here, &between).unwrap();
            is_new = std::fs::rename(&aside, &here).is_err();
            std::fs::rename(&between, &aside).unwrap();
        }
        if is_new {
            self.lay_out();
        }
        self.start();
    }

    /// Adds lines to the daemon's nix.conf and starts it anew.
    pub fn configure(&mut self, lines: &str) {
        let file = self.configuration().join("nix.conf");
        let settings = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, format!("{settings}{lines}\n")).unwrap();
        self.stop();
        // A crash leaves its socket behind.
        let _ = std::fs::remove_file(self.socket());
        self.start();
    }

    /// Starts the daemon, where none runs.
    pub fn start(&mut self) {
        if self.daemon.is_some() {
            return;
        }
        let log = std::fs::File::create(self.scratch.path().join("daemon.log")).unwrap();
        let mut command = Command::new(tool("nix-daemon"));
        self.environment(&mut command)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.daemon = Some(command.spawn().unwrap());
        let socket = self.socket();
        wait_for(
            "the nix-daemon answers",
            Duration::from_secs(120),
            || UnixStream::connect(&socket).ok(),
            || std::fs::read_to_string(self.scratch.path().join("daemon.log")).unwrap_or_default(),
        );
    }

    /// Ends the daemon, as a crash would.
    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }

    /// Runs a command of Nix as root of the host would.
    #[track_caller]
    pub fn nix(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(tool(program));
        self.environment(&mut command)
            .env("NIX_REMOTE", "daemon")
            .args(arguments);
        run(&mut command, Duration::from_secs(120))
    }

    /// Collects garbage again and again while `work` is done, at least twice; then every root of the agent's holds something.
    #[track_caller]
    pub fn collect_beside(&self, work: impl FnOnce()) {
        let finished = AtomicBool::new(false);
        let collections = std::thread::scope(|scope| {
            let finish = Finish(&finished);
            let collector = scope.spawn(|| {
                let mut collections = 0;
                while !finished.load(Ordering::Relaxed) {
                    self.nix("nix-store", &["--gc"]).ended(0);
                    collections += 1;
                }
                collections
            });
            work();
            drop(finish);
            collector.join().unwrap()
        });
        assert!(collections > 1, "{collections}");
        self.nix("nix-store", &["--gc"]).ended(0);
        for root in std::fs::read_dir(self.state().join("gcroots/reconciler")).unwrap() {
            // Beside them it says whose they are.
            let Ok(target) = std::fs::read_link(root.unwrap().path()) else {
                continue;
            };
            self.nix("nix-store", &["--check-validity", &target.display().to_string()])
                .ended(0);
        }
    }

    /// The environment of everything of Nix here, and nothing else.
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.home())
            .env("XDG_CACHE_HOME", self.home().join("cache"))
            .env("NIX_STORE_DIR", self.store())
            .env("NIX_STATE_DIR", self.state())
            .env("NIX_LOG_DIR", self.scratch.path().join("var/log/nix"))
            .env("NIX_LOCALSTATE_DIR", self.scratch.path().join("var"))
            .env("NIX_CONF_DIR", self.configuration())
            .env("NIX_DAEMON_SOCKET_PATH", self.socket())
            .env("NIX_USER_CONF_FILES", "/dev/null")
    }

    /// The folder of the store's paths.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.scratch.path().join("store")
    }

    /// Nix's state: profiles, roots, the database.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.scratch.path().join("var/nix")
    }

    /// The daemon's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.scratch.path().join("d.sock")
    }

    /// The folder that everything of the store lies in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    fn configuration(&self) -> PathBuf {
        self.scratch.path().join("etc")
    }

    fn home(&self) -> PathBuf {
        self.scratch.path().join("home")
    }
}

impl Default for Store {
    fn default() -> Self {
        Store::new()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop();
    }
}
