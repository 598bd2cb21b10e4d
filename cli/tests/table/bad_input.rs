//! What a table may be at its worst: each fault with its message and exit code, and nothing written.

use super::made::{Draw, Place, column, customers, gzip};

/// A table of `n` rows by `row`, under `header`.
fn rows(header: &str, n: usize, row: impl FnMut(usize) -> String) -> String {
    let rows: Vec<String> = (0..n).map(row).collect();
    format!("{header}\n{}\n", rows.join("\n"))
}

/// Every other row has the outcome; `cell` gives what stands before it.
fn balanced(header: &str, n: usize, cell: impl Fn(usize) -> String) -> String {
    rows(header, n, |row| format!("{},{}", cell(row), if row % 2 == 0 { "yes" } else { "no" }))
}

/// A fit of `csv` that must end with `code` and say `message`; nothing is written.
fn refused(csv: &str, more: &[&str], code: i32, message: &str) {
    let place = Place::with("t.csv", csv);
    let (_, err) = place.fit(more, code);
    assert!(err.contains(message), "{message}\n{err}");
    assert!(!place.path("m.nba").exists());
    assert_eq!(std::fs::read_dir(place.path("")).unwrap().count(), 1, "nothing half-written");
}

#[test]
fn a_cell_that_is_no_finite_number_is_told_with_its_place() {
    let with = |cell: &str| {
        let cell = cell.to_owned();
        balanced("x,left", 1_000, move |row| if row == 99 { cell.clone() } else { format!("{row}.5") })
    };
    refused(&with("inf"), &[], 1, "t.csv:101:x: \"inf\" is infinite; a number is finite, or missing");
    refused(&with("1e999"), &[], 1, "t.csv:101:x: \"1e999\" is infinite");
    let unreadable = with("12 EUR");
    refused(
        &unreadable,
        &[],
        1,
        "t.csv:101:x: \"12 EUR\" is no number, 99.9 % of the column's known cells are",
    );
    let place = Place::with("t.csv", unreadable);
    assert_eq!(column(&place.fitted(&["--missing", "12 EUR"]), "x")["missing"]["12 EUR"], 1);
    // NaN is missing, as every other token.
    let place = Place::with("t.csv", with("NaN"));
    let report = place.fitted(&[]);
    assert_eq!(column(&report, "x")["missing"]["NaN"], 1);
    assert_eq!(column(&report, "x")["kind"], "number");
}

#[test]
fn a_label_that_teaches_nothing_is_refused() {
    let few = |n: usize| {
        rows("x,left", 300, move |row| format!("{}.5,{}", row % 7, if row < n { "yes" } else { "no" }))
    };
    refused(&few(0), &[], 2, "no row has left = \"yes\"; there are \"no\" (300 rows)");
    refused(
        &few(300),
        &[],
        1,
        "every one of the 300 rows with a label has left=yes; both outcomes are needed",
    );
    refused(&few(49), &[], 1, "49 rows have left=yes; at least 50 are needed");
    refused(&few(270), &[], 1, "30 rows do not have left=yes; at least 50 are needed");
    refused("x,left\n1,yes\n", &[], 1, "every one of the 1 rows with a label has left=yes");
    refused("x,left\n1,no\n", &[], 2, "no row has left = \"yes\"; there are \"no\" (1 rows)");
    refused("x,left\n1,\n", &[], 2, "there are no values, every cell is missing");
    refused("x,left\n", &[], 1, "t.csv: has a header and no rows");
    refused("", &[], 1, "t.csv: is empty: not even a header");
    let many = balanced("x,left", 300, |row| format!("{row}.5")).replace("yes", "Yes");
    refused(&many, &[], 2, "no row has left = \"yes\"; there are \"Yes\" (150 rows), \"no\" (150 rows)");
}

#[test]
fn columns_that_say_nothing_are_left_out_and_named() {
    let csv = balanced("empty,same,x,left", 1_000, |row| format!(",7,{}", row % 17));
    let report = Place::with("t.csv", csv).fitted(&[]);
    assert_eq!(column(&report, "empty")["left_out"], "empty");
    assert_eq!(column(&report, "same")["left_out"], "constant");
    assert_eq!(column(&report, "same")["note"], "\"7\" in every row");
    let nothing = balanced("empty,same,id,left", 400, |row| format!(",7,{row}"));
    let message = "no column is left to learn from: empty is left out as empty (missing in every row); same is left \
                   out as constant (\"7\" in every row); id is left out as id like (400 different whole numbers in 400 rows";
    refused(&nothing, &[], 1, message);
}

