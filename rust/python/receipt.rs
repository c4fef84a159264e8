//! Bind receipts.

use pyo3::prelude::{Bound, Py, PyRef, PyResult, Python, pyclass, pymethods};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::bytes::{hashes, list};
use super::checkpoint::Anchor;
use super::map::StateProof;
use super::record::VerifiedRecord;
use crate::receipt;

#[pyclass(frozen, eq, module = "ledgercore._core")]
#[derive(PartialEq)]
pub struct Receipt(receipt::Receipt);

#[pymethods]
impl Receipt {
    #[new]
    #[pyo3(signature = (*, index, path, checkpoint, envelope, state = None))]
    fn new(
        index: u64,
        path: Vec<PyBackedBytes>,
        checkpoint: String,
        envelope: Vec<u8>,
        state: Option<PyRef<'_, StateProof>>,
    ) -> PyResult<Self> {
        Ok(Self(receipt::Receipt {
            index,
            path: hashes("path hash", &path)?,
            checkpoint,
            envelope,
            state: state.map(|state| state.0.clone()),
        }))
    }

    #[staticmethod]
    fn decode(data: &[u8]) -> PyResult<Self> {
        Ok(Self(receipt::Receipt::decode(data)?))
    }

    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.encode())
    }

    fn verify(&self, py: Python<'_>, body: &[u8], anchor: &Anchor) -> PyResult<Py<VerifiedRecord>> {
        let (record, _) = self.0.verify(body, &anchor.0)?;
        VerifiedRecord::wrap(py, record)
    }

    #[getter]
    fn index(&self) -> u64 {
        self.0.index
    }

    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        list(py, &self.0.path)
    }

    #[getter]
    fn checkpoint(&self) -> &str {
        &self.0.checkpoint
    }

    #[getter]
    fn envelope<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.envelope)
    }

    #[getter]
    fn state(&self) -> Option<StateProof> {
        self.0.state.clone().map(StateProof)
    }

    fn __repr__(&self) -> String {
        format!("<receipt of record {}>", self.0.index)
    }
}
