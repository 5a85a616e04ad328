//! Reading an archive off the socket up to its end, which only its structure tells. Keeps none of it.

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{DEPTH_LIMIT, WORD_LIMIT};
use crate::error::Violation;
use crate::read::{ReadError, Reader};
use crate::write::Encoder;

/// How much is collected before it is handed on.
const CHUNK: usize = 64 << 10;

/// Where the archive goes.
type Out<'a> = &'a mut (dyn AsyncWrite + Send + Unpin);

/// Copies one archive; returns its length in bytes.
pub(crate) async fn copy(reader: &mut Reader, out: Out<'_>) -> Result<u64, ReadError> {
    let mut copier = Copier {
        reader,
        out,
        pending: Encoder::default(),
        copied: 0,
    };
    copier.expect("nix-archive-1").await?;
    let mut depth = 0_usize;
    // Each turn reads a node's start; the end of a directory is found among its entries.
    loop {
        copier.expect("(").await?;
        copier.expect("type").await?;
        match copier.word().await?.as_slice() {
            b"regular" => copier.file().await?,
            b"symlink" => {
                copier.expect("target").await?;
                copier.word().await?;
                copier.expect(")").await?;
            }
            b"directory" => {
                depth += 1;
                if depth > DEPTH_LIMIT {
                    return Err(copier
                        .reader
                        .violation(Violation::ArchiveDepth { limit: DEPTH_LIMIT }));
                }
                if copier.entry().await? {
                    continue;
                }
                depth -= 1;
            }
            _ => return Err(copier.unexpected("regular")),
        }
        // A node ended. Close entries, and the directories that end with them, until another entry begins.
        loop {
            if depth == 0 {
                copier.flush().await?;
                return Ok(copier.copied);
            }
            copier.expect(")").await?;
            if copier.entry().await? {
                break;
            }
            depth -= 1;
        }
    }
}

struct Copier<'a> {
    reader: &'a mut Reader,
    out: Out<'a>,
    pending: Encoder,
    copied: u64,
}

impl Copier<'_> {
    fn unexpected(&self, expected: &'static str) -> ReadError {
        self.reader.violation(Violation::Archive { expected })
    }

    async fn word(&mut self) -> Result<Vec<u8>, ReadError> {
        self.reader.begin();
        let word = self.reader.bytes_within(WORD_LIMIT).await?;
        self.pending.bytes(&word);
        if self.pending.as_slice().len() >= CHUNK {
            self.flush().await?;
        }
        Ok(word)
    }

    async fn expect(&mut self, expected: &'static str) -> Result<(), ReadError> {
        if self.word().await? == expected.as_bytes() {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    /// Reads up to the node of the next entry; false at the end of the directory.
    async fn entry(&mut self) -> Result<bool, ReadError> {
        match self.word().await?.as_slice() {
            b"entry" => {
                self.expect("(").await?;
                self.expect("name").await?;
                self.word().await?;
                self.expect("node").await?;
                Ok(true)
            }
            b")" => Ok(false),
            _ => Err(self.unexpected("entry")),
        }
    }

    /// Reads a file after its type, including the end of its node.
    async fn file(&mut self) -> Result<(), ReadError> {
        let mut word = self.word().await?;
        if word == b"executable" {
            self.expect("").await?;
            word = self.word().await?;
        }
        if word == b"contents" {
            let length = self.reader.u64().await?;
            self.pending.u64(length);
            self.flush().await?;
            let padded = length.checked_next_multiple_of(8).ok_or_else(|| {
                self.reader.violation(Violation::TooLong {
                    length,
                    limit: u64::MAX - 7,
                })
            })?;
            let mut left = padded;
            while left > 0 {
                let bytes = self.reader.some(left).await?;
                left -= bytes.len() as u64;
                self.copied += bytes.len() as u64;
                self.out.write_all(&bytes).await.map_err(ReadError::Sink)?;
            }
            word = self.word().await?;
        }
        if word == b")" {
            Ok(())
        } else {
            Err(self.unexpected(")"))
        }
    }

    async fn flush(&mut self) -> Result<(), ReadError> {
        let pending = std::mem::take(&mut self.pending);
        self.copied += pending.as_slice().len() as u64;
        self.out
            .write_all(pending.as_slice())
            .await
            .map_err(ReadError::Sink)?;
        self.out.flush().await.map_err(ReadError::Sink)
    }
}
