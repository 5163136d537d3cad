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
    config::{LINE_ANSWERS, MAX_LINE_CALLS, MAX_SUBSCRIPTIONS_PER_CONNECTION, WS_BUFFER},
    door::Door,
    error::LIMIT_EXCEEDED,
    ids::Mask,
    middleware::{Caller, Guarded, Transport},
};

/// To a client that takes no answers.
const UNREAD: &str = "too many bytes of answers wait to be read";

/// One connection.
pub(crate) struct Line {
    calls: Guarded<Calls>,
    answers: mpsc::Sender<Message>,
    places: Arc<Semaphore>,
    /// Bytes of answers that may wait to be written.
    room: Arc<Semaphore>,
    mask: Mask,
    /// An id was hidden: from here on answers are looked through.
    masked: AtomicBool,
}

/// What goes out next; an answer gives its place and its room back when it has been written.
pub(crate) struct Message {
    json: Box<RawValue>,
    _held: Option<(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>)>,
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
            room: Arc::new(Semaphore::new(door.max_response_bytes.saturating_mul(LINE_ANSWERS))),
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
        let (answer, room) = self.fitting(&message, answer);
        let succeeded = answer.is_success();
        let (json, on_sent, _) = answer.into_parts();
        // There is room for as many as there are places.
        let sent = self.answers.try_send(Message { json, _held: Some((place, room)) });
        if let (Ok(()), Some(on_sent)) = (sent, on_sent) {
            on_sent.notify(succeeded);
        }
    }

    /// The answer with the room that it takes; a refusal when too much waits to be written already.
    fn fitting(&self, message: &[u8], answer: MethodResponse) -> (MethodResponse, Option<OwnedSemaphorePermit>) {
        let bytes = u32::try_from(answer.as_ref().len()).unwrap_or(u32::MAX);
        match Arc::clone(&self.room).try_acquire_many_owned(bytes) {
            Ok(room) => (answer, Some(room)),
            Err(_) => (calls::refused(message, ErrorObject::borrowed(LIMIT_EXCEEDED, UNREAD, None)), None),
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
            Some(json) = self.notes.recv() => Message { json, _held: None },
            else => std::future::pending().await,
        }
    }

    /// The next message, if it is there already.
    pub(crate) fn try_next(&mut self) -> Option<Message> {
        let note = |notes: &mut mpsc::Receiver<_>| notes.try_recv().ok().map(|json| Message { json, _held: None });
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jsonrpsee::RpcModule;

    use super::*;
    use crate::{clients::LIGHT, middleware::Shared};

    /// A connection whose only method answers with so many bytes.
    fn line(answer: usize, room: usize) -> (Arc<Line>, Outgoing) {
        let mut module = RpcModule::new(());
        module.register_method("big", move |_, _, _| "x".repeat(answer)).unwrap();
        let methods = module.into();
        let shared = Arc::new(Shared::new(&[("big", LIGHT)].into(), Duration::from_secs(1), 1_000_000));
        let caller = Caller { place: Arc::new(Place::unlimited()), transport: Transport::WebSocket };
        let calls = Calls { methods, max_response_bytes: 1_000_000, subscriber: None };
        let (answers_in, answers) = mpsc::channel(MAX_LINE_CALLS);
        let line = Arc::new(Line {
            calls: Guarded::new(calls, shared, caller),
            answers: answers_in,
            places: Arc::new(Semaphore::new(MAX_LINE_CALLS)),
            room: Arc::new(Semaphore::new(room)),
            mask: Mask::new(),
            masked: AtomicBool::new(false),
        });
        (Arc::clone(&line), Outgoing { line, answers, notes: mpsc::channel(1).1 })
    }

    #[tokio::test]
    async fn unread_answers_take_a_bounded_room() {
        let (line, mut outgoing) = line(600, 1_000);
        let call = Bytes::from_static(br#"{"jsonrpc":"2.0","id":"seven","method":"big"}"#);
        let mut outcomes = Vec::new();
        for _ in 0..2 {
            line.take(call.clone()).await;
            line.take(call.clone()).await;
            for _ in 0..2 {
                let message = outgoing.next().await;
                let text = outgoing.text(&message);
                assert!(text.contains(r#""id":"seven""#), "{text}");
                outcomes.push(text.contains("-32005"));
            }
        }
        assert_eq!(outcomes, [false, true, false, true], "room comes back with what is written");
    }
}
