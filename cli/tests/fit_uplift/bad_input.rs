//! What a table of two arms may be at its worst, and what a call may: each with its message and exit code.

use serde_json::Value;

use super::made::Place;
use super::mails;

/// `fit-uplift` of `mail=sent` against `mail=held` on `csv` must end with `code` and say `message`; nothing is written.
fn refused(csv: &str, more: &[&str], code: i32, message: &str) {
    let arms = ["--treated", "mail=sent", "--control", "mail=held", "--outcome", "bought"];
    asked(csv, &[&arms, more].concat(), code, message);
}

fn asked(csv: &str, more: &[&str], code: i32, message: &str) {
    let place = Place::with("t.csv", csv);
    let ask = ["fit-uplift", "--table", "t.csv", "--out", "m.nba"];
    let (out, err) = place.ends(&[&ask, more].concat(), code);
    assert!(err.contains(message), "{message}\n{err}");
    assert!(out.is_empty() && !place.path("m.nba").exists());
}

/// `mails` with the cells of column `column` (from 0) replaced by what `cell` makes of row and cell.
fn with(n: usize, column: usize, cell: impl Fn(usize, &str) -> String) -> String {
    let change = |(at, line): (usize, &str)| {
        let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        if at > 0 {
            cells[column] = cell(at, &cells[column]);
        }
        cells.join(",") + "\n"
    };
    mails(n).lines().enumerate().map(change).collect()
}

#[test]
fn an_arm_that_is_misspelled_is_told_with_the_values_there_are() {
    let arms = ["--treated", "mail=send", "--control", "mail=held", "--outcome", "bought"];
    asked(&mails(300), &arms, 2, "--treated: t.csv: no row has mail = \"send\"; there are \"");
    let arms = ["--treated", "mail=sent", "--control", "mail=hold", "--outcome", "bought"];
    asked(&mails(300), &arms, 2, "--control: t.csv: no row has mail = \"hold\"; there are \"");
    let same = ["--treated", "mail=sent", "--control", "mail=sent", "--outcome", "bought"];
    asked(&mails(300), &same, 2, "--treated and --control both name mail=sent; they are two arms");
}

/// A refusal is data: JSON with a code, null where there is no number, exit code 1.
#[test]
fn one_arm_alone_is_refused_with_a_code() {
    let all_sent = with(300, 3, |_, _| "sent".to_owned());
    refused(&all_sent, &[], 1, "no_control: no row with an outcome is control (mail=held)");
    let all_held = with(300, 3, |_, _| "held".to_owned());
    refused(&all_held, &[], 1, "no_treated: no row with an outcome is treated (mail=sent)");
    let place = Place::with("t.csv", all_sent);
    let ask = ["fit-uplift", "--table", "t.csv", "--treated", "mail=sent", "--control", "mail=held"];
    let (out, err) = place.ends(&[ask.as_slice(), &["--outcome", "bought", "--json"]].concat(), 1);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["code"], &told["control"]), (&"no_control".into(), &Value::Null));
    assert!(
        told["difference_of_means"].is_null() && told["treated"]["n"] == 300 && err.contains("no_control")
    );
}

#[test]
fn outcomes_that_teach_nothing_are_refused_with_a_code() {
    let all = with(400, 5, |_, _| "1".to_owned());
    refused(&all, &[], 1, "one_outcome: none of the");
    let rare = with(800, 5, |at, _| u8::from(at % 40 == 0).to_string());
    let place = Place::with("t.csv", rare);
    let ask = ["fit-uplift", "--table", "t.csv", "--treated", "mail=sent", "--control", "mail=held"];
    let (out, err) = place.ends(&[ask.as_slice(), &["--outcome", "bought", "--json"]].concat(), 1);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert!(told["code"] == "too_few_outcomes" && told["difference_of_means"]["value"].is_number(), "{told}");
    assert!(err.contains("treated rows have bought; at least 50 are needed"), "{err}");
}

