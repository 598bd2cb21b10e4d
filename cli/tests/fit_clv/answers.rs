//! What is told: the JSON's shape, the tables for people, the artifact and its scores, and the commands of the page.

use serde_json::Value;

use super::made::{Place, data};
use super::purchases;

const ASK: [&str; 9] =
    ["fit-clv", "--transactions", "t.csv", "--customer", "id", "--date", "date", "--value", "spent"];

#[test]
fn purchases_are_fitted_followed_sealed_and_scored() {
    let place = Place::with("t.csv", purchases(3_000));
    let more =
        ["--calibration-end", "20240930", "--out", "m.nba", "--report", "r.html", "--discount-rate", "0.002"];
    let (out, err) = place.ends(&[&ASK, more.as_slice(), &["--bootstrap", "50", "--json"]].concat(), 0);
    assert_eq!(err, "", "no bar where there is no terminal");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["n_customers"], &report["unit"]), (&3_000.into(), &"week".into()));
    assert_eq!(report["observed_through"], "2024-09-30");
    for part in
        [&report["parameters"], &report["bootstrap"]["parameters"], &report["gamma_gamma"]["parameters"]]
    {
        for (name, one) in part.as_object().unwrap() {
            let of = |key: &str| one[key].as_f64().unwrap();
            assert!(0.0 < of("lo") && of("lo") < of("value") && of("value") < of("hi"), "{name}: {one}");
        }
    }
    let cells = report["goodness_of_fit"]["frequencies"].as_array().unwrap();
    let sum = |key: &str| cells.iter().map(|cell| cell[key].as_f64().unwrap()).sum::<f64>();
    assert!(sum("observed") == 3_000.0 && (sum("expected") - 3_000.0).abs() < 1e-6);
    let holdout = &report["holdout"];
    assert!(
        holdout["weeks"].as_array().unwrap().len() > 50 && holdout["through"] == "2024-12-31",
        "{holdout}"
    );
    let ratio = holdout["expected"].as_f64().unwrap() / holdout["actual"].as_f64().unwrap();
    assert!((0.8..1.25).contains(&ratio), "{ratio}");
    let page = place.read("r.html");
    assert!(page.contains("Cumulated repeat purchases") && page.contains("<svg") && !page.contains("src="));

    let (out, _) = place.ends(&["verify", "m.nba"], 0);
    assert!(out.contains("golden rows score"), "{out}");
    let (out, _) = place.ends(&["inspect", "m.nba"], 0);
    for part in
        ["lifetime_value (bg_nbd_gamma_gamma)", "52 weeks, discounted by 0.002", "alpha_lo", "2024-10-01"]
    {
        assert!(out.contains(part), "{part}\n{out}");
    }
    let score =
        ["score", "--artifact", "m.nba", "--transactions", "t.csv", "--customer", "id", "--value", "spent"];
    let (out, err) = place.ends(&[score.as_slice(), &["--out", "-"]].concat(), 0);
    let mut lines = out.lines();
    let head =
        "key,p_alive,p_alive_code,expected_purchases,expected_spend,expected_spend_code,lifetime_value";
    assert_eq!((lines.next().unwrap(), lines.clone().count()), (head, 3_000));
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let [p, purchases, spend, value] = [1, 3, 4, 6].map(|at| cells[at].parse::<f64>().unwrap());
        assert!((0.0..=1.0).contains(&p) && purchases >= 0.0 && spend > 0.0, "{line}");
        // Discounted, so below the plain product, and above what it is at the end of the horizon.
        assert!(value <= purchases * spend + 1e-9 && value >= 0.9 * purchases * spend, "{line}");
        assert_eq!(cells[2] == "no_repeat_purchase", cells[5] == "population_mean", "{line}");
    }
    assert!(
        err.contains("3,000 customers scored by lifetime_value") && err.contains("after 2024-12-31"),
        "{err}"
    );
}

