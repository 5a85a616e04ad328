//! Adding to the store, asking it, roots and garbage.

use std::collections::BTreeSet;

use nix_daemon_client::nar::{self, FileMode};
use nix_daemon_client::{
    BuildMode, Client, DerivedPath, Error, Garbage, HashPart, Outputs, Root, SignatureCheck, StorePath,
    Substitution, Verification,
};

use crate::daemon::Daemon;

/// An archive of a small tree with every kind of object, and the same tree on disk.
fn tree(on_disk: &std::path::Path) -> Vec<u8> {
    use std::os::unix::fs::PermissionsExt;
    let big = vec![b'x'; 300_001];
    let mut archive = nar::Encoder::new(Vec::new()).unwrap();
    archive.symlink(b"Link", b"sub/run").unwrap();
    archive
        .file(b"big", FileMode::Regular, big.len() as u64, &big[..])
        .unwrap();
    archive.file(b"empty", FileMode::Regular, 0, &b""[..]).unwrap();
    archive.enter(b"none").unwrap();
    archive.leave().unwrap();
    archive.enter(b"sub").unwrap();
    archive
        .file(b"run", FileMode::Executable, 9, &b"#!/bin/sh"[..])
        .unwrap();
    archive.leave().unwrap();

    std::fs::create_dir_all(on_disk.join("none")).unwrap();
    std::fs::create_dir_all(on_disk.join("sub")).unwrap();
    std::os::unix::fs::symlink("sub/run", on_disk.join("Link")).unwrap();
    std::fs::write(on_disk.join("big"), &big).unwrap();
    std::fs::write(on_disk.join("empty"), "").unwrap();
    std::fs::write(on_disk.join("sub/run"), "#!/bin/sh").unwrap();
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(on_disk.join("sub/run"), executable).unwrap();
    archive.finish().unwrap()
}

#[tokio::test]
async fn a_source_tree_is_added_as_nix_itself_adds_it() {
    let daemon = Daemon::start();
    let folder = daemon.root().join("source");
    let archive = tree(&folder);
    let mut client = daemon.client().await;
    let info = client
        .add_to_store_recursive("source", &archive[..], &mut ())
        .await
        .unwrap();

    assert_eq!(
        info.path.to_string(),
        daemon.tool("nix-store", &["--add", folder.to_str().unwrap()])
    );
    assert_eq!(info.nar_size, archive.len() as u64);
    assert_eq!(
        format!(
            "sha256:{}",
            daemon.tool(
                "nix-hash",
                &["--type", "sha256", "--base32", folder.to_str().unwrap()]
            )
        ),
        daemon.tool("nix-store", &["--query", "--hash", info.path.as_str()])
    );
    assert_eq!(
        info.nar_hash.to_base16(),
        daemon.tool("nix-hash", &["--type", "sha256", folder.to_str().unwrap()])
    );
    assert!(info.references.is_empty());
    assert!(
        info.content_address
            .as_deref()
            .is_some_and(|ca| ca.starts_with("fixed:r:sha256:")),
        "{info:?}"
    );
    assert_eq!(
        client.query_path_info(&info.path).await.unwrap().as_ref(),
        Some(&info)
    );
    assert_eq!(
        std::fs::read(info.path.as_ref().join("sub/run")).unwrap(),
        b"#!/bin/sh"
    );

    // Again: it is there, and the connection serves on.
    assert_eq!(
        client
            .add_to_store_recursive("source", &archive[..], &mut ())
            .await
            .unwrap(),
        info
    );

    // And back, byte for byte.
    let mut back = Vec::new();
    assert_eq!(
        client.nar_from_path(&info.path, &mut back).await.unwrap(),
        archive.len() as u64
    );
    assert_eq!(back, archive);
    assert!(client.is_valid_path(&info.path).await.unwrap());
}

#[tokio::test]
async fn single_files_and_links_come_back_as_they_went() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    for archive in [
        nar::write_file(Vec::new(), FileMode::Regular, 11, &b"hello\nworld"[..]).unwrap(),
        nar::write_file(Vec::new(), FileMode::Executable, 0, &b""[..]).unwrap(),
        nar::write_symlink(Vec::new(), b"/anywhere").unwrap(),
    ] {
        let info = client
            .add_to_store_recursive("thing", &archive[..], &mut ())
            .await
            .unwrap();
        let mut back = Vec::new();
        client.nar_from_path(&info.path, &mut back).await.unwrap();
        assert_eq!(back, archive);
    }
}

