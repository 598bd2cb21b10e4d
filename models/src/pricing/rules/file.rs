//! pricing.toml as it is written: parsed into drafts with their places, checked, and resolved into rules.
//!
//! Every fault of the file comes at once, each with its line; an item whose bounds leave no price is one of them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{
    DemandReaction, MAX_LOCK_MINUTES, MAX_RUNGS, MarketRules, Objective, Places, PriceExploration,
    PricingRules, Rounding, SkuRules, Terms,
};
use crate::event::{MAX_AMOUNT_MINOR, MAX_ID_BYTES};
use crate::pricing::guardrail::{Gate, cost_of};

/// A fault in pricing.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricingFault {
    /// Line, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for PricingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// A list price to try ratios on, in minor units: large enough that rounding does not matter.
const ANY_LIST_PRICE: i64 = 1_000_000;

/// A table of the file that may say terms, beside fields of its own: serde cannot flatten what keeps its place.
macro_rules! with_terms {
    ($(#[$said_of_all:meta])* $name:ident { $($(#[$said:meta])* $field:ident: $kind:ty as $plain:literal),* $(,)? }) => {
        $(#[$said_of_all])*
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $name {
            $($(#[$said])* #[schemars(with = $plain)] $field: $kind,)*
            /// Floor over list price, 0.01 to 1.
            #[schemars(with = "Option<f64>")]
            floor_ratio: Option<Spanned<f64>>,
            /// Ceiling over list price, 1 to 10.
            #[schemars(with = "Option<f64>")]
            ceiling_ratio: Option<Spanned<f64>>,
            /// Cost over list price, where no cost is known; absent: a price without a known cost stays at list.
            #[schemars(with = "Option<f64>")]
            cost_ratio: Option<Spanned<f64>>,
            /// Least margin over the price, 0 to 0.99.
            #[schemars(with = "Option<f64>")]
            min_margin_ratio: Option<Spanned<f64>>,
            /// Most that a price moves at once, over the last price; absent: any step.
            #[schemars(with = "Option<f64>")]
            max_step_ratio: Option<Spanned<f64>>,
            /// A price is reviewed no earlier than so many hours after the last time; absent: at every quote.
            #[schemars(with = "Option<u32>")]
            cool_down_hours: Option<Spanned<u32>>,
            /// Lowest and highest price over a competitor's, where a request names one.
            #[schemars(with = "Option<[f64; 2]>")]
            competitor_band: Option<Spanned<[f64; 2]>>,
            /// What a price is to bring most of.
            objective: Option<Objective>,
            /// Days until new stock comes: what is there must last so long.
            #[schemars(with = "Option<u32>")]
            restock_days: Option<Spanned<u32>>,
            /// Days in which what is there should be sold.
            #[schemars(with = "Option<u32>")]
            clear_within_days: Option<Spanned<u32>>,
        }

        impl $name {
            /// These terms, where said, over `above`.
            fn terms(&self, above: Terms, faults: &mut Faults<'_>) -> Terms {
                Terms {
                    floor_ratio: faults.said("floor_ratio", &self.floor_ratio, 0.01, 1.0).unwrap_or(above.floor_ratio),
                    ceiling_ratio: faults.said("ceiling_ratio", &self.ceiling_ratio, 1.0, 10.0).unwrap_or(above.ceiling_ratio),
                    cost_ratio: faults.said("cost_ratio", &self.cost_ratio, 0.0, 1.0).or(above.cost_ratio),
                    min_margin_ratio: faults.said("min_margin_ratio", &self.min_margin_ratio, 0.0, 0.99).unwrap_or(above.min_margin_ratio),
                    max_step_ratio: faults.said("max_step_ratio", &self.max_step_ratio, 0.001, 1.0).or(above.max_step_ratio),
                    cool_down_hours: faults.said("cool_down_hours", &self.cool_down_hours, 1, 8760).or(above.cool_down_hours),
                    competitor_band: faults.band(&self.competitor_band).or(above.competitor_band),
                    objective: self.objective.unwrap_or(above.objective),
                    restock_days: faults.said("restock_days", &self.restock_days, 1, 3650).or(above.restock_days),
                    clear_within_days: faults.said("clear_within_days", &self.clear_within_days, 1, 3650).or(above.clear_within_days),
                }
            }
        }
    };
}

with_terms!(
    /// `[default]`: terms where neither SKU nor category says otherwise.
    DefaultDraft {}
);
with_terms!(
    /// One `[[category]]`: terms of its SKUs.
    CategoryDraft {
        /// Which.
        category: Spanned<String> as "String",
    }
);
with_terms!(
    /// One `[[sku]]`. Prices in minor units of the project's currency.
    SkuDraft {
        /// Stock-keeping unit.
        sku: Spanned<String> as "String",
        /// Its category, for shared demand and terms.
        category: Option<Spanned<String>> as "Option<String>",
        /// The price without any model.
        list_price_minor: Spanned<i64> as "i64",
        /// What one unit costs.
        cost_minor: Option<Spanned<i64>> as "Option<i64>",
        /// Lowest price allowed, instead of `floor_ratio`.
        floor_minor: Option<Spanned<i64>> as "Option<i64>",
        /// Highest price allowed, instead of `ceiling_ratio`.
        ceiling_minor: Option<Spanned<i64>> as "Option<i64>",
    }
);

/// pricing.toml.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Pricing")]
pub(crate) struct Draft {
    /// How long a quote binds, in minutes.
    #[schemars(with = "u32")]
    lock_minutes: Spanned<u32>,
    /// How many prices a ladder tries.
    #[schemars(with = "u32")]
    n_rungs: Spanned<u32>,
    /// Which prices look like prices.
    #[serde(default)]
    rounding: Rounding,
    /// Terms where neither SKU nor category says otherwise.
    #[schemars(with = "DefaultDraft")]
    default: Spanned<DefaultDraft>,
    /// Prices that are tried.
    #[schemars(with = "Option<PriceExploration>")]
    exploration: Option<Spanned<PriceExploration>>,
    /// How prices follow demand; absent: not at all.
    #[schemars(with = "Option<DemandReaction>")]
    demand_reaction: Option<Spanned<DemandReaction>>,
    /// What the audit looks at.
    #[serde(default)]
    audit: Audit,
    /// What the law of a market asks, by its name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, MarketRules>")]
    market: BTreeMap<String, Spanned<MarketRules>>,
    /// Terms by category.
    #[serde(default, rename = "category")]
    categories: Vec<CategoryDraft>,
    /// The SKUs.
    #[serde(default, rename = "sku")]
    skus: Vec<SkuDraft>,
}

/// `[audit]`.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Audit {
    /// Attributes of customers, none of which enters a price, over which the audit compares what was shown.
    fields: Vec<String>,
}

/// Gathers faults with their lines.
struct Faults<'a> {
    text: &'a str,
    found: Vec<PricingFault>,
}

impl Faults<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1
    }

    fn add<T>(&mut self, place: &Spanned<T>, message: String) {
        let line = Some(self.line(place.span().start));
        self.found.push(PricingFault { line, message });
    }

    fn within<T: PartialOrd + Copy + fmt::Display>(
        &mut self,
        name: &str,
        value: &Spanned<T>,
        lo: T,
        hi: T,
    ) -> T {
        let number = *value.get_ref();
        if !(number >= lo && number <= hi) {
            self.add(value, format!("{name} = {number} lies outside {lo} ..= {hi}"));
        }
        number
    }

    fn said<T: PartialOrd + Copy + fmt::Display>(
        &mut self,
        name: &str,
        value: &Option<Spanned<T>>,
        lo: T,
        hi: T,
    ) -> Option<T> {
        value.as_ref().map(|value| self.within(name, value, lo, hi))
    }

    fn band(&mut self, band: &Option<Spanned<[f64; 2]>>) -> Option<[f64; 2]> {
        let place = band.as_ref()?;
        let [lo, hi] = *place.get_ref();
        if !(lo > 0.0 && lo <= hi && hi <= 10.0) {
            self.add(
                place,
                format!("competitor_band = [{lo}, {hi}]: two ratios above 0, at most 10, the lower first"),
            );
        }
        Some([lo, hi])
    }

    fn id(&mut self, name: &str, place: &Spanned<String>) {
        let text = place.get_ref();
        if text.is_empty() || text.len() > MAX_ID_BYTES {
            self.add(place, format!("{name} {text:?} must have 1 to {MAX_ID_BYTES} bytes"));
        }
    }
}

