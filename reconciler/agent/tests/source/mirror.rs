//! The mirror: reading, naming, keeping, and noticing damage.

use std::{fs, os::unix::fs::symlink};

use reconciler::source::{
    EntryKind, History, Mirror, MirrorError, Oid, Relation, Revision, Source, Step, TreeError, TrustError,
};

use crate::support::{Scratch, Upstream, git, settings, source};

async fn fetch(source: &Source) -> Oid {
    let advertised = source.poll().await.unwrap();
    source.fetch(&advertised, &mut |_| ()).await.unwrap();
    advertised.head.oid()
}

#[tokio::test]
async fn a_rewritten_branch_is_fetched_and_refused() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let source = source(settings(&scratch, &[upstream.path.as_str()]));
    let first = fetch(&source).await;
    upstream.commit("second");
    let second = fetch(&source).await;
    git(
        &upstream.path,
        &["reset", "--quiet", "--hard", &first.to_string()],
    );
    let judge = |head, last, history| {
        let relation = source.mirror().unwrap().relation(head, last).unwrap();
        Revision::accept(head, Some((last, relation)), history).map(Revision::oid)
    };
    assert_eq!(judge(second, first, History::Forward), Ok(second));

    assert_eq!(fetch(&source).await, first);
    assert_eq!(source.mirror().unwrap().head("main"), Some(first));
    assert_eq!(
        judge(first, second, History::Forward),
        Err(TrustError::Older {
            head: first,
            accepted: second
        })
    );

    let other = upstream.commit("another second");
    assert_eq!(fetch(&source).await, other);
    assert_eq!(
        judge(other, second, History::Forward),
        Err(TrustError::Rewritten {
            head: other,
            accepted: second
        })
    );
    assert_eq!(judge(other, second, History::Any), Ok(other));
    let commit = source.mirror().unwrap().commit(second).unwrap();
    assert_eq!(Revision::pinned(&commit).oid(), second);
    let nowhere = "1111111111111111111111111111111111111111".parse().unwrap();
    assert_eq!(
        source.mirror().unwrap().relation(other, nowhere).unwrap(),
        Relation::Diverged
    );
}

