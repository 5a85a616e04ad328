//! An operation and what the daemon tells meanwhile, as one stream. Owns the queue between the two; loses
//! nothing, and keeps no more than a few hundred events.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::event::{Event, EventSink, Field};

/// How many events wait at most to be consumed; then the daemon is held back.
const EVENTS: usize = 256;
/// How many bytes of text they may hold together before it is; one event more may be taken.
const BYTES: usize = 1 << 20;

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    bytes: usize,
    waiting: Option<Waker>,
}

impl Queue {
    fn is_full(&self) -> bool {
        self.events.len() >= EVENTS || self.bytes >= BYTES
    }

    fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.bytes = self.bytes.saturating_sub(size(&event));
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
        Some(event)
    }
}

/// The operation's side of an [`EventStream`]: an [`EventSink`] that holds the daemon back while the stream has
/// enough to be consumed.
#[derive(Debug)]
pub struct EventSender(Arc<Mutex<Queue>>);

impl EventSink for EventSender {
    fn event(&mut self, event: Event) {
        let mut queue = locked(&self.0);
        queue.bytes = queue.bytes.saturating_add(size(&event));
        queue.events.push_back(event);
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut queue = locked(&self.0);
        if queue.is_full() {
            queue.waiting = Some(context.waker().clone());
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

/// A running operation as a stream of its events.
///
/// Asking for the next event is what drives the operation, so there is no second task, and nothing to wait for
/// each other. Events come in order and none is left out: a consumer that takes its time slows the daemon
/// down. Dropping the stream drops the operation, which closes its connection.
///
/// ```no_run
/// # use nix_daemon_client::{BuildMode, Client, DerivedPath, Error, Event, EventStream};
/// # async fn example(client: &mut Client, targets: &[DerivedPath]) -> Result<(), Error> {
/// let mut build = EventStream::new(|mut events| async move {
///     client.build_paths_with_results(targets, BuildMode::Normal, &mut events).await
/// });
/// while let Some(event) = build.next().await {
///     if let Event::Line(text) = event {
///         eprintln!("{text}");
///     }
/// }
/// let results = build.finish().await?;
/// # Ok(())
/// # }
/// ```
pub struct EventStream<'a, T> {
    operation: Option<Pin<Box<dyn Future<Output = T> + Send + 'a>>>,
    queue: Arc<Mutex<Queue>>,
    outcome: Option<T>,
}

impl<T> fmt::Debug for EventStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("running", &self.operation.is_some())
            .finish_non_exhaustive()
    }
}

// Nothing in it is pinned but the operation, which has a place of its own.
impl<T> Unpin for EventStream<'_, T> {}

impl<'a, T> EventStream<'a, T> {
    /// Prepares an operation that tells its events to the sender it is given. Nothing is sent before the first
    /// event is asked for.
    #[must_use]
    pub fn new<F>(operation: impl FnOnce(EventSender) -> F) -> EventStream<'a, T>
    where
        F: Future<Output = T> + Send + 'a,
    {
        let queue = Arc::new(Mutex::new(Queue::default()));
        EventStream {
            operation: Some(Box::pin(operation(EventSender(Arc::clone(&queue))))),
            queue,
            outcome: None,
        }
    }

    /// The next event; `None` once the operation ended.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// How many events wait to be consumed.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        locked(&self.queue).events.len()
    }

    /// Waits for the end, passing over the events that were not consumed, and tells what the operation returned.
    pub async fn finish(mut self) -> T {
        loop {
            if self.next().await.is_none()
                && let Some(outcome) = self.outcome.take()
            {
                return outcome;
            }
        }
    }
}

impl<T> Stream for EventStream<'_, T> {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let this = self.get_mut();
        if let Some(event) = locked(&this.queue).pop() {
            return Poll::Ready(Some(event));
        }
        let Some(operation) = &mut this.operation else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(outcome) = operation.as_mut().poll(context) {
            this.outcome = Some(outcome);
            this.operation = None;
        }
        match locked(&this.queue).pop() {
            Some(event) => Poll::Ready(Some(event)),
            None if this.operation.is_none() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

fn locked(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of the texts of an event.
fn size(event: &Event) -> usize {
    let of = |fields: &[Field]| -> usize {
        fields
            .iter()
            .map(|field| size_of::<Field>() + field.as_text().map_or(0, |text| text.as_bytes().len()))
            .sum()
    };
    match event {
        Event::Line(text) => text.as_bytes().len(),
        Event::Start { text, fields, .. } => text.as_bytes().len() + of(fields),
        Event::Stop { .. } => 0,
        Event::Result { fields, .. } => of(fields),
    }
}
