//! The control socket: `reconcile now` asks here, and hears the pass as it runs.
//!
//! Root alone can open it. A request is handed to the agent's loop; what the pass tells comes back as one JSON
//! event a line.

use crate::durable::DurableError;
use crate::pass::{Progress, Request};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use camino::{Utf8Path, Utf8PathBuf};
use std::io;
use std::os::unix::fs::PermissionsExt;
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// Where a pass is asked for.
pub(super) const NOW: &str = "/v1/now";

/// How many events wait for a listener that does not read: more than any pass has, but for a build's log.
const LISTENER: usize = 4096;

/// The control socket could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The run directory could not be made.
    #[error(transparent)]
    Folder(#[from] DurableError),
    /// It could not be bound.
    #[error("cannot listen on {path}")]
    Listen {
        /// The socket.
        path: Utf8PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A request and whoever waits for what comes of it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) listener: mpsc::Sender<Progress>,
}

/// Listens on the control socket and hands on what is asked.
pub(super) fn listen(path: &Utf8Path) -> Result<mpsc::UnboundedReceiver<Asked>, ControlError> {
    // Whoever holds the lock owns the name: what is there was left by an agent that is gone.
    let _ = std::fs::remove_file(path);
    let listening = |source| ControlError::Listen {
        path: path.to_owned(),
        source,
    };
    let listener = UnixListener::bind(path).map_err(listening)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(listening)?;
    let (sender, receiver) = mpsc::unbounded_channel();
    let router = Router::new().route(NOW, post(now)).with_state(sender);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!("the control socket is closed: {error}");
        }
    });
    Ok(receiver)
}

async fn now(State(sender): State<mpsc::UnboundedSender<Asked>>, Json(request): Json<Request>) -> Response {
    let (listener, events) = mpsc::channel(LISTENER);
    if sender.send(Asked { request, listener }).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let lines = futures_util::stream::unfold(events, |mut events| async move {
        let event: Progress = events.recv().await?;
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(line)), events))
    });
    (
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(lines),
    )
        .into_response()
}