#[tokio::test]
async fn revisions_are_abbreviated_as_git_allows() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    // 16 bits of abbreviation and 2000 commits make a pair as good as certain; dates and names are fixed, so it
    // is the same pair every time.
    let stream: String = (0..2000)
        .map(|n| {
            format!("commit refs/heads/main\nmark :{n1}\ncommitter A <a@b> 1700000000 +0000\ndata 4\n{n:04}\n{from}\n",
                n1 = n + 1, from = if n == 0 { String::new() } else { format!("from :{n}\n") })
        })
        .collect();
    let path = scratch.path.join("stream");
    fs::write(&path, stream).unwrap();
    let input = fs::File::open(&path).unwrap();
    let import = ["fast-import", "--quiet", "--force"];
    assert!(
        crate::support::git_command(&upstream.path)
            .args(import)
            .stdin(input)
            .status()
            .unwrap()
            .success()
    );
    let all = git(&upstream.path, &["rev-list", "main"]);
    let mut prefixes: Vec<&str> = all.lines().map(|line| &line[..4]).collect();
    prefixes.sort_unstable();
    let twice = prefixes
        .windows(2)
        .find(|pair| pair[0] == pair[1])
        .expect("a pair")[0];

    let source = source(settings(&scratch, &[upstream.path.as_str()]));
    let head = fetch(&source).await;
    let mirror = source.mirror().unwrap();
    assert_eq!(mirror.resolve(&head.to_string()).unwrap(), head);
    assert_eq!(mirror.resolve(&mirror.commit(head).unwrap().short).unwrap(), head);
    assert_eq!(mirror.resolve("main").unwrap(), head);
    assert_eq!(
        mirror.resolve("main~1").unwrap(),
        mirror.commit(head).unwrap().parents[0]
    );
    match mirror.resolve(twice) {
        Err(MirrorError::Ambiguous { candidates, .. }) => {
            assert!(candidates.len() >= 2);
            assert!(candidates.iter().all(|oid| oid.to_string().starts_with(twice)));
        }
        other => panic!("{other:?}"),
    }
    for unknown in ["dev", "", "0000000", "main..", "--help", "zz\u{0}"] {
        assert!(mirror.resolve(unknown).is_err(), "{unknown:?}");
    }
    assert!(matches!(mirror.resolve("dev"), Err(MirrorError::Unknown { .. })));
    assert_eq!(mirror.rev_count(head).unwrap(), 2000);
    assert_eq!(
        mirror
            .commits_since(head, Some(mirror.resolve("main~3").unwrap()))
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn a_tree_is_walked_in_the_order_of_bytes() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let module = git(&upstream.path, &["rev-parse", "HEAD"]);
    let folder = upstream.path.join("machines");
    fs::create_dir_all(folder.join("a/deep")).unwrap();
    fs::write(folder.join("a.nix"), "1").unwrap();
    fs::write(folder.join("a0"), "2").unwrap();
    fs::write(folder.join("a/deep/file"), "3").unwrap();
    symlink("../log", folder.join("link")).unwrap();
    fs::write(folder.join("run"), "#!").unwrap();
    git(&upstream.path, &["add", "--all"]);
    git(&upstream.path, &["update-index", "--chmod=+x", "machines/run"]);
    git(
        &upstream.path,
        &[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("160000,{module},machines/module"),
        ],
    );
    git(&upstream.path, &["commit", "--quiet", "--message", "tree"]);

    let source = source(settings(&scratch, &[upstream.path.as_str()]));
    let head = fetch(&source).await;
    let mirror = source.mirror().unwrap();
    let root = mirror.tree(head).unwrap();
    let tree = root.directory("machines").unwrap();
    let mut seen = Vec::new();
    tree.walk(|step| {
        seen.push(match step {
            Step::Enter(entry) => format!("+{}", String::from_utf8_lossy(&entry.name)),
            Step::Leave => "-".to_owned(),
            Step::Leaf(entry) => format!("{} {}", String::from_utf8_lossy(&entry.name), entry.kind),
        });
        Ok::<(), std::convert::Infallible>(())
    })
    .unwrap();
    assert_eq!(
        seen,
        [
            "+a",
            "+deep",
            "file file",
            "-",
            "-",
            "a.nix file",
            "a0 file",
            "link symbolic link",
            "module submodule",
            "run executable file",
        ]
    );
    let link = tree.entry("link").unwrap().unwrap();
    assert_eq!(
        (link.kind, tree.blob(link.oid).unwrap()),
        (EntryKind::Symlink, b"../log".to_vec())
    );
    assert_eq!(root.read("machines/a/deep/file").unwrap(), b"3");
    assert!(matches!(
        root.read("machines/link"),
        Err(TreeError::Kind {
            found: EntryKind::Symlink,
            ..
        })
    ));
    assert!(matches!(
        root.read("machines/none"),
        Err(TreeError::NotFound { .. })
    ));
    assert!(matches!(root.directory("log"), Err(TreeError::Kind { .. })));
    assert_eq!(root.entry("log/below").unwrap(), None);
    assert_eq!(root.directory("").unwrap().oid(), root.oid());
}

#[tokio::test]
async fn names_that_escape_are_refused() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let blob = git(&upstream.path, &["rev-parse", "HEAD:log"]);
    let raw = scratch.path.join("raw");
    let id: Vec<u8> = (0..20)
        .map(|n| u8::from_str_radix(&blob[n * 2..n * 2 + 2], 16).unwrap())
        .collect();
    fs::write(&raw, [b"100644 ..\0".as_slice(), &id].concat()).unwrap();
    let tree = git(
        &upstream.path,
        &["hash-object", "-t", "tree", "-w", "--literally", raw.as_str()],
    );
    let commit = git(&upstream.path, &["commit-tree", "-m", "evil", &tree]);
    git(&upstream.path, &["update-ref", "refs/heads/main", &commit]);
    let source = source(settings(&scratch, &[upstream.path.as_str()]));
    let head = fetch(&source).await;
    let mirror = source.mirror().unwrap();
    assert!(matches!(
        mirror.tree(head).unwrap().entries(),
        Err(TreeError::Name { .. })
    ));
}

