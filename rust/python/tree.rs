//! Bind the history tree: frontier, proofs, verifiers.

use std::collections::HashMap;

use pyo3::prelude::{Bound, Py, PyAny, PyResult, Python, pyclass, pyfunction, pymethods};
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyBytesMethods, PyList};

use super::bytes::{array, copy_arrays, hashes, join, joined_hashes, list};
use super::number;
use super::pool::detach;
use crate::error::{Error, Result, at_most, malformed};
use crate::suite::{Hash, Suite};
use crate::tree::{self, Claim, Prover, TILE_WIDTH, Tile, TileId, Tiles};

#[pyclass(frozen, module = "ledgercore._core")]
pub struct Frontier(pub tree::Frontier);

pub type PyTile<'py> = (u32, u64, Bound<'py, PyBytes>);

#[pymethods]
impl Frontier {
    #[new]
    #[pyo3(signature = (suite, size = 0, tails = Vec::new()))]
    fn new(
        suite: &str,
        #[pyo3(from_py_with = number::size)] size: u64,
        tails: Vec<PyBackedBytes>,
    ) -> PyResult<Self> {
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
pub fn inclusion_tiles(
    #[pyo3(from_py_with = number::indices)] indices: Vec<u64>,
    #[pyo3(from_py_with = number::size)] size: u64,
) -> PyResult<Vec<TileId>> {
    Ok(tree::inclusion_tiles(&indices, size)?)
}

#[pyfunction]
pub fn consistency_tiles(
    #[pyo3(from_py_with = number::first_size)] first_size: u64,
    #[pyo3(from_py_with = number::second_size)] second_size: u64,
) -> PyResult<Vec<TileId>> {
    Ok(tree::consistency_tiles(first_size, second_size)?)
}

#[pyfunction]
pub fn multiproof_tiles(
    #[pyo3(from_py_with = number::indices)] indices: Vec<u64>,
    #[pyo3(from_py_with = number::size)] size: u64,
) -> PyResult<Vec<TileId>> {
    Ok(tree::multiproof_tiles(&indices, size)?)
}

#[pyclass(frozen, module = "ledgercore._core")]
pub struct TileTree {
    suite: Suite,
    tree: tree::TileTree,
}

#[pymethods]
impl TileTree {
    #[staticmethod]
    fn build(py: Python<'_>, suite: &str, tiles: Vec<PyBackedBytes>) -> PyResult<Vec<Self>> {
        let suite = Suite::from_name(suite)?;
        let hashes = |tile| {
            let hashes = joined_hashes("tile", tile)?;
            at_most("tile hashes", hashes.len(), TILE_WIDTH)?;
            Ok(hashes)
        };
        let tiles = tiles.iter().map(|tile| hashes(tile)).collect::<Result<Vec<_>>>()?;
        let trees = detach(py, || tree::TileTree::build(suite, &tiles));
        Ok(trees.into_iter().map(|tree| Self { suite, tree }).collect())
    }

    #[getter]
    fn hashes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        join(py, self.tree.hashes())
    }

    #[getter]
    fn root<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.tree.root().map(|root| PyBytes::new(py, root))
    }
}

pub type PyTiles = HashMap<TileId, Py<TileTree>>;

/// The tiles, all of which are of the suite.
pub fn tiles<'a>(suite: Suite, given: &'a PyTiles) -> Result<Tiles<'a>> {
    let tile = |(name, tile): (&TileId, &'a Py<TileTree>)| match tile.get() {
        tile if tile.suite == suite => Ok((*name, &tile.tree)),
        tile => {
            let (got, want) = (tile.suite.name(), suite.name());
            malformed(format!("tile {name:?} is of suite {got}, want {want}"))
        }
    };
    given.iter().map(tile).collect()
}

type PyProof<'py> = Vec<Bound<'py, PyBytes>>;

#[pyfunction]
#[pyo3(signature = (suite, index, size, tiles))]
pub fn prove_inclusion<'py>(
    py: Python<'py>,
    suite: &str,
    #[pyo3(from_py_with = number::index)] index: u64,
    #[pyo3(from_py_with = number::size)] size: u64,
    tiles: PyTiles,
) -> PyResult<PyProof<'py>> {
    let suite = Suite::from_name(suite)?;
    Ok(list(py, &tree::prove_inclusion(suite, index, size, &self::tiles(suite, &tiles)?)?))
}

