//! The operations: what each asks and is answered, how the client is asked for it, and what it is on the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix_daemon_client::{
    AddMethod, BuildMode, BuildResult, Client, ClientSettings, Collected, DerivedPath, Error, Event, Garbage,
    HashPart, Missing, Operation, PathInfo, Root, SignatureCheck, StorePath, Substitution, Verification,
};

use crate::values::Paths;
use crate::wire::Wire;

/// An operation with its arguments and its answer.
#[derive(Debug, Clone)]
pub(crate) enum Exchange {
    IsValidPath(StorePath, bool),
    QueryReferrers(StorePath, Paths),
    AddToStore(String, AddMethod, Paths, Vec<u8>, PathInfo),
    EnsurePath(StorePath),
    AddTempRoot(StorePath),
    AddIndirectRoot(PathBuf),
    FindRoots(Vec<Root>),
    SetOptions(ClientSettings),
    CollectGarbage(Garbage, Collected),
    QueryAllValidPaths(Paths),
    QueryPathInfo(StorePath, Option<PathInfo>),
    QueryPathInfos(Vec<(StorePath, Option<PathInfo>)>),
    QueryPathFromHashPart(HashPart, Option<StorePath>),
    QueryValidPaths(Paths, Substitution, Paths),
    QuerySubstitutablePaths(Paths, Paths),
    OptimiseStore,
    VerifyStore(Verification, bool),
    AddSignatures(StorePath, BTreeSet<String>),
    NarFromPath(StorePath, Vec<u8>),
    AddToStoreNar(PathInfo, SignatureCheck, Vec<u8>),
    QueryMissing(Vec<DerivedPath>, Missing),
    QueryDerivationOutputMap(StorePath, BTreeMap<String, Option<StorePath>>),
    BuildPathsWithResults(Vec<DerivedPath>, BuildMode, Vec<(DerivedPath, BuildResult)>),
    AddPermRoot(StorePath, PathBuf),
}

/// What a client is told.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Done,
    Flag(bool),
    Path(Option<StorePath>),
    Paths(Paths),
    Info(Option<PathInfo>),
    Infos(Vec<Option<PathInfo>>),
    Roots(Vec<Root>),
    Collected(Collected),
    Missing(Missing),
    Outputs(BTreeMap<String, Option<StorePath>>),
    Results(Vec<(DerivedPath, BuildResult)>),
    Archive(u64, Vec<u8>),
}

fn texts<'a>(paths: impl IntoIterator<Item = &'a StorePath>) -> Vec<&'a str> {
    paths.into_iter().map(StorePath::as_str).collect()
}

fn shown(targets: &[DerivedPath]) -> Vec<String> {
    let name = |target: &DerivedPath| match target {
        DerivedPath::Opaque(path) => path.to_string(),
        DerivedPath::Built { drv, outputs } => match outputs {
            nix_daemon_client::Outputs::All => format!("{drv}!*"),
            nix_daemon_client::Outputs::Names(names) => {
                format!("{drv}!{}", names.iter().cloned().collect::<Vec<_>>().join(","))
            }
        },
    };
    targets.iter().map(name).collect()
}

fn optional(path: &Option<StorePath>) -> &str {
    path.as_ref().map_or("", StorePath::as_str)
}

