//! Transactions that our own RPC took, kept over restarts.
//!
//! One file of records, appended in order of arrival: `u32` length of what follows the checksum, 4 bytes of its keccak,
//! `u64` milliseconds of arrival, the EIP-2718 bytes; numbers big-endian. A record that a crash has torn ends the file.
//!
//! Policy: a record is handed to the operating system before RPC answers, so it survives the process; it is synced within
//! a second ([`crate::transactions::SYNC_INTERVAL`]), so a power cut may take the last second. When the file has doubled
//! since, it is written anew with what is still pooled: it stays below twice the pool's bytes (and a floor).

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use alloy_primitives::{Bytes, keccak256};
use protocol::limits::MAX_TRANSACTION_BYTES;

/// Below this the file is never written anew.
const ROTATION_FLOOR: u64 = 1 << 20;
/// Most bytes read back: more than twice what a pool holds is not ours.
const MAX_READ: u64 = 256 << 20;
const LENGTH_BYTES: usize = 4;
const CHECK_BYTES: usize = 4;
const TIME_BYTES: usize = 8;

/// A transaction as RPC took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, in milliseconds since the epoch.
    pub arrived_ms: u64,
    /// Its EIP-2718 bytes.
    pub raw: Bytes,
}

/// The open file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// Size at which it is written anew.
    rotate_at: u64,
    unsynced: bool,
}

impl Journal {
    /// Opens or creates the file; returns what it holds. A torn end is cut off.
    ///
    /// # Errors
    /// The disk.
    pub fn open(path: &Path) -> io::Result<(Self, Vec<Entry>)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut content = Vec::new();
        (&mut file).take(MAX_READ).read_to_end(&mut content)?;
        let mut rest = content.as_slice();
        let mut entries = Vec::new();
        while let Some((entry, after)) = decode(rest) {
            entries.push(entry);
            rest = after;
        }
        let bytes = content.len().saturating_sub(rest.len()) as u64;
        if !rest.is_empty() {
            tracing::warn!(bytes = rest.len(), "the transaction journal ends in a torn record, which is dropped");
        }
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        let rotate_at = bytes.saturating_mul(2).max(ROTATION_FLOOR);
        Ok((Self { path: path.to_owned(), file, bytes, rotate_at, unsynced: false }, entries))
    }

    /// Appends a transaction: it is with the operating system when this returns.
    ///
    /// # Errors
    /// The disk. Nothing of the record stays in the file.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut record = Vec::with_capacity(entry.raw.len().saturating_add(16));
        encode(entry, &mut record);
        self.unsynced = true;
        if let Err(error) = self.file.write_all(&record) {
            self.file.set_len(self.bytes)?;
            self.file.seek(SeekFrom::Start(self.bytes))?;
            return Err(error);
        }
        self.bytes = self.bytes.saturating_add(record.len() as u64);
        Ok(())
    }

    /// Whether the file has grown enough to be worth writing anew.
    #[must_use]
    pub const fn wants_rotation(&self) -> bool {
        self.bytes > self.rotate_at
    }

    /// Puts these entries in place of all others: at once, whatever instant the machine dies at.
    ///
    /// # Errors
    /// The disk; the old file stays, or the new one is there and a power cut may bring the old one back. It is not wanted again before
    /// the file has doubled, so that a full disk does not have everything written with every transaction.
    pub fn rewrite(&mut self, entries: impl IntoIterator<Item = Entry>) -> io::Result<()> {
        let replaced = self.replace(entries);
        self.rotate_at = self.bytes.saturating_mul(2).max(ROTATION_FLOOR);
        replaced
    }

    fn replace(&mut self, entries: impl IntoIterator<Item = Entry>) -> io::Result<()> {
        let next = self.path.with_extension("new");
        let mut content = Vec::new();
        entries.into_iter().for_each(|entry| encode(&entry, &mut content));
        let mut file = File::create(&next)?;
        file.write_all(&content)?;
        file.sync_all()?;
        std::fs::rename(&next, &self.path)?;
        // From here on the old file has no name: nothing more may be written to it, whatever fails below.
        self.file = file;
        self.bytes = content.len() as u64;
        self.unsynced = false;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Makes what was appended survive a power cut.
    ///
    /// # Errors
    /// The disk.
    pub fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unsynced) { self.file.sync_data() } else { Ok(()) }
    }

    /// Size of the file.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn encode(entry: &Entry, out: &mut Vec<u8>) {
    let body = [&entry.arrived_ms.to_be_bytes()[..], &entry.raw].concat();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend(keccak256(&body).iter().take(CHECK_BYTES));
    out.extend_from_slice(&body);
}

