//! WebSockets: the handshake, and messages in both directions.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::io::{BufReader, BufWriter};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse, http::response};
use soketto::{
    Incoming, Receiver, Sender,
    connection::{Builder, Error},
    data::ByteSlice125,
    handshake::http::{Server as Handshake, is_upgrade_request},
};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use crate::{
    clients::Place,
    config::MAX_REQUEST_BYTES,
    door::Door,
    line::{Line, Outgoing},
};

/// How often a client is asked whether it is there.
const PING: Duration = Duration::from_secs(30);
/// How long one message may take to be written: the largest one at 100 KB a second.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long nothing may come from it, pongs included: two pings, and what may keep us from reading.
const SILENCE: Duration = Duration::from_secs(100);

type Stream = BufReader<BufWriter<Compat<TokioIo<Upgraded>>>>;

/// Whether a request wants to become a WebSocket.
pub(crate) fn is_asked_for<B>(request: &HttpRequest<B>) -> bool {
    is_upgrade_request(request)
}

/// Turns a request into a WebSocket, which lives on until either side ends it.
pub(crate) fn upgrade<B: Send + 'static>(
    door: &Arc<Door>,
    place: &Arc<Place>,
    request: HttpRequest<B>,
) -> HttpResponse {
    let mut handshake = Handshake::new();
    let accepted = match handshake.receive_request(&request) {
        Ok(accepted) => accepted,
        Err(why) => {
            let mut refusal = HttpResponse::new(HttpBody::from(format!("WebSocket handshake failed: {why}\n")));
            *refusal.status_mut() = http::StatusCode::BAD_REQUEST;
            return refusal;
        }
    };
    let Ok(counted) = Arc::clone(&door.sockets).try_acquire_owned() else { return response::too_many_requests() };
    let (door, place) = (Arc::clone(door), Arc::clone(place));
    tokio::spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => {
                let stream = BufReader::new(BufWriter::new(TokioIo::new(upgraded).compat()));
                serve(&door, place, handshake.into_builder(stream)).await;
            }
            Err(why) => tracing::debug!(%why, "no WebSocket"),
        }
        drop(counted);
    });
    accepted.map(|()| HttpBody::empty())
}

async fn serve(door: &Door, place: Arc<Place>, mut socket: Builder<Stream>) {
    let most = usize::try_from(MAX_REQUEST_BYTES).unwrap_or(usize::MAX);
    socket.set_max_message_size(most);
    socket.set_max_frame_size(most);
    let (mut sender, mut receiver) = socket.finish();
    let (line, mut outgoing) = Line::open(door, place);
    let stopped = door.stop.clone().shutdown();
    let ended = {
        let writing = write(&mut sender, &mut outgoing);
        tokio::pin!(writing);
        tokio::select! {
            ended = &mut writing => ended,
            ended = read(&mut receiver, &line) => ended,
            // What has been asked is answered still.
            () = stopped => tokio::select! {
                ended = &mut writing => ended,
                () = line.quiet() => Ok(()),
            },
        }
    };
    if let Err(why) = ended {
        tracing::debug!(%why, "WebSocket ended");
    }
    // Too late to tell who does not listen.
    let _told = tokio::time::timeout(PING, sender.close()).await;
}

/// Reads until the client leaves or falls silent.
async fn read(receiver: &mut Receiver<Stream>, line: &Arc<Line>) -> Result<(), Error> {
    loop {
        let mut message = Vec::new();
        match tokio::time::timeout(SILENCE, receiver.receive(&mut message)).await {
            Ok(Ok(Incoming::Data(_))) => line.take(Bytes::from(message)).await,
            Ok(Ok(Incoming::Pong(_))) => {}
            Ok(Ok(Incoming::Closed(_))) | Err(_) => return Ok(()),
            Ok(Err(why)) => return Err(why),
        }
    }
}

/// What a client does not take within the time ends its socket.
async fn in_time(written: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    tokio::time::timeout(PATIENCE, written).await.unwrap_or(Err(Error::Closed))
}

/// Writes what there is to write, and pings.
async fn write(sender: &mut Sender<Stream>, outgoing: &mut Outgoing) -> Result<(), Error> {
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset_at(Instant::now() + PING);
    loop {
        let mut next = tokio::select! {
            message = outgoing.next() => Some(message),
            _ = pings.tick() => {
                let ping = ByteSlice125::try_from(&[][..]).unwrap_or_else(|_| unreachable!());
                in_time(sender.send_ping(ping)).await?;
                None
            }
        };
        while let Some(message) = next {
            in_time(sender.send_text_owned(outgoing.text(&message))).await?;
            next = outgoing.try_next();
        }
        in_time(sender.flush()).await?;
    }
}
