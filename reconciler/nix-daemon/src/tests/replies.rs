//! Every operation: what exactly is sent, and what a reply decodes to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::scripted::{A, B, Bytes, DRV, HASH, LAST, bytes, client, path, turn};
use crate::build::{BuildMode, BuildResult, BuildStatus};
use crate::client::Client;
use crate::derived_path::{DerivedPath, Outputs};
use crate::error::{Error, Violation};
use crate::event::Level;
use crate::garbage::{Collected, Garbage, Root, Verification};
use crate::missing::{Missing, Substitution};
use crate::path_info::{NarHash, PathInfo};
use crate::settings::ClientSettings;
use crate::store_path::HashPart;

/// A client whose daemon expects one request and answers it.
async fn answering(request: Bytes, reply: Bytes) -> Client {
    client(38, vec![turn(request, bytes().n(LAST).then(reply))]).await
}

fn info_bytes() -> Bytes {
    bytes()
        .s(DRV)
        .s(HASH)
        .list(&[A, B])
        .n(1_700_000_000)
        .n(112)
        .n(1)
        .list(&["key:c2ln"])
        .s("")
}

fn info() -> PathInfo {
    PathInfo {
        path: path(A),
        deriver: Some(path(DRV)),
        nar_hash: NarHash::parse_base16(HASH).unwrap(),
        references: BTreeSet::from([path(A), path(B)]),
        registered_at: 1_700_000_000,
        nar_size: 112,
        ultimate: true,
        signatures: BTreeSet::from(["key:c2ln".to_owned()]),
        content_address: None,
    }
}

#[tokio::test]
async fn queries_of_paths() {
    let mut client = answering(bytes().n(1).s(A), bytes().n(1)).await;
    assert!(client.is_valid_path(&path(A)).await.unwrap());

    let mut client = answering(bytes().n(26).s(A), bytes().n(1).then(info_bytes())).await;
    assert_eq!(client.query_path_info(&path(A)).await.unwrap(), Some(info()));

    let bare = bytes()
        .n(1)
        .s("")
        .s(HASH)
        .n(0)
        .n(0)
        .n(0)
        .n(0)
        .n(0)
        .s("fixed:r:sha256:x");
    let mut client = answering(bytes().n(26).s(A), bare).await;
    let found = client.query_path_info(&path(A)).await.unwrap().unwrap();
    assert_eq!(
        (found.deriver, found.content_address.as_deref()),
        (None, Some("fixed:r:sha256:x"))
    );

    let mut client = answering(bytes().n(26).s(A), bytes().n(0)).await;
    assert_eq!(client.query_path_info(&path(A)).await.unwrap(), None);

    let mut client = answering(bytes().n(6).s(A), bytes().list(&[B])).await;
    assert_eq!(client.query_referrers(&path(A)).await.unwrap(), [path(B)].into());

    let hash = HashPart::parse(path(A).hash_part()).unwrap();
    let mut client = answering(bytes().n(29).s(hash.as_str()), bytes().s(A)).await;
    assert_eq!(
        client.query_path_from_hash_part(&hash).await.unwrap(),
        Some(path(A))
    );
    let mut client = answering(bytes().n(29).s(hash.as_str()), bytes().s("")).await;
    assert_eq!(client.query_path_from_hash_part(&hash).await.unwrap(), None);

    let both = BTreeSet::from([path(A), path(B)]);
    for (substitution, flag) in [(Substitution::Never, 0), (Substitution::Allowed, 1)] {
        let mut client = answering(bytes().n(31).list(&[A, B]).n(flag), bytes().list(&[A])).await;
        assert_eq!(
            client.query_valid_paths(&both, substitution).await.unwrap(),
            [path(A)].into()
        );
    }

    let mut client = answering(bytes().n(41).s(DRV), bytes().n(2).s("dev").s("").s("out").s(A)).await;
    let expected = BTreeMap::from([("dev".to_owned(), None), ("out".to_owned(), Some(path(A)))]);
    assert_eq!(
        client.query_derivation_output_map(&path(DRV)).await.unwrap(),
        expected
    );
}

