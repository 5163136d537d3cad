//! JSON-RPC over a Unix socket, as geth speaks it: JSON values one after the other, in both directions.
//!
//! Calls, batches, subscriptions and limits are those of WebSockets.

use std::{
    fs::Permissions,
    io,
    os::unix::{fs::PermissionsExt, net::UnixStream as StdUnixStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Buf, Bytes, BytesMut};
use futures::StreamExt;
use tokio::{
    io::{AsyncWriteExt, ReadHalf},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
};
use tokio_util::codec::{Decoder, FramedRead};

use crate::{
    clients::Place,
    config::{MAX_IPC_CONNECTIONS, MAX_REQUEST_BYTES},
    door::Door,
    line::Line,
};

/// Read and write for the owner alone.
const MODE: u32 = 0o600;
/// The answer to what is not JSON-RPC at all; the connection ends with it, since nothing says where the next value begins.
const PARSE_ERROR: &[u8] =
    b"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"parse error\"}}\n";

/// The socket's file; dropping it removes the file.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Whoever removed it already did our work.
        let _gone = std::fs::remove_file(&self.0);
    }
}

/// Binds a socket that only this user can open. One that a killed process left behind is replaced.
pub(crate) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    if path.exists() {
        if StdUnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves it"));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    let file = SocketFile(path.to_owned());
    std::fs::set_permissions(path, Permissions::from_mode(MODE))?;
    Ok((listener, file))
}

/// Takes connections until the server stops.
pub(crate) async fn listen(door: Arc<Door>, listener: UnixListener) {
    let places = Arc::new(Semaphore::new(MAX_IPC_CONNECTIONS));
    let stopped = door.stop.clone().shutdown();
    tokio::pin!(stopped);
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = &mut stopped => return,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let door = Arc::clone(&door);
        tokio::spawn(async move {
            if let Err(why) = serve(&door, stream).await {
                tracing::debug!(%why, "IPC connection failed");
            }
            drop(place);
        });
    }
}

/// Serves one connection until either side ends it.
async fn serve(door: &Door, stream: UnixStream) -> io::Result<()> {
    let (reading, mut writing) = tokio::io::split(stream);
    let mut values: FramedRead<ReadHalf<UnixStream>, Values> = FramedRead::new(reading, Values::default());
    let (line, mut outgoing) = Line::open(door, Arc::new(Place::unlimited()));
    let stopped = door.stop.clone().shutdown();
    let ask = async {
        while let Some(value) = values.next().await {
            let Ok(value) = value else { return true };
            line.take(value).await;
        }
        false
    };
    let answer = async {
        loop {
            let message = outgoing.next().await;
            let mut text = outgoing.text(&message);
            text.push('\n');
            writing.write_all(text.as_bytes()).await?;
        }
    };
    let malformed = {
        tokio::pin!(answer);
        let malformed = tokio::select! {
            malformed = ask => malformed,
            failed = &mut answer => return failed,
            // What has been asked is answered still.
            () = stopped => false,
        };
        tokio::select! {
            failed = &mut answer => return failed,
            () = line.quiet() => malformed,
        }
    };
    if malformed {
        writing.write_all(PARSE_ERROR).await?;
    }
    Ok(())
}

/// Splits a stream into JSON objects and arrays. It looks at brackets and strings only: the server parses.
#[derive(Default)]
struct Values {
    /// Bytes of the buffer that have been looked at.
    seen: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Decoder for Values {
    type Item = Bytes;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
        if self.depth == 0 {
            let blanks = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            buffer.advance(blanks);
            if buffer.first().is_some_and(|byte| !matches!(byte, b'{' | b'[')) {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        while let Some(byte) = buffer.get(self.seen) {
            self.seen = self.seen.saturating_add(1);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        let value = buffer.split_to(std::mem::take(self).seen);
                        return Ok(Some(value.freeze()));
                    }
                }
                _ => {}
            }
        }
        let most = usize::try_from(MAX_REQUEST_BYTES).unwrap_or(usize::MAX);
        if buffer.len() > most {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(input: &[u8], piece: usize) -> (Vec<String>, bool) {
        let (mut values, mut buffer, mut found) = (Values::default(), BytesMut::new(), Vec::new());
        for part in input.chunks(piece) {
            buffer.extend_from_slice(part);
            loop {
                match values.decode(&mut buffer) {
                    Ok(Some(value)) => found.push(String::from_utf8(value.to_vec()).unwrap()),
                    Ok(None) => break,
                    Err(_) => return (found, false),
                }
            }
        }
        (found, true)
    }

    #[test]
    fn values_are_found_however_the_bytes_arrive() {
        let input = br#" {"a":[1,{"b":"}]\"\\"}]}[{},[]]
            {"c":"\\"}  {"unfinished": ["#;
        for piece in 1..=input.len() {
            let want = [r#"{"a":[1,{"b":"}]\"\\"}]}"#, "[{},[]]", r#"{"c":"\\"}"#];
            assert_eq!(split(input, piece), (want.map(str::to_owned).to_vec(), true), "{piece}");
        }
        for wrong in [&b"null"[..], b"{}x", b"  7", b"]", b"\xff"] {
            assert!(!split(wrong, 1).1, "{wrong:?}");
        }
        assert!(!split(&[b"[", &vec![b' '; MAX_REQUEST_BYTES as usize + 1][..]].concat(), 1 << 16).1);
    }
}
