//! What a build may be asked for: a store path as it is, or outputs of a derivation. Pure text.

use std::collections::BTreeSet;
use std::fmt;

use crate::store_path::{StorePath, StorePathError, is_name};

/// Which outputs of a derivation are wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outputs {
    /// Every output: `*`.
    All,
    /// The named ones, such as `out` and `dev`.
    Names(BTreeSet<String>),
}

/// A target of a build.
///
/// Its text is the wire's: a plain path, `<drv>!*`, or `<drv>!<output>,<output>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DerivedPath {
    /// A path that must become valid by substitution, never by building.
    Opaque(StorePath),
    /// Outputs of a derivation that is in the store.
    Built {
        /// The derivation.
        drv: StorePath,
        /// The outputs wanted.
        outputs: Outputs,
    },
}

/// Why a text is not a target of a build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DerivedPathError {
    /// The path before `!`, or the whole, is not a store path.
    #[error("build target `{target}` names no store path")]
    Path {
        /// The text that was given.
        target: String,
        /// What is wrong with the path.
        #[source]
        source: StorePathError,
    },
    /// What follows `!` is not `*` or a list of output names.
    #[error("build target `{target}` names no outputs")]
    Outputs {
        /// The text that was given.
        target: String,
    },
}

impl DerivedPath {
    /// Reads the wire's text.
    ///
    /// # Errors
    /// When the path or the output names are malformed.
    pub fn parse(text: &str) -> Result<DerivedPath, DerivedPathError> {
        let path = |text: &str, path: &str| {
            StorePath::from_absolute(path).map_err(|source| DerivedPathError::Path {
                target: text.to_owned(),
                source,
            })
        };
        let Some((drv, outputs)) = text.split_once('!') else {
            return Ok(DerivedPath::Opaque(path(text, text)?));
        };
        let drv = path(text, drv)?;
        if outputs == "*" {
            return Ok(DerivedPath::Built {
                drv,
                outputs: Outputs::All,
            });
        }
        let names: BTreeSet<String> = outputs.split(',').map(str::to_owned).collect();
        if !names.iter().all(|name| is_name(name)) {
            return Err(DerivedPathError::Outputs {
                target: text.to_owned(),
            });
        }
        Ok(DerivedPath::Built {
            drv,
            outputs: Outputs::Names(names),
        })
    }

    /// The path itself, or the derivation's.
    #[must_use]
    pub fn path(&self) -> &StorePath {
        match self {
            DerivedPath::Opaque(path) | DerivedPath::Built { drv: path, .. } => path,
        }
    }
}

impl fmt::Display for DerivedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DerivedPath::Opaque(path) => fmt::Display::fmt(path, f),
            DerivedPath::Built {
                drv,
                outputs: Outputs::All,
            } => write!(f, "{drv}!*"),
            DerivedPath::Built {
                drv,
                outputs: Outputs::Names(names),
            } => {
                write!(f, "{drv}!")?;
                for (index, name) in names.iter().enumerate() {
                    if index > 0 {
                        f.write_str(",")?;
                    }
                    f.write_str(name)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DerivedPath, Outputs};

    const DRV: &str = "/nix/store/vvr0hzs0n3lmwj6h0yc1nn8wj1p3kd3w-hello.drv";

    #[test]
    fn texts_round_trip() {
        for text in [DRV.to_owned(), format!("{DRV}!*"), format!("{DRV}!dev,out")] {
            assert_eq!(DerivedPath::parse(&text).unwrap().to_string(), text);
        }
        let DerivedPath::Built { outputs, .. } = DerivedPath::parse(&format!("{DRV}!out,dev")).unwrap()
        else {
            panic!("not a built path");
        };
        assert_eq!(
            outputs,
            Outputs::Names(["dev".to_owned(), "out".to_owned()].into())
        );
    }

    #[test]
    fn malformed_targets() {
        for text in [
            "",
            "!",
            "hello",
            &format!("{DRV}!"),
            &format!("{DRV}!a,,b"),
            &format!("{DRV}!a!b"),
        ] {
            assert!(DerivedPath::parse(text).is_err(), "{text}");
        }
    }
}
