//! Keep most of a map out of memory: in pages, which are read again where they are wanted.
//!
//! A page is a subtree of at most `PAGE` entries whose parent has more. While it is absent its
//! hash and the number of its entries are kept; its entries are what the ledger's store holds. One
//! page is shared by all versions of the map that have it, so that filling it fills it for each. An
//! update makes other pages, in memory, and leaves those of the version before as they were.
//!
//! Where entries were removed beside an absent page, two pages may have few enough for one: they
//! are put together by the next update that meets both. Hashes know nothing of pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::bit;
use super::hashing::missing;
use super::node::{Change, Entry, Node, Page, Subtree};
use super::subtree::{Place, split, way};
use crate::error::{Error, Result};
use crate::suite::{Hash, Suite};

/// Entries in one page at most. Fewer leave more in memory, more are read for each that is wanted.
const PAGE: usize = 32;

/// Changes below which what is new is hashed in turn: side by side gains nothing.
const FEW: usize = 8;

/// Changes that are made and hashed together: so few that what they touch stays in the cache.
const GROUP: usize = 64;

/// Changes from which on both halves of a subtree are updated at the same time.
const THREADS: usize = 1024;

/// What an update works with.
pub struct Update {
    pub suite: Suite,
    /// Whether the changes below an absent page are all of its entries, so that it need not be
    /// there; otherwise an update that meets one fails.
    pub replaces: bool,
    /// How many entries the absent pages had that were replaced.
    pub replaced: AtomicUsize,
}

impl Subtree {
    /// The subtree at `depth` after sorted changes that all belong below it, and how many entries
    /// it has more.
    pub fn updated(
        &self,
        update: &Update,
        changes: &[Change],
        depth: usize,
    ) -> Result<(Self, isize)> {
        let (mut subtree, more) = match changes.len() <= GROUP {
            true => self.rebuilt(update, changes, depth)?,
            false => {
                let ([left, right], gone) = self.halves(update, depth)?;
                let (below, above) = split(changes, depth);
                let update_left = || left.updated(update, below, depth + 1);
                let update_right = || right.updated(update, above, depth + 1);
                let (left, right) = match changes.len() < THREADS {
                    true => (update_left(), update_right()),
                    false => rayon::join(update_left, update_right),
                };
                let ((left, more_left), (right, more_right)) = (left?, right?);
                (Self::join(left, right), more_left + more_right - gone)
            }
        };
        let suite = update.suite;
        match FEW <= changes.len() && changes.len() <= GROUP {
            true => subtree.set(&mut missing(suite, Place::Subtree(&subtree), depth).into_iter()),
            false => subtree.hash_in_turn(suite, depth),
        }
        Ok((subtree, more))
    }

    /// The same, not hashed. Recursion ends at a page, 256 levels down at the latest.
    fn rebuilt(&self, update: &Update, changes: &[Change], depth: usize) -> Result<(Self, isize)> {
        if changes.is_empty() {
            return Ok((self.clone(), 0));
        }
        let page = match &self.node {
            Node::Branch(halves) => {
                let (below, above) = split(changes, depth);
                let (left, more_left) = halves[0].rebuilt(update, below, depth + 1)?;
                let (right, more_right) = halves[1].rebuilt(update, above, depth + 1)?;
                return Ok((Self::join(left, right), more_left + more_right));
            }
            Node::Page(page) => page,
            empty @ Node::Bucket(_) => {
                let (inside, more) = empty.changed(changes, depth);
                return Ok((Self::paged(inside, more as usize), more));
            }
        };
        let (inside, more, gone) = match page.open() {
            Ok(node) => {
                let (inside, more) = node.changed(changes, depth);
                (inside, more, 0)
            }
            Err(error) => {
                let gone = update.replace(page, error)?;
                let (inside, more) = Self::empty().node.changed(changes, depth);
                (inside, more, gone)
            }
        };
        let len = page.len.saturating_add_signed(more - gone);
        Ok((Self::paged(inside, len), more - gone))
    }

