//! OpenSSH's own server on a port of the loopback, one process for each connection.

use crate::output::run;
use crate::scratch::Scratch;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A server that one key opens. It listens until the process ends.
#[derive(Debug)]
pub struct Sshd {
    scratch: Scratch,
    port: u16,
    user: String,
}

impl Sshd {
    /// Starts one.
    #[must_use]
    pub fn new() -> Sshd {
        let scratch = Scratch::on_disk();
        let folder = scratch.path().to_owned();
        for key in ["host", "user"] {
            let mut command = Command::new("ssh-keygen");
            command
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
                .arg(folder.join(key));
            run(&mut command, Duration::from_secs(60)).ended(0);
        }
        let shown = folder.display();
        let config = format!(
            "HostKey {shown}/host\nAuthorizedKeysFile {shown}/user.pub\nStrictModes no\nUsePAM no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n\
             SetEnv GIT_CONFIG_GLOBAL=/dev/null\n"
        );
        let file = folder.join("config");
        std::fs::write(&file, config).unwrap();
        // Debian's sshd wants its folder to be there when it runs as root; its unit makes it.
        let _ = std::fs::create_dir_all("/run/sshd");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let input = OwnedFd::from(stream.try_clone().unwrap());
                let mut sshd = Command::new("/usr/sbin/sshd")
                    .args(["-i", "-e", "-f"])
                    .arg(&file)
                    .stdin(input)
                    .stdout(OwnedFd::from(stream))
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                std::thread::spawn(move || sshd.wait());
            }
        });
        let user = run(Command::new("id").arg("-un"), Duration::from_secs(10)).stdout;
        Sshd {
            scratch,
            port,
            user: user.trim().to_owned(),
        }
    }

    /// The address of a repository of this machine.
    #[must_use]
    pub fn url(&self, repository: &Path) -> String {
        format!(
            "ssh://{}@127.0.0.1:{}{}",
            self.user,
            self.port,
            repository.display()
        )
    }

    /// The private key that opens it.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.scratch.path().join("user")
    }

    /// Its host key, as a line of known_hosts.
    #[must_use]
    pub fn known_host(&self) -> String {
        let key = std::fs::read_to_string(self.scratch.path().join("host.pub")).unwrap();
        format!("[127.0.0.1]:{} {key}", self.port)
    }
}

impl Default for Sshd {
    fn default() -> Self {
        Sshd::new()
    }
}
