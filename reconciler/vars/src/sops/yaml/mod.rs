//! The YAML store: documents with their comments, scalars typed as go-yaml v3 types them, and text laid out as it
//! lays it out, so that sops reads the same and hashes the same.

mod comments;
mod expand;
mod layout;
mod load;
mod quoting;
mod scalar;
mod write;

pub(super) use load::parse;
pub(super) use write::write;
