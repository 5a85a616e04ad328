//! Daemons that lie: cut streams, absurd numbers, endless lists, arbitrary bytes.

use proptest::prelude::{Strategy, any, prop_assert, proptest};
use tokio::io::AsyncReadExt;
use tokio::runtime::Builder;

use super::scripted::{
    A, B, Bytes, DRV, HASH, LAST, Turn, bytes, client, client_over, error, known, path, turn,
};
use crate::build::BuildMode;
use crate::client::Client;
use crate::derived_path::{DerivedPath, Outputs};
use crate::error::{Error, Violation};
use crate::event::Event;
use crate::garbage::Garbage;
use crate::nar;
use crate::read::{ReadError, Reader, STRING_LIMIT};

/// One operation of each shape of reply: its request, a good reply, and the call.
const SHAPES: usize = 8;

fn archive() -> Vec<u8> {
    let mut nar = nar::Encoder::new(Vec::new()).unwrap();
    nar.enter(b"d").unwrap();
    nar.file(b"f", nar::FileMode::Executable, 11, &b"hello\0world"[..])
        .unwrap();
    nar.symlink(b"l", b"f").unwrap();
    nar.leave().unwrap();
    nar.file(b"e", nar::FileMode::Regular, 0, &b""[..]).unwrap();
    nar.finish().unwrap()
}

