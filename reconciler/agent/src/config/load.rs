//! Finding, reading and merging the configuration files.

use super::settings::SYSTEM_KNOWN_HOSTS;
use super::{Fragment, Settings, SettingsError};
use crate::host::Person;
use camino::{Utf8Path, Utf8PathBuf};
use reconciler_policies::{DocumentError, document};
use std::io;

/// Where the configuration is unless told otherwise.
pub const DEFAULT_FILE: &str = "/etc/reconciler/config.toml";

/// A configuration that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there.
    #[error("there is no configuration at {file}")]
    Missing {
        /// Where it was looked for.
        file: Utf8PathBuf,
    },
    /// The file or its folder of fragments could not be read.
    #[error("cannot read {file}")]
    Read {
        /// The file.
        file: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML, has a key that nothing reads, or a value of the wrong type.
    #[error("{file}: {source}")]
    Document {
        /// The file.
        file: Utf8PathBuf,
        /// What is wrong, and in which line.
        source: DocumentError,
    },
}

/// A configuration that the agent could not start with.
#[derive(Debug, thiserror::Error)]
pub enum UnusableConfig {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ConfigError),
    /// It can be read, and makes no sense.
    #[error("{file}: {source}")]
    Settings {
        /// The file.
        file: Utf8PathBuf,
        /// What is wrong.
        source: SettingsError,
    },
}

/// Reads `file` and what lies beside it into settings; `host_name` is the machine's name unless one is set.
pub fn read(file: &Utf8Path, host_name: &str) -> Result<Settings, UnusableConfig> {
    Settings::resolve(with_known_hosts(load(file)?), host_name).map_err(|source| UnusableConfig::Settings {
        file: file.to_owned(),
        source,
    })
}

/// Where nothing is said of host keys, those count that the host knows, and those of the user that this runs as.
pub fn with_known_hosts(mut fragment: Fragment) -> Fragment {
    if let Some(fleet) = &mut fragment.fleet
        && fleet.known_hosts.is_none()
        && let Some(person) = Person::own(Utf8Path::new("/"))
    {
        let own = person.home.join(".ssh/known_hosts").into_string();
        fleet.known_hosts = Some(vec![SYSTEM_KNOWN_HOSTS.to_owned(), own]);
    }
    fragment
}

/// Reads `file`, then `config.d/*.toml` beside it in the order of their names.
pub fn load(file: &Utf8Path) -> Result<Fragment, ConfigError> {
    let mut merged = match std::fs::read_to_string(file) {
        Ok(text) => parse(file, &text)?,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            return Err(ConfigError::Missing {
                file: file.to_owned(),
            });
        }
        Err(source) => {
            return Err(ConfigError::Read {
                file: file.to_owned(),
                source,
            });
        }
    };
    let folder = file.with_file_name("config.d");
    let mut fragments = Vec::new();
    match folder.read_dir_utf8() {
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(|source| ConfigError::Read {
                    file: folder.clone(),
                    source,
                })?;
                if entry.path().extension() == Some("toml") {
                    fragments.push(entry.path().to_owned());
                }
            }
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(ConfigError::Read { file: folder, source }),
    }
    fragments.sort();
    for fragment in fragments {
        let text = std::fs::read_to_string(&fragment).map_err(|source| ConfigError::Read {
            file: fragment.clone(),
            source,
        })?;
        merged = merged.overlaid(parse(&fragment, &text)?);
    }
    Ok(merged)
}

/// Parses one file; `file` is only for messages.
pub fn parse(file: &Utf8Path, text: &str) -> Result<Fragment, ConfigError> {
    document::read(text).map_err(|source| ConfigError::Document {
        file: file.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> ConfigError {
        parse(Utf8Path::new("config.toml"), text).unwrap_err()
    }

    #[test]
    fn a_mistake_names_file_line_and_key() {
        let table = [
            (
                "machine = \"a\"\n[fleet]\nurl = \"x\"\nbrnach = \"main\"\n",
                "config.toml: line 4: unknown key `fleet.brnach`; did you mean `branch`?",
            ),
            (
                "[flet]\nurl = \"x\"\n",
                "config.toml: line 1: unknown key `flet`; did you mean `fleet`?",
            ),
            (
                "\n[fleet]\nbranch = 3\n",
                "config.toml: line 3: cannot read `fleet.branch`",
            ),
            ("machine = \n", "config.toml: line 1: this is not TOML"),
        ];
        for (text, message) in table {
            assert_eq!(error(text).to_string(), message);
        }
    }

    #[test]
    fn later_fragments_win_key_by_key() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let file = folder.join("config.toml");
        let write = |path: &Utf8Path, text: &str| {
            crate::durable::replace(path, text.as_bytes(), 0o644, crate::durable::Lasting::Process).unwrap();
        };
        write(
            &file,
            "machine = \"a\"\n[fleet]\nurl = \"file:///one\"\nbranch = \"main\"\n",
        );
        std::fs::create_dir(folder.join("config.d")).unwrap();
        write(&folder.join("config.d/20-b.toml"), "[fleet]\nbranch = \"last\"\n");
        write(
            &folder.join("config.d/10-a.toml"),
            "[fleet]\nbranch = \"first\"\nurl = [\"file:///two\"]\n",
        );
        write(&folder.join("config.d/ignored.bak"), "nonsense");
        let merged = load(&file).unwrap();
        let expected = "machine = \"a\"\n[fleet]\nurl = [\"file:///two\"]\nbranch = \"last\"\n";
        let expected = parse(&file, expected).unwrap();
        assert_eq!(merged.machine, expected.machine);
        assert_eq!(merged.fleet, expected.fleet);
    }

    #[test]
    fn every_documented_key_parses_and_every_parsed_key_is_documented() {
        // A key that the parser knows is listed in the message about one that it does not know.
        for (table, header) in [
            ("", ""),
            ("fleet.", "[fleet]"),
            ("trust.", "[trust]"),
            ("identity.", "[identity]"),
            ("paths.", "[paths]"),
            ("nix.", "[nix]"),
        ] {
            let message = toml::from_str::<Fragment>(&format!("{header}\nzzz = 1\n"))
                .unwrap_err()
                .message()
                .to_owned();
            let mut parsed: Vec<String> = message
                .split('`')
                .skip(3)
                .step_by(2)
                .map(|key| format!("{table}{key}"))
                .collect();
            let mut documented: Vec<String> = super::super::KEYS
                .iter()
                .filter(|key| match table {
                    "" => !key.path.contains('.'),
                    table => key.path.starts_with(table),
                })
                .map(|key| key.path.to_owned())
                .collect();
            if table.is_empty() {
                documented.extend(["fleet", "trust", "identity", "paths", "nix"].map(str::to_owned));
            }
            parsed.sort();
            documented.sort();
            assert_eq!(parsed, documented);
        }
    }
}
