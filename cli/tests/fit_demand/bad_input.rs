//! What a table of prices may be at its worst, and what a call may: each with its message and exit code.

use super::made::Place;
use super::{choices, sales};

/// `fit-demand` on `csv` with `more` must end with `code` and say `message`.
fn refused(csv: &str, more: &[&str], code: i32, message: &str) {
    let ask = ["fit-demand", "--table", "t.csv", "--price", "price"];
    let (out, err) = Place::with("t.csv", csv).ends(&[ask.as_slice(), more].concat(), code);
    assert!(err.contains(message), "{message}\n{err}");
    assert_eq!(out, "");
}

/// As [`refused`], of units.
fn units(csv: &str, more: &[&str], code: i32, message: &str) {
    refused(csv, &[&["--quantity", "units"], more].concat(), code, message);
}

#[test]
fn cells_without_a_logarithm_are_all_found_in_one_pass() {
    let bad = "0,3.5,mild,s1,9\n-2,3.5,mild,s1,9\n5,0,hot,s1,9\n";
    let csv = sales(100) + bad;
    let message = "t.csv: units: 2 cells are not above 0, where its logarithm is taken (row 102:\"0\", 103:\"-2\"); \
                   price: 1 cell is not above 0, where its logarithm is taken (row 104:\"0\"); --drop-nonpositive";
    units(&csv, &[], 1, message);
    let place = Place::with("t.csv", &csv);
    let ask = ["fit-demand", "--table", "t.csv", "--quantity", "units", "--price", "price"];
    let (out, _) = place.ends(&[ask.as_slice(), &["--drop-nonpositive"]].concat(), 0);
    assert!(out.contains("3 rows have no logarithm and are left out"), "{out}");
    place.ends(&[ask.as_slice(), &["--linear"]].concat(), 0);
    let many = sales(100) + &"0,3.5,mild,s1,9\n".repeat(50);
    units(
        &many,
        &[],
        1,
        "50 cells are not above 0, where its logarithm is taken (row 102:\"0\", 103:\"0\", 104:\"0\", 105:\"0\", 106:\"0\", ...)",
    );
    for text in ["inf", "1e999", "12 EUR"] {
        let csv = sales(100) + &format!("5,{text},mild,s1,9\n");
        units(&csv, &[], 1, &format!("price: 1 cell is not a finite number (row 102:{text:?})"));
    }
    let missing = sales(100) + "5,,mild,s1,9\n5,3.1,mild,,9\n";
    let (out, _) = Place::with("t.csv", missing).ends(&[ask.as_slice(), &["--cluster", "store"]].concat(), 0);
    assert!(out.contains("1 rows lack price and are left out") && out.contains("1 rows lack store"), "{out}");
}

#[test]
fn tables_that_tell_nothing_are_refused() {
    units("", &[], 1, "t.csv: is empty: not even a header");
    units("units,price\n", &[], 1, "t.csv: has a header and no rows");
    units("units,price\n1,\n,2\n", &[], 1, "t.csv: no row is left of 2: 1 lack price, 1 lack units");
    let still = format!("units,price\n{}", "5,2.5\n6,2.5\n".repeat(10));
    units(
        &still,
        &[],
        1,
        "\"price\" is 2.5 in every one of the 20 rows; a price that never moved tells no elasticity",
    );
    units("units,price\n1,2\n1\n", &[], 1, "t.csv:3: 1 cells under a header of 2");
}

