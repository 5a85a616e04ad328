//! Another user than the daemon's: what it is told, and what it may not.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nix_daemon_client::nar::{self, FileMode};
use nix_daemon_client::{
    BuildMode, Client, ClientSettings, ConnectError, ConnectOptions, Connection, DerivedPath, Error, Event,
    Garbage, Level, Outputs, SignatureCheck, Trust, Verification,
};
use rustix::fs::{Gid, Uid};

use crate::daemon::Daemon;

const NOBODY: u32 = 65_534;

/// Connects as a user that nobody trusts. The daemon goes by who opened the connection, so that only one thread has to
/// be somebody else for a moment.
async fn connect_as_nobody(daemon: &Daemon) -> Result<Client, ConnectError> {
    let everybody = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(daemon.root(), everybody.clone()).unwrap();
    std::fs::set_permissions(daemon.socket(), everybody).unwrap();
    let socket = daemon.socket();
    let stream = std::thread::spawn(move || {
        let (group, user) = (Gid::from_raw(NOBODY), Uid::from_raw(NOBODY));
        rustix::thread::set_thread_groups(&[group]).unwrap();
        rustix::thread::set_thread_res_gid(group, group, group).unwrap();
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
        std::os::unix::net::UnixStream::connect(socket).unwrap()
    });
    let stream = stream.join().unwrap();
    stream.set_nonblocking(true).unwrap();
    let stream = tokio::net::UnixStream::from_std(stream).unwrap();
    Client::over(stream, &ConnectOptions::default()).await
}

/// Only root can be somebody else.
fn is_root() -> bool {
    let root = unix::unistd::Uid::effective().is_root();
    if !root {
        println!("only root can try another user");
    }
    root
}

#[tokio::test]
async fn who_is_not_trusted_is_told_so_and_may_still_build() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let drv = daemon.derivation("anybodys", "echo built > $out", "");
    let mut client = connect_as_nobody(&daemon).await.unwrap();
    let expected = match client.protocol().minor {
        35.. => Trust::Untrusted,
        _ => Trust::Unknown,
    };
    assert_eq!(client.trust(), expected);

    let target = [DerivedPath::Built {
        drv: drv.clone(),
        outputs: Outputs::All,
    }];
    let results = client
        .build_paths_with_results(&target, BuildMode::Normal, &mut ())
        .await
        .unwrap();
    assert!(results[0].1.is_success(), "{results:?}");
    let archive = nar::write_file(Vec::new(), FileMode::Regular, 2, &b"hi"[..]).unwrap();
    let added = client
        .add_to_store_recursive("added", &archive[..], &mut ())
        .await
        .unwrap();
    assert!(client.is_valid_path(&added.path).await.unwrap());
    assert!(
        !client
            .verify_store(Verification::Existence, &mut ())
            .await
            .unwrap()
    );
    client.collect_garbage(&Garbage::ListDead, &mut ()).await.unwrap();
}

/// All roots have the same name for such a user: none of them is lost for it.
#[tokio::test]
async fn the_roots_of_others_are_censored_and_none_is_lost() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let mut holder = daemon.client().await;
    let names: Vec<String> = (0..5).map(|number| format!("held-{number}")).collect();
    let drvs = daemon.derivations(&names, "echo > $out");
    for drv in &drvs {
        holder.add_temp_root(drv).await.unwrap();
    }
    let mut client = connect_as_nobody(&daemon).await.unwrap();
    let roots = client.find_roots().await.unwrap();
    for drv in &drvs {
        let root = roots.iter().find(|root| root.target == *drv).unwrap();
        assert_eq!(root.link.to_string(), "{censored}");
    }
    // To whom it trusts the daemon tells.
    let roots = holder.find_roots().await.unwrap();
    assert!(
        roots
            .iter()
            .any(|root| root.link.to_string().starts_with("{temp:")),
        "{roots:?}"
    );
}

