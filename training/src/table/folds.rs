//! Which rows a model is fitted on and which it is tested on: folds, or parts that lie apart in time.
//!
//! Folds are five, by a hash of seed and key, so a row stays in its fold whatever rows come or go; those of a column
//! of groups are dealt in the order of such a hash, so that few groups fill every fold; those of a column of folds
//! are taken as they stand. In time, the last fifth of the rows is tested on, the fifth before it calibrates and
//! chooses, the rest is fitted on; rows of one time stay together.

use std::collections::{BTreeMap, BTreeSet};

use nextbest_models::units::Seed;
use serde::Serialize;

use super::distinct::mixed;
use super::error::TableError;
use crate::dataset::Labelled;
use crate::selection::{Parts, Validation};

/// Folds, unless a column holds them.
pub const N_FOLDS: u32 = 5;
/// Most folds a column may hold.
const MAX_FOLDS: usize = 50;

/// How the rows were split, for the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitReport {
    /// `key`, `row`, `group`, `fold_column` or `time`.
    pub by: &'static str,
    /// The column, where there is one.
    pub column: Option<String>,
    /// Rows and those with the outcome, by fold or part.
    pub parts: Vec<PartCount>,
}

/// One fold or part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartCount {
    /// `fold 1`, `fit`, `calibrate`, `test`.
    pub name: String,
    /// Rows.
    pub n_rows: usize,
    /// Rows with the outcome.
    pub n_positive: usize,
}

/// Five folds by a hash of what binds rows together.
pub(crate) fn by_hash(bonds: &[u64], seed: Seed) -> Vec<u32> {
    bonds.iter().map(|&bond| fold_of(bond, N_FOLDS, seed)).collect()
}

/// The fold, of `n_folds`, of one key or group.
pub(crate) fn fold_of(bond: u64, n_folds: u32, seed: Seed) -> u32 {
    u32::try_from(mixed(bond ^ mixed(seed.0)) % u64::from(n_folds.max(1))).unwrap_or(0)
}

/// Groups dealt out to at most five folds; the folds' number.
pub(crate) fn by_group(bonds: &[u64], seed: Seed, column: &str) -> Result<(Vec<u32>, u32), TableError> {
    let groups: BTreeSet<u64> = bonds.iter().copied().collect();
    if groups.len() < 2 {
        let (column, found) = (column.to_owned(), groups.len());
        return Err(TableError::FoldCount { column, found, bound: "at least 2".to_owned(), what: "groups" });
    }
    let mut order: Vec<(u64, u64)> =
        groups.iter().map(|&group| (mixed(group ^ mixed(seed.0)), group)).collect();
    order.sort_unstable();
    let n_folds = N_FOLDS.min(u32::try_from(order.len()).unwrap_or(N_FOLDS));
    let dealt: BTreeMap<u64, u32> =
        order.iter().zip((0..n_folds).cycle()).map(|(&(_, group), fold)| (group, fold)).collect();
    Ok((bonds.iter().map(|bond| dealt[bond]).collect(), n_folds))
}

/// The folds that a column holds, numbered in the order of their texts.
pub(crate) fn by_column(folds: &[String], column: &str) -> Result<(Vec<u32>, u32), TableError> {
    let texts: BTreeSet<&str> = folds.iter().map(String::as_str).collect();
    if !(2..=MAX_FOLDS).contains(&texts.len()) {
        let (column, found) = (column.to_owned(), texts.len());
        return Err(TableError::FoldCount {
            column,
            found,
            bound: format!("2 to {MAX_FOLDS}"),
            what: "folds",
        });
    }
    let number: BTreeMap<&str, u32> = texts.into_iter().zip(0..).collect();
    let n_folds = u32::try_from(number.len()).unwrap_or(0);
    Ok((folds.iter().map(|text| number[text.as_str()]).collect(), n_folds))
}

/// Fit, calibrate and test in the order of time, as parts 0, 1 and 2 per row.
pub(crate) fn by_time(times: &[f64], column: &str) -> Result<Vec<u32>, TableError> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    // Rows of one time stay together: the earliest time of the last fifth, and of the fifth before.
    let (test, calibrate) = (sorted[n * 4 / 5], sorted[n * 3 / 5]);
    let part = |&time: &f64| if time >= test { 2 } else { u32::from(time >= calibrate) };
    let parts: Vec<u32> = times.iter().map(part).collect();
    if (0..3).any(|wanted| !parts.contains(&wanted)) {
        sorted.dedup();
        return Err(TableError::Times { column: column.to_owned(), found: sorted.len() });
    }
    Ok(parts)
}

