//! Greeting, refusals, and what a connection survives.

use std::io::Read;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use nix_daemon_client::{
    BuildMode, Client, ConnectError, ConnectOptions, Connection, DerivedPath, Error, Outputs, StorePath,
    Trust,
};

use tokio::net::UnixSocket;

use crate::daemon::Daemon;

#[tokio::test]
async fn every_version_up_to_the_daemons_own_is_spoken() {
    let daemon = Daemon::start();
    let newest = daemon.client().await.protocol();
    for max_minor in 34..=38 {
        let options = ConnectOptions {
            max_minor,
            ..ConnectOptions::default()
        };
        let mut client = Client::connect(&daemon.socket(), &options).await.unwrap();
        assert_eq!(client.protocol().minor, max_minor.min(newest.minor));
        assert!(client.daemon_version().is_some());
        let trust = if client.protocol().minor >= 35 {
            Trust::Trusted
        } else {
            Trust::Unknown
        };
        assert_eq!(client.trust(), trust);
        assert!(client.query_missing(&[]).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn who_is_not_allowed_is_told_so() {
    let daemon = Daemon::start_with("trusted-users =\nallowed-users = nobody-at-all\n");
    let error = Client::connect(&daemon.socket(), &ConnectOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn sockets_nobody_serves() {
    let folder = tempfile::Builder::new().prefix("nd").tempdir_in("/tmp").unwrap();
    let options = ConnectOptions {
        connect_timeout: Duration::from_millis(50),
        ..ConnectOptions::default()
    };

    let absent = folder.path().join("absent");
    let error = Client::connect(&absent, &options).await.unwrap_err();
    assert!(matches!(error, ConnectError::Missing { .. }), "{error:?}");

    let dead = folder.path().join("dead");
    // Bound, and never listened on: a listener that is closed may live on for a moment in what another test starts.
    let unserved = UnixSocket::new_stream().unwrap();
    unserved.bind(&dead).unwrap();
    let error = Client::connect(&dead, &options).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");

    let silent = folder.path().join("silent");
    let _listener = UnixListener::bind(&silent).unwrap();
    let error = Client::connect(&silent, &options).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");

    let plain_file = folder.path().join("file");
    std::fs::write(&plain_file, "").unwrap();
    let error = Client::connect(&plain_file, &options).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn an_error_before_the_daemon_works_closes_the_connection() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    // A path of another store is refused before the daemon begins to work: sent twice, then it hangs up.
    let foreign = StorePath::from_absolute("/other/00000000000000000000000000000000-x").unwrap();
    let error = client.is_valid_path(&foreign).await.unwrap_err();
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
    let error = client.query_missing(&[]).await.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error:?}");

    client.reconnect().await.unwrap();
    assert!(client.query_missing(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_error_while_the_daemon_works_leaves_the_connection() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    let absent =
        StorePath::from_base_name(&daemon.store_dir(), "00000000000000000000000000000000-x").unwrap();
    let error = client.ensure_path(&absent, &mut ()).await.unwrap_err();
    let Error::Daemon {
        error,
        connection: Connection::Alive,
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(error.message.contains(absent.as_str()), "{error:?}");
    assert!(!error.message.contains('\u{1b}'), "{error:?}");
    assert!(!client.is_valid_path(&absent).await.unwrap());
}

#[tokio::test]
async fn an_operation_the_daemon_does_not_have_is_not_sent() {
    let daemon = Daemon::start();
    let options = ConnectOptions {
        max_minor: 35,
        ..ConnectOptions::default()
    };
    let mut client = Client::connect(&daemon.socket(), &options).await.unwrap();
    let path = StorePath::from_base_name(&daemon.store_dir(), "00000000000000000000000000000000-x").unwrap();
    let error = client
        .add_perm_root(&path, &daemon.root().join("link"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Unsupported { needed: 36, .. }),
        "{error:?}"
    );
    assert!(!client.is_valid_path(&path).await.unwrap());
}

#[tokio::test]
async fn dropping_a_build_kills_its_builder() {
    let daemon = Daemon::start();
    let pipe = daemon.root().join("pipe");
    unix::unistd::mkfifo(&pipe, unix::sys::stat::Mode::S_IRWXU).unwrap();
    let drv = daemon.derivation(
        "endless",
        &format!("exec 3>{}; echo up >&3; exec sleep 1000", pipe.display()),
        "",
    );
    let mut client = daemon.client().await;

    // The builder holds the pipe open as long as it lives.
    let (up, builder_is_up) = tokio::sync::oneshot::channel();
    let (down, builder_is_down) = tokio::sync::oneshot::channel();
    // A thread of its own: opening the pipe blocks until the builder is there, and must not hold up a failure.
    std::thread::spawn(move || {
        let mut pipe = std::fs::File::open(pipe).unwrap();
        let mut said = [0; 3];
        pipe.read_exact(&mut said).unwrap();
        up.send(()).unwrap();
        let _ = down.send(pipe.read_to_end(&mut Vec::new()));
    });
    let targets = [DerivedPath::Built {
        drv: drv.clone(),
        outputs: Outputs::All,
    }];
    let mut events = ();
    tokio::select! {
        result = client.build_paths_with_results(&targets, BuildMode::Normal, &mut events) => {
            panic!("it ended: {result:?}")
        }
        up = builder_is_up => up.unwrap(),
    }

    assert!(!client.is_open());
    let after = tokio::time::timeout(Duration::from_secs(20), builder_is_down)
        .await
        .expect("it lives on");
    assert_eq!(after.unwrap().unwrap(), 0);
    assert!(matches!(
        client.is_valid_path(&drv).await.unwrap_err(),
        Error::Closed { .. }
    ));
    client.reconnect().await.unwrap();
    assert!(client.is_valid_path(&drv).await.unwrap());
}

#[tokio::test]
async fn a_daemon_that_went_away_is_noticed() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    let path = StorePath::from_base_name(&daemon.store_dir(), "00000000000000000000000000000000-x").unwrap();
    assert!(!client.is_valid_path(&path).await.unwrap());
    drop(daemon);
    let error = client.reconnect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Missing { .. }), "{error:?}");
    assert!(matches!(
        client.is_valid_path(&path).await.unwrap_err(),
        Error::Closed { .. }
    ));
}
