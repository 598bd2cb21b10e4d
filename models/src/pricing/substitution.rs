//! Substitution: SKUs of one category compete for the same buyers.
//!
//! Units of SKU i at prices p are `u_i r_i^-b_i / (1 - c + c sum_j s_j r_j^-b_j)`: an attraction model (Nakanishi & Cooper
//! 1974), which is a logit in the logarithm of prices (McFadden 1974). r is the price over the reference price, s the share of
//! the category's units, c the share of those who look that buy. The own elasticity is then `-b_i (1 - c s_i)`, that to a
//! neighbour's price `c s_j b_j`: as the demand model tells the two, b and c are known.
//!
//! The prices that are best together make a ratio of two sums over SKUs largest, and so each SKU's is the best on its own
//! curve once a cost w, the same for the whole category, is added to its own (Dinkelbach 1967; Gallego & Wang 2014 find the
//! same of logits): w is what one who looks brings the category at those prices, which is what a unit sold takes away from it.
//! A SKU brings its margin, or its revenue where that is its objective; one whose cost is not known is taken to bring what the
//! others do.

use std::collections::BTreeMap;

use super::demand::{DemandCurve, DemandModel, Elasticity};
use super::guardrail::{Gate, cost_of};
use super::ladder::{nearest, optimum};
use super::rules::{Objective, PricingRules, SkuRules};

/// At least one in a thousand of those who look buys nothing.
const MOST_INSIDE: f64 = 0.999;
/// Halvings that find c, to 1e-9.
const HALVINGS: usize = 30;
/// Rounds that find w, should it not have settled.
const MOST_ROUNDS: usize = 20;
/// w has settled where it moves by less, in minor units.
const SETTLED_MINOR: f64 = 0.01;

/// A demand model under the rules of pricing.toml: what is told of each SKU, and what its category is to it.
#[derive(Clone, Debug)]
pub struct Demand {
    model: DemandModel,
    /// By SKU, of those of which the model tells units and slope and whose category it tells something of.
    skus: BTreeMap<String, Substitution>,
    /// By category: of a SKU of which nothing else is told.
    categories: BTreeMap<String, Substitution>,
}

impl Demand {
    /// Finds the prices that are best together, within floors, ceilings, minimum margins and rounding. O(SKUs).
    #[must_use]
    pub fn of(rules: &PricingRules, model: &DemandModel) -> Self {
        let mut demand = Self { model: model.clone(), skus: BTreeMap::new(), categories: BTreeMap::new() };
        for (name, skus) in rules.categories() {
            if let Some(cross) = model.cross_elasticity(name).filter(|cross| *cross > 0.0) {
                let members: Vec<Member<'_>> = skus.filter_map(|sku| Member::of(rules, model, sku)).collect();
                demand.add(name, members, cross);
            }
        }
        demand
    }

    /// `cross` is what a price does to another SKU's units, on average. Nothing is told of a single member, and where none sells
    /// of which it is known what it brings.
    fn add(&mut self, name: &str, mut members: Vec<Member<'_>>, cross: f64) {
        let units: f64 = members.iter().map(|member| member.share).sum();
        let is_known = |member: &Member<'_>| member.taken_off.is_some() && member.share > 0.0;
        if members.len() < 2 || !members.iter().any(is_known) {
            return;
        }
        members.iter_mut().for_each(|member| member.share /= units);
        let inside = inside(&members, cross * members.len() as f64);
        let (taken_minor, attractions) = taken(&members, inside);
        let crowd = 1.0 - inside + inside * attractions.iter().sum::<f64>();
        let alone = Substitution { taken_minor, steeper: 1.0, others: crowd, own: 0.0 };
        self.categories.insert(name.to_owned(), alone);
        for (member, attraction) in members.iter().zip(attractions) {
            let own = inside * member.share;
            let (steeper, others) = (steeper(inside, member.share), crowd - inside * attraction);
            self.skus.insert(member.sku.to_owned(), Substitution { taken_minor, steeper, others, own });
        }
    }

    /// What is told of SKUs.
    #[must_use]
    pub const fn model(&self) -> &DemandModel {
        &self.model
    }

