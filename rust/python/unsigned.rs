//! Bind records that wait for their signatures.

use pyo3::prelude::{Bound, PyResult, Python, pyclass, pymethods};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use rayon::prelude::*;

use super::bytes::{array, hashes, slices};
use super::number;
use super::pool::detach;
use super::record::Batch;
use crate::error::{Result, malformed};
use crate::record::{self, Draft, Unsigned};
use crate::suite::Suite;

#[pyclass(frozen, module = "ledgercore._core")]
pub struct UnsignedBatch(Vec<Unsigned>);

#[pymethods]
impl UnsignedBatch {
    #[new]
    #[pyo3(signature = (suite, network, kind, bodies, public_key, *, sequence, previous,
        references = Vec::new(), not_before_ms = 0, expiry_ms = 0))]
    #[allow(clippy::too_many_arguments)] // keyword-only in Python, where each is named
    fn new(
        py: Python<'_>,
        suite: &str,
        network: &[u8],
        kind: &str,
        bodies: Vec<PyBackedBytes>,
        public_key: &[u8],
        #[pyo3(from_py_with = number::sequence)] sequence: u64,
        previous: &[u8],
        references: Vec<PyBackedBytes>,
        #[pyo3(from_py_with = number::not_before_ms)] not_before_ms: u64,
        #[pyo3(from_py_with = number::expiry_ms)] expiry_ms: u64,
    ) -> PyResult<Self> {
        let first = Draft {
            network: array("network", network)?,
            kind,
            suite: Suite::from_name(suite)?,
            sequence,
            previous: array("previous", previous)?,
            references: &hashes("reference", &references)?,
            not_before_ms,
            expiry_ms,
            body: &[],
        };
        let key = array("public key", public_key)?;
        Ok(Self(detach(py, || record::draft_chain(&first, &slices(&bodies), &key))?))
    }

    fn messages<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.0.iter().map(|unsigned| PyBytes::new(py, unsigned.message())).collect()
    }

    fn attach(&self, py: Python<'_>, signatures: Vec<PyBackedBytes>) -> PyResult<Batch> {
        let (got, want) = (signatures.len(), self.0.len());
        if got != want {
            malformed::<()>(format!("batch has {got} signatures, want {want}"))?;
        }
        let attach = |(unsigned, signature): (&Unsigned, &PyBackedBytes)| {
            unsigned.attach(&array("signature", signature)?)
        };
        let all = || self.0.par_iter().zip(&signatures).map(attach).collect::<Result<Vec<_>>>();
        Ok(Batch(detach(py, all)?.into()))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}
