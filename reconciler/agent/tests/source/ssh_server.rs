//! OpenSSH's own server on a port of the loopback, one process for each connection.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    thread,
};

use camino::{Utf8Path, Utf8PathBuf};

use crate::support::Scratch;

/// Makes an ed25519 key pair; its public half is beside it.
pub(crate) fn key(path: &Utf8Path) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(path)
        .status()
        .expect("ssh-keygen, of OpenSSH's client");
    assert!(status.success());
}

/// Type and base64, without the comment.
pub(crate) fn public(path: &Utf8Path) -> String {
    let text = fs::read_to_string(format!("{path}.pub")).unwrap();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

pub(crate) struct Sshd {
    pub(crate) port: u16,
    pub(crate) host_key: Utf8PathBuf,
    /// Whoever has this key may log in.
    pub(crate) user_key: Utf8PathBuf,
    pub(crate) user: String,
}

impl Sshd {
    pub(crate) fn start(scratch: &Scratch) -> Self {
        let folder = scratch.path.join("sshd");
        fs::create_dir(&folder).unwrap();
        let (host_key, user_key) = (folder.join("host"), folder.join("user"));
        key(&host_key);
        key(&user_key);
        fs::copy(format!("{user_key}.pub"), folder.join("authorized_keys")).unwrap();
        let config = folder.join("config");
        let text = format!(
            "HostKey {host_key}\nAuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n\
             SetEnv GIT_CONFIG_GLOBAL=/dev/null\n"
        );
        fs::write(&config, text).unwrap();
        // Debian's sshd wants its folder to be there when it runs as root; its unit makes it.
        let _ = fs::create_dir_all("/run/sshd");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let input = OwnedFd::from(stream.try_clone().unwrap());
                let mut sshd = Command::new("/usr/sbin/sshd")
                    .args(["-i", "-e", "-f"])
                    .arg(&config)
                    .stdin(input)
                    .stdout(OwnedFd::from(stream))
                    .stderr(Stdio::null())
                    .spawn()
                    .expect("/usr/sbin/sshd, of OpenSSH's server");
                thread::spawn(move || sshd.wait());
            }
        });
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap().trim().to_owned();
        Self {
            port,
            host_key,
            user_key,
            user,
        }
    }

    pub(crate) fn url(&self, path: &Utf8Path) -> String {
        format!("ssh://{}@127.0.0.1:{}{path}", self.user, self.port)
    }

    pub(crate) fn known_host(&self, key: &Utf8Path) -> String {
        format!("[127.0.0.1]:{} {}\n", self.port, public(key))
    }
}

/// An ssh-agent that holds one key.
pub(crate) struct Agent {
    process: Child,
    pub(crate) socket: Utf8PathBuf,
}

impl Agent {
    pub(crate) fn start(scratch: &Scratch, key: &Utf8Path) -> Self {
        let socket = scratch.path.join("agent");
        let mut process = Command::new("ssh-agent")
            .args(["-D", "-a", socket.as_str()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It names the socket once it listens.
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let agent = Self { process, socket };
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &agent.socket)
            .status()
            .unwrap();
        assert!(added.success());
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