    /// What the others of its category are to `sku`.
    pub(super) fn substitution(&self, sku: &SkuRules) -> Substitution {
        let category = || self.categories.get(sku.category.as_deref()?);
        self.skus.get(&sku.sku).or_else(category).copied().unwrap_or(Substitution::NONE)
    }
}

/// What the other SKUs of its category are to a SKU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Substitution {
    /// What one unit sold takes away from the category, in minor units; at least 0.
    pub(super) taken_minor: f64,
    /// How much steeper the SKU's attraction falls with its price than its units: at least 1.
    pub(super) steeper: f64,
    /// What its attraction is divided by, at the others' best prices: this, and `own` times the attraction itself.
    others: f64,
    own: f64,
}

impl Substitution {
    /// Of a SKU without neighbours, or of whose neighbours nothing is told.
    pub(super) const NONE: Self = Self { taken_minor: 0.0, steeper: 1.0, others: 1.0, own: 0.0 };

    /// How the attraction of a SKU answers to its price; `own` is its curve, beside neighbours as they were.
    pub(super) fn attraction(self, own: &DemandCurve) -> DemandCurve {
        let Elasticity { value, se, lo, hi } = own.elasticity;
        let [value, se, lo, hi] = [value, se, lo, hi].map(|number| number * self.steeper);
        DemandCurve { elasticity: Elasticity { value, se, lo, hi }, ..own.clone() }
    }

    /// Units a week at a price, the neighbours' being the best; none where the SKU's own data do not tell them.
    pub(super) fn units(self, attraction: &DemandCurve, price_minor: i64) -> Option<f64> {
        let relative = attraction.relative(price_minor);
        Some(attraction.units_per_week? * relative / (self.others + self.own * relative))
    }

    /// The price, in minor units, at which so many units go in a week, likewise: 0 where no price sells so many.
    pub(super) fn price_of(self, attraction: &DemandCurve, units: f64) -> Option<f64> {
        let weekly = attraction.units_per_week.filter(|weekly| *weekly > 0.0)?;
        let free = weekly - self.own * units;
        let relative = if free > 0.0 { self.others * units / free } else { f64::INFINITY };
        Some(attraction.reference_price_minor as f64 * relative.powf(1.0 / attraction.elasticity.value))
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
    objective: Objective,
    /// What is taken off a price for what it brings: the cost, or nothing where revenue is the objective. None where that is
    /// not known.
    taken_off: Option<i64>,
    list_minor: i64,
    /// Lowest and highest price.
    bounds: (i64, i64),
    rules: &'a PricingRules,
}

impl<'a> Member<'a> {
    /// None of a SKU whose units or slope are not told, or that can have no price.
    fn of(rules: &'a PricingRules, model: &DemandModel, sku: &'a SkuRules) -> Option<Self> {
        let (share, reference_minor, elasticity) = model.told(&sku.sku)?;
        let (objective, list_minor) = (sku.terms.objective, sku.list_price_minor);
        let cost = cost_of(Some(sku), &sku.terms, list_minor, None);
        let taken_off = if objective == Objective::Revenue { Some(0) } else { cost };
        let gate = Gate::fixed(Some(sku), &sku.terms, list_minor, cost).ok()?;
        let bounds = (gate.lowest_minor(), gate.highest_minor());
        let sku = sku.sku.as_str();
        Some(Self {
            sku,
            share,
            elasticity,
            reference_minor,
            objective,
            taken_off,
            list_minor,
            bounds,
            rules,
        })
    }

    /// The best price on its own curve, where a unit takes `taken_minor` away; the list price where its cost is not known.
    fn best(&self, inside: f64, taken_minor: f64) -> i64 {
        let (lo, hi) = self.bounds;
        let Some(taken_off) = self.taken_off else { return self.list_minor.clamp(lo, hi) };
        let elasticity = self.elasticity.value * steeper(inside, self.share);
        let free = optimum(self.objective, elasticity, taken_off as f64, taken_minor);
        let price = free.clamp(lo as f64, hi as f64).round() as i64;
        nearest(self.rules.rounding, price, lo, hi).unwrap_or(price)
    }