#[tokio::test]
async fn what_cannot_be_added() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    let error = client
        .add_to_store_recursive("no name", &b""[..], &mut ())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Name { .. }), "{error:?}");
    assert!(client.is_open());

    struct Broken;
    impl tokio::io::AsyncRead for Broken {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Err(std::io::Error::other("torn")))
        }
    }
    let error = client
        .add_to_store_recursive("source", Broken, &mut ())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Source { .. }), "{error:?}");
    assert!(!client.is_open());
}

#[tokio::test]
async fn a_path_moves_from_one_store_to_another() {
    let first = Daemon::start();
    let archive = nar::write_file(Vec::new(), FileMode::Regular, 2, &b"hi"[..]).unwrap();
    let mut client = first.client().await;
    let info = client
        .add_to_store_recursive("moved", &archive[..], &mut ())
        .await
        .unwrap();
    client
        .collect_garbage(&Garbage::DeleteDead { at_most: u64::MAX }, &mut ())
        .await
        .unwrap();
    let mut client = first.client().await;
    client
        .collect_garbage(&Garbage::DeleteDead { at_most: u64::MAX }, &mut ())
        .await
        .unwrap();

    client
        .add_to_store_nar(&info, SignatureCheck::Required, &archive[..], &mut ())
        .await
        .unwrap();
    let again = client.query_path_info(&info.path).await.unwrap().unwrap();
    assert_eq!((again.nar_hash, again.nar_size), (info.nar_hash, info.nar_size));
}

