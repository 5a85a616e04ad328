//! Substitution from a binary cache on disk, signed and not.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix_daemon_client::{
    ActivityKind, BuildMode, BuildResult, BuildStatus, Client, DerivedPath, Error, Event, Outputs, Progress,
    StorePath, Substitution,
};
use tempfile::TempDir;

use crate::daemon::Daemon;

/// A binary cache, and the key it is signed with.
struct Cache {
    folder: TempDir,
}

impl Cache {
    fn new() -> Cache {
        let folder = tempfile::Builder::new().prefix("nc").tempdir_in("/tmp").unwrap();
        let cache = Cache { folder };
        for name in ["cache", "other"] {
            let made = Command::new("nix-store")
                .args(["--generate-binary-cache-key", name])
                .args([
                    cache.path(&format!("{name}.secret")),
                    cache.path(&format!("{name}.public")),
                ])
                .env("NIX_STATE_DIR", cache.path("state"))
                .env("NIX_REMOTE", "")
                .status();
            assert!(made.unwrap().success());
        }
        cache
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self) -> String {
        format!("file://{}", self.path("store").display())
    }

    /// A daemon that fetches from here what this cache's key signed.
    fn daemon(&self) -> Daemon {
        let user = crate::daemon::user();
        let key = std::fs::read_to_string(self.path("cache.public")).unwrap();
        Daemon::start_with(&format!(
            "trusted-users = {user}\nallowed-users = *\nsubstituters = {}\ntrusted-public-keys = {key}\n\
             require-sigs = true\n",
            self.url()
        ))
    }

    /// Copies a path of the daemon's into the cache, signed with a key, and deletes it from the store.
    async fn take(&self, daemon: &Daemon, path: &StorePath, key: &str) {
        let to = format!(
            "{}?compression=none&secret-key={}",
            self.url(),
            self.path(&format!("{key}.secret")).display()
        );
        let copy = [
            "--extra-experimental-features",
            "nix-command",
            "copy",
            "--to",
            &to,
            path.as_str(),
        ];
        daemon.tool("nix", &copy);
        // Without it the cache is asked only for what is to be built, and not for what it has.
        let mut about = std::fs::read_to_string(self.path("store/nix-cache-info")).unwrap();
        about.push_str("WantMassQuery: 1\n");
        std::fs::write(self.path("store/nix-cache-info"), about).unwrap();
        daemon.delete(path).await;
    }

    fn archive(&self) -> PathBuf {
        let archives = std::fs::read_dir(self.path("store/nar")).unwrap();
        archives.map(|entry| entry.unwrap().path()).next().unwrap()
    }
}

/// Builds something that only the daemon's store has then; nothing holds it.
async fn made(daemon: &Daemon, name: &str) -> StorePath {
    let drv = daemon.derivation(
        name,
        "mkdir $out; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done > $out/x",
        "",
    );
    let mut client = daemon.client().await;
    let target = [DerivedPath::Built {
        drv,
        outputs: Outputs::All,
    }];
    let results = client
        .build_paths_with_results(&target, BuildMode::Normal, &mut ())
        .await
        .unwrap();
    results[0].1.outputs["out"].clone()
}

async fn fetch(client: &mut Client, path: &StorePath, progress: &mut Progress) -> BuildResult {
    let target = [DerivedPath::Opaque(path.clone())];
    let results = client
        .build_paths_with_results(&target, BuildMode::Normal, progress)
        .await
        .unwrap();
    results.into_iter().next().unwrap().1
}

fn is_there(path: &Path) -> bool {
    path.join("x").symlink_metadata().is_ok()
}

