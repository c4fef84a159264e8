//! Bind receipts.

use pyo3::prelude::{
    Bound, Py, PyAny, PyAnyMethods, PyRef, PyResult, Python, pyclass, pyfunction, pymethods,
};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyType};

use super::bytes::{array, hashes, list, slices};
use super::checkpoint::{Anchor, Checkpoint};
use super::map::StateProof;
use super::number;
use super::pool::detach;
use super::record::{VerifiedBatch, VerifiedRecord};
use super::tree::{self, PyTiles};
use crate::receipt::{self, Source};
use crate::suite::Suite;

#[pyclass(frozen, eq, module = "ledgercore._core")]
#[derive(PartialEq)]
pub struct Receipt(receipt::Receipt);

#[pymethods]
impl Receipt {
    #[new]
    #[pyo3(signature = (*, index, path, checkpoint, envelope, state = None))]
    fn new(
        #[pyo3(from_py_with = number::index)] index: u64,
        path: Vec<PyBackedBytes>,
        checkpoint: String,
        envelope: Vec<u8>,
        state: Option<PyRef<'_, StateProof>>,
    ) -> PyResult<Self> {
        let receipt = receipt::Receipt {
            index,
            path: hashes("path hash", &path)?,
            checkpoint,
            envelope,
            state: state.map(|state| state.0.clone()),
        };
        // What cannot be decoded may not be made either.
        Ok(Self(receipt::Receipt::decode(&receipt.encode())?))
    }

    #[staticmethod]
    fn decode(data: &[u8]) -> PyResult<Self> {
        Ok(Self(receipt::Receipt::decode(data)?))
    }

    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.encode())
    }

    /// As `pickle` decodes it in another process.
    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyType>,))> {
        let decode = py.import("operator")?.getattr("methodcaller")?;
        Ok((decode.call1(("decode", self.encode(py)))?, (py.get_type::<Self>(),)))
    }

    fn verify(&self, py: Python<'_>, body: &[u8], anchor: &Anchor) -> PyResult<Py<VerifiedRecord>> {
        let checkpoint = anchor.verified(&self.0.checkpoint)?;
        VerifiedRecord::wrap(py, self.0.verify_under(&checkpoint, body, anchor.get())?)
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

#[pyfunction]
#[pyo3(signature = (bundle, first_index, indices, checkpoint, note, tiles, suite, states = vec![]))]
#[allow(clippy::too_many_arguments)] // what one block's receipts are made from
pub fn make_receipts(
    py: Python<'_>,
    bundle: &[u8],
    #[pyo3(from_py_with = number::first_index)] first_index: u64,
    #[pyo3(from_py_with = number::indices)] indices: Vec<u64>,
    checkpoint: &Checkpoint,
    note: &str,
    tiles: PyTiles,
    suite: &str,
    states: Vec<PyRef<'_, StateProof>>,
) -> PyResult<Vec<Receipt>> {
    let suite = Suite::from_name(suite)?;
    let tiles = tree::tiles(suite, &tiles)?;
    let states: Vec<_> = states.iter().map(|state| state.0.clone()).collect();
    let source = Source {
        suite,
        bundle,
        first_index,
        size: checkpoint.0.size,
        root: &checkpoint.0.root,
        note,
        tiles: &tiles,
        states: &states,
    };
    let receipts = detach(py, || receipt::make(&source, &indices))?;
    Ok(receipts.into_iter().map(Receipt).collect())
}

#[pyfunction]
pub fn verify_receipts(
    py: Python<'_>,
    receipts: Vec<PyBackedBytes>,
    bodies: Vec<PyBackedBytes>,
    anchor: &Anchor,
    seed: &[u8],
) -> PyResult<VerifiedBatch> {
    let seed = array("seed", seed)?;
    let (receipts, bodies) = (slices(&receipts), slices(&bodies));
    let verify = || receipt::verify_all(&receipts, &bodies, anchor.get(), &seed);
    Ok(VerifiedBatch(detach(py, verify)?))
}
