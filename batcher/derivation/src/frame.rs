//! Frames: a channel cut into the data of L1 blobs.
//!
//! A blob is 4,096 field elements of 32 bytes whose first byte stays zero, so that each is below the field's modulus.
//! Its first six data bytes are the frame header: version, index, count, and the frame's length as a 24-bit number.
//! The unused rest is zero; anything else is refused, so that a channel has one blob encoding.

pub use alloy_eips::eip4844::Blob;

use crate::limits::MAX_BLOBS;

const FIELD_ELEMENTS: usize = 4_096;
const USABLE_BYTES: usize = 31;
const FRAME_VERSION: u8 = 1;
const HEADER_BYTES: usize = 6;
/// Channel bytes in one blob.
pub const BLOB_CAPACITY: usize = FIELD_ELEMENTS * USABLE_BYTES - HEADER_BYTES;

/// Why a channel does not fit, or blobs are not frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No blob, or more than a transaction may carry; also a channel that needs that many.
    #[error("{0} blobs, expected 1 to {MAX_BLOBS}")]
    Count(usize),
    /// A field element uses its top byte.
    #[error("blob {0} holds a field element above 31 bytes")]
    FieldElement(usize),
    /// Wrong version, index, count or length, or bytes after the frame.
    #[error("blob {0} is not the expected frame")]
    Frame(usize),
}

/// Cuts a channel into as few blobs as possible.
pub fn blobs_from_channel(channel: &[u8]) -> Result<Vec<Blob>, FrameError> {
    let needed = channel.len().div_ceil(BLOB_CAPACITY);
    if needed == 0 || needed > MAX_BLOBS {
        return Err(FrameError::Count(needed));
    }
    let blobs = channel.chunks(BLOB_CAPACITY).enumerate();
    Ok(blobs.map(|(index, part)| blob(index as u8, needed as u8, part)).collect())
}

/// Joins the frames of all blobs of one batch, in their order in the transaction.
pub fn channel_from_blobs(blobs: &[Blob]) -> Result<Vec<u8>, FrameError> {
    let count = blobs.len();
    if count == 0 || count > MAX_BLOBS {
        return Err(FrameError::Count(count));
    }
    let mut channel = Vec::with_capacity(count.saturating_mul(BLOB_CAPACITY));
    for (index, blob) in blobs.iter().enumerate() {
        let data = usable_bytes(index, blob)?;
        let part = frame(index, count, &data).ok_or(FrameError::Frame(index))?;
        channel.extend_from_slice(part);
    }
    Ok(channel)
}

fn blob(index: u8, count: u8, part: &[u8]) -> Blob {
    let [_, high, middle, low] = (part.len() as u32).to_be_bytes();
    let header = [FRAME_VERSION, index, count, high, middle, low];
    let mut bytes = header.into_iter().chain(part.iter().copied());
    let mut blob = Blob::default();
    for element in blob.0.chunks_exact_mut(32) {
        for (slot, byte) in element.iter_mut().skip(1).zip(bytes.by_ref().take(USABLE_BYTES)) {
            *slot = byte;
        }
    }
    blob
}

fn usable_bytes(index: usize, blob: &Blob) -> Result<Vec<u8>, FrameError> {
    let mut data = Vec::with_capacity(FIELD_ELEMENTS * USABLE_BYTES);
    for element in blob.0.chunks_exact(32) {
        match element.split_first() {
            Some((0, usable)) => data.extend_from_slice(usable),
            _ => return Err(FrameError::FieldElement(index)),
        }
    }
    Ok(data)
}

fn frame(index: usize, count: usize, data: &[u8]) -> Option<&[u8]> {
    let (header, rest) = data.split_first_chunk::<HEADER_BYTES>()?;
    let [version, at, of, high, middle, low] = *header;
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    let (part, padding) = rest.split_at_checked(length)?;
    let last = index.checked_add(1)? == count;
    let placed = version == FRAME_VERSION && usize::from(at) == index && usize::from(of) == count;
    let filled = if last { length > 0 } else { length == BLOB_CAPACITY };
    (placed && filled && padding.iter().all(|byte| *byte == 0)).then_some(part)
}