    /// Both halves, and how many entries of a page that is replaced are gone.
    fn halves(&self, update: &Update, depth: usize) -> Result<([Self; 2], isize)> {
        let (mut halves, gone) = match &self.node {
            Node::Branch(halves) => return Ok((halves.as_ref().clone(), 0)),
            Node::Bucket(_) => return Ok(([Self::empty(), Self::empty()], 0)),
            Node::Page(page) => match page.open() {
                Ok(node) => (node.halved(depth), 0),
                Err(error) => {
                    let gone = update.replace(page, error)?;
                    return Ok(([Self::empty(), Self::empty()], gone));
                }
            },
        };
        // One that no change belongs in is taken as it is, and so has to have its hash.
        halves.iter_mut().for_each(|half| half.hash_in_turn(update.suite, depth + 1));
        let paged = |half: Self| {
            let len = half.node.count();
            Self::paged(half, len)
        };
        Ok((halves.map(paged), gone))
    }

    /// A page where there is room for all entries, otherwise a branch over pages.
    fn paged(inside: Self, len: usize) -> Self {
        let hash = inside.hash;
        let node = match inside.node {
            _ if len == 0 => return Self::empty(),
            Node::Branch(halves) if len > PAGE => {
                Node::Branch(Arc::new(Arc::unwrap_or_clone(halves).map(|half| {
                    let len = half.node.count();
                    Self::paged(half, len)
                })))
            }
            node => Node::Page(Page::new(len, node)),
        };
        Self { node, hash }
    }

    /// One page where there is room for both and both are there, otherwise a branch.
    fn join(left: Self, right: Self) -> Self {
        match (left.page_len(), right.page_len()) {
            (Some(0), Some(0)) => return Self::empty(),
            // A subtree with one entry has the same hash at any depth.
            (Some(1), Some(0)) => return left,
            (Some(0), Some(1)) => return right,
            (Some(below), Some(above)) if below + above <= PAGE => {
                if let (Some(left), Some(right)) = (left.inside(), right.inside()) {
                    return Self::paged(Self::joined(left, right), below + above);
                }
            }
            _ => {}
        }
        Self::new(Node::Branch(Arc::new([left, right])))
    }

    fn page_len(&self) -> Option<usize> {
        match &self.node {
            Node::Bucket(_) => Some(0),
            Node::Page(page) => Some(page.len),
            Node::Branch(_) => None,
        }
    }

    fn inside(&self) -> Option<Self> {
        match &self.node {
            Node::Page(page) => Some(Self { node: page.read().clone()?, hash: self.hash }),
            _ => Some(self.clone()),
        }
    }

    /// The first and the last key that belong in each absent page on the way to one of these keys,
    /// which ascend.
    pub fn absent(&self, keys: &[Hash]) -> Vec<[Hash; 2]> {
        let mut ranges: Vec<[Hash; 2]> = Vec::new();
        for key in keys {
            if ranges.last().is_some_and(|[_, last]| key <= last) {
                continue;
            }
            let (node, depth) = way(&self.node, key, 0, |_| ());
            if let Node::Page(page) = node
                && page.is_absent()
            {
                ranges.push(range(key, depth));
            }
        }
        ranges
    }

    /// Fill the page on the way to a key, if it is absent, from sorted entries; those that belong
    /// elsewhere are passed over. How many came to be in memory; an error where they are not the
    /// page's.
    pub fn fill(&self, suite: Suite, key: &Hash, entries: &[Entry]) -> Result<usize> {
        let (mut at, mut depth) = (self, 0);
        while let Node::Branch(halves) = &at.node {
            at = &halves[usize::from(bit(key, depth))];
            depth += 1;
        }
        let Node::Page(page) = &at.node else {
            return Ok(0);
        };
        if !page.is_absent() {
            return Ok(0);
        }
        let [first, last] = range(key, depth);
        let begin = entries.partition_point(|[key, _]| *key < first);
        let end = entries.partition_point(|[key, _]| *key <= last);
        let entries = &entries[begin..end];
        if entries.len() == page.len {
            let mut made = Self::made(entries, depth);
            made.hash_in_turn(suite, depth);
            if made.hash == at.hash {
                let before = page.put(Some(made.node));
                return Ok(if before.is_none() { page.len } else { 0 });
            }
        }
        let [first, last] = [first, last].map(|key| key[..6].iter().map(hex).collect::<String>());
        Err(Error::Proof(format!(
            "{} states with keys from {first} to {last} are not the {} that the map holds",
            entries.len(),
            page.len
        )))
    }

