//! Bind the hashes of a suite and the canonical encoding.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::{Bound, PyAny, PyAnyMethods, PyResult, Python, pyfunction};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyString};

use super::bytes::{array, join, slices};
use super::pool::detach;
use crate::suite::{Domain, Suite};
use crate::wire;

/// Items that are taken out of Python, hashed and let go while they are in a cache.
const PIECE: usize = 16_384;

#[pyfunction]
pub fn hash_domain<'py>(
    py: Python<'py>,
    suite: &str,
    domain: &str,
    data: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let hash = Suite::from_name(suite)?.hash(Domain::from_name(domain)?, data);
    Ok(PyBytes::new(py, &hash))
}

#[pyfunction]
pub fn leaf_hash<'py>(py: Python<'py>, suite: &str, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &Suite::from_name(suite)?.leaf(data)))
}

#[pyfunction]
pub fn leaf_hashes<'py>(
    py: Python<'py>,
    suite: &str,
    data: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let suite = Suite::from_name(suite)?;
    if data.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("data is a str, want a list of bytes"));
    }
    let mut hashes = Vec::new();
    let mut items = data.try_iter()?;
    loop {
        let some = items.by_ref().take(PIECE).map(|item| Ok(item?.extract()?));
        let some: Vec<PyBackedBytes> = some.collect::<PyResult<_>>()?;
        if some.is_empty() {
            return Ok(join(py, &hashes));
        }
        hashes.extend(detach(py, || suite.leaves(&slices(&some))));
    }
}

#[pyfunction]
pub fn node_hash<'py>(
    py: Python<'py>,
    suite: &str,
    left: &[u8],
    right: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let (left, right) = (array("left hash", left)?, array("right hash", right)?);
    Ok(PyBytes::new(py, &Suite::from_name(suite)?.node(&left, &right)))
}

#[pyfunction]
pub fn check_canonical(data: &[u8]) -> PyResult<()> {
    Ok(wire::check_canonical(data)?)
}
