//! Bind the state map and its proofs.

use pyo3::prelude::{Bound, PyResult, Python, pyclass, pyfunction, pymethods};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::bytes::{array, list, slices};
use super::pool::detach;
use crate::map;
use crate::suite::Suite;

#[pyclass(frozen, module = "ledgercore._core")]
pub struct Map(pub map::Map);

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

    fn update(&self, py: Python<'_>, changes: Vec<PyClaim>) -> PyResult<Self> {
        Ok(Self(detach(py, || self.0.update(&claims(&changes)))?))
    }

    fn overwrite(&self, py: Python<'_>, changes: Vec<PyClaim>) -> PyResult<Self> {
        Ok(Self(detach(py, || self.0.overwrite(&claims(&changes)))?))
    }

    fn absent<'py>(&self, py: Python<'py>, objects: Vec<PyBackedBytes>) -> Vec<PyRange<'py>> {
        let ranges = detach(py, || self.0.absent(&slices(&objects)));
        ranges
            .iter()
            .map(|[first, last]| (PyBytes::new(py, first), PyBytes::new(py, last)))
            .collect()
    }

    fn fill(
        &self,
        py: Python<'_>,
        pages: Vec<(PyBackedBytes, PyBackedBytes)>,
        states: Vec<(PyBackedBytes, PyBackedBytes)>,
    ) -> PyResult<()> {
        let range = |(first, last): &(PyBackedBytes, PyBackedBytes)| -> crate::Result<_> {
            Ok([array("first key", first)?, array("last key", last)?])
        };
        let pages = pages.iter().map(range).collect::<crate::Result<Vec<_>>>()?;
        let states: Vec<_> = states.iter().map(|(name, state)| (&**name, &**state)).collect();
        Ok(detach(py, || self.0.fill(&pages, &states))?)
    }

    #[pyo3(signature = (limit, but=None))]
    fn forget(&self, py: Python<'_>, limit: usize, but: Option<&[u8]>) {
        if self.0.in_memory() > limit {
            detach(py, || self.0.forget(limit, but));
        }
    }

    #[getter]
    fn in_memory(&self) -> usize {
        self.0.in_memory()
    }

    fn value_hash<'py>(
        &self,
        py: Python<'py>,
        object: &[u8],
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(self.0.value_hash(object)?.map(|hash| PyBytes::new(py, &hash)))
    }

    fn prove(&self, object: &[u8], value: Option<&[u8]>) -> PyResult<StateProof> {
        Ok(StateProof(self.0.prove(object, value)?))
    }

    fn prove_all(&self, py: Python<'_>, claims: Vec<PyClaim>) -> PyResult<Vec<StateProof>> {
        let proofs = detach(py, || self.0.prove_all(&self::claims(&claims)))?;
        Ok(proofs.into_iter().map(StateProof).collect())
    }

    fn prove_multi(&self, py: Python<'_>, claims: Vec<PyClaim>) -> PyResult<StateMultiproof> {
        Ok(StateMultiproof(detach(py, || self.0.prove_multi(&self::claims(&claims)))?))
    }
}

type PyRange<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// An object's name, and its state or None.
pub type PyClaim = (PyBackedBytes, Option<PyBackedBytes>);

pub fn claims(given: &[PyClaim]) -> Vec<map::Claim<'_>> {
    given.iter().map(|(object, value)| (&**object, value.as_deref())).collect()
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

#[pyfunction]
pub fn state_keys<'py>(
    py: Python<'py>,
    suite: &str,
    objects: Vec<PyBackedBytes>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let suite = Suite::from_name(suite)?;
    let keys = detach(py, || map::keys(suite, &slices(&objects)));
    Ok(list(py, &keys))
}

#[pyfunction]
pub fn verify_states(
    py: Python<'_>,
    suite: &str,
    proofs: Vec<PyBackedBytes>,
    state_root: &[u8],
) -> PyResult<Vec<StateProof>> {
    let (suite, root) = (Suite::from_name(suite)?, array("state root", state_root)?);
    let verified = detach(py, || map::verify_all(suite, &slices(&proofs), &root))?;
    Ok(verified.into_iter().map(StateProof).collect())
}

#[pyclass(frozen, module = "ledgercore._core")]
pub struct StateMultiproof(map::StateMultiproof);

type PyState<'py> = (Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>);

#[pymethods]
impl StateMultiproof {
    #[staticmethod]
    fn decode(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        Ok(Self(detach(py, || map::StateMultiproof::decode(data))?))
    }

    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.encode())
    }

    #[getter]
    fn states<'py>(&self, py: Python<'py>) -> Vec<PyState<'py>> {
        let bytes = |bytes: &Vec<u8>| PyBytes::new(py, bytes);
        let claims = self.0.claims().iter();
        claims.map(|(object, value)| (bytes(object), value.as_ref().map(bytes))).collect()
    }

    fn verify(&self, py: Python<'_>, suite: &str, state_root: &[u8]) -> PyResult<()> {
        let (suite, root) = (Suite::from_name(suite)?, array("state root", state_root)?);
        Ok(detach(py, || self.0.verify(suite, &root))?)
    }
}