#[test]
fn a_wrong_call_is_told_apart() {
    let csv = sales(60);
    for (more, message) in [
        (vec!["--by", "brnad"], "--by: t.csv has no column \"brnad\"; did you mean \"brand\"?"),
        (vec!["--controls", "tmp"], "--controls: t.csv has no column \"tmp\"; did you mean \"temp\"?"),
        (vec!["--controls", "temp,store,temp"], "--controls: \"temp\" is named twice"),
        (
            vec!["--by", "brand", "--fixed-effects", "brand"],
            "\"brand\" is named by --by and by --fixed-effects; a column has one role",
        ),
        (vec!["--controls", "price"], "\"price\" is named by --price and by --controls"),
        (vec!["--cluster", "price"], "--cluster: names the quantity's or the price's column"),
        (vec!["--linear", "--log-price"], "--linear takes no logarithm"),
        (
            vec!["--method", "dml"],
            "--method dml takes out what controls tell: name --controls or --fixed-effects",
        ),
        (vec!["--method", "lasso"], "invalid value 'lasso' for '--method <METHOD>'"),
        (vec!["--choice", "brand"], "cannot be used with"),
        (vec!["--attributes", "brand"], "cannot be used with"),
        (vec!["--json", "none/r.json"], "--json none/r.json: there is no such folder"),
        (vec!["--json", "t.csv"], "--json t.csv: would overwrite what is read"),
    ] {
        units(&csv, &more, 2, message);
    }
    refused(&csv, &["--quantity", "price"], 2, "\"price\" is named by --quantity and by --price");
    refused(&csv, &[], 2, "--quantity");
    let many: String =
        (0..300).map(|at| format!("{},{},town {at}\n", 5 + at % 7, 2.0 + 0.1 * f64::from(at % 5))).collect();
    let many = format!("units,price,town\n{many}");
    units(
        &many,
        &["--controls", "town"],
        2,
        "--controls: \"town\" has 300 different names, at most 200 are controls",
    );
}

#[test]
fn collinear_controls_are_named() {
    let csv: String = sales(80)
        .lines()
        .enumerate()
        .map(|(at, line)| {
            if at == 0 {
                format!("{line},twice,one\n")
            } else {
                let temp: f64 = line.rsplit(',').next().unwrap().parse().unwrap();
                format!("{line},{},7\n", 2.0 * temp)
            }
        })
        .collect();
    let place = Place::with("t.csv", csv);
    let ask = ["fit-demand", "--table", "t.csv", "--quantity", "units", "--price", "price"];
    let (out, _) = place.ends(&[ask.as_slice(), &["--controls", "temp,twice,one"]].concat(), 0);
    assert!(out.contains("collinear_controls: left out, in a group or everywhere, as the rest tells them already: one, twice"), "{out}");
}

#[test]
fn choices_that_bound_no_coefficient_are_refused_by_name() {
    let csv = choices(300);
    let pick = ["--choice", "pick"];
    let with = |more: &[&'static str]| [&pick, more].concat();
    let never = csv.replace(",cocoa,", ",tea,");
    refused(&never, &pick, 1, "t.csv: never chosen: cocoa; leave out their price columns");
    let unknown = csv.replacen(",tea,", ",coffee,", 2);
    refused(&unknown, &pick, 1, "2 rows choose what has no price column, the first in row ");
    refused(&unknown, &pick, 1, "\"coffee\"; there are tea, mate, cocoa");
    let gap = csv + "h1,tea,,2.5,2.5,0,0,0\n";
    refused(&gap, &pick, 1, "price.tea: 1 cell is not a finite number (row 302:\"\")");
    let separated: String = choices(300)
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            let told = ["tea", "mate", "cocoa"].map(|name| {
                if cells[0] == "home" {
                    format!("told.{name}")
                } else {
                    u8::from(cells[1] == name).to_string()
                }
            });
            format!("{line},{}\n", told.join(","))
        })
        .collect();
    refused(
        &separated,
        &with(&["--attributes", "told"]),
        1,
        "told tells every choice it has a say in (perfect separation)",
    );
    let same: String = choices(300)
        .lines()
        .enumerate()
        .map(|(at, line)| {
            let more = if at == 0 {
                "day.tea,day.mate,day.cocoa".to_owned()
            } else {
                vec![(at % 7).to_string(); 3].join(",")
            };
            format!("{line},{more}\n")
        })
        .collect();
    refused(&same, &with(&["--attributes", "day"]), 1, "day does not differ among alternatives");
    refused(
        &choices(60),
        &with(&["--attributes", "shwon"]),
        2,
        "--attributes: t.csv has no column shwon.tea, but a price of tea",
    );
    refused(&choices(60), &with(&["--attributes", "shown,shown"]), 2, "\"shown\" is named twice");
    refused(
        &sales(60),
        &["--choice", "brand"],
        2,
        "--price: t.csv has 0 columns named price.ALTERNATIVE or price_ALTERNATIVE",
    );
}
