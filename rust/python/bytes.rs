//! Take fixed-size values and lists of them out of Python's bytes, and put them back.

use std::fmt::Display;

use pyo3::prelude::{Bound, PyAny, PyAnyMethods, PyResult, Python};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyBytesMethods, PySequence};

use crate::error::{Result, malformed};
use crate::suite::Hash;

/// Exactly `N` bytes.
pub fn array<const N: usize>(what: impl Display, bytes: &[u8]) -> Result<[u8; N]> {
    match bytes.try_into() {
        Ok(array) => Ok(array),
        Err(_) => malformed(format!("{what} has {} bytes, want {N}", bytes.len())),
    }
}

/// Values of `N` bytes each, copied while Python's lock is held: that costs less than to keep it
/// from changing them.
pub fn arrays<const N: usize>(what: &str, items: &[Bound<'_, PyBytes>]) -> Result<Vec<[u8; N]>> {
    items.iter().map(|item| array(what, item.as_bytes())).collect()
}

/// Hashes, each in bytes of its own.
pub fn hashes(what: &str, items: &[PyBackedBytes]) -> Result<Vec<Hash>> {
    items.iter().map(|item| array(what, item)).collect()
}

/// Append hashes, each in bytes of its own, while Python's lock is held: that costs less than to
/// keep many of them from being let go.
pub fn copy_hashes(
    what: impl Display + Copy,
    items: &Bound<'_, PyAny>,
    hashes: &mut Vec<Hash>,
) -> PyResult<()> {
    for item in items.cast::<PySequence>()?.try_iter()? {
        let item = item?;
        let hash = match item.cast::<PyBytes>() {
            Ok(bytes) => array(what, bytes.as_bytes())?,
            Err(_) => array(what, &item.extract::<PyBackedBytes>()?)?,
        };
        hashes.push(hash);
    }
    Ok(())
}

/// Hashes that stand one after the other, as they lie there.
pub fn joined_hashes<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a [Hash]> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return malformed(format!("{what} have {} bytes, want a multiple of 32", bytes.len()));
    }
    Ok(hashes)
}

/// Hashes as bytes, one after the other.
pub fn join<'py>(py: Python<'py>, hashes: &[Hash]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, hashes.as_flattened())
}

/// Hashes as a list of bytes.
pub fn list<'py>(py: Python<'py>, hashes: &[Hash]) -> Vec<Bound<'py, PyBytes>> {
    hashes.iter().map(|hash| PyBytes::new(py, hash)).collect()
}

/// The slices of a list of bytes objects.
pub fn slices(items: &[PyBackedBytes]) -> Vec<&[u8]> {
    items.iter().map(|item| &**item).collect()
}