pub(super) fn parse(text: &str) -> Result<PricingRules, Vec<PricingFault>> {
    let mut faults = Faults { text, found: Vec::new() };
    let draft: Draft = toml::from_str(text).map_err(|error: toml::de::Error| {
        let line = error.span().map(|span| faults.line(span.start));
        vec![PricingFault { line, message: error.message().to_owned() }]
    })?;
    let default = default_terms(&draft.default, &mut faults);
    let categories = categories(&draft.categories, default, &mut faults);
    let mut places = Places::default();
    let mut skus = Vec::with_capacity(draft.skus.len());
    for sku in &draft.skus {
        if let Some(category) = &sku.category {
            places.categories.entry(category.get_ref().clone()).or_default().push(skus.len());
        }
        if places.skus.insert(sku.sku.get_ref().clone(), skus.len()).is_some() {
            faults.add(&sku.sku, format!("the SKU {:?} stands twice", sku.sku.get_ref()));
        }
        let above = sku.category.as_ref().and_then(|category| categories.get(category.get_ref().as_str()));
        skus.push(sku_rules(sku, above.copied().unwrap_or(default), &mut faults));
    }
    let lock_minutes = faults.within("lock_minutes", &draft.lock_minutes, 1, MAX_LOCK_MINUTES);
    let n_rungs = faults.within("n_rungs", &draft.n_rungs, 2, MAX_RUNGS);
    let exploration = exploration(draft.exploration.as_ref(), &mut faults);
    let demand_reaction = draft.demand_reaction.as_ref().map(|place| reaction(place, &mut faults));
    let markets = markets(&draft.market, &mut faults);
    if !faults.found.is_empty() {
        faults.found.sort_by_key(|fault| fault.line);
        return Err(faults.found);
    }
    let (rounding, any_market) = (draft.rounding, MarketRules::default());
    Ok(PricingRules {
        lock_minutes,
        n_rungs,
        rounding,
        default,
        exploration,
        demand_reaction,
        audit_fields: draft.audit.fields,
        skus,
        markets,
        any_market,
        places,
    })
}

