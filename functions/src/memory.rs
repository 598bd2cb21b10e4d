//! What a process remembers between requests. None of it decides what is true: the store does; this saves calls to it and
//! stands in while it is away.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use nextbest_models::decision::Name;
use nextbest_models::posterior::Evidence;
use nextbest_models::units::Timestamp;

use crate::app::App;
use crate::store::{Erasures, StoreError, StoredCustomer, Subject};

/// Customers that are remembered.
const MAX_CUSTOMERS: usize = 512;

/// The customers read last.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    customers: BTreeMap<Subject, StoredCustomer>,
    order: VecDeque<Subject>,
}

impl Memory {
    /// Remembers `stored` as it was just read; the longest remembered is forgotten for it.
    pub fn keep(&self, subject: &Subject, stored: &StoredCustomer) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.customers.insert(subject.clone(), stored.clone()).is_none() {
            held.order.push_back(subject.clone());
        }
        if held.order.len() > MAX_CUSTOMERS
            && let Some(oldest) = held.order.pop_front()
        {
            held.customers.remove(&oldest);
        }
    }

    /// The customer as last read by this process.
    pub fn find(&self, subject: &Subject) -> Option<StoredCustomer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).customers.get(subject).cloned()
    }
}

/// For how long a budget that was found used up is not asked again: what expires may be given back meanwhile.
const RECHECK_MS: i64 = 5_000;

/// The budgets that were found used up.
#[derive(Debug, Default)]
pub struct SpentBudgets(Mutex<BTreeMap<Name, Spent>>);

#[derive(Clone, Copy, Debug)]
struct Spent {
    period_ends: Timestamp,
    ask_again: Timestamp,
}

impl SpentBudgets {
    /// Remembers that `budget` was found used up at `now`.
    pub fn note(&self, budget: &str, period_ends: Timestamp, now: Timestamp) {
        let spent = Spent { period_ends, ask_again: now.plus_millis(RECHECK_MS).min(period_ends) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(budget.into(), spent);
    }

    /// Budgets that are taken to be used up at `now`, and until when.
    pub fn exhausted(&self, now: Timestamp) -> BTreeMap<Name, Timestamp> {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spent.retain(|_, spent| now < spent.ask_again);
        spent.iter().map(|(budget, spent)| (budget.clone(), spent.period_ends)).collect()
    }
}

/// What actions brought so far, as the learning job counted it.
#[derive(Debug, Default)]
pub struct Beliefs(Mutex<BTreeMap<Name, Evidence>>);

impl Beliefs {
    /// Outcomes by action.
    pub fn evidence(&self) -> BTreeMap<Name, Evidence> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over what was read from the store.
    pub fn set(&self, evidence: BTreeMap<Name, Evidence>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = evidence;
    }
}

/// For so long the store is not asked again who was erased.
const ERASURES_MS: i64 = 60_000;

/// Who was erased lately, as it was read last.
#[derive(Debug, Default)]
pub struct Erased(Mutex<Option<(Timestamp, Arc<Erasures>)>>);

impl Erased {
    /// Who was erased, at most a minute ago.
    pub async fn lately(&self, app: &App) -> Result<Arc<Erasures>, StoreError> {
        let now = app.clock.now();
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, erased)) = held.filter(|(ask_again, _)| now < *ask_again) {
            return Ok(erased);
        }
        let erased = Arc::new(app.store.erasures(now.as_millis() / 1000).await?);
        let held = Some((now.plus_millis(ERASURES_MS), Arc::clone(&erased)));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
        Ok(erased)
    }
}
