//! Filling: the chosen contacts are logged and held, round after round, until no place that can be filled is free.
//!
//! Between choosing and holding customers change and others draw on the budgets. Whoever falls leaves the candidates, the
//! limits are read anew, and the choice is made again among the others: the next best takes the place.

use std::collections::BTreeSet;
use std::time::Duration;

use nextbest_models::customer::CustomerId;
use nextbest_models::policy::hopper::{Bound, Entry, Instance, choose};
use nextbest_models::units::Timestamp;
use tokio::task::JoinSet;

use super::limits::{Limits, Rooms};
use super::scan::Scanned;
use super::{CampaignReport, Funnel, Header, Listed, Progress, claims};
use crate::app::App;
use crate::clock::Stopwatch;
use crate::decisions::record::Record;
use crate::decisions::{Asked, Held, Request, Terms};
use crate::keys::sha256_hex;
use crate::store::{StoreError, Subject};

/// Contacts that are held at once: all draw on the same few budgets, and more would only wait for each other.
const CONCURRENT: usize = 4;
const MAX_ROUNDS: u32 = 50;
/// Rounds that change nothing until the run gives up: others hold what looks free, or the store is away.
const MAX_IDLE: u32 = 3;
/// No contact is begun after so long, so that the list is written within the quarter of an hour that Lambda gives.
const LIMIT: Duration = Duration::from_secs(12 * 60);

/// A run that fills its places.
pub(super) struct Filling<'a> {
    limits: &'a Limits<'a>,
    snapshot_id: &'a str,
    since: Stopwatch,
    scanned: Scanned,
    /// Candidates that are neither held nor fell.
    open: Vec<Entry>,
    /// What is held, with its campaign.
    held: Vec<(usize, Listed)>,
    fell_late: Vec<Funnel>,
    /// Of the first choice: later ones have fewer to choose from.
    bound: Option<Bound>,
    out_of_time: bool,
    /// Contacts that the store did not take, for reasons of theirs or its own.
    store_failed: bool,
}

/// What came of a round.
#[derive(Default)]
struct Round {
    listed: BTreeSet<usize>,
    /// Places in `open` of those who fell.
    fell: BTreeSet<usize>,
    error: Option<StoreError>,
}

impl<'a> Filling<'a> {
    pub(super) fn new(
        limits: &'a Limits<'a>,
        snapshot_id: &'a str,
        since: Stopwatch,
        mut scanned: Scanned,
    ) -> Self {
        let open = std::mem::take(&mut scanned.shortlist.entries);
        let fell_late = vec![Funnel::default(); scanned.funnels.len()];
        Self {
            limits,
            snapshot_id,
            since,
            scanned,
            open,
            held: Vec::new(),
            fell_late,
            bound: None,
            out_of_time: false,
            store_failed: false,
        }
    }

    /// Chooses and holds until nothing more can be.
    pub(super) async fn fill(&mut self, progress: &(dyn Fn(Progress) + Sync)) -> Result<(), StoreError> {
        let mut idle = 0;
        for _ in 0..MAX_ROUNDS {
            let rooms = self.limits.rooms().await?.left;
            let entries = std::mem::take(&mut self.open);
            let instance = Instance { rooms, kinds: self.limits.kinds(), entries };
            let choice = choose(&instance);
            self.open = instance.entries;
            self.bound.get_or_insert(choice.bound);
            if choice.chosen.is_empty() || self.out_of_time {
                return Ok(());
            }
            let round = self.hold_all(&choice.chosen, progress).await;
            idle = if round.listed.is_empty() && round.fell.is_empty() { idle + 1 } else { 0 };
            self.leave(&round);
            if idle == MAX_IDLE {
                self.store_failed |= round.error.is_some();
                // A list without those few is better than none; a store that takes nothing is a failure.
                return round.error.filter(|_| self.held.is_empty()).map_or(Ok(()), Err);
            }
        }
        Ok(())
    }

    /// Holds the contacts at these places of `open`, the worthiest first.
    async fn hold_all(&mut self, chosen: &[usize], progress: &(dyn Fn(Progress) + Sync)) -> Round {
        let (mut round, mut running) = (Round::default(), JoinSet::new());
        let n_chosen = self.held.len() + chosen.len();
        let mut chosen = chosen.iter().copied();
        loop {
            self.out_of_time |= self.since.elapsed() >= LIMIT;
            while running.len() < CONCURRENT
                && !self.out_of_time
                && let Some(at) = chosen.next()
            {
                running.spawn(self.hold_one(at));
            }
            let Some(joined) = running.join_next().await else { return round };
            // A task that panics takes nothing with it but its own contact, which expires.
            let Ok((at, outcome)) = joined else { continue };
            let campaign = self.campaign_of(at);
            match outcome {
                Ok(Held::Listed(record)) => {
                    round.listed.insert(self.open[at].customer);
                    self.held.extend(row(&record).map(|row| (campaign, row)));
                    progress(Progress::Held { n_held: self.held.len(), n_chosen });
                }
                Ok(Held::Fell(fallen)) => {
                    round.fell.insert(at);
                    self.fell_late[campaign].add(fallen);
                }
                Ok(Held::Full) => {}
                Err(error) => {
                    tracing::warn!(%error, "a contact could not be held");
                    // What will never work is not tried again.
                    if !error.is_transient() {
                        round.fell.insert(at);
                        self.store_failed = true;
                    }
                    round.error = Some(error);
                }
            }
        }
    }

    fn campaign_of(&self, at: usize) -> usize {
        self.limits.forms[self.open[at].kind].campaign
    }

