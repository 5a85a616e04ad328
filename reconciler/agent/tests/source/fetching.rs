//! Fetches that go wrong in the middle.

use std::{
    io::Write,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    time::Duration,
};

use reconciler::source::{Advertised, FetchError, RemoteError, Source};

use crate::{
    http_server::{Behaviour, Hangs, Server},
    support::{Scratch, Upstream, git, settings, source},
};

/// A source whose server advertises, and sends headers but no pack.
async fn hanging(scratch: &Scratch, stall: Duration) -> (Server, Source, Advertised) {
    let server = Server::start(Behaviour::HangsAfterHeaders(scratch.path.clone(), Hangs::OnPost));
    let mut settings = settings(scratch, &[&server.url("infra")]);
    settings.timeouts.stall = stall;
    let source = source(settings);
    let advertised = source.poll().await.unwrap();
    (server, source, advertised)
}

#[tokio::test]
async fn a_stalled_fetch_is_killed_and_the_next_one_works() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let (server, stalled, advertised) = hanging(&scratch, Duration::from_secs(1)).await;
    let error = stalled.fetch(&advertised, &mut |_| ()).await.unwrap_err();
    match &error {
        FetchError::Urls(failures) => assert!(
            matches!(failures.0[0].error, RemoteError::Stalled { .. }),
            "{failures}"
        ),
        other => panic!("{other:?}"),
    }
    server.left_by_its_client().await;

    let good = source(settings(&scratch, &[upstream.path.as_str()]));
    good.fetch(&good.poll().await.unwrap(), &mut |_| ())
        .await
        .unwrap();
    assert_eq!(good.mirror().unwrap().head("main"), Some(upstream.head()));
}

#[tokio::test]
async fn a_fetch_that_nobody_waits_for_is_killed() {
    let scratch = Scratch::new();
    Upstream::new(&scratch);
    let (server, source, advertised) = hanging(&scratch, Duration::from_secs(60)).await;
    let mut progress = |_| ();
    let fetch = source.fetch(&advertised, &mut progress);
    // The server hears the POST, then the fetch is dropped.
    tokio::select! {
        outcome = fetch => panic!("{outcome:?}"),
        () = server.heard("POST") => {}
    }
    server.left_by_its_client().await;
}

#[tokio::test]
async fn a_head_that_was_rewritten_meanwhile_is_told() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let source = source(settings(&scratch, &[upstream.path.as_str()]));
    upstream.commit("second");
    let advertised = source.poll().await.unwrap();
    let grown = upstream.commit("third");
    source.fetch(&advertised, &mut |_| ()).await.unwrap();
    assert_eq!(source.mirror().unwrap().head("main"), Some(grown));

    upstream.commit("fourth");
    let advertised = source.poll().await.unwrap();
    git(&upstream.path, &["reset", "--quiet", "--hard", "HEAD~2"]);
    match source.fetch(&advertised, &mut |_| ()).await {
        Err(FetchError::Moved { wanted, found }) => {
            assert_eq!(
                (wanted.oid(), found.oid()),
                (advertised.head.oid(), upstream.head())
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_transport_ends_with_its_parent() {
    let scratch = Scratch::new();
    let server = Server::start(Behaviour::HangsAfterHeaders(scratch.path.clone(), Hangs::Always));
    let mut child = Command::new(env!("CARGO_BIN_EXE_reconcile"))
        .arg("git-transport")
        .env_clear()
        .env("HOME", &scratch.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let url = server.url("infra");
    writeln!(
        stdin,
        r#"{{"url":"{url}","branch":"main","operation":"list","login":"none"}}"#
    )
    .unwrap();
    server.heard("GET").await;
    drop(stdin);
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[tokio::test]
async fn only_one_fetch_at_a_time() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let (server, first, advertised) = hanging(&scratch, Duration::from_secs(60)).await;
    let mut progress = |_| ();
    let hanging = first.fetch(&advertised, &mut progress);
    let second = async {
        server.heard("POST").await;
        let source = source(settings(&scratch, &[upstream.path.as_str()]));
        source.fetch(&source.poll().await.unwrap(), &mut |_| ()).await
    };
    tokio::select! {
        outcome = hanging => panic!("{outcome:?}"),
        outcome = second => match outcome {
            Err(FetchError::Urls(failures)) => assert!(matches!(failures.0[0].error, RemoteError::Busy), "{failures}"),
            other => panic!("{other:?}"),
        },
    }
}

/// What others on the machine may read of a process, and what its own children would inherit.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_token_shows_neither_in_arguments_nor_in_the_environment() {
    let scratch = Scratch::new();
    Upstream::new(&scratch);
    let server = Server::start(Behaviour::HangsAfterHeaders(scratch.path.clone(), Hangs::OnPost));
    let token = scratch.path.join("token");
    std::fs::write(&token, "t0ken-of-this-test").unwrap();
    let mut settings = settings(&scratch, &[&server.url("infra")]);
    settings.https.token_file = Some(token);
    let home = settings.home.clone();
    let source = source(settings);
    let advertised = source.poll().await.unwrap();
    let mut progress = |_| ();
    let fetch = source.fetch(&advertised, &mut progress);
    let look = async {
        server.heard("POST").await;
        let mut seen = 0;
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let read = |name: &str| {
                String::from_utf8_lossy(&std::fs::read(process.path().join(name)).unwrap_or_default())
                    .into_owned()
            };
            let environment = read("environ");
            if environment.contains(&format!("HOME={home}")) {
                assert_eq!(read("cmdline"), "reconcile\0git-transport\0");
                assert!(!environment.contains("t0ken-of-this-test"), "{environment}");
                assert!(!environment.contains("CARGO"), "{environment}");
                seen += 1;
            }
        }
        seen
    };
    tokio::select! {
        outcome = fetch => panic!("{outcome:?}"),
        seen = look => assert_eq!(seen, 1),
    }
}

#[test]
fn a_source_works_from_any_task() {
    fn send<T: Send>(_: &T) {}
    fn shared<T: Send + Sync>(_: &T) {}
    let scratch = Scratch::new();
    let source = source(settings(&scratch, &["/srv/infra.git"]));
    send(&source.poll());
    shared(&source);
}
