//! Bind records, batches of them, and equivocation.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use pyo3::PyClassInitializer;
use pyo3::exceptions::{PyIndexError, PyOverflowError};
use pyo3::prelude::{
    Bound, Py, PyAny, PyAnyMethods, PyRef, PyResult, Python, pyclass, pyfunction, pymethods,
};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::bytes::{Part, array, join, list, slices};
use super::number;
use super::pool::{beside, detach, verifying};
use crate::chain::{self, Chain};
use crate::error::malformed;
use crate::limits::BUNDLE_RECORDS;
use crate::suite::Suite;
use crate::{equivocation, record};

#[pyclass(frozen, subclass, module = "ledgercore._core")]
pub struct Record(pub record::Record);

#[pymethods]
impl Record {
    #[staticmethod]
    fn decode(data: &[u8]) -> PyResult<Self> {
        Ok(Self(record::Record::decode(data)?))
    }

    #[staticmethod]
    fn from_envelope(envelope: &[u8], body: &[u8]) -> PyResult<Self> {
        Ok(Self(record::Record::from_envelope(envelope, body)?))
    }

    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.encode())
    }

    fn envelope<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.envelope())
    }

    fn verify(&self, py: Python<'_>) -> PyResult<Py<VerifiedRecord>> {
        VerifiedRecord::wrap(py, self.0.clone().verify()?)
    }

    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.id())
    }

    #[getter]
    fn network<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.network())
    }

    #[getter]
    fn kind(&self) -> &str {
        self.0.kind()
    }

    #[getter]
    fn suite(&self) -> &'static str {
        self.0.suite().name()
    }

    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.key())
    }

    #[getter]
    fn sequence(&self) -> u64 {
        self.0.sequence()
    }

    #[getter]
    fn previous<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.previous())
    }

    #[getter]
    fn references<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        list(py, &self.0.references())
    }

    #[getter]
    fn not_before_ms(&self) -> u64 {
        self.0.not_before_ms()
    }

    #[getter]
    fn expiry_ms(&self) -> u64 {
        self.0.expiry_ms()
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.body())
    }

    #[getter]
    fn signature<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.signature())
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.encode().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        let id: String = self.0.id()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("<record {} {id} sequence {}>", self.0.kind(), self.0.sequence())
    }
}

/// A record that is known to be signed by its key.
#[pyclass(frozen, extends = Record, module = "ledgercore._core")]
pub struct VerifiedRecord;

impl VerifiedRecord {
    pub fn wrap(py: Python<'_>, record: record::VerifiedRecord) -> PyResult<Py<Self>> {
        let base = Record(record.record().clone());
        Py::new(py, PyClassInitializer::from(base).add_subclass(Self))
    }
}

#[pyclass(frozen, module = "ledgercore._core")]
pub struct Batch(pub Arc<Vec<record::Record>>);

#[pymethods]
impl Batch {
    #[staticmethod]
    #[pyo3(signature = (records, *, ahead = false))]
    fn decode(py: Python<'_>, records: Vec<PyBackedBytes>, ahead: bool) -> PyResult<Self> {
        if !ahead {
            // One bundle is the caller's: to ask for the others starts them.
            let others = if records.len() > BUNDLE_RECORDS { beside(false) } else { None };
            let decode = || record::decode_all(&slices(&records), others);
            return Ok(Self(detach(py, decode)?.into()));
        }
        let decode = || record::decode_all(&slices(&records), None);
        Ok(Self(verifying(py, records.len(), ahead, decode)?.into()))
    }

    #[staticmethod]
    #[pyo3(signature = (records, most_bytes, *, ahead = false))]
    fn decode_within(
        py: Python<'_>,
        records: Vec<Bound<'_, PyBytes>>,
        most_bytes: usize,
        ahead: bool,
    ) -> PyResult<Option<(usize, Self)>> {
        let records: Vec<_> = records.into_iter().map(PyBackedBytes::from).collect();
        let bytes = records.iter().map(|record| record.len()).sum();
        if bytes > most_bytes {
            return Ok(None);
        }
        Ok(Some((bytes, Self::decode(py, records, ahead)?)))
    }

    #[staticmethod]
    fn decode_bundles(py: Python<'_>, bundles: Vec<Part>) -> PyResult<Self> {
        Ok(Self(detach(py, || record::decode_bundles(&slices(&bundles)))?.into()))
    }

    #[pyo3(signature = (seed, *, ahead = false))]
    fn verify(&self, py: Python<'_>, seed: &[u8], ahead: bool) -> PyResult<VerifiedBatch> {
        let seed = array("seed", seed)?;
        let verify = || record::verify_all(&self.0, &seed);
        Ok(VerifiedBatch(verifying(py, self.0.len(), ahead, verify)?))
    }

    fn chains<'py>(
        &self,
        py: Python<'py>,
        network: &[u8],
        suite: &str,
    ) -> PyResult<Option<Vec<PyChain<'py>>>> {
        chains(py, &self.0, network, suite)
    }

    fn bundles<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        bundles(py, &self.0)
    }

    fn ids<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.0.iter().map(|record| PyBytes::new(py, record.id())).collect()
    }

    fn joined_ids<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let ids: Vec<_> = self.0.iter().map(|record| *record.id()).collect();
        join(py, &ids)
    }

    fn leaf_hashes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        join(py, &detach(py, || record::leaf_hashes(&self.0)))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __getitem__(&self, index: &Bound<'_, PyAny>) -> PyResult<Record> {
        Ok(Record(at(&self.0, index)?.alone()))
    }
}

