//! State what a ledger holds at a size (C2SP tlog-checkpoint).
//!
//! ```text
//! tax.example/exchange
//! 3
//! 2bXjWqK0cJ0wJ2Qd6mVt3o5wGm2lq6tq0p9p0m1o2nA=
//! block 1 tKk3x1H1jzv3bM4gkYw8cVxI5gJb0j0m9Jq0vUO1nQ0=
//! state pM3o0b1s8z8XxV6kq7N1m8gJX0o0F2n9o1vGk0e6u3Q=
//! ```
//!
//! Origin, size and tree root, then the block and the root of the state map as extension lines.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::block::Block;
use crate::error::{Result, at_most, malformed};
use crate::limits;
use crate::note::check_name;
use crate::suite::{Hash, Suite};

/// What is signed: no time and no signer, so that every honest node signs the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
    pub height: u64,
    pub block_hash: Hash,
    pub state_root: Hash,
}

impl Checkpoint {
    /// What is to be signed of a block: the ledger at its end.
    pub fn of(origin: &str, suite: Suite, block: &Block) -> Self {
        Self {
            origin: origin.to_owned(),
            size: block.first_index.saturating_add(block.count),
            root: block.tree_root,
            height: block.height,
            block_hash: block.hash(suite),
            state_root: block.state_root,
        }
    }

    /// Parse the one accepted form: what was read must format to the same text.
    pub fn parse(text: &str) -> Result<Self> {
        at_most("checkpoint bytes", text.len(), limits::CHECKPOINT_BYTES)?;
        let lines: Vec<&str> = text.split('\n').collect();
        let [origin, size, root, block, state, ""] = lines[..] else {
            let got = lines.len() - 1;
            return malformed(format!("checkpoint has {got} lines, want 5, each ended"));
        };
        let Some((height, block_hash)) =
            block.strip_prefix("block ").and_then(|rest| rest.split_once(' '))
        else {
            return malformed(format!("line 4 is {block:?}, want block, a height and a hash"));
        };
        let Some(state_root) = state.strip_prefix("state ") else {
            return malformed(format!("line 5 is {state:?}, want state and a hash"));
        };
        check_name("origin", origin)?;
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: parse_number("size", size)?,
            root: parse_hash("root", root)?,
            height: parse_number("height", height)?,
            block_hash: parse_hash("block hash", block_hash)?,
            state_root: parse_hash("state root", state_root)?,
        };
        if checkpoint.format() != text {
            return malformed("checkpoint is not in its one form: look for signs, spaces or zeros");
        }
        Ok(checkpoint)
    }

    pub fn format(&self) -> String {
        let [root, block_hash, state_root] =
            [&self.root, &self.block_hash, &self.state_root].map(|hash| STANDARD.encode(hash));
        let Self { origin, size, height, .. } = self;
        format!("{origin}\n{size}\n{root}\nblock {height} {block_hash}\nstate {state_root}\n")
    }
}

fn parse_number(what: &str, text: &str) -> Result<u64> {
    text.parse().or_else(|_| malformed(format!("{what} is {text:?}, want a decimal number")))
}

fn parse_hash(what: &str, text: &str) -> Result<Hash> {
    let hash = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    hash.map_or_else(|| malformed(format!("{what} is {text:?}, want 32 bytes in base64")), Ok)
}
