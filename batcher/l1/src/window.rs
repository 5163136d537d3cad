//! The recent L1 chain as a bounded list of linked blocks: pure bookkeeping of reorgs and finality.

use std::collections::VecDeque;
use std::sync::Arc;

use alloy_primitives::B256;

use crate::{FinalBlock, L1Error, L1Position};

/// Blocks above the final one: nine days of mainnet in which L1 finalises nothing. Some 20 MB.
pub(crate) const MAX_BLOCKS: usize = 65_536;

/// Linked blocks from the newest final one (the anchor) to the tip.
#[derive(Debug)]
pub(crate) struct Window {
    anchor: L1Position,
    blocks: VecDeque<Arc<FinalBlock>>,
    capacity: usize,
}

/// How a header relates to the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// Already in it.
    Known,
    /// Its parent is in it: everything above the parent is replaced.
    Attaches,
    /// Its parent must be looked at first.
    NeedsParent,
}

impl Window {
    /// A window whose only block is final.
    pub(crate) const fn new(anchor: L1Position) -> Self {
        Self::of(anchor, MAX_BLOCKS)
    }

    /// The same with room for so many blocks.
    pub(crate) const fn of(anchor: L1Position, capacity: usize) -> Self {
        Self { anchor, blocks: VecDeque::new(), capacity }
    }

    /// How many blocks more it may hold.
    pub(crate) fn room(&self) -> u64 {
        u64::try_from(self.capacity.saturating_sub(self.blocks.len())).unwrap_or(u64::MAX)
    }

    /// The newest block.
    pub(crate) fn tip(&self) -> L1Position {
        self.blocks.back().map_or(self.anchor, |block| L1Position::new(&block.origin, block.parent))
    }

    /// The final block the window stands on.
    pub(crate) const fn anchor(&self) -> L1Position {
        self.anchor
    }

    /// Hash at a height of the window.
    pub(crate) fn hash_at(&self, number: u64) -> Option<B256> {
        match number.checked_sub(self.anchor.number)? {
            0 => Some(self.anchor.hash),
            offset => self.blocks.get(usize::try_from(offset).ok()?.checked_sub(1)?).map(|block| block.origin.hash),
        }
    }

    /// Where a header belongs. A branch that leaves the chain below the anchor contradicts finality.
    pub(crate) fn relate(&self, number: u64, hash: B256, parent: B256) -> Result<Relation, L1Error> {
        let L1Position { number: anchor, hash: expected, .. } = self.anchor;
        if self.hash_at(number) == Some(hash) || number < anchor {
            // Below the anchor a lagging L1 node answers with what is final already.
            return Ok(Relation::Known);
        }
        if number == anchor {
            return Err(L1Error::FinalityBroken { number: anchor, expected, found: hash });
        }
        let below = number.saturating_sub(1);
        if self.hash_at(below) == Some(parent) {
            return Ok(Relation::Attaches);
        }
        if below == anchor {
            return Err(L1Error::FinalityBroken { number: anchor, expected, found: parent });
        }
        Ok(Relation::NeedsParent)
    }

    /// Puts a block that [`Relation::Attaches`] on top of its parent; returns the blocks it replaces, newest first.
    pub(crate) fn attach(&mut self, block: Arc<FinalBlock>) -> Vec<Arc<FinalBlock>> {
        let mut replaced = Vec::new();
        while let Some(tip) = self.blocks.pop_back_if(|tip| tip.origin.number >= block.origin.number) {
            replaced.push(tip);
        }
        self.blocks.push_back(block);
        replaced
    }

    /// Moves the anchor up to a block that became final; returns the newly final blocks in order. Nothing happens while
    /// the window does not hold that block: the next look at the head brings it.
    pub(crate) fn finalize(&mut self, number: u64, hash: B256) -> Vec<Arc<FinalBlock>> {
        let mut done = Vec::new();
        if self.hash_at(number) != Some(hash) {
            return done;
        }
        while let Some(block) = self.blocks.pop_front_if(|block| block.origin.number <= number) {
            self.anchor = L1Position::new(&block.origin, block.parent);
            done.push(block);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::L1Origin;

    fn block(number: u64, fork: u8, parent_fork: u8) -> Arc<FinalBlock> {
        let origin = L1Origin { number, hash: hash(number, fork), timestamp: 12 * number, ..Default::default() };
        let parent = hash(number - 1, parent_fork);
        Arc::new(FinalBlock { origin, parent, deposits: vec![], snapshots: vec![], batches: vec![] })
    }

    fn hash(number: u64, fork: u8) -> B256 {
        let mut hash = B256::with_last_byte(number as u8);
        hash.0[0] = fork;
        hash
    }

    fn position(number: u64) -> L1Position {
        L1Position { number, hash: hash(number, 0), parent: hash(number - 1, 0), timestamp: 12 * number }
    }

    fn window() -> Window {
        let mut window = Window::new(position(10));
        for number in 11..=14 {
            assert_eq!(window.attach(block(number, 0, 0)), []);
        }
        window
    }

    #[test]
    fn relations_of_headers() {
        let window = window();
        let relate =
            |number, fork, parent_fork| window.relate(number, hash(number, fork), hash(number - 1, parent_fork));
        assert_eq!(relate(14, 0, 0), Ok(Relation::Known));
        assert_eq!(relate(15, 0, 0), Ok(Relation::Attaches));
        assert_eq!(relate(13, 1, 0), Ok(Relation::Attaches));
        assert_eq!(relate(14, 1, 1), Ok(Relation::NeedsParent));
        assert_eq!(relate(17, 0, 0), Ok(Relation::NeedsParent));
        assert_eq!(relate(9, 1, 1), Ok(Relation::Known));
        let broken = |found| Err(L1Error::FinalityBroken { number: 10, expected: hash(10, 0), found });
        assert_eq!(relate(10, 1, 0), broken(hash(10, 1)));
        assert_eq!(relate(11, 1, 1), broken(hash(10, 1)));
    }

    #[test]
    fn room_comes_with_finality() {
        let mut window = Window::of(position(10), 5);
        for number in 11..=15 {
            assert_eq!(window.room(), 16 - number);
            window.attach(block(number, 0, 0));
        }
        assert_eq!(window.room(), 0);
        window.finalize(12, hash(12, 0));
        assert_eq!(window.room(), 2);
    }

    #[test]
    fn reorg_replaces_the_branch() {
        let mut window = window();
        let replaced = window.attach(block(13, 1, 0));
        assert_eq!(replaced.iter().map(|block| block.origin.number).collect::<Vec<_>>(), [14, 13]);
        let tip = L1Position { hash: hash(13, 1), ..position(13) };
        assert_eq!(window.tip(), tip);
        assert_eq!(window.hash_at(12), Some(hash(12, 0)));
    }

    #[test]
    fn finality_moves_the_anchor_only_along_the_chain() {
        let mut window = window();
        assert_eq!(window.finalize(12, hash(12, 1)), []);
        let done = window.finalize(12, hash(12, 0));
        assert_eq!(done.iter().map(|block| block.origin.number).collect::<Vec<_>>(), [11, 12]);
        assert_eq!((window.anchor(), window.tip().number), (position(12), 14));
        assert_eq!(window.finalize(11, hash(11, 0)), []);
        assert_eq!(window.finalize(14, hash(14, 0)).len(), 2);
        assert_eq!(window.tip(), window.anchor());
    }
}
