//! Every operation and every message there and back, against a daemon that has nothing of the client's code: what is
//! asked arrives as it was meant, and what is answered comes out as it was said.
//!
//! Whole conversations are made up: some operations one after the other on one connection, each with messages before
//! its reply, so that a reply that is not read to its last byte spoils the next one.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what is not as it has to be fails the test"
)]

mod any;
mod exchange;
mod peer;
mod values;
mod wire;

use nix_daemon_client::{Client, ConnectOptions, Connection, DaemonError, Error, Event, Operation, Trust};
use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

use exchange::{Exchange, Outcome};
use peer::{Peer, Turn};

/// The answer to a request: messages, and then the reply or an error.
fn turn(
    exchange: impl Strategy<Value = Exchange>,
) -> impl Strategy<Value = (Exchange, Vec<Event>, Option<DaemonError>)> {
    let error = proptest::option::weighted(0.2, values::error());
    (exchange, vec(values::event(), 0..8), error).prop_map(|(exchange, events, error)| {
        // Of several questions at once each has an answer of its own; an error ends all of them.
        let error = error.filter(|_| !matches!(exchange, Exchange::QueryPathInfos(_)));
        (exchange, events, error)
    })
}

/// Holds a conversation; tells how each exchange ended for the client, with the events before.
fn converse(
    minor: u16,
    pipe: usize,
    turns: &[(Exchange, Vec<Event>, Option<DaemonError>)],
) -> Vec<(Result<Outcome, Error>, Vec<Event>)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let script: Vec<Turn> = turns
        .iter()
        .flat_map(|(exchange, events, error)| {
            let questions = exchange.questions().into_iter();
            questions.map(|question| Turn::of(&question, events, error, minor))
        })
        .collect();
    runtime.block_on(async {
        let (ours, theirs) = tokio::io::duplex(pipe);
        let daemon = tokio::spawn(Peer::new(theirs, minor).serve(script));
        let mut client = Client::over(ours, &ConnectOptions::default()).await.unwrap();
        let mut outcomes = Vec::new();
        for (exchange, _, _) in turns {
            let mut events = Vec::new();
            let outcome = exchange.ask(&mut client, &mut |event| events.push(event)).await;
            outcomes.push((outcome, events));
        }
        drop(client);
        daemon.await.unwrap();
        outcomes
    })
}

proptest! {
    #[test]
    fn what_is_asked_arrives_and_what_is_answered_comes_back(
        minor in 34_u16..=38,
        pipe in 1_usize..5000,
        turns in vec(turn(any::exchange()), 1..6),
    ) {
        let outcomes = converse(minor, pipe, &turns);
        for ((exchange, events, error), (outcome, seen)) in turns.iter().zip(outcomes) {
            if minor < exchange.operation().since() {
                prop_assert!(matches!(outcome, Err(Error::Unsupported { .. })), "{outcome:?}");
                continue;
            }
            match error {
                None => prop_assert_eq!(outcome.unwrap(), exchange.outcome(minor)),
                Some(error) => {
                    let Err(Error::Daemon { operation, error: found, connection }) = outcome else {
                        panic!("{outcome:?}")
                    };
                    prop_assert_eq!(operation, exchange.operation());
                    prop_assert_eq!(found.as_ref(), error);
                    prop_assert_eq!(connection, Connection::Alive);
                }
            }
            if exchange.tells_events() {
                prop_assert_eq!(&seen, events);
            }
        }
    }

    #[test]
    fn a_daemon_is_known_by_its_greeting(
        theirs in 34_u64..=255,
        ours in 0_u16..=60,
        version in "[ -~]{0,40}",
        trust in 0_u64..4,
        features in vec("[a-z-]{1,20}", 0..5),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (stream, other) = tokio::io::duplex(4096);
            let (text, names) = (version.clone(), features.clone());
            let daemon = tokio::spawn(async move {
                let mut peer = Peer::new(other, 0);
                peer.greet(theirs, &text, trust, &names).await;
                peer
            });
            let options = ConnectOptions { max_minor: ours, ..ConnectOptions::default() };
            let client = Client::over(stream, &options).await.unwrap();
            let agreed = u64::from(ours.clamp(34, 38)).min(theirs);
            assert_eq!(daemon.await.unwrap().agreed(), agreed);
            assert_eq!((client.protocol().major, u64::from(client.protocol().minor)), (1, agreed));
            assert_eq!(client.daemon_version().unwrap_or_default(), version);
            let trust = match trust {
                1 if agreed >= 35 => Trust::Trusted,
                2 if agreed >= 35 => Trust::Untrusted,
                _ => Trust::Unknown,
            };
            assert_eq!(client.trust(), trust);
        });
    }
}

/// No operation is left out of the conversations.
#[test]
fn every_operation_is_tried() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut left: Vec<Operation> = Operation::ALL.to_vec();
    for _ in 0..2000 {
        let exchange = any::exchange().new_tree(&mut runner).unwrap().current();
        left.retain(|operation| *operation != exchange.operation());
    }
    assert_eq!(left, []);
}
