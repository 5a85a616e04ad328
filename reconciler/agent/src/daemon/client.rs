//! Asking the running agent for a pass.

use super::control::NOW;
use crate::pass::{Ended, Progress, Request};
use axum::body::Bytes;
use camino::Utf8Path;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use std::io;
use tokio::net::UnixStream;

/// The agent could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Its socket cannot be opened.
    #[error("cannot open the agent's control socket")]
    Connect(#[source] io::Error),
    /// It did not take the request.
    #[error("the agent does not take the request")]
    Send(#[source] hyper::Error),
    /// It answered something else.
    #[error("the agent answered with HTTP status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// It stopped in the middle.
    #[error("the agent stopped before the pass ended; what was begun goes on at its next start")]
    Cut,
    /// It said something that this version does not know.
    #[error("cannot read what the agent says; is it of another version?")]
    Answer(#[source] serde_json::Error),
}

/// Asks the agent that listens on `socket`; `None` where none does.
pub async fn ask(
    socket: &Utf8Path,
    request: &Request,
    sink: &mut (dyn FnMut(Progress) + Send),
) -> Result<Option<Ended>, AskError> {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(AskError::Connect(error)),
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(AskError::Send)?;
    tokio::spawn(connection);
    let body = serde_json::to_vec(request).map_err(AskError::Answer)?;
    let request = hyper::Request::post(NOW)
        .header("host", "agent")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)));
    // The parts above are constants; hyper wants the error handled all the same.
    let Ok(request) = request else {
        return Err(AskError::Cut);
    };
    let response = match sender.send_request(request).await {
        Ok(response) => response,
        Err(error) if is_cut(&error) => return Err(AskError::Cut),
        Err(error) => return Err(AskError::Send(error)),
    };
    if !response.status().is_success() {
        return Err(AskError::Status {
            status: response.status().as_u16(),
        });
    }
    let mut body = response.into_body();
    let mut pending = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(AskError::Cut);
        };
        pending.extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default());
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            match serde_json::from_slice(&line).map_err(AskError::Answer)? {
                Progress::Ended(ended) => return Ok(Some(ended)),
                event => sink(event),
            }
        }
    }
    Err(AskError::Cut)
}

/// Whether the agent went away before it answered.
fn is_cut(error: &hyper::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof
            );
        }
        cause = error.source();
    }
    error.is_incomplete_message() || error.is_closed()
}
