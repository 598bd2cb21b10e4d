//! Whom the actions of a project reach: a small population, decided at a few dates.
//!
//! The population is a part of the project's event log where there is one, else of its simulated shop.

use nextbest_models::artifact::Artifact;
use nextbest_models::customer::CustomerId;
use nextbest_models::event::Event;
use nextbest_models::project::Simulated;
use nextbest_models::units::Timestamp;
use nextbest_training::decisions::reach::Moments;
use nextbest_training::decisions::{ActionReach, DecisionReport, Loss, Tally};
use nextbest_training::event_log::EventLog;
use nextbest_training::simulate::{self, Shop};
use rayon::prelude::*;
use serde::Serialize;

use crate::exit::Failure;
use crate::folder::Folder;
use crate::load::present;
use crate::progress;
use crate::report::current;

/// Losses that a warning names.
const N_LOSSES: usize = 3;

/// Whom the actions reach.
#[derive(Serialize)]
pub struct Reach {
    /// Where the customers are from.
    population: &'static str,
    /// Whether propensities are those of the project's models; else they are drawn, of labels and of responses.
    models: bool,
    /// Decisions: each customer at each date.
    n_decisions: u64,
    /// What became of each action in them.
    actions: Vec<ActionReach>,
}

/// Decides up to `n_customers`; none where the project has neither an event log nor a simulated shop.
pub fn of(folder: &Folder, n_customers: u64) -> Result<Option<Reach>, Failure> {
    // An artifact of other features is none: check says whether the folder is right, not what lies beside it.
    let artifact = current(folder).ok().flatten();
    let (population, report) = if folder.events().exists() {
        ("event log", logged(folder, artifact.as_ref(), n_customers)?)
    } else if let Some(shop) = folder.project.settings.demo.simulate {
        ("simulated", simulated(folder, artifact.as_ref(), shop, n_customers)?)
    } else {
        return Ok(None);
    };
    let (n_decisions, actions) = (report.n_customers, report.actions);
    Ok(Some(Reach { population, models: artifact.is_some(), n_decisions, actions }))
}

impl Reach {
    /// For people: one for each action that reaches nobody, with where the funnel loses them.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let unreached = self.actions.iter().filter(|action| self.n_decisions > 0 && action.n_survived == 0);
        unreached.map(|action| {
            let losses: Vec<String> =
                action.losses.iter().take(N_LOSSES).map(|loss| self.told(loss)).collect();
            format!(
                "action {:?} reaches nobody in {}: {}",
                action.action_id,
                self.sentence(),
                losses.join(", ")
            )
        })
    }

    /// How many were decided, and from where.
    pub fn sentence(&self) -> String {
        let drawn = if self.models { "" } else { " with drawn propensities" };
        format!("{} decisions ({} customers{drawn})", self.n_decisions, self.population)
    }

    fn told(&self, loss: &Loss) -> String {
        let name = |value: serde_json::Result<serde_json::Value>| {
            value.ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let (stage, code) = (name(serde_json::to_value(loss.stage)), name(serde_json::to_value(loss.code)));
        let percent = 100.0 * loss.n_customers as f64 / self.n_decisions as f64;
        format!("{percent:.0} % at {stage} by {} ({code})", loss.component)
    }
}

/// Customers of the first buckets of the log; a bucket is a fair sample, drawn by hash.
fn logged(folder: &Folder, artifact: Option<&Artifact>, n_customers: u64) -> Result<DecisionReport, Failure> {
    let log = EventLog::open(folder.events())?;
    let end = present(&log)?;
    let bar = progress::bar(n_customers, "deciding customers");
    let (mut tally, moments) = (Tally::default(), Moments::of(&folder.project.policy));
    'buckets: for bucket in 0..log.n_buckets() {
        for group in log.customers(bucket)? {
            let (id, events) = group?;
            tally.add_life(&folder.project, artifact, &moments, &id, &events, end);
            bar.inc(1);
            if bar.position() >= n_customers {
                break 'buckets;
            }
        }
    }
    bar.finish_and_clear();
    Ok(tally.report(&folder.project, artifact, end))
}

/// The first customers of the simulated shop: each lives the same life however many there are.
fn simulated(
    folder: &Folder,
    artifact: Option<&Artifact>,
    shop: Simulated,
    n_customers: u64,
) -> Result<DecisionReport, Failure> {
    let n_customers = n_customers.min(shop.customers);
    let start: Timestamp = simulate::DEFAULT_START.parse()?;
    let options = simulate::Options::new(n_customers, shop.days, shop.seed, start).map_err(Failure::call)?;
    let (project, end) = (&folder.project, start.plus_days(shop.days));
    let (shop, moments) = (Shop::new(&options, project.settings.currency), Moments::of(&project.policy));
    let bar = progress::bar(n_customers, "simulating customers");
    let live = |number: u64| -> Tally {
        let mut tally = Tally::default();
        if let Some(life) = shop.customer(number) {
            let own: Vec<Event> = own(&life.customer, life.entries.events);
            tally.add_life(project, artifact, &moments, &life.customer, &own, end);
        }
        bar.inc(1);
        tally
    };
    let merged = |mut all: Tally, part: Tally| {
        all.merge(part);
        all
    };
    let tally = (0..n_customers).into_par_iter().map(live).reduce(Tally::default, merged);
    bar.finish_and_clear();
    Ok(tally.report(project, artifact, end))
}

/// The events that the log has under the customer's id, not those of a visitor they once were.
fn own(id: &CustomerId, events: Vec<Event>) -> Vec<Event> {
    events.into_iter().filter(|event| event.customer_id.as_ref() == Some(id)).collect()
}