fn shape(number: usize) -> (Bytes, Bytes) {
    let info = || known(DRV, "ca");
    match number {
        0 => (bytes().n(26).s(A), bytes().n(1).then(info())),
        1 => (bytes().n(31).list(&[A, B]).n(0), bytes().list(&[A, B])),
        2 => (
            bytes().n(40).list(&[A]),
            bytes().list(&[DRV]).list(&[]).list(&[B]).n(1).n(2),
        ),
        3 => (bytes().n(14), bytes().n(2).s("/l").s(A).s("{temp:1}").s(B)),
        4 => (
            bytes().n(46).list(&[&format!("{DRV}!*")]).n(0),
            bytes()
                .n(1)
                .s(format!("{DRV}!*"))
                .n(0)
                .s("")
                .n(1)
                .n(0)
                .n(1)
                .n(2)
                .n(1)
                .n(5)
                .n(0)
                .n(1)
                .s("sha256:0!out")
                .s(format!(r#"{{"outPath":"{A}"}}"#)),
        ),
        5 => (bytes().n(41).s(DRV), bytes().n(1).s("out").s(A)),
        6 => (
            bytes().n(20).n(1).n(0).n(0).n(u64::MAX).n(0).n(0).n(0),
            bytes().list(&[A]).n(5).n(0),
        ),
        7 => (bytes().n(38).s(A), Bytes(archive())),
        _ => unreachable!(),
    }
}

async fn call(client: &mut Client, number: usize) -> Result<(), Error> {
    let built = || {
        [DerivedPath::Built {
            drv: path(DRV),
            outputs: Outputs::All,
        }]
    };
    match number {
        0 => client.query_path_info(&path(A)).await.map(drop),
        1 => {
            let both = [path(A), path(B)].into();
            client
                .query_valid_paths(&both, crate::Substitution::Never)
                .await
                .map(drop)
        }
        2 => client
            .query_missing(&[DerivedPath::Opaque(path(A))])
            .await
            .map(drop),
        3 => client.find_roots().await.map(drop),
        4 => client
            .build_paths_with_results(&built(), BuildMode::Normal, &mut ())
            .await
            .map(drop),
        5 => client.query_derivation_output_map(&path(DRV)).await.map(drop),
        6 => client
            .collect_garbage(&Garbage::ListDead, &mut ())
            .await
            .map(drop),
        7 => client.nar_from_path(&path(A), &mut Vec::new()).await.map(drop),
        _ => unreachable!(),
    }
}

/// Everything that may come before a reply, and the reply.
fn full(reply: Bytes) -> Bytes {
    let next = bytes().n(0x6f6c_6d67).s("text");
    let start = bytes()
        .n(0x5354_5254)
        .n(1)
        .n(3)
        .n(105)
        .s("b")
        .n(2)
        .n(1)
        .s(DRV)
        .n(0)
        .n(9)
        .n(0);
    let result = bytes().n(0x5253_4c54).n(1).n(101).n(1).n(1).s("line");
    let stop = bytes().n(0x5354_4f50).n(1);
    next.then(start).then(result).then(stop).n(LAST).then(reply)
}

#[tokio::test]
async fn a_reply_cut_anywhere_closes_the_connection() {
    for number in 0..SHAPES {
        let (request, reply) = shape(number);
        let whole = full(reply);
        for cut in 0..whole.0.len() {
            let cut_reply = Bytes(whole.0[..cut].to_vec());
            let mut client = client(38, vec![turn(request.clone(), cut_reply)]).await;
            let error = call(&mut client, number).await.unwrap_err();
            assert!(
                matches!(error, Error::Transport { .. }),
                "shape {number} cut at {cut}: {error:?}"
            );
            assert!(!client.is_open());
        }
    }
}

#[tokio::test]
async fn an_error_cut_anywhere_closes_the_connection() {
    let whole = error("no");
    for cut in 0..whole.0.len() {
        let mut client = client(38, vec![turn(bytes().n(14), Bytes(whole.0[..cut].to_vec()))]).await;
        let error = client.find_roots().await.unwrap_err();
        assert!(
            matches!(error, Error::Transport { .. }),
            "cut at {cut}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_reply_may_come_in_any_pieces() {
    for number in 0..SHAPES {
        for pipe in [1, 3, 7, 8, 9, 64] {
            let (request, reply) = shape(number);
            let mut client = client_over(38, vec![turn(request, full(reply))], pipe).await;
            call(&mut client, number)
                .await
                .unwrap_or_else(|error| panic!("shape {number}, {pipe}: {error:?}"));
            assert!(client.is_open());
        }
    }
}

#[tokio::test]
async fn absurd_numbers_neither_panic_nor_hang() {
    for number in 0..SHAPES {
        let (request, reply) = shape(number);
        let whole = full(reply).0;
        for offset in (0..whole.len()).step_by(8) {
            for absurd in [0, 1, 1 << 31, 1 << 40, u64::MAX] {
                let mut lie = whole.clone();
                lie[offset..offset + 8].copy_from_slice(&u64::to_le_bytes(absurd));
                let mut client = client(38, vec![turn(request.clone(), Bytes(lie))]).await;
                // Some numbers mean something else; those that do not must close the connection.
                match call(&mut client, number).await {
                    Ok(()) => assert!(client.is_open()),
                    Err(_) => assert!(!client.is_open(), "shape {number} at {offset}: {absurd}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn long_strings_are_refused_before_they_are_read() {
    for length in [STRING_LIMIT + 1, 1 << 40, u64::MAX] {
        let mut client = client(38, vec![turn(bytes().n(14), bytes().n(LAST).n(1).n(length))]).await;
        let error = client.find_roots().await.unwrap_err();
        let Error::Protocol {
            violation: Violation::TooLong { length: found, .. },
            ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(found, length);
    }
    // Announced but not sent: nothing is set aside for it.
    let mut reader = Reader::new(Box::new(std::io::Cursor::new(STRING_LIMIT.to_le_bytes())));
    assert!(matches!(reader.bytes().await, Err(ReadError::Io(_))));
    assert!(reader.capacity() < 1 << 20, "{}", reader.capacity());
}

#[tokio::test]
async fn endless_lists_are_given_up() {
    // An endless list of empty strings, and an endless list of numbers in one message.
    const LIMIT: u64 = 1 << 20;
    let endless = || tokio::io::repeat(0);
    let strings = std::io::Cursor::new(u64::MAX.to_le_bytes()).chain(endless());
    let mut reader = Reader::with_limit(Box::new(strings), LIMIT);
    let Err(ReadError::Violation {
        violation: Violation::TooMuch { limit },
        ..
    }) = reader.strings().await
    else {
        panic!("no end");
    };
    assert_eq!(limit, LIMIT);

    let result = bytes().n(0x5253_4c54).n(1).n(105).n(u64::MAX).0;
    let mut reader = Reader::with_limit(Box::new(std::io::Cursor::new(result).chain(endless())), LIMIT);
    let drained = crate::message::drain(&mut reader, &mut ()).await;
    assert!(matches!(
        drained,
        Err(ReadError::Violation {
            violation: Violation::TooMuch { .. },
            ..
        })
    ));
}

#[tokio::test]
async fn padding_must_be_zero() {
    for position in 5..8 {
        let mut reply = bytes().n(LAST).n(1).s("/link").s(A);
        reply.0[24 + position] = 1;
        let mut client = client(38, vec![turn(bytes().n(14), reply)]).await;
        let error = client.find_roots().await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Protocol {
                    violation: Violation::Padding,
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

/// Sends `reply` to an operation and checks what every ending has to keep.
fn survive(number: usize, minor: u64, reply: Vec<u8>) -> bool {
    block_on(async {
        let turns: Vec<Turn> = vec![turn(shape(number).0, Bytes(reply))];
        let mut client = client(minor, turns).await;
        match call(&mut client, number).await {
            Ok(()) => client.is_open(),
            Err(_) => !client.is_open(),
        }
    })
}

/// Words the protocol gives a meaning to, so that arbitrary replies get past their first word.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = proptest::prop_oneof![
        4 => proptest::sample::select(vec![0, 1, 2, 3, 8, 32, 100, 105, u64::MAX]).prop_map(|n: u64| bytes().n(n).0),
        4 => proptest::sample::select(vec![
            LAST, 0x6378_7470, 0x6f6c_6d67, 0x5354_5254, 0x5354_4f50, 0x5253_4c54,
        ]).prop_map(|n: u64| bytes().n(n).0),
        2 => proptest::sample::select(vec![
            A, DRV, HASH, "", "(", ")", "type", "regular", "contents", "directory", "entry", "node", "nix-archive-1",
        ]).prop_map(|s| bytes().s(s).0),
        1 => proptest::collection::vec(any::<u8>(), 0..24),
    ];
    proptest::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn arbitrary_replies(number in 0..SHAPES, minor in 34_u64..=38, reply in words()) {
        prop_assert!(survive(number, minor, reply));
    }

    #[test]
    fn damaged_replies(
        number in 0..SHAPES,
        minor in 34_u64..=38,
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut reply = full(shape(number).1).0;
        for (index, byte) in damage {
            let index = index.index(reply.len());
            reply[index] = byte;
        }
        prop_assert!(survive(number, minor, reply));
    }

    #[test]
    fn arbitrary_messages_reach_the_sink_in_order(lines in proptest::collection::vec(any::<Vec<u8>>(), 0..20)) {
        let messages = lines.iter().fold(bytes(), |all, line| all.n(0x6f6c_6d67).s(line)).n(LAST).0;
        let mut seen = Vec::new();
        let drained = block_on(async {
            let mut reader = Reader::new(Box::new(std::io::Cursor::new(messages)));
            let mut sink = |event| {
                if let Event::Line(text) = event {
                    seen.push(text.as_bytes().to_vec());
                }
            };
            crate::message::drain(&mut reader, &mut sink).await.unwrap()
        });
        prop_assert!(drained.is_ok());
        prop_assert!(seen == lines);
    }
}
