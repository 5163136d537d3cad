//! Blocks of the height under vote: slices coming in, blocks put together, and what is known about them.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256};
use malachite::app::types::PeerId;
use protocol::Domain;
use protocol::limits::{MAX_BLOCK_BYTES, MAX_SLICES};

use super::HeightView;
use crate::context::Slice;
use crate::proposal_log::{MAX_BLOCKS, Undecided};
use crate::slices::{Assembled, Assembly, Step};

/// Rounds ahead of ours whose slices are kept.
const MAX_ROUNDS_AHEAD: u32 = 8;
/// Slices of the next height that one member may leave until ours is committed, and their bytes: a whole block, so that none
/// takes the place of another's.
const MAX_EARLY_SLICES: usize = MAX_SLICES as usize;
const MAX_EARLY_BYTES: usize = MAX_BLOCK_BYTES;
/// Peers whose relays are put together at the same time; each has one, so a set's members fit twice.
const MAX_RELAYS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Left by a former run, or could not be checked when it came; to be executed again.
    Recovered,
    /// The same, being executed.
    Checking,
    /// Executed and stored here.
    Valid,
    /// The same, from a peer's history.
    Synced,
}

/// What became of a slice.
pub(super) enum Taken {
    /// Not ours to keep, or known.
    Nothing,
    /// A leader of the current height is streaming.
    Progress(Slice),
    /// A block is whole, with this slice.
    Complete(Slice, Box<Undecided>),
    /// Its leader contradicts itself.
    Conflict(Address, Box<(Slice, Slice)>),
}

#[derive(Default)]
pub(super) struct Blocks {
    known: BTreeMap<B256, (Known, Undecided)>,
    assemblies: BTreeMap<u32, Assembly>,
    /// Leaders that have been reported.
    accused: BTreeSet<Address>,
    early: BTreeMap<Address, Early>,
    relays: BTreeMap<PeerId, Relay>,
    /// Slices relayed at this height.
    relayed: u64,
}

/// A block that one peer relays in a round after the one it was made for.
struct Relay {
    round: u32,
    assembly: Assembly,
    /// Its last slice's place among all that were relayed.
    at: u64,
}

/// What one member sent of the next height.
#[derive(Default)]
struct Early {
    slices: Vec<Slice>,
    bytes: usize,
}

impl Blocks {
    /// A new height: everything but early slices goes.
    pub(super) fn start(&mut self, height: u64) {
        self.known.retain(|_, (_, undecided)| undecided.height >= height);
        self.assemblies.clear();
        self.accused.clear();
        self.relays.clear();
    }

    pub(super) fn get(&self, hash: &B256) -> Option<&Undecided> {
        self.known.get(hash).map(|(_, undecided)| undecided)
    }

    /// Executed in this run.
    pub(super) fn is_valid(&self, hash: &B256) -> bool {
        matches!(self.known.get(hash), Some((Known::Valid | Known::Synced, _)))
    }

    pub(super) fn is_synced(&self, hash: &B256) -> bool {
        matches!(self.known.get(hash), Some((Known::Synced, _)))
    }

    /// A block of a round, by its leader.
    pub(super) fn by_leader(&self, round: u32, leader: Address) -> Option<&Undecided> {
        self.known.values().map(|(_, block)| block).find(|block| block.round == round && block.leader == leader)
    }

    /// Blocks of a round that were executed.
    pub(super) fn valid_in(&self, round: u32) -> impl Iterator<Item = &Undecided> {
        let valid = move |entry: &&(Known, Undecided)| entry.0 == Known::Valid && entry.1.round == round;
        self.known.values().filter(valid).map(|(_, undecided)| undecided)
    }

    /// What has come of a round's block.
    pub(super) fn slices_of(&self, round: u32) -> impl Iterator<Item = &Slice> {
        self.assemblies.get(&round).into_iter().flat_map(Assembly::slices)
    }

