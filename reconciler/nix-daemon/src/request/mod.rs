//! The requests: for each operation what is sent and how its reply is read. They touch no connection state.

mod add;
mod build;
mod paths;
mod roots;

use std::future::Future;

use crate::handshake::ProtocolVersion;
use crate::operation::Operation;
use crate::read::{ReadError, Reader};
use crate::write::Encoder;

pub(crate) use add::{AddToStore, AddToStoreNar, NarFromPath};
pub(crate) use build::{BuildPathsWithResults, QueryMissing, SetOptions};
pub(crate) use paths::{
    AddSignatures, EnsurePath, IsValidPath, QueryAllValidPaths, QueryDerivationOutputMap,
    QueryPathFromHashPart, QueryPathInfo, QueryReferrers, QuerySubstitutablePaths, QueryValidPaths,
};
pub(crate) use roots::{
    AddIndirectRoot, AddPermRoot, AddTempRoot, CollectGarbage, FindRoots, OptimiseStore, VerifyStore,
};

/// How long the daemon may be silent while it works on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As long as the connection's idle timeout.
    Prompt,
    /// Half an hour, or the idle timeout if that is longer: it asks caches, fetches, or takes a tree in.
    Long,
    /// For ever: it builds, or walks the store.
    Endless,
}

/// One operation with its arguments.
pub(crate) trait Request: Sync {
    /// What the daemon answers.
    type Reply: Send;
    /// Which operation it is.
    const OPERATION: Operation;

    /// How long its answer may take.
    fn patience(&self) -> Patience {
        Patience::Prompt
    }

    /// Writes the arguments; the operation's number was written.
    fn encode(&self, out: &mut Encoder);

    /// Reads the reply; all messages before it were read.
    fn decode(
        &self,
        reader: &mut Reader,
        version: ProtocolVersion,
    ) -> impl Future<Output = Result<Self::Reply, ReadError>> + Send;
}

/// The whole request: number and arguments.
pub(crate) fn encode<R: Request>(request: &R, out: &mut Encoder) {
    out.u64(R::OPERATION.code());
    request.encode(out);
}
