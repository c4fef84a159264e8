//! Bind checkpoints, the notes that sign them, and the anchor that verifies them.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::{
    Bound, PyAnyMethods, PyDictMethods, PyResult, Python, pyclass, pyfunction, pymethods,
};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};

use super::block::Block;
use super::bytes::array;
use super::number;
use super::pool::verifying;
use super::record::Batch;
use super::signature::SigningKey;
use crate::note::{self, Algorithm, Note};
use crate::suite::Suite;
use crate::{Result, anchor, block, checkpoint};

#[pyclass(frozen, eq, module = "ledgercore._core")]
#[derive(PartialEq)]
pub struct Checkpoint(pub checkpoint::Checkpoint);

#[pymethods]
impl Checkpoint {
    #[new]
    #[pyo3(signature = (*, origin, size, root, height, block_hash, state_root))]
    fn new(
        origin: String,
        #[pyo3(from_py_with = number::size)] size: u64,
        root: &[u8],
        #[pyo3(from_py_with = number::height)] height: u64,
        block_hash: &[u8],
        state_root: &[u8],
    ) -> PyResult<Self> {
        let checkpoint = checkpoint::Checkpoint {
            origin,
            size,
            root: array("root", root)?,
            height,
            block_hash: array("block hash", block_hash)?,
            state_root: array("state root", state_root)?,
        };
        Ok(Self(checkpoint::Checkpoint::parse(&checkpoint.format())?))
    }

    #[staticmethod]
    fn parse(text: &str) -> PyResult<Self> {
        let text = match text.contains("\n\n") {
            true => Note::parse(text)?.text,
            false => text.to_owned(),
        };
        Ok(Self(checkpoint::Checkpoint::parse(&text)?))
    }

    fn format(&self) -> String {
        self.0.format()
    }

    #[getter]
    fn origin(&self) -> &str {
        &self.0.origin
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.size
    }

    #[getter]
    fn root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.root)
    }

    #[getter]
    fn height(&self) -> u64 {
        self.0.height
    }

    #[getter]
    fn block_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.block_hash)
    }

    #[getter]
    fn state_root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.state_root)
    }

    fn __repr__(&self) -> String {
        format!("<checkpoint of {} at size {}>", self.0.origin, self.0.size)
    }
}

#[pyfunction]
pub fn sign_checkpoint(checkpoint: &Checkpoint, key: &SigningKey) -> PyResult<String> {
    let mut note = Note::new(checkpoint.0.format());
    note.sign(&checkpoint.0.origin, &key.0)?;
    Ok(note.format())
}

#[pyfunction]
pub fn cosign_checkpoint(
    note: &str,
    name: &str,
    key: &SigningKey,
    #[pyo3(from_py_with = number::time_s)] time_s: u64,
) -> PyResult<String> {
    let mut note = cosignable(note)?;
    note.cosign(name, &key.0, time_s)?;
    Ok(note.format())
}

/// The signed note of a checkpoint, with a signature that was made elsewhere.
#[pyfunction]
pub fn attach_signature(
    checkpoint: &Checkpoint,
    public_key: &[u8],
    signature: &[u8],
) -> PyResult<String> {
    let mut note = Note::new(checkpoint.0.format());
    let key = array("public key", public_key)?;
    note.attach(&checkpoint.0.origin, &key, &array("signature", signature)?)?;
    Ok(note.format())
}

/// What a cosigner of a note signs.
#[pyfunction]
pub fn cosigned_message<'py>(
    py: Python<'py>,
    note: &str,
    #[pyo3(from_py_with = number::time_s)] time_s: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &cosignable(note)?.cosigned(time_s)?))
}

/// The note with a cosignature that was made elsewhere.
#[pyfunction]
pub fn attach_cosignature(
    note: &str,
    name: &str,
    public_key: &[u8],
    #[pyo3(from_py_with = number::time_s)] time_s: u64,
    signature: &[u8],
) -> PyResult<String> {
    let (mut note, key) = (cosignable(note)?, array("public key", public_key)?);
    note.attach_cosignature(name, &key, time_s, &array("signature", signature)?)?;
    Ok(note.format())
}

/// A note whose text is a checkpoint.
fn cosignable(note: &str) -> Result<Note> {
    let note = Note::parse(note)?;
    checkpoint::Checkpoint::parse(&note.text)?;
    Ok(note)
}

/// The name and public key in a verifier key's text.
#[pyfunction]
#[pyo3(signature = (text, *, cosigner = false))]
pub fn parse_verifier_key<'py>(
    py: Python<'py>,
    text: &str,
    cosigner: bool,
) -> PyResult<(String, Bound<'py, PyBytes>)> {
    let (name, key) = note::parse_verifier_key(text, algorithm(cosigner))?;
    Ok((name, PyBytes::new(py, &key)))
}

/// A public key as a verifier key's text.
#[pyfunction]
#[pyo3(signature = (name, public_key, *, cosigner = false))]
pub fn format_verifier_key(name: &str, public_key: &[u8], cosigner: bool) -> PyResult<String> {
    note::check_name("signer", name)?;
    let key = array("public key", public_key)?;
    Ok(note::format_verifier_key(name, algorithm(cosigner), &key))
}

