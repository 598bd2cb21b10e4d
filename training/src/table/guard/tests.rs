//! Columns that know the outcome are found, and honest ones are left alone.

use nextbest_models::customer::CustomerId;
use nextbest_models::units::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::dataset::Column;

const N: usize = 4_000;

/// One column, made from the outcome and a random number; 20 % of rows have the outcome.
fn one(kind: &CellKind, cell: impl Fn(bool, f64) -> f64) -> Option<SuspectedLeak> {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let of = if kind.is_code() { Column::code } else { Column::numeric };
    let mut set = Dataset::new(vec![of("x")], vec!["label".into()]).unwrap();
    let mut outcomes = Vec::new();
    for row in 0..N {
        let outcome = rng.random_bool(0.2);
        let id = CustomerId::new(row.to_string()).unwrap();
        set.push(id, Timestamp::MIN, &[cell(outcome, rng.random())], &[Some(outcome)]).unwrap();
        outcomes.push(outcome);
    }
    let folds: Vec<u32> = (0..5).cycle().take(N).collect();
    let columns = [TableColumn { name: "x".into(), kind: kind.clone() }];
    leaks(&set, &columns, &outcomes, &folds, 5).pop()
}

fn category() -> CellKind {
    CellKind::Category { levels: ["open", "closed", "late"].map(str::to_owned).to_vec(), other: false }
}

#[test]
fn the_outcome_itself_is_found_whatever_it_is_called() {
    let copy = one(&CellKind::Number, |outcome, _| f64::from(u8::from(outcome))).unwrap();
    assert!((copy.auc, copy.value.as_ref()) == (1.0, None), "{copy:?}");
    let turned = one(&CellKind::Number, |outcome, u| if outcome { -u } else { 1.0 + u }).unwrap();
    assert!(turned.auc > 0.999, "{turned:?}");
    let filled = one(&CellKind::Number, |outcome, u| if outcome { u } else { f64::NAN }).unwrap();
    assert!(filled.auc > 0.999, "filled in only for those who left: {filled:?}");
}

#[test]
fn a_level_that_fixes_the_outcome_is_named() {
    let leak = one(
        &category(),
        |outcome, u| if outcome && u < 0.4 { 1.0 } else { 2.0 * f64::from(u8::from(u < 0.5)) },
    );
    let leak = leak.unwrap();
    let fixed = leak.value.as_ref().unwrap();
    assert_eq!((fixed.level.as_deref(), fixed.outcome), (Some("closed"), true));
    assert!(leak.auc < LEAK_AUC, "{leak:?}");
    assert!(leak.why().contains("rows where it is \"closed\" are with the outcome"), "{}", leak.why());
    let missing = one(&CellKind::Number, |outcome, u| if outcome && u < 0.4 { f64::NAN } else { u }).unwrap();
    assert!(missing.why().contains("where it is missing are with the outcome"), "{}", missing.why());
}

#[test]
fn a_number_that_fixes_the_outcome_is_named_as_a_level_is() {
    // As `conversion` beside `visit`: 1 only after the outcome, for a sixteenth of those who have it.
    let leak = one(&CellKind::Number, |outcome, u| f64::from(u8::from(outcome && u < 0.0625))).unwrap();
    assert_eq!(leak.value.as_ref().unwrap().level.as_deref(), Some("1"));
    // The highest bins of a quantity are no values of their own.
    assert_eq!(one(&CellKind::Number, |outcome, u| if outcome && u < 0.0625 { 2.0 + u } else { u }), None);
}

#[test]
fn honest_columns_are_left_alone() {
    assert_eq!(one(&CellKind::Number, |_, u| u), None);
    // Uniform, moved by half its width: AUC 1 - 0.5^2 / 2 = 0.875.
    assert_eq!(one(&CellKind::Number, |outcome, u| u + 0.5 * f64::from(u8::from(outcome))), None);
    assert_eq!(one(&category(), |_, u| (u * 3.0).floor()), None);
    // Ten rows of a level without the outcome: 0.8^10 is no evidence.
    assert_eq!(one(&category(), |outcome, u| if !outcome && u < 0.003 { 1.0 } else { 0.0 }), None);
}

#[test]
fn noise_alone_ranks_no_better_than_half() {
    // Each row its own level: out of fold nothing is known, so every score is the base rate.
    let mut counts: Counts = vec![vec![[0.0; 2]; 5]; 100];
    (0..100).for_each(|row| counts[row][row % 5][usize::from(row % 3 == 0)] = 1.0);
    let auc = auc_alone(&counts);
    assert!((auc - 0.5).abs() < 0.1, "{auc}");
}

#[test]
fn rows_that_stand_twice_are_counted_across_folds() {
    let mut set =
        Dataset::new(vec![Column::numeric("a"), Column::numeric("b")], vec!["label".into()]).unwrap();
    let rows = [[1.0, f64::NAN], [1.0, f64::NAN], [1.0, 2.0], [1.0, f64::NAN], [2.0, 1.0]];
    let outcomes = [true, true, true, false, true];
    for (row, outcome) in rows.iter().zip(outcomes) {
        set.push(CustomerId::new("c").unwrap(), Timestamp::MIN, row, &[Some(outcome)]).unwrap();
    }
    assert_eq!(duplicates(&set, &outcomes, &[0, 1, 0, 0, 0]), Duplicates { n_rows: 1, n_across: 1 });
    assert_eq!(duplicates(&set, &outcomes, &[0, 0, 0, 0, 0]), Duplicates { n_rows: 1, n_across: 0 });
}
