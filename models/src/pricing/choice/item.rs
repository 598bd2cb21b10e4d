//! One item with all that its price depends on: what guardrails leave, where the model's price goes, what is chosen.

use super::{Circumstances, PriceBasis, PriceChoice, PriceRefusal, PriceRequest};
use crate::event::MAX_AMOUNT_MINOR;
use crate::pricing::demand::DemandCurve;
use crate::pricing::guardrail::{Gate, Guardrail, cost_of, note};
use crate::pricing::ladder::{Worth, choose, ladder, nearest, optimum};
use crate::pricing::ledger::Standing;
use crate::pricing::reaction::{next_tilt, stock_price};
use crate::pricing::rules::{Objective, PriceExploration, PricingRules, SkuRules, Terms};
use crate::pricing::substitution::{Demand, Substitution};

/// The model's own optimum is looked for up to this many list prices.
const OPTIMUM_BOUND: f64 = 4.0;
/// Reviews further apart than so many hours react as these do.
const MOST_HOURS: f64 = 8760.0;

/// One item with all that its price depends on.
pub(super) struct Item<'a> {
    rules: &'a PricingRules,
    pub(super) around: &'a Circumstances<'a>,
    request: &'a PriceRequest,
    pub(super) sku: Option<&'a SkuRules>,
    pub(super) terms: Terms,
    pub(super) list: i64,
    pub(super) cost: Option<i64>,
    curve: Option<DemandCurve>,
    category: Substitution,
    /// How the SKU's attraction beside its neighbours answers to its price.
    attraction: Option<DemandCurve>,
    /// What stands, for those who are held out of nothing.
    standing: Option<Standing>,
    /// Whether the price is thought over now.
    due: bool,
}

impl<'a> Item<'a> {
    pub(super) fn new(
        rules: &'a PricingRules,
        demand: Option<&Demand>,
        around: &'a Circumstances<'a>,
        request: &'a PriceRequest,
    ) -> Result<Self, PriceRefusal> {
        let sku = rules.sku(&request.sku);
        let list = checked_numbers(sku, request)?;
        let terms = sku.map_or(rules.default, |sku| sku.terms);
        let category_name = sku.and_then(|sku| sku.category.as_deref());
        let control = around.control;
        let curve = demand.map(Demand::model).and_then(|model| match (control.policy, control.model) {
            (true, _) => None,
            (false, true) => model.average_curve(list),
            (false, false) => model.curve(&request.sku, category_name, list),
        });
        let everybody = !control.policy && !control.model;
        let standing = around.ledger.and_then(|ledger| ledger.standing).filter(|_| everybody);
        let due = |standing: Standing| standing.is_due(around.now, terms.cool_down_hours);
        let cost = cost_of(sku, &terms, list, request.unit_cost_minor);
        let category = match (demand, sku) {
            (Some(demand), Some(sku)) if everybody => demand.substitution(sku),
            _ => Substitution::NONE,
        };
        let attraction = curve.as_ref().map(|curve| category.attraction(curve));
        Ok(Self {
            rules,
            around,
            request,
            sku,
            terms,
            list,
            cost,
            curve,
            category,
            attraction,
            standing,
            due: standing.is_none_or(due),
        })
    }

    /// What all guardrails but rounding leave of `fixed`.
    pub(super) fn gate(&self, fixed: &Gate) -> Result<Gate, PriceRefusal> {
        let mut gate = fixed.clone();
        if self.around.locked_minor.is_none() && !self.around.control.policy {
            self.approach_history(&mut gate);
        }
        let refused = |conflict| PriceRefusal::Conflict { sku: self.request.sku.clone(), conflict };
        if let Some(locked) = self.around.locked_minor {
            gate.narrow("price_lock", locked, locked).map_err(refused)?;
        }
        self.narrow_to_announced(&mut gate)?;
        Ok(gate)
    }

