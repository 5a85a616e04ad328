//! Polls and fetches over http.

use std::{fs, net::TcpListener, time::Duration};

use reconciler::source::{Offered, RemoteError, Source, SourceSettings};

use crate::{
    http_server::{Behaviour, Hangs, Server},
    support::{Scratch, Upstream, git, settings, source},
};

async fn failure(settings: SourceSettings) -> RemoteError {
    source(settings)
        .poll()
        .await
        .unwrap_err()
        .failures
        .0
        .remove(0)
        .error
}

async fn fetch(source: &Source) {
    let advertised = source.poll().await.unwrap();
    source.fetch(&advertised, &mut |_| ()).await.unwrap();
    assert_eq!(source.mirror().unwrap().head("main"), Some(advertised.head.oid()));
}

#[tokio::test]
async fn from_the_second_poll_on_one_small_request_is_enough() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    upstream.add_refs(5000);
    let server = Server::start(Behaviour::Git(scratch.path.clone()));
    let source = source(settings(&scratch, &[&server.url("infra")]));
    assert_eq!(source.poll().await.unwrap().head, upstream.head());
    let asked = [
        "GET /infra/info/refs?service=git-upload-pack",
        "POST /infra/git-upload-pack",
    ];
    assert_eq!(server.take_requests(), asked);
    let head = upstream.commit("second");
    assert_eq!(source.poll().await.unwrap().head, head);
    assert_eq!(server.take_requests(), asked[1..]);
    assert!(server.answered() < 100, "{} bytes", server.answered());
    assert_eq!(server.connections(), 1);
    fetch(&source).await;
}

#[tokio::test]
async fn an_old_server_is_read_too() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    upstream.add_refs(5000);
    let server = Server::start(Behaviour::OldGit(scratch.path.clone()));
    let source = source(settings(&scratch, &[&server.url("infra")]));
    for _ in 0..2 {
        assert_eq!(source.poll().await.unwrap().head, upstream.head());
        assert_eq!(
            server.take_requests(),
            ["GET /infra/info/refs?service=git-upload-pack"]
        );
        assert!(server.answered() > 300_000, "{} bytes", server.answered());
    }
    assert_eq!(server.connections(), 1);
    fetch(&source).await;
}

