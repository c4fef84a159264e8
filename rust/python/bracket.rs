//! Hold a lock, or what was begun, for a block of Python: no interrupt leaves it held.
//!
//! Python raises an interrupt (`KeyboardInterrupt`) between two steps of a function of its own: so
//! one in Python may end between taking a lock in `__enter__` and the block, or before `__exit__`
//! gives it back. Entering and leaving are one step each here. What they call may be interrupted,
//! and is made good. These are the binding's only values that keep Python objects.
//!
//! Some versions of Python pass over `__exit__` for an interrupt: 3.13 where it comes as a loop
//! goes round inside the block, 3.14 before the block begins. What `with` keeps of the block they
//! drop: so there is a guard, made for one block, which leaves it then.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::{Bound, Py, PyAny, PyAnyMethods, PyErr, PyResult, Python, pyclass, pymethods};

use super::error::UnavailableError;
use super::pool::forks;

#[pyclass(frozen, module = "ledgercore._core")]
pub struct OwnLock {
    what: String,
    process: u32,
    forks: u32,
    acquire: Py<PyAny>,
    release: Py<PyAny>,
    is_owned: Py<PyAny>,
}

impl OwnLock {
    fn take(&self, py: Python<'_>) -> PyResult<()> {
        self.check()?;
        self.acquire.call0(py).map(drop)
    }

    fn give_back(&self, py: Python<'_>) -> PyResult<()> {
        self.release.call0(py).map(drop)
    }

    /// Whether this thread has taken it.
    fn is_owned(&self, py: Python<'_>) -> PyResult<bool> {
        self.is_owned.call0(py)?.extract(py)
    }
}

#[pymethods]
impl OwnLock {
    #[new]
    fn new(py: Python<'_>, what: String) -> PyResult<Self> {
        let lock = py.import("threading")?.call_method0("RLock")?;
        Ok(Self {
            what,
            process: py.import("os")?.call_method0("getpid")?.extract()?,
            forks: forks(),
            acquire: lock.getattr("acquire")?.unbind(),
            release: lock.getattr("release")?.unbind(),
            is_owned: lock.getattr("_is_owned")?.unbind(), // as threading.Condition asks it
        })
    }

    #[getter]
    fn is_foreign(&self) -> bool {
        // To ask the system for the process's id takes as long as the lock itself.
        self.forks != forks()
    }

    fn check(&self) -> PyResult<()> {
        if self.is_foreign() {
            let Self { what, process, .. } = self;
            return Err(UnavailableError::new_err(format!(
                "{what} was opened in process {process}: open it anew in this one"
            )));
        }
        Ok(())
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<()> {
        self.take(py)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.give_back(py)
    }
}

#[pyclass(frozen, module = "ledgercore._core")]
pub struct Bracket {
    begin: Py<PyAny>,
    end: Py<PyAny>,
    lock: Option<Py<OwnLock>>,
    depth: AtomicU32,
}

impl Bracket {
    fn give_back(&self, py: Python<'_>) -> PyResult<()> {
        self.lock.as_ref().map_or(Ok(()), |lock| lock.get().give_back(py))
    }

    /// Refuse a block that this thread has not entered.
    fn check_entered(&self, py: Python<'_>) -> PyResult<()> {
        if self.depth() == 0 {
            return Err(PyRuntimeError::new_err("bracket was not entered"));
        }
        if let Some(lock) = &self.lock
            && !lock.get().is_owned(py)?
        {
            let what = "bracket was entered by another thread: leave it in that one";
            return Err(PyRuntimeError::new_err(what));
        }
        Ok(())
    }

    /// Leave the innermost block, which has raised this error or none.
    fn leave(&self, py: Python<'_>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let depth = self.depth() - 1;
        let ended = match self.is_foreign() {
            true => Ok(()),
            false => self
                .end
                .call1(py, (depth, error))
                .map(drop)
                .map_err(|failure| self.take_back(py, depth, failure)),
        };
        self.depth.store(depth, Ordering::Relaxed);
        self.give_back(py)?;
        ended
    }

    /// Whether what was begun is a parent process's: it is ended there.
    fn is_foreign(&self) -> bool {
        self.lock.as_ref().is_some_and(|lock| lock.get().is_foreign())
    }

    /// End what an error left half begun, or half ended; the error to raise.
    fn take_back(&self, py: Python<'_>, depth: u32, error: PyErr) -> PyErr {
        if self.is_foreign() {
            return error;
        }
        let Err(second) = self.end.call1(py, (depth, error.value(py))) else {
            return error;
        };
        if !second.value(py).is(error.value(py)) {
            let _ = second.value(py).setattr(intern!(py, "__context__"), error.value(py));
        }
        second
    }
}

#[pymethods]
impl Bracket {
    #[new]
    #[pyo3(signature = (begin, end, lock = None))]
    fn new(begin: Py<PyAny>, end: Py<PyAny>, lock: Option<Py<OwnLock>>) -> Self {
        Self { begin, end, lock, depth: AtomicU32::new(0) }
    }

    #[getter]
    fn depth(&self) -> u32 {
        self.depth.load(Ordering::Relaxed)
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(lock) = &self.lock {
            lock.get().take(py)?;
        }
        let depth = self.depth();
        self.begin
            .call1(py, (depth,))
            .inspect(|_| self.depth.store(depth + 1, Ordering::Relaxed))
            .map_err(|error| {
                let error = self.take_back(py, depth, error);
                self.give_back(py).err().unwrap_or(error)
            })
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.check_entered(py)?;
        self.leave(py, error)
    }

    fn guard(slf: Py<Self>) -> Guard {
        Guard { bracket: slf, entered: AtomicU32::new(0) }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.begin)?;
        visit.call(&self.end)
    }
}

#[pyclass(frozen, module = "ledgercore._core")]
pub struct Guard {
    bracket: Py<Bracket>,
    entered: AtomicU32,
}

#[pymethods]
impl Guard {
    fn __enter__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let value = self.bracket.get().__enter__(py)?;
        self.entered.fetch_add(1, Ordering::Relaxed);
        Ok(value)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if self.entered.load(Ordering::Relaxed) == 0 {
            return Err(PyRuntimeError::new_err("block was not entered"));
        }
        self.bracket.get().check_entered(py)?;
        self.entered.fetch_sub(1, Ordering::Relaxed);
        self.bracket.get().leave(py, error)
    }
}

impl Drop for Guard {
    /// Leave what was entered and not left, as a block that raised: an interrupt is on its way.
    fn drop(&mut self) {
        let entered = *self.entered.get_mut();
        if entered == 0 {
            return;
        }
        // Where the interpreter is ending there is no other thread to leave the lock to.
        let _ = Python::try_attach(|py| {
            let raised = PyErr::take(py);
            let dropped = PyRuntimeError::new_err("block was dropped before it was left");
            let error = raised.as_ref().unwrap_or(&dropped).value(py);
            for _ in 0..entered {
                let bracket = self.bracket.get();
                if let Err(failure) =
                    bracket.check_entered(py).and_then(|()| bracket.leave(py, error))
                {
                    failure.write_unraisable(py, None);
                }
            }
            if let Some(raised) = raised {
                raised.restore(py);
            }
        });
    }
}
