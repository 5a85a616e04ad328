//! Greetings of every version, and those that fail.

use super::scripted::{Bytes, CLIENT_HELLO, DAEMON_HELLO, Turn, bytes, connect, error, greeting, turn};
use crate::connect::{ConnectError, ConnectOptions};
use crate::handshake::Trust;

async fn refused(script: Vec<Turn>) -> ConnectError {
    connect(script, 4096, &ConnectOptions::default())
        .await
        .0
        .unwrap_err()
}

#[tokio::test]
async fn every_version_is_greeted_in_its_own_way() {
    for theirs in [34, 35, 36, 37, 38, 39, 60, 255] {
        let (client, daemon) = connect(greeting(theirs), 4096, &ConnectOptions::default()).await;
        let client = client.unwrap();
        daemon.await.unwrap();
        assert_eq!(u64::from(client.protocol().minor), theirs.min(38));
        assert_eq!(client.daemon_version(), Some(format!("2.{theirs}").as_str()));
        assert_eq!(
            client.trust(),
            if theirs >= 35 {
                Trust::Trusted
            } else {
                Trust::Unknown
            }
        );
        assert!(client.is_open());
    }
}

#[tokio::test]
async fn a_lower_maximum_is_announced() {
    let hello = turn(bytes().n(CLIENT_HELLO), bytes().n(DAEMON_HELLO).n(256 + 38));
    let rest = turn(
        bytes().n(256 + 36).n(0).n(0),
        bytes().s("").n(2).n(super::scripted::LAST),
    );
    let options = ConnectOptions {
        max_minor: 36,
        ..ConnectOptions::default()
    };
    let client = connect(vec![hello, rest], 4096, &options).await.0.unwrap();
    assert_eq!(client.protocol().to_string(), "1.36");
    assert_eq!(
        (client.trust(), client.daemon_version()),
        (Trust::Untrusted, None)
    );
}