    fn hold_one(&self, at: usize) -> impl Future<Output = (usize, Result<Held, StoreError>)> + Send + use<> {
        let customer = self.scanned.shortlist.customers[self.open[at].customer].clone();
        let (app, now, campaign) = (self.limits.app.clone(), self.limits.now, self.campaign_of(at));
        let snapshot_id = self.snapshot_id.to_owned();
        async move { (at, hold(&app, &snapshot_id, campaign, customer, now).await) }
    }

    /// Takes out of `open` who is held or fell.
    fn leave(&mut self, round: &Round) {
        let mut at = 0;
        self.open.retain(|entry| {
            at += 1;
            !round.fell.contains(&(at - 1)) && !round.listed.contains(&entry.customer)
        });
    }

    /// Gives back what is held, after the list could not be written; what cannot be given back now expires.
    pub(super) async fn give_back(&self) {
        for (_, row) in &self.held {
            if let Err(error) = claims::release(self.limits.app, row, self.limits.now).await {
                tracing::warn!(%error, decision_id = row.decision_id, "a held contact is left to expire");
            }
        }
    }

    /// The contacts of the list, the worthiest first.
    pub(super) fn rows(&self) -> Vec<Listed> {
        let mut rows: Vec<Listed> = self.held.iter().map(|(_, row)| row.clone()).collect();
        rows.sort_by(|a, b| {
            b.expected_worth.total_cmp(&a.expected_worth).then_with(|| a.customer_id.cmp(&b.customer_id))
        });
        (1..).zip(&mut rows).for_each(|(rank, row)| row.rank = rank);
        rows
    }

    pub(super) fn header(&self, rooms: &Rooms) -> Header {
        let (app, now) = (self.limits.app, self.limits.now);
        let campaigns: Vec<CampaignReport> =
            (0..self.scanned.funnels.len()).map(|campaign| self.report(campaign, rooms)).collect();
        let expected_worth = total(campaigns.iter().map(|campaign| campaign.expected_worth));
        let bound = self.bound.unwrap_or_default();
        Header {
            as_of: now,
            held_until: held_until(app, now),
            n_asked: self.scanned.n_asked,
            n_listed: self.held.len(),
            expected_worth,
            upper_bound: bound.upper,
            proven_share: bound.proven_share(expected_worth),
            guarantee: bound.guarantee,
            campaigns,
            degraded: [(self.out_of_time, "out_of_time"), (self.store_failed, "store_failed")]
                .into_iter()
                .filter(|(short, _)| *short)
                .map(|(_, code)| code.to_owned())
                .collect(),
            policy_sha256: app.policy_sha256.clone(),
            artifact_sha256: app.artifact.as_ref().map(|artifact| artifact.sha256().to_owned()),
        }
    }

    fn report(&self, campaign: usize, rooms: &Rooms) -> CampaignReport {
        let listed = || self.held.iter().filter(|(of, _)| *of == campaign).map(|(_, row)| row);
        CampaignReport {
            campaign: self.limits.policy().hopper().campaigns[campaign].clone(),
            n_places: rooms.of_campaign(campaign),
            n_candidates: self.scanned.n_candidates[campaign],
            n_listed: listed().count(),
            expected_worth: total(listed().map(|row| row.expected_worth)),
            cost_minor: listed().map(|row| row.cost_minor).sum(),
            fell: self.scanned.funnels[campaign].clone().told(),
            fell_late: self.fell_late[campaign].clone().told(),
        }
    }
}

/// A sum that is 0, and not -0, for none.
fn total(worths: impl Iterator<Item = f64>) -> f64 {
    worths.fold(0.0, |sum, worth| sum + worth)
}

fn held_until(app: &App, now: Timestamp) -> Timestamp {
    now.plus_millis(i64::from(app.project.policy.hopper().reserve_minutes) * 60_000)
}

/// Decides once more on a fresh reading of the customer, and holds.
async fn hold(
    app: &App,
    snapshot_id: &str,
    campaign: usize,
    customer: CustomerId,
    now: Timestamp,
) -> Result<Held, StoreError> {
    let policy = &app.project.policy;
    // One id for a list, a campaign and a customer: tried again after a lost answer, it finds what it held.
    let campaign_id = policy.hopper().campaigns[campaign].id();
    let digest = sha256_hex(format!("{snapshot_id}|{campaign_id}|{customer}").as_bytes());
    let decision_id = format!("dec_{}", &digest[..32]);
    let asked = Asked {
        app,
        request: &Request::live(policy.hopper().campaigns[campaign].question()),
        request_id: snapshot_id,
        subject: &Subject::Customer(customer),
        decision_id: &decision_id,
        hold_as: &decision_id,
        now,
        since: Stopwatch::start(),
        terms: Terms {
            reserve_minutes: policy.hopper().reserve_minutes,
            listing: Some((snapshot_id, &policy.capacities()[campaign])),
        },
    };
    asked.hold().await
}

fn row(record: &Record) -> Option<Listed> {
    let action = record.decision.actions.first()?;
    Some(Listed {
        rank: 0,
        decision_id: record.decision_id.clone(),
        customer_id: record.customer_id.clone(),
        action_id: action.action_id.to_string(),
        treatment_id: action.treatment_id.to_string(),
        channel: action.channel.to_string(),
        lifecycle_stage: record.decision.lifecycle_stage,
        propensity: action.factors.propensity.get(),
        expected_worth: action.priority,
        cost_minor: action.cost_minor,
        held_until: record.reservations.first()?.expires_at,
    })
}
