//! Make what is made once in a process, so that a forked process never waits for who was making it.

use std::sync::OnceLock;

/// What the cell holds. Where it holds nothing, whoever asks makes it, and one of those is kept: to
/// wait for another thread would be for ever in a process that was forked meanwhile.
pub fn once<T>(cell: &'static OnceLock<T>, make: impl FnOnce() -> T) -> &'static T {
    if let Some(made) = cell.get() {
        return made;
    }
    let made = make();
    cell.get_or_init(|| made)
}
