//! Requests about roots, garbage and the store as a whole.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Patience, Request};
use crate::garbage::{Collected, Garbage, Root, Verification};
use crate::handshake::ProtocolVersion;
use crate::operation::Operation;
use crate::read::{ReadError, Reader};
use crate::store_path::StorePath;
use crate::write::Encoder;

pub(crate) struct AddTempRoot<'a>(pub(crate) &'a StorePath);

impl Request for AddTempRoot<'_> {
    type Reply = ();
    const OPERATION: Operation = Operation::AddTempRoot;

    fn encode(&self, out: &mut Encoder) {
        out.text(self.0.as_str());
    }

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<(), ReadError> {
        reader.u64().await.map(drop)
    }
}

pub(crate) struct AddIndirectRoot<'a>(pub(crate) &'a Path);

impl Request for AddIndirectRoot<'_> {
    type Reply = ();
    const OPERATION: Operation = Operation::AddIndirectRoot;

    fn encode(&self, out: &mut Encoder) {
        out.bytes(self.0.as_os_str().as_bytes());
    }

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<(), ReadError> {
        reader.u64().await.map(drop)
    }
}

pub(crate) struct AddPermRoot<'a> {
    pub(crate) path: &'a StorePath,
    pub(crate) link: &'a Path,
}

impl Request for AddPermRoot<'_> {
    type Reply = ();
    const OPERATION: Operation = Operation::AddPermRoot;

    fn encode(&self, out: &mut Encoder) {
        out.text(self.path.as_str());
        out.bytes(self.link.as_os_str().as_bytes());
    }

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<(), ReadError> {
        // The link, as it was sent.
        reader.bytes().await.map(drop)
    }
}

pub(crate) struct FindRoots;

impl Request for FindRoots {
    type Reply = Vec<Root>;
    const OPERATION: Operation = Operation::FindRoots;

    /// The daemon looks through the files that every process has open.
    fn patience(&self) -> Patience {
        Patience::Endless
    }

    fn encode(&self, _: &mut Encoder) {}

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<Vec<Root>, ReadError> {
        let mut roots = Vec::new();
        for _ in 0..reader.u64().await? {
            roots.push(Root {
                link: reader.text().await?,
                target: reader.store_path().await?,
            });
        }
        Ok(roots)
    }
}

pub(crate) struct CollectGarbage<'a>(pub(crate) &'a Garbage);

impl Request for CollectGarbage<'_> {
    type Reply = Collected;
    const OPERATION: Operation = Operation::CollectGarbage;

    fn patience(&self) -> Patience {
        Patience::Endless
    }

    fn encode(&self, out: &mut Encoder) {
        let (action, at_most) = match self.0 {
            Garbage::ListAlive => (0, u64::MAX),
            Garbage::ListDead => (1, u64::MAX),
            Garbage::DeleteDead { at_most } => (2, *at_most),
            Garbage::Delete(_) => (3, u64::MAX),
        };
        out.u64(action);
        match self.0 {
            Garbage::Delete(paths) => out.texts(paths.iter()),
            _ => out.u64(0),
        }
        // Never ignore liveness: the daemon refuses it to everyone.
        out.flag(false);
        out.u64(at_most);
        for _obsolete in 0..3 {
            out.u64(0);
        }
    }

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<Collected, ReadError> {
        let collected = Collected {
            paths: reader.store_paths().await?,
            bytes_freed: reader.u64().await?,
        };
        let _obsolete = reader.u64().await?;
        Ok(collected)
    }
}

pub(crate) struct VerifyStore(pub(crate) Verification);

impl Request for VerifyStore {
    type Reply = bool;
    const OPERATION: Operation = Operation::VerifyStore;

    fn patience(&self) -> Patience {
        Patience::Endless
    }

    fn encode(&self, out: &mut Encoder) {
        out.flag(self.0 != Verification::Existence);
        out.flag(self.0 == Verification::Repair);
    }

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<bool, ReadError> {
        reader.flag().await
    }
}

pub(crate) struct OptimiseStore;

impl Request for OptimiseStore {
    type Reply = ();
    const OPERATION: Operation = Operation::OptimiseStore;

    fn patience(&self) -> Patience {
        Patience::Endless
    }

    fn encode(&self, _: &mut Encoder) {}

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<(), ReadError> {
        reader.u64().await.map(drop)
    }
}