#[tokio::test]
async fn restricted_settings_are_left_out_with_a_warning() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let overrides = BTreeMap::from([
        ("post-build-hook".to_owned(), "/bin/false".to_owned()),
        ("timeout".to_owned(), "1000".to_owned()),
    ]);
    let settings = ClientSettings {
        keep_failed: false,
        keep_going: false,
        fallback: false,
        // Some daemons say it only to those who want to hear everything.
        verbosity: Level::Vomit,
        max_jobs: 1,
        max_silent_time: Duration::ZERO,
        build_output: true,
        cores: 0,
        substitute: false,
        overrides,
    };
    let mut said = String::new();
    let mut sink = |event: Event| {
        if let Event::Line(text) = event {
            said.push_str(&text.plain());
        }
    };
    let mut client = connect_as_nobody(&daemon).await.unwrap();
    client.set_options(&settings, &mut sink).await.unwrap();
    assert!(
        said.contains("ignoring") && said.contains("post-build-hook"),
        "{said}"
    );
    assert!(!said.contains("'timeout'"), "{said}");

    // The hook would have failed the build.
    let drv = daemon.derivation("unhooked", "echo > $out", "");
    let target = [DerivedPath::Built {
        drv,
        outputs: Outputs::All,
    }];
    let results = client
        .build_paths_with_results(&target, BuildMode::Normal, &mut ())
        .await
        .unwrap();
    assert!(results[0].1.is_success(), "{results:?}");
    let mut said = String::new();
    let mut sink = |event: Event| {
        if let Event::Line(text) = event {
            said.push_str(&text.plain());
        }
    };
    daemon
        .client()
        .await
        .set_options(&settings, &mut sink)
        .await
        .unwrap();
    assert!(!said.contains("ignoring"), "a trusted user may set it: {said}");
}

#[tokio::test]
async fn what_needs_trust_is_refused_and_the_refusal_is_no_answer_to_what_comes_next() {
    if !is_root() {
        return;
    }
    let user = crate::daemon::user();
    let daemon = Daemon::start_with(&format!(
        "trusted-users = {user}\nallowed-users = *\nrequire-sigs = true\n"
    ));
    let archive = nar::write_file(Vec::new(), FileMode::Regular, 2, &b"hi"[..]).unwrap();
    let mut trusted = daemon.client().await;
    let mut info = trusted
        .add_to_store_recursive("made", &archive[..], &mut ())
        .await
        .unwrap();
    drop(trusted);
    daemon.delete(&info.path).await;

    // One refusal comes while the daemon works, and the connection goes on.
    let mut client = connect_as_nobody(&daemon).await.unwrap();
    let refused = |error: Error| match error {
        Error::Daemon {
            connection, error, ..
        } => (connection, error.message),
        other => panic!("{other:?}"),
    };
    let repair = client.verify_store(Verification::Repair, &mut ()).await;
    let (connection, message) = refused(repair.unwrap_err());
    assert_eq!(connection, Connection::Alive, "{message}");
    // The other comes before it begins to work: twice, and then it hangs up.
    let target = [DerivedPath::Opaque(info.path.clone())];
    let repair = client
        .build_paths_with_results(&target, BuildMode::Repair, &mut ())
        .await;
    let (connection, message) = refused(repair.unwrap_err());
    assert_eq!(connection, Connection::Closed, "{message}");
    assert!(matches!(client.find_roots().await, Err(Error::Closed { .. })));

    // A path without a signature, which another user cannot vouch for.
    info.content_address = None;
    let mut client = connect_as_nobody(&daemon).await.unwrap();
    let refused = client
        .add_to_store_nar(&info, SignatureCheck::Waived, &archive[..], &mut ())
        .await;
    assert!(matches!(refused, Err(Error::Daemon { .. })), "{refused:?}");
    let mut trusted = daemon.client().await;
    assert!(!trusted.is_valid_path(&info.path).await.unwrap());
    trusted
        .add_to_store_nar(&info, SignatureCheck::Waived, &archive[..], &mut ())
        .await
        .unwrap();
    assert!(trusted.is_valid_path(&info.path).await.unwrap());
}

#[tokio::test]
async fn who_is_not_allowed_is_turned_away() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start_with("trusted-users = root\nallowed-users = root\n");
    let error = connect_as_nobody(&daemon).await.unwrap_err();
    assert!(matches!(error, ConnectError::Denied { .. }), "{error:?}");
    assert!(daemon.client().await.query_missing(&[]).await.unwrap().is_empty());
}
