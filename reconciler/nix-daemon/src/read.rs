//! Taking values of the wire off the socket. Owns the buffer and every bound on what is read; never writes.

use std::collections::BTreeSet;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::timeout;

use crate::error::Violation;
use crate::store_path::StorePath;
use crate::text::Text;

/// The longest string that is read: a name, a path, a description of an output.
pub(crate) const STRING_LIMIT: u64 = 1 << 20;
/// How much is kept of a line or of an activity's text, whatever its length.
pub(crate) const LINE_KEPT: u64 = 64 << 10;
/// How much is kept of an error's text.
const MESSAGE_KEPT: u64 = 1 << 20;
/// The longest text that is passed over.
const TEXT_LIMIT: u64 = u32::MAX as u64;
/// The most that one message or reply may hold; a million store paths are 100 MB.
const MESSAGE_LIMIT: u64 = 256 << 20;
/// What an item costs of the message's limit beyond its bytes: about what it takes in memory.
const ITEM_COST: u64 = 32;
/// How much room is made for one read.
const CHUNK: usize = 64 << 10;

/// The daemon's side of a connection, as something to read from.
pub(crate) type Source = Box<dyn AsyncRead + Send + Sync + Unpin>;

/// Why a value could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The socket failed, or ended within a value.
    Io(io::Error),
    /// No byte came for this long.
    Silent(Duration),
    /// The bytes are not what the protocol allows.
    Violation { offset: u64, violation: Violation },
    /// What was read could not be handed on.
    Sink(io::Error),
}

