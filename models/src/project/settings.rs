//! nextbest.toml: what is predicted, of whom, from what, and how; its checks. Nothing here knows the other files.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::source::Source;
use super::{FILES, Page, ProjectFault, ProjectFaults};
use crate::action::CampaignType;
use crate::event::EventType;
use crate::feature::{ActivityRule, MAX_WINDOW_DAYS};
use crate::lifecycle::LifecycleRules;
use crate::pricing::purchase::{PURCHASE, PurchaseRule};
use crate::units::{Currency, Seed, Timestamp};
use crate::value::{Horizon, ModelFault};

/// What a label says: whether one of the events happens within the horizon, or whether none does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LabelKind {
    /// 1 when none happens: churn.
    Absence,
    /// 1 when one happens: conversion.
    Presence,
}

/// One `[labels.NAME]`: the outcome a propensity model of that name predicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelRule {
    /// Whether one or none of the events makes it 1.
    pub kind: LabelKind,
    /// The events; one that is taken back whole within the horizon does not count.
    pub event: Vec<EventType>,
    /// Days after the cut-off.
    pub horizon_days: i32,
}

/// One `[responses.NAME]`: what a contact leads to, predicted per action and channel by a response model of that name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponseRule {
    /// The events that count as success, where they name the contact's decision (or, where either names none, its action).
    pub event: Vec<EventType>,
    /// Days after the contact.
    pub horizon_days: i32,
}

impl ResponseRule {
    /// Whether an event of this type at `at` makes a contact at `contact` a success, if it names it.
    #[must_use]
    pub fn is_met(&self, event_type: EventType, at: Timestamp, contact: Timestamp) -> bool {
        self.event.contains(&event_type) && contact <= at && at < contact.plus_days(self.horizon_days)
    }
}

/// `[training]`: which cut-offs are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingRules {
    /// How many cut-offs, at least 3: to fit, to calibrate and choose, to test.
    pub n_cutoffs: u32,
    /// Days between two of them.
    pub step_days: i32,
    /// Of every random choice.
    pub seed: Seed,
}

/// A shop to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Simulated {
    /// How many customers.
    pub customers: u64,
    /// How many days.
    pub days: i32,
    /// Of every draw.
    pub seed: Seed,
}

/// `[lifetime_value]`: what customers will still bring.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LifetimeRule {
    /// How far it looks, in weeks.
    pub horizon_weeks: u32,
    /// What a later purchase loses, per week: 0.002 is 11 % a year.
    pub discount_rate: f64,
    /// Share of a purchase's value that is kept, in (0, 1]; rules and formulas know it as `customer.margin`.
    pub margin: f64,
}

impl LifetimeRule {
    /// As the model takes it; an error where a number is out of its bounds, which is a fault of the file.
    pub fn horizon(&self) -> Result<Horizon, ModelFault> {
        Horizon::new(self.horizon_weeks, self.discount_rate, self.margin)
    }
}

/// `[uplifts.NAME]`: what contacts change of a label, told by an uplift model of that name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpliftRule {
    /// The label.
    pub label: String,
    /// Contacts by actions of these types.
    pub campaign_type: Vec<CampaignType>,
    /// The response whose model tells who answers a contact: where it is named, customers differ by that. Of labels of kind
    /// absence alone; absent: what differs is learned.
    #[serde(default)]
    pub answer: Option<String>,
}

/// `[demo]`: where `nextbest demo` takes its data from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DemoRules {
    /// A simulated shop.
    pub simulate: Option<Simulated>,
    /// Files below the folder that `NEXTBEST_DATA` names.
    pub files: Vec<String>,
}

/// nextbest.toml.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Names artifacts and answers.
    pub name: String,
    /// Of every amount.
    pub currency: Currency,
    /// IANA name; of times in sources that carry none.
    pub time_zone: String,
    /// How late an event may arrive after the latest of its customer.
    pub lateness_days: i32,
    /// Who is still a customer.
    pub activity: ActivityRule,
    /// What is predicted, by name of the model.
    pub labels: BTreeMap<String, LabelRule>,
    /// What contacts lead to, by name of the model.
    #[serde(default)]
    pub responses: BTreeMap<String, ResponseRule>,
    /// What a price shown leads to; absent: no model learns it.
    #[serde(default)]
    pub purchases: Option<PurchaseRule>,
    /// What customers will still bring; absent: no model tells.
    #[serde(default)]
    pub lifetime_value: Option<LifetimeRule>,
    /// What contacts change of a label, by name of the model.
    #[serde(default)]
    pub uplifts: BTreeMap<String, UpliftRule>,
    /// Which cut-offs are made.
    pub training: TrainingRules,
    /// Where a customer stands.
    pub lifecycle: LifecycleRules,
    /// Where the demonstration's data comes from.
    #[serde(default)]
    pub demo: DemoRules,
    /// How files become events.
    #[serde(default, rename = "source")]
    pub sources: Vec<Source>,
}

