//! Bind a block's header.

use pyo3::prelude::{Bound, PyResult, Python, pyclass, pymethods};
use pyo3::types::PyBytes;

use super::bytes::{array, joined_hashes};
use super::map::{self, Map, PyClaim};
use super::number;
use super::pool::detach;
use super::tree::{Frontier, PyTile, named};
use crate::block;
use crate::suite::Suite;

#[pyclass(frozen, eq, module = "ledgercore._core")]
#[derive(PartialEq)]
pub struct Block(pub block::Block);

#[pymethods]
impl Block {
    #[new]
    #[pyo3(signature = (*, height, parent, time_ms, first_index, count, tree_root, state_root))]
    fn new(
        #[pyo3(from_py_with = number::height)] height: u64,
        parent: &[u8],
        #[pyo3(from_py_with = number::time_ms)] time_ms: u64,
        #[pyo3(from_py_with = number::first_index)] first_index: u64,
        #[pyo3(from_py_with = number::count)] count: u64,
        tree_root: &[u8],
        state_root: &[u8],
    ) -> PyResult<Self> {
        let block = block::Block {
            height,
            parent: array("parent", parent)?,
            time_ms,
            first_index,
            count,
            tree_root: array("tree root", tree_root)?,
            state_root: array("state root", state_root)?,
        };
        // What cannot be decoded may not be made either.
        Ok(Self(block::Block::decode(&block.encode())?))
    }

    fn next<'py>(
        &self,
        py: Python<'py>,
        frontier: &Frontier,
        states: &Map,
        leaf_hashes: &[u8],
        changes: Vec<PyClaim>,
        #[pyo3(from_py_with = number::time_ms)] time_ms: u64,
    ) -> PyResult<(Self, Frontier, Vec<PyTile<'py>>, Map)> {
        let leaves = joined_hashes("leaf hashes", leaf_hashes)?;
        let changes = map::claims(&changes);
        let next = || self.0.next(&frontier.0, &states.0, leaves, &changes, time_ms);
        let draft = detach(py, next)?;
        let tiles = named(py, &draft.tiles);
        Ok((Self(draft.block), Frontier(draft.frontier), tiles, Map(draft.states)))
    }

    fn again<'py>(
        &self,
        py: Python<'py>,
        frontier: &Frontier,
        states: &Map,
        leaf_hashes: &[u8],
        changes: Vec<PyClaim>,
        #[pyo3(from_py_with = number::time_ms)] time_ms: u64,
    ) -> PyResult<(Self, Vec<PyTile<'py>>)> {
        let leaves = joined_hashes("leaf hashes", leaf_hashes)?;
        let changes = map::claims(&changes);
        let again = || self.0.again(&frontier.0, &states.0, leaves, &changes, time_ms);
        let draft = detach(py, again)?;
        Ok((Self(draft.block), named(py, &draft.tiles)))
    }

    #[staticmethod]
    fn decode(data: &[u8]) -> PyResult<Self> {
        Ok(Self(block::Block::decode(data)?))
    }

    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.encode())
    }

    fn hash<'py>(&self, py: Python<'py>, suite: &str) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0.hash(Suite::from_name(suite)?)))
    }

    #[getter]
    fn height(&self) -> u64 {
        self.0.height
    }

    #[getter]
    fn parent<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.parent)
    }

    #[getter]
    fn time_ms(&self) -> u64 {
        self.0.time_ms
    }

    #[getter]
    fn first_index(&self) -> u64 {
        self.0.first_index
    }

    #[getter]
    fn count(&self) -> u64 {
        self.0.count
    }

    #[getter]
    fn tree_root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.tree_root)
    }

    #[getter]
    fn state_root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.state_root)
    }

    fn __repr__(&self) -> String {
        format!("<block {} of {} records>", self.0.height, self.0.count)
    }
}
