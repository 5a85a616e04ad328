//! What lies between a client and its daemon when things go wrong: a socket that passes bytes on, until it does not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Every byte travels alone, either way.
    Trickle,
    /// After this many bytes of the daemon's, both sides see the other one hang up.
    CutAnswer(usize),
    /// After this many bytes of the client's, both sides see the other one hang up.
    CutRequest(usize),
    /// After this many bytes of the daemon's, nothing passes any more, and nobody hangs up.
    Stall(usize),
    /// After this many bytes of the daemon's, nothing passes for so long; then all goes on.
    Pause(usize, Duration),
}

/// A proxy of a daemon's socket.
pub(crate) struct Proxy {
    socket: PathBuf,
    accepting: JoinHandle<()>,
    asked: Arc<AtomicUsize>,
    told: Arc<AtomicUsize>,
}

impl Proxy {
    /// Listens at `socket`; every connection suffers the fault.
    pub(crate) fn start(socket: PathBuf, daemon: &Path, fault: Fault) -> Proxy {
        let listener = UnixListener::bind(&socket).unwrap();
        let daemon = daemon.to_owned();
        let (asked, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counters = (Arc::clone(&asked), Arc::clone(&told));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(daemon) = UnixStream::connect(&daemon).await else {
                    continue;
                };
                let counters = counters.clone();
                tokio::spawn(async move { carry(client, daemon, fault, counters).await });
            }
        });
        Proxy {
            socket,
            accepting,
            asked,
            told,
        }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// How many bytes the client sent, and how many the daemon did.
    pub(crate) fn passed(&self) -> (usize, usize) {
        (
            self.asked.load(Ordering::SeqCst),
            self.told.load(Ordering::SeqCst),
        )
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Carries bytes until one side hangs up or the fault strikes; then both sides are hung up on.
async fn carry(
    client: UnixStream,
    daemon: UnixStream,
    fault: Fault,
    counters: (Arc<AtomicUsize>, Arc<AtomicUsize>),
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_daemon, mut to_daemon) = daemon.into_split();
    let piece = if fault == Fault::Trickle { 1 } else { 1 << 16 };
    let (asking, telling) = match fault {
        Fault::None | Fault::Trickle | Fault::Pause(..) => (None, None),
        Fault::CutRequest(after) => (Some(after), None),
        Fault::CutAnswer(after) | Fault::Stall(after) => (None, Some(after)),
    };
    if let Fault::Pause(after, time) = fault {
        let telling = async {
            if pass(&mut from_daemon, &mut to_client, piece, Some(after), &counters.1).await {
                tokio::time::sleep(time).await;
                pass(&mut from_daemon, &mut to_client, piece, None, &counters.1).await;
            }
        };
        tokio::select! {
            _ = pass(&mut from_client, &mut to_daemon, piece, None, &counters.0) => {}
            () = telling => {}
        }
        return;
    }
    let struck = tokio::select! {
        struck = pass(&mut from_client, &mut to_daemon, piece, asking, &counters.0) => struck,
        struck = pass(&mut from_daemon, &mut to_client, piece, telling, &counters.1) => struck,
    };
    if struck && matches!(fault, Fault::Stall(_)) {
        // Until the client had enough.
        let _ = tokio::io::copy(&mut from_client, &mut tokio::io::sink()).await;
    }
}

/// Passes on what comes; true when the fault struck, false when a side hung up.
async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    piece: usize,
    mut left: Option<usize>,
    count: &AtomicUsize,
) -> bool {
    let mut bytes = vec![0; piece];
    loop {
        if left == Some(0) {
            return true;
        }
        let most = left.unwrap_or(piece).min(piece);
        match from.read(&mut bytes[..most]).await {
            Ok(some @ 1..) => {
                if to.write_all(&bytes[..some]).await.is_err() {
                    return false;
                }
                count.fetch_add(some, Ordering::SeqCst);
                left = left.map(|left| left - some);
            }
            _ => return false,
        }
    }
}
