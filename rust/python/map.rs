//! Bind the state map and its proofs.

use pyo3::prelude::{Bound, PyResult, Python, pyclass, pymethods};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::bytes::array;
use crate::map;
use crate::suite::Suite;

#[pyclass(frozen, module = "ledgercore._core")]
pub struct Map(map::Map);

#[pymethods]
impl Map {
    #[new]
    fn new(suite: &str) -> PyResult<Self> {
        Ok(Self(map::Map::new(Suite::from_name(suite)?)))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.root())
    }

    fn update(
        &self,
        py: Python<'_>,
        changes: Vec<(PyBackedBytes, Option<PyBackedBytes>)>,
    ) -> PyResult<Self> {
        let map = py.detach(|| {
            let changes: Vec<(&[u8], Option<&[u8]>)> =
                changes.iter().map(|(object, value)| (&**object, value.as_deref())).collect();
            self.0.update(&changes)
        })?;
        Ok(Self(map))
    }

    fn value_hash<'py>(&self, py: Python<'py>, object: &[u8]) -> Option<Bound<'py, PyBytes>> {
        self.0.value_hash(object).map(|hash| PyBytes::new(py, &hash))
    }

    fn prove(&self, object: &[u8], value: Option<&[u8]>) -> PyResult<StateProof> {
        Ok(StateProof(self.0.prove(object, value)?))
    }
}

#[pyclass(frozen, module = "ledgercore._core")]
pub struct StateProof(pub map::StateProof);

#[pymethods]
impl StateProof {
    #[staticmethod]
    fn decode(data: &[u8]) -> PyResult<Self> {
        Ok(Self(map::StateProof::decode(data)?))
    }

    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.encode())
    }

    #[getter]
    fn object<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.object())
    }

    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.value().map(|value| PyBytes::new(py, value))
    }

    fn verify(&self, suite: &str, state_root: &[u8]) -> PyResult<()> {
        let state_root = array("state root", state_root)?;
        Ok(self.0.verify(Suite::from_name(suite)?, &state_root)?)
    }
}
