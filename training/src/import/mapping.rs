//! A `[[source]]` compiled against the columns of one file: from a row of texts to a row of the log.
//!
//! The order of questions is fixed: is it a cancellation, which set-aside rules hold, which event is it. The first
//! fault of a row is its fault; nothing is guessed or repaired. Which lines a cancellation revises is not known here.

mod cell;

use std::borrow::Cow;
use std::collections::HashMap;

use nextbest_models::digest::hex;
use nextbest_models::event::{AttributeValue, Event, EventDraft, EventFault, EventType, Reference};
use nextbest_models::project::source::{Among, AttributeKind, SetAside, Source, Test};
use nextbest_models::units::{Currency, Money, Timestamp};
use sha2::{Digest, Sha256};

use crate::import::decimal::Decimal;
use crate::import::fault::CellFault;
use crate::import::record::Row;
use crate::import::report::{CANCELLATION, Conditions, WITHOUT_CUSTOMER};
use crate::import::times::{TimeError, TimeReader, TimeReaderError};
use cell::{Check, Number, Reader, decimal};

/// A row of a file: texts by column, and its whole content for an id.
pub(crate) trait Cells {
    /// The text in column `column`; empty where there is none.
    fn get(&self, column: usize) -> &str;
    /// Feeds every column, by name in alphabetical order, with its text.
    fn hash_content(&self, add: &mut dyn FnMut(&str, &str));
}

/// What all sources of a project share.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) currency: Currency,
    pub(crate) time_zone: String,
    pub(crate) conditions: Conditions,
}

/// A source that does not fit a file.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// A column that the file does not have.
    #[error("{member} asks for column {column:?}, which the file does not have; the nearest is {nearest:?}")]
    UnknownColumn {
        /// The member or rule.
        member: String,
        /// The column it asks for.
        column: String,
        /// The column with the most similar name.
        nearest: String,
    },
    /// A zone or format that does not exist.
    #[error("{member}: {source}")]
    Time {
        /// The member.
        member: String,
        /// What is wrong.
        source: TimeReaderError,
    },
    /// A bound that is no number.
    #[error("rule {rule}: {bound:?} is no number of at most 18 digits")]
    Bound {
        /// The rule.
        rule: String,
        /// The bound.
        bound: String,
    },
}

/// A compiled source.
#[derive(Clone)]
pub(crate) struct Mapping {
    source: String,
    decimal_mark: char,
    currency: Currency,
    /// Fixed members and attributes by name.
    members: HashMap<String, Reader>,
    event_type: Reader,
    attributes: Vec<(String, Reader, AttributeKind)>,
    times: HashMap<String, TimeReader>,
    cancellation: Option<(Check, EventType, EventType)>,
    set_aside: Vec<(Check, Among, u16)>,
}

impl Mapping {
    /// Compiles `source` for a file whose column `name` has the number `number(name)`.
    pub(crate) fn new(source: &Source, terms: &Terms, number: Number<'_>) -> Result<Self, MappingError> {
        let zone = source.time_zone.as_deref().unwrap_or(&terms.time_zone);
        let mut members = HashMap::new();
        let mut times = HashMap::new();
        let mut attributes = Vec::new();
        for (member, cell) in source.cells() {
            let reader = Reader::new(&member, cell, number)?;
            if member.ends_with("_at") && !member.starts_with("attributes.") {
                let time = TimeReader::new(cell.format.as_deref(), zone);
                let time =
                    time.map_err(|error| MappingError::Time { member: member.clone(), source: error })?;
                times.insert(member.clone(), time);
            }
            if let Some(name) = member.strip_prefix("attributes.") {
                attributes.push((name.to_owned(), reader.clone(), cell.kind.unwrap_or_default()));
            }
            members.insert(member, reader);
        }
        let check = |rule: &str, test: &Test| Check::new(rule, test, number);
        let cancellation = source.cancellation.as_ref();
        let cancellation =
            cancellation.map(|c| Ok((check("cancellation", &c.when)?, c.event_type, c.revises)));
        let rule = |rule: &SetAside| {
            Ok((check(&rule.name, &rule.when)?, rule.among, terms.conditions.rule(&rule.name)))
        };
        Ok(Self {
            source: source.name.clone(),
            decimal_mark: source.decimal_mark,
            currency: terms.currency,
            event_type: Reader::new("type", &source.event_type, number)?,
            members,
            attributes,
            times,
            cancellation: cancellation.transpose()?,
            set_aside: source.set_aside.iter().map(rule).collect::<Result<_, _>>()?,
        })
    }

