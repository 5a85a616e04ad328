//! Requests that carry an archive: into the store, and out of it.

use super::paths::path_info;
use super::{Patience, Request};
use crate::handshake::ProtocolVersion;
use crate::operation::Operation;
use crate::path_info::PathInfo;
use crate::read::{ReadError, Reader};
use crate::store_path::StorePath;
use crate::write::Encoder;

/// Adds an archive under the name its own hash makes; the archive follows the request in frames.
pub(crate) struct AddToStore<'a> {
    pub(crate) name: &'a str,
}

impl Request for AddToStore<'_> {
    type Reply = PathInfo;
    const OPERATION: Operation = Operation::AddToStore;

    fn patience(&self) -> Patience {
        Patience::Endless
    }

    fn encode(&self, out: &mut Encoder) {
        out.text(self.name);
        // An archive ("recursive"), addressed by its SHA-256.
        out.text("fixed:r:sha256");
        // No references.
        out.u64(0);
        // No repair.
        out.flag(false);
    }

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<PathInfo, ReadError> {
        let path = reader.store_path().await?;
        path_info(reader, path).await
    }
}

/// Adds a path that another store described; the archive follows the request in frames.
pub(crate) struct AddToStoreNar<'a>(pub(crate) &'a PathInfo);

impl Request for AddToStoreNar<'_> {
    type Reply = ();
    const OPERATION: Operation = Operation::AddToStoreNar;

    fn patience(&self) -> Patience {
        Patience::Endless
    }

    fn encode(&self, out: &mut Encoder) {
        let info = self.0;
        out.text(info.path.as_str());
        out.text(info.deriver.as_ref().map_or("", StorePath::as_str));
        out.text(info.nar_hash.to_base16());
        out.texts(info.references.iter());
        out.u64(info.registered_at);
        out.u64(info.nar_size);
        out.flag(info.ultimate);
        out.texts(info.signatures.iter());
        out.text(info.content_address.as_deref().unwrap_or_default());
        // No repair, and signatures are checked.
        out.flag(false);
        out.flag(false);
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