fn algorithm(cosigner: bool) -> Algorithm {
    if cosigner { Algorithm::Cosignature } else { Algorithm::Signature }
}

#[pyclass(frozen, eq, module = "ledgercore._core")]
pub struct Anchor {
    anchor: anchor::Anchor,
    /// The note that was verified last, and its checkpoint: receipts of one block share it.
    last: Mutex<Option<(String, checkpoint::Checkpoint)>>,
}

impl PartialEq for Anchor {
    fn eq(&self, other: &Self) -> bool {
        self.anchor == other.anchor
    }
}

impl Anchor {
    pub fn get(&self) -> &anchor::Anchor {
        &self.anchor
    }

    /// The checkpoint of a receipt's note, verified now or just before.
    pub fn verified(&self, note: &str) -> Result<checkpoint::Checkpoint> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, checkpoint)) = last.as_ref().filter(|(verified, _)| verified == note) {
            return Ok(checkpoint.clone());
        }
        let checkpoint = self.anchor.verify_checkpoint(note)?;
        *last = Some((note.to_owned(), checkpoint.clone()));
        Ok(checkpoint)
    }
}

#[pymethods]
impl Anchor {
    #[new]
    #[pyo3(signature = (*, origin, network, suite, operator_key, witnesses = Vec::new(),
        quorum = 0))]
    fn new(
        origin: String,
        network: &[u8],
        suite: &str,
        operator_key: &[u8],
        witnesses: Vec<(String, PyBackedBytes)>,
        #[pyo3(from_py_with = number::quorum)] quorum: u64,
    ) -> PyResult<Self> {
        let witnesses = witnesses
            .into_iter()
            .map(|(name, key)| Ok((name, array("witness key", &key)?)))
            .collect::<Result<_>>()?;
        let anchor = anchor::Anchor {
            origin,
            network: array("network", network)?,
            suite: Suite::from_name(suite)?,
            operator_key: array("operator key", operator_key)?,
            witnesses,
            // More than there can be witnesses is refused as such.
            quorum: usize::try_from(quorum).unwrap_or(usize::MAX),
        };
        Ok(Self { anchor: anchor.check()?, last: Mutex::default() })
    }

    /// What `pickle` makes it of in another process, whose bounds are checked there.
    fn __getnewargs_ex__<'py>(slf: &Bound<'py, Self>) -> PyResult<((), Bound<'py, PyDict>)> {
        let given = PyDict::new(slf.py());
        for name in ["origin", "network", "suite", "operator_key", "witnesses", "quorum"] {
            given.set_item(name, slf.getattr(name)?)?;
        }
        Ok(((), given))
    }

    fn merge_cosignatures(&self, note: &str, cosigned: &str) -> PyResult<String> {
        Ok(self.anchor.merge_cosignatures(note, cosigned)?)
    }

    #[getter]
    fn origin(&self) -> &str {
        &self.anchor.origin
    }

    #[getter]
    fn network<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.anchor.network)
    }

    #[getter]
    fn suite(&self) -> &'static str {
        self.anchor.suite.name()
    }

    #[getter]
    fn operator_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.anchor.operator_key)
    }

    #[getter]
    fn operator_vkey(&self) -> String {
        note::format_verifier_key(
            &self.anchor.origin,
            Algorithm::Signature,
            &self.anchor.operator_key,
        )
    }

    #[getter]
    fn witnesses<'py>(&self, py: Python<'py>) -> Vec<(String, Bound<'py, PyBytes>)> {
        let witnesses = self.anchor.witnesses.iter();
        witnesses.map(|(name, key)| (name.clone(), PyBytes::new(py, key))).collect()
    }

    #[getter]
    fn quorum(&self) -> usize {
        self.anchor.quorum
    }

    fn verify_checkpoint(&self, note: &str) -> PyResult<Checkpoint> {
        Ok(Checkpoint(self.anchor.verify_checkpoint(note)?))
    }

    fn verify_operator(&self, note: &str) -> PyResult<Checkpoint> {
        Ok(Checkpoint(self.anchor.verify_operator(note)?))
    }

    fn checkpoint(&self, block: &Block) -> Checkpoint {
        Checkpoint(self.anchor.checkpoint(&block.0))
    }

    #[pyo3(signature = (header, note, records = None))]
    fn verify_block(
        &self,
        py: Python<'_>,
        header: &[u8],
        note: &str,
        records: Option<&Batch>,
    ) -> PyResult<(Block, Checkpoint)> {
        let block = block::Block::decode(header)?;
        let records = records.map_or(&[][..], |batch| &batch.0);
        let verify = || self.anchor.verify_block(&block, note, records);
        let checkpoint = verifying(py, records.len(), false, verify)?;
        Ok((Block(block), Checkpoint(checkpoint)))
    }

    fn __repr__(&self) -> String {
        format!("<anchor of {}>", self.anchor.origin)
    }
}
