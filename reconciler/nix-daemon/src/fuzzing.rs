//! Doors for the fuzz targets, behind the feature `fuzzing`. No part of the public interface: what lies behind
//! them is private. Owns a daemon that says prepared bytes; judges nothing but how an operation ended.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::build::BuildMode;
use crate::client::Client;
use crate::connect::{ConnectError, ConnectOptions};
use crate::derived_path::{DerivedPath, Outputs};
use crate::error::{Connection, Error};
use crate::garbage::{Garbage, Verification};
use crate::handshake::DAEMON_MAGIC;
use crate::message;
use crate::missing::Substitution;
use crate::nar;
use crate::path_info::{NarHash, PathInfo, SignatureCheck};
use crate::progress::Progress;
use crate::read::Reader;
use crate::store_path::{HashPart, StorePath};
use crate::write::Encoder;

const PATH: &str = "/nix/store/ffffffffffffffffffffffffffffffff-made";
const DRV: &str = "/nix/store/gggggggggggggggggggggggggggggggg-made.drv";
/// An archive of an empty file.
const ARCHIVE: &[u8] = b"\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0\x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0\
    \x04\0\0\0\0\0\0\0type\0\0\0\0\x07\0\0\0\0\0\0\0regular\0\x01\0\0\0\0\0\0\0)\0\0\0\0\0\0\0";
/// Longer than any patience: what is over it was waiting for something that cannot come.
const HANG: Duration = Duration::from_secs(100_000);

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a whole reply.
    Reply {
        /// Whether the connection may be used again.
        open: bool,
    },
    /// With an error of the daemon's.
    Refusal {
        /// What the error says of the connection.
        alive: bool,
        /// Whether the connection may be used again.
        open: bool,
    },
    /// With any other error.
    Failure {
        /// Whether the connection may be used again.
        open: bool,
    },
    /// Not at all: the daemon was silent, as it may be while it works.
    Silence,
}

/// What daemon and client share: what is still to be said, turn by turn.
#[derive(Debug, Default)]
struct Script {
    turns: VecDeque<Vec<u8>>,
    saying: VecDeque<u8>,
    waiting: Option<Waker>,
}

#[derive(Debug, Clone, Default)]
struct Daemon(Arc<Mutex<Script>>);

