//! Requests about store paths.

use std::collections::{BTreeMap, BTreeSet};

use super::{Patience, Request};
use crate::error::Violation;
use crate::handshake::ProtocolVersion;
use crate::missing::Substitution;
use crate::operation::Operation;
use crate::path_info::{NarHash, PathInfo};
use crate::read::{ReadError, Reader};
use crate::store_path::{HashPart, StorePath};
use crate::write::Encoder;

/// What is told about a path whose name is known: the form of operations 26 and 7.
pub(crate) async fn path_info(reader: &mut Reader, path: StorePath) -> Result<PathInfo, ReadError> {
    let deriver = reader.optional_store_path().await?;
    let nar_hash = NarHash::parse_base16(&reader.string().await?)
        .map_err(|error| reader.violation(Violation::NarHash(error)))?;
    Ok(PathInfo {
        path,
        deriver,
        nar_hash,
        references: reader.store_paths().await?,
        registered_at: reader.u64().await?,
        nar_size: reader.u64().await?,
        ultimate: reader.flag().await?,
        signatures: reader.strings().await?,
        content_address: reader.optional_string().await?,
    })
}

pub(crate) struct IsValidPath<'a>(pub(crate) &'a StorePath);

impl Request for IsValidPath<'_> {
    type Reply = bool;
    const OPERATION: Operation = Operation::IsValidPath;

    fn encode(&self, out: &mut Encoder) {
        out.text(self.0.as_str());
    }

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<bool, ReadError> {
        reader.flag().await
    }
}

pub(crate) struct QueryPathInfo<'a>(pub(crate) &'a StorePath);

impl Request for QueryPathInfo<'_> {
    type Reply = Option<PathInfo>;
    const OPERATION: Operation = Operation::QueryPathInfo;

    fn encode(&self, out: &mut Encoder) {
        out.text(self.0.as_str());
    }

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<Option<PathInfo>, ReadError> {
        if !reader.flag().await? {
            return Ok(None);
        }
        path_info(reader, self.0.clone()).await.map(Some)
    }
}

pub(crate) struct QueryReferrers<'a>(pub(crate) &'a StorePath);

impl Request for QueryReferrers<'_> {
    type Reply = BTreeSet<StorePath>;
    const OPERATION: Operation = Operation::QueryReferrers;

    fn encode(&self, out: &mut Encoder) {
        out.text(self.0.as_str());
    }

    async fn decode(
        &self,
        reader: &mut Reader,
        _: ProtocolVersion,
    ) -> Result<BTreeSet<StorePath>, ReadError> {
        reader.store_paths().await
    }
}

pub(crate) struct QueryPathFromHashPart<'a>(pub(crate) &'a HashPart);

impl Request for QueryPathFromHashPart<'_> {
    type Reply = Option<StorePath>;
    const OPERATION: Operation = Operation::QueryPathFromHashPart;

    fn encode(&self, out: &mut Encoder) {
        out.text(self.0.as_str());
    }

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<Option<StorePath>, ReadError> {
        reader.optional_store_path().await
    }
}

/// The empty query is the harmless request that tells whether a connection outlived an error.
pub(crate) struct QueryValidPaths<'a> {
    pub(crate) paths: &'a BTreeSet<StorePath>,
    pub(crate) substitution: Substitution,
}

impl Request for QueryValidPaths<'_> {
    type Reply = BTreeSet<StorePath>;
    const OPERATION: Operation = Operation::QueryValidPaths;

    fn patience(&self) -> Patience {
        match self.substitution {
            Substitution::Never => Patience::Prompt,
            Substitution::Allowed => Patience::Long,
        }
    }

    fn encode(&self, out: &mut Encoder) {
        out.texts(self.paths.iter());
        out.flag(self.substitution == Substitution::Allowed);
    }

    async fn decode(
        &self,
        reader: &mut Reader,
        _: ProtocolVersion,
    ) -> Result<BTreeSet<StorePath>, ReadError> {
        reader.store_paths().await
    }
}

pub(crate) struct EnsurePath<'a>(pub(crate) &'a StorePath);

impl Request for EnsurePath<'_> {
    type Reply = ();
    const OPERATION: Operation = Operation::EnsurePath;

    fn patience(&self) -> Patience {
        Patience::Long
    }

    fn encode(&self, out: &mut Encoder) {
        out.text(self.0.as_str());
    }

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<(), ReadError> {
        reader.u64().await.map(drop)
    }
}

pub(crate) struct QueryDerivationOutputMap<'a>(pub(crate) &'a StorePath);

impl Request for QueryDerivationOutputMap<'_> {
    type Reply = BTreeMap<String, Option<StorePath>>;
    const OPERATION: Operation = Operation::QueryDerivationOutputMap;

    fn encode(&self, out: &mut Encoder) {
        out.text(self.0.as_str());
    }

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<Self::Reply, ReadError> {
        let mut outputs = BTreeMap::new();
        for _ in 0..reader.u64().await? {
            let name = reader.string().await?;
            outputs.insert(name, reader.optional_store_path().await?);
        }
        Ok(outputs)
    }
}

pub(crate) struct QueryAllValidPaths;

impl Request for QueryAllValidPaths {
    type Reply = BTreeSet<StorePath>;
    const OPERATION: Operation = Operation::QueryAllValidPaths;

    fn encode(&self, _: &mut Encoder) {}

    async fn decode(
        &self,
        reader: &mut Reader,
        _: ProtocolVersion,
    ) -> Result<BTreeSet<StorePath>, ReadError> {
        reader.store_paths().await
    }
}

pub(crate) struct QuerySubstitutablePaths<'a>(pub(crate) &'a BTreeSet<StorePath>);

impl Request for QuerySubstitutablePaths<'_> {
    type Reply = BTreeSet<StorePath>;
    const OPERATION: Operation = Operation::QuerySubstitutablePaths;

    /// Substituters are asked about every path.
    fn patience(&self) -> Patience {
        Patience::Long
    }

    fn encode(&self, out: &mut Encoder) {
        out.texts(self.0.iter());
    }

    async fn decode(
        &self,
        reader: &mut Reader,
        _: ProtocolVersion,
    ) -> Result<BTreeSet<StorePath>, ReadError> {
        reader.store_paths().await
    }
}

pub(crate) struct AddSignatures<'a> {
    pub(crate) path: &'a StorePath,
    pub(crate) signatures: &'a BTreeSet<String>,
}

impl Request for AddSignatures<'_> {
    type Reply = ();
    const OPERATION: Operation = Operation::AddSignatures;

    fn encode(&self, out: &mut Encoder) {
        out.text(self.path.as_str());
        out.texts(self.signatures.iter());
    }

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<(), ReadError> {
        reader.u64().await.map(drop)
    }
}
