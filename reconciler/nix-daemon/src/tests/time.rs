//! Silence: what is given up, and what is waited for. Time is paused, and jumps when everyone waits.

use std::time::Duration;

use super::scripted::{A, Bytes, DRV, LAST, Turn, bytes, client, connect, greeting, path, turn};
use crate::build::BuildMode;
use crate::connect::{ConnectError, ConnectOptions};
use crate::derived_path::{DerivedPath, Outputs};
use crate::error::Error;

fn after(delay: u64, turn: Turn) -> Turn {
    Turn {
        delay: Duration::from_secs(delay),
        ..turn
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_query_is_given_up() {
    let valid = || turn(bytes().n(1).s(A), bytes().n(LAST).n(1));
    let mut patient = client(38, vec![after(59, valid()), after(59, valid())]).await;
    assert!(patient.is_valid_path(&path(A)).await.unwrap());
    assert!(patient.is_valid_path(&path(A)).await.unwrap());

    let mut client = client(38, vec![after(61, valid())]).await;
    let error = client.is_valid_path(&path(A)).await.unwrap_err();
    assert!(
        matches!(error, Error::Timeout { after, .. } if after == Duration::from_secs(60)),
        "{error:?}"
    );
    assert!(!client.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_build_takes_as_long_as_it_takes() {
    let request = bytes().n(46).list(&[&format!("{DRV}!*")]).n(0);
    let reply = bytes()
        .n(LAST)
        .n(1)
        .s(format!("{DRV}!*"))
        .n(3)
        .s("no")
        .n(1)
        .n(0)
        .n(1)
        .n(2)
        .n(0)
        .n(0)
        .n(0);
    let mut client = client(38, vec![after(86_400, turn(request, reply))]).await;
    let target = DerivedPath::Built {
        drv: path(DRV),
        outputs: Outputs::All,
    };
    let results = client
        .build_paths_with_results(&[target], BuildMode::Normal, &mut ())
        .await
        .unwrap();
    assert_eq!(results.len(), 1);
}

/// Silence is work only between two messages.
#[tokio::test(start_paused = true)]
async fn a_build_that_stops_within_a_message_is_given_up() {
    let request = || bytes().n(46).list(&[&format!("{DRV}!*")]).n(0);
    let target = || DerivedPath::Built {
        drv: path(DRV),
        outputs: Outputs::All,
    };
    let line = bytes().n(0x6f6c_6d67).s("a line");
    let reply = bytes().n(LAST).n(1).s(format!("{DRV}!*")).n(3);
    for whole in [line, reply] {
        for cut in 1..whole.0.len() {
            // The rest comes after the patience ran out.
            let (first, rest) = whole.0.split_at(cut);
            let script = vec![
                turn(request(), Bytes(first.to_vec())),
                after(61, turn(bytes(), Bytes(rest.to_vec()))),
            ];
            let mut client = client(38, script).await;
            let error = client
                .build_paths_with_results(&[target()], BuildMode::Normal, &mut ())
                .await
                .unwrap_err();
            assert!(matches!(error, Error::Timeout { .. }), "cut at {cut}: {error:?}");
            assert!(!client.is_open());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_given_up() {
    // The pipe takes 16 bytes and nobody reads them.
    let mut script = greeting(38);
    script.push(Turn {
        expect: vec![],
        delay: Duration::from_secs(3600),
        send: vec![],
    });
    let mut client = connect(script, 16, &ConnectOptions::default()).await.0.unwrap();
    let error = client.is_valid_path(&path(A)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_greeting_nobody_reads_is_given_up() {
    let mut script = greeting(38);
    script[0].expect = vec![];
    script[0].send = vec![];
    script[0].delay = Duration::from_secs(3600);
    let error = connect(script, 4, &ConnectOptions::default())
        .await
        .0
        .unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");
}
