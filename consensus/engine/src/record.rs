//! What this signer has signed, on disk before the signature leaves.
//!
//! The engine's own log would do if it were never deleted, restored from a backup or used by two processes. This record
//! is the second lock on the same door: it keeps every signature of the newest height and refuses a different one.
//! It lives in two slots of one pre-sized file, written in turn, so that a torn write leaves the previous state whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt;
use std::path::Path;

use alloy_primitives::{Address, B256, keccak256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use serde::{Deserialize, Serialize};

/// Bytes of one slot.
const SLOT_BYTES: usize = 16 * 1024;
/// Slots of the file.
const SLOTS: u64 = 2;
/// Signatures kept of one height; older ones are forgotten, and then refused because they are not newer than the rest.
const MAX_ENTRIES: usize = 256;
/// Length and checksum before a slot's payload.
const SLOT_HEADER: usize = 4 + 32;

/// What a signature was for, in the order in which a round uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Slices of a block that was not finished yet; the block hash is zero.
    Slices,
    /// A proposal.
    Proposal,
    /// A prevote.
    Prevote,
    /// A precommit.
    Precommit,
}

impl Step {
    const fn tag(self) -> u8 {
        match self {
            Self::Slices => 0,
            Self::Proposal => 1,
            Self::Prevote => 2,
            Self::Precommit => 3,
        }
    }

    const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            0 => Some(Self::Slices),
            1 => Some(Self::Proposal),
            2 => Some(Self::Prevote),
            3 => Some(Self::Precommit),
            _ => None,
        }
    }
}

/// One signed statement of the newest height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signed {
    /// Round.
    pub round: u32,
    /// Kind of statement.
    pub step: Step,
    /// Proof-of-lock round of a proposal; −1 for none and for everything else.
    pub pol_round: i64,
    /// Block, zero for nil and for slices.
    pub block_hash: B256,
}

impl Signed {
    const fn position(&self) -> (u32, Step) {
        (self.round, self.step)
    }
}

/// The record as operators carry it between machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Interchange {
    /// Whose signatures these are.
    pub signer: Address,
    /// Newest height signed for.
    pub height: u64,
    /// Statements signed at that height, ascending by round and step.
    pub signed: Vec<Signed>,
}

/// Why a signature is refused or the record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file system failed; nothing may be signed.
    #[error("signer record: {0}")]
    Io(#[from] io::Error),
    /// Both slots are damaged.
    #[error(
        "signer record is damaged: move it away, then import an export of it that is not old (horae signer import)"
    )]
    Damaged,
    /// It belongs to another key.
    #[error("signer record belongs to {0}, not to this key")]
    OtherSigner(Address),
    /// Something else was signed at this place.
    #[error("refusing to sign a second, different {step:?} at height {height} round {round}")]
    Conflict {
        /// Height.
        height: u64,
        /// Round.
        round: u32,
        /// Step.
        step: Step,
    },
    /// The place is before the newest signature.
    #[error("refusing to sign {step:?} at height {height} round {round}: the record is already past it")]
    Behind {
        /// Height.
        height: u64,
        /// Round.
        round: u32,
        /// Step.
        step: Step,
    },
    /// The record names signatures that the consensus log does not hold.
    #[error(
        "the signer's record (height {record}) is ahead of the consensus log (height {log}, committed {head}): the data \
         folder was restored or emptied; restore the newest copy, or follow without the key until height {record} is committed"
    )]
    AheadOfLog {
        /// Height of the record.
        record: u64,
        /// Height of the log, 0 without one.
        log: u64,
        /// Committed height.
        head: u64,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    generation: u64,
    height: u64,
    signed: Vec<Signed>,
    /// The engine has replayed its log at this height. What it signs meanwhile leaves without being logged.
    replayed: bool,
}

#[derive(RlpEncodable, RlpDecodable)]
struct EntryOnDisk {
    round: u32,
    step: u8,
    /// Proof-of-lock round + 1.
    pol_round: u64,
    block_hash: B256,
}

#[derive(RlpEncodable, RlpDecodable)]
#[rlp(trailing)]
struct StateOnDisk {
    signer: Address,
    generation: u64,
    height: u64,
    signed: Vec<EntryOnDisk>,
    /// Present if true.
    replayed: Option<bool>,
}

/// The record file, open.
#[derive(Debug)]
pub struct SignerRecord {
    file: File,
    signer: Address,
    state: State,
    /// Height at which the engine replays its log in this run.
    replaying: Option<u64>,
}

