//! Polls and fetches over ssh, and whom they refuse to talk to.

use std::{fs, process::Command};

use reconciler::source::{Offered, RemoteError, SourceSettings};

use crate::{
    ssh_server::{Agent, Sshd, key},
    support::{Scratch, Upstream, settings, source},
};

struct Fixture {
    scratch: Scratch,
    upstream: Upstream,
    sshd: Sshd,
}

impl Fixture {
    fn new() -> Self {
        let scratch = Scratch::new();
        let (upstream, sshd) = (Upstream::new(&scratch), Sshd::start(&scratch));
        Self {
            scratch,
            upstream,
            sshd,
        }
    }

    /// With the right key and this text as the known hosts.
    fn settings(&self, known_hosts: &str) -> SourceSettings {
        let path = self.scratch.path.join("known_hosts");
        fs::write(&path, known_hosts).unwrap();
        let mut settings = settings(&self.scratch, &[&self.sshd.url(&self.upstream.path)]);
        settings.ssh.known_hosts = vec![self.scratch.path.join("absent"), path];
        settings.ssh.keys = vec![self.scratch.path.join("absent"), self.sshd.user_key.clone()];
        settings
    }

    fn known(&self) -> String {
        self.sshd.known_host(&self.sshd.host_key)
    }
}

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

#[tokio::test]
async fn a_known_host_and_the_right_key_open_the_repository() {
    let fixture = Fixture::new();
    let wrong = fixture.scratch.path.join("wrong");
    key(&wrong);
    let mut settings = fixture.settings(&fixture.known());
    settings.ssh.keys.insert(0, wrong);
    let source = source(settings);
    let advertised = source.poll().await.unwrap();
    assert_eq!(advertised.head, fixture.upstream.head());
    source.fetch(&advertised, &mut |_| ()).await.unwrap();
    assert_eq!(source.mirror().unwrap().head("main"), Some(advertised.head.oid()));
}

#[tokio::test]
async fn hashed_and_wildcard_names_are_known_too() {
    let fixture = Fixture::new();
    let hashed = fixture.scratch.path.join("hashed");
    fs::write(&hashed, fixture.known()).unwrap();
    let hashing = Command::new("ssh-keygen")
        .args(["-q", "-H", "-f", hashed.as_str()])
        .output()
        .unwrap();
    assert!(hashing.status.success());
    let hashed = fs::read_to_string(&hashed).unwrap();
    assert!(hashed.starts_with("|1|"), "{hashed}");
    let wildcard = fixture.known().replace("127.0.0.1", "127.0.0.*");
    for known in [hashed, wildcard] {
        source(fixture.settings(&known)).poll().await.unwrap();
    }
}

#[tokio::test]
async fn an_unknown_host_is_refused_with_its_fingerprint() {
    let fixture = Fixture::new();
    let shown = Command::new("ssh-keygen")
        .args(["-l", "-f", fixture.sshd.host_key.as_str()])
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let other_port = fixture.known().replace(&format!(":{}", fixture.sshd.port), ":22");
    let revoked = format!("{}@revoked {}", fixture.known(), fixture.known());
    for known in [String::new(), other_port, revoked] {
        match failure(fixture.settings(&known)).await {
            RemoteError::HostKeyUnknown(host_key) => {
                assert_eq!(host_key.algorithm, "ssh-ed25519");
                assert!(shown.contains(&host_key.fingerprint), "{shown} {host_key:?}");
            }
            other => panic!("{known:?}: {other:?}"),
        }
    }
    let hint = failure(fixture.settings("")).await.hint().unwrap();
    assert!(
        hint.contains(&format!("ssh-keyscan -p {} 127.0.0.1 ", fixture.sshd.port)),
        "{hint}"
    );
}

#[tokio::test]
async fn a_changed_host_key_is_refused() {
    let fixture = Fixture::new();
    let other = fixture.scratch.path.join("other");
    key(&other);
    let known = fixture.sshd.known_host(&other);
    assert!(matches!(
        failure(fixture.settings(&known)).await,
        RemoteError::HostKeyChanged(_)
    ));
}

#[tokio::test]
async fn a_key_that_the_server_does_not_know_is_refused() {
    let fixture = Fixture::new();
    let wrong = fixture.scratch.path.join("wrong");
    key(&wrong);
    let mut settings = fixture.settings(&fixture.known());
    settings.ssh.keys = vec![wrong.clone()];
    match failure(settings.clone()).await {
        RemoteError::Unauthorized { offered } => {
            assert_eq!(
                offered,
                Offered::Ssh {
                    keys: vec![wrong],
                    agent: None
                }
            );
        }
        other => panic!("{other:?}"),
    }
    settings.ssh.keys = Vec::new();
    assert!(matches!(
        failure(settings).await,
        RemoteError::Unauthorized { .. }
    ));
}

#[tokio::test]
async fn an_agent_opens_the_repository() {
    let fixture = Fixture::new();
    let agent = Agent::start(&fixture.scratch, &fixture.sshd.user_key);
    let mut settings = fixture.settings(&fixture.known());
    settings.ssh.keys = Vec::new();
    settings.ssh.agent = Some(agent.socket.clone());
    source(settings).poll().await.unwrap();
}

#[tokio::test]
async fn a_missing_repository_or_branch_is_told() {
    let fixture = Fixture::new();
    let mut settings = fixture.settings(&fixture.known());
    settings.branch = "mian".into();
    match failure(settings.clone()).await {
        RemoteError::BranchMissing { branches, .. } => assert_eq!(branches, ["main"]),
        other => panic!("{other:?}"),
    }
    settings.urls = vec![
        fixture
            .sshd
            .url(&fixture.scratch.path.join("nowhere"))
            .parse()
            .unwrap(),
    ];
    assert!(matches!(failure(settings).await, RemoteError::NotFound));
}
