//! The project folder: what the business decides, as checked data.
//!
//! Four files, read through a closure (no file is opened here) and each hashed: `nextbest.toml` (name, currency,
//! sources, labels), `features.toml`, `policy.toml`, `pricing.toml`. All faults of all files come back at once, each
//! with file and line.

mod json_schema;
pub mod source;

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::action::CampaignType;
use crate::digest::sha256_hex;
use crate::event::EventType;
use crate::feature::reason::{ReasonFault, ReasonList, ReasonSpec};
use crate::feature::spec::FeatureSpec;
use crate::feature::{ActivityRule, MAX_WINDOW_DAYS, Schema};
use crate::lifecycle::LifecycleRules;
use crate::policy::response::OFFER_COLUMNS;
use crate::policy::{Policy, PolicyFault};
use crate::pricing::purchase::{PURCHASE, PurchaseRule};
use crate::pricing::rules::{PricingFault, PricingRules};
use crate::units::{Currency, Seed, Timestamp};
use crate::value::{Horizon, ModelFault};
pub use json_schema::json_schema;
use source::Source;

/// The files of a project folder, in reading order.
pub const FILES: [&str; 4] = ["nextbest.toml", "features.toml", "policy.toml", "pricing.toml"];

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
    /// Share of a purchase's value that is kept, in (0, 1].
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

/// features.toml.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Features {
    #[serde(default)]
    feature: Vec<FeatureSpec>,
    #[serde(default)]
    reason: Vec<ReasonSpec>,
}

/// A checked project folder.
#[derive(Clone, Debug)]
pub struct Project {
    /// nextbest.toml.
    pub settings: Settings,
    /// The features of features.toml, compiled.
    pub schema: Schema,
    /// The reasons of features.toml: codes and texts under which explanations are told.
    pub reasons: ReasonList,
    /// policy.toml.
    pub policy: Policy,
    /// pricing.toml.
    pub pricing: PricingRules,
    /// SHA-256 in hex of each file.
    pub sha256: BTreeMap<&'static str, String>,
}

/// A fault in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFault {
    /// Which file.
    pub file: &'static str,
    /// Line, from 1, where it is known.
    pub line: Option<usize>,
    /// Column in that line, from 1, where it is known.
    pub column: Option<usize>,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for ProjectFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        for place in self.line.iter().chain(&self.column) {
            write!(f, "{place}:")?;
        }
        write!(f, " {}", self.message)
    }
}

/// All faults of a project folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFaults(pub Vec<ProjectFault>);

impl fmt::Display for ProjectFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ProjectFaults {}

/// One file's text, and the faults found in it so far.
struct Page {
    file: &'static str,
    text: String,
}

impl Page {
    fn fault(&self, near: &str, message: impl fmt::Display) -> ProjectFault {
        let line =
            self.text.lines().position(|line| !near.is_empty() && line.contains(near)).map(|at| at + 1);
        ProjectFault { file: self.file, line, column: None, message: message.to_string() }
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, faults: &mut Vec<ProjectFault>) -> Option<T> {
        let error = match toml::from_str(&self.text) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let message = error.message().to_owned();
        faults.push(match error.span() {
            Some(span) => self.fault_at(span.start, message),
            None => ProjectFault { file: self.file, line: None, column: None, message },
        });
        None
    }

    /// A fault at byte `at`.
    fn fault_at(&self, at: usize, message: String) -> ProjectFault {
        let before = self.text.get(..at);
        let line = before.map(|before| before.matches('\n').count() + 1);
        let column = before.map(|before| before.rsplit('\n').next().unwrap_or("").chars().count() + 1);
        ProjectFault { file: self.file, line, column, message }
    }

    /// A fault of the policy: behind the id it is within, at the text it is about.
    fn fault_within(&self, fault: PolicyFault) -> ProjectFault {
        let PolicyFault { within, near, column, message } = fault;
        let quoted = [format!("\"{within}\""), within.clone()];
        let start = quoted.iter().find_map(|text| self.text.find(text.as_str())).unwrap_or(0);
        let behind = &self.text[start..];
        let Some(at) = find_whole(behind, &near) else {
            return self.fault_at(start, message);
        };
        let found = self.fault_at(start + at, message);
        let column = found.column.map(|begins| begins + column.unwrap_or(1) - 1);
        ProjectFault { column, ..found }
    }
}

/// Where `near`, if it is not empty, first stands in `text` as a whole: not as a part of a longer name.
fn find_whole(text: &str, near: &str) -> Option<usize> {
    let is_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let (first, last) = (is_name(near.chars().next()), is_name(near.chars().next_back()));
    let whole = |at: &usize| {
        let joins_before = first && is_name(text[..*at].chars().next_back());
        let joins_behind = last && is_name(text[at + near.len()..].chars().next());
        !joins_before && !joins_behind
    };
    text.match_indices(near).map(|(at, _)| at).filter(|_| !near.is_empty()).find(whole)
}