#[test]
fn weights_that_are_none_are_told_with_their_row() {
    let with = |at_99: &str, others: &str| {
        let (at_99, others) = (at_99.to_owned(), others.to_owned());
        let weight = move |row| if row == 99 { at_99.clone() } else { others.clone() };
        balanced("x,w,left", 400, move |row| format!("{}.5,{}", row % 31, weight(row)))
    };
    let weighted = ["--weight-column", "w"];
    let bound = "a weight is a finite number, at least 0";
    refused(&with("-1", "1"), &weighted, 1, &format!("t.csv:101:w: the weight is \"-1\"; {bound}"));
    refused(&with("nan", "1"), &weighted, 1, &format!("t.csv:101:w: the weight is missing; {bound}"));
    refused(&with("", "1"), &weighted, 1, &format!("t.csv:101:w: the weight is missing; {bound}"));
    refused(&with("inf", "1"), &weighted, 1, &format!("t.csv:101:w: the weight is \"inf\"; {bound}"));
    refused(&with("0", "0"), &weighted, 1, "t.csv: every weight in \"w\" is 0");
}

#[test]
fn rows_that_cannot_be_split_are_refused() {
    let folds =
        balanced("x,f,left", 400, |row| format!("{}.5,{}", row % 31, if row % 8 == 0 { "b" } else { "a" }));
    let message =
        "fold 2 has 50 rows, all with the outcome; both outcomes are needed in each: change the column";
    refused(&folds, &["--fold-column", "f"], 1, message);
    let one = balanced("x,f,left", 400, |row| format!("{}.5,a", row % 31));
    refused(&one, &["--fold-column", "f"], 1, "\"f\" has 1 different values; 2 to 50 are needed as folds");
    refused(
        &one,
        &["--group-column", "f"],
        1,
        "\"f\" has 1 different values; at least 2 are needed as groups",
    );
    refused(
        &one,
        &["--time-column", "x", "--fold-column", "f"],
        2,
        "--time-column and --fold-column both say how",
    );
    let gap = balanced("x,f,left", 400, |row| format!("{}.5,{}", row % 31, if row == 7 { "" } else { "a" }));
    refused(&gap, &["--fold-column", "f"], 1, "t.csv:9:f: the fold is missing; every row needs one");
    refused(
        &gap,
        &["--time-column", "f"],
        1,
        "t.csv:2:f: \"a\" is no finite number; every row needs its time",
    );
    let days = balanced("x,day,left", 400, |row| format!("{}.5,{}", row % 31, row % 2));
    refused(
        &days,
        &["--time-column", "day"],
        1,
        "\"day\" has 2 different times; fit, calibrate and test need",
    );
    let unclear =
        balanced("x,day,left", 400, |row| format!("{}.5,0{}/0{}/2026", row % 31, 1 + row % 9, 1 + row % 7));
    refused(
        &unclear,
        &["--time-column", "day"],
        1,
        "may be DD/MM/YYYY or MM/DD/YYYY, and no row tells which",
    );
}

#[test]
fn a_file_that_is_no_whole_table_is_told_with_its_place() {
    let good = balanced("x,z,left", 1_000, |row| format!("{row}.5,{}", row % 3));
    refused(&good.replace("x,z,", "x,x,"), &[], 1, "t.csv:1: two columns are named \"x\"");
    refused(&good.replace("7.5,1,", "7.5,"), &[], 1, "t.csv:9: 2 cells under a header of 3");
    let packed = gzip(good.as_bytes());
    let place = Place::with("t.csv", &packed[..packed.len() / 2]);
    let (_, err) = place.fit(&[], 1);
    assert!(err.contains("t.csv:") && err.contains("cannot be read on after this row"), "{err}");
    place.write("t.csv", &packed);
    place.fit(&[], 0);
    place.write("t.csv.gz", &good);
    let args = ["fit", "--table", "t.csv.gz", "--label", "left=yes", "--out", "m.nba"];
    assert!(place.ends(&args, 1).1.contains("t.csv.gz: is named .gz but is no gzip file"));
    place.write("t.parquet", &good);
    let args = ["fit", "--table", "t.parquet", "--label", "left=yes", "--out", "m.nba"];
    assert!(place.ends(&args, 1).1.contains("t.parquet: "));
}