    /// Holds a discount that was announced.
    pub(super) fn narrow_to_announced(&self, gate: &mut Gate) -> Result<(), PriceRefusal> {
        let Some(percent) = self.request.announced_percent else { return Ok(()) };
        let prior = i128::from(self.prior_minor()?);
        let most = i64::try_from(prior * i128::from(100 - percent.min(99)) / 100).unwrap_or(i64::MAX);
        let narrowed = gate.narrow("prior_price", 1, most);
        narrowed.map_err(|conflict| PriceRefusal::Conflict { sku: self.request.sku.clone(), conflict })
    }

    fn approach_history(&self, gate: &mut Gate) {
        if let Some(standing) = self.standing {
            let last = standing.price_minor;
            if let Some(step) = self.terms.max_step_ratio {
                gate.approach("maximum_step", scaled(last, 1.0 - step), scaled(last, 1.0 + step));
            }
            if !self.due {
                gate.approach("cool_down", last, last);
            }
        }
        self.approach_competitor(gate);
    }

    pub(super) fn approach_competitor(&self, gate: &mut Gate) {
        if let (Some(price), Some([lo, hi])) =
            (self.request.competitor_price_minor, self.terms.competitor_band)
        {
            gate.approach("competitor_band", scaled(price, lo), scaled(price, hi));
        }
    }

    /// What an announced discount is claimed on.
    fn prior_minor(&self) -> Result<i64, PriceRefusal> {
        let days = self.around.market.prior_price_days;
        if days == 0 {
            return Ok(self.list);
        }
        // A discount that begins with the price that stands is claimed on what was shown before that.
        let stands = self.standing.filter(|_| !self.due).map(|standing| standing.since);
        let since = self.request.announced_since.or(stands).unwrap_or(self.around.now);
        let prior = self.around.ledger.and_then(|ledger| ledger.lowest_minor(since, days));
        prior.ok_or_else(|| PriceRefusal::NoPriorPrice { sku: self.request.sku.clone(), days })
    }

    fn basis(&self) -> PriceBasis {
        let at_list = self.cost.is_none() && self.terms.objective == Objective::Margin;
        match (&self.curve, self.around.locked_minor) {
            (_, Some(_)) => PriceBasis::Locked,
            (None, None) if self.around.control.policy => PriceBasis::Control,
            (None, None) => PriceBasis::NoDemand,
            (Some(_), None) if at_list => PriceBasis::NoCost,
            (Some(_), None) if !self.due => PriceBasis::Standing,
            (Some(_), None) => PriceBasis::Model,
        }
    }

    pub(super) fn choose(&self, fixed: &Gate, gate: &Gate) -> PriceChoice {
        let basis = self.basis();
        let mut moved = Vec::new();
        let told = |curve: &Option<DemandCurve>, taken| {
            let curve = curve.as_ref().filter(|_| basis != PriceBasis::NoCost);
            curve.map(|curve| self.optimum(curve, taken))
        };
        let model = told(&self.curve, 0.0).map_or(self.list, whole);
        let together = told(&self.attraction, self.category.taken_minor);
        note(&mut moved, "neighbours", model, together.map_or(model, whole));
        let (tilt, index) = self.tilt();
        let wanted = together.map_or(self.list as f64, |price| self.moved(price, tilt, &mut moved));
        let mut price = gate.apply(whole(wanted), &mut moved);
        let (mut rungs, mut choice_probability) = (Vec::new(), 1.0);
        let mut on_ladder = None;
        if let (Some(own), Some(attraction)) = (&self.curve, &self.attraction) {
            let bid = together.map_or(0.0, |free| bid(attraction, free, wanted, self.terms.objective));
            let worth = self.worth_of(attraction, bid);
            rungs = ladder(&worth, own, fixed, self.rules);
            let explored = if self.is_everybodys() { self.rules.exploration } else { PriceExploration::None };
            if basis == PriceBasis::Model {
                on_ladder = choose(&mut rungs, &worth, gate, explored, self.around.seed);
            }
        }
        match on_ladder {
            Some((drawn, best)) => {
                choice_probability = rungs[drawn].choice_probability;
                note(&mut moved, "rounding", price, rungs[best].price_minor);
                note(&mut moved, "exploration", rungs[best].price_minor, rungs[drawn].price_minor);
                price = rungs[drawn].price_minor;
            }
            None => price = self.rounded(price, gate, &mut moved),
        }
        PriceChoice {
            sku: self.request.sku.clone(),
            basis,
            objective: self.terms.objective,
            list_price_minor: self.list,
            model_price_minor: model,
            quoted_price_minor: price,
            everybody_price_minor: None,
            floor_minor: fixed.lowest_minor(),
            ceiling_minor: fixed.highest_minor(),
            cost_minor: self.cost,
            guardrails: moved,
            purchase_probability: self.curve.as_ref().and_then(|curve| curve.purchase_probability(price)),
            elasticity: self.curve.as_ref().map(|curve| curve.elasticity),
            demand_index: index,
            choice_probability,
            ladder: rungs,
            standing: self.settled(basis, price, tilt),
            flags: self.curve.as_ref().map(|curve| curve.flags.clone()).unwrap_or_default(),
        }
    }

