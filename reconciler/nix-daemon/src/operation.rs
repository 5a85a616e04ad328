//! The operations of the worker protocol that this client knows. Numbers are Nix's `WorkerProto::Op`.

use std::fmt;

use crate::handshake::ProtocolVersion;

/// One operation of the worker protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are the protocol's own")]
pub enum Operation {
    IsValidPath,
    AddToStore,
    EnsurePath,
    AddTempRoot,
    AddIndirectRoot,
    FindRoots,
    SetOptions,
    CollectGarbage,
    QueryReferrers,
    QueryPathInfo,
    QueryPathFromHashPart,
    QueryAllValidPaths,
    QueryValidPaths,
    QuerySubstitutablePaths,
    OptimiseStore,
    VerifyStore,
    AddSignatures,
    NarFromPath,
    AddToStoreNar,
    QueryMissing,
    QueryDerivationOutputMap,
    BuildPathsWithResults,
    AddPermRoot,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 23] = [
        Operation::IsValidPath,
        Operation::AddToStore,
        Operation::EnsurePath,
        Operation::AddTempRoot,
        Operation::AddIndirectRoot,
        Operation::FindRoots,
        Operation::SetOptions,
        Operation::CollectGarbage,
        Operation::QueryReferrers,
        Operation::QueryPathInfo,
        Operation::QueryPathFromHashPart,
        Operation::QueryAllValidPaths,
        Operation::QueryValidPaths,
        Operation::QuerySubstitutablePaths,
        Operation::OptimiseStore,
        Operation::VerifyStore,
        Operation::AddSignatures,
        Operation::NarFromPath,
        Operation::AddToStoreNar,
        Operation::QueryMissing,
        Operation::QueryDerivationOutputMap,
        Operation::BuildPathsWithResults,
        Operation::AddPermRoot,
    ];

    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u64 {
        match self {
            Operation::IsValidPath => 1,
            Operation::QueryReferrers => 6,
            Operation::AddToStore => 7,
            Operation::EnsurePath => 10,
            Operation::AddTempRoot => 11,
            Operation::AddIndirectRoot => 12,
            Operation::FindRoots => 14,
            Operation::SetOptions => 19,
            Operation::CollectGarbage => 20,
            Operation::QueryAllValidPaths => 23,
            Operation::QueryPathInfo => 26,
            Operation::QueryPathFromHashPart => 29,
            Operation::QueryValidPaths => 31,
            Operation::QuerySubstitutablePaths => 32,
            Operation::OptimiseStore => 34,
            Operation::VerifyStore => 35,
            Operation::AddSignatures => 37,
            Operation::NarFromPath => 38,
            Operation::AddToStoreNar => 39,
            Operation::QueryMissing => 40,
            Operation::QueryDerivationOutputMap => 41,
            Operation::BuildPathsWithResults => 46,
            Operation::AddPermRoot => 47,
        }
    }

    /// The first minor version of the protocol, among those this client speaks, that has it.
    #[must_use]
    pub fn since(self) -> u16 {
        match self {
            Operation::AddPermRoot => 36,
            _ => ProtocolVersion::OLDEST_MINOR,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
