//! What a table of purchases may be at its worst, and what a call may: each with its message and exit code.

use super::made::Place;
use super::purchases;

/// `fit-clv` on `csv` with `more` must end with `code` and say `message`; nothing is sealed.
fn refused(csv: &str, more: &[&str], code: i32, message: &str) {
    let place = Place::with("t.csv", csv);
    let (out, err) = place.ends(&[["fit-clv"].as_slice(), more, &["--out", "m.nba"]].concat(), code);
    assert!(err.contains(message), "{message}\n{err}");
    assert!(out.is_empty() && !place.path("m.nba").exists());
}

const PURCHASES: [&str; 4] = ["--transactions", "t.csv", "--customer", "id"];
const SUMMARY: [&str; 2] = ["--summary", "t.csv"];

#[test]
fn faults_are_all_told_with_their_rows() {
    let csv = "id,date,spent\na,2020-01-01,5\n,2020-01-02,5\na,2020-13-01,5\na,2022-05-05,x\n";
    let more = ["--value", "spent", "--observation-end", "2020-12-31"];
    refused(csv, &[&PURCHASES, more.as_slice()].concat(), 1, "t.csv: date: 1 row is not a date");
    refused(
        csv,
        &[&PURCHASES, more.as_slice()].concat(),
        1,
        "date: 1 row is not on or before the end of the observation (row 5:",
    );
    refused(
        csv,
        &[&PURCHASES, more.as_slice()].concat(),
        1,
        "spent: 1 row is not a finite number (row 5:\"x\")",
    );
    let csv = "x,t_x,T\n1,5,4\n1,6,4\n0,1,4\n";
    refused(csv, &SUMMARY, 1, "t_x: 2 rows are not at most the age (row 2:\"x 1, t_x 5, age 4\", 3:");
}

#[test]
fn rows_that_tell_nothing_end_with_a_code() {
    let once: String = (0..60).map(|at| format!("c{at},20240101\n")).collect();
    refused(&format!("id,date\n{once}"), &PURCHASES, 1, "t.csv: all_one_time_buyers: none of 60 customers");
    refused(
        "id,date\na,20240101\na,20240105\na,20240109\n",
        &PURCHASES,
        1,
        "too_few_repeaters: 1 of 1 customers",
    );
    refused("id,date\n", &PURCHASES, 1, "t.csv: has a header and no rows");
    refused("", &PURCHASES, 1, "t.csv: is empty");
}

#[test]
fn wrong_calls_are_refused() {
    let csv = purchases(50);
    refused(&csv, &["--transactions", "t.csv"], 2, "has no column \"customer_id\"");
    refused(&csv, &[&PURCHASES, ["--value", "spend"].as_slice()].concat(), 2, "did you mean \"spent\"?");
    refused(
        &csv,
        &[&PURCHASES, ["--value", "id"].as_slice()].concat(),
        2,
        "--customer and --value name one column",
    );
    refused(
        &csv,
        &[&PURCHASES, ["--calibration-end", "2030-01-01"].as_slice()].concat(),
        2,
        "it must lie between the two",
    );
    refused(&csv, &[&PURCHASES, ["--calibration-end", "soon"].as_slice()].concat(), 2, "no day such as");
    refused(&csv, &[&PURCHASES, ["--margin", "2"].as_slice()].concat(), 2, "a margin of 2");
    refused(&csv, &[&PURCHASES, ["--x", "id"].as_slice()].concat(), 2, "cannot be used with");
    refused(&csv, &[], 2, "--transactions");
}

#[test]
fn an_artifact_is_scored_by_what_it_is() {
    let place = Place::with("t.csv", purchases(800));
    place.ends(&[["fit-clv"].as_slice(), &PURCHASES, &["--out", "m.nba"]].concat(), 0);
    let score = ["score", "--artifact", "m.nba", "--out", "s.csv"];
    let (_, err) = place.ends(&[score.as_slice(), &["--table", "t.csv"]].concat(), 2);
    assert!(err.contains("--x: t.csv has no column \"x\""), "{err}");
    let (_, err) = place.ends(&[score.as_slice(), &["--table", "t.csv", "--reasons", "3"]].concat(), 2);
    assert!(err.contains("it has no reasons"), "{err}");
    let csv: String = (0..200)
        .map(|at| format!("{},{}\n", at % 7, if at % 7 > 3 || at % 11 == 0 { "yes" } else { "no" }))
        .collect();
    place.write("p.csv", format!("a,left\n{csv}"));
    place.ends(&["fit", "--table", "p.csv", "--label", "left=yes", "--keep", "a", "--out", "p.nba"], 0);
    let ask =
        ["score", "--artifact", "p.nba", "--out", "s.csv", "--transactions", "t.csv", "--customer", "id"];
    let (_, err) = place.ends(&ask, 2);
    assert!(
        err.contains("the artifact has no lifetime-value model") && err.contains("nextbest fit-clv"),
        "{err}"
    );
}
