//! What lies between the agent and the nix-daemon when things go wrong: a socket that passes bytes on, until it does
//! not.

use crate::scratch::Scratch;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every byte of the daemon's travels alone.
    Trickle,
    /// One connection, counted from 0, is hung up on after so many bytes of the daemon's.
    Cut {
        /// Which connection.
        connection: usize,
        /// After how many bytes.
        after: usize,
    },
    /// One connection, counted from 0, hears nothing more after so many bytes of the daemon's.
    Stall {
        /// Which connection.
        connection: usize,
        /// After how many bytes.
        after: usize,
    },
}

/// A proxy of a daemon's socket. It ends with it.
#[derive(Debug)]
pub struct Proxy {
    folder: Scratch,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    /// What the daemon said on each connection.
    told: Vec<Vec<u8>>,
    /// Goes up with each fault that is set: what is older does not count any more.
    round: usize,
    ended: bool,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap()
}

impl Proxy {
    /// A socket that leads to the daemon's.
    #[must_use]
    pub fn start(daemon: &Path) -> Proxy {
        let folder = Scratch::on_disk();
        let state = Arc::new(Mutex::new(State {
            fault: Fault::None,
            told: Vec::new(),
            round: 0,
            ended: false,
        }));
        let proxy = Proxy { folder, state };
        let listener = UnixListener::bind(proxy.socket()).unwrap();
        // The evaluator is another user.
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(proxy.socket(), everybody).unwrap();
        let (daemon, state) = (daemon.to_owned(), Arc::clone(&proxy.state));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if locked(&state).ended {
                    return;
                }
                if let Ok(upstream) = UnixStream::connect(&daemon) {
                    carry(client, upstream, &state);
                }
            }
        });
        proxy
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("p.sock")
    }

    /// From now on connections suffer this; they are counted anew.
    pub fn set(&self, fault: Fault) {
        let mut state = locked(&self.state);
        state.fault = fault;
        state.told.clear();
        state.round += 1;
    }

    /// What the daemon has said on each connection since a fault was set.
    #[must_use]
    pub fn told(&self) -> Vec<Vec<u8>> {
        locked(&self.state).told.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        locked(&self.state).ended = true;
        // So that the listener looks.
        let _ = UnixStream::connect(self.socket());
    }
}

/// Carries the bytes of one connection, by a thread for each way.
fn carry(client: UnixStream, daemon: UnixStream, state: &Arc<Mutex<State>>) {
    let (index, round, fault) = {
        let mut state = locked(state);
        state.told.push(Vec::new());
        (state.told.len() - 1, state.round, state.fault)
    };
    let (mut from_client, mut to_daemon) = (client.try_clone().unwrap(), daemon.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_daemon);
        let _ = to_daemon.shutdown(Shutdown::Both);
    });
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        let left = match fault {
            Fault::Cut { connection, after } | Fault::Stall { connection, after } if connection == index => {
                Some(after)
            }
            _ => None,
        };
        let piece = if fault == Fault::Trickle { 1 } else { 1 << 16 };
        let struck = tell(&daemon, &client, left, piece, |said| {
            let mut state = locked(&state);
            if state.round == round {
                state.told[index].extend(said);
            }
        });
        if struck && matches!(fault, Fault::Stall { .. }) {
            // Until the client had enough: the other thread ends the daemon's side then.
            return;
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = daemon.shutdown(Shutdown::Both);
    });
}

/// Tells the client what the daemon says, at most so many bytes; true when that was the reason to stop.
fn tell(
    mut daemon: &UnixStream,
    mut client: &UnixStream,
    mut left: Option<usize>,
    piece: usize,
    mut told: impl FnMut(&[u8]),
) -> bool {
    let mut bytes = vec![0; piece];
    loop {
        let most = left.unwrap_or(piece).min(piece);
        if most == 0 {
            return true;
        }
        match daemon.read(&mut bytes[..most]) {
            Ok(count @ 1..) if client.write_all(&bytes[..count]).is_ok() => {
                told(&bytes[..count]);
                left = left.map(|left| left - count);
            }
            _ => return false,
        }
    }
}
