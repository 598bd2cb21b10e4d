//! The answer of a quote: what is told of every price, and why a number is not there.

use std::collections::BTreeMap;

use nextbest_models::customer::CustomerId;
use nextbest_models::policy::control::Assignment;
use nextbest_models::pricing::{Guardrail, PriceBasis, PriceChoice, Rung};
use nextbest_models::units::{Currency, Money, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Item, Request};
use crate::app::App;
use crate::problem::Problem;
use crate::provenance::{Absent, Experiment, Provenance};

/// How a quote came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// At least one price came from the demand model.
    Quoted,
    /// None did: list prices, inside their bounds.
    ListPriceFallback,
    /// None may: the customer is held out of the policy. List prices, inside their bounds.
    ControlListPrice,
}

/// The answer, and what is stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct Quote {
    #[serde(flatten)]
    pub(super) head: Provenance,
    outcome: Outcome,
    /// Names the quote; also the decision.
    pub(super) quote_id: String,
    /// Until when the prices hold.
    #[schema(value_type = String, format = DateTime)]
    pub(super) expires_at: Timestamp,
    signature: Absent,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    market: Option<String>,
    #[schema(value_type = String)]
    currency: Currency,
    /// amount_minor, currency.
    #[schema(value_type = Object)]
    total: Money,
    items: Vec<PricedItem>,
    legal: Legal,
    pub(super) timing_us: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct PricedItem {
    sku: String,
    quantity: i64,
    /// model, no_demand, no_cost, conflict or control.
    #[schema(value_type = String)]
    basis: PriceBasis,
    list_price_minor: i64,
    model_price_minor: i64,
    quoted_price_minor: i64,
    floor_minor: i64,
    ceiling_minor: i64,
    /// code, before_minor, after_minor.
    #[schema(value_type = Vec<Object>)]
    guardrails: Vec<Guardrail>,
    purchase_probability: Optional<f64>,
    elasticity: Optional<ElasticityInterval>,
    demand_index: Absent,
    /// price_minor, probability, expected_margin_minor.
    #[schema(value_type = Vec<Object>)]
    ladder: Vec<Rung>,
}

/// A value, or null beside the reason why there is none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Optional<T: ToSchema> {
    Known(T),
    Absent(Absent),
}

#[derive(Debug, Serialize, ToSchema)]
struct ElasticityInterval {
    value: f64,
    lo: f64,
    hi: f64,
}

#[derive(Debug, Serialize, ToSchema)]
struct Legal {
    /// No feature of a person enters a price.
    personalised: bool,
    /// Lowest price of the prior 30 days: the ledger of shown prices arrives later.
    lowest_30_days_minor: Absent,
}

/// The answer to `request`, whose items are priced by `choices` for a customer of the groups `control`.
pub(super) fn build(
    app: &App,
    mut head: Provenance,
    request: &Request,
    choices: Vec<PriceChoice>,
    control: Assignment,
) -> Result<Quote, Problem> {
    let minutes = i64::from(app.project.pricing.lock_minutes);
    let expires_at = head.created_at.plus_millis(minutes * 60_000);
    head.valid_until = expires_at;
    head.experiment = Experiment::of(control);
    let modelled = choices.iter().any(|choice| choice.basis == PriceBasis::Model);
    let outcome = match (control.policy, modelled) {
        (true, _) => Outcome::ControlListPrice,
        (false, true) => Outcome::Quoted,
        (false, false) => Outcome::ListPriceFallback,
    };
    if !control.policy && app.artifact.as_ref().and_then(|artifact| artifact.demand()).is_none() {
        head.degraded.push("no_demand_model".to_owned());
    }
    head.degraded.extend(choices.iter().filter_map(|choice| {
        let code = match choice.basis {
            PriceBasis::Model | PriceBasis::Control => return None,
            PriceBasis::NoDemand => "no_demand",
            PriceBasis::NoCost => "no_cost",
            PriceBasis::Conflict => "rules_conflict",
        };
        Some(format!("{code}:{}", choice.sku))
    }));
    let total = total_minor(request, &choices)?;
    let items = request.items.iter().zip(choices).map(|(item, choice)| priced(item, choice)).collect();
    Ok(Quote {
        quote_id: head.decision_id.clone(),
        head,
        outcome,
        expires_at,
        signature: Absent::because("not_signed"),
        customer_id: request.customer_id.clone(),
        session_id: request.session_id.clone(),
        market: request.market.clone(),
        currency: request.currency,
        total: Money { amount_minor: total, currency: request.currency },
        items,
        legal: Legal { personalised: false, lowest_30_days_minor: Absent::because("no_price_ledger") },
        timing_us: BTreeMap::new(),
    })
}

fn total_minor(request: &Request, choices: &[PriceChoice]) -> Result<i64, Problem> {
    let lines = request.items.iter().zip(choices);
    let sum: i128 =
        lines.map(|(item, choice)| i128::from(item.quantity) * i128::from(choice.quoted_price_minor)).sum();
    i64::try_from(sum).map_err(|_| Problem::invalid("items", format!("the total {sum} exceeds 64 bits")))
}

fn priced(item: &Item, choice: PriceChoice) -> PricedItem {
    let held_out = choice.basis == PriceBasis::Control;
    let absent = |code| Absent::because(if held_out { "control_group" } else { code });
    PricedItem {
        sku: choice.sku,
        quantity: item.quantity,
        basis: choice.basis,
        list_price_minor: choice.list_price_minor,
        model_price_minor: choice.model_price_minor,
        quoted_price_minor: choice.quoted_price_minor,
        floor_minor: choice.floor_minor,
        ceiling_minor: choice.ceiling_minor,
        guardrails: choice.guardrails,
        purchase_probability: choice
            .purchase_probability
            .map_or(Optional::Absent(absent("no_price_shown")), |p| Optional::Known(p.get())),
        elasticity: choice.elasticity.map_or(Optional::Absent(absent("no_demand")), |e| {
            Optional::Known(ElasticityInterval { value: e.value, lo: e.lo, hi: e.hi })
        }),
        demand_index: Absent::because("not_computed"),
        ladder: choice.ladder,
    }
}
