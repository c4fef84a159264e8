//! Bind the core to Python: signature, call, error; no logic.
//!
//! Batches cross, items do not. The interpreter lock is released around every batch, and no
//! Python object is kept in a Rust value, but for what `bracket` calls.

mod block;
mod bracket;
mod build;
mod bytes;
mod checkpoint;
mod error;
mod group;
mod hashing;
mod map;
mod number;
mod receipt;
mod pool;
mod record;
mod run;
mod signature;
mod tree;
mod unsigned;
mod verification;

use pyo3::pymodule;

#[pymodule]
mod _core {
    use pyo3::prelude::{Bound, PyModule, PyResult};

    use crate::limits;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::pool::watch_forks(module)
    }

    #[pymodule_export]
    const BODY_BYTES: usize = limits::BODY_BYTES;
    #[pymodule_export]
    const BUNDLE_RECORDS: usize = limits::BUNDLE_RECORDS;
    #[pymodule_export]
    const ORIGIN_BYTES: usize = limits::ORIGIN_BYTES;
    #[pymodule_export]
    const PROOF_HASHES: usize = limits::PROOF_HASHES;
    #[pymodule_export]
    const RECEIPT_BYTES: usize = limits::RECEIPT_BYTES;
    #[pymodule_export]
    const RECORD_BYTES: usize = limits::RECORD_BYTES;

    #[pymodule_export]
    use super::block::Block;
    #[pymodule_export]
    use super::bracket::{Bracket, Guard, OwnLock};
    #[pymodule_export]
    use super::build::build_info;
    #[pymodule_export]
    use super::checkpoint::{
        Anchor, Checkpoint, attach_cosignature, attach_signature, cosign_checkpoint,
        cosigned_message, format_verifier_key, parse_verifier_key, sign_checkpoint,
    };
    #[pymodule_export]
    use super::group::{
        group_add_numbers, group_add_points, group_combine, group_commit, group_deal, group_number,
        group_open_part, group_prove_seal, group_seal, group_share_keys, group_verify_deal,
        group_verify_dealer, group_verify_part, group_verify_seal, group_verify_share_keys,
    };
    #[pymodule_export]
    use super::hashing::{check_canonical, hash_domain, leaf_hash, leaf_hashes, node_hash};
    #[pymodule_export]
    use super::map::{Map, StateMultiproof, StateProof, state_keys, verify_states};
    #[pymodule_export]
    use super::receipt::{Receipt, make_receipts, verify_receipts};
    #[pymodule_export]
    use super::record::{
        Batch, Equivocation, Record, VerifiedBatch, VerifiedRecord, bundle_record, hash_bundles,
    };
    #[pymodule_export]
    use super::run::{bucket_of, find_id, merge_buckets, sort_ids};
    #[pymodule_export]
    use super::signature::{SigningKey, check_public_key, verify_signature, verify_signatures};
    #[pymodule_export]
    use super::tree::{
        Frontier, TileTree, consistency_tiles, inclusion_tiles, multiproof_tiles,
        prove_consistency, prove_inclusion, prove_inclusions, prove_multi, tree_root,
        verify_consistency, verify_inclusion, verify_inclusions, verify_multi,
    };
    #[pymodule_export]
    use super::unsigned::UnsignedBatch;
    #[pymodule_export]
    use super::verification::Verification;
}
