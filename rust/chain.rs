//! Sum up a batch's plain records by signer, so that rules look at signers and not at records.
//!
//! A plain record is of kind `data` and without a window: whether it may be appended depends on
//! nothing but its network, its suite, its signer, and its place in the signer's chain.

use crate::key::PublicKey;
use crate::numbering::Numbering;
use crate::record::{Network, Record};
use crate::suite::{Hash, Suite};

/// A signer's records in a batch, each of which follows the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub key: PublicKey,
    /// The sequence of the first record, and of the signer's next one after the last.
    pub begin: u64,
    pub end: u64,
    /// The id that the first record names as the previous one's.
    pub previous: Hash,
    /// The id of the last record.
    pub last: Hash,
}

/// The chains of a batch in the order of their first records, or `None` where a record is not
/// plain, is of another network or suite, or does not follow its signer's one before.
pub fn chains<'a>(
    records: impl Iterator<Item = &'a Record>,
    network: &Network,
    suite: Suite,
) -> Option<Vec<Chain>> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut numbering = Numbering::default();
    for record in records {
        if !is_plain(record) || record.network() != network || record.suite() != suite {
            return None;
        }
        let at = numbering.number(record.key());
        if at == chains.len() {
            chains.push(Chain {
                key: *record.key(),
                begin: record.sequence(),
                end: record.sequence(),
                previous: *record.previous(),
                last: *record.previous(),
            });
        }
        let chain = &mut chains[at];
        if (record.sequence(), record.previous()) != (chain.end, &chain.last) {
            return None;
        }
        chain.end = record.sequence().checked_add(1)?;
        chain.last = *record.id();
    }
    Some(chains)
}

fn is_plain(record: &Record) -> bool {
    record.is_data() && record.not_before_ms() == 0 && record.expiry_ms() == 0
}
