//! Natural batching: calls that meet go on as one.
//!
//! On one machine a call to the store costs more to make than to answer: the orchestration of the SDK, a request over
//! loopback, a transaction of the embedded server. So one call is under way at a time, whoever comes meanwhile waits, and
//! all who wait go on as one call, as the commits of a database share a flush. Nobody waits for company: who meets no
//! other calls as ever. A store that is far away gets none of this: there a wait costs more than a call.
//!
//! Nobody depends on another. A caller who gives up passes the turn on; nobody waits longer than [`PATIENCE`] for a call to
//! begin, and who got nothing out of a shared call (it failed, or left theirs out) calls alone and sees the error
//! themselves. Who is part of a call waits for its end, so that what it writes never lands behind a later write of theirs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::CALL_LIMIT;
use crate::clock::Stopwatch;

/// Longest that a caller waits for others: some ten calls on loopback.
const PATIENCE: Duration = Duration::from_millis(10);

/// A call that several can share.
pub(super) trait Batch: Send + Sync + 'static {
    /// What one caller asks.
    type Ask: Send;
    /// What one caller is told.
    type Told: Send;
    /// Most callers of one call.
    const MOST: usize;

    /// What each of `asks` is told, in their order; none where the call has nothing for it.
    fn call(&self, asks: Vec<Self::Ask>) -> impl Future<Output = Vec<Option<Self::Told>>> + Send;
}

/// The callers of one kind of call.
pub(super) struct Batcher<B: Batch> {
    batch: B,
    patience: Duration,
    queue: Mutex<Queue<B>>,
}

struct Queue<B: Batch> {
    /// Since when a call is.
    under_way: Option<Stopwatch>,
    /// Callers so far, by whose number one that leaves is found.
    n_callers: u64,
    waiting: VecDeque<Waiting<B>>,
}

struct Waiting<B: Batch> {
    number: u64,
    ask: B::Ask,
    reply: oneshot::Sender<Passage<B>>,
}

/// How a caller goes on.
pub(super) enum Passage<B: Batch> {
    /// By a call of their own, during which the turn is theirs.
    Alone(Option<Turn<B>>),
    /// By what a shared call told.
    Told(B::Told),
}

/// The right to call, passed on when it is dropped.
pub(super) struct Turn<B: Batch>(Arc<Batcher<B>>);

impl<B: Batch> Batcher<B> {
    pub(super) fn new(batch: B) -> Arc<Self> {
        Self::patient(batch, PATIENCE)
    }

    fn patient(batch: B, patience: Duration) -> Arc<Self> {
        let queue = Queue { under_way: None, n_callers: 0, waiting: VecDeque::new() };
        Arc::new(Self { batch, patience, queue: Mutex::new(queue) })
    }

    /// Waits while another call is under way; `ask` is what a shared one asks.
    pub(super) async fn join(self: &Arc<Self>, ask: B::Ask) -> Passage<B> {
        let (number, mut told) = {
            let mut queue = self.queue();
            match &queue.under_way {
                None => {
                    queue.under_way = Some(Stopwatch::start());
                    return Passage::Alone(Some(Turn(Arc::clone(self))));
                }
                // A call that takes so long holds nobody up.
                Some(since) if since.elapsed() > self.patience => return Passage::Alone(None),
                Some(_) => {}
            }
            let (reply, told) = oneshot::channel();
            let number = queue.n_callers;
            queue.n_callers += 1;
            queue.waiting.push_back(Waiting { number, ask, reply });
            (number, told)
        };
        let passage = match tokio::time::timeout(self.patience, &mut told).await {
            Ok(passage) => passage,
            Err(_) if self.leave(number) => return Passage::Alone(None),
            Err(_) => told.await,
        };
        passage.unwrap_or(Passage::Alone(None))
    }

    /// Takes a caller out of those who wait; whether it was still among them.
    fn leave(&self, number: u64) -> bool {
        let mut queue = self.queue();
        let place = queue.waiting.iter().position(|waiting| waiting.number == number);
        place.is_some_and(|place| queue.waiting.remove(place).is_some())
    }