#[tokio::test]
async fn a_signed_path_is_fetched_and_its_way_is_told() {
    let cache = Cache::new();
    let daemon = cache.daemon();
    let path = made(&daemon, "wanted").await;
    let before = daemon.info(&path).await;
    cache.take(&daemon, &path, "cache").await;

    let mut client = daemon.client().await;
    let asked = [path.clone()].into();
    assert_eq!(client.query_substitutable_paths(&asked).await.unwrap(), asked);
    let target = [DerivedPath::Opaque(path.clone())];
    let missing = client.query_missing(&target).await.unwrap();
    assert_eq!(missing.will_substitute, asked);
    assert_eq!(missing.nar_size, before.nar_size);
    assert!(missing.download_size > 0 && missing.unknown.is_empty() && !missing.is_empty());

    let (mut progress, mut kinds, mut shown) = (Progress::new(), Vec::new(), None);
    let mut sink = |event: Event| {
        if let Event::Start { kind, .. } = &event {
            kinds.push(*kind);
        }
        progress.apply(&event);
        shown = shown.take().or_else(|| progress.fetching().into_iter().next());
    };
    let results = client
        .build_paths_with_results(&target, BuildMode::Normal, &mut sink)
        .await
        .unwrap();
    assert_eq!(results[0].1.status, BuildStatus::Substituted, "{results:?}");
    assert!(
        kinds.contains(&ActivityKind::Substitute) && kinds.contains(&ActivityKind::CopyPath),
        "{kinds:?}"
    );
    let shown = shown.unwrap();
    assert_eq!(shown.path, path);
    assert!(shown.from.starts_with("file://"), "{shown:?}");
    assert_eq!(progress.copies().done, 1);
    assert!(progress.fetching().is_empty());

    let after = client.query_path_info(&path).await.unwrap().unwrap();
    assert_eq!(
        (after.nar_hash, after.nar_size),
        (before.nar_hash, before.nar_size)
    );
    assert!(
        after
            .signatures
            .iter()
            .any(|signature| signature.starts_with("cache:")),
        "{after:?}"
    );
    assert!(is_there(path.as_ref()));

    // The other two ways to make it valid.
    drop(client);
    daemon.delete(&path).await;
    let mut client = daemon.client().await;
    assert!(
        client
            .query_valid_paths(&asked, Substitution::Never)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        client
            .query_valid_paths(&asked, Substitution::Allowed)
            .await
            .unwrap(),
        asked
    );
    drop(client);
    daemon.delete(&path).await;
    let mut client = daemon.client().await;
    client.ensure_path(&path, &mut ()).await.unwrap();
    assert!(client.is_valid_path(&path).await.unwrap());
}

#[tokio::test]
async fn a_path_that_another_key_signed_is_not_taken() {
    let cache = Cache::new();
    let daemon = cache.daemon();
    let path = made(&daemon, "unwanted").await;
    cache.take(&daemon, &path, "other").await;
    let mut client = daemon.client().await;
    let result = fetch(&mut client, &path, &mut Progress::new()).await;
    assert!(!result.is_success(), "{result:?}");
    assert!(!client.is_valid_path(&path).await.unwrap());
    assert!(!is_there(path.as_ref()));
    let error = client.ensure_path(&path, &mut ()).await.unwrap_err();
    assert!(matches!(error, Error::Daemon { .. }), "{error:?}");
}

#[tokio::test]
async fn an_archive_that_was_cut_off_makes_no_valid_path() {
    let cache = Cache::new();
    let daemon = cache.daemon();
    let path = made(&daemon, "torn").await;
    cache.take(&daemon, &path, "cache").await;
    let archive = cache.archive();
    let whole = std::fs::read(&archive).unwrap();
    for length in [0, 8, 100, whole.len() / 2, whole.len() - 8] {
        let mut permissions = std::fs::metadata(&archive).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
        std::fs::set_permissions(&archive, permissions).unwrap();
        std::fs::write(&archive, &whole[..length]).unwrap();
        let mut client = daemon.client().await;
        let target = [DerivedPath::Opaque(path.clone())];
        let results = client
            .build_paths_with_results(&target, BuildMode::Normal, &mut ())
            .await;
        match results {
            Ok(results) => assert!(!results[0].1.is_success(), "{length}: {results:?}"),
            Err(error) => assert!(matches!(error, Error::Daemon { .. }), "{length}: {error:?}"),
        }
        assert!(
            !daemon.client().await.is_valid_path(&path).await.unwrap(),
            "{length}"
        );
    }
    std::fs::write(&archive, &whole).unwrap();
    let mut client = daemon.client().await;
    let result = fetch(&mut client, &path, &mut Progress::new()).await;
    assert_eq!(result.status, BuildStatus::Substituted, "{result:?}");
}
