//! What the columns of one table are: its schema, and what became of every column.

use nextbest_models::table::{CellKind, LeftOut, TableColumn, TableSchema, TimeForm};

use super::error::TableError;
use super::guard::SuspectedLeak;
use super::infer::{Finding, Wish, infer};
use super::options::{FitOptions, Roles};
use super::profile::Profile;
use super::report::ColumnReport;
use crate::learner::Monotone;

/// What the columns are.
pub(crate) struct Inferred {
    pub(crate) schema: TableSchema,
    /// The place of each feature in the header.
    pub(crate) places: Vec<usize>,
    pub(crate) columns: Vec<ColumnReport>,
}

impl Inferred {
    pub(crate) fn of(
        options: &FitOptions,
        names: &[String],
        roles: &Roles,
        profiles: &[Profile],
    ) -> Result<Self, TableError> {
        let (mut columns, mut places, mut features) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (name, profile)) in names.iter().zip(profiles).enumerate() {
            let mut column = ColumnReport::new(name, profile, None);
            match (roles.left_out[at], infer(name, profile, roles.wishes[at])) {
                (Some(reason), _) => column.left_out = Some(reason),
                (None, Finding::LeftOut(reason, why)) => {
                    column.left_out = Some(reason);
                    column.note = why;
                }
                (None, Finding::Feature(kind)) => {
                    column = ColumnReport::new(name, profile, Some(&kind));
                    places.push(at);
                    features.push(TableColumn { name: name.clone(), kind });
                }
                (None, Finding::Fault(found, fault)) => {
                    let (path, column) = (options.table.clone(), name.clone());
                    return Err(TableError::Cell { path, row: found.row, column, fault });
                }
            }
            columns.push(column);
        }
        let schema = TableSchema {
            key: roles.key.map(|at| names[at].clone()),
            label: options.label.clone(),
            time_column: roles.time.map(|at| names[at].clone()),
            columns: features,
            left_out: Vec::new(),
            missing: roles.tokens.clone(),
        };
        let inferred = Self { schema, places, columns };
        if inferred.places.is_empty() { Err(inferred.nothing_left()) } else { Ok(inferred) }
    }

    /// Leaves suspected leaks out, unless they are kept by name; which features stay.
    pub(crate) fn without(&mut self, leaks: &[SuspectedLeak], roles: &Roles) -> Vec<bool> {
        let mut keep = vec![true; self.places.len()];
        for leak in leaks {
            let Some(feature) = self.schema.columns.iter().position(|column| column.name == leak.column)
            else {
                continue;
            };
            let place = self.places[feature];
            self.columns[place].note = leak.why();
            if !roles.wishes[place].keep {
                keep[feature] = false;
                self.columns[place].left_out = Some(LeftOut::SuspectedLeak);
                self.columns[place].kind = None;
            }
        }
        let mut kept = keep.iter();
        self.schema.columns.retain(|_| kept.next().copied().unwrap_or(false));
        let left_out = self.columns.iter().filter_map(|column| Some((column.name.clone(), column.left_out?)));
        self.schema.left_out = left_out.collect();
        keep
    }

    /// Refuses constraints on what is no feature, or has no order.
    pub(crate) fn allow(&self, monotone: &Monotone) -> Result<(), TableError> {
        for name in monotone.keys() {
            let column = self.columns.iter().find(|column| column.name == *name);
            let is_code = self.schema.columns.iter().any(|known| known.name == *name && known.kind.is_code());
            let why = match column.map(|column| (column.left_out, &column.note)) {
                _ if is_code => "holds categories, which have no order".to_owned(),
                Some((Some(_), note)) if !note.is_empty() => format!("is left out ({note})"),
                Some((Some(_), _)) => "is left out".to_owned(),
                _ => continue,
            };
            return Err(TableError::Monotone { column: name.clone(), why });
        }
        Ok(())
    }

    pub(crate) fn nothing_left(&self) -> TableError {
        const N_NAMED: usize = 20;
        let reasons = self.columns.iter().filter_map(|column| {
            let reason = serde_json::to_value(column.left_out?).ok()?;
            let reason = reason.as_str()?.replace('_', " ");
            let note = if column.note.is_empty() { String::new() } else { format!(" ({})", column.note) };
            Some(format!("{} is left out as {reason}{note}", column.name))
        });
        let reasons: Vec<String> = reasons.take(N_NAMED).collect();
        TableError::NoFeatures(reasons.join("; "))
    }
}

/// The form of the time column; none where it holds numbers.
pub(crate) fn time_form(
    names: &[String],
    roles: &Roles,
    profiles: &[Profile],
) -> Result<Option<TimeForm>, TableError> {
    let Some(column) = roles.time else { return Ok(None) };
    match infer(&names[column], &profiles[column], Wish::default()) {
        Finding::Feature(CellKind::Time(form)) => Ok(Some(form)),
        Finding::LeftOut(LeftOut::AmbiguousDate, why) => {
            Err(TableError::NoTime { column: names[column].clone(), why })
        }
        // What is no number is told with its place when it is read.
        _ => Ok(None),
    }
}
