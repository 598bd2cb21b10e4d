//! The arms: who sets the prices, week by week, and what the law says that they bring.

use nextbest_models::policy::control::Assignment;
use nextbest_models::pricing::demand::seal;
use nextbest_models::pricing::rules::PriceExploration;
use nextbest_models::pricing::{
    Circumstances, Demand, DemandLevel, DemandModel, DemandRecord, Elasticity, Ledger, MarketRules,
    PriceRequest, PricingRules, Standing, choose_price,
};
use nextbest_models::units::{DAY_MS, Seed};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson};

use super::{N_REVIEWS, Round, RoundError, learn, opened};
use crate::demand::{FitError, Observation, TrainedDemand};
use crate::simulate::catalogue::N_SKUS;
use crate::simulate::pricing::References;

/// One price per SKU, minor units.
pub type Prices = [i64; N_SKUS];

/// Who sets prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arm {
    /// Nobody: list prices.
    List,
    /// One ratio of the list price for all SKUs: the best by the mean slope of the experiment's weeks.
    Ratio,
    /// The same, chosen by one who knows the law.
    RatioKnown,
    /// The best price on the plain slope of all weeks, which the manager's prices confound.
    Greedy,
    /// `choose_price`, its cross effects left out.
    WithoutCross,
    /// `choose_price` under all guardrails.
    Policy,
    /// The same, its prices explored by Thompson's rule while the model is fitted anew every four weeks.
    Exploring,
    /// `choose_price` under all guardrails, told the true slopes: what is missing to the oracle is the shape of the law.
    Told,
    /// Knows the law: the best allowed prices.
    Oracle,
}

impl Arm {
    /// In the order of the table.
    pub const ALL: [Self; 9] = [
        Self::List,
        Self::Ratio,
        Self::RatioKnown,
        Self::Greedy,
        Self::WithoutCross,
        Self::Policy,
        Self::Exploring,
        Self::Told,
        Self::Oracle,
    ];
}

/// What an arm brings, in minor units a week and customer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Once everybody is used to its last prices; of an arm that explores, a mean over its last four price lists.
    pub settled_minor: f64,
    /// On average over the [`N_REVIEWS`] weeks on the way there, reference prices moving.
    pub on_the_way_minor: f64,
    /// Mean of the last prices over list prices.
    pub price_ratio: f64,
    /// Prices that moved, a review and SKU.
    pub moved_share: f64,
}

impl Round {
    /// The price lists of `arm`, one a week.
    pub fn prices(&self, arm: Arm) -> Result<Vec<Prices>, RoundError> {
        let still = |prices: Prices| vec![prices; N_REVIEWS];
        let report = &self.trained.report;
        Ok(match arm {
            Arm::List => still(self.truth.list()),
            Arm::Ratio => still(self.best_ratio(report.overall.map_or(-1.0, |all| all.mean.value))),
            Arm::RatioKnown => still(self.best_known_ratio()),
            Arm::Greedy => still(self.greedy(report.plain.map_or(-1.0, |plain| plain.value))),
            Arm::WithoutCross => {
                let no_cross = self.with_records(|record| record.level != DemandLevel::Cross)?;
                self.reviews(&self.rules, opened(&no_cross)?.as_ref(), None)?
            }
            Arm::Told => self.reviews(&self.rules, opened(&self.told(1.0)?)?.as_ref(), None)?,
            Arm::Policy => self.reviews(&self.rules, opened(&self.trained)?.as_ref(), None)?,
            Arm::Exploring => {
                let mut rules = self.rules.clone();
                rules.exploration = PriceExploration::Thompson;
                let sold = Some(ChaCha8Rng::seed_from_u64(self.seed.0));
                self.reviews(&rules, opened(&self.trained)?.as_ref(), sold)?
            }
            Arm::Oracle => still(self.truth.best(&self.allowed)),
        })
    }

    /// The model with those of its records that `keep` keeps, after it may have changed them.
    fn with_records(&self, keep: impl FnMut(&mut DemandRecord) -> bool) -> Result<TrainedDemand, RoundError> {
        let mut trained = self.trained.clone();
        trained.report.records.retain_mut(keep);
        trained.sealed = seal(trained.report.records.clone()).map_err(FitError::from)?;
        Ok(trained)
    }

