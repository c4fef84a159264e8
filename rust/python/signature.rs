//! Bind keys and signatures.

use pyo3::prelude::{Bound, PyAny, PyResult, Python, pyclass, pyfunction, pymethods};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::bytes::{array, arrays, hashes, slices};
use super::number;
use super::pool::detach;
use super::record::{Batch, Record};
use crate::error::malformed;
use crate::key;
use crate::record::{self, Draft};
use crate::signature::{self, Claim, Kernel};
use crate::suite::Suite;

#[pyclass(frozen, module = "ledgercore._core")]
pub struct SigningKey(pub key::SigningKey);

#[pymethods]
impl SigningKey {
    #[new]
    fn new(seed: &[u8]) -> PyResult<Self> {
        Ok(Self(key::SigningKey::from_seed(&array("seed", seed)?)))
    }

    #[getter]
    fn public_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.public_key())
    }

    fn sign<'py>(&self, py: Python<'py>, message: &[u8]) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.sign(message))
    }

    #[pyo3(signature = (suite, network, kind, body, *, sequence, previous,
        references = Vec::new(), not_before_ms = 0, expiry_ms = 0))]
    #[allow(clippy::too_many_arguments)] // keyword-only in Python, where each is named
    fn sign_record(
        &self,
        suite: &str,
        network: &[u8],
        kind: &str,
        body: &[u8],
        #[pyo3(from_py_with = number::sequence)] sequence: u64,
        previous: &[u8],
        references: Vec<PyBackedBytes>,
        #[pyo3(from_py_with = number::not_before_ms)] not_before_ms: u64,
        #[pyo3(from_py_with = number::expiry_ms)] expiry_ms: u64,
    ) -> PyResult<Record> {
        let draft = Draft {
            network: array("network", network)?,
            kind,
            suite: Suite::from_name(suite)?,
            sequence,
            previous: array("previous", previous)?,
            references: &hashes("reference", &references)?,
            not_before_ms,
            expiry_ms,
            body,
        };
        Ok(Record(record::Record::sign(&draft, &self.0)?))
    }

    #[pyo3(signature = (suite, network, kind, bodies, *, sequence, previous, expiry_ms = 0))]
    #[allow(clippy::too_many_arguments)] // keyword-only in Python, where each is named
    fn sign_batch(
        &self,
        py: Python<'_>,
        suite: &str,
        network: &[u8],
        kind: &str,
        bodies: Vec<PyBackedBytes>,
        #[pyo3(from_py_with = number::sequence)] sequence: u64,
        previous: &[u8],
        #[pyo3(from_py_with = number::expiry_ms)] expiry_ms: u64,
    ) -> PyResult<Batch> {
        let first = Draft {
            network: array("network", network)?,
            kind,
            suite: Suite::from_name(suite)?,
            sequence,
            previous: array("previous", previous)?,
            references: &[],
            not_before_ms: 0,
            expiry_ms,
            body: &[],
        };
        Ok(Batch(detach(py, || record::sign_chain(&first, &slices(&bodies), &self.0))?.into()))
    }

    fn __repr__(&self) -> String {
        let shown: String = self.0.public_key()[..6].iter().map(|b| format!("{b:02x}")).collect();
        format!("<SigningKey of public key {shown}>")
    }
}

#[pyfunction]
pub fn check_public_key(public_key: &[u8]) -> PyResult<()> {
    Ok(key::check("public key", &array("public key", public_key)?)?)
}

#[pyfunction]
pub fn verify_signature(public_key: &[u8], message: &[u8], signature: &[u8]) -> PyResult<()> {
    let (key, signature) = (array("public key", public_key)?, array("signature", signature)?);
    Ok(signature::verify(&key, message, &signature)?)
}

#[pyfunction]
#[pyo3(signature = (public_keys, messages, signatures, seed, *, kernel = None))]
pub fn verify_signatures(
    py: Python<'_>,
    public_keys: &Bound<'_, PyAny>,
    messages: Vec<PyBackedBytes>,
    signatures: &Bound<'_, PyAny>,
    seed: &[u8],
    kernel: Option<&str>,
) -> PyResult<()> {
    let seed = array("seed", seed)?;
    let kernel = kernel.map_or(Ok(Kernel::detected()), kernel_named)?;
    let keys = arrays("public key", public_keys)?;
    let signatures = arrays("signature", signatures)?;
    if keys.len() != messages.len() || signatures.len() != messages.len() {
        let (keys, signatures) = (keys.len(), signatures.len());
        let want = messages.len();
        malformed(format!("batch has {keys} keys and {signatures} signatures, want {want} each"))?;
    }
    detach(py, || {
        let claims: Vec<Claim> = (0..messages.len())
            .map(|at| Claim { key: &keys[at], message: &messages[at], signature: &signatures[at] })
            .collect();
        signature::verify_all_with(kernel, &claims, &seed)
    })?;
    Ok(())
}

fn kernel_named(name: &str) -> crate::Result<Kernel> {
    let names = || Kernel::available().map(Kernel::name).collect::<Vec<_>>().join(", ");
    Kernel::from_name(name).map_or_else(
        || malformed(format!("kernel is {name:?}, want one of this processor's: {}", names())),
        Ok,
    )
}
