//! Describe one block: what was appended when, and the roots after it.
//!
//! `[1, height, parent, time_ms, first_index, count, tree_root, state_root]`

use crate::error::{Result, malformed};
use crate::map::{Claim, Map};
use crate::suite::{Domain, Hash, Suite};
use crate::tree::{Frontier, Tile, TileId};
use crate::wire::{Reader, Writer};

/// The one version of the format.
const VERSION: u64 = 1;

/// A block's header; a checkpoint signs it through its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub height: u64,
    /// The hash of the block before; zeros for the first.
    pub parent: Hash,
    /// The ledger's time, in milliseconds since 1970.
    pub time_ms: u64,
    pub first_index: u64,
    /// How many records the block has: at least one.
    pub count: u64,
    pub tree_root: Hash,
    pub state_root: Hash,
}

/// A block that is not signed yet, with the tree and the states after it.
pub struct Draft {
    pub block: Block,
    pub frontier: Frontier,
    /// The tiles that the block's leaves filled.
    pub tiles: Vec<(TileId, Tile)>,
    pub states: Map,
}

impl Block {
    /// The block after this one, which left this tree and these states.
    pub fn next(
        &self,
        frontier: &Frontier,
        states: &Map,
        leaves: &[Hash],
        changes: &[Claim],
        time_ms: u64,
    ) -> Result<Draft> {
        let states = states.update(changes)?;
        let (after, tiles) = frontier.append(leaves);
        let block = Self {
            height: self.height + 1,
            parent: self.hash(frontier.suite()),
            time_ms,
            first_index: frontier.size(),
            count: leaves.len() as u64,
            tree_root: after.root(),
            state_root: states.root(),
        };
        Ok(Draft { block: block.check()?, frontier: after, tiles, states })
    }

    /// The block after this one as it follows from the leaf hashes of its stored records.
    ///
    /// What was kept in memory since this block was made is held to its roots first.
    pub fn again(
        &self,
        frontier: &Frontier,
        states: &Map,
        leaves: &[Hash],
        changes: &[Claim],
        time_ms: u64,
    ) -> Result<Draft> {
        let frontier = &frontier.again();
        hold("tree root", &frontier.root(), &self.tree_root)?;
        hold("state root", &states.root(), &self.state_root)?;
        self.next(frontier, states, leaves, changes, time_ms)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        reader.array_of("block", 8)?;
        match reader.uint()? {
            VERSION => {}
            version => return malformed(format!("block version is {version}, want {VERSION}")),
        }
        let block = Self {
            height: reader.uint()?,
            parent: reader.bin_of("parent")?,
            time_ms: reader.uint()?,
            first_index: reader.uint()?,
            count: reader.uint()?,
            tree_root: reader.bin_of("tree root")?,
            state_root: reader.bin_of("state root")?,
        };
        reader.finish()?;
        block.check()
    }

    fn check(self) -> Result<Self> {
        match self.count {
            0 => malformed("block has 0 records, want at least 1"),
            _ => Ok(self),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(140);
        writer.array(8);
        writer.uint(VERSION);
        writer.uint(self.height);
        writer.bin(&self.parent);
        writer.uint(self.time_ms);
        writer.uint(self.first_index);
        writer.uint(self.count);
        writer.bin(&self.tree_root);
        writer.bin(&self.state_root);
        writer.into_bytes()
    }

    pub fn hash(&self, suite: Suite) -> Hash {
        suite.hash(Domain::Block, &self.encode())
    }
}

fn hold(what: &str, got: &Hash, want: &Hash) -> Result<()> {
    if got == want {
        return Ok(());
    }
    let [got, want] = [got, want].map(|hash| hash.map(|byte| format!("{byte:02x}")).concat());
    malformed(format!("{what} before is {got}, want {want}"))
}