/// Every part counted, and refused where it has one outcome only.
pub(crate) fn counted(
    part_of_row: &[u32],
    outcomes: &[bool],
    name: impl Fn(usize) -> String,
    n_parts: u32,
    advice: &'static str,
) -> Result<Vec<PartCount>, TableError> {
    let mut counts: Vec<PartCount> =
        (0..n_parts as usize).map(|part| PartCount { name: name(part), n_rows: 0, n_positive: 0 }).collect();
    for (&part, &outcome) in part_of_row.iter().zip(outcomes) {
        let count = &mut counts[part as usize];
        count.n_rows += 1;
        count.n_positive += usize::from(outcome);
    }
    match counts.iter().find(|count| count.n_positive == 0 || count.n_positive == count.n_rows) {
        Some(count) => Err(TableError::OneClassPart {
            part: count.name.clone(),
            n_rows: count.n_rows,
            which: if count.n_positive == 0 { "without the outcome" } else { "with the outcome" },
            advice,
        }),
        None => Ok(counts),
    }
}

/// Parts in time, as learners take them.
pub(crate) fn in_time(parts: &[u32], outcomes: &[bool]) -> Validation {
    let pick = |wanted: u32| {
        let rows: Vec<usize> = (0..parts.len()).filter(|&row| parts[row] == wanted).collect();
        let outcomes = rows.iter().map(|&row| outcomes[row]).collect();
        Labelled { rows, outcomes }
    };
    Validation::InTime(Parts { fit: pick(0), calibrate: pick(1), test: pick(2) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::distinct::hash;

    #[test]
    fn a_key_keeps_its_fold_and_folds_are_of_near_size() {
        let bonds: Vec<u64> = (0..10_000).map(|n| hash(&format!("c{}", n / 2))).collect();
        let folds = by_hash(&bonds, Seed(1));
        assert!(folds.chunks(2).all(|pair| pair[0] == pair[1]));
        for fold in 0..N_FOLDS {
            let n = folds.iter().filter(|&&one| one == fold).count() as f64;
            // 5,000 keys of two rows: mean 2,000 rows, standard deviation 2 sqrt(5000 x .2 x .8) = 57.
            assert!((n - 2_000.0).abs() < 4.0 * 57.0, "{fold}: {n}");
        }
        assert_eq!(by_hash(&bonds[..100], Seed(1)), folds[..100], "other rows do not matter");
        assert_ne!(by_hash(&bonds, Seed(2)), folds);
    }

    #[test]
    fn few_groups_fill_every_fold() {
        let bonds: Vec<u64> = (0..700).map(|n| hash(&format!("shop {}", n % 7))).collect();
        let (folds, n_folds) = by_group(&bonds, Seed(1), "shop").unwrap();
        assert_eq!((n_folds, folds.iter().collect::<BTreeSet<_>>().len()), (5, 5));
        assert!((0..7).all(|shop| (0..100).all(|n| folds[n * 7 + shop] == folds[shop])));
        assert_eq!(by_group(&bonds[..3], Seed(1), "shop").unwrap().1, 3);
        let fault = by_group(&bonds[..1], Seed(1), "shop").unwrap_err().to_string();
        assert_eq!(fault, "\"shop\" has 1 different values; at least 2 are needed as groups");
    }

    #[test]
    fn a_column_of_folds_is_taken_as_it_stands() {
        let texts = ["b", "a", "c", "a"].map(str::to_owned);
        assert_eq!(by_column(&texts, "f").unwrap(), (vec![1, 0, 2, 0], 3));
        let many: Vec<String> = (0..51).map(|n| n.to_string()).collect();
        let fault = by_column(&many, "f").unwrap_err().to_string();
        assert_eq!(fault, "\"f\" has 51 different values; 2 to 50 are needed as folds");
    }

    #[test]
    fn rows_of_one_time_stay_together() {
        let times: Vec<f64> = (0..100).map(|n| f64::from(n / 10)).collect();
        let parts = by_time(&times, "day").unwrap();
        assert_eq!(parts.iter().filter(|&&part| part == 2).count(), 20);
        assert_eq!(parts.iter().filter(|&&part| part == 1).count(), 20);
        assert!(
            times
                .iter()
                .zip(&parts)
                .all(|(&time, &part)| part == if time >= 8.0 { 2 } else { u32::from(time >= 6.0) })
        );
        let fault = by_time(&[1.0, 1.0, 1.0, 2.0], "day").unwrap_err().to_string();
        assert_eq!(
            fault,
            "\"day\" has 2 different times; fit, calibrate and test need at least 3, and enough rows at each"
        );
    }

    #[test]
    fn a_part_with_one_outcome_is_refused_by_name() {
        let count =
            |outcomes: &[bool]| counted(&[0, 0, 1, 1], outcomes, |k| format!("fold {}", k + 1), 2, "advice");
        assert_eq!(count(&[true, false, true, false]).unwrap()[1].n_positive, 1);
        let fault = count(&[true, false, false, false]).unwrap_err().to_string();
        assert_eq!(
            fault,
            "fold 2 has 2 rows, all without the outcome; both outcomes are needed in each: advice"
        );
    }
}