    /// Forget all pages but the one on the way to a key, if one is named; how many entries stay.
    pub fn forget(&self, but: Option<&Hash>, depth: usize) -> usize {
        match (&self.node, but) {
            (Node::Bucket(_), _) => 0,
            (Node::Page(page), Some(_)) if !page.is_absent() => page.len,
            (Node::Page(page), _) => {
                page.put(None);
                0
            }
            (Node::Branch(halves), _) => {
                let kept = |right| but.filter(|key| bit(key, depth) == right);
                halves[0].forget(kept(false), depth + 1) + halves[1].forget(kept(true), depth + 1)
            }
        }
    }
}

impl Update {
    /// Take an absent page for one that is replaced; how many entries it had.
    fn replace(&self, page: &Page, absent: Error) -> Result<isize> {
        if !self.replaces {
            return Err(absent);
        }
        self.replaced.fetch_add(page.len, Ordering::Relaxed);
        Ok(page.len as isize)
    }
}

fn hex(byte: &u8) -> String {
    format!("{byte:02x}")
}

/// The first and the last key that have the first `depth` bits of a key.
fn range(key: &Hash, depth: usize) -> [Hash; 2] {
    let mut range = [*key; 2];
    for at in depth..256 {
        let mask = 0x80 >> (at % 8);
        range[0][at / 8] &= !mask;
        range[1][at / 8] |= mask;
    }
    range
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUITE: Suite = Suite::Std;

    fn spread(number: u64) -> Hash {
        SUITE.hash(crate::suite::Domain::StateKey, &number.to_le_bytes())
    }

    fn update(root: &Subtree, changes: &[Change]) -> Result<Subtree> {
        Ok(root.updated(&all(false), changes, 0)?.0)
    }

    fn all(replaces: bool) -> Update {
        Update { suite: SUITE, replaces, replaced: AtomicUsize::new(0) }
    }

    /// How many entries each page has, and whether they are in memory.
    fn pages(root: &Subtree) -> Vec<(usize, bool)> {
        match &root.node {
            Node::Bucket(entries) => {
                assert!(entries.is_empty(), "entries stand beside all pages");
                Vec::new()
            }
            Node::Page(page) => {
                assert!((1..=PAGE).contains(&page.len));
                assert!(page.open().map_or(true, |inside| inside.count() == page.len));
                vec![(page.len, !page.is_absent())]
            }
            Node::Branch(halves) => halves.iter().flat_map(pages).collect(),
        }
    }

    fn entries(count: u64) -> Vec<Entry> {
        let mut entries: Vec<Entry> = (0..count).map(|at| [spread(at), spread(at + 7)]).collect();
        entries.sort_unstable();
        entries
    }

    fn changes(entries: &[Entry]) -> Vec<Change> {
        entries.iter().map(|[key, value]| (*key, Some(*value))).collect()
    }

    fn built(entries: &[Entry]) -> Subtree {
        update(&Subtree::empty(), &changes(entries)).unwrap()
    }

    #[test]
    fn an_absent_page_is_filled_for_all_versions_that_share_it() {
        let entries = entries(3000);
        let (old, last) = (built(&entries), entries[2999]);
        let new = update(&old, &[(entries[0][0], None)]).unwrap();
        new.forget(None, 0);
        assert_eq!(old.find(&last[0]), Err(Error::Absent));
        assert_eq!(new.descend(SUITE, &last[0]), Err(Error::Absent));
        assert!(update(&new, &[(last[0], None)]).is_err());
        // What only the version before has stays with it.
        assert_eq!(old.find(&entries[0][0]), Ok(Some(entries[0])));
        assert_eq!(new.find(&entries[0][0]), Err(Error::Absent));

        let [range] = new.absent(&[last[0]])[..] else { panic!("one page is absent") };
        assert!(range[0] <= last[0] && last[0] <= range[1]);
        let filled = new.fill(SUITE, &range[0], &entries).unwrap();
        assert_eq!(new.fill(SUITE, &range[0], &entries), Ok(0));
        assert_eq!(new.absent(&[last[0]]), [] as [[Hash; 2]; 0]);
        assert_eq!(old.find(&last[0]), Ok(Some(last)));
        let there: Vec<_> = pages(&new).into_iter().filter(|(_, there)| *there).collect();
        assert_eq!(there, [(filled, true)]);
    }

    #[test]
    fn a_page_takes_nothing_but_what_its_hash_says() {
        let entries = entries(200);
        let root = built(&entries);
        root.forget(None, 0);
        let keys: Vec<Hash> = entries.iter().map(|[key, _]| *key).collect();
        for [first, last] in root.absent(&keys) {
            let at = keys.iter().position(|key| (first..=last).contains(key)).unwrap();
            for bit in 0..512 {
                let mut wrong = entries.clone();
                wrong[at].as_flattened_mut()[bit / 8] ^= 1 << (bit % 8);
                wrong.sort_unstable();
                assert!(root.fill(SUITE, &first, &wrong).is_err());
            }
            let mut less = entries.clone();
            less.remove(at);
            assert!(root.fill(SUITE, &first, &less).is_err());
            assert!(root.find(&entries[at][0]).is_err());
            root.fill(SUITE, &first, &entries).unwrap();
        }
        assert!(pages(&root).iter().all(|(_, there)| *there));
    }

    #[test]
    fn an_absent_page_is_replaced_by_all_that_it_holds_from_now_on() {
        let mut entries = entries(3000);
        let old = built(&entries);
        old.forget(None, 0);
        // One entry goes, and so many come that the page has no room for them.
        let gone = entries.remove(1500)[0];
        let [[first, last]] = old.absent(&[gone])[..] else { panic!("one page is absent") };
        for at in 0..PAGE as u8 {
            let mut key = first;
            key[31] = at;
            entries.push([key, [at; 32]]);
        }
        entries.sort_unstable();
        let inside = |[key, _]: &&Entry| (first..=last).contains(key);
        let given: Vec<Entry> = entries.iter().filter(inside).copied().collect();
        let (new, more) = old.updated(&all(true), &changes(&given), 0).unwrap();
        assert_eq!((new.hash(), more), (built(&entries).hash(), PAGE as isize - 1));
        let there = pages(&new).into_iter().filter(|(_, there)| *there);
        assert_eq!(there.map(|(len, _)| len).sum::<usize>(), given.len());
    }

    #[test]
    fn pages_join_where_both_are_in_memory_and_lead_to_the_same_root_where_not() {
        let entries = entries(PAGE as u64 + 1);
        for absent in [false, true] {
            let mut at = built(&entries);
            for left in (0..PAGE + 1).rev() {
                let gone = entries[left][0];
                if absent {
                    at.forget(None, 0);
                    for [first, _] in at.absent(&[gone]) {
                        at.fill(SUITE, &first, &entries[..=left]).unwrap();
                    }
                }
                at = update(&at, &[(gone, None)]).unwrap();
                assert_eq!(at.hash(), built(&entries[..left]).hash(), "{left} entries");
                let pages = pages(&at);
                assert_eq!(pages.iter().map(|(len, _)| len).sum::<usize>(), left);
                assert!(absent || pages.len() == usize::from(left > 0));
            }
        }
    }
}