impl SignerRecord {
    /// Opens or creates the record at `path`.
    ///
    /// # Errors
    /// I/O failed, both slots are damaged, or the record is another signer's.
    pub fn open(path: &Path, signer: Address) -> Result<Self, RecordError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut record = Self { file, signer, state: State::default(), replaying: None };
        if record.is_blank()? {
            record.file.write_all_at(&vec![0; SLOT_BYTES.saturating_mul(2)], 0)?;
            record.write(State { generation: 1, ..State::default() })?;
            record.file.sync_all()?;
            if let Some(folder) = path.parent() {
                File::open(folder)?.sync_all()?;
            }
            return Ok(record);
        }
        let newest = (0..SLOTS).filter_map(|slot| record.read_slot(slot)).max_by_key(|disk| disk.generation);
        let disk = newest.ok_or(RecordError::Damaged)?;
        if disk.signer != signer {
            return Err(RecordError::OtherSigner(disk.signer));
        }
        record.state = from_disk(disk).ok_or(RecordError::Damaged)?;
        Ok(record)
    }

    /// A new file, or one that a crash left before anything was recorded in it.
    fn is_blank(&self) -> io::Result<bool> {
        let mut bytes = Vec::new();
        (&self.file).take(SLOTS.saturating_mul(SLOT_BYTES as u64)).read_to_end(&mut bytes)?;
        Ok(bytes.iter().all(|byte| *byte == 0))
    }

    /// Newest height signed for; 0 if none.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.state.height
    }

    /// Whether slices may have been signed at a place of the newest height.
    #[must_use]
    pub fn has_slices(&self, height: u64, round: u32) -> bool {
        height == self.state.height && self.state.signed.iter().any(|s| s.position() == (round, Step::Slices))
    }

    /// Whether the signer of this record cannot have signed slices at a place: it is not past, and nobody reserved it.
    #[must_use]
    pub fn excludes_slices(&self, height: u64, round: u32) -> bool {
        let is_past = height < self.state.height;
        let is_forgotten = height == self.state.height && self.state.signed.len() >= MAX_ENTRIES;
        !(is_past || is_forgotten || self.has_slices(height, round))
    }

    /// Makes it durable that slices are about to be signed at a place. What they hold is not known yet, so a place is
    /// reserved once: one write for all of its slices, and none of them ever again after a restart.
    ///
    /// # Errors
    /// The place was reserved before, it is past, or the disk failed.
    pub fn reserve_slices(&mut self, height: u64, round: u32) -> Result<(), RecordError> {
        if self.has_slices(height, round) {
            return Err(RecordError::Conflict { height, round, step: Step::Slices });
        }
        self.admit(height, Signed { round, step: Step::Slices, pol_round: -1, block_hash: B256::ZERO })
    }

    /// Makes a statement durable, after which it may be signed. The same statement again is fine and costs nothing.
    ///
    /// # Errors
    /// A different statement was signed there, the place is past, or the disk failed.
    pub fn admit(&mut self, height: u64, statement: Signed) -> Result<(), RecordError> {
        let (round, step) = statement.position();
        if height < self.state.height {
            return Err(RecordError::Behind { height, round, step });
        }
        let mut signed = if height == self.state.height { self.state.signed.clone() } else { Vec::new() };
        if let Some(before) = signed.iter().find(|s| s.position() == statement.position()) {
            return if *before == statement { Ok(()) } else { Err(RecordError::Conflict { height, round, step }) };
        }
        if signed.last().is_some_and(|last| last.position() > statement.position()) {
            return Err(RecordError::Behind { height, round, step });
        }
        if signed.len() >= MAX_ENTRIES {
            signed.remove(0);
        }
        signed.push(statement);
        let replayed = self.replaying == Some(height) || (self.state.replayed && height == self.state.height);
        self.write(State { generation: self.state.generation.saturating_add(1), height, signed, replayed })
    }

    /// Compares with the consensus log and the committed height.
    ///
    /// A signature leaves the machine only after the engine flushed it to its log. A crash between this record and that
    /// flush leaves exactly one statement here that is not there: it was never sent, and is forgotten, because what led to it
    /// may be lost as well. Anything more is a log that lost entries.
    ///
    /// While the engine replays its log after a crash, it sends what it signs without logging it. At such a height a
    /// statement may be missing there and have been sent, so it is kept: a replay of the same log gives the same again. One
    /// that is missing before a logged one must be of this kind, since a log loses its end and never its middle.
    ///
    /// # Errors
    /// [`RecordError::AheadOfLog`].
    pub fn reconcile(&mut self, head: u64, log: &LoggedStatements) -> Result<(), RecordError> {
        // A log of a later height than the head's is replayed.
        self.replaying = Some(log.height).filter(|height| *height > head);
        if self.state.height <= head {
            return Ok(());
        }
        let ahead = RecordError::AheadOfLog { record: self.state.height, log: log.height, head };
        let is_log_of_height = log.height == self.state.height;
        // Slices are not logged by the engine: the proposal log keeps them.
        let votes = self.state.signed.iter().filter(|s| s.step != Step::Slices);
        let unlogged = votes.filter(|s| !(is_log_of_height && log.signed.contains(s)));
        let newest = log.signed.iter().filter(|_| is_log_of_height).map(Signed::position).max();
        let is_logged_otherwise = |s: &&Signed| log.signed.iter().any(|logged| logged.position() == s.position());
        let is_contradicted = is_log_of_height && unlogged.clone().any(|s| is_logged_otherwise(&s));
        if is_contradicted || self.state.height > head.saturating_add(1) {
            return Err(ahead);
        }
        let missing: Vec<Signed> = unlogged.filter(|s| Some(s.position()) > newest).copied().collect();
        match missing.as_slice() {
            [] => Ok(()),
            _ if is_log_of_height && self.state.replayed => Ok(()),
            [only] if is_log_of_height && self.state.signed.last() == Some(only) => {
                self.state.signed.pop();
                Ok(())
            }
            _ => Err(ahead),
        }
    }

    /// The record for another machine.
    #[must_use]
    pub fn export(&self) -> Interchange {
        Interchange { signer: self.signer, height: self.state.height, signed: self.state.signed.clone() }
    }

    /// Takes over an exported record. It can only add to what is known here.
    ///
    /// # Errors
    /// It is another signer's, older than this one, contradicts it, or is malformed.
    pub fn import(&mut self, other: &Interchange) -> Result<(), RecordError> {
        if other.signer != self.signer {
            return Err(RecordError::OtherSigner(other.signer));
        }
        let ordered = other.signed.is_sorted_by(|a, b| a.position() < b.position());
        if !ordered || other.signed.len() > MAX_ENTRIES {
            return Err(RecordError::Damaged);
        }
        if other.signed.is_empty() && other.height > self.state.height {
            return self.write(State {
                generation: self.state.generation.saturating_add(1),
                height: other.height,
                ..State::default()
            });
        }
        other.signed.iter().try_for_each(|statement| self.admit(other.height, *statement))
    }

    fn write(&mut self, state: State) -> Result<(), RecordError> {
        let mut payload = Vec::new();
        to_disk(self.signer, &state).encode(&mut payload);
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let mut slot = Vec::with_capacity(SLOT_HEADER.saturating_add(payload.len()));
        slot.extend_from_slice(&length.to_be_bytes());
        slot.extend_from_slice(keccak256(&payload).as_slice());
        slot.extend_from_slice(&payload);
        if slot.len() > SLOT_BYTES {
            return Err(io::Error::other("state exceeds its slot").into());
        }
        let at = (state.generation % SLOTS).saturating_mul(SLOT_BYTES as u64);
        self.file.write_all_at(&slot, at)?;
        // The file is pre-sized, so its data are all there is to flush.
        self.file.sync_data()?;
        self.state = state;
        metrics::counter!("horae_consensus_signer_record_syncs_total").increment(1);
        Ok(())
    }

    fn read_slot(&self, slot: u64) -> Option<StateOnDisk> {
        let mut bytes = vec![0; SLOT_BYTES];
        self.file.read_exact_at(&mut bytes, slot.saturating_mul(SLOT_BYTES as u64)).ok()?;
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (checksum, rest) = rest.split_first_chunk::<32>()?;
        let payload = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        if keccak256(payload).0 != *checksum {
            return None;
        }
        StateOnDisk::decode(&mut &*payload).ok()
    }
}