/// What is told of a path, after its name.
fn described(out: &mut Wire, info: &PathInfo) {
    out.s(optional(&info.deriver))
        .s(hex(info.nar_hash.digest()))
        .list(texts(&info.references));
    out.n(info.registered_at).n(info.nar_size).n(info.ultimate);
    out.list(&info.signatures)
        .s(info.content_address.as_deref().unwrap_or_default());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Exchange {
    pub(crate) fn operation(&self) -> Operation {
        match self {
            Exchange::IsValidPath(..) => Operation::IsValidPath,
            Exchange::QueryReferrers(..) => Operation::QueryReferrers,
            Exchange::AddToStore(..) => Operation::AddToStore,
            Exchange::EnsurePath(..) => Operation::EnsurePath,
            Exchange::AddTempRoot(..) => Operation::AddTempRoot,
            Exchange::AddIndirectRoot(..) => Operation::AddIndirectRoot,
            Exchange::FindRoots(..) => Operation::FindRoots,
            Exchange::SetOptions(..) => Operation::SetOptions,
            Exchange::CollectGarbage(..) => Operation::CollectGarbage,
            Exchange::QueryAllValidPaths(..) => Operation::QueryAllValidPaths,
            Exchange::QueryPathInfo(..) | Exchange::QueryPathInfos(..) => Operation::QueryPathInfo,
            Exchange::QueryPathFromHashPart(..) => Operation::QueryPathFromHashPart,
            Exchange::QueryValidPaths(..) => Operation::QueryValidPaths,
            Exchange::QuerySubstitutablePaths(..) => Operation::QuerySubstitutablePaths,
            Exchange::OptimiseStore => Operation::OptimiseStore,
            Exchange::VerifyStore(..) => Operation::VerifyStore,
            Exchange::AddSignatures(..) => Operation::AddSignatures,
            Exchange::NarFromPath(..) => Operation::NarFromPath,
            Exchange::AddToStoreNar(..) => Operation::AddToStoreNar,
            Exchange::QueryMissing(..) => Operation::QueryMissing,
            Exchange::QueryDerivationOutputMap(..) => Operation::QueryDerivationOutputMap,
            Exchange::BuildPathsWithResults(..) => Operation::BuildPathsWithResults,
            Exchange::AddPermRoot(..) => Operation::AddPermRoot,
        }
    }

    /// The questions that it is for the daemon.
    pub(crate) fn questions(&self) -> Vec<Exchange> {
        match self {
            Exchange::QueryPathInfos(known) => known
                .iter()
                .map(|(path, info)| Exchange::QueryPathInfo(path.clone(), info.clone()))
                .collect(),
            other => vec![other.clone()],
        }
    }

    /// Whether the caller is told the events.
    pub(crate) fn tells_events(&self) -> bool {
        matches!(
            self,
            Exchange::AddToStore(..)
                | Exchange::EnsurePath(..)
                | Exchange::SetOptions(..)
                | Exchange::CollectGarbage(..)
                | Exchange::OptimiseStore
                | Exchange::VerifyStore(..)
                | Exchange::AddToStoreNar(..)
                | Exchange::BuildPathsWithResults(..)
        )
    }

    /// The request as the protocol has it.
    pub(crate) fn request(&self, out: &mut Wire) {
        match self {
            Exchange::IsValidPath(path, _) => out.n(1_u64).s(path.as_str()),
            Exchange::QueryReferrers(path, _) => out.n(6_u64).s(path.as_str()),
            Exchange::AddToStore(name, method, references, _, _) => {
                let method = match method {
                    AddMethod::Archive => "fixed:r:sha256",
                    AddMethod::Flat => "fixed:sha256",
                    AddMethod::Text => "text:sha256",
                    other => panic!("{other:?} is new"),
                };
                out.n(7_u64).s(name).s(method).list(texts(references)).n(0_u64)
            }
            Exchange::EnsurePath(path) => out.n(10_u64).s(path.as_str()),
            Exchange::AddTempRoot(path) => out.n(11_u64).s(path.as_str()),
            Exchange::AddIndirectRoot(link) => out.n(12_u64).s(link.as_os_str().as_bytes()),
            Exchange::FindRoots(_) => out.n(14_u64),
            Exchange::SetOptions(settings) => {
                out.n(19_u64)
                    .n(settings.keep_failed)
                    .n(settings.keep_going)
                    .n(settings.fallback);
                out.n(settings.verbosity.code())
                    .n(settings.max_jobs)
                    .n(settings.max_silent_time.as_secs());
                out.n(1_u64)
                    .n(if settings.build_output { 0_u64 } else { 7 })
                    .n(0_u64)
                    .n(0_u64);
                out.n(settings.cores)
                    .n(settings.substitute)
                    .n(settings.overrides.len() as u64);
                for (name, value) in &settings.overrides {
                    out.s(name).s(value);
                }
                out
            }
            Exchange::CollectGarbage(garbage, _) => {
                let (action, at_most) = match garbage {
                    Garbage::ListAlive => (0_u64, u64::MAX),
                    Garbage::ListDead => (1, u64::MAX),
                    Garbage::DeleteDead { at_most } => (2, *at_most),
                    Garbage::Delete(_) => (3, u64::MAX),
                };
                let paths = match garbage {
                    Garbage::Delete(paths) => texts(paths),
                    _ => Vec::new(),
                };
                out.n(20_u64)
                    .n(action)
                    .list(paths)
                    .n(0_u64)
                    .n(at_most)
                    .n(0_u64)
                    .n(0_u64)
                    .n(0_u64)
            }
            Exchange::QueryAllValidPaths(_) => out.n(23_u64),
            Exchange::QueryPathInfo(path, _) => out.n(26_u64).s(path.as_str()),
            Exchange::QueryPathFromHashPart(hash, _) => out.n(29_u64).s(hash.as_str()),
            Exchange::QueryValidPaths(paths, substitution, _) => out
                .n(31_u64)
                .list(texts(paths))
                .n(*substitution == Substitution::Allowed),
            Exchange::QuerySubstitutablePaths(paths, _) => out.n(32_u64).list(texts(paths)),
            Exchange::OptimiseStore => out.n(34_u64),
            Exchange::VerifyStore(how, _) => out
                .n(35_u64)
                .n(*how != Verification::Existence)
                .n(*how == Verification::Repair),
            Exchange::AddSignatures(path, signatures) => out.n(37_u64).s(path.as_str()).list(signatures),
            Exchange::NarFromPath(path, _) => out.n(38_u64).s(path.as_str()),
            Exchange::AddToStoreNar(info, check, _) => {
                described(out.n(39_u64).s(info.path.as_str()), info);
                out.n(0_u64).n(*check == SignatureCheck::Waived)
            }
            Exchange::QueryMissing(targets, _) => out.n(40_u64).list(shown(targets)),
            Exchange::QueryDerivationOutputMap(drv, _) => out.n(41_u64).s(drv.as_str()),
            Exchange::BuildPathsWithResults(targets, mode, _) => {
                let mode = match mode {
                    BuildMode::Normal => 0_u64,
                    BuildMode::Repair => 1,
                    BuildMode::Check => 2,
                };
                out.n(46_u64).list(shown(targets)).n(mode)
            }
            Exchange::QueryPathInfos(_) => panic!("these are questions of their own"),
            Exchange::AddPermRoot(path, link) => {
                out.n(47_u64).s(path.as_str()).s(link.as_os_str().as_bytes())
            }
        };
    }

    /// What follows the request in frames.
    pub(crate) fn upload(&self) -> Option<Vec<u8>> {
        match self {
            Exchange::AddToStore(.., contents, _) | Exchange::AddToStoreNar(.., contents) => {
                Some(contents.clone())
            }
            _ => None,
        }
    }

    /// The reply as the protocol has it in this version.
    pub(crate) fn reply(&self, out: &mut Wire, minor: u16) {
        match self {
            Exchange::IsValidPath(_, flag) | Exchange::VerifyStore(_, flag) => out.n(*flag),
            Exchange::QueryReferrers(_, paths)
            | Exchange::QueryAllValidPaths(paths)
            | Exchange::QueryValidPaths(_, _, paths)
            | Exchange::QuerySubstitutablePaths(_, paths) => out.list(texts(paths)),
            Exchange::AddToStore(.., info) => {
                described(out.s(info.path.as_str()), info);
                out
            }
            Exchange::EnsurePath(_)
            | Exchange::AddTempRoot(_)
            | Exchange::AddIndirectRoot(_)
            | Exchange::OptimiseStore
            | Exchange::AddSignatures(..) => out.n(1_u64),
            Exchange::SetOptions(_) | Exchange::AddToStoreNar(..) => out,
            Exchange::FindRoots(roots) => {
                out.n(roots.len() as u64);
                for root in roots {
                    out.s(root.link.as_bytes()).s(root.target.as_str());
                }
                out
            }
            Exchange::CollectGarbage(_, collected) => out
                .list(texts(&collected.paths))
                .n(collected.bytes_freed)
                .n(0_u64),
            Exchange::QueryPathInfo(_, info) => {
                told(out, info.as_ref());
                out
            }
            Exchange::QueryPathFromHashPart(_, path) => out.s(optional(path)),
            Exchange::NarFromPath(_, archive) => {
                out.0.extend(archive);
                out
            }
            Exchange::QueryMissing(_, missing) => {
                out.list(texts(&missing.will_build))
                    .list(texts(&missing.will_substitute))
                    .list(texts(&missing.unknown));
                out.n(missing.download_size).n(missing.nar_size)
            }
            Exchange::QueryDerivationOutputMap(_, outputs) => {
                out.n(outputs.len() as u64);
                for (name, path) in outputs {
                    out.s(name).s(optional(path));
                }
                out
            }
            Exchange::BuildPathsWithResults(_, _, results) => {
                out.n(results.len() as u64);
                for (target, result) in results {
                    out.s(&shown(std::slice::from_ref(target))[0]);
                    ended(out, result, minor);
                }
                out
            }
            Exchange::QueryPathInfos(_) => panic!("these are questions of their own"),
            Exchange::AddPermRoot(_, link) => out.s(link.as_os_str().as_bytes()),
        };
    }

    /// What the client has to be told.
    pub(crate) fn outcome(&self, minor: u16) -> Outcome {
        match self.clone() {
            Exchange::IsValidPath(_, flag) | Exchange::VerifyStore(_, flag) => Outcome::Flag(flag),
            Exchange::QueryReferrers(_, paths)
            | Exchange::QueryAllValidPaths(paths)
            | Exchange::QueryValidPaths(_, _, paths)
            | Exchange::QuerySubstitutablePaths(_, paths) => Outcome::Paths(paths),
            Exchange::AddToStore(.., info) => Outcome::Info(Some(info)),
            Exchange::FindRoots(roots) => Outcome::Roots(roots),
            Exchange::CollectGarbage(_, collected) => Outcome::Collected(collected),
            Exchange::QueryPathInfo(_, info) => Outcome::Info(info),
            Exchange::QueryPathInfos(known) => {
                Outcome::Infos(known.into_iter().map(|(_, info)| info).collect())
            }
            Exchange::QueryPathFromHashPart(_, path) => Outcome::Path(path),
            Exchange::NarFromPath(_, archive) => Outcome::Archive(archive.len() as u64, archive),
            Exchange::QueryMissing(_, missing) => Outcome::Missing(missing),
            Exchange::QueryDerivationOutputMap(_, outputs) => Outcome::Outputs(outputs),
            Exchange::BuildPathsWithResults(_, _, mut results) => {
                if minor < 37 {
                    for (_, result) in &mut results {
                        (result.cpu_user, result.cpu_system) = (None, None);
                    }
                }
                Outcome::Results(results)
            }
            Exchange::EnsurePath(_)
            | Exchange::AddTempRoot(_)
            | Exchange::AddIndirectRoot(_)
            | Exchange::SetOptions(_)
            | Exchange::OptimiseStore
            | Exchange::AddSignatures(..)
            | Exchange::AddToStoreNar(..)
            | Exchange::AddPermRoot(..) => Outcome::Done,
        }
    }

    /// Asks the client.
    pub(crate) async fn ask(
        &self,
        client: &mut Client,
        mut events: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Outcome, Error> {
        let events = &mut events;
        Ok(match self {
            Exchange::IsValidPath(path, _) => Outcome::Flag(client.is_valid_path(path).await?),
            Exchange::QueryReferrers(path, _) => Outcome::Paths(client.query_referrers(path).await?),
            Exchange::AddToStore(name, method, references, contents, _) => {
                let added = client
                    .add_to_store(name, *method, references, &contents[..], events)
                    .await?;
                Outcome::Info(Some(added))
            }
            Exchange::EnsurePath(path) => done(client.ensure_path(path, events).await?),
            Exchange::AddTempRoot(path) => done(client.add_temp_root(path).await?),
            Exchange::AddIndirectRoot(link) => done(client.add_indirect_root(link).await?),
            Exchange::FindRoots(_) => Outcome::Roots(client.find_roots().await?),
            Exchange::SetOptions(settings) => done(client.set_options(settings, events).await?),
            Exchange::CollectGarbage(garbage, _) => {
                Outcome::Collected(client.collect_garbage(garbage, events).await?)
            }
            Exchange::QueryAllValidPaths(_) => Outcome::Paths(client.query_all_valid_paths().await?),
            Exchange::QueryPathInfo(path, _) => Outcome::Info(client.query_path_info(path).await?),
            Exchange::QueryPathInfos(known) => {
                let paths: Vec<StorePath> = known.iter().map(|(path, _)| path.clone()).collect();
                Outcome::Infos(client.query_path_infos(&paths).await?)
            }
            Exchange::QueryPathFromHashPart(hash, _) => {
                Outcome::Path(client.query_path_from_hash_part(hash).await?)
            }
            Exchange::QueryValidPaths(paths, substitution, _) => {
                Outcome::Paths(client.query_valid_paths(paths, *substitution).await?)
            }
            Exchange::QuerySubstitutablePaths(paths, _) => {
                Outcome::Paths(client.query_substitutable_paths(paths).await?)
            }
            Exchange::OptimiseStore => done(client.optimise_store(events).await?),
            Exchange::VerifyStore(how, _) => Outcome::Flag(client.verify_store(*how, events).await?),
            Exchange::AddSignatures(path, signatures) => done(client.add_signatures(path, signatures).await?),
            Exchange::NarFromPath(path, _) => {
                let mut archive = Vec::new();
                Outcome::Archive(client.nar_from_path(path, &mut archive).await?, archive)
            }
            Exchange::AddToStoreNar(info, check, archive) => done(
                client
                    .add_to_store_nar(info, *check, &archive[..], events)
                    .await?,
            ),
            Exchange::QueryMissing(targets, _) => Outcome::Missing(client.query_missing(targets).await?),
            Exchange::QueryDerivationOutputMap(drv, _) => {
                Outcome::Outputs(client.query_derivation_output_map(drv).await?)
            }
            Exchange::BuildPathsWithResults(targets, mode, _) => {
                Outcome::Results(client.build_paths_with_results(targets, *mode, events).await?)
            }
            Exchange::AddPermRoot(path, link) => done(client.add_perm_root(path, link).await?),
        })
    }
}

fn done((): ()) -> Outcome {
    Outcome::Done
}

fn told(out: &mut Wire, info: Option<&PathInfo>) {
    out.n(info.is_some());
    if let Some(info) = info {
        described(out, info);
    }
}

fn ended(out: &mut Wire, result: &BuildResult, minor: u16) {
    out.n(result.status.code())
        .s(&result.message)
        .n(result.times_built)
        .n(result.non_deterministic);
    out.n(result.started_at).n(result.stopped_at);
    if minor >= 37 {
        for time in [result.cpu_user, result.cpu_system] {
            out.n(time.is_some());
            if let Some(time) = time {
                out.n(u64::try_from(time.as_micros()).unwrap());
            }
        }
    }
    out.n(result.outputs.len() as u64);
    for (name, path) in &result.outputs {
        let description = format!(
            r#"{{"dependentRealisations":{{}},"id":"x","outPath":"{}","signatures":[]}}"#,
            path.base_name()
        );
        out.s(format!("sha256:{}!{name}", "0".repeat(64))).s(description);
    }
}
