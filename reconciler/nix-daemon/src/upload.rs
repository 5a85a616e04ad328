//! Sending an archive into the store. Owns the frames, and that the daemon is heard while they are sent: it
//! may talk at any time, and would stop reading if nobody listened.

use std::collections::BTreeSet;
use std::pin::pin;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::client::Client;
use crate::error::Error;
use crate::event::EventSink;
use crate::link::{Answer, Link, LinkError};
use crate::message;
use crate::nar::Check;
use crate::operation::Operation;
use crate::path_info::{AddMethod, PathInfo, SignatureCheck};
use crate::request::{AddToStore, AddToStoreNar, Request, encode};
use crate::store_path::{StorePath, is_name};
use crate::write::{Encoder, Sink, write_all};

/// Bytes of an archive in one frame; the daemon takes frames below 4 GiB.
const FRAME: usize = 64 << 10;
/// Bytes of the length before a frame.
const FRAME_HEADER: usize = 8;

impl Client {
    /// Adds an archive to the store under the name that its own SHA-256 makes, without references: what
    /// `nix` makes of a source tree. Anybody may; what is there already stays.
    ///
    /// [`crate::nar::Encoder`] makes archives. What is none is not sent beyond the place where it shows: a daemon
    /// would die of it.
    ///
    /// # Errors
    /// [`Error::Name`] for a name Nix does not allow, [`Error::Source`] when the archive cannot be read,
    /// [`Error::Archive`] when it is none; those of every operation.
    pub async fn add_to_store_recursive(
        &mut self,
        name: &str,
        nar: impl AsyncRead + Unpin + Send,
        events: &mut dyn EventSink,
    ) -> Result<PathInfo, Error> {
        self.add_to_store(name, AddMethod::Archive, &BTreeSet::new(), nar, events)
            .await
    }

    /// Adds an object to the store under the name that its own contents make, as `method` says.
    ///
    /// # Errors
    /// [`Error::Name`] for a name Nix does not allow, [`Error::Source`] when the contents cannot be read,
    /// [`Error::Archive`] when they are to be an archive and are none; those of every operation.
    pub async fn add_to_store(
        &mut self,
        name: &str,
        method: AddMethod,
        references: &BTreeSet<StorePath>,
        contents: impl AsyncRead + Unpin + Send,
        events: &mut dyn EventSink,
    ) -> Result<PathInfo, Error> {
        if !is_name(name) {
            return Err(Error::Name {
                operation: Operation::AddToStore,
                name: name.to_owned(),
            });
        }
        let request = AddToStore {
            name,
            method,
            references,
        };
        let check = (method == AddMethod::Archive).then(Check::new);
        self.upload(&request, contents, check, events).await
    }

    /// Adds a path with its archive as another store described it. The daemon checks the signatures, unless
    /// the path is content-addressed, or the check is waived by a user it trusts.
    ///
    /// # Errors
    /// The daemon's own when a signature, the hash or a reference is missing or wrong; [`Error::Source`] when
    /// the archive cannot be read, [`Error::Archive`] when it is none; those of every operation.
    pub async fn add_to_store_nar(
        &mut self,
        info: &PathInfo,
        signatures: SignatureCheck,
        nar: impl AsyncRead + Unpin + Send,
        events: &mut dyn EventSink,
    ) -> Result<(), Error> {
        let request = AddToStoreNar { info, signatures };
        self.upload(&request, nar, Some(Check::new()), events).await
    }

    async fn upload<R: Request>(
        &mut self,
        request: &R,
        contents: impl AsyncRead + Unpin + Send,
        check: Option<Check>,
        events: &mut dyn EventSink,
    ) -> Result<R::Reply, Error> {
        let mut link = self.take(R::OPERATION).await?;
        let outcome = exchange(&mut link, request, contents, check, events).await;
        match outcome.map_err(|error| error.during(R::OPERATION))? {
            Exchange::Complete(answer) => self.settle(R::OPERATION, link, answer).await,
            // Part of the archive is unsent: the link goes.
            Exchange::Interrupted(error) => Err(Error::Daemon {
                operation: R::OPERATION,
                error: Box::new(error),
                connection: crate::error::Connection::Closed,
            }),
        }
    }
}

/// How an upload ended.
enum Exchange<T> {
    /// All was sent and the answer was read.
    Complete(Answer<T>),
    /// The daemon reported an error before it had all.
    Interrupted(crate::error::DaemonError),
}

async fn exchange<R: Request>(
    link: &mut Link,
    request: &R,
    contents: impl AsyncRead + Unpin + Send,
    check: Option<Check>,
    events: &mut dyn EventSink,
) -> Result<Exchange<R::Reply>, LinkError> {
    let mut header = Encoder::default();
    encode(request, &mut header);
    link.wait(request.patience());
    let patience = link.patience;
    let Link {
        reader,
        sink,
        version,
        ..
    } = link;

    let verdict = {
        let mut sending = pin!(send(sink, header, contents, check, patience));
        let mut hearing = pin!(message::drain(reader, events));
        tokio::select! {
            // What was sent to the end counts as sent, even if the answer is there at the same time.
            biased;
            sent = &mut sending => match sent {
                Ok(()) => hearing.await?,
                Err(error @ (LinkError::Source(_) | LinkError::Archive(_))) => return Err(error),
                // The daemon may have said why it stopped reading.
                Err(error) => match timeout(patience, hearing).await {
                    Ok(Ok(Err(refusal))) => return Ok(Exchange::Interrupted(refusal)),
                    _ => return Err(error),
                },
            },
            heard = &mut hearing => match heard? {
                Ok(()) => {
                    sending.await?;
                    Ok(())
                }
                Err(refusal) => return Ok(Exchange::Interrupted(refusal)),
            },
        }
    };
    match verdict {
        Ok(()) => Ok(Exchange::Complete(Answer::Reply(
            request.decode(reader, *version).await?,
        ))),
        Err(refusal) => Ok(Exchange::Complete(Answer::Refusal(refusal))),
    }
}

/// Sends the request and the archive: frames of a length and that many bytes, and a length of zero.
async fn send(
    sink: &mut Sink,
    header: Encoder,
    mut contents: impl AsyncRead + Unpin,
    mut check: Option<Check>,
    patience: std::time::Duration,
) -> Result<(), LinkError> {
    write_all(sink, header.as_slice(), patience).await?;
    let mut frame = vec![0; FRAME_HEADER + FRAME];
    loop {
        let Some((length, bytes)) = frame.split_at_mut_checked(FRAME_HEADER) else {
            return Ok(());
        };
        let count = contents.read(bytes).await.map_err(LinkError::Source)?;
        if let Some(check) = &mut check {
            let looked_at = match bytes.get(..count) {
                Some(some) if count > 0 => check.feed(some),
                _ => check.end(),
            };
            looked_at.map_err(LinkError::Archive)?;
        }
        length.copy_from_slice(&(count as u64).to_le_bytes());
        write_all(
            sink,
            frame.get(..FRAME_HEADER + count).unwrap_or_default(),
            patience,
        )
        .await?;
        if count == 0 {
            return Ok(());
        }
    }
}
