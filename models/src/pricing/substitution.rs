//! Substitution: SKUs of one category compete for the same buyers.
//!
//! Units of SKU i at prices p are `u_i r_i^-b_i / (1 - c + c sum_j s_j r_j^-b_j)`: an attraction model (Nakanishi & Cooper 1974), which
//! is a logit in the logarithm of prices (McFadden 1974). r is the price over the reference price, s the share of the category's units, c the
//! share of those who look that buy. The own elasticity is then `-b_i (1 - c s_i)`, that to a neighbour's price `c s_j b_j`: as the demand
//! model tells the two, b and c are known.
//!
//! The prices that are best together make a ratio of two sums over SKUs largest, and so each SKU's is the best on its own
//! curve once a cost w, the same for the whole category, is added to its own (Dinkelbach 1967; Gallego & Wang 2014 find the
//! same of logits): w is the category's margin per unit, times c, what the buyer of a unit would have brought elsewhere in it.

use super::demand::{DemandModel, Elasticity};
use super::guardrail::{Gate, cost_of};
use super::ladder::{nearest, optimum};
use super::rules::{Objective, PricingRules, SkuRules, Terms};

/// At least one in a thousand of those who look buys nothing.
const MOST_INSIDE: f64 = 0.999;
/// Rounds of either iteration, should it not have settled.
const MOST_ROUNDS: usize = 20;
/// w has settled where it moves by less, in minor units.
const SETTLED_MINOR: f64 = 0.01;

/// What the other SKUs of its category are to a SKU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Substitution {
    /// What one unit sold takes away from the category, in minor units. May be negative: neighbours may lose on each.
    pub(super) taken_minor: f64,
    /// How much steeper the SKU's attraction falls with its price than its units: at least 1.
    pub(super) steeper: f64,
}

impl Substitution {
    /// Of a SKU without neighbours, or of whose neighbours nothing is told.
    pub(super) const NONE: Self = Self { taken_minor: 0.0, steeper: 1.0 };

    /// Of `sku` among those of its category of which `demand` tells units and slopes, all at the prices that are best
    /// together within floors, ceilings, minimum margins and rounding. O(SKUs of the category).
    pub(super) fn of(rules: &PricingRules, demand: &DemandModel, sku: &SkuRules) -> Self {
        let told = sku.category.as_deref().and_then(|category| demand.cross_elasticity(category));
        let Some(cross) = told.filter(|cross| *cross > 0.0) else { return Self::NONE };
        let members = rules.with_neighbours(sku).filter_map(|one| Member::of(rules, demand, one));
        let mut members: Vec<Member<'_>> = members.collect();
        let units: f64 = members.iter().map(|member| member.share).sum();
        if members.len() < 2 || units <= 0.0 {
            return Self::NONE;
        }
        members.iter_mut().for_each(|member| member.share /= units);
        let inside = inside(&members, cross * members.len() as f64);
        let own = members.iter().find(|member| member.sku == sku.sku).map_or(0.0, |member| member.share);
        Self { taken_minor: taken(&members, inside), steeper: steeper(inside, own) }
    }
}

fn steeper(inside: f64, share: f64) -> f64 {
    (1.0 - inside * share).recip()
}

/// One SKU of the category.
struct Member<'a> {
    sku: &'a str,
    /// Of the category's units; until all are known, the units.
    share: f64,
    elasticity: Elasticity,
    reference_minor: i64,
    terms: &'a Terms,
    list_minor: i64,
    cost_minor: Option<i64>,
    /// Lowest and highest price.
    bounds: (i64, i64),
    rules: &'a PricingRules,
}