/// A buffered reader of the wire's values.
pub(crate) struct Reader {
    source: Source,
    buffer: BytesMut,
    /// Bytes handed out since the connection was opened.
    offset: u64,
    /// Bytes that the present message may still take.
    budget: u64,
    limit: u64,
    patience: Option<Duration>,
    /// Whether the beginning of a message may be waited for for ever.
    endless: bool,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("offset", &self.offset)
            .field("buffered", &self.buffer.len())
            .finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) fn new(source: Source) -> Reader {
        Reader::with_limit(source, MESSAGE_LIMIT)
    }

    /// A reader of messages and replies of at most `limit` bytes.
    pub(crate) fn with_limit(source: Source, limit: u64) -> Reader {
        Reader {
            source,
            buffer: BytesMut::new(),
            offset: 0,
            budget: limit,
            limit,
            patience: None,
            endless: false,
        }
    }

    /// From now on, gives up when no byte comes for this long.
    pub(crate) fn set_patience(&mut self, patience: Duration) {
        self.patience = Some(patience);
        self.endless = false;
    }

    /// From now on, waits for ever for a message to begin. Within one, patience holds as it does elsewhere: a
    /// daemon may work in silence, but has no reason to stop in the middle of a word.
    pub(crate) fn await_messages(&mut self) {
        self.endless = true;
    }

    /// The first word of a message.
    pub(crate) async fn tag(&mut self) -> Result<u64, ReadError> {
        if self.endless && self.buffer.is_empty() {
            let patience = self.patience.take();
            let filled = self.fill().await;
            self.patience = patience;
            filled?;
        }
        self.u64().await
    }

    /// Begins a message or reply: its size is counted anew.
    pub(crate) fn begin(&mut self) {
        self.budget = self.limit;
    }

    /// Whether not a single byte was ever received.
    pub(crate) fn is_untouched(&self) -> bool {
        self.offset == 0 && self.buffer.is_empty()
    }

    /// Whether nothing is waiting to be read, not even the end of the stream.
    ///
    /// What is waiting may be lost: if this is false the connection is of no more use.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        poll_fn(|context| {
            let mut byte = [0; 1];
            let mut probe = ReadBuf::new(&mut byte);
            match Pin::new(&mut self.source).poll_read(context, &mut probe) {
                Poll::Pending => Poll::Ready(true),
                Poll::Ready(_) => Poll::Ready(false),
            }
        })
        .await
    }

    /// How much memory the buffer takes.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    pub(crate) fn violation(&self, violation: Violation) -> ReadError {
        ReadError::Violation {
            offset: self.offset,
            violation,
        }
    }

    /// Reads once from the socket; the buffer grows only by what arrived.
    async fn fill(&mut self) -> Result<(), ReadError> {
        self.buffer.reserve(CHUNK);
        let read = self.source.read_buf(&mut self.buffer);
        let count = match self.patience {
            None => read.await,
            Some(patience) => timeout(patience, read)
                .await
                .map_err(|_| ReadError::Silent(patience))?,
        }
        .map_err(ReadError::Io)?;
        if count == 0 {
            Err(ReadError::Io(io::ErrorKind::UnexpectedEof.into()))
        } else {
            Ok(())
        }
    }

    fn spend(&mut self, cost: u64) -> Result<(), ReadError> {
        match self.budget.checked_sub(cost) {
            Some(rest) => {
                self.budget = rest;
                Ok(())
            }
            None => Err(self.violation(Violation::TooMuch { limit: self.limit })),
        }
    }

    /// Counts an item of a list that carries no string.
    pub(crate) fn spend_item(&mut self) -> Result<(), ReadError> {
        self.spend(ITEM_COST)
    }

    pub(crate) async fn u64(&mut self) -> Result<u64, ReadError> {
        while self.buffer.len() < 8 {
            self.fill().await?;
        }
        self.offset += 8;
        Ok(self.buffer.get_u64_le())
    }

    /// Any number but zero is true, as for the daemon itself.
    pub(crate) async fn flag(&mut self) -> Result<bool, ReadError> {
        Ok(self.u64().await? != 0)
    }

    /// A string of at most `limit` bytes.
    pub(crate) async fn bytes_within(&mut self, limit: u64) -> Result<Vec<u8>, ReadError> {
        let length = self.u64().await?;
        if length > limit {
            return Err(self.violation(Violation::TooLong { length, limit }));
        }
        self.spend(ITEM_COST + length)?;
        let too_long = || Violation::TooLong { length, limit };
        let length = usize::try_from(length).map_err(|_| self.violation(too_long()))?;
        let padded = length.next_multiple_of(8);
        while self.buffer.len() < padded {
            self.fill().await?;
        }
        let bytes = self.buffer.split_to(length).to_vec();
        let padding = self.buffer.split_to(padded - length);
        self.offset += padded as u64;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(self.violation(Violation::Padding));
        }
        Ok(bytes)
    }

    pub(crate) async fn bytes(&mut self) -> Result<Vec<u8>, ReadError> {
        self.bytes_within(STRING_LIMIT).await
    }

    pub(crate) async fn text(&mut self) -> Result<Text, ReadError> {
        Ok(Text::from(self.bytes().await?))
    }

    /// A text of which no more than `most` bytes are kept; the others are passed over as they come.
    async fn beginning(&mut self, most: u64) -> Result<Text, ReadError> {
        let length = self.u64().await?;
        if length > TEXT_LIMIT {
            return Err(self.violation(Violation::TooLong {
                length,
                limit: TEXT_LIMIT,
            }));
        }
        let kept = length.min(most);
        self.spend(ITEM_COST + kept)?;
        let mut bytes = Vec::new();
        let mut left = length.next_multiple_of(8);
        let mut wanted = kept;
        let mut text = length;
        while left > 0 {
            let some = self.some(left).await?;
            left -= some.len() as u64;
            let (shown, rest) = some.split_at(within(some.len(), wanted));
            bytes.extend_from_slice(shown);
            wanted -= shown.len() as u64;
            text -= shown.len() as u64;
            let (_, padding) = rest.split_at(within(rest.len(), text));
            text -= (rest.len() - padding.len()) as u64;
            if padding.iter().any(|byte| *byte != 0) {
                return Err(self.violation(Violation::Padding));
            }
        }
        Ok(Text::cut(bytes, length - kept))
    }

    /// A line of a log or the text of an activity.
    pub(crate) async fn line(&mut self) -> Result<Text, ReadError> {
        self.beginning(LINE_KEPT).await
    }

    /// A string for a person: lossy, without terminal escapes.
    pub(crate) async fn plain(&mut self) -> Result<String, ReadError> {
        Ok(self.beginning(MESSAGE_KEPT).await?.plain())
    }

    /// A string that is an identifier, where bytes that are no UTF-8 cannot match anything anyway.
    pub(crate) async fn string(&mut self) -> Result<String, ReadError> {
        let bytes = self.bytes().await?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// A string where the empty one stands for none.
    pub(crate) async fn optional_string(&mut self) -> Result<Option<String>, ReadError> {
        Ok(Some(self.string().await?).filter(|text| !text.is_empty()))
    }

    pub(crate) async fn strings(&mut self) -> Result<BTreeSet<String>, ReadError> {
        let mut strings = BTreeSet::new();
        for _ in 0..self.u64().await? {
            strings.insert(self.string().await?);
        }
        Ok(strings)
    }

    pub(crate) async fn store_path(&mut self) -> Result<StorePath, ReadError> {
        let text = self.string().await?;
        StorePath::from_absolute(&text).map_err(|error| self.violation(Violation::StorePath(error)))
    }

    pub(crate) async fn optional_store_path(&mut self) -> Result<Option<StorePath>, ReadError> {
        let Some(text) = self.optional_string().await? else {
            return Ok(None);
        };
        let path =
            StorePath::from_absolute(&text).map_err(|error| self.violation(Violation::StorePath(error)))?;
        Ok(Some(path))
    }

    pub(crate) async fn store_paths(&mut self) -> Result<BTreeSet<StorePath>, ReadError> {
        let mut paths = BTreeSet::new();
        for _ in 0..self.u64().await? {
            paths.insert(self.store_path().await?);
        }
        Ok(paths)
    }

    /// Whatever is there, at most `most` bytes and at least one, without padding: for the inside of archives.
    pub(crate) async fn some(&mut self, most: u64) -> Result<BytesMut, ReadError> {
        if self.buffer.is_empty() {
            self.fill().await?;
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.buffer.len());
        self.offset += most as u64;
        Ok(self.buffer.split_to(most))
    }
}

/// How many of `length` bytes are within the next `most`.
fn within(length: usize, most: u64) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX).min(length)
}
