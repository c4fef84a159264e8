//! Turn an error of the core into the exception of the same meaning: the one place that does.

use pyo3::types::PyTuple;
use pyo3::{IntoPyObjectExt, PyErr, PyResult, Python, import_exception};

use crate::error::Error;

import_exception!(ledgercore.errors, InvalidProof);
import_exception!(ledgercore.errors, InvalidSignature);
import_exception!(ledgercore.errors, LimitError);
import_exception!(ledgercore.errors, MalformedError);
import_exception!(ledgercore.errors, UnavailableError);
import_exception!(ledgercore.errors, UntrustedError);

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Malformed(_) | Error::SuiteReserved(_) => MalformedError::new_err(message),
            Error::MalformedItem { index, .. } => MalformedError::new_err((message, index)),
            Error::Limit { .. } => LimitError::new_err(message),
            Error::Signature { indices, .. } => {
                match Python::attach(|py| -> PyResult<_> {
                    PyTuple::new(py, indices)?.into_py_any(py)
                }) {
                    Ok(indices) => InvalidSignature::new_err((message, indices)),
                    Err(failure) => failure,
                }
            }
            Error::NoteSignature(_) => InvalidSignature::new_err(message),
            Error::Proof(_) => InvalidProof::new_err(message),
            Error::Untrusted(_) => UntrustedError::new_err(message),
            Error::Absent => UnavailableError::new_err(message),
        }
    }
}
