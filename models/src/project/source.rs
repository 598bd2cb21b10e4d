//! `[[source]]` of nextbest.toml: how the rows of a business's own files become events, as data.
//!
//! A source says which files it is for and, for each member of an event, from which columns or constant it comes.
//! The types here hold what was written and check what can be checked without a file; `import` does the reading.
//! No row is mapped here, and no time zone is looked up.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::EventType;

mod cell;

pub use cell::{AttributeKind, Bound, Case, Cell};

/// Most set-aside rules of one source.
pub const MAX_SET_ASIDE_RULES: usize = 48;

/// One `[[source]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Names the source in reports and in derived event ids: letters, digits, `_`, `-`.
    pub name: String,
    /// Patterns of file names (`*` any run, `?` one character); the first source with one that fits takes the file.
    pub files: Vec<String>,
    /// How the files are written; absent: by their ending, `.gz` aside.
    #[serde(default)]
    pub format: Option<SourceFormat>,
    /// Between the cells of a CSV file.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Between the whole and the fraction of a number; the other one of `.` and `,` may group thousands.
    #[serde(default = "point")]
    pub decimal_mark: char,
    /// IANA name, of times without an offset; absent: the project's.
    #[serde(default)]
    pub time_zone: Option<String>,

    /// Dedupe key; absent: derived from the content of the whole row, so that equal rows are duplicates.
    #[serde(default)]
    pub event_id: Option<Cell>,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: Cell,
    /// When it happened.
    pub occurred_at: Cell,
    /// When it became known; absent: when it happened.
    #[serde(default)]
    pub known_at: Option<Cell>,
    /// The customer.
    #[serde(default)]
    pub customer_id: Option<Cell>,
    /// The visitor, beside or instead of the customer.
    #[serde(default)]
    pub anonymous_id: Option<Cell>,
    /// `anonymous_id` of rows that have neither a customer nor a visitor: the number of the order, say.
    #[serde(default)]
    pub guest_id: Option<Cell>,
    /// The session.
    #[serde(default)]
    pub session_id: Option<Cell>,
    /// The channel.
    #[serde(default)]
    pub channel: Option<Cell>,
    /// Stock-keeping unit.
    #[serde(default)]
    pub sku: Option<Cell>,
    /// Whole units.
    #[serde(default)]
    pub quantity: Option<Cell>,
    /// Worth of the line in major units (12.50).
    #[serde(default)]
    pub value: Option<Cell>,
    /// Price of one unit in major units: value = quantity x unit price.
    #[serde(default)]
    pub unit_price: Option<Cell>,
    /// Worth of the line in minor units (1250).
    #[serde(default)]
    pub value_minor: Option<Cell>,
    /// Currency of the row, which must be the project's; absent: the project's.
    #[serde(default)]
    pub currency: Option<Cell>,
    /// The decision this follows from.
    #[serde(default)]
    pub decision_id: Option<Cell>,
    /// The quote this follows from.
    #[serde(default)]
    pub quote_id: Option<Cell>,
    /// The action concerned.
    #[serde(default)]
    pub action_id: Option<Cell>,
    /// The treatment concerned.
    #[serde(default)]
    pub treatment_id: Option<Cell>,
    /// What the row revises, where the file says so itself.
    #[serde(default)]
    pub refers_to: Option<ReferenceCells>,
    /// Attributes by name.
    #[serde(default)]
    pub attributes: BTreeMap<String, Cell>,

    /// Which rows take an earlier one back.
    #[serde(default)]
    pub cancellation: Option<Cancellation>,
    /// Which rows become no event, in order of precedence.
    #[serde(default)]
    pub set_aside: Vec<SetAside>,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceFormat {
    /// One header row, cells by position.
    Csv,
    /// One JSON object per line; a nested member is the column `outer.inner`.
    JsonLines,
    /// Parquet.
    Parquet,
}