#[tokio::test]
async fn who_is_turned_away_knows_why() {
    let hello = |send: Bytes| vec![turn(bytes().n(CLIENT_HELLO), send)];

    assert!(matches!(refused(vec![]).await, ConnectError::Denied { .. }));
    assert!(matches!(
        refused(hello(bytes())).await,
        ConnectError::Denied { .. }
    ));
    assert!(matches!(
        refused(hello(bytes().n(0xab9a_9ff0))).await,
        ConnectError::Denied { .. }
    ));
    let http = u64::from_le_bytes(*b"HTTP/1.1");
    assert!(
        matches!(refused(hello(bytes().n(http))).await, ConnectError::NotADaemon { word, .. } if word == http)
    );
    for version in [0, 33, 256, 256 + 33, 512, 512 + 38, u64::MAX] {
        let error = refused(hello(bytes().n(DAEMON_HELLO).n(version))).await;
        assert!(
            matches!(error, ConnectError::TooOld { .. }),
            "{version}: {error:?}"
        );
    }

    let mut script = greeting(37);
    script[1].send = bytes().s("2.37").n(1).then(error("no store")).0;
    let refusal = refused(script).await;
    assert!(
        matches!(&refusal, ConnectError::Daemon { error, .. } if error.message == "no store"),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn a_greeting_cut_anywhere_is_an_error() {
    for theirs in [34, 35, 37, 38] {
        for index in 0..2 {
            let whole = greeting(theirs)[index].send.len();
            for cut in 0..whole {
                let mut script = greeting(theirs);
                script[index].send.truncate(cut);
                script.truncate(index + 1);
                match refused(script).await {
                    ConnectError::Denied { .. } => assert!(index == 0 && cut == 0, "{theirs} {index} {cut}"),
                    ConnectError::Transport { .. } => assert!(index > 0 || cut > 0, "{theirs} {index} {cut}"),
                    other => panic!("{theirs} {index} {cut}: {other:?}"),
                }
            }
        }
    }
}

/// Nix's headers have a `PROTOCOL_VERSION` of 1.39, left over from a merge; what its daemons say is 1.38.
#[tokio::test]
async fn the_version_that_no_daemon_speaks_is_not_announced() {
    let options = ConnectOptions {
        max_minor: 39,
        ..ConnectOptions::default()
    };
    // The script expects the client to announce 1.38, with a daemon that says 1.39 too.
    for theirs in [38, 39] {
        let (client, daemon) = connect(greeting(theirs), 4096, &options).await;
        assert_eq!(client.unwrap().protocol().to_string(), "1.38");
        daemon.await.unwrap();
    }
}

/// Lix speaks 1.35 for ever. Since 2.94 it turns away clients that announce less than 1.35: this one announces
/// its newest version, whatever it hears.
#[tokio::test]
async fn lix_is_greeted_in_its_own_version() {
    let lix = || {
        vec![
            turn(bytes().n(CLIENT_HELLO), bytes().n(DAEMON_HELLO).n(256 + 35)),
            turn(
                bytes().n(256 + 38).n(0).n(0),
                bytes().s("2.94.0-lix").n(1).n(super::scripted::LAST),
            ),
        ]
    };
    let (client, daemon) = connect(lix(), 4096, &ConnectOptions::default()).await;
    let client = client.unwrap();
    daemon.await.unwrap();
    assert_eq!(client.protocol().to_string(), "1.35");
    assert_eq!(
        (client.daemon_version(), client.trust()),
        (Some("2.94.0-lix"), Trust::Trusted)
    );

    // As it answers a client that announces too little, which a caller can make this one do.
    let options = ConnectOptions {
        max_minor: 34,
        ..ConnectOptions::default()
    };
    let mut turned_away = lix();
    turned_away[1] = turn(bytes().n(256 + 34).n(0).n(0), error("client is too old"));
    let refusal = connect(turned_away, 4096, &options).await.0.unwrap_err();
    assert!(
        matches!(
            refusal,
            ConnectError::Daemon { .. } | ConnectError::Protocol { .. } | ConnectError::Transport { .. }
        ),
        "{refusal:?}"
    );
}

/// Determinate Nix offers features that would change later formats. None is asked for, so none is in force.
#[tokio::test]
async fn determinate_offers_features_and_none_is_taken() {
    let offered = [
        "addTempRoots",
        "provenance",
        "queryActiveBuilds",
        "queryPathInfos",
        "versionedAddToStoreMultiple",
    ];
    let script = vec![
        turn(bytes().n(CLIENT_HELLO), bytes().n(DAEMON_HELLO).n(256 + 38)),
        turn(
            bytes().n(256 + 38).n(0).n(0).n(0),
            bytes()
                .list(&offered)
                .s("2.34.1 (Determinate Nix 3.22.0)")
                .n(2)
                .n(super::scripted::LAST),
        ),
        // What is known of a path has no `provenance` at its end.
        turn(
            bytes().n(26).s(super::scripted::A),
            bytes()
                .n(super::scripted::LAST)
                .n(1)
                .s("")
                .s(super::scripted::HASH)
                .n(0)
                .n(1)
                .n(2)
                .n(0)
                .n(0)
                .s(""),
        ),
        turn(
            bytes().n(1).s(super::scripted::A),
            bytes().n(super::scripted::LAST).n(1),
        ),
    ];
    let (client, daemon) = connect(script, 4096, &ConnectOptions::default()).await;
    let mut client = client.unwrap();
    assert_eq!(client.daemon_version(), Some("2.34.1 (Determinate Nix 3.22.0)"));
    assert_eq!(client.trust(), Trust::Untrusted);
    let path = super::scripted::path(super::scripted::A);
    assert!(client.query_path_info(&path).await.unwrap().is_some());
    assert!(client.is_valid_path(&path).await.unwrap());
    daemon.await.unwrap();
}
