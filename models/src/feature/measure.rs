//! Measures: what the fold remembers for the features, and how one event moves them.
//!
//! Several features share a measure (orders in 30 and in 90 days are one daily series); [`super::Schema`] keeps each
//! once, with the widest window any of them asks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::customer::series::{Daily, First, Held, Keyed, Latest, Series};
use crate::customer::stable_hash;
use crate::event::{AttributeValue, Event, EventType};
use crate::units::Day;

/// Millionths, the fixed-point unit of numeric attributes.
const MICROS: f64 = 1e6;

/// A field of an event, as features.toml spells it: `value`, `quantity`, `sku`, `channel`, ..., `attributes.NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Field {
    /// The worth of the line, in minor units.
    Value,
    /// Units.
    Quantity,
    /// Stock-keeping unit.
    Sku,
    /// Channel.
    Channel,
    /// Session.
    Session,
    /// Action.
    Action,
    /// Treatment.
    Treatment,
    /// A free attribute.
    Attribute(String),
}

impl JsonSchema for Field {
    fn schema_name() -> Cow<'static, str> {
        "Field".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(value|quantity|sku|channel|session_id|action_id|treatment_id|attributes\\..+)$",
            "description": "A field of an event; attributes as attributes.NAME",
        })
    }
}

impl TryFrom<String> for Field {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(match text.as_str() {
            "value" => Self::Value,
            "quantity" => Self::Quantity,
            "sku" => Self::Sku,
            "channel" => Self::Channel,
            "session_id" => Self::Session,
            "action_id" => Self::Action,
            "treatment_id" => Self::Treatment,
            other => match other.strip_prefix("attributes.") {
                Some(name) if !name.is_empty() => Self::Attribute(name.to_owned()),
                _ => {
                    return Err(format!(
                        "{other:?} is no field of an event: value, quantity, sku, channel, session_id, action_id, \
                         treatment_id or attributes.NAME"
                    ));
                }
            },
        })
    }
}

impl From<Field> for String {
    fn from(field: Field) -> Self {
        let name = match field {
            Field::Value => "value",
            Field::Quantity => "quantity",
            Field::Sku => "sku",
            Field::Channel => "channel",
            Field::Session => "session_id",
            Field::Action => "action_id",
            Field::Treatment => "treatment_id",
            Field::Attribute(name) => return format!("attributes.{name}"),
        };
        name.to_owned()
    }
}

impl Field {
    /// The amount an event carries here: minor units, units, or millionths of a numeric attribute.
    fn amount(&self, event: &Event) -> Option<i128> {
        match self {
            Self::Value => event.value.map(|value| value.amount_minor.into()),
            Self::Quantity => event.quantity.map(Into::into),
            Self::Attribute(name) => match event.attributes.get(name)? {
                AttributeValue::Number(number) => Some(micros(*number).into()),
                AttributeValue::Flag(flag) => Some(i128::from(*flag) * 1_000_000),
                AttributeValue::Text(_) => None,
            },
            _ => None,
        }
    }

    /// How many fixed-point units make one.
    pub(super) const fn scale(&self) -> f64 {
        if matches!(self, Self::Attribute(_)) { MICROS } else { 1.0 }
    }

    fn held(&self, event: &Event) -> Option<Held> {
        let text = |text: &Option<String>| text.clone().map(Held::Text);
        match self {
            Self::Sku => text(&event.sku),
            Self::Channel => text(&event.channel),
            Self::Session => text(&event.session_id),
            Self::Action => text(&event.action_id),
            Self::Treatment => text(&event.treatment_id),
            Self::Value => {
                event.value.map(|value| Held::Micros(value.amount_minor.saturating_mul(1_000_000)))
            }
            Self::Quantity => event.quantity.map(|quantity| Held::Micros(quantity.saturating_mul(1_000_000))),
            Self::Attribute(name) => Some(match event.attributes.get(name)? {
                AttributeValue::Text(text) => Held::Text(text.clone()),
                AttributeValue::Number(number) => Held::Micros(micros(*number)),
                AttributeValue::Flag(flag) => Held::Flag(*flag),
            }),
        }
    }

