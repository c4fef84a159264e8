//! Bind shared keys and sums of commitments.

use pyo3::prelude::{Bound, PyResult, Python, pyfunction};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::bytes::{array, hashes, list};
use super::number;
use super::pool::detach;
use crate::group;

type Bytes<'py> = Bound<'py, PyBytes>;

#[pyfunction]
pub fn group_number<'py>(py: Python<'py>, wide: &[u8]) -> PyResult<Bytes<'py>> {
    Ok(PyBytes::new(py, &group::number(&array("random bytes", wide)?)))
}

#[pyfunction]
pub fn group_deal<'py>(
    py: Python<'py>,
    coefficients: Vec<PyBackedBytes>,
    #[pyo3(from_py_with = number::dealer)] dealer: u64,
    #[pyo3(from_py_with = number::holders)] holders: u64,
) -> PyResult<(Vec<Bytes<'py>>, Bytes<'py>, Vec<Bytes<'py>>)> {
    let coefficients = coefficients
        .iter()
        .map(|each| array("random bytes", each))
        .collect::<crate::Result<Vec<_>>>()?;
    let deal = group::deal(&coefficients, dealer, holders)?;
    let numbers = deal.numbers.iter().map(|each| PyBytes::new(py, &**each)).collect();
    Ok((list(py, &deal.commitments), PyBytes::new(py, &deal.proof), numbers))
}

#[pyfunction]
pub fn group_verify_dealer(
    commitments: Vec<PyBackedBytes>,
    proof: &[u8],
    #[pyo3(from_py_with = number::dealer)] dealer: u64,
    #[pyo3(from_py_with = number::holders)] holders: u64,
) -> PyResult<()> {
    let commitments = hashes("commitment", &commitments)?;
    Ok(group::verify_dealer(&commitments, &array("proof", proof)?, dealer, holders)?)
}

#[pyfunction]
pub fn group_verify_deal(
    commitments: Vec<PyBackedBytes>,
    #[pyo3(from_py_with = number::holder)] holder: u64,
    number: &[u8],
) -> PyResult<()> {
    let commitments = hashes("commitment", &commitments)?;
    Ok(group::verify_deal(&commitments, holder, &array("number", number)?)?)
}

#[pyfunction]
pub fn group_share_keys<'py>(
    py: Python<'py>,
    dealt: Vec<Vec<PyBackedBytes>>,
    #[pyo3(from_py_with = number::holders)] holders: u64,
) -> PyResult<(Bytes<'py>, Vec<Bytes<'py>>)> {
    let dealt =
        dealt.iter().map(|each| hashes("commitment", each)).collect::<crate::Result<Vec<_>>>()?;
    let (key, keys) = group::share_keys(&dealt, holders)?;
    Ok((PyBytes::new(py, &key), list(py, &keys)))
}

#[pyfunction]
pub fn group_verify_share_keys(
    key: &[u8],
    share_keys: Vec<PyBackedBytes>,
    threshold: usize,
) -> PyResult<()> {
    let keys = hashes("share key", &share_keys)?;
    Ok(group::verify_share_keys(&array("key", key)?, &keys, threshold)?)
}

#[pyfunction]
pub fn group_seal<'py>(
    py: Python<'py>,
    key: &[u8],
    wide: &[u8],
) -> PyResult<(Bytes<'py>, Bytes<'py>)> {
    let (ephemeral, shared) = group::seal(&array("key", key)?, &array("random bytes", wide)?)?;
    Ok((PyBytes::new(py, &ephemeral), PyBytes::new(py, &*shared)))
}

#[pyfunction]
pub fn group_prove_seal<'py>(
    py: Python<'py>,
    key: &[u8],
    wide: &[u8],
    nonce: &[u8],
    context: &[u8],
) -> PyResult<Bytes<'py>> {
    let (wide, nonce) = (array("random bytes", wide)?, array("nonce", nonce)?);
    let proof = group::prove_seal(&array("key", key)?, &wide, &nonce, context);
    Ok(PyBytes::new(py, &proof))
}

#[pyfunction]
pub fn group_verify_seal(
    key: &[u8],
    ephemeral: &[u8],
    proof: &[u8],
    context: &[u8],
) -> PyResult<()> {
    let (key, ephemeral) = (array("key", key)?, array("ephemeral point", ephemeral)?);
    Ok(group::verify_seal(&key, &ephemeral, &array("proof", proof)?, context)?)
}

#[pyfunction]
pub fn group_open_part<'py>(
    py: Python<'py>,
    share: &[u8],
    ephemeral: &[u8],
    context: &[u8],
    seed: &[u8],
) -> PyResult<(Bytes<'py>, Bytes<'py>)> {
    let (share, ephemeral) = (array("share", share)?, array("ephemeral point", ephemeral)?);
    let (part, proof) = group::open_part(&share, &ephemeral, context, &array("seed", seed)?)?;
    Ok((PyBytes::new(py, &part), PyBytes::new(py, &proof)))
}

#[pyfunction]
pub fn group_verify_part(
    share_key: &[u8],
    ephemeral: &[u8],
    part: &[u8],
    proof: &[u8],
    context: &[u8],
) -> PyResult<()> {
    let (key, ephemeral) = (array("share key", share_key)?, array("ephemeral point", ephemeral)?);
    let (part, proof) = (array("part", part)?, array("proof", proof)?);
    Ok(group::verify_part(&key, &ephemeral, &part, &proof, context)?)
}

#[pyfunction]
pub fn group_combine<'py>(
    py: Python<'py>,
    holders: Vec<u64>,
    parts: Vec<PyBackedBytes>,
) -> PyResult<Bytes<'py>> {
    Ok(PyBytes::new(py, &group::combine(&holders, &hashes("part", &parts)?)?))
}

#[pyfunction]
pub fn group_commit<'py>(
    py: Python<'py>,
    amounts: Vec<u64>,
    blindings: Vec<PyBackedBytes>,
) -> PyResult<Vec<Bytes<'py>>> {
    let blindings = hashes("blinding", &blindings)?;
    let commitments = detach(py, || group::commit(&amounts, &blindings))?;
    Ok(list(py, &commitments))
}

#[pyfunction]
pub fn group_add_points<'py>(py: Python<'py>, points: Vec<PyBackedBytes>) -> PyResult<Bytes<'py>> {
    let points = hashes("point", &points)?;
    let sum = detach(py, || group::add_points(&points))?;
    Ok(PyBytes::new(py, &sum))
}

#[pyfunction]
pub fn group_add_numbers<'py>(
    py: Python<'py>,
    numbers: Vec<PyBackedBytes>,
) -> PyResult<Bytes<'py>> {
    Ok(PyBytes::new(py, &group::add_numbers(&hashes("number", &numbers)?)?))
}
