//! One cell of a row: read from its columns and brought into form, or tested by a rule.
//!
//! Texts come trimmed; an empty one is missing. Bounds are compared as exact decimals.

use std::borrow::Cow;
use std::cmp::Ordering;

use nextbest_models::project::source::{Bound, Case, Cell, Test};

use crate::import::decimal::Decimal;
use crate::import::fault::CellFault;
use crate::import::mapping::{Cells, MappingError};
use crate::nearest::nearest;

/// The number of a column, or the nearest name.
pub(super) type Number<'a> = &'a dyn Fn(&str) -> Result<usize, String>;

/// A compiled cell.
#[derive(Clone)]
pub(super) struct Reader {
    cell: Cell,
    columns: Vec<usize>,
    /// How errors name it.
    pub(super) name: String,
    /// One column and nothing to do to its text.
    is_plain: bool,
}

/// A compiled test.
#[derive(Clone)]
pub(super) struct Check {
    test: Test,
    column: usize,
    below: Option<Decimal>,
    at_most: Option<Decimal>,
    above: Option<Decimal>,
    at_least: Option<Decimal>,
}

impl Reader {
    pub(super) fn new(member: &str, cell: &Cell, number: Number<'_>) -> Result<Self, MappingError> {
        let find = |column: &String| number(column).map_err(|nearest| unknown(member, column, nearest));
        let columns = cell.columns.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let name = if columns.is_empty() { member.to_owned() } else { cell.columns.join("+") };
        let is_plain = columns.len() == 1
            && *cell
                == Cell {
                    columns: cell.columns.clone(),
                    separator: cell.separator.clone(),
                    format: cell.format.clone(),
                    kind: cell.kind,
                    ..Cell::default()
                };
        Ok(Self { cell: cell.clone(), columns, name, is_plain })
    }

    /// The text, or `None` if it is missing.
    pub(super) fn read<'a>(&'a self, cells: &'a impl Cells) -> Result<Option<Cow<'a, str>>, CellFault> {
        if self.is_plain {
            let text = cells.get(self.columns[0]).trim();
            return Ok((!text.is_empty()).then_some(Cow::Borrowed(text)));
        }
        let mut text = match (&self.cell.constant, self.columns.as_slice()) {
            (Some(constant), _) => return Ok(Some(Cow::Borrowed(constant))),
            (None, [column]) => Cow::Borrowed(cells.get(*column).trim()),
            (None, columns) => {
                let parts: Vec<_> = columns.iter().map(|&column| cells.get(column).trim()).collect();
                if parts.iter().all(|part| part.is_empty()) {
                    Cow::Borrowed("")
                } else {
                    Cow::Owned(parts.join(&self.cell.separator))
                }
            }
        };
        if text.is_empty() || self.cell.missing.iter().any(|missing| *missing == text) {
            return Ok(None);
        }
        if let Some(stripped) =
            self.cell.strip_prefix.as_ref().and_then(|prefix| text.strip_prefix(prefix.as_str()))
        {
            text = Cow::Owned(stripped.to_owned());
        }
        if let Some(stripped) =
            self.cell.strip_suffix.as_ref().and_then(|suffix| text.strip_suffix(suffix.as_str()))
        {
            text = Cow::Owned(stripped.to_owned());
        }
        match self.cell.case {
            Some(Case::Upper) => text = Cow::Owned(text.to_uppercase()),
            Some(Case::Lower) => text = Cow::Owned(text.to_lowercase()),
            None => {}
        }
        if !self.cell.map.is_empty() {
            let Some(mapped) = self.cell.map.get(text.as_ref()) else {
                let nearest = nearest(&text, self.cell.map.keys()).unwrap_or_default();
                let message = format!("{text:?} is not in the map; the nearest is {nearest:?}");
                return Err(CellFault::new("unknown_value", &self.name, message));
            };
            text = Cow::Borrowed(mapped);
        }
        Ok((!text.is_empty()).then_some(text))
    }
}

impl Check {
    pub(super) fn new(rule: &str, test: &Test, number: Number<'_>) -> Result<Self, MappingError> {
        let bound = |bound: &Option<Bound>| {
            let Some(bound) = bound else { return Ok(None) };
            let text = bound.as_str();
            let wrong = |_| MappingError::Bound { rule: rule.to_owned(), bound: text.to_owned() };
            Decimal::parse(text, '.').map(Some).map_err(wrong)
        };
        Ok(Self {
            column: number(&test.column).map_err(|nearest| unknown(rule, &test.column, nearest))?,
            below: bound(&test.below)?,
            at_most: bound(&test.at_most)?,
            above: bound(&test.above)?,
            at_least: bound(&test.at_least)?,
            test: test.clone(),
        })
    }

    /// Whether the row passes.
    pub(super) fn holds(&self, cells: &impl Cells, decimal_mark: char) -> Result<bool, CellFault> {
        let text = cells.get(self.column).trim();
        if let Some(missing) = self.test.missing {
            if missing != text.is_empty() {
                return Ok(false);
            }
            if missing {
                return Ok(true);
            }
        }
        if text.is_empty() {
            return Ok(false);
        }
        if self.test.prefix.as_ref().is_some_and(|prefix| !text.starts_with(prefix.as_str())) {
            return Ok(false);
        }
        if !self.test.one_of.is_empty() && !self.test.one_of.iter().any(|one| one == text) {
            return Ok(false);
        }
        if [self.below, self.at_most, self.above, self.at_least].iter().all(Option::is_none) {
            return Ok(true);
        }
        let number = decimal(text, decimal_mark, &self.test.column)?;
        let against = |bound: Option<Decimal>, passes: fn(Ordering) -> bool| {
            bound.is_none_or(|bound| passes(number.compare(bound)))
        };
        Ok(against(self.below, Ordering::is_lt)
            && against(self.at_most, Ordering::is_le)
            && against(self.above, Ordering::is_gt)
            && against(self.at_least, Ordering::is_ge))
    }
}

pub(super) fn decimal(text: &str, decimal_mark: char, column: &str) -> Result<Decimal, CellFault> {
    let wrong = |error| CellFault::new("wrong_type", column, format!("{text:?} {error}"));
    Decimal::parse(text, decimal_mark).map_err(wrong)
}

fn unknown(member: &str, column: &str, nearest: String) -> MappingError {
    MappingError::UnknownColumn { member: member.to_owned(), column: column.to_owned(), nearest }
}