fn default_terms(draft: &Spanned<DefaultDraft>, faults: &mut Faults<'_>) -> Terms {
    let said = draft.get_ref();
    let needed = [
        ("floor_ratio", said.floor_ratio.is_some()),
        ("ceiling_ratio", said.ceiling_ratio.is_some()),
        ("min_margin_ratio", said.min_margin_ratio.is_some()),
    ];
    for (name, _) in needed.iter().filter(|(_, there)| !there) {
        faults.add(draft, format!("[default] needs {name}"));
    }
    let nothing = Terms {
        floor_ratio: 1.0,
        ceiling_ratio: 1.0,
        cost_ratio: None,
        min_margin_ratio: 0.0,
        max_step_ratio: None,
        cool_down_hours: None,
        competitor_band: None,
        objective: Objective::Margin,
        restock_days: None,
        clear_within_days: None,
    };
    let terms = said.terms(nothing, faults);
    // An SKU that has no entry is bounded by these ratios alone: what conflicts for one list price does for all.
    let cost = cost_of(None, &terms, ANY_LIST_PRICE, None);
    if let Err(conflict) = Gate::fixed(None, &terms, ANY_LIST_PRICE, cost) {
        let message = format!(
            "at a list price of {ANY_LIST_PRICE} an SKU without an entry can have no price: {conflict}"
        );
        faults.add(draft, format!("[default]: {message}"));
    }
    terms
}