/// `refers_to` of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceCells {
    /// Its `event_id`.
    pub event_id: Cell,
    /// When that happened.
    pub occurred_at: Cell,
}

/// `[source.cancellation]`: rows that take an earlier one of the same customer and SKU back.
///
/// Their quantity and value are read without sign. Each is matched to the latest earlier line or lines with enough
/// quantity left, and booked on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    /// Which rows.
    pub when: Test,
    /// `order_cancelled` or `refunded`.
    #[serde(rename = "type", default = "order_cancelled")]
    pub event_type: EventType,
    /// The type of the lines they may take back.
    #[serde(default = "order_placed")]
    pub revises: EventType,
}

/// `[[source.set_aside]]`: rows that become no event and are counted under the rule's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetAside {
    /// Names the bucket of the report.
    pub name: String,
    /// Which rows.
    pub when: Test,
    /// Among which rows the rule looks.
    #[serde(default)]
    pub among: Among,
}

/// Which rows a set-aside rule looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Among {
    /// All.
    #[default]
    All,
    /// Those the cancellation rule takes.
    Cancellations,
    /// Those it does not take.
    Others,
}

/// A test of one column: all the conditions that are given must hold; a missing value passes only `missing = true`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// The column.
    pub column: String,
    /// The text starts with this.
    #[serde(default)]
    pub prefix: Option<String>,
    /// The text is one of these.
    #[serde(default, rename = "in")]
    pub one_of: Vec<String>,
    /// The number is smaller.
    #[serde(default)]
    #[schemars(with = "Option<f64>")]
    pub below: Option<Bound>,
    /// The number is not larger.
    #[serde(default)]
    #[schemars(with = "Option<f64>")]
    pub at_most: Option<Bound>,
    /// The number is larger.
    #[serde(default)]
    #[schemars(with = "Option<f64>")]
    pub above: Option<Bound>,
    /// The number is not smaller.
    #[serde(default)]
    #[schemars(with = "Option<f64>")]
    pub at_least: Option<Bound>,
    /// Whether it is missing.
    #[serde(default)]
    pub missing: Option<bool>,
}