#[tokio::test]
async fn deployed_commits_are_kept() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let source = source(settings(&scratch, &[upstream.path.as_str()]));
    let first = fetch(&source).await;
    let mirror = source.mirror().unwrap();
    mirror.pin(7, first).unwrap();
    mirror.pin(8, first).unwrap();
    git(&upstream.path, &["checkout", "--quiet", "--orphan", "fresh"]);
    upstream.commit("unrelated");
    git(&upstream.path, &["branch", "--force", "main", "fresh"]);
    let second = fetch(&source).await;
    mirror.pin(8, second).unwrap();
    assert_eq!(mirror.pins().unwrap(), [(7, first), (8, second)]);
    git(mirror.path(), &["gc", "--quiet", "--prune=now"]);
    assert!(source.mirror().unwrap().contains(first));

    mirror.unpin(7).unwrap();
    mirror.unpin(7).unwrap();
    git(mirror.path(), &["gc", "--quiet", "--prune=now"]);
    assert!(!source.mirror().unwrap().contains(first));
    let mirror = source.mirror().unwrap();
    assert!(matches!(mirror.pin(9, first), Err(MirrorError::Commit { .. })));
}

#[tokio::test]
async fn a_damaged_mirror_is_told_and_made_anew() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let source = source(settings(&scratch, &[upstream.path.as_str()]));
    let path = scratch.path.join("state/fleet.git");
    let damages: [&dyn Fn(); 4] = [
        &|| {
            let packs = path.join("objects/pack").read_dir_utf8().unwrap().flatten();
            for pack in packs.filter(|entry| entry.file_name().ends_with(".pack")) {
                fs::write(pack.path(), "torn").unwrap();
            }
        },
        &|| fs::remove_file(path.join("HEAD")).unwrap(),
        &|| fs::remove_dir_all(path.join("objects/pack")).unwrap(),
        &|| {
            fs::remove_dir_all(&path).unwrap();
            fs::write(&path, "").unwrap();
        },
    ];
    for (index, damage) in damages.iter().enumerate() {
        let head = fetch(&source).await;
        damage();
        match source.mirror() {
            Err(MirrorError::Corrupt { .. }) => {}
            other => panic!("{index}: {other:?}"),
        }
        let mirror = Mirror::recreate(&path).unwrap();
        assert_eq!(mirror.head("main"), None);
        assert_eq!(fetch(&source).await, head, "{index}");
    }
}

#[tokio::test]
async fn a_torn_ref_heals_with_the_next_fetch() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let source = source(settings(&scratch, &[upstream.path.as_str()]));
    for text in ["", "garbage\n"] {
        let head = fetch(&source).await;
        source.mirror().unwrap().pin(1, head).unwrap();
        let refs = scratch.path.join("state/fleet.git/refs");
        fs::write(refs.join("remotes/fleet/main"), text).unwrap();
        fs::write(refs.join("reconciler/generations/1"), text).unwrap();
        assert_eq!(source.mirror().unwrap().head("main"), None);
        assert_eq!(fetch(&source).await, head);
        assert_eq!(source.mirror().unwrap().head("main"), Some(head));
        source.mirror().unwrap().pin(1, head).unwrap();
        assert_eq!(source.mirror().unwrap().pins().unwrap(), [(1, head)]);
    }
}

#[tokio::test]
async fn many_small_packs_become_one() {
    let scratch = Scratch::new();
    let upstream = Upstream::new(&scratch);
    let source = source(settings(&scratch, &[upstream.path.as_str()]));
    let mut commits = vec![fetch(&source).await];
    let mut most = 0;
    for n in 0..30 {
        commits.push(upstream.commit(&format!("commit {n}")));
        fetch(&source).await;
        let packs = scratch
            .path
            .join("state/fleet.git/objects/pack")
            .read_dir_utf8()
            .unwrap();
        let packs = packs
            .flatten()
            .filter(|entry| entry.file_name().ends_with(".pack"))
            .count();
        most = most.max(packs);
    }
    assert!(most <= 25, "{most} packs");
    let mirror = source.mirror().unwrap();
    for commit in commits {
        mirror.tree(commit).unwrap().read("log").unwrap();
    }
    git(mirror.path(), &["fsck", "--strict", "--full"]);
}
