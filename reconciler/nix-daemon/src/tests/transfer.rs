//! Archives in both directions, and what the daemon says meanwhile.

use std::time::Duration;

use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use super::scripted::{A, Bytes, HASH, Kept, LAST, bytes, error, follow, greeting, path, probe};
use crate::client::Client;
use crate::connect::ConnectOptions;
use crate::error::{Connection, Error, Violation};
use crate::nar::{Check, Encoder, FileMode, copy};
use crate::path_info::{AddMethod, NarHash, PathInfo, SignatureCheck};
use crate::read::{ReadError, Reader};

/// A client and its daemon after their greeting, with a narrow pipe between them.
async fn pair() -> (Client, DuplexStream) {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let (source, sink) = tokio::io::split(ours);
    let greeted = async {
        for turn in greeting(38) {
            let mut said = vec![0; turn.expect.len()];
            theirs.read_exact(&mut said).await.unwrap();
            theirs.write_all(&turn.send).await.unwrap();
        }
    };
    let socket = std::path::Path::new("/d.sock");
    let options = ConnectOptions::default();
    let client = Client::greet(Box::new(source), Box::new(sink), socket, &options);
    let (client, ()) = tokio::join!(client, greeted);
    (client.unwrap(), theirs)
}

fn request() -> Bytes {
    bytes().n(7).s("source").s("fixed:r:sha256").n(0).n(0)
}

fn reply() -> Bytes {
    bytes()
        .n(LAST)
        .s(A)
        .s("")
        .s(HASH)
        .n(0)
        .n(0)
        .n(1)
        .n(0)
        .n(0)
        .s("fixed:r:sha256:x")
}

async fn expect(stream: &mut DuplexStream, expected: Bytes) {
    let mut said = vec![0; expected.0.len()];
    stream.read_exact(&mut said).await.unwrap();
    assert_eq!(said, expected.0);
}

/// Reads frames up to the empty one.
async fn frames(stream: &mut DuplexStream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let length = usize::try_from(stream.read_u64_le().await.unwrap()).unwrap();
        if length == 0 {
            return all;
        }
        let start = all.len();
        all.resize(start + length, 0);
        stream.read_exact(&mut all[start..]).await.unwrap();
    }
}

/// An archive of one file with this many bytes.
fn archive(size: usize) -> Vec<u8> {
    crate::nar::write_file(Vec::new(), FileMode::Regular, size as u64, &vec![7; size][..]).unwrap()
}

fn serve<T: Send + 'static>(daemon: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(daemon)
}

#[tokio::test(start_paused = true)]
async fn the_daemon_may_talk_before_it_reads() {
    let (mut client, mut theirs) = pair().await;
    let archive = archive(200_000);
    let daemon = serve(async move {
        expect(&mut theirs, request()).await;
        for _ in 0..1000 {
            theirs
                .write_all(&bytes().n(0x6f6c_6d67).s("copying").0)
                .await
                .unwrap();
        }
        let received = frames(&mut theirs).await;
        theirs.write_all(&reply().0).await.unwrap();
        (received, theirs)
    });
    let mut kept = Kept::default();
    let info = client
        .add_to_store_recursive("source", &archive[..], &mut kept)
        .await
        .unwrap();
    assert_eq!(info.path, path(A));
    assert_eq!(kept.0.len(), 1000);
    assert_eq!(daemon.await.unwrap().0, archive);
    assert!(client.is_open());
}

#[tokio::test(start_paused = true)]
async fn an_error_amid_the_archive_ends_the_connection() {
    let (mut client, mut theirs) = pair().await;
    let archive = archive(200_000);
    let _daemon = serve(async move {
        expect(&mut theirs, request()).await;
        theirs.write_all(&error("disk full").0).await.unwrap();
        theirs
    });
    let failed = client
        .add_to_store_recursive("source", &archive[..], &mut ())
        .await
        .unwrap_err();
    let Error::Daemon {
        error,
        connection: Connection::Closed,
        ..
    } = failed
    else {
        panic!("{failed:?}")
    };
    assert_eq!(error.message, "disk full");
    assert!(!client.is_open());
}