#[test]
fn a_wrong_call_ends_with_2_before_anything_is_read() {
    let place = Place::with("t.csv", balanced("spend,plan,left", 200, |row| format!("{row}.5,{}", row % 3)));
    for (more, message) in [
        (vec!["--key", "custmer"], "--key: t.csv has no column \"custmer\"; did you mean"),
        (vec!["--drop", "spned"], "--drop: t.csv has no column \"spned\"; did you mean \"spend\"?"),
        (vec!["--keep", "plans"], "--keep: t.csv has no column \"plans\"; did you mean \"plan\"?"),
        (vec!["--weight-column", "w"], "--weight-column: t.csv has no column \"w\""),
        (
            vec!["--key", "plan", "--drop", "plan"],
            "\"plan\" is named by --key and by --drop; a column has one role",
        ),
        (vec!["--drop", "plan", "--keep", "plan"], "\"plan\" is named by --drop and by --keep"),
        (vec!["--key", "left"], "\"left\" is named by --label and by --key"),
        (vec!["--json", "none/r.json"], "--json none/r.json: there is no such folder"),
        (vec!["--report", "t.csv"], "--report t.csv: would overwrite what is read"),
        (vec!["--report", "m.nba"], "--out and --report name one file"),
        (vec!["--label", "left"], "a label is COLUMN=VALUE"),
    ] {
        let base = ["fit", "--table", "t.csv", "--out", "m.nba"];
        let label = if more[0] == "--label" { vec![] } else { vec!["--label", "left=yes"] };
        let (_, err) = place.ends(&[&base, label.as_slice(), more.as_slice()].concat(), 2);
        assert!(err.contains(message), "{message}\n{err}");
    }
    for (table, message) in [("none.csv", "none.csv: "), ("t.json", "a table is CSV")] {
        let args = ["fit", "--table", table, "--label", "left=yes", "--out", "m.nba"];
        place.write("t.json", "{}");
        assert!(place.ends(&args, 2).1.contains(message));
    }
}

#[test]
fn a_column_that_knows_the_outcome_is_left_out_unless_kept() {
    let mut draw = Draw(5);
    let csv = rows("reason,x,left", 1_000, |_| {
        let left = draw.unit() < 0.3;
        let reason =
            if left && draw.unit() < 0.6 { "moved" } else { ["none", "other"][draw.below(2) as usize] };
        format!("{reason},{:.3},{}", draw.unit() + f64::from(u8::from(left)), if left { "yes" } else { "no" })
    });
    let message = "no column is left to learn from: reason is left out as suspected leak (all ";
    refused(&csv, &[], 1, message);
    let place = Place::with("t.csv", &csv);
    let (out, _) = place.fit(&["--keep", "reason"], 0);
    assert!(
        out.contains(
            "suspected leak: x: AUC alone 1.000, out of fold; from 0.98 on a column is suspected (left out;"
        ),
        "{out}"
    );
    assert!(out.contains("suspected leak: reason: all ") && out.contains("(kept as asked)"), "{out}");
}

#[test]
fn repeated_keys_and_rows_are_kept_and_counted() {
    let csv = customers(900, 3).csv;
    let (header, body) = csv.split_once('\n').unwrap();
    let place = Place::with("t.csv", format!("{header}\n{body}{body}"));
    let report = place.fitted(&["--key", "id"]);
    assert_eq!((&report["n_rows"], &report["n_repeated_keys"]), (&1800.into(), &900.into()));
    assert_eq!(
        (&report["duplicates"]["n_rows"], &report["duplicates"]["n_across"]),
        (&900.into(), &0.into())
    );
    // Without a key the twins fall into any fold: the same with probability 1/5, 720 +- 4 x 12 of 900 apart.
    let report = place.fitted(&["--drop", "id"]);
    let across = report["duplicates"]["n_across"].as_f64().unwrap();
    assert!((across - 720.0).abs() < 48.0, "{across}");
    let gone = csv.replacen("C00002", "", 1);
    refused(&gone, &["--key", "id"], 1, "t.csv:3:id: the key is missing");
}

#[test]
fn ten_thousand_categories_share_a_code_beyond_the_cap() {
    let mut draw = Draw(8);
    let csv = rows("town,x,left", 30_000, |row| {
        let x = draw.unit();
        format!("town {},{x:.3},{}", row % 10_000, if draw.unit() < 0.3 + 0.4 * x { "yes" } else { "no" })
    });
    let report = Place::with("t.csv", csv).fitted(&[]);
    let town = column(&report, "town");
    assert_eq!((&town["kind"], &town["n_levels"]), (&"category".into(), &254.into()));
    assert_eq!((&town["n_distinct"], &town["n_other"]), (&10_000.into(), &(30_000 - 3 * 254).into()));
}

#[test]
fn ten_thousand_columns_are_read() {
    let names: Vec<String> = (0..10_000).map(|column| format!("c{column}")).collect();
    let header = format!("{},left", names.join(","));
    let csv = balanced(&header, 600, |row| {
        // All but a few are constant.
        let cell = |column: usize| {
            if column.is_multiple_of(1_000) {
                (row * 7 % (11 + column / 1_000)).to_string()
            } else {
                "1".into()
            }
        };
        (0..10_000).map(cell).collect::<Vec<_>>().join(",")
    });
    let report = Place::with("t.csv", csv).fitted(&[]);
    let columns = report["columns"].as_array().unwrap();
    assert_eq!(columns.len(), 10_001);
    assert_eq!(columns.iter().filter(|column| column["left_out"] == "constant").count(), 9_990);
}
