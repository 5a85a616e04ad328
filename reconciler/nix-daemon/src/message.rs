//! The messages that a daemon sends between a request and its reply. Owns their decoding; judges none.

use std::future::poll_fn;

use crate::error::{DaemonError, Violation};
use crate::event::{ActivityId, ActivityKind, Event, EventSink, Field, Level, ResultKind};
use crate::read::{ReadError, Reader};

/// `alts`: the reply follows.
pub(crate) const LAST: u64 = 0x616c_7473;
/// `cxtp`: an error, and no reply.
pub(crate) const ERROR: u64 = 0x6378_7470;
/// `olmg`: free text.
pub(crate) const NEXT: u64 = 0x6f6c_6d67;
/// `STRT`: an activity began.
pub(crate) const START: u64 = 0x5354_5254;
/// `STOP`: an activity ended.
pub(crate) const STOP: u64 = 0x5354_4f50;
/// `RSLT`: an activity has news.
pub(crate) const RESULT: u64 = 0x5253_4c54;

/// Reads messages up to the last. `Ok(Ok(()))` means that the reply follows, `Ok(Err(_))` that the daemon
/// sent an error in its place.
pub(crate) async fn drain(
    reader: &mut Reader,
    events: &mut dyn EventSink,
) -> Result<Result<(), DaemonError>, ReadError> {
    loop {
        poll_fn(|context| events.poll_ready(context)).await;
        reader.begin();
        let event = match reader.tag().await? {
            LAST => {
                reader.begin();
                return Ok(Ok(()));
            }
            ERROR => return Ok(Err(daemon_error(reader).await?)),
            NEXT => Event::Line(reader.line().await?),
            START => start(reader).await?,
            STOP => Event::Stop {
                id: ActivityId(reader.u64().await?),
            },
            RESULT => Event::Result {
                id: ActivityId(reader.u64().await?),
                kind: ResultKind::from(reader.u64().await?),
                fields: fields(reader).await?,
            },
            tag => return Err(reader.violation(Violation::Message { tag })),
        };
        events.event(event);
    }
}

async fn start(reader: &mut Reader) -> Result<Event, ReadError> {
    let id = ActivityId(reader.u64().await?);
    let level = Level::from(reader.u64().await?);
    let kind = ActivityKind::from(reader.u64().await?);
    let text = reader.line().await?;
    let fields = fields(reader).await?;
    let parent = ActivityId(reader.u64().await?);
    Ok(Event::Start {
        id,
        parent,
        level,
        kind,
        text,
        fields,
    })
}

async fn fields(reader: &mut Reader) -> Result<Vec<Field>, ReadError> {
    let mut fields = Vec::new();
    for _ in 0..reader.u64().await? {
        reader.spend_item()?;
        fields.push(match reader.u64().await? {
            0 => Field::Int(reader.u64().await?),
            1 => Field::Text(reader.line().await?),
            tag => return Err(reader.violation(Violation::Field { tag })),
        });
    }
    Ok(fields)
}

/// The form of an error since protocol 1.26. Positions are announced and never sent.
async fn daemon_error(reader: &mut Reader) -> Result<DaemonError, ReadError> {
    let _kind = reader.string().await?;
    let level = Level::from(reader.u64().await?);
    let _name = reader.string().await?;
    let message = reader.plain().await?;
    let _position = reader.u64().await?;
    let mut traces = Vec::new();
    for _ in 0..reader.u64().await? {
        let _position = reader.u64().await?;
        traces.push(reader.plain().await?);
    }
    Ok(DaemonError {
        level,
        message,
        traces,
    })
}
