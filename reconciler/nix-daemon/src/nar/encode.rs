//! Writing an archive. Owns the order and the well-formedness of what is written; never touches a file system.

use std::io::{self, Read, Write};

use super::is_entry_name;

/// Whether a file may be executed: the one permission an archive keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileMode {
    /// It may not.
    Regular,
    /// It may.
    Executable,
}

/// Why an archive could not be written. What was written of it is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The archive's writer failed.
    #[error("failed to write the archive")]
    Write(#[source] io::Error),
    /// A file's reader failed.
    #[error("failed to read the contents of `{name}` for the archive")]
    Read {
        /// The file's name in its directory; empty for the root.
        name: String,
        /// What the reader said.
        #[source]
        source: io::Error,
    },
    /// A file has fewer or more bytes than announced.
    #[error("`{name}` does not have the {size} bytes announced for the archive")]
    Size {
        /// The file's name in its directory; empty for the root.
        name: String,
        /// The bytes announced.
        size: u64,
    },
    /// A name is empty, `.`, `..`, or has a slash or a zero byte.
    #[error("`{name}` is no name for an archive's entry")]
    Name {
        /// The name.
        name: String,
    },
    /// A name does not come after the one before it, byte by byte.
    #[error("archive entry `{name}` does not sort after `{previous}`")]
    Order {
        /// The name.
        name: String,
        /// The name before it.
        previous: String,
    },
    /// A link's target is empty or has a zero byte.
    #[error("link `{name}` has no valid target for the archive")]
    Target {
        /// The link's name in its directory; empty for the root.
        name: String,
    },
    /// The root directory was left more often than anything was entered.
    #[error("left the archive's root directory")]
    LeftRoot,
    /// The archive was finished within a directory.
    #[error("finished the archive {depth} directories below its root")]
    Unfinished {
        /// How many directories were not left.
        depth: usize,
    },
}

/// Writes a directory tree as an archive, in one pass, each directory's entries in bytewise order of name.
///
/// ```
/// use nix_daemon_client::nar::{Encoder, FileMode};
///
/// let mut nar = Encoder::new(Vec::new())?;
/// nar.enter(b"bin")?;
/// nar.file(b"hello", FileMode::Executable, 10, &b"#!/bin/sh\n"[..])?;
/// nar.leave()?;
/// nar.symlink(b"sbin", b"bin")?;
/// let bytes = nar.finish()?;
/// assert_eq!(bytes.len() % 8, 0);
/// # Ok::<(), nix_daemon_client::nar::Error>(())
/// ```
#[derive(Debug)]
pub struct Encoder<W: Write> {
    out: Words<W>,
    /// For each directory entered, the root first, its last entry.
    last: Vec<Option<Vec<u8>>>,
}