    /// The model with the truth in place of what was learned, of a shop of `scale` times the customers: units at list prices,
    /// slopes of prices that last, and what a price does to its category.
    pub fn told(&self, scale: f64) -> Result<TrainedDemand, RoundError> {
        let slopes = self.truth.slopes();
        let list = self.truth.list();
        let units = self.truth.units(&list, &self.truth.used_to(&list));
        let mut told = self.with_records(|record| {
            let sku = self.truth.skus.iter().position(|sku| sku.id == record.name);
            if let Some(at) = sku.filter(|_| record.level == DemandLevel::Sku) {
                let value = slopes[at].0.min(-1e-6);
                record.elasticity = Some(Elasticity { value, se: 0.0, lo: value, hi: value });
                (record.reference_price_minor, record.units_per_week) = (list[at], scale * units[at]);
            }
            record.level != DemandLevel::Cross
        })?;
        let categories = told.report.records.iter().filter(|record| record.level == DemandLevel::Category);
        let cross = categories.map(|record| {
            let inside = |sku: &usize| {
                let rules = self.rules.sku(&self.truth.skus[*sku].id);
                rules.and_then(|rules| rules.category.as_deref()) == Some(record.name.as_str())
            };
            let cross: Vec<f64> = (0..N_SKUS).filter(inside).map(|sku| slopes[sku].1).collect();
            let mean = cross.iter().sum::<f64>() / cross.len().max(1) as f64;
            let (level, own) = (DemandLevel::Cross, Some((mean, 0.0)));
            DemandRecord { level, own, elasticity: None, purchase_probability: None, ..record.clone() }
        });
        let cross: Vec<DemandRecord> = cross.collect();
        told.report.records.extend(cross);
        told.sealed = seal(told.report.records.clone()).map_err(FitError::from)?;
        Ok(told)
    }

    /// What the price lists of one arm bring.
    #[must_use]
    pub fn outcome(&self, arm: Arm, lists: &[Prices]) -> Outcome {
        let n = self.truth.n_customers().max(1) as f64;
        let mut references = self.references;
        let mut way = 0.0;
        for prices in lists {
            way += self.truth.margin(prices, &references);
            references = self.truth.next(&references, prices);
        }
        let n_settled = if arm == Arm::Exploring { 4 } else { 1 };
        let last = &lists[lists.len().saturating_sub(n_settled)..];
        let settled: f64 = last.iter().map(|prices| self.truth.settled(prices)).sum();
        let ratio = |prices: &Prices| self.truth.used_to(prices).iter().sum::<f64>() / N_SKUS as f64;
        let started = std::iter::once(self.truth.list()).chain(lists.iter().copied());
        let moved: usize = started
            .zip(lists)
            .map(|(before, after)| before.iter().zip(after).filter(|(before, after)| before != after).count())
            .sum();
        Outcome {
            settled_minor: settled / n / last.len().max(1) as f64,
            on_the_way_minor: way / n / lists.len().max(1) as f64,
            price_ratio: last.iter().map(ratio).sum::<f64>() / last.len().max(1) as f64,
            moved_share: moved as f64 / (lists.len() * N_SKUS).max(1) as f64,
        }
    }

    /// The allowed price nearest to `ratio` times list, by SKU.
    fn at_ratio(&self, ratio: f64) -> Prices {
        std::array::from_fn(|sku| {
            let list = self.truth.skus[sku].list_price_minor;
            let wanted = (list as f64 * ratio).round() as i64;
            let near = |price: &&i64| (**price - wanted).abs();
            self.allowed[sku].iter().min_by_key(near).copied().unwrap_or(list)
        })
    }

    fn ratios(&self) -> impl Iterator<Item = Prices> {
        (0..=20).map(|step| self.at_ratio(0.8 + 0.02 * f64::from(step)))
    }

    fn best_ratio(&self, elasticity: f64) -> Prices {
        let sold = |sku: &str| {
            let mut records = self.trained.report.records.iter();
            records.find(|record| record.name == sku).map_or(0.0, |record| record.units_per_week)
        };
        let weekly: Vec<f64> = self.truth.skus.iter().map(|sku| sold(&sku.id)).collect();
        let margin = |prices: &Prices| -> f64 {
            let rows = self.truth.skus.iter().zip(prices).zip(&weekly);
            rows.map(|((sku, price), weekly)| {
                let ratio = *price as f64 / sku.list_price_minor as f64;
                weekly * ratio.powf(elasticity) * (price - sku.cost_minor) as f64
            })
            .sum()
        };
        self.ratios().max_by(|a, b| margin(a).total_cmp(&margin(b))).unwrap_or_else(|| self.truth.list())
    }