impl AsyncRead for Daemon {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if script.saying.is_empty() && !script.turns.is_empty() {
            script.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        // Nothing more in any turn: the end of the stream.
        let count = buffer.remaining().min(script.saying.len());
        let said: Vec<u8> = script.saying.drain(..count).collect();
        buffer.put_slice(&said);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Daemon {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut script = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if script.saying.is_empty()
            && let Some(turn) = script.turns.pop_front()
        {
            script.saying = turn.into();
        }
        if let Some(waker) = script.waiting.take() {
            waker.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs to the end, with a clock that stands still while there is something to do.
fn block_on<T>(future: impl Future<Output = T>) -> Option<T> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .ok()?;
    runtime.block_on(async { timeout(HANG, future).await.ok() })
}

/// The first two turns are the greeting. They are one here, as the client says most of its own part at once.
async fn connect(turns: Vec<Vec<u8>>, script: Arc<Mutex<Script>>) -> Result<Client, ConnectError> {
    let mut turns = VecDeque::from(turns);
    let greeting = turns.drain(..turns.len().min(2)).collect::<Vec<_>>().concat();
    turns.push_front(greeting);
    script.lock().unwrap_or_else(PoisonError::into_inner).turns = turns;
    let daemon = Daemon(script);
    Client::greet(
        Box::new(daemon.clone()),
        Box::new(daemon),
        Path::new("/socket"),
        &ConnectOptions::default(),
    )
    .await
}

/// The daemon's two turns of a good greeting.
fn greeting(minor: u16) -> [Vec<u8>; 2] {
    let mut first = Encoder::default();
    first.u64(DAEMON_MAGIC);
    first.u64(256 + u64::from(minor));
    let mut second = Encoder::default();
    if minor >= 38 {
        second.u64(0);
    }
    second.text("2.99");
    if minor >= 35 {
        second.u64(1);
    }
    second.u64(message::LAST);
    [first.as_slice().to_vec(), second.as_slice().to_vec()]
}

/// Decodes what a daemon says while it works, as far as it makes sense.
///
/// `None` where it hangs: all that there is was read, and neither an end nor an error was told.
#[must_use]
pub fn messages(bytes: &[u8]) -> Option<Progress> {
    let mut progress = Progress::new();
    block_on(async {
        let mut reader = Reader::new(Box::new(io::Cursor::new(bytes.to_vec())));
        let _ = message::drain(&mut reader, &mut progress).await;
    })?;
    Some(progress)
}

/// Copies an archive off the wire; what was copied, if it was one.
#[must_use]
pub fn archive(bytes: &[u8]) -> Option<Vec<u8>> {
    block_on(async {
        let mut reader = Reader::new(Box::new(io::Cursor::new(bytes.to_vec())));
        let mut copied = Vec::new();
        let length = nar::copy(&mut reader, &mut copied).await.ok()?;
        (length == copied.len() as u64).then_some(copied)
    })?
}

/// Whether these bytes would be sent as an archive, looked at in pieces of this size.
#[must_use]
pub fn is_archive(bytes: &[u8], piece: u8) -> bool {
    let mut check = nar::Check::new();
    let mut pieces = bytes.chunks(usize::from(piece).max(1));
    pieces.all(|some| check.feed(some).is_ok()) && check.end().is_ok()
}

/// Greets in a version, asks for an operation, and hears this reply.
///
/// From number 128 on the daemon lives on after its reply: it is silent, and answers the question whether it is
/// still there.
#[must_use]
pub fn reply(operation: u8, minor: u16, bytes: &[u8]) -> Ending {
    let [first, second] = greeting(minor);
    let mut turns = vec![first, second, bytes.to_vec()];
    if operation >= 128 {
        let mut nothing = Encoder::default();
        nothing.u64(message::LAST);
        nothing.u64(0);
        turns.push(nothing.as_slice().to_vec());
        turns.push(Vec::new());
    }
    let ended = block_on(async {
        let mut client = connect(turns, Arc::default()).await.ok()?;
        let ended = ask(&mut client, operation).await;
        let open = client.is_open();
        Some(match ended {
            Ok(()) => Ending::Reply { open },
            Err(Error::Daemon { connection, .. }) => Ending::Refusal {
                alive: connection == Connection::Alive,
                open,
            },
            Err(_) => Ending::Failure { open },
        })
    });
    ended.flatten().unwrap_or(Ending::Silence)
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEnd {
    /// Every operation was answered, or the connection was closed.
    Closed,
    /// The daemon went silent between two messages of an operation that may take any time, with words left that it
    /// says once it is asked something: it is waited for, as it should be.
    Working,
    /// Nothing that could be waited for was left, and no error was told.
    Hang,
}

/// Greets and asks for one operation after the other, until the connection is closed.
#[must_use]
pub fn session(turns: Vec<Vec<u8>>) -> SessionEnd {
    let script = Arc::new(Mutex::new(Script::default()));
    let endless = AtomicBool::new(false);
    let ended = block_on(async {
        let Ok(mut client) = connect(turns, Arc::clone(&script)).await else {
            return;
        };
        for operation in 0..OPERATIONS {
            endless.store(ENDLESS.contains(&operation), Ordering::Relaxed);
            let _ = ask(&mut client, operation).await;
            if !client.is_open() {
                return;
            }
        }
    });
    let left = !script
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .turns
        .is_empty();
    match ended {
        Some(()) => SessionEnd::Closed,
        None if left && endless.load(Ordering::Relaxed) => SessionEnd::Working,
        None => SessionEnd::Hang,
    }
}

/// How many operations [`ask`] tells apart.
const OPERATIONS: u8 = 16;
/// Those that a daemon may take any time for: what has to do with garbage, a look at the whole store, a build.
const ENDLESS: [u8; 4] = [8, 10, 11, 12];

async fn ask(client: &mut Client, operation: u8) -> Result<(), Error> {
    let (Ok(path), Ok(drv)) = (PATH.parse::<StorePath>(), DRV.parse::<StorePath>()) else {
        return Ok(());
    };
    let targets = [DerivedPath::Built {
        drv: drv.clone(),
        outputs: Outputs::All,
    }];
    let mut progress = Progress::new();
    match operation % OPERATIONS {
        0 => client.is_valid_path(&path).await.map(drop),
        1 => client.query_path_info(&path).await.map(drop),
        2 => {
            let paths = [path].into();
            client
                .query_valid_paths(&paths, Substitution::Never)
                .await
                .map(drop)
        }
        3 => client.query_missing(&targets).await.map(drop),
        4 => match HashPart::parse(path.hash_part()) {
            Ok(hash) => client.query_path_from_hash_part(&hash).await.map(drop),
            Err(_) => Ok(()),
        },
        5 => client.query_referrers(&path).await.map(drop),
        6 => client.query_derivation_output_map(&drv).await.map(drop),
        7 => client.add_temp_root(&path).await,
        8 => client.find_roots().await.map(drop),
        9 => client.ensure_path(&path, &mut progress).await,
        10 => client
            .collect_garbage(&Garbage::ListDead, &mut progress)
            .await
            .map(drop),
        11 => client
            .verify_store(Verification::Contents, &mut progress)
            .await
            .map(drop),
        12 => client
            .build_paths_with_results(&targets, BuildMode::Normal, &mut progress)
            .await
            .map(drop),
        13 => client
            .nar_from_path(&path, &mut tokio::io::sink())
            .await
            .map(drop),
        14 => client
            .add_to_store_recursive("made", ARCHIVE, &mut progress)
            .await
            .map(drop),
        _ => {
            let info = PathInfo {
                path,
                deriver: Some(drv),
                nar_hash: NarHash::from_digest([7; 32]),
                references: [].into(),
                registered_at: 0,
                nar_size: 7,
                ultimate: false,
                signatures: [].into(),
                content_address: None,
            };
            client
                .add_to_store_nar(&info, SignatureCheck::Required, ARCHIVE, &mut progress)
                .await
        }
    }
}
