//! A revision that a person typed, found in the mirror, or fetched first.

use super::context::{Context, block_on};
use super::failure::CliError;
use crate::config::Settings;
use crate::source::Oid;

/// The commit that `name` means; it may be abbreviated as git allows.
pub(super) fn resolve(context: &Context, settings: &Settings, name: &str) -> Result<Oid, CliError> {
    let source = context.source(settings)?;
    let mirror = source.mirror().map_err(CliError::Mirror)?;
    if let Ok(oid) = mirror.resolve(name) {
        return Ok(oid);
    }
    // It may have been pushed just now.
    block_on(async {
        let advertised = source.poll().await.map_err(CliError::Poll)?;
        source
            .fetch(&advertised, &mut |_| {})
            .await
            .map_err(CliError::Fetch)
    })??;
    mirror.resolve(name).map_err(|source| CliError::Revision {
        name: name.to_owned(),
        source,
    })
}
