//! Questions in pipeline, and a daemon that fails, lies, stops or hangs up between their answers.

use std::time::Duration;

use super::scripted::{A, B, Bytes, DRV, LAST, Turn, bytes, client, client_over, error, known, path, turn};
use crate::client::Client;
use crate::error::{Connection, Error};
use crate::path_info::PathInfo;
use crate::store_path::StorePath;

/// Three paths, in one window.
const PATHS: [&str; 3] = [A, B, DRV];

fn ask(of: &str) -> Bytes {
    bytes().n(26).s(of)
}

fn ask_all() -> Bytes {
    PATHS.iter().fold(bytes(), |all, path| all.then(ask(path)))
}

fn told() -> Bytes {
    bytes().n(LAST).n(1).then(known("", ""))
}

/// The answers of a whole window: one known path, one unknown, one known.
fn answers() -> Bytes {
    told().then(bytes().n(LAST).n(0)).then(told())
}

async fn infos(client: &mut Client) -> Result<Vec<Option<PathInfo>>, Error> {
    client.query_path_infos(&PATHS.map(path)).await
}

fn many(count: usize) -> Vec<StorePath> {
    (0..count)
        .map(|number| path(&format!("/nix/store/{number:032}-p")))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_error_within_a_window_ends_it_with_the_connection() {
    let paths = many(600);
    // Windows are of 256, and filled up when half of one is answered.
    for failing in [0, 1, 100, 127, 128, 129, 255, 256, 257, 599] {
        for pipe in [64, 1 << 16] {
            let turns = paths[..=failing].iter().enumerate().map(|(number, path)| {
                let answer = if number == failing {
                    error("no room")
                } else {
                    told()
                };
                turn(ask(path.as_str()), answer)
            });
            let mut client = client_over(38, turns.collect(), pipe).await;
            let error = client.query_path_infos(&paths).await.unwrap_err();
            let Error::Daemon {
                error, connection, ..
            } = error
            else {
                panic!("{failing}, {pipe}: {error:?}");
            };
            assert_eq!(
                (error.message.as_str(), connection),
                ("no room", Connection::Closed)
            );
            assert!(!client.is_open());
            let again = client.is_valid_path(&path(A)).await.unwrap_err();
            assert!(matches!(again, Error::Closed { .. }), "{again:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_cut_anywhere_closes_the_connection() {
    let refused = told().then(error("no"));
    for (whole, ends_well) in [(answers(), true), (refused, false)] {
        for cut in 0..=whole.0.len() {
            let mut client = client(38, vec![turn(ask_all(), Bytes(whole.0[..cut].to_vec()))]).await;
            let ended = infos(&mut client).await;
            if cut < whole.0.len() {
                let error = ended.unwrap_err();
                assert!(
                    matches!(error, Error::Transport { .. }),
                    "cut at {cut}: {error:?}"
                );
                assert!(!client.is_open(), "cut at {cut}");
            } else {
                assert_eq!((ended.is_ok(), client.is_open()), (ends_well, ends_well));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_stops_within_a_window_is_given_up() {
    let whole = answers().0;
    for cut in 0..whole.len() {
        for (delay, in_time) in [(59, true), (61, false)] {
            let (first, rest) = whole.split_at(cut);
            let rest = Turn {
                expect: vec![],
                delay: Duration::from_secs(delay),
                send: rest.to_vec(),
            };
            let mut client = client(38, vec![turn(ask_all(), Bytes(first.to_vec())), rest]).await;
            match infos(&mut client).await {
                Ok(infos) => assert!(in_time && infos.len() == 3, "stopped at {cut} for {delay} s"),
                Err(error) => {
                    assert!(
                        !in_time && matches!(error, Error::Timeout { .. }),
                        "stopped at {cut} for {delay} s: {error:?}"
                    );
                    assert!(!client.is_open());
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_takes_no_more_questions_is_given_up() {
    let paths = many(600);
    // It answers the first ten and reads nothing more, in a pipe that the rest does not fit into.
    let turns = paths[..10]
        .iter()
        .map(|path| turn(ask(path.as_str()), told()))
        .chain([Turn {
            expect: vec![],
            delay: Duration::from_secs(3600),
            send: vec![],
        }]);
    let mut client = client_over(38, turns.collect(), 64).await;
    let error = client.query_path_infos(&paths).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert!(!client.is_open());
}

/// The answer to a question that was not asked is nobody's: not even that of the next one.
#[tokio::test(start_paused = true)]
async fn more_answers_than_questions_close_the_connection() {
    for more in [told(), bytes().n(LAST).n(1), error("no"), Bytes(vec![0])] {
        let mut client = client(38, vec![turn(ask_all(), answers().then(more))]).await;
        assert_eq!(infos(&mut client).await.unwrap().len(), 3);
        let error = client.is_valid_path(&path(A)).await.unwrap_err();
        assert!(matches!(error, Error::Closed { .. }), "{error:?}");
        assert!(!client.is_open());
    }
}

#[tokio::test(start_paused = true)]
async fn nonsense_within_a_window_closes_the_connection() {
    let whole = answers().0;
    for offset in (0..whole.len()).step_by(8) {
        for absurd in [0, 1, 2, 1 << 31, 1 << 40, u64::MAX] {
            let mut lie = whole.clone();
            lie[offset..offset + 8].copy_from_slice(&u64::to_le_bytes(absurd));
            let mut client = client(38, vec![turn(ask_all(), Bytes(lie))]).await;
            // Some numbers mean something else; a number of answers that is not that of the questions never passes.
            match infos(&mut client).await {
                Ok(infos) => assert_eq!(infos.len(), 3),
                Err(_) => assert!(!client.is_open(), "at {offset}: {absurd}"),
            }
        }
    }
}

/// A closure grows by what the answers say: what fails in its middle fails it whole.
#[tokio::test(start_paused = true)]
async fn a_closure_that_is_cut_in_its_middle_is_none() {
    let first = turn(ask(DRV), told());
    let second = told().then(told());
    for cut in 0..second.0.len() {
        let script = vec![
            turn(ask(DRV), told()),
            turn(ask(A).then(ask(B)), Bytes(second.0[..cut].to_vec())),
        ];
        let mut client = client(38, script).await;
        let error = client.query_closure(&[path(DRV)]).await.unwrap_err();
        assert!(
            matches!(error, Error::Transport { .. }),
            "cut at {cut}: {error:?}"
        );
        assert!(!client.is_open());
    }
    let mut whole = client(38, vec![first, turn(ask(A).then(ask(B)), second)]).await;
    assert_eq!(whole.query_closure(&[path(DRV)]).await.unwrap().len(), 3);
}