#[pyfunction]
#[pyo3(signature = (suite, indices, size, tiles))]
pub fn prove_inclusions<'py>(
    py: Python<'py>,
    suite: &str,
    #[pyo3(from_py_with = number::indices)] indices: Vec<u64>,
    #[pyo3(from_py_with = number::size)] size: u64,
    tiles: PyTiles,
) -> PyResult<Vec<Bound<'py, PyList>>> {
    let suite = Suite::from_name(suite)?;
    let tiles = self::tiles(suite, &tiles)?;
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
    #[pyo3(from_py_with = number::first_size)] first_size: u64,
    #[pyo3(from_py_with = number::second_size)] second_size: u64,
    tiles: PyTiles,
) -> PyResult<PyProof<'py>> {
    let suite = Suite::from_name(suite)?;
    let tiles = self::tiles(suite, &tiles)?;
    Ok(list(py, &tree::prove_consistency(suite, first_size, second_size, &tiles)?))
}

#[pyfunction]
#[pyo3(signature = (suite, indices, size, tiles))]
pub fn prove_multi<'py>(
    py: Python<'py>,
    suite: &str,
    #[pyo3(from_py_with = number::indices)] indices: Vec<u64>,
    #[pyo3(from_py_with = number::size)] size: u64,
    tiles: PyTiles,
) -> PyResult<Bound<'py, PyBytes>> {
    let suite = Suite::from_name(suite)?;
    let tiles = self::tiles(suite, &tiles)?;
    let proof = detach(py, || tree::prove_multi(suite, &indices, size, &tiles))?;
    Ok(join(py, &proof))
}

#[pyfunction]
pub fn verify_inclusion(
    suite: &str,
    leaf_hash: &[u8],
    #[pyo3(from_py_with = number::index)] index: u64,
    #[pyo3(from_py_with = number::size)] size: u64,
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
    #[pyo3(from_py_with = number::indices)] indices: Vec<u64>,
    #[pyo3(from_py_with = number::size)] size: u64,
    proofs: Vec<Bound<'_, PyAny>>,
    root: &[u8],
) -> PyResult<()> {
    let suite = Suite::from_name(suite)?;
    let root = array("root", root)?;
    let leaves = joined_hashes("leaf hashes", leaf_hashes)?;
    if leaves.len() != indices.len() || proofs.len() != indices.len() {
        let (leaves, proofs, want) = (leaves.len(), proofs.len(), indices.len());
        malformed(format!("batch has {leaves} leaves and {proofs} proofs, want {want} each"))?;
    }
    let mut hashes = Vec::new();
    let mut ends = Vec::with_capacity(proofs.len());
    for (at, proof) in proofs.iter().enumerate() {
        copy_arrays(format_args!("proof {at}: hash"), proof, &mut hashes)?;
        ends.push(hashes.len());
    }
    detach(py, || {
        let claim = |at: usize| Claim {
            leaf: &leaves[at],
            index: indices[at],
            proof: &hashes[if at == 0 { 0 } else { ends[at - 1] }..ends[at]],
        };
        let claims: Vec<Claim> = (0..leaves.len()).map(claim).collect();
        tree::verify_inclusions(suite, &claims, size, &root)
    })
    .map_err(|(at, error)| Error::Proof(format!("proof {at}: {error}")).into())
}

#[pyfunction]
pub fn verify_consistency(
    suite: &str,
    #[pyo3(from_py_with = number::first_size)] first_size: u64,
    #[pyo3(from_py_with = number::second_size)] second_size: u64,
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
    #[pyo3(from_py_with = number::indices)] indices: Vec<u64>,
    #[pyo3(from_py_with = number::size)] size: u64,
    proof: &Bound<'_, PyAny>,
    root: &[u8],
) -> PyResult<()> {
    let suite = Suite::from_name(suite)?;
    let leaves = joined_hashes("leaf hashes", leaf_hashes)?;
    let root = array("root", root)?;
    let mut copied = Vec::new();
    let proof = match proof.cast::<PyBytes>() {
        Ok(joined) => joined_hashes("proof hashes", joined.as_bytes())?,
        Err(_) => {
            copy_arrays("proof hash", proof, &mut copied)?;
            &copied
        }
    };
    detach(py, || tree::verify_multi(suite, leaves, &indices, size, proof, &root))?;
    Ok(())
}
