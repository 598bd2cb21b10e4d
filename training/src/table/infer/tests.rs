//! Columns as tables have them, and the kinds they get.

use nextbest_models::table::MissingTokens;

use super::*;

fn found(name: &str, cells: &[String], wish: Wish) -> Finding {
    let tokens = MissingTokens::with(&[]);
    let mut profile = Profile::default();
    cells.iter().zip(2..).for_each(|(cell, row)| profile.observe(row, cell, &tokens));
    infer(name, &profile, wish)
}

fn of(cells: impl IntoIterator<Item = impl ToString>) -> Finding {
    found("x", &cells.into_iter().map(|cell| cell.to_string()).collect::<Vec<_>>(), Wish::default())
}

fn left_out(finding: &Finding) -> Option<LeftOut> {
    match finding {
        Finding::LeftOut(reason, _) => Some(*reason),
        _ => None,
    }
}

#[test]
fn numbers_stay_numbers_with_their_missing_tokens() {
    assert_eq!(of(["1", "2", "", "?", "None"]), Finding::Feature(CellKind::Number));
    assert_eq!(of(["0", "1", "1", "0"]), Finding::Feature(CellKind::Number), "few values are still numbers");
    assert_eq!(of(["7", "7", "NA"]), Finding::Feature(CellKind::Number), "missing or not says something");
}

#[test]
fn levels_come_by_frequency_then_text() {
    let expected = CellKind::Category { levels: vec!["b".into(), "?".into(), "a".into()], other: false };
    assert_eq!(of(["a", "b", "?", "b"]), Finding::Feature(expected));
    let ages = of((0..100).map(|n| ["21", "26", "31", "50plus"][n % 4]));
    assert!(matches!(ages, Finding::Feature(CellKind::Category { levels, .. }) if levels.len() == 4));
    let mixed = (0..100).map(|n| if n % 40 == 0 { "3+".to_owned() } else { (n % 5).to_string() });
    assert!(matches!(of(mixed), Finding::Feature(CellKind::Category { .. })), "few levels, mostly numbers");
}

#[test]
fn many_levels_share_a_code_beyond_the_cap() {
    let cells = (0..30_000_u32).map(|n| format!("level {}", n % 10_000));
    let Finding::Feature(CellKind::Category { levels, other }) = of(cells) else { panic!() };
    assert_eq!((levels.len(), other), (MAX_LEVELS, true));
}

#[test]
fn yes_and_no_are_told_apart_from_other_pairs() {
    let yes = CellKind::Boolean { yes: "yes".into(), no: "no".into() };
    assert_eq!(of(["Yes", "No", "", "No"]), Finding::Feature(yes));
    assert!(matches!(of(["Male", "Female"]), Finding::Feature(CellKind::Category { .. })));
    let names = found("x", &["Yes".into(), "No".into()], Wish { category: true, keep: false });
    assert!(matches!(names, Finding::Feature(CellKind::Category { .. })));
}

#[test]
fn times_are_found_by_the_form_that_reads_every_cell() {
    assert_eq!(of(["2026-01-31", "2026-02-01 10:00", "-"]), Finding::Feature(CellKind::Time(TimeForm::Iso)));
    assert_eq!(of(["13/01/2026", "01/02/2026"]), Finding::Feature(CellKind::Time(TimeForm::DaySlash)));
    assert_eq!(of(["01/13/2026", "01/02/2026"]), Finding::Feature(CellKind::Time(TimeForm::MonthSlash)));
    let unclear = of(["03/01/2026", "01/02/2026"]);
    assert_eq!(left_out(&unclear), Some(LeftOut::AmbiguousDate));
    assert!(matches!(of(["2026-01-31", "later", "later"]), Finding::Feature(CellKind::Category { .. })));
}

#[test]
fn what_says_nothing_is_left_out() {
    assert_eq!(left_out(&of(["", "NA", "null"])), Some(LeftOut::Empty));
    assert_eq!(left_out(&of(["5", "5.0", "5"])), Some(LeftOut::Constant));
    assert_eq!(left_out(&of(["x", "x"])), Some(LeftOut::Constant));
    assert_eq!(left_out(&of(["2026-01-31", "2026-01-31"])), Some(LeftOut::Constant));
    assert_eq!(left_out(&of(["1"])), Some(LeftOut::Constant), "a table of one row");
}

#[test]
fn ids_are_left_out_and_measurements_are_not() {
    assert_eq!(left_out(&of(1..=1000)), Some(LeftOut::IdLike), "in order");
    assert_eq!(left_out(&of((0..1000_u32).map(|n| n * 7 % 1000))), Some(LeftOut::IdLike), "dense");
    let random = |n: u64| super::super::distinct::mixed(n);
    assert_eq!(left_out(&of((0..1000).map(|n| 10_000_000 + random(n) % 90_000_000))), Some(LeftOut::IdLike));
    assert_eq!(left_out(&of((0..1000).map(|n| format!("{:x}", random(n))))), Some(LeftOut::IdLike), "texts");
    // Incomes: whole, nearly distinct, of several lengths.
    let incomes = || (0..1000).map(|n| random(n) % 3_000_000).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(found("income", &incomes(), Wish::default()), Finding::Feature(CellKind::Number));
    assert_eq!(left_out(&found("customerID", &incomes(), Wish::default())), Some(LeftOut::IdLike));
    let kept = found("customerID", &incomes(), Wish { keep: true, category: false });
    assert_eq!(kept, Finding::Feature(CellKind::Number));
    assert_eq!(of((0..1000).map(|n| format!("{n}.5"))), Finding::Feature(CellKind::Number), "fractions");
}

#[test]
fn sentences_and_written_numbers_are_left_out() {
    let sentences = (0..300).map(|n| format!("called about bill {n}, was told to wait"));
    assert_eq!(left_out(&of(sentences)), Some(LeftOut::FreeText));
    let Finding::LeftOut(LeftOut::WrittenNumber, why) = of((0..300).map(|n| format!("$1,{n:03}.50"))) else {
        panic!()
    };
    assert!(why.contains("\"$1,000.50\""), "{why}");
    let bands = of((0..300).map(|n| ["$37500 - $49999", "$50000 - $62499", "$0"][n % 3]));
    assert!(matches!(bands, Finding::Feature(CellKind::Category { .. })), "{bands:?}");
}

#[test]
fn a_number_that_cannot_be_read_is_told_with_its_place() {
    let cells: Vec<String> =
        (0..1000).map(|n| if n == 400 { "12 EUR".into() } else { format!("{n}.25") }).collect();
    let Finding::Fault(place, why) = found("price", &cells, Wish::default()) else { panic!() };
    assert_eq!((place.row, place.text.as_str()), (402, "12 EUR"));
    assert!(why.starts_with("\"12 EUR\" is no number, 99.9 % of the column's known cells are; "), "{why}");
    assert!(why.contains("--category \"price\""), "{why}");
    let infinite: Vec<String> = ["1", "inf", "2"].map(str::to_owned).to_vec();
    let Finding::Fault(place, why) = found("x", &infinite, Wish::default()) else { panic!() };
    assert_eq!((place.row, why.as_str()), (3, "\"inf\" is infinite; a number is finite, or missing"));
}
