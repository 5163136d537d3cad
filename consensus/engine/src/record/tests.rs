use std::path::PathBuf;

use super::*;

struct Fixture {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signer.record");
        Self { _folder: folder, path }
    }

    fn open(&self) -> SignerRecord {
        SignerRecord::open(&self.path, ME).unwrap()
    }
}

const ME: Address = Address::repeat_byte(7);

fn signed(round: u32, step: Step, byte: u8) -> Signed {
    Signed { round, step, pol_round: -1, block_hash: B256::repeat_byte(byte) }
}

fn log(height: u64, signed: &[Signed]) -> LoggedStatements {
    LoggedStatements { height, signed: signed.to_vec() }
}

#[test]
fn each_place_is_signed_once_across_restarts() {
    let fixture = Fixture::new();
    let mut record = fixture.open();
    record.admit(5, signed(0, Step::Prevote, 1)).unwrap();
    for mut record in [record, fixture.open()] {
        record.admit(5, signed(0, Step::Prevote, 1)).unwrap();
        let conflict = record.admit(5, signed(0, Step::Prevote, 2));
        assert!(matches!(conflict, Err(RecordError::Conflict { height: 5, round: 0, step: Step::Prevote })));
        assert!(matches!(record.admit(5, signed(0, Step::Proposal, 1)), Err(RecordError::Behind { .. })));
        assert!(matches!(record.admit(4, signed(9, Step::Precommit, 1)), Err(RecordError::Behind { .. })));
    }
}

#[test]
fn a_refusal_changes_nothing_and_later_places_go_on() {
    let fixture = Fixture::new();
    let mut record = fixture.open();
    record.admit(5, signed(0, Step::Precommit, 1)).unwrap();
    let before = record.export();
    record.admit(5, signed(0, Step::Precommit, 2)).unwrap_err();
    assert_eq!(record.export(), before);
    record.admit(6, signed(0, Step::Prevote, 4)).unwrap();
    assert_eq!(fixture.open().export(), record.export());
}

/// Slices leave before their block is known: after a crash nobody can tell which, so the place is never used again.
#[test]
fn slices_of_a_place_are_reserved_once_across_restarts() {
    let fixture = Fixture::new();
    let mut record = fixture.open();
    record.reserve_slices(5, 1).unwrap();
    for mut record in [record, fixture.open()] {
        assert!(record.has_slices(5, 1) && !record.has_slices(5, 0) && !record.has_slices(6, 1));
        assert!(record.excludes_slices(5, 0) && record.excludes_slices(6, 1));
        assert!(!record.excludes_slices(5, 1) && !record.excludes_slices(4, 0), "done, and past");
        let again = record.reserve_slices(5, 1);
        assert!(matches!(again, Err(RecordError::Conflict { height: 5, round: 1, step: Step::Slices })));
        assert!(matches!(record.reserve_slices(5, 0), Err(RecordError::Behind { .. })));
    }
    let mut record = fixture.open();
    record.admit(5, signed(1, Step::Prevote, 0)).unwrap();
    record.reserve_slices(5, 2).unwrap();
    record.reserve_slices(6, 0).unwrap();
    assert!(!record.has_slices(5, 1));
}

#[test]
fn a_torn_write_leaves_the_state_before() {
    let fixture = Fixture::new();
    let mut record = fixture.open();
    record.admit(5, signed(0, Step::Prevote, 1)).unwrap();
    let before = record.export();
    record.admit(5, signed(0, Step::Precommit, 1)).unwrap();
    let newest = (record.state.generation % SLOTS) * SLOT_BYTES as u64;
    record.file.write_all_at(&[0xff; 8], newest + 40).unwrap();
    drop(record);
    assert_eq!(fixture.open().export(), before);
    let other = SignerRecord::open(&fixture.path, Address::ZERO);
    assert!(matches!(other, Err(RecordError::OtherSigner(ME))));
    std::fs::write(&fixture.path, vec![1; 2 * SLOT_BYTES]).unwrap();
    assert!(matches!(SignerRecord::open(&fixture.path, ME), Err(RecordError::Damaged)));
}

/// A crash after the record and before the engine's log: that one statement was never sent and may be made anew.
#[test]
fn the_one_statement_a_crash_kept_from_the_log_is_forgotten() {
    let fixture = Fixture::new();
    let (prevote, precommit) = (signed(0, Step::Prevote, 1), signed(0, Step::Precommit, 1));
    let mut record = fixture.open();
    record.admit(5, prevote).unwrap();
    record.admit(5, precommit).unwrap();
    record.reconcile(4, &log(5, &[prevote])).unwrap();
    assert_eq!(record.export().signed, vec![prevote]);
    record.admit(5, signed(0, Step::Precommit, 0)).unwrap();
    record.admit(5, signed(0, Step::Precommit, 1)).unwrap_err();
}