    fn best_known_ratio(&self) -> Prices {
        let valued = self.ratios().map(|prices| (self.truth.settled(&prices), prices));
        valued.max_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(|| self.truth.list(), |(_, prices)| prices)
    }

    fn greedy(&self, elasticity: f64) -> Prices {
        std::array::from_fn(|at| {
            let sku = &self.truth.skus[at];
            let worth = |price: i64| {
                let ratio = price as f64 / sku.list_price_minor as f64;
                (price - sku.cost_minor) as f64 * ratio.powf(elasticity)
            };
            let prices = self.allowed[at].iter().copied();
            prices.max_by(|a, b| worth(*a).total_cmp(&worth(*b))).unwrap_or(sku.list_price_minor)
        })
    }

    /// One review a week by `choose_price`, the ledger carried along; where `sold` draws what is sold, the model is fitted
    /// anew from it every four weeks.
    fn reviews(
        &self,
        rules: &PricingRules,
        demand: Option<&DemandModel>,
        mut sold: Option<ChaCha8Rng>,
    ) -> Result<Vec<Prices>, RoundError> {
        let mut demand = demand.map(|model| Demand::of(rules, model));
        let mut ledgers = self.first_ledgers();
        let (mut lists, mut references) = (Vec::new(), self.references);
        let mut observations = self.observations.clone();
        for week in 0..N_REVIEWS {
            let prices = self.review(rules, demand.as_ref(), &mut ledgers, week);
            if let Some(random) = &mut sold {
                observations.extend(self.week_of(&prices, &references, week, random));
                if week % 4 == 3 {
                    observations.sort_by(|a, b| (&a.sku, a.week).cmp(&(&b.sku, b.week)));
                    demand = opened(&learn(&observations, rules)?)?.map(|model| Demand::of(rules, &model));
                }
            }
            references = self.truth.next(&references, &prices);
            lists.push(prices);
        }
        Ok(lists)
    }

    /// Ledgers in which list prices stand, last thought over a week before the log's end.
    fn first_ledgers(&self) -> Vec<Ledger> {
        let reviewed = self.end.plus_millis(-7 * DAY_MS);
        let stands = |price_minor: i64| {
            let mut ledger = Ledger::default();
            ledger.show(price_minor, reviewed);
            ledger.standing = Some(Standing { price_minor, since: reviewed, reviewed, tilt: 0.0 });
            ledger
        };
        self.truth.list().map(stands).to_vec()
    }

    fn review(
        &self,
        rules: &PricingRules,
        demand: Option<&Demand>,
        ledgers: &mut [Ledger],
        week: usize,
    ) -> Prices {
        let now = self.end.plus_millis(i64::try_from(week).unwrap_or(0) * 7 * DAY_MS);
        let market = MarketRules::default();
        std::array::from_fn(|at| {
            let (sku, ledger) = (&self.truth.skus[at], &mut ledgers[at]);
            let around = Circumstances {
                now,
                market: &market,
                control: Assignment { policy: false, model: false },
                ledger: Some(ledger),
                locked_minor: None,
                recent: None,
                person: None,
                seed: Seed(self.seed.0 ^ ((week * N_SKUS + at) as u64) << 20),
            };
            let request = PriceRequest { sku: sku.id.clone(), ..PriceRequest::default() };
            let Ok(choice) = choose_price(rules, demand, &around, &request) else {
                return sku.list_price_minor;
            };
            ledger.show(choice.quoted_price_minor, now);
            ledger.standing = choice.standing.or(ledger.standing);
            choice.quoted_price_minor
        })
    }

    /// What is sold in one week, as the log would tell it: Poisson counts about the law, under the week's hidden shocks. A
    /// price that exploration drew knows nothing of them, as an experiment's.
    fn week_of(
        &self,
        prices: &Prices,
        references: &References,
        week: usize,
        random: &mut ChaCha8Rng,
    ) -> Vec<Observation> {
        let units = self.truth.units_under(prices, references, &self.shocks[week]);
        let last = self.observations.iter().map(|row| row.week).max().unwrap_or(0);
        let mut row = |at: usize| {
            let units = Poisson::new(units[at].max(1e-9)).map_or(0, |law| law.sample(random) as i64);
            Observation {
                sku: self.truth.skus[at].id.clone(),
                week: last + 1 + i32::try_from(week).unwrap_or(0),
                price_minor: prices[at] as f64,
                units,
                n_orders: u64::try_from(units).unwrap_or(0),
                n_shown: 0,
                randomised: true,
            }
        };
        (0..N_SKUS).map(&mut row).collect()
    }
}