    /// Blocks of a former run or that could not be checked, each once, to be executed again. They stay known meanwhile, because the engine's log may
    /// decide one of them at any time.
    pub(super) fn take_recovered(&mut self) -> Vec<Undecided> {
        let mut taken = Vec::new();
        for (known, undecided) in self.known.values_mut() {
            if *known == Known::Recovered {
                *known = Known::Checking;
                taken.push(undecided.clone());
            }
        }
        for undecided in &taken {
            // Slices that come again are the ones held here, or evidence.
            let assembly = self.assemblies.entry(undecided.round).or_default();
            for slice in &undecided.slices {
                assembly.add(slice.clone());
            }
        }
        taken
    }

    pub(super) fn recover(&mut self, undecided: Undecided) {
        self.insert(Known::Recovered, undecided);
    }

    pub(super) fn insert_valid(&mut self, undecided: Undecided) {
        self.insert(Known::Valid, undecided);
    }

    pub(super) fn insert_synced(&mut self, undecided: Undecided) {
        self.insert(Known::Synced, undecided);
    }

    fn insert(&mut self, known: Known, undecided: Undecided) {
        if self.known.len() >= MAX_BLOCKS && !self.known.contains_key(&undecided.hash) {
            // Dozens of failed rounds: the block of the oldest round is the least likely to be decided.
            let oldest = self.known.iter().min_by_key(|(_, (_, block))| block.round).map(|(hash, _)| *hash);
            oldest.and_then(|hash| self.known.remove(&hash));
        }
        // A block that came with slices can be relayed; keep that form. A leader can sign another body under the same header.
        let keep_slices = undecided.slices.is_empty();
        let before = self.known.remove(&undecided.hash).map(|(_, before)| before);
        let block = match before {
            Some(before) if keep_slices && !before.slices.is_empty() && before.block == undecided.block => before,
            _ => undecided,
        };
        self.known.insert(block.hash, (known, block));
    }

    pub(super) fn take_early(&mut self) -> Vec<Slice> {
        std::mem::take(&mut self.early).into_values().flat_map(|early| early.slices).collect()
    }

    /// Takes a slice from the network. Only the leader of its round may have signed it.
    pub(super) fn take(&mut self, view: &HeightView, domain: &Domain, round: u32, slice: Slice) -> Taken {
        if slice.height.0 == view.height.saturating_add(1) {
            self.keep_early(view, domain, slice);
            return Taken::Nothing;
        }
        let at = slice.round.0;
        if slice.height.0 != view.height || at > round.saturating_add(MAX_ROUNDS_AHEAD) {
            return Taken::Nothing;
        }
        let Some(leader) = view.leadership.leader(at) else { return Taken::Nothing };
        if slice.signer(domain) != Some(leader) {
            tracing::debug!(height = view.height, round = at, "slice of a stranger");
            return Taken::Nothing;
        }
        if self.assemblies.len() >= MAX_BLOCKS && !self.assemblies.contains_key(&at) {
            self.assemblies.pop_first();
        }
        match self.assemblies.entry(at).or_default().add(slice.clone()) {
            Step::Known => Taken::Nothing,
            Step::Incomplete => Taken::Progress(slice),
            Step::Broken => {
                tracing::warn!(height = view.height, round = at, %leader, "broken slices");
                Taken::Nothing
            }
            Step::Complete(whole) => Taken::Complete(slice, Box::new(undecided(view, at, leader, *whole))),
            Step::Conflict(pair) if self.accused.insert(leader) => Taken::Conflict(leader, pair),
            Step::Conflict(_) => Taken::Nothing,
        }
    }

