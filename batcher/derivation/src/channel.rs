//! Channel: the compressed encoding of one batch.
//!
//! ```text
//! version (1) │ varint length │ signatures, 64 bytes each, raw │ zstd frame of the typed columns
//! ```
//! Signatures are noise to a compressor; left outside, they do not spoil its statistics of the columns beside them.

use crate::BatchBlock;
use crate::columns::{self, Encoded};
use crate::cursor::{Cursor, CursorError, put_varint};
use crate::limits::{MAX_CHANNEL_BYTES, MAX_COLUMN_BYTES};

/// Version of the typed-column encoding.
const VERSION: u8 = 1;
/// The highest level before zstd's cost rises faster than its gain on this data.
const ZSTD_LEVEL: i32 = 9;

/// Largest zstd window a frame may ask for: 2^24 is [`MAX_COLUMN_BYTES`].
const MAX_WINDOW_LOG: u32 = 24;

/// Why blocks cannot be encoded, or bytes are not a channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The version byte names no known encoding.
    #[error("unknown channel version {0}")]
    Version(u8),
    /// The compressed part is damaged or expands beyond its bound.
    #[error("columns do not decompress within {MAX_COLUMN_BYTES} bytes")]
    Compression,
    /// A column is damaged.
    #[error("column: {0}")]
    Column(#[from] CursorError),
    /// A bound of [`crate::limits`] is exceeded.
    #[error("{0} above the limit")]
    Limit(&'static str),
    /// Timestamps or L1 origins go backwards.
    #[error("block {0} goes back in time or L1 origin")]
    Order(usize),
    /// A reference or tag has no meaning.
    #[error("invalid {0}")]
    Invalid(&'static str),
    /// Bytes are left after the last value.
    #[error("bytes left over")]
    Trailing,
}

/// Encodes the blocks of one batch. Fails only when they exceed a limit or go backwards.
pub fn encode_channel(blocks: &[BatchBlock]) -> Result<Vec<u8>, ChannelError> {
    let Encoded { signatures, columns } = columns::encode(blocks)?;
    if columns.len() > MAX_COLUMN_BYTES {
        return Err(ChannelError::Limit("columns"));
    }
    let compressed = zstd::bulk::compress(&columns, ZSTD_LEVEL).map_err(|_| ChannelError::Compression)?;
    let mut channel = Vec::with_capacity(signatures.len().saturating_add(compressed.len()).saturating_add(8));
    channel.push(VERSION);
    put_varint(&mut channel, signatures.len() as u128);
    channel.extend_from_slice(&signatures);
    channel.extend_from_slice(&compressed);
    if channel.len() > MAX_CHANNEL_BYTES {
        return Err(ChannelError::Limit("channel"));
    }
    Ok(channel)
}

/// Decodes a channel from anyone.
pub fn decode_channel(channel: &[u8]) -> Result<Vec<BatchBlock>, ChannelError> {
    if channel.len() > MAX_CHANNEL_BYTES {
        return Err(ChannelError::Limit("channel"));
    }
    let mut cursor = Cursor::new(channel);
    match cursor.byte()? {
        VERSION => {}
        other => return Err(ChannelError::Version(other)),
    }
    let length = cursor.varint_usize()?;
    let signatures = cursor.take(length)?;
    let columns = decompress(cursor.rest())?;
    columns::decode(signatures, &columns)
}

/// Decompresses into a buffer that grows with the data, so that a short hostile frame cannot make us allocate the bound.
fn decompress(compressed: &[u8]) -> Result<Vec<u8>, ChannelError> {
    use std::io::Read;
    let failed = |_| ChannelError::Compression;
    let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed).map_err(failed)?;
    decoder.window_log_max(MAX_WINDOW_LOG).map_err(failed)?;
    let mut columns = Vec::new();
    decoder.take(MAX_COLUMN_BYTES as u64 + 1).read_to_end(&mut columns).map_err(failed)?;
    if columns.len() > MAX_COLUMN_BYTES {
        return Err(ChannelError::Compression);
    }
    Ok(columns)
}
