//! Connections on which messages go both ways: what WebSockets and the Unix socket have in common.
//!
//! The library's own loop reads on whatever becomes of the answers, and takes ids that it does not know for none. Here a connection
//! is read only while few of its calls are without a written answer: who takes no answers is not listened to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use jsonrpsee::{
    BoundedSubscriptions, MethodResponse, MethodSink,
    types::{ErrorCode, Id, error::ErrorObject},
};
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{
    calls::{self, Calls, Subscriber},
    clients::Place,
    config::{MAX_LINE_CALLS, MAX_SUBSCRIPTIONS_PER_CONNECTION, WS_BUFFER},
    door::Door,
    ids::Mask,
    middleware::{Caller, Guarded, Transport},
};

/// One connection.
pub(crate) struct Line {
    calls: Guarded<Calls>,
    answers: mpsc::Sender<Message>,
    places: Arc<Semaphore>,
    mask: Mask,
    /// An id was hidden: from here on answers are looked through.
    masked: AtomicBool,
}

/// What goes out next; an answer gives its place back when it has been written.
pub(crate) struct Message {
    json: Box<RawValue>,
    _place: Option<OwnedSemaphorePermit>,
}

/// What waits to go out.
pub(crate) struct Outgoing {
    line: Arc<Line>,
    answers: mpsc::Receiver<Message>,
    notes: mpsc::Receiver<Box<RawValue>>,
}

impl Line {
    /// A connection of a client that may call.
    pub(crate) fn open(door: &Door, place: Arc<Place>) -> (Arc<Self>, Outgoing) {
        let (notes_in, notes) = mpsc::channel(WS_BUFFER);
        let (answers_in, answers) = mpsc::channel(MAX_LINE_CALLS);
        let subscriber = Subscriber {
            sink: MethodSink::new(notes_in),
            subscriptions: BoundedSubscriptions::new(MAX_SUBSCRIPTIONS_PER_CONNECTION),
            connection: door.next_line(),
        };
        let caller = Caller { place, transport: Transport::WebSocket };
        let line = Arc::new(Self {
            calls: Guarded::new(door.calls(Some(subscriber)), Arc::clone(&door.shared), caller),
            answers: answers_in,
            places: Arc::new(Semaphore::new(MAX_LINE_CALLS)),
            mask: Mask::new(),
            masked: AtomicBool::new(false),
        });
        (Arc::clone(&line), Outgoing { line, answers, notes })
    }

    /// Answers a message, here or on a task of its own. Returns when there is room for it: the next one is read then.
    pub(crate) async fn take(self: &Arc<Self>, message: Bytes) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
        let line = Arc::clone(self);
        let mut answer = Box::pin(async move {
            tokio::select! {
                () = line.answer(message, place) => {}
                // Nobody is there any more to be answered.
                () = line.answers.closed() => {}
            }
        });
        if futures::poll!(&mut answer).is_pending() {
            tokio::spawn(answer);
        }
    }

    async fn answer(&self, message: Bytes, place: OwnedSemaphorePermit) {
        let hidden = self.mask.hide(&message);
        if hidden.is_some() {
            self.masked.store(true, Ordering::Relaxed);
        }
        let message = hidden.map_or(message, Bytes::from);
        let answer = calls::answer(&self.calls, &message).await;
        let answer =
            answer.unwrap_or_else(|| MethodResponse::error(Id::Null, ErrorObject::from(ErrorCode::ParseError)));
        // A subscription has sent its own answer, before its first message.
        if answer.is_notification() || answer.is_subscription() {
            return;
        }
        let succeeded = answer.is_success();
        let (json, on_sent, _) = answer.into_parts();
        // There is room for as many as there are places.
        let sent = self.answers.try_send(Message { json, _place: Some(place) });
        if let (Ok(()), Some(on_sent)) = (sent, on_sent) {
            on_sent.notify(succeeded);
        }
    }

    /// Waits until all that was taken has been answered.
    pub(crate) async fn quiet(&self) {
        let all = u32::try_from(MAX_LINE_CALLS).unwrap_or(u32::MAX);
        // Nobody closes it.
        let _all = self.places.acquire_many(all).await;
    }
}

impl Outgoing {
    /// The next message; never the last one, since who reads can always come to write.
    pub(crate) async fn next(&mut self) -> Message {
        tokio::select! {
            Some(message) = self.answers.recv() => message,
            Some(json) = self.notes.recv() => Message { json, _place: None },
            else => std::future::pending().await,
        }
    }

    /// The next message, if it is there already.
    pub(crate) fn try_next(&mut self) -> Option<Message> {
        let note = |notes: &mut mpsc::Receiver<_>| notes.try_recv().ok().map(|json| Message { json, _place: None });
        self.answers.try_recv().ok().or_else(|| note(&mut self.notes))
    }

    /// A message as it is written, with ids as the client wrote them.
    pub(crate) fn text(&self, message: &Message) -> String {
        match self.line.masked.load(Ordering::Relaxed) {
            true => self.line.mask.show(message.json.get()),
            false => message.json.get().to_owned(),
        }
    }
}
