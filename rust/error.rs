//! One error for the core, one variant for each thing that a caller can act on.

use thiserror::Error;

/// What went wrong, with what was got and what was wanted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// Bytes or text that are not in the one accepted form.
    #[error("{0}")]
    Malformed(String),
    /// One item of a batch is malformed.
    #[error("record {index}: {reason}")]
    MalformedItem { index: usize, reason: String },
    /// A named limit was passed.
    #[error("{what} is {got}, want at most {limit}")]
    Limit { what: &'static str, got: u64, limit: u64 },
    /// The suite is reserved and cannot be used yet.
    #[error("suite {0} is reserved and not built yet; use std or c2sp")]
    SuiteReserved(&'static str),
    /// Signatures that do not verify, by their positions in the batch.
    #[error("{}", signature_message(.indices, *.count))]
    Signature { indices: Vec<usize>, count: usize },
    /// A signature on a note that does not verify, by its signer's name.
    #[error("signature of {0} on the note does not verify")]
    NoteSignature(String),
    /// A proof that does not lead to the expected root.
    #[error("{0}")]
    Proof(String),
    /// A checkpoint, receipt or record that is sound but not of this network, signer or policy.
    #[error("{0}")]
    Untrusted(String),
    /// Part of a state map that is not in memory.
    #[error("a page of the state map is absent: fill what is absent for these objects before")]
    Absent,
}

fn signature_message(indices: &[usize], count: usize) -> String {
    if count == 1 {
        return "signature does not verify".to_owned();
    }
    let shown: Vec<String> = indices.iter().take(8).map(usize::to_string).collect();
    let more = if indices.len() > shown.len() { ", ..." } else { "" };
    format!("{} of {count} signatures do not verify: at {}{more}", indices.len(), shown.join(", "))
}

impl Error {
    /// The same error, said of one part of what was given. Limits and signatures name theirs.
    pub(crate) fn within(self, part: &str) -> Self {
        match self {
            Self::Malformed(reason) => Self::Malformed(format!("{part}: {reason}")),
            Self::Proof(reason) => Self::Proof(format!("{part}: {reason}")),
            Self::Untrusted(reason) => Self::Untrusted(format!("{part}: {reason}")),
            other => other,
        }
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// A malformed error with a formatted reason.
#[cold]
pub(crate) fn malformed<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::Malformed(reason.into()))
}

/// Refuse `got` when it is over `limit`.
pub(crate) fn at_most(what: &'static str, got: usize, limit: usize) -> Result<()> {
    if got > limit {
        return Err(Error::Limit { what, got: got as u64, limit: limit as u64 });
    }
    Ok(())
}
