//! Telling systemd how the agent stands, as sd_notify(3) does. Without systemd it says nothing.

use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What there is to tell.
#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    Ready,
    Stopping,
}

/// Sends `state` to the socket that systemd named. A supervisor that does not listen is no reason to fail.
pub(super) fn notify(socket: Option<&str>, state: State) {
    let Some(socket) = socket else { return };
    let message = match state {
        State::Ready => "READY=1",
        State::Stopping => "STOPPING=1",
    };
    let sent = address(socket)
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!("cannot tell systemd {message}: {error}");
    }
}

fn address(socket: &str) -> std::io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(socket)
}