    fn attraction(&self, inside: f64, price_minor: i64) -> f64 {
        let log = (price_minor as f64 / self.reference_minor as f64).ln();
        self.elasticity.relative(log * steeper(inside, self.share))
    }
}

/// c: all neighbours' prices together move a SKU's units by `cross` = c sum_j s_j b_j percent per percent.
fn inside(members: &[Member<'_>], cross: f64) -> f64 {
    let slope = |inside: f64| -> f64 {
        members.iter().map(|one| -one.share * one.elasticity.value * steeper(inside, one.share)).sum()
    };
    // c sum_j s_j b_j rises with c.
    let (mut lo, mut hi) = (0.0, MOST_INSIDE);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (lo + hi);
        if middle * slope(middle) < cross { lo = middle } else { hi = middle }
    }
    0.5 * (lo + hi)
}

/// w, from 0 upwards: what one who looks brings at the prices that are best for the w before. And each member's share times its
/// attraction there.
fn taken(members: &[Member<'_>], inside: f64) -> (f64, Vec<f64>) {
    let (mut taken, mut attractions) = (0.0, vec![0.0; members.len()]);
    for _ in 0..MOST_ROUNDS {
        let (mut brought, mut known, mut drawn) = (0.0, 0.0, 0.0);
        for (member, attraction) in members.iter().zip(&mut attractions) {
            let price = member.best(inside, taken);
            *attraction = member.share * member.attraction(inside, price);
            drawn += *attraction;
            if let Some(taken_off) = member.taken_off {
                brought += *attraction * (price - taken_off) as f64;
                known += *attraction;
            }
        }
        let next = inside * drawn / (1.0 - inside + inside * drawn) * brought / known;
        let moved = (next - taken).abs();
        taken = next;
        if moved < SETTLED_MINOR {
            break;
        }
    }
    (taken, attractions)
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

    /// A shelf of three mugs, its units and slopes at list prices, and what their average price does to a neighbour.
    #[derive(Clone, Debug)]
    struct Shelf {
        list: [i64; N],
        cost_ratio: [f64; N],
        units: [f64; N],
        slope: [f64; N],
        /// The share of those who leave a SKU, at most, that goes to its neighbours.
        diversion: f64,
    }

    fn shelves() -> impl Strategy<Value = Shelf> {
        let each = |range: std::ops::Range<f64>| proptest::array::uniform3(range);
        (
            proptest::array::uniform3(1_000..9_000i64),
            each(0.3..0.7),
            each(1.0..40.0),
            each(-4.0..-1.2),
            0.1..0.8,
        )
            .prop_map(|(list, cost_ratio, units, slope, diversion)| Shelf {
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

    impl Shelf {
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

        fn substitution(&self, rules: &PricingRules, sku: usize) -> Substitution {
            Demand::of(rules, &self.model()).substitution(rules.sku(&name(sku)).unwrap())
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
    fn priced(shelf: &Shelf) -> ([i64; N], [Vec<i64>; N]) {
        let (rules, market) = (shelf.rules(), MarketRules::default());
        let demand = Demand::of(&rules, &shelf.model());
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
        fn prices_found_one_by_one_are_the_best_together(shelf in shelves()) {
            let (prices, rungs) = priced(&shelf);
            let mut best = f64::NEG_INFINITY;
            for &a in &rungs[0] {
                for &b in &rungs[1] {
                    for &c in &rungs[2] {
                        best = best.max(shelf.margin([a, b, c]));
                    }
                }
            }
            prop_assert!(shelf.margin(prices) >= best * (1.0 - 0.5 * 25.0 * 1e-4), "{prices:?} of {shelf:?}");
        }

        /// What is expected of a price, the others' being the best together, is what sells there, but for what half a step between rungs
        /// does to the prices of others: c b 0.01, b up to 5. And the price at which so many sell is that price.
        #[test]
        fn what_is_expected_beside_the_best_prices_is_what_sells(shelf in shelves(), moved in 0.7..1.4f64) {
            let (best, _) = priced(&shelf);
            let (rules, model) = (shelf.rules(), shelf.model());
            for sku in 0..N {
                let mut prices = best;
                prices[sku] = (best[sku] as f64 * moved).round() as i64;
                let substitution = shelf.substitution(&rules, sku);
                let attraction = substitution.attraction(&model.curve(&name(sku), None, shelf.list[sku]).unwrap());
                let (expected, sold) = (substitution.units(&attraction, prices[sku]).unwrap(), shelf.units(prices)[sku]);
                prop_assert!((expected / sold - 1.0).abs() < 0.05, "{expected} {sold} {shelf:?}");
                let price = substitution.price_of(&attraction, expected).unwrap();
                prop_assert!((price / prices[sku] as f64 - 1.0).abs() < 1e-9);
            }
        }

        /// Taken apart by small steps, the formulas give back what the model told: each own slope, and on average what a
        /// neighbour's price does.
        #[test]
        fn slopes_and_cross_effects_are_those_that_were_told(shelf in shelves()) {
            let at = |sku: usize, step: i64| {
                let mut prices = shelf.list;
                prices[sku] += step;
                shelf.units(prices)
            };
            let mut cross = 0.0;
            for sku in 0..N {
                let width = ((shelf.list[sku] + 1) as f64 / (shelf.list[sku] - 1) as f64).ln();
                let slope = |of: usize| (at(sku, 1)[of] / at(sku, -1)[of]).ln() / width;
                prop_assert!((slope(sku) - shelf.slope[sku]).abs() < 1e-4);
                cross += slope((sku + 1) % N) / N as f64;
            }
            prop_assert!((cross - shelf.cross()).abs() < 1e-4);
            let rules = shelf.rules();
            for sku in 0..N {
                let found = shelf.substitution(&rules, sku);
                let steeper = (1.0 - shelf.inside() * shelf.shares()[sku]).recip();
                prop_assert!((found.steeper - steeper).abs() < 1e-6 * steeper, "{found:?} {steeper}");
                prop_assert!(found.taken_minor > 0.0);
            }
        }
    }

    fn even(diversion: f64) -> Shelf {
        let (list, cost_ratio) = ([1000, 2000, 3000], [0.5; N]);
        Shelf { list, cost_ratio, units: [10.0; N], slope: [-2.0; N], diversion }
    }

    #[test]
    fn nothing_is_taken_where_nothing_is_told() {
        let (none, told) = (even(0.0), even(0.5));
        assert_eq!(none.substitution(&none.rules(), 0), Substitution::NONE);
        assert_eq!(told.substitution(&told.rules_of(1), 0), Substitution::NONE);
        assert_ne!(told.substitution(&told.rules(), 0), Substitution::NONE);
    }

    /// Whoever's cost nobody told is taken to bring what the others do, and takes from them as before; where nobody's is known,
    /// nothing is made up.
    #[test]
    fn costs_count_as_far_as_they_are_known() {
        let shelf = even(0.5);
        let (all, mut rules) = (shelf.rules(), shelf.rules());
        rules.skus[2].cost_minor = None;
        for sku in 0..N {
            let (three, two) = (shelf.substitution(&all, sku), shelf.substitution(&rules, sku));
            assert!((two.steeper - three.steeper).abs() < 1e-12);
            // The dearest of three is left to the mean of the other two: some of what it brings, not all.
            assert!(two.taken_minor > 0.3 * three.taken_minor && two.taken_minor < three.taken_minor);
        }
        rules.skus[1].cost_minor = None;
        let unsold = Shelf { units: [0.0, 10.0, 10.0], ..shelf.clone() };
        assert_eq!(unsold.substitution(&rules, 1), Substitution::NONE, "the one of known cost sells nothing");
        rules.skus[0].cost_minor = None;
        assert_eq!(shelf.substitution(&rules, 0), Substitution::NONE);
    }

    /// One of two SKUs sells nearly all: c is what the elasticities say all the same, here by hand: with c s_1 = x nearly,
    /// K = c (s_1 2 / (1 - c s_1) + s_2 2 / (1 - c s_2)).
    #[test]
    fn a_sku_that_sells_nearly_all_is_told_apart() {
        let shelf = Shelf { units: [94.0, 3.0, 3.0], diversion: 1.0, ..even(0.5) };
        let found = shelf.substitution(&shelf.rules(), 0);
        let c = (1.0 - found.steeper.recip()) / 0.94;
        let sum = c * (0.94 * 2.0 / (1.0 - 0.94 * c) + 2.0 * 0.03 * 2.0 / (1.0 - 0.03 * c));
        assert!((sum - 2.0).abs() < 1e-6, "{sum} {found:?}");
    }
}
