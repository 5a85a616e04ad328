//! What cannot be fetched, and what is not trusted.

use crate::refusal::{Stage, refusal};
use reconciler_tests::Server;

#[test]
fn a_remote_that_is_not_there() {
    let stage = Stage::new();
    std::fs::rename(stage.fleet.bare(), stage.fleet.bare().with_extension("away")).unwrap();
    stage.refuses(12, &["fleet.git"], None);
    // It comes back.
    std::fs::rename(stage.fleet.bare().with_extension("away"), stage.fleet.bare()).unwrap();
    stage.host.now(0);
    stage.host.run(&["status", "--check"]).ended(0);
}

#[test]
fn a_remote_where_nobody_listens() {
    let mut stage = Stage::new();
    // The port of a server that has gone is nobody's for a while.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    stage
        .host
        .set("fleet.url", &format!("\"http://127.0.0.1:{port}/infra.git\""));
    stage.refuses(12, &[&format!("127.0.0.1:{port}"), "refused"], None);
}

#[test]
fn a_remote_that_wants_credentials() {
    let mut stage = Stage::new();
    let server = Server::answering("401 Unauthorized", &["WWW-Authenticate: Basic realm=\"git\""]);
    stage.host.set("fleet.url", &format!("{:?}", server.url()));
    stage.refuses(12, &["the server refuses"], Some("fleet.token_file"));
}

#[test]
fn a_remote_that_is_a_web_page() {
    let mut stage = Stage::new();
    let server = Server::answering("200 OK", &["Content-Type: text/html"]);
    stage.host.set("fleet.url", &format!("{:?}", server.url()));
    stage.refuses(12, &["not from a git server"], Some("git clone"));
}

#[test]
fn the_second_remote_serves_when_the_first_does_not() {
    let mut stage = Stage::new();
    let server = Server::answering("503 Service Unavailable", &[]);
    stage.host.set(
        "fleet.url",
        &format!("[{:?}, {:?}]", server.url(), stage.fleet.url()),
    );
    stage.fleet.motd("cinnabar", "second");
    stage.fleet.publish("change the motd");
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "second");
}

#[test]
fn a_branch_that_is_not_there() {
    let mut stage = Stage::new();
    stage.host.set("fleet.branch", "\"release\"");
    stage.refuses(
        12,
        &["there is no branch \"release\"", "main"],
        Some("fleet.branch"),
    );
}

#[test]
fn a_branch_that_was_rewritten() {
    let mut stage = Stage::new();
    let accepted = stage.fleet.head();
    stage.fleet.reset("HEAD~1");
    stage.fleet.motd("cinnabar", "rewritten");
    let rewritten = stage.fleet.commit("another past");
    stage.fleet.push_force();
    stage.refuses(
        11,
        &["the branch was rewritten", &accepted[..8], &rewritten[..8]],
        Some("reconcile pin"),
    );
    assert_eq!(stage.host.status()["sync"], "refused");

    stage.host.set("trust.history", "\"any\"");
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "rewritten");
}

#[test]
fn a_branch_that_was_set_back() {
    let stage = Stage::new();
    stage.fleet.reset("HEAD~1");
    stage.fleet.push_force();
    stage.refuses(11, &["the branch was set back"], Some("reconcile pin"));
}

#[test]
fn a_commit_that_never_ran_binds_nobody() {
    // A fix may be pushed over the commit that broke.
    let stage = Stage::new();
    stage.fleet.write("flake.nix", "{ this is no Nix");
    stage.fleet.publish("a broken commit");
    stage.host.now(13);
    stage.fleet.reset("HEAD~1");
    stage.fleet.motd("cinnabar", "fixed");
    stage.fleet.commit("the same, and right");
    stage.fleet.push_force();
    stage.host.now(0);
    assert_eq!(stage.host.motd(), "fixed");
}

#[test]
fn a_revision_that_nobody_knows() {
    let stage = Stage::new();
    let output = stage.host.run(&["now", "--revision", "deadbeef"]);
    refusal(output, 2, &["cannot find deadbeef in the fleet"], None);
}