    /// What the rungs of the curve are valued by, what demand and stock ask included.
    pub(super) fn worth(&self) -> Option<Worth<'_>> {
        let attraction = self.attraction.as_ref()?;
        let free = self.optimum(attraction, self.category.taken_minor);
        let wanted = self.moved(free, self.tilt().0, &mut Vec::new());
        Some(self.worth_of(attraction, bid(attraction, free, wanted, self.terms.objective)))
    }

    fn worth_of<'c>(&self, curve: &'c DemandCurve, bid_minor: f64) -> Worth<'c> {
        let cost_minor = self.cost.unwrap_or(0) as f64;
        Worth {
            curve,
            objective: self.terms.objective,
            cost_minor,
            bid_minor,
            taken_minor: self.category.taken_minor,
        }
    }

    /// Rounds a price that came from no rung; a list price and a price that stands are kept as they are.
    fn rounded(&self, price: i64, gate: &Gate, moved: &mut Vec<Guardrail>) -> i64 {
        let stands = self.standing.is_some_and(|standing| standing.price_minor == price);
        if price == self.list || stands {
            return price;
        }
        let round = nearest(self.rules.rounding, price, gate.lowest_minor(), gate.highest_minor());
        let after = round.unwrap_or(price);
        note(moved, "rounding", price, after);
        after
    }

    /// The best price on `curve`, a unit of which takes `taken_minor` away; at most [`OPTIMUM_BOUND`] list prices.
    fn optimum(&self, curve: &DemandCurve, taken_minor: f64) -> f64 {
        let cost = self.cost.unwrap_or(0) as f64;
        let free = optimum(self.terms.objective, curve.elasticity.value, cost, taken_minor);
        free.clamp(1.0, self.list as f64 * OPTIMUM_BOUND)
    }

    /// Demand as [`Worth::at`] takes it, of one told of this SKU's price alone, the others left as they were.
    pub(super) fn beside_neighbours(&self, relative: f64) -> f64 {
        relative.powf(self.category.steeper)
    }

    /// The tilt from now on, and the index that moved it; a price that is not due keeps its tilt.
    fn tilt(&self) -> (f64, Option<f64>) {
        let last = self.standing.map_or(0.0, |standing| standing.tilt);
        let (Some(rules), Some(recent), Some(attraction), true) =
            (&self.rules.demand_reaction, self.around.recent, &self.attraction, self.due)
        else {
            return (last, None);
        };
        let Some(weekly) = self.category.units(attraction, self.untilted(last)) else { return (last, None) };
        let index = recent.index(weekly, rules.prior_units);
        let since = self.standing.map_or(MOST_HOURS, |standing| {
            (self.around.now.as_millis() - standing.reviewed.as_millis()) as f64 / 3.6e6
        });
        let hours = since.clamp(1e-3, MOST_HOURS);
        (next_tilt(last, index, rules, hours, attraction.elasticity.value), Some(index))
    }

    /// The price that would stand without its tilt, in minor units.
    fn untilted(&self, tilt: f64) -> i64 {
        let standing = self.standing.map_or(self.list, |standing| standing.price_minor);
        ((standing as f64 / tilt.exp()).round() as i64).max(1)
    }

    /// The optimum `price` moved by demand and stock.
    fn moved(&self, price: f64, tilt: f64, moved: &mut Vec<Guardrail>) -> f64 {
        let tilted = price * tilt.exp();
        note(moved, "demand_index", whole(price), whole(tilted));
        let stocked = self.request.stock.zip(self.attraction.as_ref());
        let stocked = stocked.and_then(|(stock, attraction)| {
            stock_price(|units| self.category.price_of(attraction, units), &self.terms, stock, tilted)
        });
        let bound = self.list as f64 * OPTIMUM_BOUND;
        let after = stocked.map_or(tilted, |price| price.clamp(1.0, bound));
        note(moved, "stock", whole(tilted), whole(after));
        after
    }

    /// Whether the price is everybody's, and so may be explored and then stands: not one of a control group, of a
    /// discount announced, or of a list price or cost that this caller alone names. Stock and competitors are facts of the
    /// SKU, whoever tells them.
    fn is_everybodys(&self) -> bool {
        let (around, request) = (self.around, self.request);
        let own_terms = self.sku.is_some_and(|sku| {
            let cost = cost_of(Some(sku), &self.terms, self.list, None);
            self.list != sku.list_price_minor || self.cost != cost
        });
        let held_out = around.control.policy || around.control.model;
        !held_out && !own_terms && request.announced_percent.is_none()
    }

    fn settled(&self, basis: PriceBasis, price: i64, tilt: f64) -> Option<Standing> {
        if basis != PriceBasis::Model || !self.is_everybodys() {
            return None;
        }
        let now = self.around.now;
        let kept = self.standing.filter(|standing| standing.price_minor == price);
        let since = kept.map_or(now, |standing| standing.since);
        Some(Standing { price_minor: price, since, reviewed: now, tilt })
    }
}