impl<'a> Member<'a> {
    /// None of a SKU whose units or slope are not told, or that can have no price.
    fn of(rules: &'a PricingRules, demand: &DemandModel, sku: &'a SkuRules) -> Option<Self> {
        let (units, reference_minor, elasticity) = demand.told(&sku.sku)?;
        let (terms, list_minor) = (&sku.terms, sku.list_price_minor);
        let cost_minor = cost_of(Some(sku), terms, list_minor, None);
        let gate = Gate::fixed(Some(sku), terms, list_minor, cost_minor).ok()?;
        let bounds = (gate.lowest_minor(), gate.highest_minor());
        let sku = sku.sku.as_str();
        Some(Self {
            sku,
            share: units,
            elasticity,
            reference_minor,
            terms,
            list_minor,
            cost_minor,
            bounds,
            rules,
        })
    }

    /// The best price on its own curve, where a unit takes `taken_minor` away; without a cost the list price.
    fn best(&self, inside: f64, taken_minor: f64) -> i64 {
        let (lo, hi) = self.bounds;
        let cost = match (self.cost_minor, self.terms.objective) {
            (None, Objective::Margin) => return self.list_minor.clamp(lo, hi),
            (cost, _) => cost.unwrap_or(0) as f64,
        };
        let elasticity = self.elasticity.value * steeper(inside, self.share);
        let free = optimum(self.terms.objective, elasticity, cost, taken_minor);
        let price = free.clamp(lo as f64, hi as f64).round() as i64;
        nearest(self.rules.rounding, price, lo, hi).unwrap_or(price)
    }

    fn attraction(&self, inside: f64, price_minor: i64) -> f64 {
        let log = (price_minor as f64 / self.reference_minor as f64).ln();
        self.elasticity.relative(log * steeper(inside, self.share))
    }

    /// What one unit brings at a price, in minor units: nothing where its cost is not known.
    fn brings(&self, price_minor: i64) -> f64 {
        match (self.terms.objective, self.cost_minor) {
            (Objective::Revenue, _) => price_minor as f64,
            (_, Some(cost)) => (price_minor - cost) as f64,
            (_, None) => 0.0,
        }
    }
}

