//! Exchanges made up at random: every operation, with arguments and an answer that fit it. Knows nothing of the wire.

use nix_daemon_client::{
    AddMethod, BuildMode, Collected, Garbage, PathInfo, SignatureCheck, Substitution, Verification,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::strategy::Union;

use crate::exchange::Exchange;
use crate::values::{
    self, archive, drv, hash_part, info, link, missing, output_map, path, paths, result, roots, target,
};

/// Some exchange.
pub(crate) fn exchange() -> impl Strategy<Value = Exchange> {
    use proptest::prelude::any;
    fn of(
        strategy: impl Strategy<Value = Exchange> + 'static,
    ) -> proptest::strategy::BoxedStrategy<Exchange> {
        strategy.boxed()
    }
    let known = || {
        (path(), option::of(info())).prop_map(|(path, info)| {
            // What is known of a path is known of this one.
            let info = info.map(|info| PathInfo {
                path: path.clone(),
                ..info
            });
            (path, info)
        })
    };
    let added = prop_oneof![
        archive().prop_map(|contents| (AddMethod::Archive, contents)),
        vec(any::<u8>(), 0..300).prop_map(|contents| (AddMethod::Flat, contents)),
        vec(any::<u8>(), 0..300).prop_map(|contents| (AddMethod::Text, contents)),
    ];
    let garbage = prop_oneof![
        Just(Garbage::ListAlive),
        Just(Garbage::ListDead),
        any::<u64>().prop_map(|at_most| Garbage::DeleteDead { at_most }),
        paths().prop_map(Garbage::Delete),
    ];
    let collected = (paths(), any::<u64>()).prop_map(|(paths, bytes_freed)| Collected { paths, bytes_freed });
    let mode = prop_oneof![
        Just(BuildMode::Normal),
        Just(BuildMode::Repair),
        Just(BuildMode::Check)
    ];
    let verification = prop_oneof![
        Just(Verification::Existence),
        Just(Verification::Contents),
        Just(Verification::Repair)
    ];
    let built = vec((target(), result()), 0..4);
    Union::new([
        of((path(), any::<bool>()).prop_map(|(path, valid)| Exchange::IsValidPath(path, valid))),
        of((path(), paths()).prop_map(|(path, found)| Exchange::QueryReferrers(path, found))),
        of(("[a-z][a-z.]{0,9}", added, paths(), info()).prop_map(
            |(name, (method, contents), references, info)| {
                Exchange::AddToStore(name, method, references, contents, info)
            },
        )),
        of(path().prop_map(Exchange::EnsurePath)),
        of(path().prop_map(Exchange::AddTempRoot)),
        of(link().prop_map(Exchange::AddIndirectRoot)),
        of(roots().prop_map(Exchange::FindRoots)),
        of(values::settings().prop_map(Exchange::SetOptions)),
        of((garbage, collected)
            .prop_map(|(garbage, collected)| Exchange::CollectGarbage(garbage, collected))),
        of(paths().prop_map(Exchange::QueryAllValidPaths)),
        of(known().prop_map(|(path, info)| Exchange::QueryPathInfo(path, info))),
        of(vec(known(), 1..6).prop_map(Exchange::QueryPathInfos)),
        of((hash_part(), option::of(path()))
            .prop_map(|(hash, path)| Exchange::QueryPathFromHashPart(hash, path))),
        of(
            (paths(), any::<bool>(), paths()).prop_map(|(asked, fetch, valid)| {
                let substitution = if fetch {
                    Substitution::Allowed
                } else {
                    Substitution::Never
                };
                Exchange::QueryValidPaths(asked, substitution, valid)
            }),
        ),
        of((paths(), paths()).prop_map(|(asked, found)| Exchange::QuerySubstitutablePaths(asked, found))),
        of(Just(Exchange::OptimiseStore)),
        of((verification, any::<bool>()).prop_map(|(how, errors)| Exchange::VerifyStore(how, errors))),
        of((path(), btree_set("[a-z]{1,5}:[a-z]{4}", 0..3))
            .prop_map(|(path, signatures)| Exchange::AddSignatures(path, signatures))),
        of((path(), archive()).prop_map(|(path, archive)| Exchange::NarFromPath(path, archive))),
        of(
            (info(), any::<bool>(), archive()).prop_map(|(info, waived, archive)| {
                let check = if waived {
                    SignatureCheck::Waived
                } else {
                    SignatureCheck::Required
                };
                Exchange::AddToStoreNar(info, check, archive)
            }),
        ),
        of((vec(target(), 0..4), missing())
            .prop_map(|(targets, missing)| Exchange::QueryMissing(targets, missing))),
        of((drv(), output_map()).prop_map(|(drv, outputs)| Exchange::QueryDerivationOutputMap(drv, outputs))),
        of((mode, built).prop_map(|(mode, mut results)| {
            // Each target once; the results come in an order of their own.
            results.dedup_by(|a, b| a.0 == b.0);
            let targets = results.iter().rev().map(|(target, _)| target.clone()).collect();
            Exchange::BuildPathsWithResults(targets, mode, results)
        })),
        of((path(), link()).prop_map(|(path, link)| Exchange::AddPermRoot(path, link))),
    ])
}
