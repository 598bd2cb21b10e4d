//! Where a value of a row comes from, as it is written: a column, several, or a constant; and decimal bounds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Where one member of an event comes from: a column (a bare string), several joined, or a constant.
///
/// A text is taken in this order: joined, trimmed, `strip_prefix`, `strip_suffix`, `case`, `map`. An empty text, or
/// one listed under `missing`, is a missing value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The columns; none for a constant.
    pub columns: Vec<String>,
    /// The constant.
    pub constant: Option<String>,
    /// Between several columns.
    pub separator: String,
    /// Taken off the front where it is there.
    pub strip_prefix: Option<String>,
    /// Taken off the end where it is there.
    pub strip_suffix: Option<String>,
    /// Letter case to bring it to.
    pub case: Option<Case>,
    /// Text in the file to text of the event; a text that is not in it is a fault. Empty: none.
    pub map: BTreeMap<String, String>,
    /// Texts that mean "missing".
    pub missing: Vec<String>,
    /// Of times: a strptime format, or `unix_s`, `unix_ms`; absent: RFC 3339.
    pub format: Option<String>,
    /// Of attributes: what the value is.
    pub kind: Option<AttributeKind>,
}

/// Letter case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// ABC
    Upper,
    /// abc
    Lower,
}

/// What the value of an attribute is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttributeKind {
    /// A text.
    #[default]
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
}

/// A decimal bound, kept as it was written so that 0.1 is a tenth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Bound(String);

impl Bound {
    /// The number's decimal text: digits with an optional sign, point and fraction.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Cell {
    /// The cell of one column, as a bare string writes it.
    #[must_use]
    pub fn column(name: impl Into<String>) -> Self {
        Self { columns: vec![name.into()], ..Self::default() }
    }

    /// A constant.
    #[must_use]
    pub fn constant(text: impl Into<String>) -> Self {
        Self { constant: Some(text.into()), ..Self::default() }
    }
}

/// The table form of a [`Cell`].
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct CellTable {
    column: Option<String>,
    columns: Vec<String>,
    constant: Option<String>,
    separator: Option<String>,
    strip_prefix: Option<String>,
    strip_suffix: Option<String>,
    case: Option<Case>,
    map: BTreeMap<String, String>,
    missing: Vec<String>,
    format: Option<String>,
    kind: Option<AttributeKind>,
}

impl TryFrom<CellTable> for Cell {
    type Error = &'static str;

    fn try_from(table: CellTable) -> Result<Self, Self::Error> {
        let columns = match (table.column, table.columns, &table.constant) {
            (Some(column), columns, None) if columns.is_empty() => vec![column],
            (None, columns, None) if !columns.is_empty() => columns,
            (None, columns, Some(_)) if columns.is_empty() => columns,
            _ => return Err("give exactly one of column, columns and constant"),
        };
        Ok(Self {
            columns,
            constant: table.constant,
            separator: table.separator.unwrap_or_else(|| "/".to_owned()),
            strip_prefix: table.strip_prefix,
            strip_suffix: table.strip_suffix,
            case: table.case,
            map: table.map,
            missing: table.missing,
            format: table.format,
            kind: table.kind,
        })
    }
}

impl JsonSchema for Cell {
    fn schema_name() -> Cow<'static, str> {
        "Cell".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> schemars::Schema {
        let table = generator.subschema_for::<CellTable>();
        json_schema!({
            "description": "A column, a list of them, or a table",
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }, table],
        })
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CellVisitor;
        impl<'de> Visitor<'de> for CellVisitor {
            type Value = Cell;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column name, a list of them, or a table such as { constant = \"web\" }")
            }

            fn visit_str<E: serde::de::Error>(self, column: &str) -> Result<Cell, E> {
                Ok(Cell::column(column))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, columns: A) -> Result<Cell, A::Error> {
                let columns = Vec::deserialize(SeqAccessDeserializer::new(columns))?;
                let table = CellTable { columns, ..CellTable::default() };
                Cell::try_from(table).map_err(A::Error::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Cell, A::Error> {
                let table = CellTable::deserialize(MapAccessDeserializer::new(table))?;
                Cell::try_from(table).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(CellVisitor)
    }
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BoundVisitor;
        impl Visitor<'_> for BoundVisitor {
            type Value = Bound;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Bound, E> {
                Ok(Bound(number.to_string()))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Bound, E> {
                Ok(Bound(number.to_string()))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Bound, E> {
                // Display gives the shortest decimal that reads back, never an exponent.
                if number.is_finite() {
                    Ok(Bound(number.to_string()))
                } else {
                    Err(E::custom("no finite number"))
                }
            }
        }
        deserializer.deserialize_any(BoundVisitor)
    }
}