#[tokio::test]
async fn roots_and_garbage() {
    let mut client = answering(bytes().n(11).s(A), bytes().n(1)).await;
    client.add_temp_root(&path(A)).await.unwrap();
    let mut client = answering(bytes().n(12).s("/l"), bytes().n(1)).await;
    client.add_indirect_root(Path::new("/l")).await.unwrap();
    let mut client = answering(bytes().n(47).s(A).s("/l"), bytes().s("/l")).await;
    client.add_perm_root(&path(A), Path::new("/l")).await.unwrap();

    // Links are not unique, and need not be text.
    let reply = bytes()
        .n(3)
        .s("{censored}")
        .s(A)
        .s("{censored}")
        .s(B)
        .s(b"/l\xff")
        .s(A);
    let mut client = answering(bytes().n(14), reply).await;
    let root = |link: &[u8], target| Root {
        link: link.to_vec().into(),
        target: path(target),
    };
    let expected = [root(b"{censored}", A), root(b"{censored}", B), root(b"/l\xff", A)];
    assert_eq!(client.find_roots().await.unwrap(), expected);

    let all = u64::MAX;
    for (garbage, action, paths, at_most) in [
        (Garbage::ListAlive, 0, &[][..], all),
        (Garbage::ListDead, 1, &[], all),
        (Garbage::DeleteDead { at_most: 5 }, 2, &[], 5),
        (Garbage::Delete([path(A)].into()), 3, &[A], all),
    ] {
        let request = bytes().n(20).n(action).list(paths).n(0).n(at_most).n(0).n(0).n(0);
        let mut client = answering(request, bytes().list(&[A]).n(77).n(0)).await;
        let expected = Collected {
            paths: [path(A)].into(),
            bytes_freed: 77,
        };
        assert_eq!(client.collect_garbage(&garbage, &mut ()).await.unwrap(), expected);
    }

    for (verification, contents, repair) in [
        (Verification::Existence, 0, 0),
        (Verification::Contents, 1, 0),
        (Verification::Repair, 1, 1),
    ] {
        let mut client = answering(bytes().n(35).n(contents).n(repair), bytes().n(1)).await;
        assert!(client.verify_store(verification, &mut ()).await.unwrap());
    }
}

#[tokio::test]
async fn settings_are_sent_as_given() {
    let settings = ClientSettings {
        keep_failed: false,
        keep_going: true,
        fallback: false,
        verbosity: Level::Talkative,
        max_jobs: 5,
        max_silent_time: Duration::from_secs(90),
        build_output: false,
        cores: 6,
        substitute: true,
        overrides: [("timeout".to_owned(), "1".to_owned())].into(),
    };
    let shown = |hidden: u64, level: u64| {
        let head = bytes()
            .n(19)
            .n(0)
            .n(1)
            .n(0)
            .n(level)
            .n(5)
            .n(90)
            .n(1)
            .n(hidden)
            .n(0)
            .n(0);
        head.n(6).n(1).n(1).s("timeout").s("1")
    };
    answering(shown(7, 4), bytes())
        .await
        .set_options(&settings, &mut ())
        .await
        .unwrap();
    // A level nobody knows must not come back as one the daemon does not know.
    let settings = ClientSettings {
        build_output: true,
        verbosity: Level::Other(1 << 40),
        ..settings
    };
    answering(shown(0, 7), bytes())
        .await
        .set_options(&settings, &mut ())
        .await
        .unwrap();
}

