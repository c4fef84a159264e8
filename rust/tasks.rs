//! Deal tasks to the caller's thread and to others: to wait for these and do nothing has the system
//! put them on one core, often enough.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::{Scope, ThreadPool};

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

/// Have as many threads, of which the caller is one, work on tasks with numbers below `count`. The
/// others are of the pool, or those that the caller's work has. One thread, or one task, needs
/// none of them: nobody else is told of it, which takes a call of the system.
pub fn in_tasks(
    pool: Option<&ThreadPool>,
    threads: usize,
    count: usize,
    work: impl Fn(Numbers) + Sync,
) {
    let next = AtomicUsize::new(0);
    let work = || work(Numbers { next: &next, count });
    let others = threads.min(count).saturating_sub(1);
    match pool {
        _ if others == 0 => work(),
        Some(pool) => pool.in_place_scope(|scope| work_beside(scope, others, &work)),
        None => rayon::in_place_scope(|scope| work_beside(scope, others, &work)),
    }
}

fn work_beside<'scope>(scope: &Scope<'scope>, others: usize, work: &'scope (impl Fn() + Sync)) {
    for _ in 0..others {
        scope.spawn(|_| work());
    }
    work();
}

/// What each task gives, in order; the threads are those of `in_tasks`.
pub fn each<T: Send>(
    pool: Option<&ThreadPool>,
    threads: usize,
    count: usize,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let done = Mutex::new(Vec::with_capacity(count));
    in_tasks(pool, threads, count, |numbers| {
        for number in numbers {
            let made = work(number);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((number, made));
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, made)| made).collect()
}

/// What each share of the items gives, in order: all of as many at most, from a position on. The
/// threads are those that the caller's work has; for one share none of them is looked at, which
/// would start them.
pub fn shares<T: Sync, R: Send>(
    items: &[T],
    most: usize,
    work: impl Fn(usize, &[T]) -> R + Sync,
) -> Vec<R> {
    let shares: Vec<&[T]> = items.chunks(most).collect();
    if let [all] = shares[..] {
        return vec![work(0, all)];
    }
    let share = |number: usize| work(number * most, shares[number]);
    match shares.len() {
        0 => Vec::new(),
        count => each(None, rayon::current_num_threads(), count, share),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_is_done_once_and_what_it_gives_stands_in_order() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        for count in [0, 1, 2, 100] {
            for threads in [1, 2, 4] {
                let squares: Vec<usize> = (0..count).map(|number| number * number).collect();
                for pool in [None, Some(&pool)] {
                    assert_eq!(each(pool, threads, count, |number| number * number), squares);
                }
            }
        }
    }

    #[test]
    fn shares_are_all_items_in_their_order() {
        for count in [0, 1, 6, 7, 8, 100] {
            let items: Vec<usize> = (0..count).collect();
            let shares = shares(&items, 7, |begin, share| (begin, share.to_vec()));
            assert!(shares.iter().all(|(begin, share)| share.first() == Some(begin)));
            assert!(shares.iter().all(|(_, share)| share.len() <= 7));
            assert_eq!(shares.into_iter().flat_map(|(_, share)| share).collect::<Vec<_>>(), items);
        }
    }

    #[test]
    fn one_task_is_the_callers() {
        let caller = std::thread::current().id();
        for (threads, count) in [(1, 9), (4, 1), (4, 0)] {
            let of = each(None, threads, count, |_| std::thread::current().id());
            assert_eq!(of, vec![caller; count]);
        }
    }
}
