//! Fit, then score: known truths are found, and a table that does not fit the artifact is told how.

use super::made::{Customers, Place, auc, column, customers, gzip};

/// A model of 4,000 customers in `m.nba`, the table in `t.csv`.
fn fitted(seed: u64) -> (Place, Customers, serde_json::Value) {
    let made = customers(4_000, seed);
    let place = Place::with("t.csv", &made.csv);
    let report = place.fitted(&["--key", "id"]);
    (place, made, report)
}

/// Keys and probabilities of a file of scores.
fn scores(text: &str) -> Vec<(String, f64)> {
    let row = |line: &str| {
        let mut cells = line.split(',');
        (cells.next().unwrap().to_owned(), cells.next().unwrap().parse().unwrap())
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn a_known_truth_is_found_and_every_row_is_scored() {
    let (place, made, report) = fitted(1);
    for (name, kind) in [("age", "number"), ("plan", "category"), ("member", "boolean"), ("since", "time")] {
        assert_eq!(column(&report, name)["kind"], kind, "{name}");
    }
    assert_eq!(column(&report, "id")["left_out"], "key");
    assert_eq!(column(&report, "age")["missing"]["?"], column(&report, "age")["n_missing"]);
    // The truth's own AUC on these rows bounds what can be reached. Out of sample the found one differs by its
    // sampling error (DeLong's standard error, on the rows tested), and by what 7 coefficients of 4,000 rows cost:
    // about 7 / (2 x 2,400) of log-loss, an order below that error.
    let (found, se) =
        (&report["propensity"]["test"]["auc"]["value"], &report["propensity"]["test"]["auc"]["se"]);
    let (found, se) = (found.as_f64().unwrap(), se.as_f64().unwrap());
    let truth = auc(&made.truth, &made.left);
    assert!((found - truth).abs() < 4.0 * se, "{found} {truth} {se}");

    let (out, err) = place.ends(&["score", "--artifact", "m.nba", "--table", "t.csv", "--out", "s.csv"], 0);
    assert!(out.contains("4,000 rows scored by left, mean probability 0."), "{out}");
    assert_eq!(err, "");
    let scored = scores(&place.read("s.csv"));
    assert!(
        scored.iter().zip(1..).all(|((key, _), row)| *key == format!("C{row:05}")) && scored.len() == 4_000
    );
    let p: Vec<f64> = scored.iter().map(|(_, p)| *p).collect();
    // Rows it was fitted on: not below the truth's AUC by more than the same error.
    assert!(auc(&p, &made.left) > truth - 4.0 * se);
    let (mean, base) = (p.iter().sum::<f64>() / 4e3, made.truth.iter().sum::<f64>() / 4e3);
    // The base rate of 4,000 rows has a standard error of sqrt(.3 x .7 / 4000) = .007; that of the calibration
    // part, at least 800 rows, sqrt(5) times that.
    assert!((mean - base).abs() < 4.0 * 0.007 * 5.0_f64.sqrt(), "{mean} {base}");
    assert!(place.ends(&["verify", "m.nba"], 0).0.starts_with("sound"));
    assert!(place.ends(&["inspect", "m.nba"], 0).0.contains("unknown: the table has no time column"));
}

#[test]
fn reasons_add_columns_and_packing_changes_nothing() {
    let (place, made, _) = fitted(2);
    let score = |table: &str, out: &str| {
        place.ends(&["score", "--artifact", "m.nba", "--table", table, "--reasons", "2", "--out", out], 0)
    };
    score("t.csv", "a.csv");
    place.write("t.csv.gz", gzip(made.csv.as_bytes()));
    score("t.csv.gz", "b.csv");
    place.write("t.tsv", made.csv.replace(',', "\t"));
    score("t.tsv", "c.csv");
    let text = place.read("a.csv");
    assert!(text.starts_with("key,probability,reason_1,reason_2\nC00001,0."), "{}", &text[..200]);
    assert_eq!((place.read("b.csv"), place.read("c.csv")), (text.clone(), text.clone()));
    let (out, err) = score("t.csv", "-");
    assert_eq!(out, text);
    assert!(err.contains("4,000 rows scored"), "{err}");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let place = Place::with("t.csv", customers(1_600, 4).csv);
    let bytes = |seed: &str| {
        place.fit(&["--key", "id", "--seed", seed], 0);
        std::fs::read(place.path("m.nba")).unwrap()
    };
    let first = bytes("7");
    assert_eq!(bytes("7"), first);
    assert_ne!(bytes("8"), first);
}

#[test]
fn rows_in_time_are_tested_on_the_last() {
    let made = customers(2_000, 5);
    let mut lines = made.csv.lines();
    let header = format!("day,{}", lines.next().unwrap());
    let rows: Vec<String> = lines
        .enumerate()
        .map(|(at, line)| format!("2026-{:02}-{:02},{line}", 1 + at / 200, 1 + at % 20))
        .collect();
    let place = Place::with("t.csv", format!("{header}\n{}\n", rows.join("\n")));
    let report = place.fitted(&["--key", "id", "--time-column", "day"]);
    assert_eq!(column(&report, "day")["left_out"], "time");
    let part = |at: usize| {
        (
            report["split"]["parts"][at]["name"].as_str().unwrap(),
            report["split"]["parts"][at]["n_rows"].as_u64(),
        )
    };
    assert_eq!(
        [part(0), part(1), part(2)],
        [("fit", Some(1200)), ("calibrate", Some(400)), ("test", Some(400))]
    );
    assert_eq!(report["trained_through"], "2026-10-20T00:00:00Z");
    assert!(place.ends(&["inspect", "m.nba"], 0).0.contains("2026-10-20"));
    // A table to score needs no day.
    place.write("new.csv", &made.csv);
    place.ends(&["score", "--artifact", "m.nba", "--table", "new.csv", "--out", "s.csv"], 0);
}

#[test]
fn a_table_that_does_not_fit_is_told_how() {
    let (place, made, _) = fitted(6);
    let score = |table: &str, more: &[&str], code: i32| {
        let args = ["score", "--artifact", "m.nba", "--table", table, "--out", "s.csv"];
        place.ends(&[&args, more].concat(), code)
    };
    place.write("n.csv", made.csv.replacen("age,plan", "Age,tariff", 1));
    let message = "n.csv: the model reads 2 columns that are not there: \"age\" (is it \"Age\"?), \"plan\"";
    assert!(score("n.csv", &[], 2).1.contains(message));
    assert!(!place.path("s.csv").exists());
    place.write("n.csv", made.csv.replacen("id,", "customer,", 1));
    assert!(score("n.csv", &[], 2).1.contains("--key (as in fitting): n.csv has no column \"id\""));
    score("n.csv", &["--key", "customer"], 0);
    let first = place.read("s.csv");

    // A fault half way: the scores that stand stay.
    place.write("n.csv", made.csv.replacen("C03000,", "C03000,x", 1));
    assert!(score("n.csv", &[], 1).1.contains("n.csv:3001:age: \"x"));
    assert_eq!(place.read("s.csv"), first);

    let extra = made
        .csv
        .replace(",left\n", ",left,note\n")
        .replace(",yes\n", ",yes,hi\n")
        .replace(",no\n", ",no,hi\n");
    place.write("n.csv", extra.replacen(",basic,", ",gold,", 3).replacen("C00002,", "C00001,", 1));
    let (out, _) = score("n.csv", &["--json", "r.json"], 0);
    assert!(out.contains("not read, the model does not know them: note"), "{out}");
    assert!(out.contains("1 rows repeat a key; each is scored"), "{out}");
    let report: serde_json::Value = serde_json::from_str(&place.read("r.json")).unwrap();
    let plan =
        report["features"].as_array().unwrap().iter().find(|count| count["feature"] == "plan").unwrap();
    assert_eq!((&plan["n_unseen"], &plan["unseen"][0]), (&3.into(), &"gold".into()));
    assert!(score("t.csv", &["--json", "t.csv"], 2).1.contains("--json t.csv: would overwrite what is read"));
}

#[test]
fn an_artifact_that_is_none_or_of_another_kind_is_refused() {
    let (place, _, _) = fitted(7);
    let args = |artifact| ["score", "--artifact", artifact, "--table", "t.csv", "--out", "s.csv"];
    let mut bytes = std::fs::read(place.path("m.nba")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    place.write("flipped.nba", bytes);
    assert!(
        place
            .ends(&args("flipped.nba"), 1)
            .1
            .contains("flipped.nba: damaged: the checksum of the content is ")
    );
    assert!(place.ends(&args("t.csv"), 1).1.contains("not an artifact"));
    let project = include_bytes!("../../../tests/fixtures/formats/v1.nba");
    place.write("project.nba", project);
    let message = "the artifact was trained on a project's features (nextbest train), not on a table";
    assert!(place.ends(&args("project.nba"), 2).1.contains(message));
}

#[test]
fn groups_and_folds_are_taken_as_given() {
    let made = customers(2_400, 8);
    // Eight shops; folds named after three towns; cells apart by semicolons.
    let more =
        |at: usize| [";shop;town".to_owned(), format!(";S{};{}", at % 8, ["Bonn", "Ulm", "Kiel"][at % 3])];
    let lines = made.csv.replace(',', ";");
    let lines =
        lines.lines().enumerate().map(|(at, line)| format!("{line}{}\n", more(at)[usize::from(at > 0)]));
    let place = Place::with("t.csv", lines.collect::<String>());
    let parts = |report: &serde_json::Value| report["split"]["parts"].as_array().unwrap().len();
    let report = place.fitted(&["--key", "id", "--group-column", "shop", "--drop", "town"]);
    assert_eq!((column(&report, "shop")["left_out"].as_str(), parts(&report)), (Some("group"), 5));
    assert_eq!(report["notes"][0], "cells are separated by ';'");
    // Two or one of the eight shops in a fold, 300 rows each.
    let rows = |at: usize| report["split"]["parts"][at]["n_rows"].as_u64().unwrap();
    assert!((0..5).all(|at| [300, 600].contains(&rows(at))), "{report}");
    let report = place.fitted(&["--key", "id", "--fold-column", "town"]);
    assert_eq!((&report["split"]["by"], parts(&report)), (&"fold_column".into(), 3));
    assert_eq!(report["split"]["parts"][2]["n_rows"], 800);
}