fn to_disk(signer: Address, state: &State) -> StateOnDisk {
    StateOnDisk {
        signer,
        generation: state.generation,
        height: state.height,
        signed: state
            .signed
            .iter()
            .map(|s| EntryOnDisk {
                round: s.round,
                step: s.step.tag(),
                pol_round: u64::try_from(s.pol_round.saturating_add(1)).unwrap_or_default(),
                block_hash: s.block_hash,
            })
            .collect(),
        replayed: state.replayed.then_some(true),
    }
}

fn from_disk(disk: StateOnDisk) -> Option<State> {
    let signed = disk
        .signed
        .into_iter()
        .map(|entry| {
            Some(Signed {
                round: entry.round,
                step: Step::from_tag(entry.step)?,
                pol_round: i64::try_from(entry.pol_round).ok()?.saturating_sub(1),
                block_hash: entry.block_hash,
            })
        })
        .collect::<Option<_>>()?;
    let replayed = disk.replayed.unwrap_or_default();
    Some(State { generation: disk.generation, height: disk.height, signed, replayed })
}

/// This signer's statements in the engine's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggedStatements {
    /// Height the log is at; 0 without a log.
    pub height: u64,
    /// Own votes and proposals in it.
    pub signed: Vec<Signed>,
}

#[cfg(test)]
mod tests;
