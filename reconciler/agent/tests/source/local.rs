//! Fleets that lie on the same machine.

use std::{fs, os::unix::fs::chown};

use reconciler::source::RemoteError;

use crate::support::{Scratch, Upstream, git, settings, source};

#[tokio::test]
async fn a_commit_is_seen_fetched_and_read() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let head = upstream.commit("second\n\nwith a body");
    for url in [upstream.path.to_string(), format!("file://{}", upstream.path)] {
        let scratch = Scratch::new();
        let source = source(settings(&scratch, &[&url]));
        let advertised = source.poll().await.unwrap();
        assert_eq!(advertised.head, head);
        let mut last = None;
        source
            .fetch(&advertised, &mut |progress| last = Some(progress))
            .await
            .unwrap();
        let progress = last.expect("progress");
        assert_eq!(progress.indexed_objects, progress.total_objects);
        let mirror = source.mirror().unwrap();
        assert_eq!(mirror.head("main"), Some(head));
        let commit = mirror.commit(head).unwrap();
        assert_eq!(
            (commit.subject.as_str(), commit.author.as_str()),
            ("second", "Alice")
        );
        assert_eq!(commit.time.to_string(), "2026-01-02T03:04:05Z");
        assert!(head.to_string().starts_with(&commit.short));
        assert_eq!(mirror.rev_count(head).unwrap(), 2);
        assert_eq!(
            mirror.tree(head).unwrap().read("log").unwrap(),
            b"second\n\nwith a body"
        );
    }
}

#[tokio::test]
async fn packed_refs_are_read() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    git(&upstream.path, &["pack-refs", "--all"]);
    let source = source(settings(&scratch, &[upstream.path.as_str()]));
    assert_eq!(source.poll().await.unwrap().head, upstream.head());
}

#[tokio::test]
async fn a_missing_branch_names_the_nearest() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    git(&upstream.path, &["branch", "production"]);
    let mut settings = settings(&scratch, &[upstream.path.as_str()]);
    settings.branch = "mian".into();
    let error = source(settings).poll().await.unwrap_err();
    match &error.failures.0[0].error {
        RemoteError::BranchMissing { branches, .. } => assert_eq!(branches, &["main", "production"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        error.to_string(),
        format!(
            "cannot ask for the fleet's branch: file://{}: there is no branch \"mian\"; there are main, production",
            upstream.path
        )
    );
}

#[tokio::test]
async fn the_first_url_that_answers_wins_and_all_failures_are_told() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let nowhere = scratch.path.join("nowhere");
    let both = source(settings(&scratch, &[nowhere.as_str(), upstream.path.as_str()]));
    let advertised = both.poll().await.unwrap();
    assert_eq!(advertised.url.local_path(), Some(upstream.path.as_path()));
    both.fetch(&advertised, &mut |_| ()).await.unwrap();

    let elsewhere = scratch.path.join("elsewhere");
    let none = source(settings(&scratch, &[nowhere.as_str(), elsewhere.as_str()]));
    let error = none.poll().await.unwrap_err();
    let kinds: Vec<_> = error
        .failures
        .0
        .iter()
        .map(|failure| failure.error.kind())
        .collect();
    assert_eq!(kinds, ["not-found", "not-found"]);
    assert!(
        error.to_string().contains("/nowhere: ") && error.to_string().contains("/elsewhere: "),
        "{error}"
    );
}

#[tokio::test]
async fn another_users_repository_is_read_since_it_was_named() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    // Only root can make one; for others the repository stays their own and the test is the plain case.
    let _ = chown(&upstream.path, Some(65534), None);
    let _ = chown(upstream.path.join(".git"), Some(65534), None);
    let source = source(settings(&scratch, &[upstream.path.as_str()]));
    let advertised = source.poll().await.unwrap();
    source.fetch(&advertised, &mut |_| ()).await.unwrap();
    assert_eq!(source.mirror().unwrap().head("main"), Some(advertised.head.oid()));
}

#[tokio::test]
async fn a_branch_may_become_a_folder_of_branches() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let first = source(settings(&scratch, &[upstream.path.as_str()]));
    first
        .fetch(&first.poll().await.unwrap(), &mut |_| ())
        .await
        .unwrap();
    git(&upstream.path, &["branch", "--move", "main/stable"]);
    let mut settings = settings(&scratch, &[upstream.path.as_str()]);
    settings.branch = "main/stable".into();
    let second = source(settings);
    second
        .fetch(&second.poll().await.unwrap(), &mut |_| ())
        .await
        .unwrap();
    assert_eq!(
        second.mirror().unwrap().head("main/stable"),
        Some(upstream.head())
    );
}

#[tokio::test]
async fn what_a_killed_fetch_left_is_removed() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let source = source(settings(&scratch, &[upstream.path.as_str()]));
    source
        .fetch(&source.poll().await.unwrap(), &mut |_| ())
        .await
        .unwrap();
    let mirror = scratch.path.join("state/fleet.git");
    let lock = mirror.join("refs/remotes/fleet/main.lock");
    let pack = mirror.join("objects/pack/pack_git2_0123456789abcdef");
    fs::write(&lock, "").unwrap();
    fs::write(&pack, "PACK").unwrap();
    let head = upstream.commit("second");
    source
        .fetch(&source.poll().await.unwrap(), &mut |_| ())
        .await
        .unwrap();
    assert_eq!(source.mirror().unwrap().head("main"), Some(head));
    assert!(!lock.exists() && !pack.exists());
}
