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

/// What the items give, in order, worked on in shares of so many at most by the threads that the
/// caller's work has, of which it is one.
pub fn in_shares<T: Sync, R: Send + Clone>(
    items: &[T],
    most: usize,
    work: impl Fn(&[T]) -> Vec<R> + Sync,
) -> Vec<R> {
    let shares: Vec<&[T]> = items.chunks(most).collect();
    if let [all] = shares[..] {
        return work(all);
    }
    each(None, rayon::current_num_threads(), shares.len(), |number| work(shares[number])).concat()
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
    fn what_shares_give_stands_in_the_order_of_their_items() {
        for count in [0, 1, 6, 7, 8, 100] {
            let items: Vec<usize> = (0..count).collect();
            let twice = |share: &[usize]| share.iter().flat_map(|item| [*item, *item]).collect();
            let want: Vec<usize> = (0..2 * count).map(|at| at / 2).collect();
            assert_eq!(in_shares(&items, 7, twice), want);
        }
    }

    #[test]
    fn one_task_is_the_callers() {
        let caller = std::thread::current().id();
        for (threads, count) in [(1, 9), (4, 1)] {
            let of = each(None, threads, count, |_| std::thread::current().id());
            assert_eq!(of, vec![caller; count]);
        }
    }
}
