//! Make what is made once in a process, with no thread in the midst of it where the process forks:
//! the forked one has none of the others, and would wait for it for ever.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

static MAKING: Mutex<()> = Mutex::new(());

/// What the cell holds, made now if nobody has. `make` must not come here again.
pub(super) fn once<T>(cell: &'static OnceLock<T>, make: impl FnOnce() -> T) -> &'static T {
    cell.get().unwrap_or_else(|| {
        let _alone = making();
        cell.get_or_init(make)
    })
}

/// Nothing is being made while this is held.
pub(super) fn making() -> MutexGuard<'static, ()> {
    MAKING.lock().unwrap_or_else(PoisonError::into_inner)
}
