//! Owns the opening of an age file, binary or armored. It must never be given a sops file, nor ask for a passphrase.

use std::io::{self, BufRead, Read};

use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor, Identity};
use zeroize::Zeroizing;

use super::error::SopsError;
use crate::identity::{Attempt, Identities, Reach};

const MAGIC: &[u8] = b"age-encryption.org/v1\n";
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
/// Headers are longer only where somebody wants to keep a machine busy; 1024 post-quantum recipients need less.
/// In bytes.
const LARGEST_HEADER: usize = 4 << 20;

/// Whether the bytes begin as an age file does (age-encryption.org/v1).
pub(crate) fn is_age(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC) || bytes.trim_ascii_start().starts_with(ARMOR)
}

/// How much of an age file is opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Recipients.
    pub(super) stanzas: usize,
    /// Bytes of plaintext; what is longer is cut off there.
    pub(super) plaintext: usize,
}

/// The plaintext of an age file.
pub(super) fn open(bytes: &[u8], identities: &Identities) -> Result<Zeroizing<Vec<u8>>, SopsError> {
    // The plaintext is shorter than the file.
    let bounds = Bounds {
        stanzas: super::datakey::MOST_RECIPIENTS,
        plaintext: bytes.len(),
    };
    open_within(bytes, identities, Reach::Plugins, bounds)
}

/// The plaintext of an age file within bounds.
pub(super) fn open_within(
    bytes: &[u8],
    identities: &Identities,
    reach: Reach,
    bounds: Bounds,
) -> Result<Zeroizing<Vec<u8>>, SopsError> {
    let mut dearmored = Vec::new();
    let file = if bytes.starts_with(MAGIC) {
        bytes
    } else {
        let armored = ArmoredReader::new(bytes.trim_ascii()).read_to_end(&mut dearmored);
        armored.map_err(|_| SopsError::AgeFile)?;
        dearmored.as_slice()
    };
    let header = header(file).ok_or(SopsError::AgeFile)?;
    if header.stanzas > bounds.stanzas {
        return Err(SopsError::TooManyRecipients {
            count: header.stanzas,
            limit: bounds.stanzas,
        });
    }
    let file = Whole {
        file,
        header: header.length,
    };
    let decryptor = Decryptor::new_buffered(file).map_err(|_| SopsError::AgeFile)?;
    if decryptor.is_scrypt() {
        return Err(SopsError::Passphrase);
    }
    let attempt = Attempt::new(identities, reach);
    let reader = match decryptor.decrypt(std::iter::once(&attempt as &dyn Identity)) {
        Ok(reader) => reader,
        Err(DecryptError::NoMatchingKeys) => {
            let missed = attempt.missed();
            return Err(match missed.plugin {
                _ if missed.damaged => SopsError::AgeFile,
                Some((name, problem)) => SopsError::Plugin { name, problem },
                None => SopsError::NotEncryptedToThisMachine {
                    recipients: missed.sealed_for,
                },
            });
        }
        Err(_) => return Err(SopsError::AgeFile),
    };
    // As large as it may become, so that it never grows and leaves no copy behind.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(bounds.plaintext));
    reader
        .take(u64::try_from(bounds.plaintext).unwrap_or(u64::MAX))
        .read_to_end(&mut plaintext)
        .map_err(|_| SopsError::AgeFile)?;
    Ok(plaintext)
}

struct Header {
    stanzas: usize,
    /// Up to the newline behind its code, in bytes.
    length: usize,
}

/// Measures a header before anything is made of it; `None` if it has no end.
fn header(file: &[u8]) -> Option<Header> {
    let mut stanzas: usize = 0;
    let mut length = 0;
    let beginning = file.get(..LARGEST_HEADER).unwrap_or(file);
    for line in beginning.split_inclusive(|byte| *byte == b'\n') {
        length += line.len();
        if line.starts_with(b"-> ") {
            stanzas = stanzas.saturating_add(1);
        } else if line.starts_with(b"---") {
            return Some(Header { stanzas, length });
        }
    }
    None
}

/// A file whose header is handed out in one piece: `Decryptor` reads line by line, and parses all that it has anew
/// after each, which takes minutes for a header of a thousand recipients.
struct Whole<'a> {
    file: &'a [u8],
    header: usize,
}

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl BufRead for Whole<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.file)
    }

    fn consume(&mut self, amount: usize) {
        self.file.consume(amount);
    }

    fn read_until(&mut self, delimiter: u8, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self.file.split_at_checked(std::mem::take(&mut self.header)) {
            Some((header, rest)) if !header.is_empty() => {
                buffer.extend_from_slice(header);
                self.file = rest;
                Ok(header.len())
            }
            _ => self.file.read_until(delimiter, buffer),
        }
    }
}
