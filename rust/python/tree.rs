//! Bind the history tree: frontier, proofs, verifiers.

use std::collections::HashMap;

use pyo3::prelude::{Bound, PyResult, Python, pyclass, pyfunction, pymethods};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};
use rayon::prelude::*;

use super::bytes::{array, hashes, join, joined_hashes, list};
use super::pool::detach;
use crate::error::{Error, Result, malformed};
use crate::suite::{Hash, Suite};
use crate::tree::{self, Prover, Tile, TileId, Tiles};

/// Proofs verified by one task.
const PROOF_TASK: usize = 64;

#[pyclass(frozen, module = "ledgercore._core")]
pub struct Frontier(pub tree::Frontier);

pub type PyTile<'py> = (u32, u64, Bound<'py, PyBytes>);

#[pymethods]
impl Frontier {
    #[new]
    #[pyo3(signature = (suite, size = 0, tails = Vec::new()))]
    fn new(suite: &str, size: u64, tails: Vec<PyBackedBytes>) -> PyResult<Self> {
        let tails = tails.iter().map(|tail| Ok(joined_hashes("unfinished tile", tail)?.to_vec()));
        let tails = tails.collect::<Result<_>>()?;
        Ok(Self(tree::Frontier::restore(Suite::from_name(suite)?, size, tails)?))
    }

    #[getter]
    fn suite(&self) -> &'static str {
        self.0.suite().name()
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.root())
    }

    fn tails<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.0.tails().iter().map(|tail| join(py, tail)).collect()
    }

    fn append<'py>(
        &self,
        py: Python<'py>,
        leaf_hashes: &[u8],
    ) -> PyResult<(Self, Vec<PyTile<'py>>)> {
        let leaves = joined_hashes("leaf hashes", leaf_hashes)?;
        let (frontier, filled) = detach(py, || self.0.append(leaves));
        Ok((Self(frontier), named(py, &filled)))
    }
}

/// Tiles with their level and index.
pub fn named<'py>(py: Python<'py>, tiles: &[(TileId, Tile)]) -> Vec<PyTile<'py>> {
    tiles.iter().map(|((level, index), tile)| (*level, *index, join(py, tile))).collect()
}

#[pyfunction]
pub fn tree_root<'py>(
    py: Python<'py>,
    suite: &str,
    leaf_hashes: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let suite = Suite::from_name(suite)?;
    let leaves = joined_hashes("leaf hashes", leaf_hashes)?;
    Ok(PyBytes::new(py, &detach(py, || tree::root(suite, leaves))))
}

#[pyfunction]
pub fn inclusion_tiles(indices: Vec<u64>, size: u64) -> PyResult<Vec<TileId>> {
    Ok(tree::inclusion_tiles(&indices, size)?)
}

#[pyfunction]
pub fn consistency_tiles(first_size: u64, second_size: u64) -> PyResult<Vec<TileId>> {
    Ok(tree::consistency_tiles(first_size, second_size)?)
}

#[pyfunction]
pub fn multiproof_tiles(indices: Vec<u64>, size: u64) -> PyResult<Vec<TileId>> {
    Ok(tree::multiproof_tiles(&indices, size)?)
}

pub type PyTiles = HashMap<TileId, PyBackedBytes>;

pub fn tiles(given: &PyTiles) -> Result<Tiles<'_>> {
    given.iter().map(|(name, tile)| Ok((*name, joined_hashes("tile", tile)?))).collect()
}

type PyProof<'py> = Vec<Bound<'py, PyBytes>>;

#[pyfunction]
#[pyo3(signature = (suite, index, size, tiles))]
pub fn prove_inclusion<'py>(
    py: Python<'py>,
    suite: &str,
    index: u64,
    size: u64,
    tiles: PyTiles,
) -> PyResult<PyProof<'py>> {
    let proof = tree::prove_inclusion(Suite::from_name(suite)?, index, size, &self::tiles(&tiles)?);
    Ok(list(py, &proof?))
}

#[pyfunction]
#[pyo3(signature = (suite, indices, size, tiles))]
pub fn prove_inclusions<'py>(
    py: Python<'py>,
    suite: &str,
    indices: Vec<u64>,
    size: u64,
    tiles: PyTiles,
) -> PyResult<Vec<Bound<'py, PyList>>> {
    let (suite, tiles) = (Suite::from_name(suite)?, self::tiles(&tiles)?);
    let proofs = detach(py, || Prover::new(suite, size, &tiles).inclusions(&indices))?;
    let mut shared = Shared::default();
    proofs.iter().map(|proof| shared.list(py, proof)).collect()
}

/// The proof before, from the root's side: leaves that stand near each other share what is high up,
/// and then the same object.
#[derive(Default)]
struct Shared<'a, 'py>(Vec<(&'a Hash, Bound<'py, PyBytes>)>);

