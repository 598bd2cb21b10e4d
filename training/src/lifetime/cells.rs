//! Cells of a table of customers, and what is wrong with them, gathered over the whole file.

use std::collections::BTreeMap;
use std::path::Path;

use nextbest_models::table::TimeForm;
use nextbest_models::units::{Day, Timestamp};

use super::error::{LifetimeError, LifetimeFault, N_PLACES};
use crate::table::{TableFile, find};

/// The day `text` names, as `20260131` or in ISO 8601; a time of day does not count. None for anything else, and
/// outside the years 1900 to 2199.
#[must_use]
pub fn day(text: &str) -> Option<Day> {
    let days = if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        TimeForm::Iso.days(&format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]))
    } else {
        TimeForm::Iso.days(text)
    }?;
    let number = days.floor() as i32;
    (Timestamp::MIN.day().number()..=Timestamp::MAX.day().number())
        .contains(&number)
        .then(|| Day::from_number(number))
}

/// The columns that options name, each for one thing.
pub(super) fn places<const N: usize>(
    file: &TableFile,
    wanted: [(&'static str, Option<&String>); N],
) -> Result<[Option<usize>; N], LifetimeError> {
    let mut found = [None; N];
    for at in 0..N {
        let (option, Some(name)) = wanted[at] else { continue };
        let place = find(file, option, name)?;
        if let Some(first) = found.iter().position(|known| *known == Some(place)) {
            return Err(LifetimeError::NamedTwice(wanted[first].0, option, file.names[place].clone()));
        }
        found[at] = Some(place);
    }
    Ok(found)
}

/// Faults under way, by the order in which columns and bounds were met.
#[derive(Debug, Default)]
pub(super) struct Faults(BTreeMap<(String, &'static str), LifetimeFault>);

impl Faults {
    pub(super) fn add(&mut self, column: &str, bound: &'static str, row: u64, text: &str) {
        let fault = self.0.entry((column.to_owned(), bound));
        let fault = fault.or_insert_with(|| LifetimeFault {
            column: column.to_owned(),
            bound,
            n: 0,
            first: Vec::new(),
        });
        fault.n += 1;
        if fault.first.len() < N_PLACES {
            fault.first.push((row, text.to_owned()));
        }
    }

    /// Nothing, or all of it.
    pub(super) fn check(self, path: &Path) -> Result<(), LifetimeError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(LifetimeError::Unusable { path: path.to_owned(), faults: self.0.into_values().collect() })
    }
}
