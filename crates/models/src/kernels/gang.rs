//! Threads that stay awake during a pass of few rows.
//!
//! Such a pass is hundreds of products of a hundred microseconds each: to wake a sleeping worker
//! for each would take as long as the product. Helpers wait actively instead, for as long as one
//! token takes, and give their core away when nothing comes.

use std::cell::RefCell;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Turns of active waiting before a thread offers its core to others.
const PATIENCE: u32 = 2000;

/// Work in parts that any thread may do.
pub(crate) trait Parts: Send + Sync {
    /// Number of parts.
    fn n_parts(&self) -> usize;
    /// The values of one part.
    fn part(&self, at: usize) -> Vec<f32>;
}

struct Job {
    parts: Box<dyn Parts>,
    next: AtomicUsize,
    n_done: AtomicUsize,
    results: Vec<Mutex<Vec<f32>>>,
}

/// Counts a part as done even when computing it panicked, so that no one waits for ever.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

impl Job {
    /// Does parts until none is left.
    fn work(&self) {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(result) = self.results.get(at) else {
                return;
            };
            let _done = Done(&self.n_done);
            let values = self.parts.part(at);
            *result.lock().unwrap_or_else(PoisonError::into_inner) = values;
        }
    }
}

/// Waits a moment; `turn` counts how often already.
fn wait(turn: &mut u32) {
    if *turn < PATIENCE {
        *turn += 1;
        spin_loop();
    } else {
        std::thread::yield_now();
    }
}

/// A leader's helpers.
#[derive(Default)]
struct Gang {
    job: Mutex<Option<Arc<Job>>>,
    /// Number of jobs so far.
    n_jobs: AtomicUsize,
    is_over: AtomicBool,
}

impl Gang {
    fn help(&self) {
        let (mut seen, mut turn) = (0, 0);
        while !self.is_over.load(Ordering::Acquire) {
            let n_jobs = self.n_jobs.load(Ordering::Acquire);
            if n_jobs == seen {
                wait(&mut turn);
                continue;
            }
            (seen, turn) = (n_jobs, 0);
            let job = self
                .job
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            if let Some(job) = job {
                job.work();
            }
        }
    }

    fn run(&self, parts: Box<dyn Parts>) -> Vec<Vec<f32>> {
        let job = Arc::new(Job {
            results: (0..parts.n_parts()).map(|_| Mutex::default()).collect(),
            next: AtomicUsize::new(0),
            n_done: AtomicUsize::new(0),
            parts,
        });
        *self.job.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&job));
        self.n_jobs.fetch_add(1, Ordering::Release);
        job.work();
        let mut turn = 0;
        while job.n_done.load(Ordering::Acquire) < job.results.len() {
            wait(&mut turn);
        }
        let take = |result: &Mutex<Vec<f32>>| {
            std::mem::take(&mut *result.lock().unwrap_or_else(PoisonError::into_inner))
        };
        job.results.iter().map(take).collect()
    }
}

thread_local! {
    static LED: RefCell<Option<Arc<Gang>>> = const { RefCell::new(None) };
}

/// Sends the helpers home and leads what was led before, also when the pass panics.
struct Leading {
    gang: Arc<Gang>,
    before: Option<Arc<Gang>>,
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.gang.is_over.store(true, Ordering::Release);
        let before = self.before.take();
        LED.with_borrow_mut(|led| *led = before);
    }
}

/// Runs `work` on a thread of the pool, the others waiting for its [`in_parts`].
pub(crate) fn lead<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|scope| {
        let n_helpers = rayon::current_num_threads() - 1;
        if n_helpers == 0 {
            return work();
        }
        let gang = Arc::new(Gang::default());
        for _ in 0..n_helpers {
            let gang = Arc::clone(&gang);
            scope.spawn(move |_| gang.help());
        }
        let before = LED.with_borrow_mut(|led| led.replace(Arc::clone(&gang)));
        let _leading = Leading { gang, before };
        work()
    })
}

/// The values of all parts in their order, computed by the caller and its helpers if it leads any.
pub(crate) fn in_parts(parts: impl Parts + 'static) -> Vec<Vec<f32>> {
    match LED.with_borrow(Clone::clone) {
        Some(gang) if parts.n_parts() > 1 => gang.run(Box::new(parts)),
        _ => (0..parts.n_parts()).map(|at| parts.part(at)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Squares(usize);

    impl Parts for Squares {
        fn n_parts(&self) -> usize {
            self.0
        }

        fn part(&self, at: usize) -> Vec<f32> {
            assert!(at < 1000, "a part too far");
            vec![(at * at) as f32; 3]
        }
    }

    #[test]
    fn parts_come_in_their_order_with_and_without_helpers() {
        let expected: Vec<Vec<f32>> = (0..50).map(|at| vec![(at * at) as f32; 3]).collect();
        assert_eq!(in_parts(Squares(50)), expected);
        lead(|| {
            for _ in 0..200 {
                assert_eq!(in_parts(Squares(50)), expected);
            }
            // A pass within a pass has helpers of its own, and the outer one its own again.
            assert_eq!(lead(|| in_parts(Squares(50))), expected);
            assert_eq!(in_parts(Squares(50)), expected);
        });
        assert!(LED.with_borrow(Option::is_none));
    }

    #[test]
    #[should_panic(expected = "part too far")]
    fn a_part_that_panics_ends_the_pass() {
        let _ = lead(|| in_parts(Squares(1002)));
    }
}
