//! The core of a permissioned, token-free ledger: pure, without I/O, clock or randomness.
//!
//! What it keeps between calls changes no result: tables of keys that sign often, and threads that
//! the system is to run on other cores than their caller's.
//!
//! Modules stand in pipeline order; each uses only those above it.

#![deny(unsafe_code)]

pub mod error;
pub mod limits;
mod once;
mod lanes;
mod sha256;
mod tasks;
mod cores;
mod companion;
pub mod suite;
pub mod wire;
pub mod key;
mod numbering;
pub mod group;
pub mod signature;
pub mod record;
pub mod chain;
pub mod equivocation;
pub mod run;
pub mod tree;
pub mod map;
pub mod block;
pub mod note;
pub mod checkpoint;
pub mod anchor;
pub mod receipt;

#[cfg(feature = "python")]
mod python;

pub use error::{Error, Result};
pub use suite::{Domain, Hash, Suite};
