//! Hash under the suite that a network fixed at its genesis, one domain a use.
//!
//! | suite | hash | a leaf | a node |
//! |---|---|---|---|
//! | `std` | BLAKE3, keyed, one derived key a domain | length as 8 bytes little endian, data, zeros to whole 64-byte blocks | left, right: one compression |
//! | `c2sp` | SHA-256 | `0x00`, data (RFC 6962 section 2.1) | `0x01`, left, right |
//!
//! The padded leaf lets equal-length leaves be hashed side by side; the length in front keeps
//! two different inputs from ever being padded to the same bytes.

use std::sync::OnceLock;

use crate::error::{Error, Result, malformed};
use crate::lanes::Key;
use crate::once::once;
use crate::sha256;
use crate::tasks;

/// Items hashed by one task.
const TASK: usize = 512;

/// A 32-byte hash in either suite.
pub type Hash = [u8; 32];

/// The algorithms of a network; nothing is negotiated inside a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// Ed25519 with ZIP-215 acceptance, BLAKE3.
    Std,
    /// Ed25519 with ZIP-215 acceptance, SHA-256 with RFC 6962 prefixes.
    C2sp,
}

/// What a hash is for; hashes of different domains never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Domain {
    Record,
    Leaf,
    Node,
    Empty,
    Network,
    Block,
    History,
    StateKey,
    StateValue,
    StateLeaf,
    StateNode,
    Commitment,
}

const DOMAINS: [(Domain, &str); 12] = [
    (Domain::Record, "record"),
    (Domain::Leaf, "leaf"),
    (Domain::Node, "node"),
    (Domain::Empty, "empty"),
    (Domain::Network, "network"),
    (Domain::Block, "block"),
    (Domain::History, "history"),
    (Domain::StateKey, "state-key"),
    (Domain::StateValue, "state-value"),
    (Domain::StateLeaf, "state-leaf"),
    (Domain::StateNode, "state-node"),
    (Domain::Commitment, "commitment"),
];

/// `derive_key("ledgercore v1 <domain>", "")` for every domain, in the order of `DOMAINS`.
fn key(domain: Domain) -> &'static Hash {
    static KEYS: OnceLock<[Hash; 12]> = OnceLock::new();
    let derive = |(_, name)| blake3::derive_key(&format!("ledgercore v1 {name}"), b"");
    &once(&KEYS, || DOMAINS.map(derive))[domain as usize]
}

/// The same, as lanes take them.
fn lanes(domain: Domain) -> &'static Key {
    static LANES: OnceLock<[Key; 12]> = OnceLock::new();
    &once(&LANES, || DOMAINS.map(|(domain, _)| Key::new(key(domain))))[domain as usize]
}