impl<W: Write> Encoder<W> {
    /// Begins an archive whose root is a directory.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn new(out: W) -> Result<Encoder<W>, Error> {
        let mut out = Words { out };
        out.words(&["nix-archive-1", "(", "type", "directory"])?;
        Ok(Encoder {
            out,
            last: vec![None],
        })
    }

    /// Enters a new directory in the present one.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Order`], [`Error::Write`].
    pub fn enter(&mut self, name: &[u8]) -> Result<(), Error> {
        self.entry(name)?;
        self.last.push(None);
        self.out.words(&["(", "type", "directory"])
    }

    /// Leaves the present directory for the one it is in.
    ///
    /// # Errors
    /// [`Error::LeftRoot`], [`Error::Write`].
    pub fn leave(&mut self) -> Result<(), Error> {
        if self.last.len() <= 1 {
            return Err(Error::LeftRoot);
        }
        self.last.pop();
        self.out.words(&[")", ")"])
    }

    /// Writes a file of exactly `size` bytes.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Order`], [`Error::Size`], [`Error::Read`], [`Error::Write`].
    pub fn file(&mut self, name: &[u8], mode: FileMode, size: u64, contents: impl Read) -> Result<(), Error> {
        self.entry(name)?;
        self.out.file(name, mode, size, contents)?;
        self.out.words(&[")"])
    }

    /// Writes a symbolic link.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Order`], [`Error::Target`], [`Error::Write`].
    pub fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<(), Error> {
        self.entry(name)?;
        self.out.symlink(name, target)?;
        self.out.words(&[")"])
    }

    /// Ends the archive and hands the writer back, flushed.
    ///
    /// # Errors
    /// [`Error::Unfinished`], [`Error::Write`].
    pub fn finish(mut self) -> Result<W, Error> {
        let depth = self.last.len().saturating_sub(1);
        if depth > 0 {
            return Err(Error::Unfinished { depth });
        }
        self.out.words(&[")"])?;
        self.out.finish()
    }

    /// Checks a name against the one before it and writes the start of its entry.
    fn entry(&mut self, name: &[u8]) -> Result<(), Error> {
        if !is_entry_name(name) {
            return Err(Error::Name { name: shown(name) });
        }
        let last = self.last.last_mut().ok_or(Error::LeftRoot)?;
        if let Some(previous) = last.as_deref().filter(|previous| *previous >= name) {
            return Err(Error::Order {
                name: shown(name),
                previous: shown(previous),
            });
        }
        *last = Some(name.to_vec());
        self.out.words(&["entry", "(", "name"])?;
        self.out.word(name)?;
        self.out.words(&["node"])
    }
}

/// Writes an archive that is a single file of exactly `size` bytes.
///
/// # Errors
/// [`Error::Size`], [`Error::Read`], [`Error::Write`].
pub fn write_file<W: Write>(out: W, mode: FileMode, size: u64, contents: impl Read) -> Result<W, Error> {
    let mut out = Words { out };
    out.words(&["nix-archive-1"])?;
    out.file(b"", mode, size, contents)?;
    out.finish()
}

/// Writes an archive that is a single symbolic link.
///
/// # Errors
/// [`Error::Target`], [`Error::Write`].
pub fn write_symlink<W: Write>(out: W, target: &[u8]) -> Result<W, Error> {
    let mut out = Words { out };
    out.words(&["nix-archive-1"])?;
    out.symlink(b"", target)?;
    out.finish()
}

/// A name for a message.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Writes the words an archive is made of: a length, the bytes, zeros up to a multiple of eight.
#[derive(Debug)]
struct Words<W: Write> {
    out: W,
}

impl<W: Write> Words<W> {
    fn word(&mut self, word: &[u8]) -> Result<(), Error> {
        let length = word.len() as u64;
        self.out.write_all(&length.to_le_bytes()).map_err(Error::Write)?;
        self.out.write_all(word).map_err(Error::Write)?;
        self.pad(length)
    }

    fn words(&mut self, words: &[&str]) -> Result<(), Error> {
        words.iter().try_for_each(|word| self.word(word.as_bytes()))
    }

    fn pad(&mut self, length: u64) -> Result<(), Error> {
        let zeros = [0_u8; 8];
        let count = usize::try_from(length.wrapping_neg() % 8).unwrap_or_default();
        self.out
            .write_all(zeros.get(..count).unwrap_or_default())
            .map_err(Error::Write)
    }

