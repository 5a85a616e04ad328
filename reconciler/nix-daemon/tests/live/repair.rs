//! A store that lost or changed something: found, and mended where the means are there.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix_daemon_client::{BuildMode, DerivedPath, Event, Outputs, Verification};

use crate::daemon::Daemon;

fn spoil(file: &Path) {
    for path in [file.parent().unwrap(), file] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::write(file, "spoilt").unwrap();
}

#[tokio::test]
async fn what_was_changed_in_the_store_is_found_and_built_again() {
    let daemon = Daemon::start();
    let drv = daemon.derivation("mended", "mkdir $out; echo good > $out/file", "");
    let target = [DerivedPath::Built {
        drv: drv.clone(),
        outputs: Outputs::All,
    }];
    let mut client = daemon.client().await;
    let results = client
        .build_paths_with_results(&target, BuildMode::Normal, &mut ())
        .await
        .unwrap();
    let file = results[0].1.outputs["out"].as_ref().join("file");
    assert!(
        !client
            .verify_store(Verification::Contents, &mut ())
            .await
            .unwrap()
    );

    spoil(&file);
    // It is there, which is all that was asked.
    assert!(
        !client
            .verify_store(Verification::Existence, &mut ())
            .await
            .unwrap()
    );
    let mut lines = String::new();
    let mut sink = |event: Event| {
        if let Event::Line(text) = event {
            lines.push_str(&text.plain());
        }
    };
    assert!(
        client
            .verify_store(Verification::Contents, &mut sink)
            .await
            .unwrap()
    );
    assert!(lines.contains("was modified"), "{lines}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "spoilt");

    // An ordinary build takes it as it is; a repair looks.
    let results = client
        .build_paths_with_results(&target, BuildMode::Normal, &mut ())
        .await
        .unwrap();
    assert!(results[0].1.is_success(), "{results:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "spoilt");
    let results = client
        .build_paths_with_results(&target, BuildMode::Repair, &mut ())
        .await
        .unwrap();
    assert!(results[0].1.is_success(), "{results:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "good\n");
    assert!(
        !client
            .verify_store(Verification::Contents, &mut ())
            .await
            .unwrap()
    );

    // And the store's own way, which knows the derivation.
    spoil(&file);
    let errors = client.verify_store(Verification::Repair, &mut ()).await.unwrap();
    assert!(!errors);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "good\n");
}

#[tokio::test]
async fn a_build_that_comes_out_different_is_told() {
    let daemon = Daemon::start();
    let count = daemon.root().join("count");
    let drv = daemon.derivation(
        "fickle",
        &format!("echo x >> {0}; cp {0} $out", count.display()),
        "",
    );
    let target = [DerivedPath::Built {
        drv,
        outputs: Outputs::All,
    }];
    let mut client = daemon.client().await;
    client
        .build_paths_with_results(&target, BuildMode::Normal, &mut ())
        .await
        .unwrap();
    let results = client
        .build_paths_with_results(&target, BuildMode::Check, &mut ())
        .await
        .unwrap();
    assert!(!results[0].1.is_success(), "{results:?}");
    assert!(
        results[0].1.message.contains("not be deterministic") || results[0].1.message.contains("differs"),
        "{results:?}"
    );
    assert!(client.query_missing(&target).await.unwrap().is_empty());
}