impl<'a, 'py> Shared<'a, 'py> {
    fn list(&mut self, py: Python<'py>, proof: &'a [Hash]) -> PyResult<Bound<'py, PyList>> {
        self.0.truncate(proof.len());
        for (at, hash) in proof.iter().rev().enumerate() {
            match self.0.get_mut(at) {
                Some((known, _)) if *known == hash => {}
                Some(place) => *place = (hash, PyBytes::new(py, hash)),
                None => self.0.push((hash, PyBytes::new(py, hash))),
            }
        }
        PyList::new(py, self.0.iter().rev().map(|(_, bytes)| bytes))
    }
}

#[pyfunction]
#[pyo3(signature = (suite, first_size, second_size, tiles))]
pub fn prove_consistency<'py>(
    py: Python<'py>,
    suite: &str,
    first_size: u64,
    second_size: u64,
    tiles: PyTiles,
) -> PyResult<PyProof<'py>> {
    let (suite, tiles) = (Suite::from_name(suite)?, self::tiles(&tiles)?);
    Ok(list(py, &tree::prove_consistency(suite, first_size, second_size, &tiles)?))
}

#[pyfunction]
#[pyo3(signature = (suite, indices, size, tiles))]
pub fn prove_multi<'py>(
    py: Python<'py>,
    suite: &str,
    indices: Vec<u64>,
    size: u64,
    tiles: PyTiles,
) -> PyResult<PyProof<'py>> {
    let (suite, tiles) = (Suite::from_name(suite)?, self::tiles(&tiles)?);
    let proof = detach(py, || tree::prove_multi(suite, &indices, size, &tiles))?;
    Ok(list(py, &proof))
}

#[pyfunction]
pub fn verify_inclusion(
    suite: &str,
    leaf_hash: &[u8],
    index: u64,
    size: u64,
    proof: Vec<PyBackedBytes>,
    root: &[u8],
) -> PyResult<()> {
    let suite = Suite::from_name(suite)?;
    let (leaf, root) = (array("leaf hash", leaf_hash)?, array("root", root)?);
    let proof = hashes("proof hash", &proof)?;
    Ok(tree::verify_inclusion(suite, &leaf, index, size, &proof, &root)?)
}

#[pyfunction]
pub fn verify_inclusions(
    py: Python<'_>,
    suite: &str,
    leaf_hashes: &[u8],
    indices: Vec<u64>,
    size: u64,
    proofs: Vec<Vec<PyBackedBytes>>,
    root: &[u8],
) -> PyResult<()> {
    let suite = Suite::from_name(suite)?;
    let root = array("root", root)?;
    let leaves = joined_hashes("leaf hashes", leaf_hashes)?;
    if leaves.len() != indices.len() || proofs.len() != indices.len() {
        let (leaves, proofs, want) = (leaves.len(), proofs.len(), indices.len());
        malformed(format!("batch has {leaves} leaves and {proofs} proofs, want {want} each"))?;
    }
    let first = detach(py, || {
        let verify = |at: usize| {
            let proof = hashes("proof hash", &proofs[at])?;
            tree::verify_inclusion(suite, &leaves[at], indices[at], size, &proof, &root)
        };
        let failure = |at: usize| verify(at).err().map(|error| (at, error));
        (0..indices.len()).into_par_iter().with_min_len(PROOF_TASK).find_map_first(failure)
    });
    match first {
        Some((at, error)) => Err(Error::Proof(format!("proof {at}: {error}")).into()),
        None => Ok(()),
    }
}

#[pyfunction]
pub fn verify_consistency(
    suite: &str,
    first_size: u64,
    second_size: u64,
    proof: Vec<PyBackedBytes>,
    first_root: &[u8],
    second_root: &[u8],
) -> PyResult<()> {
    let suite = Suite::from_name(suite)?;
    let roots = (array("first root", first_root)?, array("second root", second_root)?);
    let proof = hashes("proof hash", &proof)?;
    Ok(tree::verify_consistency(suite, first_size, second_size, &proof, &roots.0, &roots.1)?)
}

#[pyfunction]
pub fn verify_multi(
    py: Python<'_>,
    suite: &str,
    leaf_hashes: &[u8],
    indices: Vec<u64>,
    size: u64,
    proof: Vec<PyBackedBytes>,
    root: &[u8],
) -> PyResult<()> {
    let suite = Suite::from_name(suite)?;
    let leaves = joined_hashes("leaf hashes", leaf_hashes)?;
    let (proof, root) = (hashes("proof hash", &proof)?, array("root", root)?);
    detach(py, || tree::verify_multi(suite, leaves, &indices, size, &proof, &root))?;
    Ok(())
}