    /// The row that `cells` come to, and whether one of its clock readings happened not exactly once.
    pub(crate) fn row(&mut self, cells: &impl Cells) -> Result<(Row, bool), CellFault> {
        let cancels = match &self.cancellation {
            Some((check, ..)) => check.holds(cells, self.decimal_mark)?,
            None => false,
        };
        let mut conditions = if cancels { CANCELLATION } else { 0 };
        let customer_id = self.text("customer_id", cells)?;
        if customer_id.is_none() {
            conditions |= WITHOUT_CUSTOMER;
        }
        let mut rule = None;
        for (check, among, number) in &self.set_aside {
            let looks = match among {
                Among::All => true,
                Among::Cancellations => cancels,
                Among::Others => !cancels,
            };
            if looks && check.holds(cells, self.decimal_mark)? {
                conditions |= Conditions::bit(*number);
                rule = rule.or(Some(*number));
            }
        }
        if let Some(rule) = rule {
            return Ok((Row::SetAside { identity: self.content_id(cells), rule, conditions }, false));
        }
        let mut ambiguous = false;
        let draft = self.draft(cells, cancels, customer_id, &mut ambiguous)?;
        let event = Event::try_from(draft).map_err(|fault| self.place(fault))?;
        let revises = self.cancellation.as_ref().filter(|_| cancels).map(|(.., revises)| *revises);
        Ok((Row::Event { event, revises, conditions }, ambiguous))
    }

    fn draft(
        &mut self,
        cells: &impl Cells,
        cancels: bool,
        customer_id: Option<String>,
        ambiguous: &mut bool,
    ) -> Result<EventDraft, CellFault> {
        let occurred_at = self.time("occurred_at", cells, ambiguous)?;
        let known_at = self.time("known_at", cells, ambiguous)?;
        let anonymous_id = match self.text("anonymous_id", cells)? {
            None if customer_id.is_none() => self.text("guest_id", cells)?,
            anonymous_id => anonymous_id,
        };
        let event_type = match &self.cancellation {
            Some((_, event_type, _)) if cancels => event_type.as_str().to_owned(),
            _ => self.event_type.read(cells)?.map(Cow::into_owned).unwrap_or_default(),
        };
        let quantity = self.quantity(cells, cancels)?;
        let reference = self.text("refers_to.event_id", cells)?;
        let referred_at = self.time("refers_to.occurred_at", cells, ambiguous)?;
        let refers_to = reference.zip(referred_at).map(|(event_id, occurred_at)| Reference {
            event_id,
            occurred_at,
            whole: true,
        });
        Ok(EventDraft {
            event_id: match self.members.contains_key("event_id") {
                true => self.text("event_id", cells)?.unwrap_or_default(),
                false => self.content_id(cells),
            },
            event_type,
            occurred_at,
            known_at,
            customer_id,
            anonymous_id,
            session_id: self.text("session_id", cells)?,
            channel: self.text("channel", cells)?,
            sku: self.text("sku", cells)?,
            quantity,
            value: self.value(cells, quantity, cancels)?,
            decision_id: self.text("decision_id", cells)?,
            quote_id: self.text("quote_id", cells)?,
            action_id: self.text("action_id", cells)?,
            treatment_id: self.text("treatment_id", cells)?,
            refers_to,
            attributes: self.attributes(cells)?.into_iter().collect(),
        })
    }

    fn text(&self, member: &str, cells: &impl Cells) -> Result<Option<String>, CellFault> {
        match self.members.get(member) {
            Some(reader) => Ok(reader.read(cells)?.map(Cow::into_owned)),
            None => Ok(None),
        }
    }

    fn time(
        &mut self,
        member: &str,
        cells: &impl Cells,
        ambiguous: &mut bool,
    ) -> Result<Option<Timestamp>, CellFault> {
        let (Some(reader), Some(time)) = (self.members.get(member), self.times.get_mut(member)) else {
            return Ok(None);
        };
        let Some(text) = reader.read(cells)? else { return Ok(None) };
        let instant = time.read(&text).map_err(|error| {
            let code = if matches!(error, TimeError::Range(_)) { "out_of_range" } else { "wrong_type" };
            CellFault::new(code, &reader.name, error.to_string())
        })?;
        *ambiguous |= instant.ambiguous;
        Ok(Some(instant.at))
    }

    fn number(
        &self,
        member: &str,
        cells: &impl Cells,
    ) -> Result<Option<(Decimal, &Reader, String)>, CellFault> {
        let Some(reader) = self.members.get(member) else { return Ok(None) };
        let Some(text) = reader.read(cells)? else { return Ok(None) };
        let number = decimal(&text, self.decimal_mark, &reader.name)?;
        Ok(Some((number, reader, text.into_owned())))
    }