/// What is wrong with a source: which, near which word of the file, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("source {source_name:?}: {message}")]
pub struct SourceFault {
    /// The source's name.
    pub source_name: String,
    /// A word that stands near the fault in nextbest.toml.
    pub near: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl Source {
    /// The cells with the member each one fills, in the order of the wire; attributes as `attributes.NAME`.
    #[must_use]
    pub fn cells(&self) -> Vec<(String, &Cell)> {
        let fixed = [
            ("event_id", self.event_id.as_ref()),
            ("type", Some(&self.event_type)),
            ("occurred_at", Some(&self.occurred_at)),
            ("known_at", self.known_at.as_ref()),
            ("customer_id", self.customer_id.as_ref()),
            ("anonymous_id", self.anonymous_id.as_ref()),
            ("guest_id", self.guest_id.as_ref()),
            ("session_id", self.session_id.as_ref()),
            ("channel", self.channel.as_ref()),
            ("sku", self.sku.as_ref()),
            ("quantity", self.quantity.as_ref()),
            ("value", self.value.as_ref()),
            ("unit_price", self.unit_price.as_ref()),
            ("value_minor", self.value_minor.as_ref()),
            ("currency", self.currency.as_ref()),
            ("decision_id", self.decision_id.as_ref()),
            ("quote_id", self.quote_id.as_ref()),
            ("action_id", self.action_id.as_ref()),
            ("treatment_id", self.treatment_id.as_ref()),
            ("refers_to.event_id", self.refers_to.as_ref().map(|cells| &cells.event_id)),
            ("refers_to.occurred_at", self.refers_to.as_ref().map(|cells| &cells.occurred_at)),
        ];
        let fixed = fixed.into_iter().filter_map(|(member, cell)| Some((member.to_owned(), cell?)));
        fixed.chain(self.attributes.iter().map(|(name, cell)| (format!("attributes.{name}"), cell))).collect()
    }

    /// The tests of the cancellation and set-aside rules, with the name of the rule.
    #[must_use]
    pub fn tests(&self) -> Vec<(&str, &Test)> {
        let cancellation = self.cancellation.iter().map(|rule| ("cancellation", &rule.when));
        cancellation.chain(self.set_aside.iter().map(|rule| (rule.name.as_str(), &rule.when))).collect()
    }

    /// The columns a file must have, each with the member or rule that asks for it.
    #[must_use]
    pub fn columns(&self) -> Vec<(String, &str)> {
        let cells = self.cells();
        let of_cells = cells.into_iter().flat_map(|(member, cell)| {
            cell.columns.iter().map(move |column| (member.clone(), column.as_str()))
        });
        let of_tests = self.tests().into_iter().map(|(rule, test)| (rule.to_owned(), test.column.as_str()));
        of_cells.chain(of_tests).collect()
    }

    /// All that is wrong with it and can be seen without a file.
    #[must_use]
    pub fn faults(&self) -> Vec<SourceFault> {
        let mut faults = Faults { source: self, found: Vec::new() };
        if !is_name(&self.name) {
            faults.add("name", format!("name {:?} takes letters, digits, _ and -", self.name));
        }
        if self.files.is_empty() {
            faults.add(&self.name, "files names no pattern, so no file can be taken");
        }
        if ![',', '.'].contains(&self.decimal_mark) {
            faults
                .add("decimal_mark", format!("decimal_mark {:?} is neither '.' nor ','", self.decimal_mark));
        }
        if !self.delimiter.is_ascii() || self.delimiter == '"' || self.delimiter == '\n' {
            faults.add("delimiter", format!("delimiter {:?} is no single ASCII character", self.delimiter));
        }
        if self.customer_id.is_none() && self.anonymous_id.is_none() && self.guest_id.is_none() {
            faults.add(&self.name, "none of customer_id, anonymous_id and guest_id is given");
        }
        self.check_cells(&mut faults);
        self.check_rules(&mut faults);
        faults.found
    }

    fn check_cells(&self, faults: &mut Faults<'_>) {
        let values = [&self.value, &self.unit_price, &self.value_minor];
        if values.iter().filter(|cell| cell.is_some()).count() > 1 {
            faults.add("value", "only one of value, unit_price and value_minor may be given");
        }
        if self.unit_price.is_some() && self.quantity.is_none() {
            faults.add("unit_price", "unit_price needs quantity: value = quantity x unit_price");
        }
        for (member, cell) in self.cells() {
            if cell.format.is_some() && !member.ends_with("_at") {
                faults.add(&member, format!("{member}: format belongs to times"));
            }
            if cell.kind.is_some() && !member.starts_with("attributes.") {
                faults.add(&member, format!("{member}: kind belongs to attributes"));
            }
        }
        let constants = self.event_type.constant.iter();
        for name in constants.chain(self.event_type.map.values()) {
            if let Err(error) = name.parse::<EventType>() {
                faults.add(name, format!("type: {error}"));
            }
        }
    }

    fn check_rules(&self, faults: &mut Faults<'_>) {
        for (rule, test) in self.tests() {
            let numeric = [&test.below, &test.at_most, &test.above, &test.at_least];
            let any = test.prefix.is_some() || !test.one_of.is_empty() || test.missing.is_some();
            if !any && numeric.iter().all(|bound| bound.is_none()) {
                let known = "prefix, in, below, at_most, above, at_least, missing";
                faults.add(rule, format!("{rule}: the test of column {:?} has none of {known}", test.column));
            }
        }
        if let Some(rule) = &self.cancellation {
            if !rule.event_type.is_revision() {
                let message =
                    format!("cancellation: type {} is not order_cancelled or refunded", rule.event_type);
                faults.add("cancellation", message);
            }
            if self.sku.is_none() || self.quantity.is_none() {
                faults.add(
                    "cancellation",
                    "cancellation: rows are matched by sku and quantity, which are not given",
                );
            }
        }
        for (at, rule) in self.set_aside.iter().enumerate() {
            if !is_name(&rule.name) {
                faults.add(
                    &rule.name,
                    format!("set_aside: name {:?} takes letters, digits, _ and -", rule.name),
                );
            }
            if self.set_aside.iter().take(at).any(|other| other.name == rule.name) {
                faults.add(&rule.name, format!("set_aside: two rules are named {:?}", rule.name));
            }
        }
        if self.set_aside.len() > MAX_SET_ASIDE_RULES {
            let message = format!("{} set_aside rules, at most {MAX_SET_ASIDE_RULES}", self.set_aside.len());
            faults.add("set_aside", message);
        }
    }
}

struct Faults<'a> {
    source: &'a Source,
    found: Vec<SourceFault>,
}