impl Project {
    /// Reads and checks the four files; `read` gives the text of a file by its name.
    pub fn read(mut read: impl FnMut(&str) -> io::Result<String>) -> Result<Self, ProjectFaults> {
        let mut faults = Vec::new();
        let mut sha256 = BTreeMap::new();
        let mut page = |file: &'static str, faults: &mut Vec<ProjectFault>| {
            let text = read(file).unwrap_or_else(|error| {
                faults.push(ProjectFault { file, line: None, column: None, message: error.to_string() });
                String::new()
            });
            sha256.insert(file, sha256_hex(text.as_bytes()));
            Page { file, text }
        };
        let pages = FILES.map(|file| page(file, &mut faults));
        if !faults.is_empty() {
            return Err(ProjectFaults(faults));
        }
        let [main, features, policy, pricing] = &pages;
        let settings: Option<Settings> = main.parse(&mut faults);
        let (specs, reason_specs) =
            features.parse::<Features>(&mut faults).map(|file| (file.feature, file.reason)).unzip();
        let policy_file = policy.parse(&mut faults);
        if let Some(settings) = &settings {
            settings.check(main, &mut faults);
        }
        let names: Vec<String> = specs.iter().flatten().map(|spec: &FeatureSpec| spec.name.clone()).collect();
        if let Some(rule) = settings.as_ref().and_then(|settings| settings.purchases.as_ref()) {
            for name in rule.price_by.iter().filter(|name| !names.contains(name)) {
                faults.push(
                    main.fault("price_by", format!("price_by: {name:?} is no feature of features.toml")),
                );
            }
        }
        let schema = settings.as_ref().zip(specs).and_then(|(settings, specs)| {
            let (currency, lateness_days) = (settings.currency, settings.lateness_days);
            let schema = Schema::new(specs, &settings.activity, currency, lateness_days);
            let report = |errors: Vec<crate::feature::spec::SpecError>| {
                faults.extend(
                    errors.iter().map(|error| features.fault(&format!("\"{}\"", error.feature), error)),
                );
            };
            schema.map_err(report).ok()
        });
        let reasons = reason_specs.and_then(|specs| {
            let report = |errors: Vec<ReasonFault>| {
                faults.extend(errors.into_iter().map(|error| features.fault_at(error.at, error.message)));
            };
            let of_offers = settings.as_ref().is_some_and(|settings| !settings.responses.is_empty());
            let offer: &[&str] = if of_offers { &OFFER_COLUMNS } else { &[] };
            let explained: Vec<String> =
                names.iter().cloned().chain(offer.iter().map(|name| (*name).to_owned())).collect();
            ReasonList::new(specs, &explained).map_err(report).ok()
        });
        let policy = settings.as_ref().zip(policy_file).and_then(|(settings, file)| {
            let labels: Vec<String> = settings.labels.keys().cloned().collect();
            let responses: Vec<String> = settings.responses.keys().cloned().collect();
            let report = |errors: Vec<PolicyFault>| {
                faults.extend(errors.into_iter().map(|fault| policy.fault_within(fault)));
            };
            Policy::new(file, &labels, &responses, &names).map_err(report).ok()
        });
        let pricing = match PricingRules::parse(&pricing.text) {
            Ok(rules) => {
                let learns = settings.as_ref().is_none_or(|settings| settings.purchases.is_some());
                for (name, _) in rules.markets.iter().filter(|(_, rules)| rules.personal_features && !learns)
                {
                    let message =
                        "personal_features = true needs a purchase model: nextbest.toml has no [purchases]";
                    faults.push(
                        pricing.fault(&format!("[market.{name}]"), format!("market {name:?}: {message}")),
                    );
                }
                Some(rules)
            }
            Err(errors) => {
                let file = pricing.file;
                let fault = |PricingFault { line, message }: PricingFault| ProjectFault {
                    file,
                    line,
                    column: None,
                    message,
                };
                faults.extend(errors.into_iter().map(fault));
                None
            }
        };
        match (settings, schema, reasons, policy, pricing) {
            (Some(settings), Some(schema), Some(reasons), Some(policy), Some(pricing))
                if faults.is_empty() =>
            {
                Ok(Self { settings, schema, reasons, policy, pricing, sha256 })
            }
            _ => Err(ProjectFaults(faults)),
        }
    }

    /// SHA-256 in hex over the hashes of all files: the identity of what the business decided.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        sha256_hex(self.sha256.values().map(String::as_str).collect::<Vec<_>>().join("\n").as_bytes())
    }
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

    fn check(&self, page: &Page, faults: &mut Vec<ProjectFault>) {
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