#[test]
fn a_summary_gives_what_its_purchases_give() {
    let place = Place::with("t.csv", purchases(800));
    let (out, _) = place
        .ends(&[&ASK, ["--json", "--unit", "day", "--observation-end", "2025-01-31"].as_slice()].concat(), 0);
    let whole: Value = serde_json::from_str(&out).unwrap();
    // The summary by hand: days, first purchase left out.
    let text = place.read("t.csv");
    let mut by = std::collections::BTreeMap::<&str, Vec<(i64, f64)>>::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let month: usize = cells[1][5..7].parse().unwrap();
        let before = [0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335][month - 1];
        by.entry(cells[0])
            .or_default()
            .push((before + cells[1][8..].parse::<i64>().unwrap(), cells[2].parse().unwrap()));
    }
    let mut csv = "who,x,t_x,T,zbar\n".to_owned();
    for (who, mut rows) in by {
        rows.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let first = rows[0].0;
        let days: Vec<f64> =
            rows.chunk_by(|a, b| a.0 == b.0).skip(1).map(|day| day.iter().map(|row| row.1).sum()).collect();
        let mean = if days.is_empty() { 0.0 } else { days.iter().sum::<f64>() / days.len() as f64 };
        csv +=
            &format!("{who},{},{},{},{mean}\n", days.len(), rows.last().unwrap().0 - first, 366 + 31 - first);
    }
    place.write("s.csv", csv);
    let ask =
        ["fit-clv", "--summary", "s.csv", "--value", "zbar", "--unit", "day", "--out", "m.nba", "--json"];
    let (out, _) = place.ends(&ask, 0);
    let summary: Value = serde_json::from_str(&out).unwrap();
    for part in ["parameters", "goodness_of_fit"] {
        assert_eq!(whole[part], summary[part], "{part}");
    }
    // Sums of a customer's values are taken in another order than above.
    let p = |report: &Value| report["gamma_gamma"]["parameters"]["p"]["value"].as_f64().unwrap();
    assert!((p(&whole) - p(&summary)).abs() < 1e-6 * p(&whole));
    let ask = [
        "score",
        "--artifact",
        "m.nba",
        "--table",
        "s.csv",
        "--key",
        "who",
        "--value",
        "zbar",
        "--out",
        "v.csv",
    ];
    let (out, _) = place.ends(&ask, 0);
    assert!(out.contains("800 customers scored") && place.read("v.csv").contains("\nc17,"), "{out}");
}

#[test]
fn what_cannot_be_told_is_null_with_a_code() {
    let place = Place::with("t.csv", purchases(800));
    let ask = ["fit-clv", "--transactions", "t.csv", "--customer", "id", "--out", "m.nba", "--json"];
    let (out, _) = place.ends(&ask, 0);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["gamma_gamma"]["code"], "no_value_column");
    assert!(report["gamma_gamma"]["parameters"].is_null() && report["holdout"].is_null());
    let ask = ["score", "--artifact", "m.nba", "--transactions", "t.csv", "--customer", "id", "--out", "-"];
    let (out, _) = place.ends(&ask, 0);
    assert!(out.lines().skip(1).all(|line| line.ends_with(",,no_spend_model,")), "{out}");
}

/// Every command of the page is run on the real tables, and what stands below it there is what it answers.
#[test]
fn every_command_of_the_documentation_answers_as_shown() {
    let text = include_str!("../../../docs/lifetime-value.md");
    let tables = ["cdnow_master.csv.gz", "cdnow_customers_summary_with_transactions.csv.gz"];
    let paths: Vec<_> = tables.into_iter().filter_map(data).collect();
    if paths.len() < tables.len() {
        return;
    }
    let place = Place::new();
    for (name, path) in tables.into_iter().zip(paths) {
        std::fs::copy(path, place.path(name)).unwrap();
    }
    let mut n_run = 0;
    for block in text.split("```sh\n").skip(1) {
        let (command, rest) = block.split_once("\n```\n").unwrap();
        let words: Vec<&str> = command.split_whitespace().filter(|word| *word != "\\").skip(1).collect();
        let (out, _) = place.ends(&words, 0);
        let shown = rest.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
        let tidy =
            |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n");
        assert_eq!(tidy(shown.trim_end()), tidy(out.trim_end()), "{command}");
        n_run += 1;
    }
    assert!(n_run >= 3, "{n_run}");
}

#[test]
fn help_ends_with_examples() {
    let (out, _) = Place::new().ends(&["fit-clv", "--help"], 0);
    assert!(out.contains("  nextbest fit-clv --transactions") && out.contains("Exit codes: 0"), "{out}");
}
