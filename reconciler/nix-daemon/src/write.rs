//! Putting values into the wire's form and bytes onto the socket. Owns the encoder; never reads.
//!
//! Integers are 64 bits, little endian; a string is its length, its bytes, and zeros up to a multiple of eight.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// The daemon's side of a connection, as something to write to.
pub(crate) type Sink = Box<dyn AsyncWrite + Send + Sync + Unpin>;

/// Collects a request.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn flag(&mut self, value: bool) {
        self.u64(u64::from(value));
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.u64(value.len() as u64);
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }

    pub(crate) fn text(&mut self, value: impl AsRef<str>) {
        self.bytes(value.as_ref().as_bytes());
    }

    /// A number of items, and each as its text.
    pub(crate) fn texts<T: ToString>(&mut self, values: impl ExactSizeIterator<Item = T>) {
        self.u64(values.len() as u64);
        for value in values {
            self.text(value.to_string());
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Drops the first `count` bytes, which were sent.
    pub(crate) fn forget(&mut self, count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
    }
}

/// Why bytes could not be put onto the socket.
#[derive(Debug)]
pub(crate) enum WriteError {
    Io(io::Error),
    /// The other side took no byte for this long.
    Stalled(Duration),
}

/// Writes what the other side takes now, possibly nothing; returns how much that was.
pub(crate) async fn write_some(sink: &mut Sink, bytes: &[u8]) -> Result<usize, WriteError> {
    let mut written = 0;
    poll_fn(|context| {
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut *sink).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(WriteError::Io(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(WriteError::Io(error))),
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(()))
    })
    .await?;
    sink.flush().await.map_err(WriteError::Io)?;
    Ok(written)
}

/// Writes everything, as long as the other side takes some of it at least every `patience`.
pub(crate) async fn write_all(
    sink: &mut Sink,
    mut bytes: &[u8],
    patience: Duration,
) -> Result<(), WriteError> {
    while !bytes.is_empty() {
        let written = timeout(patience, sink.write(bytes))
            .await
            .map_err(|_| WriteError::Stalled(patience))?
            .map_err(WriteError::Io)?;
        if written == 0 {
            return Err(WriteError::Io(io::ErrorKind::WriteZero.into()));
        }
        bytes = bytes.get(written..).unwrap_or_default();
    }
    timeout(patience, sink.flush())
        .await
        .map_err(|_| WriteError::Stalled(patience))?
        .map_err(WriteError::Io)
}