#[test]
fn a_log_that_lost_entries_is_refused() {
    let (slices, prevote, precommit) =
        (signed(0, Step::Slices, 1), signed(0, Step::Prevote, 1), signed(0, Step::Precommit, 1));
    let check = |head: u64, log: LoggedStatements, refused: bool| {
        let fixture = Fixture::new();
        let mut record = fixture.open();
        for statement in [slices, prevote, precommit] {
            record.admit(5, statement).unwrap();
        }
        let result = record.reconcile(head, &log);
        assert_eq!(matches!(result, Err(RecordError::AheadOfLog { record: 5, .. })), refused, "{head} {log:?}");
    };
    check(5, log(0, &[]), false);
    check(4, log(5, &[prevote, precommit]), false);
    check(4, log(0, &[]), true);
    check(4, log(5, &[]), true);
    check(4, log(5, &[precommit]), false);
    check(4, log(5, &[signed(0, Step::Prevote, 2), precommit]), true);
    check(4, log(4, &[prevote, precommit]), true);
    check(3, log(5, &[prevote, precommit]), true);
}

/// What the engine signs while it replays its log is sent and not logged: it stays, through any number of restarts.
#[test]
fn what_was_signed_in_a_replay_is_never_forgotten() {
    let fixture = Fixture::new();
    let (prevote, precommit) = (signed(0, Step::Prevote, 1), signed(0, Step::Precommit, 1));
    let mut record = fixture.open();
    record.admit(5, prevote).unwrap();
    record.admit(5, precommit).unwrap();
    drop(record);
    // The crash kept it from the log; the replay makes it again.
    let mut record = fixture.open();
    record.reconcile(4, &log(5, &[prevote])).unwrap();
    record.admit(5, precommit).unwrap();
    drop(record);
    let mut record = fixture.open();
    record.reconcile(4, &log(5, &[prevote])).unwrap();
    record.admit(5, precommit).unwrap();
    let other = record.admit(5, signed(0, Step::Precommit, 0));
    assert!(matches!(other, Err(RecordError::Conflict { height: 5, round: 0, step: Step::Precommit })));
    // The height goes on and is logged again.
    let later = signed(1, Step::Prevote, 0);
    record.admit(5, later).unwrap();
    drop(record);
    let mut record = fixture.open();
    record.reconcile(4, &log(5, &[prevote, later])).unwrap();
    assert_eq!(record.export().signed, [prevote, precommit, later]);
    // Nor does it matter that the record begins with the replay.
    let fixture = Fixture::new();
    let mut record = fixture.open();
    record.reconcile(4, &log(5, &[])).unwrap();
    record.admit(5, prevote).unwrap();
    drop(record);
    let mut record = fixture.open();
    record.reconcile(4, &log(5, &[])).unwrap();
    record.admit(5, signed(0, Step::Prevote, 0)).unwrap_err();
    // The next height is another matter.
    record.admit(6, prevote).unwrap();
    drop(record);
    let mut record = fixture.open();
    record.reconcile(5, &log(6, &[])).unwrap();
    record.admit(6, signed(0, Step::Prevote, 0)).unwrap();
}

#[test]
fn a_file_that_was_never_written_to_is_new() {
    for length in [1, 2 * SLOT_BYTES] {
        let fixture = Fixture::new();
        std::fs::write(&fixture.path, vec![0; length]).unwrap();
        fixture.open().admit(5, signed(0, Step::Prevote, 1)).unwrap();
        assert_eq!(fixture.open().height(), 5);
    }
}

#[test]
fn an_export_moves_to_another_machine_and_never_back_in_time() {
    let (here, there) = (Fixture::new(), Fixture::new());
    let mut record = here.open();
    record.admit(5, signed(0, Step::Prevote, 1)).unwrap();
    let mut other = there.open();
    other.import(&record.export()).unwrap();
    assert_eq!(there.open().export(), record.export());
    other.admit(5, signed(0, Step::Prevote, 2)).unwrap_err();
    other.admit(6, signed(0, Step::Prevote, 2)).unwrap();
    other.import(&record.export()).unwrap_err();
    let stranger = Interchange { signer: Address::ZERO, height: 9, signed: vec![] };
    assert!(matches!(other.import(&stranger), Err(RecordError::OtherSigner(_))));
}

#[test]
fn endless_rounds_keep_the_newest_places() {
    let fixture = Fixture::new();
    let mut record = fixture.open();
    let rounds = MAX_ENTRIES as u32 + 10;
    for round in 0..rounds {
        record.admit(5, signed(round, Step::Prevote, 1)).unwrap();
    }
    let mut record = fixture.open();
    assert!(matches!(record.admit(5, signed(3, Step::Prevote, 2)), Err(RecordError::Behind { .. })));
    assert!(matches!(record.admit(5, signed(rounds - 1, Step::Prevote, 2)), Err(RecordError::Conflict { .. })));
}
