//! Hash what an update made, side by side: all leaves at once, then the nodes above them, then the
//! nodes above those.

use super::EMPTY;
use super::node::Entry;
use super::subtree::{Content, Place};
use crate::suite::{Domain, Hash, Suite};

/// The missing hashes of the subtrees at a place, those below a subtree before its own.
pub fn missing(suite: Suite, place: Place, depth: usize) -> Vec<Hash> {
    let mut plan = Plan::default();
    plan.source(place, depth);
    plan.hash(suite)
}

/// What there is to hash.
#[derive(Default)]
struct Plan {
    leaves: Vec<Entry>,
    /// Nodes over leaves and what is known, nodes over those, and so on.
    levels: Vec<Vec<[Source; 2]>>,
    subtrees: Vec<Source>,
}

/// Where a hash comes from: leaves are at level 0.
#[derive(Clone, Copy)]
enum Source {
    Known(Hash),
    Made { level: usize, at: usize },
}

impl Plan {
    /// Take up what is to be hashed at a place; recursion is as deep as a key has bits at most.
    fn source(&mut self, place: Place, depth: usize) -> Source {
        if let Some(hash) = place.known() {
            return Source::Known(hash);
        }
        let mut opened = None;
        let content = place.content(depth, &mut opened).expect("what an update made is in memory");
        let source = match content {
            Content::Nothing => Source::Known(EMPTY),
            Content::One(entry) => {
                self.leaves.push(*entry);
                Source::Made { level: 0, at: self.leaves.len() - 1 }
            }
            Content::Halves(halves) => {
                let halves = halves.map(|half| self.source(half, depth + 1));
                self.node(halves)
            }
        };
        if let Place::Subtree(_) = place {
            self.subtrees.push(source);
        }
        source
    }

    fn node(&mut self, halves: [Source; 2]) -> Source {
        let [left, right] = halves.map(|half| match half {
            Source::Known(_) => 0,
            Source::Made { level, .. } => level,
        });
        let below = left.max(right);
        if self.levels.len() == below {
            self.levels.push(Vec::new());
        }
        self.levels[below].push(halves);
        Source::Made { level: below + 1, at: self.levels[below].len() - 1 }
    }

    fn hash(self, suite: Suite) -> Vec<Hash> {
        let mut made = vec![suite.hash_pairs(Domain::StateLeaf, self.leaves.as_flattened())];
        let hash_of = |source: &Source, made: &[Vec<Hash>]| match *source {
            Source::Known(hash) => hash,
            Source::Made { level, at } => made[level][at],
        };
        for level in &self.levels {
            let pair = |halves: &[Source; 2]| halves.each_ref().map(|half| hash_of(half, &made));
            let pairs: Vec<[Hash; 2]> = level.iter().map(pair).collect();
            made.push(suite.hash_pairs(Domain::StateNode, pairs.as_flattened()));
        }
        self.subtrees.iter().map(|source| hash_of(source, &made)).collect()
    }
}
