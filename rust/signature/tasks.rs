//! Deal tasks to the caller's thread and to others.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The numbers of the tasks that one thread takes: the next one, each time that it asks.
pub struct Numbers<'a> {
    next: &'a AtomicUsize,
    count: usize,
}

impl Iterator for Numbers<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.count).then_some(number)
    }
}

/// Have as many threads, of which the caller is one, work on tasks with numbers below `count`. With
/// one thread nobody else is told of it, which takes a call of the system.
pub fn in_tasks(threads: usize, count: usize, work: impl Fn(Numbers) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || work(Numbers { next: &next, count });
    if threads == 1 {
        return work();
    }
    rayon::in_place_scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|_| work());
        }
        work();
    });
}
