//! Columns that differ between the arms: in a randomised trial none does but by chance, unless it was known only after
//! the treatment.

use nextbest_models::table::TableColumn;
use rayon::prelude::*;
use serde::Serialize;

use super::trial::Trial;
use crate::table::Levels;

/// A column differs if chance would bring that about in fewer than one of a million columns.
const MOST_Z: f64 = 4.75;

/// A column whose values differ between the arms.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Differing {
    /// The column.
    pub column: String,
    /// How far beyond chance, in standard deviations.
    pub z: f64,
}

/// Pearson's chi-square of arm against level (64 bins of a quantity), as a normal deviate (Wilson & Hilferty 1931).
pub(super) fn differing(trial: &Trial, columns: &[TableColumn]) -> Vec<Differing> {
    let folds = vec![0; trial.len()];
    let test = |(feature, column): (usize, &TableColumn)| {
        let cells: Vec<f64> = (0..trial.len()).map(|row| trial.dataset.row(row)[feature]).collect();
        let counts = Levels::of(&cells, &column.kind).counts(&trial.treated, &folds, 1);
        let z = deviate(&counts.iter().map(|level| level[0]).collect::<Vec<_>>())?;
        (z > MOST_Z).then(|| Differing { column: column.name.clone(), z })
    };
    columns.par_iter().enumerate().filter_map(test).collect()
}

/// Of rows by level and arm; levels of fewer than 10 rows are left out, as the approximation fails there.
fn deviate(levels: &[[f64; 2]]) -> Option<f64> {
    let levels: Vec<&[f64; 2]> = levels.iter().filter(|n| n[0] + n[1] >= 10.0).collect();
    let freedom = levels.len().checked_sub(1).filter(|freedom| *freedom > 0)? as f64;
    let arms = levels.iter().fold([0.0; 2], |sum, n| [sum[0] + n[0], sum[1] + n[1]]);
    let all = arms[0] + arms[1];
    let cells = levels.iter().flat_map(|n| {
        [0, 1].map(|arm| {
            let expected = (n[0] + n[1]) * arms[arm] / all;
            if expected > 0.0 { (n[arm] - expected).powi(2) / expected } else { 0.0 }
        })
    });
    let chi2: f64 = cells.sum();
    let ninth = 2.0 / (9.0 * freedom);
    Some(((chi2 / freedom).cbrt() - (1.0 - ninth)) / ninth.sqrt())
}
