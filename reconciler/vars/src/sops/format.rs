//! Owns the stores of sops and how a file's is told. It must never look into a file.

use std::fmt;
use std::str::FromStr;

/// A store of sops: the syntax that a file has, sealed and opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// One JSON object.
    Json,
    /// YAML, one document or several.
    Yaml,
    /// Lines of `KEY=value`.
    Dotenv,
    /// Sections of `key = value`.
    Ini,
    /// Any bytes, sealed as the `data` of a JSON object.
    Binary,
}

/// A name that is none of sops' stores.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of json, yaml, dotenv, ini, binary")]
pub struct UnknownFormat(pub String);

impl Format {
    /// Every store.
    pub const ALL: [Self; 5] = [Self::Json, Self::Yaml, Self::Dotenv, Self::Ini, Self::Binary];

    /// The store that sops takes for a path, by its suffix (cmd/sops/formats/formats.go).
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| path.ends_with(suffix));
        if ends(&[".yaml", ".yml"]) {
            Self::Yaml
        } else if ends(&[".json"]) {
            Self::Json
        } else if ends(&[".env"]) {
            Self::Dotenv
        } else if ends(&[".ini"]) {
            Self::Ini
        } else {
            Self::Binary
        }
    }

    /// The name of sops' `--input-type` and of sops-nix' `format`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Dotenv => "dotenv",
            Self::Ini => "ini",
            Self::Binary => "binary",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let mut all = Self::ALL.into_iter();
        all.find(|format| format.name() == name)
            .ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn a_path_tells_its_store_as_it_does_to_sops() {
        for (path, expected) in [
            ("secrets.yaml", Format::Yaml),
            ("a/b.yml", Format::Yaml),
            ("b.json", Format::Json),
            ("production.env", Format::Dotenv),
            (".env", Format::Dotenv),
            ("a.ini", Format::Ini),
            ("vars/shared/key/secret", Format::Binary),
            ("a.json.txt", Format::Binary),
            ("A.JSON", Format::Binary),
            ("", Format::Binary),
        ] {
            assert_eq!(Format::of_path(path), expected, "{path}");
        }
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
        }
        assert!("toml".parse::<Format>().is_err());
    }
}