#[tokio::test]
async fn a_missing_branch_names_the_nearest() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    git(&upstream.path, &["branch", "--move", "master"]);
    for behaviour in [
        Behaviour::Git(scratch.path.clone()),
        Behaviour::OldGit(scratch.path.clone()),
    ] {
        let server = Server::start(behaviour);
        match failure(settings(&scratch, &[&server.url("infra")])).await {
            RemoteError::BranchMissing { branches, .. } => assert_eq!(branches, ["master"]),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_token_opens_a_private_repository() {
    let scratch = Scratch::new();
    Upstream::new(&scratch);
    // x-access-token:t0ken
    let server = Server::start(Behaviour::Guarded(
        scratch.path.clone(),
        "eC1hY2Nlc3MtdG9rZW46dDBrZW4=",
    ));
    let mut settings = settings(&scratch, &[&server.url("infra")]);
    match failure(settings.clone()).await {
        RemoteError::Unauthorized { offered } => assert_eq!(offered, Offered::Nothing),
        other => panic!("{other:?}"),
    }
    let token = scratch.path.join("token");
    fs::write(&token, "t0ken\n").unwrap();
    settings.https.token_file = Some(token.clone());
    let source = source(settings.clone());
    fetch(&source).await;

    // Rotated on the server first: told, and read anew without a restart.
    fs::write(&token, "0ther\n").unwrap();
    let error = source.poll().await.unwrap_err();
    assert!(matches!(
        error.failures.0[0].error,
        RemoteError::Unauthorized { .. }
    ));
    assert!(
        error
            .to_string()
            .ends_with(&format!("the server refuses the token of {token}")),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("0ther"));
    fs::write(&token, "t0ken\n").unwrap();
    source.poll().await.unwrap();

    settings.https.token_file = None;
    let netrc = scratch.path.join("netrc");
    fs::write(&netrc, "machine 127.0.0.1 login x-access-token password t0ken\n").unwrap();
    settings.https.netrc = Some(netrc);
    crate::support::source(settings).poll().await.unwrap();
}

#[tokio::test]
async fn a_wrong_token_fails_the_fetch_once() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let server = Server::start(Behaviour::Guarded(
        scratch.path.clone(),
        "eC1hY2Nlc3MtdG9rZW46dDBrZW4=",
    ));
    let local = source(settings(&scratch, &[upstream.path.as_str()]))
        .poll()
        .await
        .unwrap();
    let token = scratch.path.join("token");
    fs::write(&token, "wr0ng").unwrap();
    let mut settings = settings(&scratch, &[&server.url("infra")]);
    settings.https.token_file = Some(token);
    let source = source(settings);
    // The url that advertised is gone by now; the other refuses.
    fs::rename(&upstream.path, scratch.path.join("moved")).unwrap();
    let error = source.fetch(&local, &mut |_| ()).await.unwrap_err();
    let reconciler::source::FetchError::Urls(failures) = error else {
        panic!("{error:?}")
    };
    let kinds: Vec<_> = failures.0.iter().map(|failure| failure.error.kind()).collect();
    assert_eq!(kinds, ["not-found", "unauthorized"], "{failures}");
    assert!(server.take_requests().len() <= 2);
}

#[tokio::test]
async fn answers_of_other_servers_are_told_apart() {
    let scratch = Scratch::new();
    for (status, kind, expected) in [
        ("200 OK", "text/html", "not-git"),
        ("403 Forbidden", "text/html", "unauthorized"),
        ("404 Not Found", "text/html", "not-found"),
        ("503 Unavailable", "text/html", "status"),
        (
            "200 OK",
            "application/x-git-upload-pack-advertisement",
            "advertisement",
        ),
    ] {
        let server = Server::start(Behaviour::Says(status, kind));
        assert_eq!(
            failure(settings(&scratch, &[&server.url("infra")])).await.kind(),
            expected,
            "{status} {kind}"
        );
    }
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let nobody = format!("http://user:hunter2@127.0.0.1:{free}/infra");
    let error = source(settings(&scratch, &[&nobody])).poll().await.unwrap_err();
    assert_eq!(error.failures.0[0].error.kind(), "network");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_server_that_stops_talking_is_left() {
    let scratch = Scratch::new();
    let server = Server::start(Behaviour::HangsAfterHeaders(scratch.path.clone(), Hangs::Always));
    let mut settings = settings(&scratch, &[&server.url("infra")]);
    settings.timeouts.poll = Duration::from_millis(300);
    assert!(matches!(failure(settings).await, RemoteError::TimedOut { .. }));
    server.left_by_its_client().await;
}

#[tokio::test]
async fn redirects_stay_on_the_host() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let root = scratch.path.clone();
    let server = Server::start(Behaviour::Redirects(
        root.clone(),
        "/old/".into(),
        "/infra/".into(),
    ));
    let moved = source(settings(&scratch, &[&server.url("old")]));
    assert_eq!(moved.poll().await.unwrap().head, upstream.head());
    fetch(&moved).await;

    let target = Server::start(Behaviour::Git(root.clone()));
    let elsewhere = target.url("infra/");
    let server = Server::start(Behaviour::Redirects(root.clone(), "/infra/".into(), elsewhere));
    match failure(settings(&scratch, &[&server.url("infra")])).await {
        RemoteError::Redirect { to } => assert_eq!(to, format!("http://127.0.0.1:{}", target.port)),
        other => panic!("{other:?}"),
    }
    let server = Server::start(Behaviour::Redirects(
        root,
        "/infra/".into(),
        "//localhost/infra/".into(),
    ));
    assert!(matches!(
        failure(settings(&scratch, &[&server.url("infra")])).await,
        RemoteError::Redirect { .. }
    ));
    assert_eq!(target.take_requests(), [""; 0]);
}

#[tokio::test]
async fn a_connection_that_died_is_replaced_within_the_poll() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let server = Server::start(Behaviour::FallsSilent(scratch.path.clone(), 2));
    let mut settings = settings(&scratch, &[&server.url("infra")]);
    settings.timeouts.connect = Duration::from_secs(1);
    let source = source(settings);
    assert_eq!(source.poll().await.unwrap().head, upstream.head());
    let head = upstream.commit("second");
    assert_eq!(source.poll().await.unwrap().head, head);
    assert_eq!(server.connections(), 2);
}