#[test]
fn cells_that_cannot_be_used_are_all_found_in_one_pass() {
    let neither =
        with(600, 5, |at, cell| if at == 3 || at == 8 { "maybe".to_owned() } else { cell.to_owned() });
    // Rows 3 and 8 may be of neither arm: then their outcome does not matter.
    let sent = neither.replace(",none,", ",sent,");
    refused(
        &sent,
        &[],
        1,
        "t.csv: bought: 2 cells are not 0 or 1 (--outcome COLUMN=VALUE names another value that counts as 1) (row 4:\"maybe\", 9:\"maybe\")",
    );
    let sent = |csv: String| csv.replace(",none,", ",sent,");
    for bad in ["0", "1", "1.2", "-0.1", "", "often"] {
        let csv = sent(with(600, 4, |at, cell| if at == 5 { bad.to_owned() } else { cell.to_owned() }));
        let message = format!("t.csv: p: 1 cell is not a probability above 0 and below 1 (row 6:{bad:?})");
        refused(&csv, &["--treatment-probability", "p"], 1, &message);
    }
    let csv = sent(with(600, 0, |at, cell| if at % 200 == 1 { String::new() } else { cell.to_owned() }));
    let csv = csv.replacen(",0.3,", ",3,", 1);
    let (out, err) = Place::with("t.csv", csv).ends(
        &[
            "fit-uplift",
            "--table",
            "t.csv",
            "--key",
            "id",
            "--treated",
            "mail=sent",
            "--control",
            "mail=held",
            "--outcome",
            "bought",
            "--treatment-probability",
            "p",
        ],
        1,
    );
    assert!(
        out.is_empty() && err.contains("id: 3 cells are not a key (row 2:\"\", 202:\"\", 402:\"\")"),
        "{err}"
    );
    assert!(err.contains("; p: 1 cell is not a probability"), "{err}");
}

#[test]
fn folds_must_split_and_leave_both_arms() {
    let one = with(600, 6, |_, _| "7".to_owned());
    refused(
        &one,
        &["--fold-column", "fold"],
        1,
        "\"fold\" has 1 different values; 2 to 50 are needed as folds",
    );
    let by_arm: String = mails(900)
        .lines()
        .enumerate()
        .map(|(at, line)| {
            format!(
                "{line},{}\n",
                if at == 0 {
                    "arm"
                } else if line.contains("sent") {
                    "a"
                } else {
                    "b"
                }
            )
        })
        .collect();
    refused(&by_arm, &["--fold-column", "arm"], 1, "too_few_outcomes: outside fold 1 only 0 treated rows");
}

/// Treated are those over 45, control all others: nobody to compare with.
#[test]
fn arms_without_rows_in_common_are_refused() {
    let csv = mails(1_500);
    let mut rows = csv.lines();
    let mut ruled = rows.next().unwrap().to_owned() + "\n";
    for line in rows {
        let mut cells: Vec<&str> = line.split(',').collect();
        cells[3] = if cells[1].parse::<f64>().is_ok_and(|age| age > 45.0) { "sent" } else { "held" };
        ruled += &(cells.join(",") + "\n");
    }
    refused(&ruled, &[], 1, "no_overlap: the features tell treated from control rows so well that");
}

#[test]
fn a_wrong_call_is_told_apart() {
    for (more, message) in [
        (vec!["--key", "ID"], "--key: t.csv has no column \"ID\"; did you mean \"id\"?"),
        (vec!["--drop", "opend"], "--drop: t.csv has no column \"opend\""),
        (vec!["--drop", "bought"], "\"bought\" is named by --outcome and by --drop; a column has one role"),
        (vec!["--keep", "mail"], "\"mail\" is named by --control and by --keep"),
        (vec!["--treatment-probability", "p", "--design", "observed"], "cannot be used with"),
        (vec!["--learner", "s"], "invalid value 's' for '--learner <LEARNER>'"),
    ] {
        refused(&mails(300), &more, 2, message);
    }
    let place = Place::with("t.csv", mails(300));
    let (_, err) =
        place.ends(&["fit-uplift", "--table", "t.csv", "--treated", "mail", "--control", "mail=held"], 2);
    assert!(err.contains("COLUMN=VALUE"), "{err}");
}
