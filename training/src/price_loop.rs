//! Policies that set prices, held against the law of the simulated shop.
//!
//! One round is one shop: its log is learned from as `train` does, and then each arm sets the prices of the weeks after it.
//! What a price list brings is not lived but summed ([`TrueDemand`]), so that arms differ by their prices alone. All choose
//! within the same floor, ceiling, minimum margin and rounding. `arms` holds the policies, `feedback` prices that follow
//! demand while demand answers to them. Nothing here fits or prices: that is `demand` and `nextbest_models::pricing`.

use std::collections::{BTreeMap, BTreeSet};

use nextbest_models::artifact::{ArtifactBuilder, ArtifactError, Metadata};
use nextbest_models::pricing::guardrail::{Gate, cost_of};
use nextbest_models::pricing::ladder::prices;
use nextbest_models::pricing::{DemandModel, PricingRules};
use nextbest_models::units::{Currency, DAY_MS, Seed, Timestamp};
use rayon::prelude::*;

use crate::demand::{DemandOptions, DemandTable, FitError, Observation, RandomisedRule, TrainedDemand, fit};
use crate::simulate::catalogue::N_SKUS;
use crate::simulate::life::Life;
use crate::simulate::pricing::{References, TrueDemand};
use crate::simulate::{Options, Shop, SimulateError};

pub mod arms;
pub mod feedback;

pub use arms::{Arm, Outcome};

/// Weeks in which arms set prices, one review a week.
pub const N_REVIEWS: usize = 13;

/// Why a round could not be held.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum RoundError {
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    #[error(transparent)]
    Fit(#[from] FitError),
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error("{sku} of the catalogue can have no price by pricing.toml")]
    NoPrice { sku: String },
}

/// One shop after its log, and what was learned from it.
pub struct Round {
    /// The rules that every arm keeps.
    pub rules: PricingRules,
    /// The law.
    pub truth: TrueDemand,
    /// The log, by SKU and week.
    pub observations: Vec<Observation>,
    /// What was learned.
    pub trained: TrainedDemand,
    /// First instant after the log.
    pub end: Timestamp,
    /// Reference prices at that time.
    pub references: References,
    /// Hidden demand shocks of the weeks after it, by week and SKU.
    pub shocks: Vec<[f64; N_SKUS]>,
    /// The prices each SKU may have, ascending: floor, ceiling, minimum margin and rounding leave them.
    pub allowed: Vec<Vec<i64>>,
    /// Of everything drawn.
    pub seed: Seed,
}

impl Round {
    /// Simulates the shop of `options` for its days, a multiple of 7, and learns from its log under `rules`.
    pub fn new(options: &Options, currency: Currency, rules: PricingRules) -> Result<Self, RoundError> {
        let seed = options.seed();
        let shop = Shop::new(options, currency);
        let lives = (0..options.n_customers()).into_par_iter();
        let lives: Vec<Life> = lives.filter_map(|number| shop.customer(number)).collect();
        let table = counted(&lives, currency);
        let observations = table.observations();
        let trained = learn(&observations, &rules)?;
        let end_day = usize::try_from(options.n_days()).unwrap_or(0);
        let weeks = &shop.market().weeks;
        let of = |at: usize, f: fn(&crate::simulate::market::Offer) -> f64| -> [f64; N_SKUS] {
            let offers = &weeks[at.min(weeks.len() - 1)].offers;
            std::array::from_fn(|sku| f(&offers[sku]))
        };
        let first = end_day / 7;
        let truth = TrueDemand::new(&shop, &lives, seed, end_day);
        let allowed = allowed(&rules, &truth)?;
        Ok(Self {
            truth,
            observations,
            trained,
            end: options.start().plus_millis(i64::from(options.n_days()) * DAY_MS),
            references: of(first, |offer| offer.reference_ratio),
            shocks: (first..first + N_REVIEWS).map(|at| of(at, |offer| offer.shock)).collect(),
            allowed,
            seed,
            rules,
        })
    }
}

/// Events into SKU-weeks, second deliveries left out.
fn counted(lives: &[Life], currency: Currency) -> DemandTable {
    let empty = || DemandTable::new(currency, RandomisedRule::default());
    let one = |mut table: DemandTable, life: &Life| {
        let mut seen = BTreeSet::new();
        let new = life.entries.events.iter().filter(|event| seen.insert(&event.event_id));
        new.for_each(|event| table.observe(event));
        table
    };
    lives.par_iter().fold(empty, one).reduce(empty, |mut all, part| {
        all.merge(part);
        all
    })
}

/// Fits as `train` does.
pub fn learn(observations: &[Observation], rules: &PricingRules) -> Result<TrainedDemand, FitError> {
    let category = |sku: &str| rules.sku(sku).and_then(|rules| rules.category.clone());
    fit(observations, category, DemandOptions::default())
}

/// The demand model as a function opens it.
pub fn opened(trained: &TrainedDemand) -> Result<Option<DemandModel>, ArtifactError> {
    let metadata = Metadata {
        name: "price loop".to_owned(),
        schema_fingerprint: String::new(),
        feature_names: Vec::new(),
        trained_through: Timestamp::MIN,
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: Seed(0),
        sources: BTreeMap::new(),
        table: None,
        models: Vec::new(),
    };
    let mut builder = ArtifactBuilder::new(metadata);
    builder.demand(trained.metadata.clone(), trained.sealed.clone());
    Ok(builder.seal()?.demand().cloned())
}

fn allowed(rules: &PricingRules, truth: &TrueDemand) -> Result<Vec<Vec<i64>>, RoundError> {
    let of = |sku: &crate::simulate::catalogue::Sku| {
        let said = rules.sku(&sku.id);
        let terms = said.map_or(rules.default, |said| said.terms);
        let cost = cost_of(said, &terms, sku.list_price_minor, None);
        let gate = Gate::fixed(said, &terms, sku.list_price_minor, cost)
            .map_err(|_| RoundError::NoPrice { sku: sku.id.clone() })?;
        Ok(prices(gate.lowest_minor(), gate.highest_minor(), rules))
    };
    truth.skus.iter().map(of).collect()
}

#[cfg(test)]
mod tests;
