//! The two request/response protocols: one RLP value in each direction, bounded before anything is parsed.

use std::io;

use alloy_rlp::{Decodable, Encodable};
use async_trait::async_trait;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::{StreamProtocol, request_response};

use crate::{
    limits::{MAX_BLOCKS_PER_REQUEST, MAX_BLOCKS_REQUEST_BYTES, MAX_BLOCKS_RESPONSE_BYTES, MAX_STATUS_BYTES},
    message::DecidedBlock,
    status::{BlocksRequest, Status, invalid},
};

async fn read<T: AsyncRead + Unpin + Send, M: Decodable>(io: &mut T, max: u64) -> io::Result<M> {
    let mut bytes = Vec::new();
    io.take(max.saturating_add(1)).read_to_end(&mut bytes).await?;
    if bytes.is_empty() {
        // A refused request: the other side closed the stream without an answer.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if bytes.len() as u64 > max {
        return Err(invalid("message too large"));
    }
    alloy_rlp::decode_exact(&bytes).map_err(|_| invalid("message is not the expected RLP"))
}

/// Reads a request; `None` when the bytes are none. The library tells nobody about an error here, and then the peer
/// could not be scored down.
async fn read_request<T: AsyncRead + Unpin + Send, M: Decodable>(io: &mut T, max: u64) -> io::Result<Option<M>> {
    match read(io, max).await {
        Ok(request) => Ok(Some(request)),
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn write<T: AsyncWrite + Unpin + Send>(io: &mut T, message: &(impl Encodable + Sync)) -> io::Result<()> {
    io.write_all(&alloy_rlp::encode(message)).await
}

/// We never send a request without one.
fn nothing() -> io::Error {
    invalid("no request to send")
}

/// Genesis, heads and binding, both ways.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusCodec;

#[async_trait]
impl request_response::Codec for StatusCodec {
    type Protocol = StreamProtocol;
    type Request = Option<Status>;
    type Response = Status;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Option<Status>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_request(io, MAX_STATUS_BYTES).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Status>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, MAX_STATUS_BYTES).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, status: Option<Status>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &status.ok_or_else(nothing)?).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, status: Status) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &status).await
    }
}

/// Decided blocks by height.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlocksCodec;

#[async_trait]
impl request_response::Codec for BlocksCodec {
    type Protocol = StreamProtocol;
    type Request = Option<BlocksRequest>;
    type Response = Vec<DecidedBlock>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Option<BlocksRequest>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let request: Option<BlocksRequest> = read_request(io, MAX_BLOCKS_REQUEST_BYTES).await?;
        Ok(request.filter(|request| (1..=MAX_BLOCKS_PER_REQUEST).contains(&request.count)))
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<DecidedBlock>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let blocks: Vec<DecidedBlock> = read(io, MAX_BLOCKS_RESPONSE_BYTES).await?;
        if blocks.len() as u64 > MAX_BLOCKS_PER_REQUEST || !blocks.iter().all(DecidedBlock::is_bounded) {
            return Err(invalid("blocks out of bounds"));
        }
        Ok(blocks)
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Option<BlocksRequest>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &request.ok_or_else(nothing)?).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, blocks: Vec<DecidedBlock>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &fit(blocks)).await
    }
}

/// The leading blocks that fit an answer; the asker asks again for the rest.
pub(crate) fn fit(mut blocks: Vec<DecidedBlock>) -> Vec<DecidedBlock> {
    const LIST_HEADER: u64 = 9;
    let mut size = LIST_HEADER;
    let fitting = blocks.iter().take(MAX_BLOCKS_PER_REQUEST as usize).take_while(|block| {
        size = size.saturating_add(block.length() as u64);
        block.is_bounded() && size <= MAX_BLOCKS_RESPONSE_BYTES
    });
    let count = fitting.count();
    blocks.truncate(count);
    blocks
}