impl Suite {
    /// The suite of a wire id; `gm` (2) is reserved.
    pub fn from_id(id: u64) -> Result<Self> {
        match id {
            1 => Ok(Self::Std),
            2 => Err(Error::SuiteReserved("gm")),
            3 => Ok(Self::C2sp),
            _ => malformed(format!("suite id is {id}, want 1 (std) or 3 (c2sp)")),
        }
    }

    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "std" => Ok(Self::Std),
            "gm" => Err(Error::SuiteReserved("gm")),
            "c2sp" => Ok(Self::C2sp),
            _ => malformed(format!("suite is {name:?}, want std or c2sp")),
        }
    }

    pub fn id(self) -> u64 {
        match self {
            Self::Std => 1,
            Self::C2sp => 3,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Std => "std",
            Self::C2sp => "c2sp",
        }
    }

    /// Hash `data` under `domain`. For `Leaf` and `Node` use the functions that frame their input.
    pub fn hash(self, domain: Domain, data: &[u8]) -> Hash {
        match self {
            Self::Std => *blake3::keyed_hash(key(domain), data).as_bytes(),
            Self::C2sp => {
                let [version, name, end] = prefix(domain);
                sha256::hash(&[version, name, end, data])
            }
        }
    }

    /// Hash each item under `domain`, as `hash` would, over all threads.
    pub fn hash_each(self, domain: Domain, items: &[&[u8]]) -> Vec<Hash> {
        let task = |task: &[&[u8]]| match self {
            Self::Std => lanes(domain).hash_each(task),
            Self::C2sp => sha256::hash_each(&prefix(domain).concat(), task),
        };
        tasks::shares(items, TASK, |_, share| task(share)).concat()
    }

    /// Hash two hashes under `domain`, one after the other: what `hash` makes of them joined.
    pub fn hash_pair(self, domain: Domain, first: &Hash, second: &Hash) -> Hash {
        let mut pair = [0; 64];
        pair[..32].copy_from_slice(first);
        pair[32..].copy_from_slice(second);
        match self {
            Self::Std => lanes(domain).hash_block(&pair),
            Self::C2sp => self.hash(domain, &pair),
        }
    }

    /// Hash a row of an even number of hashes two by two, as `hash_pair` would each.
    pub fn hash_pairs(self, domain: Domain, row: &[Hash]) -> Vec<Hash> {
        match self {
            Self::Std => lanes(domain).hash_blocks(blocks(row)),
            Self::C2sp => sha256::hash_each(&prefix(domain).concat(), &pairs(row)),
        }
    }

    /// The hash of a leaf over its data.
    pub fn leaf(self, data: &[u8]) -> Hash {
        self.leaves_in_turn(&[data])[0]
    }

    /// The hash of a leaf over each item, over all threads.
    pub fn leaves<T: AsRef<[u8]> + Sync>(self, items: &[T]) -> Vec<Hash> {
        let task = |task: &[T]| {
            let slices: Vec<&[u8]> = task.iter().map(AsRef::as_ref).collect();
            self.leaves_in_turn(&slices)
        };
        tasks::shares(items, TASK, |_, share| task(share)).concat()
    }

    fn leaves_in_turn(self, items: &[&[u8]]) -> Vec<Hash> {
        match self {
            Self::Std => lanes(Domain::Leaf).hash_framed(items),
            Self::C2sp => sha256::hash_each(&[0], items),
        }
    }

    /// The hash of an inner node over its two children.
    pub fn node(self, left: &Hash, right: &Hash) -> Hash {
        match self {
            Self::Std => self.hash_pair(Domain::Node, left, right),
            Self::C2sp => sha256::hash(&[&[1], left, right]),
        }
    }

    /// The hashes of the inner nodes over a row of an even number of hashes, two by two.
    pub fn nodes(self, row: &[Hash]) -> Vec<Hash> {
        let mut nodes = vec![[0; 32]; row.len() / 2];
        self.nodes_into(row, &mut nodes);
        nodes
    }

    /// The same, into a room for as many.
    pub fn nodes_into(self, row: &[Hash], nodes: &mut [Hash]) {
        assert_eq!(row.len(), 2 * nodes.len(), "each pair has its node");
        match self {
            Self::Std => lanes(Domain::Node).hash_blocks_into(blocks(row), nodes),
            Self::C2sp => nodes.copy_from_slice(&sha256::hash_each(&[1], &pairs(row))),
        }
    }

    /// The root of a tree without leaves.
    pub fn empty_root(self) -> Hash {
        match self {
            Self::Std => self.hash(Domain::Empty, b""),
            Self::C2sp => sha256::hash(&[]),
        }
    }
}

/// What suite `c2sp` hashes before the data of a domain.
fn prefix(domain: Domain) -> [&'static [u8]; 3] {
    [b"ledgercore/v1/", DOMAINS[domain as usize].1.as_bytes(), &[0]]
}

/// Two hashes after two, each as one piece.
fn pairs(row: &[Hash]) -> Vec<&[u8]> {
    row.as_flattened().chunks_exact(64).collect()
}

fn blocks(row: &[Hash]) -> &[[u8; 64]] {
    row.as_flattened().as_chunks().0
}

impl Domain {
    /// The domain of a name such as `commitment`.
    pub fn from_name(name: &str) -> Result<Self> {
        match DOMAINS.iter().find(|(_, known)| *known == name) {
            Some((domain, _)) => Ok(*domain),
            None => {
                malformed(format!("hash domain is {name:?}, want one of the names in suite.rs"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_stand_at_their_own_position() {
        for (position, (domain, _)) in DOMAINS.iter().enumerate() {
            assert_eq!(position, *domain as usize);
        }
    }

    #[test]
    fn zeros_at_the_end_change_a_leaf() {
        for suite in [Suite::Std, Suite::C2sp] {
            assert_ne!(suite.leaf(b"a"), suite.leaf(b"a\0"));
        }
    }
}
