//! policy.toml as it is written, before anything is checked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contact::{Budget, Cap, Suppression};
use super::control::ControlRules;
use super::exploration::Exploration;
use super::hopper::HopperRules;
use super::selector::Selector;
use crate::action::Action;
use crate::decision::Direction;

/// policy.toml.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// How priorities are compared.
    #[serde(default)]
    pub arbitration: Arbitration,
    /// How the first place is drawn.
    #[serde(default)]
    pub exploration: Exploration,
    /// Who is held out.
    #[serde(default)]
    pub control: ControlRules,
    /// How long contacts are held.
    #[serde(default)]
    pub contact: ContactRules,
    /// What is run overnight.
    #[serde(default)]
    pub hopper: HopperRules,
    /// What callers may say of the moment for rules to use.
    #[serde(default)]
    pub context: BTreeMap<String, ContextKind>,
    /// What is offered when nothing can be decided.
    #[serde(default)]
    pub fallback: Option<Fallback>,
    /// The channels that have rules of consent; others need none.
    #[serde(default, rename = "channel")]
    pub channels: Vec<Channel>,
    /// Caps over rolling windows.
    #[serde(default, rename = "cap")]
    pub caps: Vec<Cap>,
    /// Silences.
    #[serde(default, rename = "suppression")]
    pub suppressions: Vec<Suppression>,
    /// What all customers together may get.
    #[serde(default, rename = "budget")]
    pub budgets: Vec<Budget>,
    /// How well actions fit the moment.
    #[serde(default, rename = "context_weight")]
    pub context_weights: Vec<ContextWeight>,
    /// What may be done.
    #[serde(default, rename = "action")]
    pub actions: Vec<Action>,
}

/// `[arbitration]`: a factor that is switched off counts as 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Arbitration {
    /// P.
    pub propensity: bool,
    /// C.
    pub context_weight: bool,
    /// V.
    pub value: bool,
    /// L.
    pub lever: bool,
    /// Candidates below this propensity fall, 0 ..= 1.
    pub min_propensity: f64,
    /// Candidates whose expected worth (propensity x value - cost) is below this many minor units fall.
    pub min_worth_minor: f64,
    /// Weight by issue, 0 ..= 100; part of the lever.
    pub issue_weights: BTreeMap<String, f64>,
}

impl Default for Arbitration {
    fn default() -> Self {
        Self {
            propensity: true,
            context_weight: true,
            value: true,
            lever: true,
            min_propensity: 0.0,
            min_worth_minor: 0.0,
            issue_weights: BTreeMap::new(),
        }
    }
}

/// `[contact]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ContactRules {
    /// A contact that was decided but not reported as made is given back after so many minutes, 1 ..= 10080.
    pub reserve_minutes: u32,
}

impl Default for ContactRules {
    fn default() -> Self {
        Self { reserve_minutes: 60 }
    }
}

/// What a fact of the context is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ContextKind {
    /// One of these texts.
    Levels(Vec<String>),
    /// A kind by name.
    Named(NamedKind),
}

/// The kinds with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NamedKind {
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// Any text.
    Text,
}

/// `[fallback]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// An action; it is offered by its first treatment that fits.
    pub action: String,
}

/// What a channel needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsentRule {
    /// Nobody is asked.
    NotNeeded,
    /// Silence is no objection.
    #[default]
    OptOut,
    /// Only those who said yes.
    OptIn,
}

/// One `[[channel]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// email, web, phone, ...
    pub id: String,
    /// What it needs.
    #[serde(default)]
    pub consent: ConsentRule,
    /// Only in conversations of this direction: a banner is shown to who comes, a letter is sent.
    #[serde(default)]
    pub direction: Option<Direction>,
}

/// One `[[context_weight]]`: multiplies the context weight of what the selector takes, where the rule holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextWeight {
    /// Which actions and treatments.
    #[serde(flatten)]
    pub selector: Selector,
    /// A CEL expression; a fact that is missing makes it not hold.
    pub rule: String,
    /// 0 ..= 100.
    pub weight: f64,
}
