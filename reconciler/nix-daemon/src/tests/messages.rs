//! Messages before a reply: events, errors, and what errors leave behind.

use super::scripted::{A, Bytes, DRV, Kept, LAST, bytes, client, error, path, probe, turn};
use crate::error::{Connection, Error, Violation};
use crate::event::{ActivityId, ActivityKind, Event, Field, Level, ResultKind};
use crate::store_path::StorePath;
use crate::text::Text;

fn ensure() -> Bytes {
    bytes().n(10).s(A)
}

fn a() -> StorePath {
    path(A)
}

#[tokio::test]
async fn events_arrive_as_sent_known_or_not() {
    let messages = bytes()
        .n(0x6f6c_6d67)
        .s(b"caf\xe9\n")
        .n(0x5354_5254)
        .n(7)
        .n(3)
        .n(105)
        .s("building")
        .n(2)
        .n(1)
        .s(DRV)
        .n(0)
        .n(1)
        .n(0)
        .n(0x5354_5254)
        .n(8)
        .n(99)
        .n(4711)
        .s("")
        .n(0)
        .n(7)
        .n(0x5253_4c54)
        .n(8)
        .n(9999)
        .n(1)
        .n(0)
        .n(u64::MAX)
        .n(0x5354_4f50)
        .n(7);
    let mut client = client(38, vec![turn(ensure(), messages.n(LAST).n(1))]).await;
    let mut kept = Kept::default();
    client.ensure_path(&a(), &mut kept).await.unwrap();
    let start = |id, parent, level, kind, text: &str, fields| Event::Start {
        id: ActivityId(id),
        parent: ActivityId(parent),
        level,
        kind,
        text: Text::from(text),
        fields,
    };
    let expected = [
        Event::Line(Text::from(b"caf\xe9\n".to_vec())),
        start(
            7,
            0,
            Level::Info,
            ActivityKind::Build,
            "building",
            vec![Field::Text(DRV.into()), Field::Int(1)],
        ),
        start(8, 7, Level::Other(99), ActivityKind::Other(4711), "", vec![]),
        Event::Result {
            id: ActivityId(8),
            kind: ResultKind::Other(9999),
            fields: vec![Field::Int(u64::MAX)],
        },
        Event::Stop { id: ActivityId(7) },
    ];
    assert_eq!(kept.0, expected);
}

#[tokio::test]
async fn an_error_that_ends_only_the_request() {
    let turns = vec![
        turn(ensure(), error("path '\u{1b}[35;1m/x\u{1b}[0m' is bad")),
        turn(probe(), bytes().n(LAST).n(0)),
        turn(bytes().n(1).s(A), bytes().n(LAST).n(1)),
    ];
    let mut client = client(34, turns).await;
    let Error::Daemon {
        error, connection, ..
    } = client.ensure_path(&a(), &mut ()).await.unwrap_err()
    else {
        panic!("another error");
    };
    assert_eq!(connection, Connection::Alive);
    assert_eq!(
        (error.level, error.message.as_str()),
        (Level::Error, "path '/x' is bad")
    );
    assert_eq!(error.traces, ["while testing"]);
    assert!(client.is_valid_path(&a()).await.unwrap());
}