#[tokio::test]
async fn missing_and_built() {
    let targets = [
        DerivedPath::Opaque(path(A)),
        DerivedPath::Built {
            drv: path(DRV),
            outputs: Outputs::Names(["out".to_owned(), "dev".to_owned()].into()),
        },
    ];
    let named = format!("{DRV}!dev,out");
    let request = bytes().n(40).list(&[A, &named]);
    let reply = bytes().list(&[DRV]).list(&[A]).list(&[B]).n(1).n(2);
    let expected = Missing {
        will_build: [path(DRV)].into(),
        will_substitute: [path(A)].into(),
        unknown: [path(B)].into(),
        download_size: 1,
        nar_size: 2,
    };
    assert_eq!(
        answering(request, reply)
            .await
            .query_missing(&targets)
            .await
            .unwrap(),
        expected
    );

    for (minor, cpu) in [
        (34, None),
        (36, None),
        (37, Some(1_500_000)),
        (38, Some(1_500_000)),
    ] {
        let mut reply = bytes().n(LAST).n(2);
        // In another order than asked for, and with a status of the future.
        reply = reply.s(&named).n(0).s("").n(1).n(0).n(10).n(20);
        if let Some(micros) = cpu {
            reply = reply.n(1).n(micros).n(0);
        }
        let realisation =
            r#"{"dependentRealisations":{},"id":"x","outPath":"00000000000000000000000000000000-a"}"#;
        reply = reply
            .n(2)
            .s("sha256:00!dev")
            .s(realisation)
            .s("sha256:00!out")
            .s(format!(r#"{{"outPath":"{B}"}}"#));
        reply = reply.s(A).n(15).s("\u{1b}[31mno\u{1b}[0m").n(0).n(1).n(0).n(0);
        if cpu.is_some() {
            reply = reply.n(0).n(0);
        }
        let request = bytes().n(46).list(&[A, &named]).n(2);
        let mut client = client(minor, vec![turn(request, reply.n(0))]).await;
        let results = client
            .build_paths_with_results(&targets, BuildMode::Check, &mut ())
            .await
            .unwrap();
        let built = BuildResult {
            status: BuildStatus::Built,
            message: String::new(),
            times_built: 1,
            non_deterministic: false,
            started_at: 10,
            stopped_at: 20,
            cpu_user: cpu.map(Duration::from_micros),
            cpu_system: None,
            outputs: [("dev".to_owned(), path(A)), ("out".to_owned(), path(B))].into(),
        };
        let other = BuildResult {
            status: BuildStatus::Other(15),
            message: "no".to_owned(),
            times_built: 0,
            non_deterministic: true,
            started_at: 0,
            stopped_at: 0,
            cpu_user: None,
            cpu_system: None,
            outputs: BTreeMap::new(),
        };
        assert!(built.is_success() && !other.is_success() && !other.is_not_attempted());
        assert_eq!(
            results,
            [(targets[1].clone(), built), (targets[0].clone(), other)]
        );
    }
}

#[tokio::test]
async fn an_operation_that_is_too_new_is_not_sent() {
    let mut client = client(35, vec![turn(bytes().n(1).s(A), bytes().n(LAST).n(0))]).await;
    let error = client.add_perm_root(&path(A), Path::new("/l")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "AddPermRoot needs protocol 1.36, the nix daemon speaks 1.35"
    );
    assert!(!client.is_valid_path(&path(A)).await.unwrap());
}

#[tokio::test]
async fn values_that_are_malformed() {
    let info = |hash: &str, reference: &str| {
        bytes()
            .n(1)
            .s("")
            .s(hash)
            .list(&[reference])
            .n(0)
            .n(0)
            .n(0)
            .n(0)
            .s("")
    };
    for reply in [
        info(HASH, "/nix/store/short"),
        info(HASH, "/nix/store/../00000000000000000000000000000000-a"),
        info("sha1:00", A),
        info("", A),
    ] {
        let mut client = answering(bytes().n(26).s(A), reply).await;
        let error = client.query_path_info(&path(A)).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Protocol {
                    violation: Violation::StorePath(_) | Violation::NarHash(_),
                    ..
                }
            ),
            "{error:?}"
        );
    }

    let head = |target: &str| bytes().n(1).s(target).n(0).s("").n(1).n(0).n(0).n(0);
    let outputs = |json: &str| head(A).n(0).n(0).n(1).s("sha256:0!out").s(json);
    for reply in [
        outputs(""),
        outputs("{}"),
        outputs(r#"{"outPath":7}"#),
        outputs(r#"{"outPath":"x"}"#),
        outputs(r#"{"outPath":"/elsewhere/00000000000000000000000000000000-a"}"#),
        head(A).n(2).n(0).n(0).n(0),
        head("!out").n(0).n(0).n(0),
    ] {
        let mut client = answering(bytes().n(46).list(&[A]).n(0), reply).await;
        let target = [DerivedPath::Opaque(path(A))];
        let error = client
            .build_paths_with_results(&target, BuildMode::Normal, &mut ())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
        assert!(!client.is_open());
    }
}

#[tokio::test]
async fn a_closure_is_asked_for_breadth_first() {
    let ask = |of: &str| bytes().n(26).s(of);
    let tell = |references: &[&str]| {
        bytes()
            .n(LAST)
            .n(1)
            .s("")
            .s(HASH)
            .list(references)
            .n(0)
            .n(0)
            .n(0)
            .n(0)
            .s("")
    };
    let turns = vec![
        turn(ask(DRV), tell(&[DRV, A])),
        turn(ask(A), tell(&[A, B])),
        turn(ask(B), tell(&[A])),
        turn(ask(A).then(ask(B)), bytes().n(LAST).n(0).then(tell(&[]))),
        turn(bytes().n(1).s(A), bytes().n(LAST).n(1)),
    ];
    let mut client = client(38, turns).await;
    assert_eq!(client.query_closure(&[]).await.unwrap(), []);
    let closure = client.query_closure(&[path(DRV), path(DRV)]).await.unwrap();
    assert_eq!(
        closure.iter().map(|info| info.path.as_str()).collect::<Vec<_>>(),
        [DRV, A, B]
    );
    // What is missing is told after the other answers were read.
    let error = client.query_closure(&[path(A), path(B)]).await.unwrap_err();
    assert!(
        matches!(&error, Error::InvalidPath { path, .. } if path.as_str() == A),
        "{error:?}"
    );
    assert!(client.is_valid_path(&path(A)).await.unwrap());
}

/// Daemons before 2.3x name the targets that they did not get to; newer ones leave them out.
#[tokio::test]
async fn targets_left_out_are_not_attempted() {
    let targets = [
        DerivedPath::Opaque(path(A)),
        DerivedPath::Opaque(path(B)),
        DerivedPath::Opaque(path(DRV)),
    ];
    let request = bytes().n(46).list(&[A, B, DRV]).n(0);
    let failed = bytes().s(B).n(3).s("no").n(1).n(0).n(1).n(2).n(0).n(0).n(0);
    let named = bytes().s(A).n(9).s("").n(0).n(0).n(0).n(0).n(0).n(0).n(0);
    let mut client = answering(request, bytes().n(2).then(failed).then(named)).await;
    let results = client
        .build_paths_with_results(&targets, BuildMode::Normal, &mut ())
        .await
        .unwrap();
    let verdicts: Vec<_> = results
        .iter()
        .map(|(target, result)| (target.path().as_str(), result.is_not_attempted()))
        .collect();
    assert_eq!(verdicts, [(B, false), (A, true), (DRV, true)]);
}

#[tokio::test]
async fn what_else_can_be_asked_and_told() {
    let mut client = answering(bytes().n(23), bytes().list(&[A, B])).await;
    assert_eq!(
        client.query_all_valid_paths().await.unwrap(),
        [path(A), path(B)].into()
    );
    let mut client = answering(bytes().n(32).list(&[A]), bytes().list(&[A])).await;
    let asked = [path(A)].into();
    assert_eq!(client.query_substitutable_paths(&asked).await.unwrap(), asked);
    let mut client = answering(bytes().n(34), bytes().n(1)).await;
    client.optimise_store(&mut ()).await.unwrap();
    let mut client = answering(bytes().n(37).s(A).list(&["k:s"]), bytes().n(1)).await;
    let signatures = ["k:s".to_owned()].into();
    client.add_signatures(&path(A), &signatures).await.unwrap();

    let ask = |of: &str| bytes().n(26).s(of);
    let tell = bytes().n(LAST).n(1).then(info_bytes()).n(LAST).n(0);
    let mut client = client_of(vec![turn(ask(A).then(ask(B)), tell)]).await;
    let known = client.query_path_infos(&[path(A), path(B)]).await.unwrap();
    assert_eq!(known, [Some(info()), None]);
}

/// A pipe so narrow that neither question nor answer fits in: who sends two questions before the first is answered
/// waits for a daemon that waits for it.
#[tokio::test(start_paused = true)]
async fn questions_and_answers_wait_for_nobody_in_a_narrow_pipe() {
    let tell = || bytes().n(LAST).n(1).then(info_bytes());
    for pipe in [1, 7, 64, 200] {
        let turns = (0..300).map(|_| turn(bytes().n(26).s(A), tell())).collect();
        let mut client = super::scripted::client_over(38, turns, pipe).await;
        let known = client.query_path_infos(&vec![path(A); 300]).await.unwrap();
        assert_eq!(known, vec![Some(info()); 300]);
        assert!(client.is_open());
    }
}

async fn client_of(turns: Vec<super::scripted::Turn>) -> Client {
    client(38, turns).await
}
