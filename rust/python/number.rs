//! Take whole numbers out of Python's, each by the name that its caller gives it.
//!
//! Of one that is negative or too large PyO3 says so itself, in an `OverflowError` that names
//! neither the argument nor what it was.

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::{Bound, PyAny, PyAnyMethods, PyErr, PyResult};

use super::error::MalformedError;

/// Bits of a number that a message shows digit by digit at most.
const SHOWN_BITS: u64 = 128;

macro_rules! numbers {
    ($($name:ident)*) => {$(
        pub fn $name(given: &Bound<'_, PyAny>) -> PyResult<u64> {
            given.extract().map_err(|error| explained(stringify!($name), "is", given, error))
        }
    )*};
}

numbers! {
    count dealer expiry_ms first_index first_size height holder holders index not_before_ms quorum
    second_size sequence size time_ms time_s
}

pub fn indices(given: &Bound<'_, PyAny>) -> PyResult<Vec<u64>> {
    let all: PyResult<Vec<u64>> = given.extract();
    all.or_else(|error| {
        if !error.is_instance_of::<PyOverflowError>(given.py()) {
            return Err(error);
        }
        let number = |item: PyResult<Bound<'_, PyAny>>| {
            let item = item?;
            item.extract().map_err(|error| explained("indices", "hold", &item, error))
        };
        given.try_iter()?.map(number).collect()
    })
}

fn explained(what: &str, verb: &str, given: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    if error.is_instance_of::<PyOverflowError>(given.py()) {
        return in_words(given).map_or_else(
            |error| error,
            |got| MalformedError::new_err(format!("{what} {verb} {got}, want 0 to {}", u64::MAX)),
        );
    }
    error
}

/// A number as a message shows it: of one that nobody can read, how long it is.
///
/// As `number_in_words` of `ledgercore.wording`. Python refuses to write thousands of digits.
pub fn in_words(given: &Bound<'_, PyAny>) -> PyResult<String> {
    let number = given.call_method0("__index__")?;
    let bits: u64 = number.call_method0("bit_length")?.extract()?;
    if bits <= SHOWN_BITS {
        return Ok(number.str()?.to_string());
    }
    Ok(format!("a number of {bits} bits"))
}