#[tokio::test]
async fn an_error_sent_twice_is_not_taken_for_the_next_answer() {
    let together = vec![turn(ensure(), error("twice").then(error("twice")))];
    let apart = vec![turn(ensure(), error("twice")), turn(probe(), error("twice"))];
    let hung_up = vec![turn(ensure(), error("twice"))];
    let nonsense = vec![
        turn(ensure(), error("twice")),
        turn(probe(), bytes().n(LAST).list(&[A])),
    ];
    for turns in [together, apart, hung_up, nonsense] {
        let mut client = client(34, turns).await;
        let error = client.ensure_path(&a(), &mut ()).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Daemon {
                    connection: Connection::Closed,
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(!client.is_open());
        assert!(matches!(
            client.is_valid_path(&a()).await,
            Err(Error::Closed { .. })
        ));
    }
}

#[tokio::test]
async fn unread_bytes_close_the_connection() {
    let valid = |send| vec![turn(bytes().n(1).s(A), send)];
    for extra in [bytes().n(0), error("late")] {
        let mut client = client(38, valid(bytes().n(LAST).n(1).then(extra))).await;
        assert!(client.is_valid_path(&a()).await.unwrap());
        assert!(matches!(
            client.is_valid_path(&a()).await,
            Err(Error::Closed { .. })
        ));
    }
    // So does a daemon that hung up in between.
    let mut client = client(38, valid(bytes().n(LAST).n(1))).await;
    assert!(client.is_valid_path(&a()).await.unwrap());
    assert!(matches!(
        client.is_valid_path(&a()).await,
        Err(Error::Closed { .. })
    ));
}

#[tokio::test]
async fn messages_that_have_no_place() {
    // Nonsense, and the two with which daemons before protocol 1.23 asked for data.
    for tag in [0, 1, LAST + 1, 0x6461_7461, 0x6461_7416, u64::MAX] {
        let mut client = client(38, vec![turn(ensure(), bytes().n(tag).n(0).n(0))]).await;
        let error = client.ensure_path(&a(), &mut ()).await.unwrap_err();
        let Error::Protocol {
            violation: Violation::Message { tag: found },
            ..
        } = error
        else {
            panic!("{tag:#x}: {error:?}");
        };
        assert_eq!(found, tag);
        assert!(!client.is_open());
    }
}

#[tokio::test]
async fn a_dropped_request_closes_the_connection() {
    let (ours, theirs) = tokio::io::duplex(4096);
    let (source, sink) = tokio::io::split(ours);
    let daemon = tokio::spawn(async move {
        let mut script = super::scripted::greeting(38);
        script.push(turn(bytes().n(1).s(A), bytes()));
        let (mut source, mut sink) = tokio::io::split(theirs);
        for turn in script {
            let mut said = vec![0; turn.expect.len()];
            tokio::io::AsyncReadExt::read_exact(&mut source, &mut said)
                .await
                .unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut sink, &turn.send)
                .await
                .unwrap();
        }
        // The client hangs up.
        tokio::io::AsyncReadExt::read_to_end(&mut source, &mut Vec::new())
            .await
            .unwrap()
    });
    let socket = std::path::Path::new("/d.sock");
    let mut client = crate::Client::greet(
        Box::new(source),
        Box::new(sink),
        socket,
        &crate::ConnectOptions::default(),
    )
    .await
    .unwrap();
    {
        let path = a();
        let mut request = std::pin::pin!(client.is_valid_path(&path));
        assert!(
            std::future::poll_fn(|cx| std::task::Poll::Ready(request.as_mut().poll(cx).is_pending())).await
        );
    }
    assert_eq!(daemon.await.unwrap(), 0);
    assert!(!client.is_open());
    assert!(matches!(
        client.is_valid_path(&a()).await,
        Err(Error::Closed { .. })
    ));
}

#[test]
fn futures_may_move_between_threads() {
    fn movable<T: Send>(_: &T) {}
    fn shared<T: Send + Sync>() {}
    shared::<crate::Client>();
    #[expect(dead_code, reason = "it is enough that it compiles")]
    async fn all(client: &mut crate::Client, path: &StorePath) {
        movable(&client.is_valid_path(path));
        movable(&client.query_closure(std::slice::from_ref(path)));
        movable(&client.build_paths_with_results(&[], crate::BuildMode::Normal, &mut ()));
        movable(&client.add_to_store_recursive("x", &b""[..], &mut ()));
        movable(&client.nar_from_path(path, &mut Vec::new()));
        movable(&client.reconnect());
    }
}

/// A builder may print a hundred megabytes without a line feed, and a daemon sends them as one text.
#[tokio::test]
async fn of_a_very_long_line_the_beginning_is_kept() {
    for (length, kept) in [(10, 10), (65_536, 65_536), (65_537, 65_536), (10_000_003, 65_536)] {
        let line = vec![b'x'; length];
        let messages = bytes().n(0x6f6c_6d67).s(&line).n(LAST).n(1);
        let mut client = client(38, vec![turn(ensure(), messages)]).await;
        let mut seen = Kept::default();
        client.ensure_path(&a(), &mut seen).await.unwrap();
        let [Event::Line(text)] = seen.0.as_slice() else {
            panic!("{} events", seen.0.len())
        };
        assert_eq!(text.as_bytes().len(), kept);
        assert_eq!(text.omitted(), (length - kept) as u64);
    }
    // Its padding is checked all the same, and a length that no daemon sends is refused.
    let mut padded = bytes().n(0x6f6c_6d67).s(vec![b'x'; 65_537]).0;
    *padded.last_mut().unwrap() = 1;
    for (messages, long) in [(Bytes(padded), false), (bytes().n(0x6f6c_6d67).n(1 << 40), true)] {
        let mut client = client(38, vec![turn(ensure(), messages)]).await;
        let error = client.ensure_path(&a(), &mut ()).await.unwrap_err();
        let Error::Protocol { violation, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(
            matches!(violation, Violation::TooLong { .. }),
            long,
            "{violation:?}"
        );
        assert_eq!(matches!(violation, Violation::Padding), !long, "{violation:?}");
    }
}
