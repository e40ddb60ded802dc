//! One round of catching up serves all who asked before it began.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::Mutex;

/// Lets callers share the rounds of something that must begin after they asked for it.
#[derive(Debug)]
pub struct CatchUp<E> {
    /// How many have asked.
    asked: AtomicU64,
    /// Whoever holds the lock runs a round.
    last: Mutex<Round<E>>,
}

#[derive(Debug)]
struct Round<E> {
    /// The round began after so many had asked.
    served: u64,
    outcome: Result<(), E>,
}

impl<E> Default for CatchUp<E> {
    fn default() -> Self {
        CatchUp { asked: AtomicU64::new(0), last: Mutex::new(Round { served: 0, outcome: Ok(()) }) }
    }
}

impl<E: Clone> CatchUp<E> {
    /// Returns the outcome of a round that began after this call. Runs it if no other caller does.
    pub async fn wait(&self, round: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut last = self.last.lock().await;
        if last.served < number {
            let served = self.asked.load(Ordering::SeqCst);
            let outcome = round.await;
            *last = Round { served, outcome };
        }
        last.outcome.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use tokio::sync::Semaphore;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    /// Starts callers while a round is under way, then lets that round end. Returns how many rounds began.
    async fn rounds(outcome: Result<(), &'static str>) -> (u64, Vec<Result<(), &'static str>>) {
        let catch_up = Arc::new(CatchUp::default());
        let (begun, may_end) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
        let call = || {
            let (catch_up, begun, may_end) = (catch_up.clone(), begun.clone(), may_end.clone());
            tokio::spawn(async move {
                let round = async {
                    begun.fetch_add(1, Ordering::SeqCst);
                    may_end.acquire().await.unwrap().forget();
                    outcome
                };
                catch_up.wait(round).await
            })
        };
        let mut calls = vec![call()];
        while begun.load(Ordering::SeqCst) < 1 {
            tokio::task::yield_now().await;
        }
        calls.extend((0..10).map(|_| call()));
        (0..100).for_each(|_| drop(tokio::spawn(async {})));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        may_end.add_permits(2);
        let mut outcomes = Vec::new();
        for call in calls {
            outcomes.push(call.await.unwrap());
        }
        (begun.load(Ordering::SeqCst), outcomes)
    }

    #[test]
    fn callers_during_a_round_share_the_next_one() {
        let (begun, outcomes) = runtime().block_on(rounds(Ok(())));
        assert_eq!((begun, outcomes), (2, vec![Ok(()); 11]));
    }

    #[test]
    fn a_failure_is_told_to_all_who_share_the_round() {
        let (begun, outcomes) = runtime().block_on(rounds(Err("behind")));
        assert_eq!((begun, outcomes), (2, vec![Err("behind"); 11]));
    }

    #[test]
    fn a_later_call_needs_a_round_of_its_own_and_a_dropped_one_counts_for_nobody() {
        runtime().block_on(async {
            let catch_up = CatchUp::<&str>::default();
            assert_eq!(catch_up.wait(async { Ok(()) }).await, Ok(()));
            assert_eq!(catch_up.wait(async { Err("later") }).await, Err("later"));
            tokio::select! {
                biased;
                _ = catch_up.wait(std::future::pending()) => unreachable!("it never ends"),
                () = async {} => {}
            }
            assert_eq!(catch_up.wait(async { Ok(()) }).await, Ok(()));
        });
    }
}