    /// Puts a block together from what one peer relays. A leader may have sent us another body than the others, or another block,
    /// and what came first keeps its places: whoever relays shows the block that two thirds voted for, and is heard by itself.
    pub(super) fn relayed(
        &mut self,
        view: &HeightView,
        domain: &Domain,
        round: u32,
        peer: PeerId,
        slice: Slice,
    ) -> Option<Undecided> {
        let at = slice.round.0;
        let is_of_round = slice.height.0 == view.height && at <= round.saturating_add(MAX_ROUNDS_AHEAD);
        let leader = view.leadership.leader(at).filter(|_| is_of_round)?;
        if slice.signer(domain) != Some(leader) {
            return None;
        }
        if self.relays.len() >= MAX_RELAYS && !self.relays.contains_key(&peer) {
            let oldest = self.relays.iter().min_by_key(|(_, relay)| relay.at).map(|(peer, _)| *peer);
            oldest.and_then(|peer| self.relays.remove(&peer));
        }
        self.relayed = self.relayed.saturating_add(1);
        let relay =
            self.relays.entry(peer).or_insert_with(|| Relay { round: at, assembly: Assembly::default(), at: 0 });
        relay.at = self.relayed;
        if relay.round != at {
            (relay.round, relay.assembly) = (at, Assembly::default());
        }
        let Step::Complete(whole) = relay.assembly.add(slice) else { return None };
        let is_first = self.assemblies.get(&at).is_some_and(|first| first.slices().eq(&whole.slices));
        let is_known = is_first || self.known.get(&whole.hash).is_some_and(|(_, known)| known.block == whole.block);
        (!is_known).then(|| undecided(view, at, leader, *whole))
    }

    fn keep_early(&mut self, view: &HeightView, domain: &Domain, slice: Slice) {
        // Who leads the next height is not known yet; that it is a member is what can be checked.
        let is_member = |signer: &Address| view.leadership.set.index_of(*signer).is_some();
        let Some(signer) = slice.signer(domain).filter(is_member) else { return };
        let early = self.early.entry(signer).or_default();
        let bytes = early.bytes.saturating_add(slice.body.bytes().len());
        if early.slices.len() < MAX_EARLY_SLICES && bytes <= MAX_EARLY_BYTES {
            early.bytes = bytes;
            early.slices.push(slice);
        }
    }
}

