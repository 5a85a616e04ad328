//! Requests about builds: what is missing, the build itself, and the settings it runs under.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{Patience, Request};
use crate::build::{BuildMode, BuildResult, BuildStatus};
use crate::derived_path::DerivedPath;
use crate::error::Violation;
use crate::event::Level;
use crate::handshake::ProtocolVersion;
use crate::missing::Missing;
use crate::operation::Operation;
use crate::read::{ReadError, Reader};
use crate::settings::ClientSettings;
use crate::store_path::StorePath;
use crate::write::Encoder;

/// Results tell the processor time since this minor version.
const CPU_TIME_SINCE: u16 = 37;
/// Nix's number for "show builders' output", which is its number for the level of errors.
const BUILD_OUTPUT_SHOWN: u64 = 0;
/// Nix's number for "hide builders' output", which is its number for the level of everything.
const BUILD_OUTPUT_HIDDEN: u64 = 7;

pub(crate) struct QueryMissing<'a>(pub(crate) &'a [DerivedPath]);

impl Request for QueryMissing<'_> {
    type Reply = Missing;
    const OPERATION: Operation = Operation::QueryMissing;

    /// Substituters are asked about every path.
    fn patience(&self) -> Patience {
        Patience::Long
    }

    fn encode(&self, out: &mut Encoder) {
        out.texts(self.0.iter());
    }

    async fn decode(&self, reader: &mut Reader, _: ProtocolVersion) -> Result<Missing, ReadError> {
        Ok(Missing {
            will_build: reader.store_paths().await?,
            will_substitute: reader.store_paths().await?,
            unknown: reader.store_paths().await?,
            download_size: reader.u64().await?,
            nar_size: reader.u64().await?,
        })
    }
}

pub(crate) struct BuildPathsWithResults<'a> {
    pub(crate) targets: &'a [DerivedPath],
    pub(crate) mode: BuildMode,
}

impl Request for BuildPathsWithResults<'_> {
    type Reply = Vec<(DerivedPath, BuildResult)>;
    const OPERATION: Operation = Operation::BuildPathsWithResults;

    fn patience(&self) -> Patience {
        Patience::Endless
    }

    fn encode(&self, out: &mut Encoder) {
        out.texts(self.targets.iter());
        out.u64(self.mode.code());
    }

    async fn decode(&self, reader: &mut Reader, version: ProtocolVersion) -> Result<Self::Reply, ReadError> {
        let mut results = Vec::new();
        for _ in 0..reader.u64().await? {
            let target = DerivedPath::parse(&reader.string().await?)
                .map_err(|error| reader.violation(Violation::DerivedPath(error)))?;
            let result = build_result(reader, version, target.path().store_dir()).await?;
            results.push((target, result));
        }
        // Newer daemons leave out what they did not get to; older ones name it.
        if results.len() < self.targets.len() {
            for target in self.targets {
                if !results.iter().any(|(named, _)| named == target) {
                    results.push((target.clone(), BuildResult::not_attempted()));
                }
            }
        }
        Ok(results)
    }
}

async fn build_result(
    reader: &mut Reader,
    version: ProtocolVersion,
    store_dir: &str,
) -> Result<BuildResult, ReadError> {
    let mut result = BuildResult {
        status: BuildStatus::from(reader.u64().await?),
        message: reader.plain().await?,
        times_built: reader.u64().await?,
        non_deterministic: reader.flag().await?,
        started_at: reader.u64().await?,
        stopped_at: reader.u64().await?,
        cpu_user: None,
        cpu_system: None,
        outputs: BTreeMap::new(),
    };
    if version.minor >= CPU_TIME_SINCE {
        result.cpu_user = optional_microseconds(reader).await?;
        result.cpu_system = optional_microseconds(reader).await?;
    }
    for _ in 0..reader.u64().await? {
        let id = reader.string().await?;
        let json = reader.bytes().await?;
        // `sha256:<hash of the derivation>!<output>`
        let output = id
            .rsplit_once('!')
            .map_or(id.as_str(), |(_, output)| output)
            .to_owned();
        let path = out_path(&json, store_dir).ok_or_else(|| {
            reader.violation(Violation::Realisation {
                output: output.clone(),
            })
        })?;
        result.outputs.insert(output, path);
    }
    Ok(result)
}

/// The one field of a realisation that means the same for every daemon: `outPath`, a base name.
fn out_path(json: &[u8], store_dir: &str) -> Option<StorePath> {
    let realisation: Value = serde_json::from_slice(json).ok()?;
    let path = realisation.get("outPath")?.as_str()?;
    if path.starts_with('/') {
        StorePath::parse(store_dir, path).ok()
    } else {
        StorePath::from_base_name(store_dir, path).ok()
    }
}

async fn optional_microseconds(reader: &mut Reader) -> Result<Option<Duration>, ReadError> {
    match reader.u64().await? {
        0 => Ok(None),
        1 => Ok(Some(Duration::from_micros(reader.u64().await?))),
        tag => Err(reader.violation(Violation::Option { tag })),
    }
}

pub(crate) struct SetOptions<'a>(pub(crate) &'a ClientSettings);

impl Request for SetOptions<'_> {
    type Reply = ();
    const OPERATION: Operation = Operation::SetOptions;

    fn encode(&self, out: &mut Encoder) {
        let settings = self.0;
        out.flag(settings.keep_failed);
        out.flag(settings.keep_going);
        out.flag(settings.fallback);
        out.u64(settings.verbosity.code().min(Level::Vomit.code()));
        out.u64(settings.max_jobs);
        out.u64(settings.max_silent_time.as_secs());
        // Obsolete: use the build hook.
        out.flag(true);
        out.u64(if settings.build_output {
            BUILD_OUTPUT_SHOWN
        } else {
            BUILD_OUTPUT_HIDDEN
        });
        // Obsolete: log type and printing of build traces.
        out.u64(0);
        out.u64(0);
        out.u64(settings.cores);
        out.flag(settings.substitute);
        out.u64(settings.overrides.len() as u64);
        for (name, value) in &settings.overrides {
            out.text(name);
            out.text(value);
        }
    }

    async fn decode(&self, _: &mut Reader, _: ProtocolVersion) -> Result<(), ReadError> {
        Ok(())
    }
}