#[pyclass(frozen, module = "ledgercore._core")]
pub struct VerifiedBatch(pub Vec<record::VerifiedRecord>);

#[pymethods]
impl VerifiedBatch {
    fn chains<'py>(
        &self,
        py: Python<'py>,
        network: &[u8],
        suite: &str,
    ) -> PyResult<Option<Vec<PyChain<'py>>>> {
        chains(py, &self.0, network, suite)
    }

    #[staticmethod]
    fn join(batches: Vec<PyRef<'_, Self>>) -> Self {
        Self(batches.iter().flat_map(|batch| batch.0.iter().cloned()).collect())
    }

    fn select(&self, indices: Vec<Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self(indices.iter().map(|index| at(&self.0, index).cloned()).collect::<PyResult<_>>()?))
    }

    fn bundles<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        bundles(py, &self.0)
    }

    fn ids<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.0.iter().map(|record| PyBytes::new(py, record.record().id())).collect()
    }

    fn joined_ids<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let ids: Vec<_> = self.0.iter().map(|record| *record.record().id()).collect();
        join(py, &ids)
    }

    fn leaf_hashes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let leaves: Vec<_> = self.0.iter().map(|record| *record.leaf()).collect();
        join(py, &leaves)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __getitem__(&self, index: &Bound<'_, PyAny>) -> PyResult<Py<VerifiedRecord>> {
        VerifiedRecord::wrap(index.py(), at(&self.0, index)?.clone())
    }
}

type PyChain<'py> = (Bound<'py, PyBytes>, u64, u64, Bound<'py, PyBytes>, Bound<'py, PyBytes>);

fn chains<'py>(
    py: Python<'py>,
    records: &[impl AsRef<record::Record> + Sync],
    network: &[u8],
    suite: &str,
) -> PyResult<Option<Vec<PyChain<'py>>>> {
    let (network, suite) = (array("network", network)?, Suite::from_name(suite)?);
    let chains = detach(py, || chain::chains(records.iter().map(AsRef::as_ref), &network, suite));
    let bytes = |hash: &[u8; 32]| PyBytes::new(py, hash);
    let fields = |chain: &Chain| {
        let Chain { key, begin, end, previous, last } = chain;
        (bytes(key), *begin, *end, bytes(previous), bytes(last))
    };
    Ok(chains.map(|chains| chains.iter().map(fields).collect()))
}

fn bundles<'py>(
    py: Python<'py>,
    records: &[impl AsRef<record::Record>],
) -> Vec<Bound<'py, PyBytes>> {
    record::encode_bundles(records).map(|bundle| PyBytes::new(py, &bundle)).collect()
}

fn at<'a, T>(records: &'a [T], index: &Bound<'_, PyAny>) -> PyResult<&'a T> {
    let out_of_range = || {
        number::in_words(index).map_or_else(
            |error| error,
            |got| {
                let want = format!("want 0 to below {}", records.len());
                PyIndexError::new_err(format!("position is {got}, {want}"))
            },
        )
    };
    match index.extract::<usize>() {
        Ok(position) => records.get(position).ok_or_else(out_of_range),
        Err(error) if error.is_instance_of::<PyOverflowError>(index.py()) => Err(out_of_range()),
        Err(error) => Err(error),
    }
}

#[pyfunction]
pub fn bundle_record<'py>(
    py: Python<'py>,
    bundle: &[u8],
    position: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let records = record::split_bundle(bundle)?;
    match records.get(position) {
        Some(record) => Ok(PyBytes::new(py, record)),
        None => Ok(malformed(format!(
            "bundle has {} records, want more than {position}",
            records.len()
        ))?),
    }
}

#[pyfunction]
pub fn hash_bundles<'py>(
    py: Python<'py>,
    suite: &str,
    bundles: Vec<PyBackedBytes>,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let suite = Suite::from_name(suite)?;
    let (ids, leaves) = detach(py, || record::hash_bundles(suite, &slices(&bundles)))?;
    Ok((join(py, &ids), join(py, &leaves)))
}

#[pyclass(frozen, module = "ledgercore._core")]
pub struct Equivocation(equivocation::Equivocation);

#[pymethods]
impl Equivocation {
    #[new]
    fn new(first: &Record, second: &Record) -> PyResult<Self> {
        Ok(Self(equivocation::Equivocation::verify(first.0.clone(), second.0.clone())?))
    }

    #[staticmethod]
    fn decode(data: &[u8]) -> PyResult<Self> {
        Ok(Self(equivocation::Equivocation::decode(data)?))
    }

    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.encode())
    }

    #[getter]
    fn first(&self, py: Python<'_>) -> PyResult<Py<VerifiedRecord>> {
        VerifiedRecord::wrap(py, self.0.first().clone())
    }

    #[getter]
    fn second(&self, py: Python<'_>) -> PyResult<Py<VerifiedRecord>> {
        VerifiedRecord::wrap(py, self.0.second().clone())
    }
}