impl Faults<'_> {
    fn add(&mut self, near: &str, message: impl Into<String>) {
        let (source_name, near) = (self.source.name.clone(), near.to_owned());
        self.found.push(SourceFault { source_name, near, message: message.into() });
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn comma() -> char {
    ','
}

fn point() -> char {
    '.'
}

fn order_cancelled() -> EventType {
    EventType::OrderCancelled
}

fn order_placed() -> EventType {
    EventType::OrderPlaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &str) -> Result<Source, String> {
        let head = "name = \"shop\"\nfiles = [\"*.csv\"]\noccurred_at = \"at\"\n";
        toml::from_str(&format!("{head}{rest}")).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_cell_is_a_column_a_list_or_a_table() {
        let source = parse(
            r#"type = { constant = "order_placed" }
               customer_id = { column = "Customer", strip_suffix = ".0" }
               event_id = ["Invoice", "Line"]
               set_aside = [{ name = "free", when = { column = "Price", at_most = 0.10 } }]"#,
        )
        .unwrap();
        assert_eq!(source.occurred_at, Cell::column("at"));
        assert_eq!(source.event_id.as_ref().unwrap().columns, ["Invoice", "Line"]);
        assert_eq!(source.set_aside[0].when.at_most.as_ref().unwrap().as_str(), "0.1");
        assert_eq!(source.faults(), []);
        let asked: Vec<_> = source.columns().into_iter().map(|(_, column)| column).collect();
        assert_eq!(asked, ["Invoice", "Line", "at", "Customer", "Price"]);
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        assert_eq!(parse(r#"type = {}"#), Err("give exactly one of column, columns and constant".into()));
        let unknown = parse("type = { colum = \"x\" }").unwrap_err();
        assert!(unknown.contains("unknown field `colum`"), "{unknown}");
        let wrong = parse("type = 3").unwrap_err();
        assert!(wrong.contains("a column name, a list of them, or a table"), "{wrong}");
    }

    #[test]
    fn what_cannot_work_is_named() {
        let source = parse(
            r#"type = { constant = "order_placd" }
               sku = { column = "s", kind = "number" }
               unit_price = { column = "p", format = "%Y" }
               cancellation = { when = { column = "i" }, type = "clicked" }
               set_aside = [{ name = "a b", when = { column = "x", missing = true } }]"#,
        );
        let messages: Vec<_> = source.unwrap().faults().into_iter().map(|fault| fault.message).collect();
        assert_eq!(
            messages,
            [
                "none of customer_id, anonymous_id and guest_id is given",
                "unit_price needs quantity: value = quantity x unit_price",
                "sku: kind belongs to attributes",
                "unit_price: format belongs to times",
                "type: \"order_placd\" is no event type; the nearest is \"order_placed\"",
                "cancellation: the test of column \"i\" has none of prefix, in, below, at_most, above, at_least, missing",
                "cancellation: type clicked is not order_cancelled or refunded",
                "cancellation: rows are matched by sku and quantity, which are not given",
                "set_aside: name \"a b\" takes letters, digits, _ and -",
            ]
        );
    }
}
