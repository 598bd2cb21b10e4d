//! The first pass over a table: what every column is made of, and whether its label can be learned.

use nextbest_models::table::LabelValue;
use rayon::prelude::*;

use super::error::TableError;
use super::fill;
use super::fit::Progress;
use super::options::{FitOptions, Roles};
use super::profile::Profile;
use super::read::TableFile;
use crate::learner::MIN_PER_CLASS;

/// What the first pass says of the label.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) n_rows: u64,
    pub(crate) n_positive: u64,
    n_negative: u64,
}

impl Tally {
    pub(crate) const fn n_labelled(&self) -> u64 {
        self.n_positive + self.n_negative
    }

    /// Refuses labels that teach nothing.
    pub(crate) fn check(&self, options: &FitOptions, label: &Profile) -> Result<(), TableError> {
        let (path, LabelValue { column, value }) = (options.table.clone(), options.label.clone());
        if self.n_rows == 0 {
            return Err(TableError::NoRows(path));
        }
        let named = format!("{column}={value}");
        if self.n_positive == 0 {
            return Err(TableError::LabelValue { path, column, value, known: known(label) });
        }
        if self.n_negative == 0 {
            return Err(TableError::OneClass { path, label: named, n_rows: self.n_positive });
        }
        for (found, which) in [(self.n_positive, "have"), (self.n_negative, "do not have")] {
            if found < MIN_PER_CLASS as u64 {
                return Err(TableError::TooFew { path, which: format!("{which} {named}"), found });
            }
        }
        Ok(())
    }
}

/// The values of a label's column, the most frequent first.
fn known(label: &Profile) -> String {
    const N_NAMED: usize = 10;
    let levels = label.levels();
    let mut named: Vec<String> =
        levels.iter().take(N_NAMED).map(|(text, n)| format!("{text:?} ({n} rows)")).collect();
    if label.n_distinct() > named.len() as u64 {
        named.push(format!("{} more", label.n_distinct() - named.len() as u64));
    }
    if named.is_empty() { "no values, every cell is missing".to_owned() } else { named.join(", ") }
}

/// The first pass: what every column is made of.
pub(crate) fn profiled(
    file: TableFile,
    roles: &Roles,
    label: &LabelValue,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(Vec<Profile>, Tally), TableError> {
    let of_names = |at: usize| at == roles.label || roles.wishes[at].category;
    let mut profiles: Vec<Profile> = (0..file.names.len())
        .map(|at| if of_names(at) { Profile::of_names() } else { Profile::default() })
        .collect();
    let mut tally = Tally::default();
    for rows in file {
        let rows = rows?;
        profiles.par_iter_mut().enumerate().for_each(|(column, profile)| {
            (0..rows.len())
                .for_each(|at| profile.observe(rows.place(at), rows.cell(at, column), &roles.tokens));
        });
        tally.n_rows += rows.len() as u64;
        for at in 0..rows.len() {
            match fill::outcome(label, rows.cell(at, roles.label), roles) {
                Some(true) => tally.n_positive += 1,
                Some(false) => tally.n_negative += 1,
                None => {}
            }
        }
        progress(Progress::Inferring(tally.n_rows));
    }
    Ok((profiles, tally))
}
