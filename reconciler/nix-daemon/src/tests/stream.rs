//! An operation as a stream of its events.

use super::scripted::{A, bytes, client_over, error, path, turn};
use crate::error::Error;
use crate::event::Event;
use crate::stream::EventStream;

const NEXT: u64 = 0x6f6c_6d67;
const LAST: u64 = super::scripted::LAST;

fn lines(count: usize) -> super::scripted::Bytes {
    (0..count).fold(bytes(), |all, number| all.n(NEXT).s(format!("line {number}")))
}

#[tokio::test]
async fn events_come_while_the_operation_runs_and_the_outcome_after_them() {
    let reply = lines(1000).n(LAST).n(1);
    let mut client = client_over(38, vec![turn(bytes().n(10).s(A), reply)], 64).await;
    let wanted = path(A);
    let (client, wanted) = (&mut client, &wanted);
    let mut stream = EventStream::new(|mut events| async move {
        let outcome = client.ensure_path(wanted, &mut events).await;
        (outcome, client.is_open())
    });
    let mut seen = 0;
    while let Some(event) = stream.next().await {
        assert_eq!(event, Event::Line(format!("line {seen}").as_str().into()));
        seen += 1;
    }
    assert_eq!(seen, 1000);
    assert_eq!(stream.next().await, None);
    let (outcome, open) = stream.finish().await;
    assert!(outcome.is_ok() && open, "{outcome:?}");
}

#[tokio::test]
async fn the_end_may_be_waited_for_without_the_events() {
    let mut client = client_over(
        38,
        vec![turn(bytes().n(10).s(A), lines(500).then(error("no")))],
        64,
    )
    .await;
    let wanted = path(A);
    let (client, wanted) = (&mut client, &wanted);
    let stream = EventStream::new(|mut events| async move { client.ensure_path(wanted, &mut events).await });
    assert!(matches!(stream.finish().await, Err(Error::Daemon { .. })));
}

#[tokio::test]
async fn a_consumer_that_takes_its_time_holds_the_daemon_back() {
    // All of it waits in the pipe, and is taken into memory only as it is consumed.
    let count = 100_000;
    let mut client = client_over(
        38,
        vec![turn(bytes().n(10).s(A), lines(count).n(LAST).n(1))],
        1 << 23,
    )
    .await;
    let wanted = path(A);
    let (borrowed, wanted) = (&mut client, &wanted);
    let mut stream =
        EventStream::new(|mut events| async move { borrowed.ensure_path(wanted, &mut events).await });
    for _ in 0..10 {
        stream.next().await.unwrap();
        assert!(stream.waiting() <= 256, "{}", stream.waiting());
    }
    // Dropped within: the connection goes.
    drop(stream);
    assert!(!client.is_open());
}

#[tokio::test]
async fn a_stream_that_is_not_asked_sends_nothing() {
    let mut client = client_over(38, vec![], 64).await;
    let wanted = path(A);
    {
        let (client, wanted) = (&mut client, &wanted);
        drop(EventStream::new(|mut events| async move {
            client.ensure_path(wanted, &mut events).await
        }));
    }
    assert!(client.is_open());
}