/// The first record and what follows it; `None` at the end and at damage.
fn decode(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    let (check, rest) = rest.split_first_chunk::<CHECK_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if length > TIME_BYTES.saturating_add(MAX_TRANSACTION_BYTES) {
        return None;
    }
    let (body, rest) = rest.split_at_checked(length)?;
    if !keccak256(body).starts_with(check) {
        return None;
    }
    let (time, raw) = body.split_first_chunk::<TIME_BYTES>()?;
    Some((Entry { arrived_ms: u64::from_be_bytes(*time), raw: Bytes::copy_from_slice(raw) }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64) -> Entry {
        Entry { arrived_ms: number, raw: vec![number as u8; 100 + number as usize].into() }
    }

    fn reopened(path: &Path) -> Vec<Entry> {
        Journal::open(path).unwrap().1
    }

    #[test]
    fn what_was_appended_is_read_back_up_to_any_tear() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, empty) = Journal::open(&path).unwrap();
        assert!(empty.is_empty());
        let entries: Vec<Entry> = (0..5).map(entry).collect();
        entries.iter().for_each(|entry| journal.append(entry).unwrap());
        journal.sync().unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len() as u64, journal.bytes());
        drop(journal);
        let ends: Vec<usize> = (0..=5).map(|count| (0..count).map(|n| 16 + 100 + n as usize).sum()).collect();
        for length in 0..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let kept = ends.iter().filter(|end| **end <= length).count() - 1;
            assert_eq!(reopened(&path), entries[..kept], "{length} bytes left");
        }
        // After a torn end was cut off, appending goes on behind the last whole record.
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&entry(9)).unwrap();
        drop(journal);
        assert_eq!(reopened(&path), [&entries[..4], &[entry(9)]].concat());
    }

    #[test]
    fn a_flipped_bit_ends_the_file_and_never_changes_a_transaction() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let entries: Vec<Entry> = (0..3).map(entry).collect();
        entries.iter().for_each(|entry| journal.append(entry).unwrap());
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            std::fs::write(&path, &damaged).unwrap();
            let read = reopened(&path);
            assert!(read.len() < 3 && entries.starts_with(&read), "byte {at}");
        }
    }

    #[test]
    fn a_failed_rewriting_is_not_tried_again_with_every_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let large = Entry { arrived_ms: 1, raw: vec![1; MAX_TRANSACTION_BYTES].into() };
        let mut entries = Vec::new();
        while !journal.wants_rotation() {
            journal.append(&large).unwrap();
            entries.push(large.clone());
        }
        // Nothing can be written beside the file.
        std::fs::create_dir(path.with_extension("new")).unwrap();
        journal.rewrite([entry(1)]).unwrap_err();
        assert!(!journal.wants_rotation());
        journal.append(&entry(2)).unwrap();
        entries.push(entry(2));
        drop(journal);
        assert_eq!(reopened(&path), entries, "the old file goes on");
    }

    #[test]
    fn rewriting_replaces_all_and_appending_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let large = Entry { arrived_ms: 1, raw: vec![1; MAX_TRANSACTION_BYTES].into() };
        while !journal.wants_rotation() {
            journal.append(&large).unwrap();
        }
        assert!(journal.bytes() > ROTATION_FLOOR);
        journal.rewrite([entry(1), entry(2)]).unwrap();
        assert!(!journal.wants_rotation() && journal.bytes() < 1_000);
        journal.append(&entry(3)).unwrap();
        drop(journal);
        assert_eq!(reopened(&path), [entry(1), entry(2), entry(3)]);
    }
}
