//! Bind the sorted runs of ids.

use pyo3::prelude::{Bound, PyResult, Python, pyfunction};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::bytes::{array, joined_hashes, slices};
use super::pool::detach;
use crate::run;

#[pyfunction]
pub fn sort_ids<'py>(
    py: Python<'py>,
    level: u32,
    ids: &[u8],
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let ids = joined_hashes("ids", ids)?;
    let buckets = detach(py, || run::sort_ids(level, ids))?;
    Ok(buckets.iter().map(|bucket| PyBytes::new(py, bucket)).collect())
}

#[pyfunction]
pub fn merge_buckets<'py>(
    py: Python<'py>,
    level: u32,
    buckets: Vec<PyBackedBytes>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let merged = detach(py, || run::merge_buckets(level, &slices(&buckets)))?;
    Ok(merged.iter().map(|bucket| PyBytes::new(py, bucket)).collect())
}

#[pyfunction]
pub fn bucket_of(level: u32, id: &[u8]) -> PyResult<u64> {
    Ok(run::bucket_of(level, &array("id", id)?))
}

#[pyfunction]
pub fn find_id(bucket: &[u8], id: &[u8]) -> PyResult<Vec<u32>> {
    Ok(run::find_id(bucket, &array("id", id)?)?)
}