    fn key(&self, event: &Event) -> Option<u64> {
        self.held(event).map(|held| match held {
            Held::Text(text) => stable_hash(&text),
            Held::Micros(number) => stable_hash(&number.to_string()),
            Held::Flag(flag) => u64::from(flag),
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "attributes are bounded by 1e12, so 1e18 fits i64")]
fn micros(number: f64) -> i64 {
    (number * MICROS).round() as i64
}

/// Which events count: of one of these types (empty: any), with each of these fields equal to the given text.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Filter {
    /// Types, empty for any.
    pub event: Vec<EventType>,
    /// Field -> text it must equal.
    #[serde(rename = "where")]
    pub equal: BTreeMap<Field, String>,
}

impl Filter {
    /// +1 for an event of the filter's types, -1 for one that takes such an event back, 0 for any other.
    fn sign(&self, event: &Event) -> i64 {
        let matches = |(field, want): (&Field, &String)| match field.held(event) {
            Some(Held::Text(text)) => text == *want,
            Some(Held::Flag(flag)) => flag.to_string() == *want,
            _ => false,
        };
        if !self.equal.iter().all(matches) {
            return 0;
        }
        if self.event.is_empty() || self.event.contains(&event.event_type) {
            return 1;
        }
        let revises = event.event_type.is_revision() && event.refers_to.is_some();
        if revises && self.event.contains(&EventType::OrderPlaced) { -1 } else { 0 }
    }
}

/// What is remembered of the events that pass a filter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// Count, and sum of a field.
    Daily(Option<Field>),
    /// Count per key.
    Keyed(Field),
    /// Latest value.
    Latest(Field),
    /// Earliest day.
    First,
}

/// A filter, what is remembered, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// Which events.
    pub filter: Filter,
    /// What of them.
    pub memory: Memory,
    /// Whole days before the day of scoring that some feature looks back on.
    pub window_days: i32,
}

impl Measure {
    pub(crate) fn empty(&self) -> Series {
        match self.memory {
            Memory::Daily(_) => Series::Daily(Daily::default()),
            Memory::Keyed(_) => Series::Keyed(Keyed::default()),
            Memory::Latest(_) => Series::Latest(Latest::default()),
            Memory::First => Series::First(First::default()),
        }
    }

    /// Folds one event into `series`.
    ///
    /// A revision is booked on the day of what it revises if that lies within the window before the revision itself
    /// (a rule on the event alone, hence the same in any arrival order), else on the totals only.
    pub(crate) fn fold(&self, series: &mut Series, event: &Event, event_hash: u64) {
        let sign = self.filter.sign(event);
        if sign == 0 {
            return;
        }
        let day = if sign < 0 { event.booked_at().day() } else { event.occurred_at.day() };
        let remembered = event.occurred_at.day().since(day) <= self.window_days;
        let count = if sign < 0 { -i64::from(event.takes_back_whole()) } else { 1 };
        match (series, &self.memory) {
            (Series::Daily(daily), Memory::Daily(None)) => daily.book(day, count, 0, remembered),
            (Series::Daily(daily), Memory::Daily(Some(field))) => {
                if let Some(amount) = field.amount(event) {
                    daily.book(day, count, amount * i128::from(sign), remembered);
                }
            }
            (Series::Keyed(keyed), Memory::Keyed(field)) if remembered => {
                if let Some(key) = field.key(event) {
                    keyed.book(day, key, count);
                }
            }
            (Series::Latest(latest), Memory::Latest(field)) if sign > 0 => {
                if let Some(value) = field.held(event) {
                    latest.offer(event.occurred_at, event_hash, value);
                }
            }
            (Series::First(first), Memory::First) if sign > 0 => first.offer(day),
            _ => {}
        }
    }

    /// The earliest day that is kept once `watermark` was reached: no event still admitted is booked before it.
    pub(crate) fn first_kept(&self, watermark: Day, lateness_days: i32) -> Day {
        watermark.plus(-(self.window_days + lateness_days))
    }

    pub(crate) fn forget(&self, series: &mut Series, watermark: Day, lateness_days: i32) {
        let first = self.first_kept(watermark, lateness_days);
        match series {
            Series::Daily(daily) => daily.forget_before(first),
            Series::Keyed(keyed) => keyed.forget_before(first),
            Series::Latest(_) | Series::First(_) => {}
        }
    }
}