#[tokio::test(start_paused = true)]
async fn the_reason_is_found_though_the_daemon_hung_up() {
    let (mut client, mut theirs) = pair().await;
    let archive = archive(200_000);
    let _daemon = serve(async move {
        expect(&mut theirs, request()).await;
        let _ = theirs.write_all(&error("out of memory").0).await;
    });
    let failed = client
        .add_to_store_recursive("source", &archive[..], &mut ())
        .await
        .unwrap_err();
    assert!(
        matches!(&failed, Error::Daemon { error, .. } if error.message == "out of memory"),
        "{failed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_after_the_archive_leaves_the_connection() {
    let (mut client, mut theirs) = pair().await;
    let info = PathInfo {
        path: path(A),
        deriver: None,
        nar_hash: NarHash::parse_base16(HASH).unwrap(),
        references: [path(A)].into(),
        registered_at: 5,
        nar_size: 6,
        ultimate: false,
        signatures: ["k:s".to_owned()].into(),
        content_address: None,
    };
    let _daemon = serve(async move {
        let request = bytes()
            .n(39)
            .s(A)
            .s("")
            .s(HASH)
            .list(&[A])
            .n(5)
            .n(6)
            .n(0)
            .list(&["k:s"])
            .s("")
            .n(0)
            .n(0);
        expect(&mut theirs, request).await;
        assert_eq!(frames(&mut theirs).await, archive(3));
        theirs.write_all(&error("hash mismatch").0).await.unwrap();
        expect(&mut theirs, probe()).await;
        theirs.write_all(&bytes().n(LAST).n(0).0).await.unwrap();
        theirs
    });
    let failed = client
        .add_to_store_nar(&info, SignatureCheck::Required, &archive(3)[..], &mut ())
        .await
        .unwrap_err();
    assert!(
        matches!(
            failed,
            Error::Daemon {
                connection: Connection::Alive,
                ..
            }
        ),
        "{failed:?}"
    );
    assert!(client.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_stops_reading_is_given_up() {
    let (mut client, mut theirs) = pair().await;
    let _daemon = serve(async move {
        expect(&mut theirs, request()).await;
        tokio::time::sleep(Duration::from_secs(86_400)).await;
    });
    let failed = client
        .add_to_store_recursive("source", &archive(4096)[..], &mut ())
        .await
        .unwrap_err();
    assert!(matches!(failed, Error::Timeout { .. }), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_asks_caches_for_ever_is_given_up() {
    let (mut client, mut theirs) = pair().await;
    let _daemon = serve(async move {
        let _ = tokio::io::copy(&mut theirs, &mut tokio::io::sink()).await;
    });
    let since = tokio::time::Instant::now();
    let failed = client.ensure_path(&path(A), &mut ()).await.unwrap_err();
    assert!(matches!(failed, Error::Timeout { .. }), "{failed:?}");
    assert!(
        since.elapsed() >= Duration::from_secs(30 * 60),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test]
async fn names_are_checked_before_anything_is_sent() {
    for name in ["", ".", "a/b", "a b", &"n".repeat(212)] {
        let (ours, theirs) = tokio::io::duplex(4096);
        let _daemon = serve(follow(theirs, greeting(38)));
        let (source, sink) = tokio::io::split(ours);
        let socket = std::path::Path::new("/d.sock");
        let mut client = Client::greet(
            Box::new(source),
            Box::new(sink),
            socket,
            &ConnectOptions::default(),
        )
        .await
        .unwrap();
        let failed = client
            .add_to_store_recursive(name, &b""[..], &mut ())
            .await
            .unwrap_err();
        assert!(matches!(failed, Error::Name { .. }), "{failed:?}");
        assert!(client.is_open());
    }
}

async fn read_archive(bytes: Vec<u8>) -> Result<(Vec<u8>, bool), ReadError> {
    let mut reader = Reader::new(Box::new(std::io::Cursor::new(bytes)));
    let mut out = Vec::new();
    let length = copy(&mut reader, &mut out).await?;
    assert_eq!(length, out.len() as u64);
    Ok((out, reader.u64().await.is_err()))
}

#[tokio::test]
async fn archives_that_are_none() {
    let head = || bytes().s("nix-archive-1").s("(").s("type");
    let nested = (0..5000).fold(head(), |all, _| {
        all.s("directory")
            .s("entry")
            .s("(")
            .s("name")
            .s("d")
            .s("node")
            .s("(")
            .s("type")
    });
    let Err(ReadError::Violation {
        violation: Violation::ArchiveDepth { .. },
        ..
    }) = read_archive(nested.0).await
    else {
        panic!("followed for ever");
    };
    for bad in [
        bytes().s("nix-archive-2"),
        head().s("socket"),
        head().s("regular").s("contents").s("x").s("("),
        head().s("regular").s("executable").s("yes"),
        head().s("regular").s("contents").n(u64::MAX),
        head().s("directory").s("entry").s("(").s("name").s("x").s("("),
        head().s("symlink").s("target").n(u64::MAX),
    ] {
        let read = read_archive(bad.0).await;
        assert!(matches!(read, Err(ReadError::Violation { .. })), "{read:?}");
    }
    // A file without contents is an empty file.
    let empty = head().s("regular").s(")").0;
    assert_eq!(read_archive(empty.clone()).await.unwrap(), (empty, true));
}

/// Looks at an archive in pieces of this size.
fn check(archive: &[u8], piece: usize) -> Result<(), Violation> {
    let mut check = Check::new();
    archive.chunks(piece).try_for_each(|some| check.feed(some))?;
    check.end()
}

#[test]
fn what_is_no_archive_is_found_out() {
    let head = || bytes().s("nix-archive-1").s("(").s("type");
    let entry = |all: Bytes, name: &[u8]| all.s("entry").s("(").s("name").s(name).s("node");
    let file = |all: Bytes| all.s("(").s("type").s("regular").s(")").s(")");
    let directory = || head().s("directory");
    for good in [
        head().s("regular").s(")"),
        head().s("regular").s("executable").s("").s(")"),
        head()
            .s("regular")
            .s("executable")
            .s("")
            .s("contents")
            .s("x")
            .s(")"),
        head().s("symlink").s("target").s("/x").s(")"),
        directory().s(")"),
        file(entry(file(entry(directory(), b"a")), b"b")).s(")"),
    ] {
        for piece in [1, 7, 8, 4096] {
            check(&good.0, piece).unwrap();
        }
        // Neither shorter nor longer.
        for cut in 0..good.0.len() {
            assert!(
                matches!(check(&good.0[..cut], 4096), Err(Violation::ArchiveEnd)),
                "{cut}"
            );
        }
        assert!(matches!(
            check(&good.then(bytes().n(0)).0, 4096),
            Err(Violation::ArchiveEnd)
        ));
    }
    let deep = (0..5000).fold(head(), |all, _| entry(all.s("directory"), b"d").s("(").s("type"));
    assert!(matches!(
        check(&deep.0, 4096),
        Err(Violation::ArchiveDepth { .. })
    ));
    let mut padded = head().s("regular").s("contents").s("x").s(")").0;
    let place = padded.iter().rposition(|byte| *byte == b'x').unwrap();
    padded[place + 1] = 1;
    assert!(matches!(check(&padded, 4096), Err(Violation::Padding)));
    for bad in [
        bytes().s("nix-archive-2"),
        bytes().s(""),
        head().s("socket"),
        head().s("regular").s("executable").s("yes"),
        head().s("regular").s("executable").s("").s("executable"),
        head().s("regular").s("contents").s("x").s("contents"),
        head().s("symlink").s("target").s("").s(")"),
        head().s("symlink").s("target").s("a\0b").s(")"),
        head().s("symlink").s(")"),
        head().s("symlink").s("target").n(u64::MAX),
        directory().s("regular"),
        entry(directory(), b""),
        entry(directory(), b"."),
        entry(directory(), b".."),
        entry(directory(), b"a/b"),
        entry(directory(), b"a\0"),
        entry(file(entry(directory(), b"b")), b"a"),
        entry(file(entry(directory(), b"a")), b"a"),
        file(entry(directory(), b"a")).s("("),
    ] {
        let found = check(&bad.0, 4096);
        assert!(
            !matches!(found, Ok(()) | Err(Violation::ArchiveEnd)),
            "{bad:?}: {found:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_archive_is_not_sent() {
    let long = archive(200_000);
    let cut = long[..150_000].to_vec();
    let mut spoiled = long.clone();
    *spoiled.last_mut().unwrap() = 1;
    for (sent, seen) in [
        (b"no archive at all".to_vec(), 0),
        (cut, 150_000),
        (spoiled, 196_608),
    ] {
        let (mut client, mut theirs) = pair().await;
        let daemon = serve(async move {
            expect(&mut theirs, request()).await;
            // Whole frames, and never the empty one that ends them.
            let mut all = 0;
            while let Ok(length) = theirs.read_u64_le().await {
                assert_ne!(length, 0);
                let mut frame = vec![0; usize::try_from(length).unwrap()];
                theirs.read_exact(&mut frame).await.unwrap();
                all += frame.len();
            }
            all
        });
        let failed = client
            .add_to_store_recursive("source", &sent[..], &mut ())
            .await
            .unwrap_err();
        assert!(matches!(failed, Error::Archive { .. }), "{failed:?}");
        assert!(!client.is_open());
        assert!(daemon.await.unwrap() <= seen);
    }
    // What is to be a plain file may be anything.
    let (mut client, mut theirs) = pair().await;
    let _daemon = serve(async move {
        expect(&mut theirs, bytes().n(7).s("t").s("fixed:sha256").n(0).n(0)).await;
        assert_eq!(frames(&mut theirs).await, b"anything");
        theirs.write_all(&reply().0).await.unwrap();
        theirs
    });
    client
        .add_to_store("t", AddMethod::Flat, &[].into(), &b"anything"[..], &mut ())
        .await
        .unwrap();
}

#[derive(Debug, Clone)]
enum Node {
    File(Vec<u8>, bool),
    Link(Vec<u8>),
    Directory(std::collections::BTreeMap<Vec<u8>, Node>),
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = proptest::prop_oneof![
        (proptest::collection::vec(any::<u8>(), 0..300), any::<bool>()).prop_map(|(c, x)| Node::File(c, x)),
        proptest::collection::vec(1_u8.., 1..30).prop_map(Node::Link),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        proptest::collection::btree_map("[a-zA-Z.-]{3,9}".prop_map(String::into_bytes), inner, 0..6)
            .prop_map(Node::Directory)
    })
}

fn put(encoder: &mut Encoder<Vec<u8>>, name: &[u8], node: &Node) {
    match node {
        Node::File(contents, executable) => {
            let mode = if *executable {
                FileMode::Executable
            } else {
                FileMode::Regular
            };
            encoder
                .file(name, mode, contents.len() as u64, &contents[..])
                .unwrap();
        }
        Node::Link(target) => encoder.symlink(name, target).unwrap(),
        Node::Directory(entries) => {
            encoder.enter(name).unwrap();
            for (name, node) in entries {
                put(encoder, name, node);
            }
            encoder.leave().unwrap();
        }
    }
}

proptest! {
    #[test]
    fn an_archive_ends_where_it_ends(node in node(), more in any::<u64>(), piece in 1_usize..100) {
        let mut encoder = Encoder::new(Vec::new()).unwrap();
        put(&mut encoder, b"root", &node);
        let archive = encoder.finish().unwrap();
        assert!(check(&archive, piece).is_ok());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (read, ended) = runtime.block_on(read_archive(archive.clone())).unwrap();
        prop_assert_eq!(&read, &archive);
        assert!(ended);
        // What follows is left for whoever reads next.
        let followed = [archive.clone(), more.to_le_bytes().to_vec()].concat();
        let (read, ended) = runtime.block_on(read_archive(followed)).unwrap();
        prop_assert_eq!(read, archive);
        assert!(!ended);
    }
}