/// A derivation that needs another, both instantiated.
async fn chain(daemon: &Daemon) -> (Client, StorePath) {
    let drv = daemon.instantiate(
        "let leaf = derivation { name = \"leaf\"; system = builtins.currentSystem; builder = \"/bin/sh\"; };
         in derivation { name = \"top\"; system = builtins.currentSystem; builder = \"/bin/sh\"; inherit leaf; }",
    );
    (daemon.client().await, drv)
}

#[tokio::test]
async fn queries_agree_with_nixs_own_tools() {
    let daemon = Daemon::start();
    let (mut client, drv) = chain(&daemon).await;

    let closure = client.query_closure(std::slice::from_ref(&drv)).await.unwrap();
    let paths: BTreeSet<String> = closure.iter().map(|info| info.path.to_string()).collect();
    let expected = daemon.tool("nix-store", &["--query", "--requisites", drv.as_str()]);
    assert_eq!(paths, expected.lines().map(str::to_owned).collect());
    assert_eq!(closure.len(), 2);
    assert_eq!(closure[0].path, drv);

    let leaf = closure[1].path.clone();
    assert_eq!(
        client.query_referrers(&leaf).await.unwrap(),
        BTreeSet::from([drv.clone()])
    );
    let hash = HashPart::parse(leaf.hash_part()).unwrap();
    assert_eq!(
        client.query_path_from_hash_part(&hash).await.unwrap(),
        Some(leaf.clone())
    );
    let nothing = HashPart::parse(&"0".repeat(32)).unwrap();
    assert_eq!(client.query_path_from_hash_part(&nothing).await.unwrap(), None);

    let outputs = client.query_derivation_output_map(&drv).await.unwrap();
    let out = outputs.get("out").cloned().flatten().unwrap();
    assert_eq!(
        out.to_string(),
        daemon.tool("nix-store", &["--query", "--outputs", drv.as_str()])
    );

    let asked = BTreeSet::from([drv.clone(), leaf.clone(), out.clone()]);
    let valid = client
        .query_valid_paths(&asked, Substitution::Never)
        .await
        .unwrap();
    assert_eq!(valid, BTreeSet::from([drv.clone(), leaf]));
    assert_eq!(client.query_path_info(&out).await.unwrap(), None);

    let target = DerivedPath::Built {
        drv: drv.clone(),
        outputs: Outputs::All,
    };
    let missing = client
        .query_missing(&[target, DerivedPath::Opaque(out.clone())])
        .await
        .unwrap();
    assert_eq!(missing.will_build.len(), 2);
    assert_eq!(missing.unknown, BTreeSet::from([out.clone()]));

    let error = client.query_closure(&[drv, out.clone()]).await.unwrap_err();
    assert!(
        matches!(&error, Error::InvalidPath { path, .. } if *path == out),
        "{error:?}"
    );
    assert!(!client.is_valid_path(&out).await.unwrap());
    assert!(
        !client
            .verify_store(Verification::Contents, &mut ())
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_wide_closure_is_complete() {
    let daemon = Daemon::start();
    let drv = daemon.instantiate(
        "let leaf = n: builtins.toFile \"leaf-${toString n}\" \"\";
         in derivation { name = \"wide\"; system = builtins.currentSystem; builder = \"/bin/sh\";
           leaves = builtins.genList leaf 300; }",
    );
    let closure = daemon.client().await.query_closure(&[drv]).await.unwrap();
    let paths: BTreeSet<_> = closure.iter().map(|info| &info.path).collect();
    assert_eq!((closure.len(), paths.len()), (301, 301));
}

#[tokio::test]
async fn a_temporary_root_lasts_as_long_as_its_connection() {
    let daemon = Daemon::start();
    let drv = daemon.derivation("rooted", "", "");
    let mut holder = daemon.client().await;
    holder.add_temp_root(&drv).await.unwrap();
    let mut collector = daemon.client().await;
    let everything = Garbage::DeleteDead { at_most: u64::MAX };
    collector.collect_garbage(&everything, &mut ()).await.unwrap();
    assert!(collector.is_valid_path(&drv).await.unwrap());
    let roots = collector.find_roots().await.unwrap();
    assert!(
        roots
            .iter()
            .any(|root| root.target == drv && root.link.to_string().starts_with("{temp:")),
        "{roots:?}"
    );

    let alive = collector
        .collect_garbage(&Garbage::Delete([drv.clone()].into()), &mut ())
        .await
        .unwrap_err();
    assert!(matches!(alive, Error::Daemon { .. }), "{alive:?}");

    // An indirect root keeps it after the connection is gone; without either it goes.
    let link = daemon.root().join("result");
    std::os::unix::fs::symlink(drv.as_str(), &link).unwrap();
    collector.add_indirect_root(&link).await.unwrap();
    drop(holder);
    let dead = collector
        .collect_garbage(&Garbage::ListDead, &mut ())
        .await
        .unwrap();
    assert!(!dead.paths.contains(&drv));
    std::fs::remove_file(&link).unwrap();
    wait_until_dead(&daemon, &drv).await;
    let collected = daemon
        .client()
        .await
        .collect_garbage(&everything, &mut ())
        .await
        .unwrap();
    assert!(collected.paths.contains(&drv), "{collected:?}");
}

#[tokio::test]
async fn a_temporary_root_of_what_is_not_there_succeeds() {
    let daemon = Daemon::start();
    let drv = daemon.derivation("later", "echo > $out", "");
    let mut client = daemon.client().await;
    let out = client.query_derivation_output_map(&drv).await.unwrap()["out"]
        .clone()
        .unwrap();
    // Rooted before it is there, and so from the moment that it is.
    client.add_temp_root(&out).await.unwrap();
    assert!(!client.is_valid_path(&out).await.unwrap());
    let mut other = daemon.client().await;
    let target = [DerivedPath::Built {
        drv,
        outputs: Outputs::All,
    }];
    let mut builder = daemon.client().await;
    builder
        .build_paths_with_results(&target, BuildMode::Normal, &mut ())
        .await
        .unwrap();
    drop(builder);
    let everything = Garbage::DeleteDead { at_most: u64::MAX };
    other.collect_garbage(&everything, &mut ()).await.unwrap();
    assert!(client.is_valid_path(&out).await.unwrap());
}

#[tokio::test]
async fn an_indirect_root_may_come_before_its_link_and_goes_with_it() {
    let daemon = Daemon::start();
    let drv = daemon.derivation("linked", "", "");
    let link = daemon.root().join("link");
    let mut client = daemon.client().await;
    client.add_indirect_root(&link).await.unwrap();
    let rooted = |roots: Vec<Root>| {
        roots
            .iter()
            .any(|root| root.target == drv && root.link.to_string().ends_with("link"))
    };
    std::os::unix::fs::symlink(drv.as_str(), &link).unwrap();
    assert!(rooted(client.find_roots().await.unwrap()));
    std::fs::remove_file(&link).unwrap();
    assert!(!rooted(client.find_roots().await.unwrap()));
    // Forgotten for good: a link of the same name is none any more.
    std::os::unix::fs::symlink(drv.as_str(), &link).unwrap();
    assert!(!rooted(client.find_roots().await.unwrap()));
}

/// The daemon's worker for a closed connection ends a moment later: asks until it is gone.
async fn wait_until_dead(daemon: &Daemon, path: &StorePath) {
    let dead = async {
        loop {
            let mut client = daemon.client().await;
            let dead = client.collect_garbage(&Garbage::ListDead, &mut ()).await.unwrap();
            if dead.paths.contains(path) {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), dead)
        .await
        .expect("still rooted");
}
