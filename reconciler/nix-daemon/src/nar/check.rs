//! Telling a well-formed archive from other bytes while they pass by. Keeps none of them.
//!
//! A daemon takes the lengths in an archive at their word: of bytes that are none it runs out of memory and dies,
//! and the connection with it. So what is sent is looked at first.

use super::{DEPTH_LIMIT, WORD_LIMIT, is_entry_name};
use crate::error::Violation;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// This word, and what it stands before.
    Word(&'static str, &'static Wanted),
    /// `regular`, `symlink` or `directory`.
    Kind,
    /// `executable`, `contents`, or the end of a file.
    File,
    /// `contents`, or the end of a file that is executable.
    Contents,
    /// The bytes of a file.
    Data,
    /// The target of a link.
    Target,
    /// `entry`, or the end of a directory.
    Entry,
    /// The name of an entry.
    Name,
    /// The end of a node.
    Close,
    /// Nothing.
    Nothing,
}

const NODE: Wanted = Wanted::Word("(", &Wanted::Word("type", &Wanted::Kind));
const ARCHIVE: Wanted = Wanted::Word("nix-archive-1", &NODE);
const EXECUTABLE: Wanted = Wanted::Word("", &Wanted::Contents);
const TARGET: Wanted = Wanted::Word("target", &Wanted::Target);
const NAMED: Wanted = Wanted::Word("(", &Wanted::Word("name", &Wanted::Name));
const CHILD: Wanted = Wanted::Word("node", &NODE);
const ENTRY_END: Wanted = Wanted::Word(")", &Wanted::Entry);

/// An archive that passes by in pieces.
#[derive(Debug)]
pub(crate) struct Check {
    wanted: Wanted,
    /// For each directory that is open, the root first, its last entry.
    last: Vec<Vec<u8>>,
    /// The length of the word that is coming, once it is known.
    length: Option<u64>,
    /// What came so far of that length, or of the word with its padding.
    word: Vec<u8>,
    /// How many bytes of a file are still to come, and how many of its padding.
    contents: u64,
    padding: u64,
}

impl Check {
    pub(crate) fn new() -> Check {
        Check {
            wanted: ARCHIVE,
            last: Vec::new(),
            length: None,
            word: Vec::new(),
            contents: 0,
            padding: 0,
        }
    }

    /// Looks at the next bytes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        while !bytes.is_empty() {
            if self.contents > 0 {
                let (contents, rest) = split(bytes, self.contents);
                self.contents -= contents.len() as u64;
                bytes = rest;
            } else if self.padding > 0 {
                let (padding, rest) = split(bytes, self.padding);
                self.padding -= padding.len() as u64;
                zeros(padding)?;
                bytes = rest;
            } else if self.wanted == Wanted::Nothing {
                return Err(Violation::ArchiveEnd);
            } else {
                // No word is longer than its limit.
                let whole = self.length.map_or(8, |length| length.next_multiple_of(8));
                let (some, rest) = split(bytes, whole - self.word.len() as u64);
                self.word.extend_from_slice(some);
                bytes = rest;
                if self.word.len() as u64 == whole {
                    self.complete()?;
                }
            }
        }
        Ok(())
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) -> Result<(), Violation> {
        if self.wanted == Wanted::Nothing {
            Ok(())
        } else {
            Err(Violation::ArchiveEnd)
        }
    }

    /// A length is there, or a word and its padding.
    fn complete(&mut self) -> Result<(), Violation> {
        let bytes = std::mem::take(&mut self.word);
        if let Some(length) = self.length.take() {
            let (word, padding) = split(&bytes, length);
            zeros(padding)?;
            return self.word(word);
        }
        let length = bytes.try_into().map_or(0, u64::from_le_bytes);
        if self.wanted == Wanted::Data {
            self.contents = length;
            self.padding = length.wrapping_neg() % 8;
            self.wanted = Wanted::Close;
        } else if length == 0 {
            return self.word(&[]);
        } else if length > WORD_LIMIT {
            return Err(Violation::TooLong {
                length,
                limit: WORD_LIMIT,
            });
        } else {
            self.length = Some(length);
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Violation> {
        self.wanted = match (self.wanted, word) {
            (Wanted::Word(expected, next), word) if word == expected.as_bytes() => *next,
            (Wanted::Word(expected, _), _) => return Err(Violation::Archive { expected }),
            (Wanted::Kind, b"regular") => Wanted::File,
            (Wanted::Kind, b"symlink") => TARGET,
            (Wanted::Kind, b"directory") => {
                if self.last.len() >= DEPTH_LIMIT {
                    return Err(Violation::ArchiveDepth { limit: DEPTH_LIMIT });
                }
                self.last.push(Vec::new());
                Wanted::Entry
            }
            (Wanted::Kind, _) => return Err(Violation::Archive { expected: "regular" }),
            (Wanted::File, b"executable") => EXECUTABLE,
            (Wanted::File | Wanted::Contents, b"contents") => Wanted::Data,
            (Wanted::Target, target) if !target.is_empty() && !target.contains(&0) => Wanted::Close,
            (Wanted::Target, _) => return Err(Violation::ArchiveName),
            (Wanted::Entry, b"entry") => NAMED,
            (Wanted::Entry, b")") => {
                self.last.pop();
                self.after_node()
            }
            (Wanted::Entry, _) => return Err(Violation::Archive { expected: "entry" }),
            (Wanted::Name, name) => {
                let last = self.last.last_mut().ok_or(Violation::ArchiveName)?;
                if !is_entry_name(name) || last.as_slice() >= name {
                    return Err(Violation::ArchiveName);
                }
                *last = name.to_vec();
                CHILD
            }
            (Wanted::File | Wanted::Contents | Wanted::Close, b")") => self.after_node(),
            (_, _) => return Err(Violation::Archive { expected: ")" }),
        };
        Ok(())
    }

    fn after_node(&self) -> Wanted {
        if self.last.is_empty() {
            Wanted::Nothing
        } else {
            ENTRY_END
        }
    }
}

/// The first `count` bytes, or as many as there are, and the others.
fn split(bytes: &[u8], count: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(count).unwrap_or(usize::MAX).min(bytes.len()))
}

fn zeros(padding: &[u8]) -> Result<(), Violation> {
    if padding.iter().all(|byte| *byte == 0) {
        Ok(())
    } else {
        Err(Violation::Padding)
    }
}
