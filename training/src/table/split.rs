//! How the rows of one table are split, by what the caller said of its columns.

use super::error::TableError;
use super::fill::Filled;
use super::folds::{self, N_FOLDS, PartCount, SplitReport};
use super::options::{FitOptions, Roles};
use crate::selection::Validation;

/// How the rows are split.
pub(crate) struct Split {
    pub(crate) validation: Validation,
    pub(crate) report: SplitReport,
    /// Fold or part of every row.
    pub(crate) part_of_row: Vec<u32>,
    /// Folds by which columns are judged alone.
    pub(crate) guard_folds: Vec<u32>,
    pub(crate) n_guard_folds: u32,
}

impl Split {
    pub(crate) fn of(
        options: &FitOptions,
        roles: &Roles,
        names: &[String],
        filled: &Filled,
    ) -> Result<Self, TableError> {
        let column = roles.time.or(roles.fold).or(roles.group).or(roles.key).map(|at| names[at].clone());
        let hashed = folds::by_hash(&filled.bonds, options.seed);
        let outcomes = &filled.outcomes;
        if let Some(at) = roles.time {
            const PARTS: [&str; 3] = ["fit", "calibrate", "test"];
            let part_of_row = folds::by_time(&filled.times, &names[at])?;
            let name = |part: usize| format!("the {} part", PARTS[part]);
            let advice = "take a longer table, or another label";
            let mut parts = folds::counted(&part_of_row, outcomes, name, 3, advice)?;
            parts.iter_mut().zip(PARTS).for_each(|(part, name)| part.name = name.to_owned());
            let validation = folds::in_time(&part_of_row, outcomes);
            let report = SplitReport { by: "time", column, parts };
            return Ok(Self { validation, report, part_of_row, guard_folds: hashed, n_guard_folds: N_FOLDS });
        }
        let (by, (fold_of_row, n_folds), advice) = match (roles.fold, roles.group) {
            (Some(at), _) => {
                ("fold_column", folds::by_column(&filled.folds, &names[at])?, "change the column")
            }
            (None, Some(at)) => (
                "group",
                folds::by_group(&filled.bonds, options.seed, &names[at])?,
                "other groups, another --seed, or --fold-column",
            ),
            (None, None) => (
                if roles.key.is_some() { "key" } else { "row" },
                (hashed, N_FOLDS),
                "another --seed, or --fold-column",
            ),
        };
        let name = |fold: usize| format!("fold {}", fold + 1);
        let parts: Vec<PartCount> = folds::counted(&fold_of_row, outcomes, name, n_folds, advice)?;
        Ok(Self {
            validation: Validation::Folds { fold_of_row: fold_of_row.clone(), n_folds },
            report: SplitReport { by, column, parts },
            part_of_row: fold_of_row.clone(),
            guard_folds: fold_of_row,
            n_guard_folds: n_folds,
        })
    }
}