    fn quantity(&self, cells: &impl Cells, cancels: bool) -> Result<Option<i64>, CellFault> {
        let Some((number, reader, text)) = self.number("quantity", cells)? else { return Ok(None) };
        if number.is_negative() && !cancels {
            let message = format!(
                "{text} is negative, and source {:?} has no cancellation rule that takes this row",
                self.source
            );
            return Err(CellFault::new("negative_quantity", &reader.name, message));
        }
        let number = if cancels { number.abs() } else { number };
        let whole = number.to_i64().ok_or_else(|| {
            CellFault::new("wrong_type", &reader.name, format!("{text:?} is no whole number of 64 bits"))
        })?;
        Ok(Some(whole))
    }

    /// The worth of the line in minor units, without sign if it is taken back.
    fn value(
        &self,
        cells: &impl Cells,
        quantity: Option<i64>,
        cancels: bool,
    ) -> Result<Option<Money>, CellFault> {
        let signless = |number: Decimal| if cancels { number.abs() } else { number };
        let amount = if let Some((price, reader, text)) = self.number("unit_price", cells)? {
            let line = quantity.and_then(|quantity| signless(price).times(quantity));
            (line.and_then(Decimal::to_minor), reader, text)
        } else if let Some((value, reader, text)) = self.number("value", cells)? {
            (signless(value).to_minor(), reader, text)
        } else if let Some((value, reader, text)) = self.number("value_minor", cells)? {
            (signless(value).to_i64(), reader, text)
        } else {
            return Ok(None);
        };
        let (Some(amount_minor), ..) = amount else {
            let (_, reader, text) = amount;
            if quantity.is_none() && self.members.contains_key("unit_price") {
                return Err(CellFault::new(
                    "missing",
                    &reader.name,
                    format!("{text} has no quantity beside it"),
                ));
            }
            let message = format!("{text:?} gives no whole number of minor units within 64 bits");
            return Err(CellFault::new("out_of_range", &reader.name, message));
        };
        if let Some(reader) = self.members.get("currency")
            && let Some(text) = reader.read(cells)?
            && text != self.currency.as_str()
        {
            let message = format!("{text:?} is not the project's currency {:?}", self.currency.as_str());
            return Err(CellFault::new("currency_mismatch", &reader.name, message));
        }
        Ok(Some(Money { amount_minor, currency: self.currency }))
    }

    fn attributes(&self, cells: &impl Cells) -> Result<Vec<(String, AttributeValue)>, CellFault> {
        let mut found = Vec::with_capacity(self.attributes.len());
        for (name, reader, kind) in &self.attributes {
            let Some(text) = reader.read(cells)? else { continue };
            let wrong =
                |what: &str| CellFault::new("wrong_type", &reader.name, format!("{text:?} is no {what}"));
            let value = match kind {
                AttributeKind::Text => AttributeValue::Text(text.into_owned()),
                AttributeKind::Flag => {
                    AttributeValue::Flag(text.parse().map_err(|_| wrong("true or false"))?)
                }
                AttributeKind::Number => {
                    let plain = if self.decimal_mark == ',' {
                        text.replace(',', ".")
                    } else {
                        text.clone().into_owned()
                    };
                    AttributeValue::Number(plain.parse().map_err(|_| wrong("number"))?)
                }
            };
            found.push((name.clone(), value));
        }
        Ok(found)
    }

    /// An id of the whole row: the same for equal rows of the same source, in whatever file and place they stand.
    fn content_id(&self, cells: &impl Cells) -> String {
        let mut hasher = Sha256::new();
        let mut add = |text: &str| {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        add(&self.source);
        cells.hash_content(&mut |name, text| {
            add(name);
            add(text);
        });
        hex(&hasher.finalize()[..12])
    }

    /// A fault of the event as a fault of the columns it came from.
    fn place(&self, fault: EventFault) -> CellFault {
        let members: &[&str] = match fault.path.as_str() {
            "value.amount_minor" => &["unit_price", "value", "value_minor"],
            "customer_id" if !self.members.contains_key("customer_id") => &["anonymous_id", "guest_id"],
            "anonymous_id" => &["anonymous_id", "guest_id"],
            path => &[path],
        };
        let column = members.iter().find_map(|member| self.members.get(*member));
        let column = column.map_or(fault.path, |reader| reader.name.clone());
        CellFault::new(&fault.code, column, fault.message)
    }
}