impl Settings {
    /// Reads and checks the text of nextbest.toml alone, for what needs no more of a project: `import`.
    pub fn parse(text: &str) -> Result<Self, ProjectFaults> {
        let page = Page { file: FILES[0], text: text.to_owned() };
        let mut faults = Vec::new();
        let settings: Option<Self> = page.parse(&mut faults);
        if let Some(settings) = &settings {
            settings.check(&page, &mut faults);
        }
        settings.filter(|_| faults.is_empty()).ok_or(ProjectFaults(faults))
    }

    pub(super) fn check(&self, page: &Page, faults: &mut Vec<ProjectFault>) {
        let mut range = |near: &str, value: i64, low: i64, high: i64| {
            if !(low..=high).contains(&value) {
                faults.push(page.fault(near, format!("{near} = {value} lies outside {low} ..= {high}")));
            }
        };
        range("lateness_days", self.lateness_days.into(), 0, 90);
        range("window_days", self.activity.window_days.into(), 1, (MAX_WINDOW_DAYS / 2).into());
        range("n_cutoffs", self.training.n_cutoffs.into(), 3, 100);
        range("step_days", self.training.step_days.into(), 1, 365);
        let horizons = self.labels.values().map(|label| label.horizon_days);
        for days in horizons.chain(self.responses.values().map(|response| response.horizon_days)) {
            range("horizon_days", days.into(), 1, 365);
        }
        if let Some(rule) = &self.purchases {
            range("horizon_days", rule.horizon_days.into(), 1, 365);
            range("max_rows", i64::try_from(rule.max_rows).unwrap_or(i64::MAX), 1000, 10_000_000);
            if rule.price_by.iter().enumerate().any(|(at, name)| rule.price_by[..at].contains(name)) {
                faults.push(page.fault("price_by", "price_by names a feature twice"));
            }
            for name in self.labels.keys().chain(self.responses.keys()).filter(|name| *name == PURCHASE) {
                faults.push(page.fault(name, format!("{name:?} is the name of the model of [purchases]")));
            }
        }
        if self.name.is_empty()
            || !self.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        {
            faults.push(page.fault("name", format!("name {:?} takes letters, digits, - and _", self.name)));
        }
        for (at, source) in self.sources.iter().enumerate() {
            faults.extend(source.faults().iter().map(|fault| page.fault(&fault.near, fault)));
            if self.sources.iter().take(at).any(|other| other.name == source.name) {
                let near = format!("\"{}\"", source.name);
                faults.push(page.fault(&near, format!("two sources are named {:?}", source.name)));
            }
        }
        if let Some(message) = self.lifecycle.fault() {
            faults.push(page.fault("[lifecycle]", message));
        }
        if self.activity.event.is_empty() {
            faults.push(page.fault("[activity]", "event names no type: nobody would be a customer"));
        }
        for (name, response) in &self.responses {
            let near = format!("[responses.{name}]");
            if response.event.is_empty() {
                faults.push(page.fault(&near, "event names no type: nothing would be predicted"));
            }
            if self.labels.contains_key(name) {
                faults.push(page.fault(&near, format!("a label is named {name:?} too")));
            }
        }
        if let Some(Err(fault)) = self.lifetime_value.map(|rule| rule.horizon()) {
            faults.push(page.fault("[lifetime_value]", fault));
        }
        for (name, uplift) in &self.uplifts {
            let near = format!("[uplifts.{name}]");
            if !self.labels.contains_key(&uplift.label) {
                let known: Vec<&str> = self.labels.keys().map(String::as_str).collect();
                let message = format!("label {:?} is none; there are {}", uplift.label, known.join(", "));
                faults.push(page.fault(&near, message));
            }
            if let Some(answer) = uplift.answer.as_ref().filter(|name| !self.responses.contains_key(*name)) {
                let known: Vec<&str> = self.responses.keys().map(String::as_str).collect();
                let message = format!("answer {answer:?} is no response; there are {}", known.join(", "));
                faults.push(page.fault(&near, message));
            }
            let presence = |label: &LabelRule| label.kind != LabelKind::Absence;
            if uplift.answer.is_some() && self.labels.get(&uplift.label).is_some_and(presence) {
                let message =
                    format!("answer speaks of labels of kind absence, {:?} is of presence", uplift.label);
                faults.push(page.fault(&near, message));
            }
            if uplift.campaign_type.is_empty() {
                faults.push(page.fault(&near, "campaign_type names none: nobody would be treated"));
            }
        }
        for (name, label) in &self.labels {
            if label.event.is_empty() {
                faults.push(
                    page.fault(
                        &format!("[labels.{name}]"),
                        "event names no type: nothing would be predicted",
                    ),
                );
            }
        }
    }
}