/// What a unit takes away later, so that the optimum `free` becomes `wanted`: the cost that Lerner's rule would need, less
/// the cost there is. An inelastic curve knows no such cost, and needs none: its optimum is a bound.
fn bid(curve: &DemandCurve, free: f64, wanted: f64, objective: Objective) -> f64 {
    let elasticity = curve.elasticity.value;
    if elasticity >= -1.0 || objective == Objective::Units {
        return 0.0;
    }
    (wanted - free) * (1.0 + elasticity) / elasticity
}

/// In whole minor units, at least one.
fn whole(price: f64) -> i64 {
    (price.round() as i64).max(1)
}

fn scaled(price: i64, ratio: f64) -> i64 {
    (price as f64 * ratio).round() as i64
}

fn checked_numbers(sku: Option<&SkuRules>, request: &PriceRequest) -> Result<i64, PriceRefusal> {
    let list = request.list_price_minor.or(sku.map(|sku| sku.list_price_minor));
    let list = list.ok_or_else(|| PriceRefusal::NoListPrice { sku: request.sku.clone() })?;
    let checks = [
        ("list_price_minor", Some(list), 1, MAX_AMOUNT_MINOR),
        ("unit_cost_minor", request.unit_cost_minor, 0, MAX_AMOUNT_MINOR),
        ("competitor_price_minor", request.competitor_price_minor, 1, MAX_AMOUNT_MINOR),
        ("stock", request.stock, 0, crate::event::MAX_QUANTITY),
        ("announced_percent", request.announced_percent.map(i64::from), 1, 99),
    ];
    for (field, value, lo, hi) in checks {
        if let Some(value) = value.filter(|value| !(lo..=hi).contains(value)) {
            let (sku, field) = (request.sku.clone(), field.to_owned());
            return Err(PriceRefusal::OutOfRange { sku, field, value, lo, hi });
        }
    }
    Ok(list)
}
