//! Typed columns: one stream per field, so that like stands beside like for the compressor.
//!
//! The encoding needs no sender: nothing is recovered, and a batch decodes at the speed of copying.

mod access;
mod decode;
mod encode;
mod words;

pub(crate) use decode::decode;
pub(crate) use encode::{Encoded, encode};

/// Number of byte streams, in this order, each preceded by its length as a varint.
const STREAMS: usize = 19;

/// Low bits of the kind byte.
mod kind {
    /// Legacy transaction with the chain id in `v` (EIP-155).
    pub(super) const LEGACY: u8 = 0;
    /// Legacy transaction without a chain id.
    pub(super) const LEGACY_UNPROTECTED: u8 = 1;
    /// EIP-2930.
    pub(super) const ACCESS_LIST: u8 = 2;
    /// EIP-1559.
    pub(super) const DYNAMIC_FEE: u8 = 3;
    /// EIP-7702.
    pub(super) const SET_CODE: u8 = 4;
    /// Any other bytes, stored as they are.
    pub(super) const RAW: u8 = 7;
    /// Flag: the transaction creates a contract.
    pub(super) const CREATE: u8 = 8;
}

/// Whether calldata of this length is treated as a selector and 32-byte words. Other data (init code, packed calls) is
/// left to the compressor whole.
const fn is_abi_shaped(creates: bool, length: usize) -> bool {
    !creates && length >= 4 && (length - 4).is_multiple_of(32)
}
