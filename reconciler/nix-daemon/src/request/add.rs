//! Requests that carry an archive: into the store, and out of it.

use std::collections::BTreeSet;

use super::paths::path_info;
use super::{Patience, Request};
use crate::handshake::ProtocolVersion;
use crate::operation::Operation;
use crate::path_info::{AddMethod, PathInfo, SignatureCheck};
use crate::read::{ReadError, Reader};
use crate::store_path::StorePath;
use crate::write::Encoder;

/// Adds an object under the name its own hash makes; its bytes follow the request in frames.
pub(crate) struct AddToStore<'a> {
    pub(crate) name: &'a str,
    pub(crate) method: AddMethod,
    pub(crate) references: &'a BTreeSet<StorePath>,
}

impl Request for AddToStore<'_> {
    type Reply = PathInfo;
    const OPERATION: Operation = Operation::AddToStore;

    fn patience(&self) -> Patience {
        Patience::Long
    }

    fn encode(&self, out: &mut Encoder) {
        out.text(self.name);
        out.text(self.method.code());
        out.texts(self.references.iter());
        // No repair.
        out.flag(false);
    }

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<PathInfo, ReadError> {
        let path = reader.store_path().await?;
        path_info(reader, path).await
    }
}

/// Adds a path that another store described; the archive follows the request in frames.
pub(crate) struct AddToStoreNar<'a> {
    pub(crate) info: &'a PathInfo,
    pub(crate) signatures: SignatureCheck,
}

impl Request for AddToStoreNar<'_> {
    type Reply = ();
    const OPERATION: Operation = Operation::AddToStoreNar;

    fn patience(&self) -> Patience {
        Patience::Long
    }

    fn encode(&self, out: &mut Encoder) {
        let info = self.info;
        out.text(info.path.as_str());
        out.text(info.deriver.as_ref().map_or("", StorePath::as_str));
        out.text(info.nar_hash.to_base16());
        out.texts(info.references.iter());
        out.u64(info.registered_at);
        out.u64(info.nar_size);
        out.flag(info.ultimate);
        out.texts(info.signatures.iter());
        out.text(info.content_address.as_deref().unwrap_or_default());
        // No repair.
        out.flag(false);
        out.flag(self.signatures == SignatureCheck::Waived);
    }

    async fn decode(&self, _: &mut Reader, _: ProtocolVersion) -> Result<(), ReadError> {
        Ok(())
    }
}

/// Asks for the archive of a path. The archive itself follows the messages; the caller reads it.
pub(crate) struct NarFromPath<'a>(pub(crate) &'a StorePath);

impl Request for NarFromPath<'_> {
    type Reply = ();
    const OPERATION: Operation = Operation::NarFromPath;

    fn encode(&self, out: &mut Encoder) {
        out.text(self.0.as_str());
    }

    async fn decode(&self, _: &mut Reader, _: ProtocolVersion) -> Result<(), ReadError> {
        Ok(())
    }
}
