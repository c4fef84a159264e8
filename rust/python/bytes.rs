//! Take fixed-size values and lists of them out of Python's bytes, and put them back.

use std::fmt::Display;
use std::ops::{Deref, Range};

use pyo3::Borrowed;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::{Bound, FromPyObject, PyAny, PyAnyMethods, PyErr, PyResult, Python};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyBytesMethods, PyMemoryView};

use crate::error::{Result, malformed};
use crate::suite::Hash;

/// Exactly `N` bytes.
pub fn array<const N: usize>(what: impl Display, bytes: &[u8]) -> Result<[u8; N]> {
    match bytes.try_into() {
        Ok(array) => Ok(array),
        Err(_) => malformed(format!("{what} has {} bytes, want {N}", bytes.len())),
    }
}

/// Hashes, each in bytes of its own.
pub fn hashes(what: &str, items: &[PyBackedBytes]) -> Result<Vec<Hash>> {
    items.iter().map(|item| array(what, item)).collect()
}

/// Values of `N` bytes each, copied while Python's lock is held: that costs less than to keep many
/// of them from being let go.
pub fn arrays<const N: usize>(
    what: impl Display + Copy,
    items: &Bound<'_, PyAny>,
) -> PyResult<Vec<[u8; N]>> {
    let mut arrays = Vec::new();
    copy_arrays(what, items, &mut arrays)?;
    Ok(arrays)
}

/// Append values of `N` bytes each, as `arrays` copies them.
pub fn copy_arrays<const N: usize>(
    what: impl Display + Copy,
    items: &Bound<'_, PyAny>,
    arrays: &mut Vec<[u8; N]>,
) -> PyResult<()> {
    for item in items.try_iter()? {
        let item = item?;
        let value = match item.cast::<PyBytes>() {
            Ok(bytes) => array(what, bytes.as_bytes())?,
            Err(_) => array(what, &item.extract::<PyBackedBytes>()?)?,
        };
        arrays.push(value);
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

/// Bytes, or a part of them that a memory view shows: nothing is copied, and as bytes do not change
/// they can be read without the interpreter.
pub struct Part {
    whole: PyBackedBytes,
    place: Range<usize>,
}

impl Deref for Part {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.whole[self.place.clone()]
    }
}

impl<'py> FromPyObject<'_, 'py> for Part {
    type Error = PyErr;

    fn extract(item: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let Ok(view) = item.cast::<PyMemoryView>() else {
            let whole = item.extract::<PyBackedBytes>()?;
            return Ok(Self { place: 0..whole.len(), whole });
        };
        let whole = PyBackedBytes::from(view.getattr("obj")?.cast_into::<PyBytes>()?);
        let shown = PyBuffer::<u8>::get(&view)?;
        let begin = (shown.buf_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        let place = begin..begin.wrapping_add(shown.len_bytes());
        if !shown.is_c_contiguous() || whole.get(place.clone()).is_none() {
            return Err(PyValueError::new_err("memory view has gaps, want one part of its bytes"));
        }
        Ok(Self { whole, place })
    }
}

/// The slices of a list of bytes objects.
pub fn slices(items: &[impl Deref<Target = [u8]>]) -> Vec<&[u8]> {
    items.iter().map(|item| &**item).collect()
}
