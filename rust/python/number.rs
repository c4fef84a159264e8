//! Take whole numbers out of Python's, each by the name that its caller gives it.
//!
//! Of one that is negative or too large PyO3 says so itself, in an `OverflowError` that names
//! neither the argument nor what it was.

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::{Bound, PyAny, PyAnyMethods, PyErr, PyResult};

use super::error::MalformedError;

macro_rules! numbers {
    ($($name:ident)*) => {$(
        pub fn $name(given: &Bound<'_, PyAny>) -> PyResult<u64> {
            given.extract().map_err(|error| explained(stringify!($name), "is", given, error))
        }
    )*};
}

numbers! {
    count expiry_ms first_index first_size height holder holders index not_before_ms quorum
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
        let got = in_words(given);
        return MalformedError::new_err(format!("{what} {verb} {got}, want 0 to {}", u64::MAX));
    }
    error
}

/// A number as a message shows it: Python refuses to write integers of thousands of digits.
pub fn in_words(given: &Bound<'_, PyAny>) -> String {
    given.str().map_or_else(|_| "far out of range".to_owned(), |text| text.to_string())
}
