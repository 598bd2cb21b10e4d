//! What rules may speak of, and the facts of one situation under those names.
//!
//! One list: the vocabulary that names are checked against and the facts that are handed over are written side by side.

use std::collections::BTreeMap;

use super::expression::{Facts, Vocabulary};
use super::file::{ContextKind, NamedKind};
use super::situation::{Question, Situation};
use crate::decision::Direction;
use crate::event::AttributeValue;
use crate::lifecycle::{ContactState, Stage};

/// What a customer will still bring: the one fact that is only there where a rule or formula names it, since telling it takes
/// microseconds.
pub(super) const LIFETIME_VALUE: &str = "customer.lifetime_value_minor";

/// The names of a project's rules.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) vocabulary: Vocabulary,
    /// The share of a purchase's value that is kept, the same for every customer; none where the project tells none.
    pub(super) margin: Option<f64>,
    channels: Vec<String>,
    context: Vec<(String, ContextKind)>,
}

/// The facts of a situation, in the vocabulary's order.
pub(super) struct Collected<'a> {
    numbers: Vec<f64>,
    flags: Vec<Option<bool>>,
    texts: Vec<Option<&'a str>>,
}

impl Collected<'_> {
    pub(super) fn facts(&self) -> Facts<'_> {
        Facts { numbers: &self.numbers, flags: &self.flags, texts: &self.texts }
    }
}

impl Names {
    /// `features`, `models`, `channels` by name, and what `[context]` declares.
    pub(super) fn new(
        features: &[String],
        models: &[String],
        channels: Vec<String>,
        context: &BTreeMap<String, ContextKind>,
    ) -> Self {
        let mut words = Vocabulary::new();
        for feature in features {
            words = words.number(format!("features.{feature}"));
        }
        for model in models {
            words = words.number(format!("scores.{model}"));
        }
        for name in ["recent_value_minor", "days_in_stage", "days_since_contact", "n_ignored"] {
            words = words.number(format!("customer.{name}"));
        }
        words = words.number(LIFETIME_VALUE).number("customer.margin");
        words = words.flag("customer.known");
        for channel in &channels {
            words = words.flag(format!("consent.{channel}"));
        }
        let stages = Stage::ALL.iter().map(|stage| stage.as_str().to_owned()).collect();
        words = words.text("customer.stage", Some(stages));
        let states = [ContactState::Listening, ContactState::Ignoring].map(|state| state.as_str().to_owned());
        words = words.text("customer.contact_state", Some(states.to_vec()));
        words = words.text("context.channel", Some(channels.clone()));
        let directions = [Direction::Inbound, Direction::Outbound].map(|way| way.as_str().to_owned());
        words = words.text("context.direction", Some(directions.to_vec()));
        words = words.text("context.placement", None);
        for (name, kind) in context {
            let name = format!("context.{name}");
            words = match kind {
                ContextKind::Levels(levels) => words.text(name, Some(levels.clone())),
                ContextKind::Named(NamedKind::Text) => words.text(name, None),
                ContextKind::Named(NamedKind::Number) => words.number(name),
                ContextKind::Named(NamedKind::Flag) => words.flag(name),
            };
        }
        let context = context.iter().map(|(name, kind)| (name.clone(), kind.clone())).collect();
        Self { vocabulary: words, margin: None, channels, context }
    }

    /// What `[context]` declares.
    pub(super) fn context(&self) -> impl Iterator<Item = (&String, &ContextKind)> {
        self.context.iter().map(|(name, kind)| (name, kind))
    }

    /// The facts of `situation` when `question` is asked.
    pub(super) fn collect<'a>(&self, situation: &'a Situation, question: &'a Question) -> Collected<'a> {
        let mut numbers = Vec::with_capacity(situation.features.len() + situation.scores.len() + 8);
        numbers.extend_from_slice(&situation.features);
        numbers.extend(situation.scores.iter().map(|score| score.map_or(f64::NAN, |p| p.get())));
        numbers.push(minor(situation.recent_value_minor));
        numbers.push(f64::from(situation.now.day().since(situation.standing.since)));
        numbers.push(situation.days_since_contact());
        numbers.push(situation.n_ignored());
        // The model control is decided without what models say of this customer.
        let lifetime_value = situation.lifetime_value_minor.filter(|_| !situation.control.model);
        numbers.push(lifetime_value.map_or(f64::NAN, minor));
        numbers.push(self.margin.unwrap_or(f64::NAN));
        let mut flags = vec![Some(situation.known)];
        flags.extend(self.channels.iter().map(|channel| situation.consent_to(channel, question)));
        let context = &question.context;
        let mut texts = vec![
            Some(situation.standing.stage.as_str()),
            Some(situation.standing.contact.as_str()),
            context.channel.as_deref(),
            context.direction.map(Direction::as_str),
            context.placement.as_deref(),
        ];
        for (name, kind) in &self.context {
            let told = context.attributes.get(name);
            match (kind, told) {
                (ContextKind::Named(NamedKind::Number), Some(AttributeValue::Number(x))) => numbers.push(*x),
                (ContextKind::Named(NamedKind::Number), _) => numbers.push(f64::NAN),
                (ContextKind::Named(NamedKind::Flag), Some(AttributeValue::Flag(flag))) => {
                    flags.push(Some(*flag))
                }
                (ContextKind::Named(NamedKind::Flag), _) => flags.push(None),
                (_, Some(AttributeValue::Text(text))) => texts.push(Some(text)),
                (_, _) => texts.push(None),
            }
        }
        Collected { numbers, flags, texts }
    }
}

#[expect(clippy::cast_precision_loss, reason = "amounts in minor units stay far below 2^53")]
const fn minor(amount: i64) -> f64 {
    amount as f64
}