fn categories<'d>(
    drafts: &'d [CategoryDraft],
    default: Terms,
    faults: &mut Faults<'_>,
) -> HashMap<&'d str, Terms> {
    let mut found = HashMap::new();
    for draft in drafts {
        let terms = draft.terms(default, faults);
        faults.id("category", &draft.category);
        if found.insert(draft.category.get_ref().as_str(), terms).is_some() {
            faults.add(&draft.category, format!("the category {:?} stands twice", draft.category.get_ref()));
        }
    }
    found
}

fn exploration(place: Option<&Spanned<PriceExploration>>, faults: &mut Faults<'_>) -> PriceExploration {
    let Some(place) = place else { return PriceExploration::None };
    if let PriceExploration::Epsilon { epsilon } = *place.get_ref()
        && !(0.0..=1.0).contains(&epsilon)
    {
        faults.add(place, format!("epsilon = {epsilon} lies outside 0 ..= 1"));
    }
    *place.get_ref()
}

fn reaction(place: &Spanned<DemandReaction>, faults: &mut Faults<'_>) -> DemandReaction {
    let rules = *place.get_ref();
    let numbers = [
        ("half_life_hours", rules.half_life_hours, 1.0, 2000.0),
        ("reaction", rules.reaction, 0.0, 1.0),
        ("max_tilt_ratio", rules.max_tilt_ratio, 0.0, 1.0),
        ("prior_units", rules.prior_units, 1e-3, 1e9),
    ];
    for (name, value, lo, hi) in numbers {
        if !(lo..=hi).contains(&value) {
            faults.add(place, format!("{name} = {value} lies outside {lo} ..= {hi}"));
        }
    }
    rules
}

fn markets(
    drafts: &BTreeMap<String, Spanned<MarketRules>>,
    faults: &mut Faults<'_>,
) -> Vec<(String, MarketRules)> {
    for (name, place) in drafts {
        let rules = place.get_ref();
        if name.is_empty() || name.len() > MAX_ID_BYTES || name.contains('#') {
            faults.add(place, format!("market {name:?} must have 1 to {MAX_ID_BYTES} bytes and no #"));
        }
        if rules.prior_price_days > 365 {
            faults
                .add(place, format!("prior_price_days = {} lies outside 0 ..= 365", rules.prior_price_days));
        }
        if !(0.0..=1.0).contains(&rules.parity_ratio) {
            faults.add(place, format!("parity_ratio = {} lies outside 0 ..= 1", rules.parity_ratio));
        }
    }
    drafts.iter().map(|(name, rules)| (name.clone(), rules.get_ref().clone())).collect()
}

fn sku_rules(draft: &SkuDraft, above: Terms, faults: &mut Faults<'_>) -> SkuRules {
    faults.id("sku", &draft.sku);
    if let Some(category) = &draft.category {
        faults.id("category", category);
    }
    let terms = draft.terms(above, faults);
    let mut amount = |name: &str, value: &Spanned<i64>, lo| faults.within(name, value, lo, MAX_AMOUNT_MINOR);
    let list_price_minor = amount("list_price_minor", &draft.list_price_minor, 1);
    let rules = SkuRules {
        sku: draft.sku.get_ref().clone(),
        category: draft.category.as_ref().map(|category| category.get_ref().clone()),
        list_price_minor,
        cost_minor: draft.cost_minor.as_ref().map(|cost| amount("cost_minor", cost, 0)),
        floor_minor: draft.floor_minor.as_ref().map(|floor| amount("floor_minor", floor, 1)),
        ceiling_minor: draft.ceiling_minor.as_ref().map(|ceiling| amount("ceiling_minor", ceiling, 1)),
        terms,
    };
    let cost = cost_of(Some(&rules), &terms, list_price_minor, None);
    if let Err(conflict) = Gate::fixed(Some(&rules), &terms, list_price_minor, cost) {
        faults.add(&draft.sku, format!("SKU {:?} can have no price: {conflict}", rules.sku));
    }
    rules
}