    fn queue(&self) -> MutexGuard<'_, Queue<B>> {
        // No change of it can be left half done.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who goes next: those who have waited longest and not given up. Where there is nobody, the turn is over.
    fn next(&self) -> Vec<Waiting<B>> {
        let mut queue = self.queue();
        queue.waiting.retain(|waiting| !waiting.reply.is_closed());
        let n_callers = queue.waiting.len().min(B::MOST);
        queue.under_way = (n_callers > 0).then(Stopwatch::start);
        queue.waiting.drain(..n_callers).collect()
    }
}

impl<B: Batch> Turn<B> {
    /// Calls for all of `callers`.
    async fn call(self, callers: Vec<Waiting<B>>) {
        let (asks, replies): (Vec<_>, Vec<_>) = callers.into_iter().map(|one| (one.ask, one.reply)).unzip();
        let told = tokio::time::timeout(CALL_LIMIT, self.0.batch.call(asks)).await.unwrap_or_default();
        for (told, reply) in told.into_iter().zip(replies) {
            if let Some(told) = told {
                // Who gave up meanwhile needs no answer.
                let _gone = reply.send(Passage::Told(told));
            }
        }
    }
}

impl<B: Batch> Drop for Turn<B> {
    fn drop(&mut self) {
        let mut next = self.0.next();
        let turn = || Self(Arc::clone(&self.0));
        match (next.len(), next.pop()) {
            (_, None) => {}
            // Where the only one has just given up, the turn comes back and is dropped: passed on once more.
            (1, Some(one)) => drop(one.reply.send(Passage::Alone(Some(turn())))),
            (_, Some(last)) => {
                next.push(last);
                match Handle::try_current() {
                    Ok(runtime) => drop(runtime.spawn(turn().call(next))),
                    // The runtime has ended, and with it all who waited.
                    Err(_) => drop(turn()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Doubles numbers but 13, at most three in a call, and notes how many callers each call had.
    #[derive(Default)]
    struct Doubling {
        n_callers: Mutex<Vec<usize>>,
        broken: AtomicBool,
        slow: AtomicBool,
    }

    impl Batch for Arc<Doubling> {
        type Ask = u32;
        type Told = u32;
        const MOST: usize = 3;

        async fn call(&self, asks: Vec<u32>) -> Vec<Option<u32>> {
            self.n_callers.lock().unwrap().push(asks.len());
            tokio::task::yield_now().await;
            if self.slow.load(Ordering::SeqCst) {
                tokio::time::sleep(2 * SHORT).await;
            }
            let doubled = asks.iter().map(|ask| (*ask != 13).then_some(2 * ask));
            if self.broken.load(Ordering::SeqCst) { Vec::new() } else { doubled.collect() }
        }
    }

    /// A patience that ends within a test.
    const SHORT: Duration = Duration::from_millis(500);

    type Doubler = Arc<Batcher<Arc<Doubling>>>;

    fn doubler() -> (Doubler, Arc<Doubling>) {
        let doubling = Arc::new(Doubling::default());
        // No test waits so long.
        (Batcher::patient(Arc::clone(&doubling), Duration::from_mins(1)), doubling)
    }

    /// A turn, and the others' callers once all of them wait for it.
    async fn waiting(
        doubler: &Doubler,
        numbers: &[u32],
    ) -> (Turn<Arc<Doubling>>, Vec<tokio::task::JoinHandle<Passage<Arc<Doubling>>>>) {
        let Passage::Alone(Some(turn)) = doubler.join(0).await else { panic!("nobody else is there") };
        let mut callers = Vec::new();
        for (nth, &number) in numbers.iter().enumerate() {
            let own = Arc::clone(doubler);
            callers.push(tokio::spawn(async move { own.join(number).await }));
            while doubler.queue().waiting.len() <= nth {
                tokio::task::yield_now().await;
            }
        }
        (turn, callers)
    }

    fn is_over(doubler: &Doubler) -> bool {
        let queue = doubler.queue();
        queue.under_way.is_none() && queue.waiting.is_empty()
    }

    #[tokio::test]
    async fn who_meets_nobody_calls_alone() {
        let (doubler, doubling) = doubler();
        for number in 0..3 {
            let Passage::Alone(Some(turn)) = doubler.join(number).await else { panic!("not alone") };
            drop(turn);
        }
        assert!(doubling.n_callers.lock().unwrap().is_empty() && is_over(&doubler));
    }

    #[tokio::test]
    async fn all_who_wait_go_on_together_and_each_is_told_their_own() {
        let (doubler, doubling) = doubler();
        let (turn, callers) = waiting(&doubler, &[1, 2, 3, 4, 5, 6, 7]).await;
        drop(turn);
        for (caller, number) in callers.into_iter().zip(1..) {
            match caller.await.unwrap() {
                Passage::Told(told) => assert_eq!(told, 2 * number),
                // The last is alone again, with the turn.
                Passage::Alone(turn) => assert!(number == 7 && turn.is_some()),
            }
        }
        assert_eq!(*doubling.n_callers.lock().unwrap(), [3, 3]);
        assert!(is_over(&doubler));
    }

    #[tokio::test]
    async fn who_got_nothing_out_of_a_shared_call_calls_alone() {
        let (doubler, doubling) = doubler();
        let (turn, callers) = waiting(&doubler, &[12, 13, 14]).await;
        drop(turn);
        let mut told = Vec::new();
        for caller in callers {
            told.push(match caller.await.unwrap() {
                Passage::Told(told) => Some(told),
                Passage::Alone(turn) => turn.map(|_| 0),
            });
        }
        assert_eq!(told, [Some(24), None, Some(28)]);
        doubling.broken.store(true, Ordering::SeqCst);
        let (turn, callers) = waiting(&doubler, &[1, 2]).await;
        drop(turn);
        for caller in callers {
            assert!(matches!(caller.await.unwrap(), Passage::Alone(None)));
        }
        assert!(is_over(&doubler));
    }

    #[tokio::test]
    async fn who_gives_up_holds_nobody_back() {
        let (doubler, doubling) = doubler();
        let (turn, callers) = waiting(&doubler, &[1, 2, 3]).await;
        callers[0].abort();
        callers[2].abort();
        while !doubler.queue().waiting.iter().all(|one| one.reply.is_closed() || one.ask == 2) {
            tokio::task::yield_now().await;
        }
        drop(turn);
        let mut callers = callers.into_iter();
        assert!(callers.next().unwrap().await.is_err());
        assert!(matches!(callers.next().unwrap().await.unwrap(), Passage::Alone(Some(_))));
        assert!(doubling.n_callers.lock().unwrap().is_empty());
        assert!(is_over(&doubler));
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let hasty = Batcher::patient(Arc::new(Doubling::default()), Duration::from_millis(1));
        let Passage::Alone(Some(turn)) = hasty.join(0).await else { panic!("nobody else is there") };
        for number in 1..3 {
            assert!(matches!(hasty.join(number).await, Passage::Alone(None)));
            assert!(hasty.queue().waiting.is_empty());
        }
        drop(turn);
        assert!(is_over(&hasty));
    }

    /// Else a write that is given up and made alone could be undone by itself.
    #[tokio::test]
    async fn who_is_part_of_a_call_waits_for_its_end() {
        let doubling = Arc::new(Doubling::default());
        doubling.slow.store(true, Ordering::SeqCst);
        let doubler = Batcher::patient(Arc::clone(&doubling), SHORT);
        let (turn, callers) = waiting(&doubler, &[1, 2]).await;
        drop(turn);
        for caller in callers {
            assert!(matches!(caller.await.unwrap(), Passage::Told(2 | 4)));
        }
        assert_eq!(*doubling.n_callers.lock().unwrap(), [2]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn whoever_comes_when_is_answered() {
        let (doubler, doubling) = doubler();
        let callers = (0..64_u32).map(|number| {
            let own = Arc::clone(&doubler);
            tokio::spawn(async move {
                for nth in 0..200 {
                    let number = 1000 * number + nth;
                    match own.join(number).await {
                        Passage::Told(told) => assert_eq!(told, 2 * number),
                        Passage::Alone(_turn) => tokio::task::yield_now().await,
                    }
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
        assert!(is_over(&doubler));
        assert!(doubling.n_callers.lock().unwrap().iter().all(|n_callers| (2..=3).contains(n_callers)));
    }
}