/// c: all neighbours' prices together move a SKU's units by `cross` = c sum_j s_j b_j percent per percent.
fn inside(members: &[Member<'_>], cross: f64) -> f64 {
    let slope = |inside: f64| -> f64 {
        members.iter().map(|one| -one.share * one.elasticity.value * steeper(inside, one.share)).sum()
    };
    let mut inside = 0.0;
    for _ in 0..MOST_ROUNDS {
        let next = (cross / slope(inside)).clamp(0.0, MOST_INSIDE);
        if (next - inside).abs() < 1e-6 {
            break;
        }
        inside = next;
    }
    inside
}

/// w, from 0 upwards: what the category brings per unit at the prices that are best for the w before.
fn taken(members: &[Member<'_>], inside: f64) -> f64 {
    let mut taken = 0.0;
    for _ in 0..MOST_ROUNDS {
        let (mut brought, mut drawn) = (0.0, 0.0);
        for member in members {
            let price = member.best(inside, taken);
            let attraction = member.share * member.attraction(inside, price);
            brought += attraction * member.brings(price);
            drawn += attraction;
        }
        let next = inside * brought / (1.0 - inside + inside * drawn);
        let moved = (next - taken).abs();
        taken = next;
        if moved < SETTLED_MINOR {
            break;
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::control::Assignment;
    use crate::pricing::demand::seal;
    use crate::pricing::{Circumstances, DemandLevel, DemandRecord, MarketRules, PriceRequest, choose_price};
    use crate::units::{Seed, Timestamp};

    const N: usize = 3;

    /// A category of three mugs, its units and slopes at list prices, and what their average price does to a neighbour.
    #[derive(Clone, Debug)]
    struct Category {
        list: [i64; N],
        cost_ratio: [f64; N],
        units: [f64; N],
        slope: [f64; N],
        /// The share of those who leave a SKU, at most, that goes to its neighbours.
        diversion: f64,
    }

    fn categories() -> impl Strategy<Value = Category> {
        let each = |range: std::ops::Range<f64>| proptest::array::uniform3(range);
        (
            proptest::array::uniform3(1_000..9_000i64),
            each(0.3..0.7),
            each(1.0..40.0),
            each(-4.0..-1.2),
            0.1..0.8,
        )
            .prop_map(|(list, cost_ratio, units, slope, diversion)| Category {
                list,
                cost_ratio,
                units,
                slope,
                diversion,
            })
    }

    fn name(at: usize) -> String {
        format!("MUG-{at}")
    }

    impl Category {
        fn cost(&self, at: usize) -> i64 {
            (self.list[at] as f64 * self.cost_ratio[at]).round() as i64
        }

        fn shares(&self) -> [f64; N] {
            self.units.map(|units| units / self.units.iter().sum::<f64>())
        }

        fn cross(&self) -> f64 {
            let lost: f64 = self.shares().iter().zip(self.slope).map(|(share, slope)| -share * slope).sum();
            self.diversion * lost / N as f64
        }

        fn rules(&self) -> PricingRules {
            self.rules_of(N)
        }

        /// Of the first `n` SKUs.
        fn rules_of(&self, n: usize) -> PricingRules {
            let head = "lock_minutes = 30\nn_rungs = 21\nrounding = \"10\"\n[default]\nfloor_ratio = 0.8\nceiling_ratio = 1.2\n\
                min_margin_ratio = 0.01\n";
            let sku = |at: usize| {
                let (name, list, cost) = (name(at), self.list[at], self.cost(at));
                format!(
                    "[[sku]]\nsku = \"{name}\"\ncategory = \"mugs\"\nlist_price_minor = {list}\ncost_minor = {cost}\n"
                )
            };
            PricingRules::parse(&(0..n).map(sku).fold(head.to_owned(), |all, one| all + &one)).unwrap()
        }

        fn model(&self) -> DemandModel {
            let record = |level, name: String, at: usize, own| {
                let value = self.slope[at];
                let elasticity = Elasticity { value, se: 0.0, lo: value, hi: value };
                DemandRecord {
                    level,
                    name,
                    category: None,
                    reference_price_minor: self.list[at],
                    units_per_week: self.units[at],
                    elasticity: (level == DemandLevel::Sku).then_some(elasticity),
                    own,
                    purchase_probability: None,
                    n_weeks: 10,
                    n_units: 100,
                    n_shown: 0,
                    flags: Vec::new(),
                }
            };
            let mut records: Vec<DemandRecord> =
                (0..N).map(|at| record(DemandLevel::Sku, name(at), at, None)).collect();
            records.push(record(DemandLevel::Cross, "mugs".to_owned(), 0, Some((self.cross(), 0.0))));
            let bytes = seal(records).unwrap();
            let range = 0..bytes.len();
            DemandModel::open(bytes.into(), range).unwrap()
        }

        /// c of this file's formulas, by bisection of what they say of the cross elasticities: their sum rises with it.
        fn inside(&self) -> f64 {
            let (mut lo, mut hi) = (0.0, 1.0);
            for _ in 0..60 {
                let middle = 0.5 * (lo + hi);
                let rows = self.shares().into_iter().zip(self.slope);
                let sum: f64 = rows.map(|(s, e)| middle * s * -e / (1.0 - middle * s)).sum();
                if sum < self.cross() * N as f64 { lo = middle } else { hi = middle }
            }
            lo
        }

        /// Units of each at `prices`.
        fn units(&self, prices: [i64; N]) -> [f64; N] {
            let (shares, inside) = (self.shares(), self.inside());
            let attraction: [f64; N] = std::array::from_fn(|at| {
                let steep = self.slope[at] / (1.0 - inside * shares[at]);
                (prices[at] as f64 / self.list[at] as f64).powf(steep)
            });
            let all: f64 = shares.iter().zip(attraction).map(|(share, one)| share * one).sum();
            std::array::from_fn(|at| self.units[at] * attraction[at] / (1.0 - inside + inside * all))
        }

        fn margin(&self, prices: [i64; N]) -> f64 {
            let units = self.units(prices);
            (0..N).map(|at| units[at] * (prices[at] - self.cost(at)) as f64).sum()
        }
    }

    /// Three SKUs priced one by one, and the rungs each had.
    fn priced(category: &Category) -> ([i64; N], [Vec<i64>; N]) {
        let (rules, demand, market) = (category.rules(), category.model(), MarketRules::default());
        let around = Circumstances {
            now: Timestamp::from_millis(1_767_225_600_000).unwrap(),
            market: &market,
            control: Assignment { policy: false, model: false },
            ledger: None,
            locked_minor: None,
            recent: None,
            person: None,
            seed: Seed(1),
        };
        let one = |at| {
            let request = PriceRequest { sku: name(at), ..PriceRequest::default() };
            choose_price(&rules, Some(&demand), &around, &request).unwrap()
        };
        let chosen: [_; N] = std::array::from_fn(one);
        let rungs = |at: usize| chosen[at].ladder.iter().map(|rung| rung.price_minor).collect();
        (std::array::from_fn(|at| chosen[at].quoted_price_minor), std::array::from_fn(rungs))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Each priced on its own, they bring what the best of all triples of rungs brings, but for what half a step between
        /// rungs (1 % of the list price) can do to w: 1/2 b^2 0.01^2, b up to 5.
        #[test]
        fn prices_found_one_by_one_are_the_best_together(category in categories()) {
            let (prices, rungs) = priced(&category);
            let mut best = f64::NEG_INFINITY;
            for &a in &rungs[0] {
                for &b in &rungs[1] {
                    for &c in &rungs[2] {
                        best = best.max(category.margin([a, b, c]));
                    }
                }
            }
            prop_assert!(category.margin(prices) >= best * (1.0 - 0.5 * 25.0 * 1e-4), "{prices:?} of {category:?}");
        }

        /// Taken apart by small steps, the formulas give back what the model told: each own slope, and on average what a
        /// neighbour's price does.
        #[test]
        fn slopes_and_cross_effects_are_those_that_were_told(category in categories()) {
            let at = |sku: usize, step: i64| {
                let mut prices = category.list;
                prices[sku] += step;
                category.units(prices)
            };
            let mut cross = 0.0;
            for sku in 0..N {
                let width = ((category.list[sku] + 1) as f64 / (category.list[sku] - 1) as f64).ln();
                let slope = |of: usize| (at(sku, 1)[of] / at(sku, -1)[of]).ln() / width;
                prop_assert!((slope(sku) - category.slope[sku]).abs() < 1e-4);
                cross += slope((sku + 1) % N) / N as f64;
            }
            prop_assert!((cross - category.cross()).abs() < 1e-4);
            let (rules, demand) = (category.rules(), category.model());
            for sku in 0..N {
                let found = Substitution::of(&rules, &demand, rules.sku(&name(sku)).unwrap());
                let steeper = (1.0 - category.inside() * category.shares()[sku]).recip();
                prop_assert!((found.steeper - steeper).abs() < 1e-4 * steeper, "{found:?} {steeper}");
                prop_assert!(found.taken_minor > 0.0);
            }
        }
    }

    #[test]
    fn nothing_is_taken_where_nothing_is_told() {
        let category = Category {
            list: [1000, 2000, 3000],
            cost_ratio: [0.5; N],
            units: [10.0; N],
            slope: [-2.0; N],
            diversion: 0.0,
        };
        let (rules, demand) = (category.rules(), category.model());
        assert_eq!(Substitution::of(&rules, &demand, rules.sku("MUG-0").unwrap()), Substitution::NONE);
        let alone = category.rules_of(1);
        let told = Category { diversion: 0.5, ..category }.model();
        assert_eq!(Substitution::of(&alone, &told, alone.sku("MUG-0").unwrap()), Substitution::NONE);
    }
}