    fn file(&mut self, name: &[u8], mode: FileMode, size: u64, mut contents: impl Read) -> Result<(), Error> {
        self.words(&["(", "type", "regular"])?;
        if mode == FileMode::Executable {
            self.words(&["executable", ""])?;
        }
        self.words(&["contents"])?;
        self.out.write_all(&size.to_le_bytes()).map_err(Error::Write)?;
        let mut buffer = [0_u8; 16 << 10];
        let mut left = size;
        // One read past the end tells whether the file is longer than announced.
        loop {
            let count = match contents.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(Error::Read {
                        name: shown(name),
                        source,
                    });
                }
            };
            if count == 0 {
                break;
            }
            left = left.checked_sub(count as u64).ok_or_else(|| Error::Size {
                name: shown(name),
                size,
            })?;
            self.out
                .write_all(buffer.get(..count).unwrap_or_default())
                .map_err(Error::Write)?;
        }
        if left > 0 {
            return Err(Error::Size {
                name: shown(name),
                size,
            });
        }
        self.pad(size)?;
        self.words(&[")"])
    }

    fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<(), Error> {
        if target.is_empty() || target.contains(&0) {
            return Err(Error::Target { name: shown(name) });
        }
        self.words(&["(", "type", "symlink", "target"])?;
        self.word(target)?;
        self.words(&[")"])
    }

    fn finish(mut self) -> Result<W, Error> {
        self.out.flush().map_err(Error::Write)?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoder, Error, FileMode, write_file, write_symlink};

    fn words(words: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for word in words {
            out.extend_from_slice(&(word.len() as u64).to_le_bytes());
            out.extend_from_slice(word.as_bytes());
            out.resize(out.len().next_multiple_of(8), 0);
        }
        out
    }

    #[test]
    fn a_tree() {
        let mut nar = Encoder::new(Vec::new()).unwrap();
        nar.file(b"a", FileMode::Regular, 5, &b"hello"[..]).unwrap();
        nar.enter(b"b").unwrap();
        nar.leave().unwrap();
        nar.file(b"c", FileMode::Executable, 0, &b""[..]).unwrap();
        nar.symlink(b"d", b"../x").unwrap();
        #[rustfmt::skip]
        let expected = words(&[
            "nix-archive-1", "(", "type", "directory",
            "entry", "(", "name", "a", "node", "(", "type", "regular", "contents", "hello", ")", ")",
            "entry", "(", "name", "b", "node", "(", "type", "directory", ")", ")",
            "entry", "(", "name", "c", "node", "(", "type", "regular", "executable", "", "contents", "", ")", ")",
            "entry", "(", "name", "d", "node", "(", "type", "symlink", "target", "../x", ")", ")",
            ")",
        ]);
        assert_eq!(nar.finish().unwrap(), expected);
    }

    #[test]
    fn a_single_object() {
        let file = write_file(Vec::new(), FileMode::Regular, 8, &b"12345678"[..]).unwrap();
        assert_eq!(
            file,
            words(&[
                "nix-archive-1",
                "(",
                "type",
                "regular",
                "contents",
                "12345678",
                ")"
            ])
        );
        let link = write_symlink(Vec::new(), b"x").unwrap();
        assert_eq!(
            link,
            words(&["nix-archive-1", "(", "type", "symlink", "target", "x", ")"])
        );
    }

    #[test]
    fn what_is_refused() {
        let mut nar = Encoder::new(Vec::new()).unwrap();
        for name in [&b""[..], b".", b"..", b"a/b", b"a\0b"] {
            assert!(matches!(nar.enter(name), Err(Error::Name { .. })), "{name:?}");
        }
        nar.symlink(b"b", b"x").unwrap();
        assert!(matches!(nar.enter(b"a"), Err(Error::Order { .. })));
        assert!(matches!(nar.symlink(b"b", b"x"), Err(Error::Order { .. })));
        // Bytewise: upper case before lower case, and a prefix before what it begins.
        assert!(matches!(nar.symlink(b"B", b"x"), Err(Error::Order { .. })));
        nar.symlink(b"b-", b"x").unwrap();
        assert!(matches!(nar.symlink(b"c", b""), Err(Error::Target { .. })));
        assert!(matches!(nar.leave(), Err(Error::LeftRoot)));
        nar.enter(b"d").unwrap();
        assert!(matches!(nar.finish(), Err(Error::Unfinished { depth: 1 })));
    }

    #[test]
    fn sizes_are_checked() {
        for (size, contents) in [(1, &b""[..]), (0, b"x"), (4, b"12345"), (6, b"12345")] {
            let written = write_file(Vec::new(), FileMode::Regular, size, contents);
            assert!(matches!(written, Err(Error::Size { .. })), "{size}");
        }
    }
}