fn undecided(view: &HeightView, round: u32, leader: Address, whole: Assembled) -> Undecided {
    let Assembled { hash, block, slices } = whole;
    Undecided { height: view.height, round, leader, hash, block, slices }
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::SigningKey;
    use protocol::signing::address_of;
    use protocol::{CompactSignature, Height, Leadership, Member, Round, SequencerSet, SnapshotId, Weight, slice};

    use super::*;
    use crate::slices::tests::bodies;

    struct Fixture {
        keys: Vec<SigningKey>,
        domain: Domain,
        view: HeightView,
    }

    /// Two members; the first leads even rounds.
    fn fixture() -> Fixture {
        let mut keys: Vec<SigningKey> = [3, 4].map(|byte| SigningKey::from_slice(&[byte; 32]).unwrap()).into();
        keys.sort_by_key(address_of);
        let leaders: Vec<Address> = keys.iter().map(address_of).collect();
        let members = leaders.iter().map(|signer| Member { signer: *signer, weight: Weight(1) }).collect();
        let set = SequencerSet::new(SnapshotId(1), members).unwrap();
        let view = HeightView::new(Leadership { height: Height(5), set, leaders }).unwrap();
        Fixture { keys, domain: Domain::new(900, Address::ZERO), view }
    }

    fn peer(seed: u8) -> PeerId {
        let key = malachite::app::types::Keypair::ed25519_from_bytes([seed; 32]).unwrap();
        PeerId::from_bytes(&key.public().to_peer_id().to_bytes()).unwrap()
    }

    impl Fixture {
        fn slices(&self, key: &SigningKey, height: u64, round: u32, tag: u8) -> Vec<Slice> {
            let (height, round) = (Height(height), Round(round));
            let sign = |(index, body)| {
                let digest = self.domain.digest(&slice::statement(height, round, index, &body));
                let signature = CompactSignature::sign(key, &digest).unwrap();
                Slice { height, round, index, body, signature }
            };
            (0..).zip(bodies(tag, 20)).map(sign).collect()
        }

        fn take_all(&self, blocks: &mut Blocks, slices: Vec<Slice>) -> Vec<Taken> {
            slices.into_iter().map(|slice| blocks.take(&self.view, &self.domain, 0, slice)).collect()
        }
    }

    #[test]
    fn only_the_leader_of_the_round_is_heard() {
        let fixture = fixture();
        let mut blocks = Blocks::default();
        let foreign = fixture.slices(&fixture.keys[1], 5, 0, 1);
        assert!(fixture.take_all(&mut blocks, foreign).iter().all(|taken| matches!(taken, Taken::Nothing)));
        let too_far = fixture.slices(&fixture.keys[0], 5, MAX_ROUNDS_AHEAD + 2, 1);
        assert!(fixture.take_all(&mut blocks, too_far).iter().all(|taken| matches!(taken, Taken::Nothing)));
        for (key, round) in [(0, 0), (1, 1), (0, 2)] {
            let taken = fixture.take_all(&mut blocks, fixture.slices(&fixture.keys[key], 5, round, 1));
            let [Taken::Progress(_), Taken::Complete(_, block)] = &taken[..] else {
                panic!("round {round} is not complete")
            };
            assert_eq!((block.round, block.leader), (round, address_of(&fixture.keys[key])));
        }
    }

    #[test]
    fn a_leader_that_contradicts_itself_is_reported_once() {
        let fixture = fixture();
        let mut blocks = Blocks::default();
        fixture.take_all(&mut blocks, fixture.slices(&fixture.keys[0], 5, 0, 1));
        let again = fixture.take_all(&mut blocks, fixture.slices(&fixture.keys[0], 5, 0, 2));
        let conflicts = again.iter().filter(|taken| matches!(taken, Taken::Conflict(..)));
        assert_eq!(conflicts.count(), 1);
    }

    #[test]
    fn a_relayed_block_is_heard_though_its_leader_sent_another_one_first() {
        let fixture = fixture();
        let mut blocks = Blocks::default();
        let ours = fixture.slices(&fixture.keys[0], 5, 0, 1);
        let theirs = fixture.slices(&fixture.keys[0], 5, 0, 2);
        // The same header over another body, and another header.
        let other_body = {
            let place = (Height(5), Round(0));
            let body = crate::context::SliceBody::Data(vec![9; 12].into());
            let digest = fixture.domain.digest(&slice::statement(place.0, place.1, 0, &body));
            let signature = CompactSignature::sign(&fixture.keys[0], &digest).unwrap();
            vec![Slice { body, signature, ..ours[0].clone() }, ours[1].clone()]
        };
        fixture.take_all(&mut blocks, other_body);
        let mut relay = |peer, slices: &[Slice]| {
            let relayed = slices.iter().map(|slice| {
                blocks.take(&fixture.view, &fixture.domain, 3, slice.clone());
                blocks.relayed(&fixture.view, &fixture.domain, 3, peer, slice.clone())
            });
            relayed.collect::<Vec<_>>()
        };
        let [liar, first, second] = [1, 2, 3].map(peer);
        assert_eq!(relay(liar, &theirs[..1]), [None]);
        let [None, Some(body)] = &relay(first, &ours)[..] else { panic!("the body that others have is not heard") };
        let [None, Some(block)] = &relay(second, &theirs)[..] else {
            panic!("the block that others have is not heard")
        };
        assert_eq!((body.slices.as_slice(), block.slices.as_slice()), (&ours[..], &theirs[..]));
        assert_eq!((body.round, body.leader), (0, address_of(&fixture.keys[0])));
        // Strangers' slices are nobody's, and peers have their bound.
        let strange = fixture.slices(&fixture.keys[1], 5, 0, 3);
        assert!(relay(first, &strange).iter().all(Option::is_none));
        for seed in 0..2 * MAX_RELAYS as u8 {
            relay(peer(seed), &theirs[..1]);
        }
        assert_eq!(blocks.relays.len(), MAX_RELAYS);
        blocks.start(6);
        assert!(blocks.relays.is_empty());
    }

    #[test]
    fn a_relayed_block_that_is_here_is_not_executed_again() {
        let fixture = fixture();
        let mut blocks = Blocks::default();
        let slices = fixture.slices(&fixture.keys[0], 5, 0, 1);
        let whole = fixture.take_all(&mut blocks, slices.clone()).pop();
        assert!(matches!(whole, Some(Taken::Complete(..))));
        let peer = peer(1);
        let mut relay =
            slices.iter().map(|slice| blocks.relayed(&fixture.view, &fixture.domain, 1, peer, slice.clone()));
        assert!(relay.all(|whole| whole.is_none()));
    }

    #[test]
    fn slices_of_the_next_height_wait_if_a_member_signed_them() {
        let fixture = fixture();
        let mut blocks = Blocks::default();
        let stranger = SigningKey::from_slice(&[9; 32]).unwrap();
        fixture.take_all(&mut blocks, fixture.slices(&stranger, 6, 0, 1));
        fixture.take_all(&mut blocks, fixture.slices(&fixture.keys[0], 7, 0, 1));
        assert!(blocks.take_early().is_empty());
        let early = fixture.slices(&fixture.keys[1], 6, 0, 1);
        fixture.take_all(&mut blocks, early.clone());
        blocks.start(6);
        assert_eq!(blocks.take_early(), early);
    }

    #[test]
    fn slices_of_a_later_round_wait_for_it() {
        let fixture = fixture();
        let mut blocks = Blocks::default();
        let later = fixture.slices(&fixture.keys[1], 5, 1, 1);
        fixture.take_all(&mut blocks, later.clone());
        assert!(blocks.slices_of(1).eq(&later) && blocks.slices_of(0).next().is_none());
    }

    #[test]
    fn a_member_that_floods_the_next_height_takes_nobody_s_place() {
        let fixture = fixture();
        let mut blocks = Blocks::default();
        let flood = (0..2 * MAX_SLICES).flat_map(|round| fixture.slices(&fixture.keys[1], 6, round, 1)).collect();
        fixture.take_all(&mut blocks, flood);
        let honest = fixture.slices(&fixture.keys[0], 6, 0, 1);
        fixture.take_all(&mut blocks, honest.clone());
        let early = blocks.take_early();
        assert!(honest.iter().all(|slice| early.contains(slice)));
        assert_eq!(early.len(), MAX_EARLY_SLICES + honest.len(), "the flood has its bound");
    }

    #[test]
    fn recovered_blocks_are_taken_up_once_and_stay_known() {
        let fixture = fixture();
        let mut blocks = Blocks::default();
        let taken = fixture.take_all(&mut blocks, fixture.slices(&fixture.keys[0], 5, 0, 1));
        let Some(Taken::Complete(_, block)) = taken.into_iter().last() else { panic!("not complete") };
        let mut blocks = Blocks::default();
        blocks.recover((*block).clone());
        assert_eq!(blocks.take_recovered(), vec![(*block).clone()]);
        assert!(blocks.take_recovered().is_empty() && !blocks.is_valid(&block.hash));
        assert_eq!(blocks.get(&block.hash), Some(&*block));
        let again = fixture.take_all(&mut blocks, block.slices.clone());
        assert!(again.iter().all(|taken| matches!(taken, Taken::Nothing)), "executed twice");
        blocks.insert_valid(*block.clone());
        assert!(blocks.is_valid(&block.hash));
        assert_eq!(blocks.by_leader(0, block.leader), Some(&*block));
        assert_eq!(blocks.by_leader(1, block.leader), None);
        // From a peer's history: without slices if that is all, and with its own body in any case.
        blocks.insert_synced(Undecided { slices: Vec::new(), ..*block.clone() });
        assert_eq!(blocks.get(&block.hash), Some(&*block));
        let other = Undecided { slices: Vec::new(), block: vec![1].into(), ..*block };
        blocks.insert_synced(other.clone());
        assert_eq!(blocks.get(&other.hash), Some(&other));
    }
}
