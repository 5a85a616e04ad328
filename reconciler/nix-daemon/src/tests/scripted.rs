//! A daemon that follows a script: expects these bytes, sends those.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::connect::{ConnectError, ConnectOptions};
use crate::event::Event;
use crate::store_path::StorePath;

pub(super) const CLIENT_HELLO: u64 = 0x6e69_7863;
pub(super) const DAEMON_HELLO: u64 = 0x6478_696f;
pub(super) const LAST: u64 = 0x616c_7473;
pub(super) const ERROR: u64 = 0x6378_7470;

pub(super) const A: &str = "/nix/store/00000000000000000000000000000000-a";
pub(super) const B: &str = "/nix/store/11111111111111111111111111111111-b";
pub(super) const DRV: &str = "/nix/store/22222222222222222222222222222222-c.drv";
/// The SHA-256 of nothing.
pub(super) const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

pub(super) fn path(full: &str) -> StorePath {
    StorePath::from_absolute(full).unwrap()
}

/// Bytes of the wire, put together by hand, apart from the code under test.
#[derive(Debug, Clone, Default)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    pub(super) fn n(mut self, value: u64) -> Bytes {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn s(self, value: impl AsRef<[u8]>) -> Bytes {
        let value = value.as_ref();
        let mut bytes = self.n(value.len() as u64);
        bytes.0.extend(value);
        while !bytes.0.len().is_multiple_of(8) {
            bytes.0.push(0);
        }
        bytes
    }

    pub(super) fn list(self, values: &[&str]) -> Bytes {
        values
            .iter()
            .fold(self.n(values.len() as u64), |bytes, value| bytes.s(value))
    }

    pub(super) fn then(mut self, other: Bytes) -> Bytes {
        self.0.extend(other.0);
        self
    }
}

pub(super) fn bytes() -> Bytes {
    Bytes::default()
}

/// What a daemon says of a path, but for the path itself.
pub(super) fn known(deriver: &str, content_address: &str) -> Bytes {
    bytes()
        .s(deriver)
        .s(HASH)
        .list(&[A, B])
        .n(1)
        .n(2)
        .n(1)
        .list(&["k:s"])
        .s(content_address)
}

/// An error as the daemon sends it.
pub(super) fn error(message: &str) -> Bytes {
    bytes()
        .n(ERROR)
        .s("Error")
        .n(0)
        .s("Error")
        .s(message)
        .n(0)
        .n(1)
        .n(0)
        .s("while \u{1b}[1mtesting\u{1b}[0m")
}

/// The request that tells whether a connection outlived an error: which of no paths are valid.
pub(super) fn probe() -> Bytes {
    bytes().n(31).n(0).n(0)
}

/// One turn: what is expected, after how long the answer comes, and the answer.
pub(super) struct Turn {
    pub(super) expect: Vec<u8>,
    pub(super) delay: Duration,
    pub(super) send: Vec<u8>,
}

pub(super) fn turn(expect: Bytes, send: Bytes) -> Turn {
    Turn {
        expect: expect.0,
        delay: Duration::ZERO,
        send: send.0,
    }
}

/// The greeting of a daemon that speaks `1.theirs` with a client that announces 1.38.
pub(super) fn greeting(theirs: u64) -> Vec<Turn> {
    let common = theirs.min(38);
    let hello = turn(bytes().n(CLIENT_HELLO), bytes().n(DAEMON_HELLO).n(256 + theirs));
    let mut expect = bytes().n(256 + 38);
    let mut send = bytes();
    if common >= 38 {
        expect = expect.n(0);
        send = send.list(&["realisation-with-path-not-hash", "something-new"]);
    }
    send = send.s(format!("2.{theirs}"));
    if common >= 35 {
        send = send.n(1);
    }
    vec![hello, turn(expect.n(0).n(0), send.n(LAST))]
}

/// Follows the script and hangs up; panics if the client says anything else.
pub(super) async fn follow(mut stream: DuplexStream, script: Vec<Turn>) {
    for (index, turn) in script.into_iter().enumerate() {
        let mut said = vec![0; turn.expect.len()];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(said, turn.expect, "turn {index}");
        if !turn.delay.is_zero() {
            tokio::time::sleep(turn.delay).await;
        }
        // A client that gave up does not read the rest.
        let _ = stream.write_all(&turn.send).await;
    }
}

/// A client that greeted a daemon with this script; `pipe` bytes fit between the two.
pub(super) async fn connect(
    script: Vec<Turn>,
    pipe: usize,
    options: &ConnectOptions,
) -> (Result<Client, ConnectError>, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(pipe);
    let daemon = tokio::spawn(follow(theirs, script));
    let (source, sink) = tokio::io::split(ours);
    let client = Client::greet(Box::new(source), Box::new(sink), Path::new("/d.sock"), options).await;
    (client, daemon)
}

/// A client of a daemon of `1.minor` that answers these requests.
pub(super) async fn client(minor: u64, turns: Vec<Turn>) -> Client {
    client_over(minor, turns, 1 << 16).await
}

/// The same with a pipe of a certain size.
pub(super) async fn client_over(minor: u64, turns: Vec<Turn>, pipe: usize) -> Client {
    let script = greeting(minor).into_iter().chain(turns).collect();
    connect(script, pipe, &ConnectOptions::default()).await.0.unwrap()
}

/// Keeps every event.
#[derive(Default)]
pub(super) struct Kept(pub(super) Vec<Event>);

impl crate::event::EventSink for Kept {
    fn event(&mut self, event: Event) {
        self.0.push(event);
    }
}
