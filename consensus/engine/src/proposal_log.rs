//! Blocks under vote, on disk: a voter that crashed must still hold what it voted for.
//!
//! One append-only file of (length, checksum, slices or block); emptied whenever a height is committed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use malachite::app::types::codec::Codec as _;

use crate::codec::RlpCodec;
use crate::context::Slice;
use crate::slices;

/// Blocks kept of one height; a height that needs more rounds keeps the newest.
pub(crate) const MAX_BLOCKS: usize = 32;
/// The file is abandoned for a fresh one beyond this; only thousands of failed rounds at one height get there.
const MAX_LOG_BYTES: u64 = 256 * 1024 * 1024;

/// A block under vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undecided {
    /// Height.
    pub(crate) height: u64,
    /// Round whose leader built it.
    pub(crate) round: u32,
    /// That leader.
    pub(crate) leader: Address,
    /// Hash.
    pub(crate) hash: B256,
    /// Encoded block.
    pub(crate) block: Bytes,
    /// Slices it came in; empty if it came from a peer's history.
    pub(crate) slices: Vec<Slice>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct OnDisk {
    height: u64,
    round: u32,
    leader: Address,
    hash: B256,
    block: Bytes,
    slices: Vec<Bytes>,
}

/// The file, open for appending.
#[derive(Debug)]
pub(crate) struct ProposalLog {
    file: File,
    bytes: u64,
}

impl ProposalLog {
    /// Opens the log and returns what it holds; a torn tail is cut off.
    ///
    /// # Errors
    /// I/O failed.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<Undecided>)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        (&file).take(MAX_LOG_BYTES).read_to_end(&mut bytes)?;
        let mut rest = bytes.as_slice();
        let mut blocks = Vec::new();
        while let Some((block, after)) = read_one(rest) {
            blocks.push(block);
            rest = after;
        }
        let whole = (bytes.len().saturating_sub(rest.len())) as u64;
        file.set_len(whole)?;
        file.seek(io::SeekFrom::End(0))?;
        Ok((Self { file, bytes: whole }, blocks))
    }

    /// The newest entry with this hash that `is_whole`: more blocks were written than are kept in memory. Reads the whole file.
    ///
    /// # Errors
    /// I/O failed.
    pub(crate) fn find(&self, hash: &B256, is_whole: impl Fn(&Bytes) -> bool) -> io::Result<Option<Undecided>> {
        let mut file = &self.file;
        file.seek(io::SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        file.take(self.bytes).read_to_end(&mut bytes)?;
        (&self.file).seek(io::SeekFrom::End(0))?;
        let mut rest = bytes.as_slice();
        let mut found = None;
        while let Some((block, after)) = read_one(rest) {
            if block.hash == *hash && is_whole(&block.block) {
                found = Some(block);
            }
            rest = after;
        }
        Ok(found)
    }

    /// Appends a block and flushes it.
    ///
    /// # Errors
    /// I/O failed; the block must not be voted for.
    pub(crate) fn append(&mut self, undecided: &Undecided) -> io::Result<()> {
        if self.bytes > MAX_LOG_BYTES {
            self.clear()?;
        }
        let mut payload = Vec::new();
        let slices = undecided
            .slices
            .iter()
            .map(|slice| RlpCodec.encode(slice).map(Bytes::from).map_err(io::Error::other))
            .collect::<io::Result<_>>()?;
        // With slices the block is stored once, inside them.
        let block = if undecided.slices.is_empty() { undecided.block.clone() } else { Bytes::new() };
        let Undecided { height, round, leader, hash, .. } = *undecided;
        OnDisk { height, round, leader, hash, block, slices }.encode(&mut payload);
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let mut entry = Vec::with_capacity(payload.len().saturating_add(36));
        entry.extend_from_slice(&length.to_be_bytes());
        entry.extend_from_slice(keccak256(&payload).as_slice());
        entry.extend_from_slice(&payload);
        self.file.write_all(&entry)?;
        self.file.sync_data()?;
        self.bytes = self.bytes.saturating_add(entry.len() as u64);
        metrics::counter!("horae_consensus_proposal_log_syncs_total").increment(1);
        Ok(())
    }

    /// Forgets everything: the height is committed. Not flushed, because stale entries are ignored.
    ///
    /// # Errors
    /// I/O failed.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(io::SeekFrom::Start(0))?;
        self.bytes = 0;
        Ok(())
    }
}

fn read_one(bytes: &[u8]) -> Option<(Undecided, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<32>()?;
    let (payload, after) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    if keccak256(payload).0 != *checksum {
        return None;
    }
    let disk = OnDisk::decode(&mut &*payload).ok()?;
    let slices: Vec<Slice> =
        disk.slices.into_iter().map(|slice| RlpCodec.decode(slice.0).ok()).collect::<Option<_>>()?;
    let block = if slices.is_empty() { disk.block } else { slices::join(&slices)?.1 };
    let OnDisk { height, round, leader, hash, .. } = disk;
    Some((Undecided { height, round, leader, hash, block, slices }, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slices::tests::signed;

    fn undecided(round: u32) -> Undecided {
        let slices = signed(5, round, round as u8, 300);
        let (hash, block) = slices::join(&slices).unwrap();
        Undecided { height: 5, round, leader: Address::repeat_byte(2), hash, block, slices }
    }

    #[test]
    fn blocks_survive_a_restart_and_a_torn_tail_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut log, empty) = ProposalLog::open(&path).unwrap();
        assert!(empty.is_empty());
        let synced = Undecided { slices: vec![], ..undecided(1) };
        log.append(&undecided(0)).unwrap();
        log.append(&synced).unwrap();
        log.append(&undecided(2)).unwrap();
        let length = log.file.metadata().unwrap().len();
        log.file.set_len(length - 1).unwrap();
        let (mut log, blocks) = ProposalLog::open(&path).unwrap();
        assert_eq!(blocks, vec![undecided(0), synced.clone()]);
        log.append(&undecided(3)).unwrap();
        assert_eq!(ProposalLog::open(&path).unwrap().1, vec![undecided(0), synced, undecided(3)]);
        log.clear().unwrap();
        log.append(&undecided(4)).unwrap();
        assert_eq!(ProposalLog::open(&path).unwrap().1, vec![undecided(4)]);
    }
}
