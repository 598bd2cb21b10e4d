//! What is told: the JSON's shape, the table for people, and the commands of docs/demand.md.

use serde_json::Value;

use super::made::{Place, data};
use super::{choices, sales};

const ASK: [&str; 7] = ["fit-demand", "--table", "t.csv", "--quantity", "units", "--price", "price"];

fn json(place: &Place, more: &[&str]) -> Value {
    let (out, err) = place.ends(&[&ASK, more, &["--json"]].concat(), 0);
    assert_eq!(err, "", "no bar where there is no terminal");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn groups_and_all_rows_have_elasticities_with_intervals() {
    let place = Place::with("t.csv", sales(1_200));
    let adjusted = ["--by", "brand", "--controls", "temp", "--fixed-effects", "store", "--cluster", "store"];
    for method in ["ols", "dml"] {
        let report = json(&place, &[&adjusted, ["--method", method].as_slice()].concat());
        assert_eq!((&report["method"], &report["form"]), (&method.into(), &"log_log".into()));
        assert_eq!((&report["n_rows"], &report["n_used"]), (&1_200.into(), &1_200.into()));
        assert_eq!(report["controls"]["temp"], "number");
        let groups = report["groups"].as_array().unwrap();
        for (group, (brand, truth)) in groups.iter().zip([("hot", -3.0), ("mild", -2.0)]) {
            assert_eq!((&group["group"]["brand"], &group["n_clusters"]), (&brand.into(), &12.into()));
            let of = |key: &str| group["elasticity"][key].as_f64().unwrap();
            assert!(of("lo") < of("value") && of("value") < of("hi"), "{group}");
            assert!((of("value") - truth).abs() < 4.0 * of("se"), "{group}");
            let varies = |key: &str| group["price"][key].as_f64().unwrap();
            assert!(0.05 < varies("net_log_sd") && varies("net_log_sd") <= varies("log_sd"), "{group}");
            assert!(group["code"].is_null() && group["reason"].is_null() && group["slope"].is_null());
        }
        assert!(report["pooled"]["elasticity"]["value"].as_f64().unwrap() < -2.0);
        assert!(report["next"].as_str().unwrap().contains("price"));
    }
}

#[test]
fn a_slope_is_told_with_its_elasticity_at_the_means() {
    let place = Place::with("t.csv", sales(600));
    let report = json(&place, &["--linear"]);
    let (slope, elasticity) = (&report["pooled"]["slope"], &report["pooled"]["elasticity"]);
    assert!(slope["hi"].as_f64().unwrap() < 0.0 && elasticity["hi"].as_f64().unwrap() < 0.0, "{report}");
    let (out, _) = place.ends(&[&ASK, ["--linear"].as_slice()].concat(), 0);
    assert!(out.contains("slope") && out.contains("all rows"), "{out}");
}

#[test]
fn what_cannot_be_told_is_null_with_a_code() {
    let still = "5,2.5,still,s1,9\n".repeat(20);
    let place = Place::with("t.csv", sales(400) + &still + "7,3.1,lonely,s2,9\n");
    let report = json(&place, &["--by", "brand"]);
    let [hot, lonely, mild, still] = report["groups"].as_array().unwrap().as_slice() else {
        panic!("{report}")
    };
    assert!(hot["code"].is_null() && mild["code"].is_null());
    assert_eq!((&lonely["elasticity"], &lonely["code"]), (&Value::Null, &"too_few_rows".into()));
    assert_eq!((&still["elasticity"], &still["code"]), (&Value::Null, &"variation_too_small".into()));
    let (out, _) = place.ends(&[&ASK, ["--by", "brand"].as_slice()].concat(), 0);
    assert!(out.contains("variation too small") && out.contains("brand=lonely: 1 row; at least 10"), "{out}");
    let few = json(&place, &["--cluster", "brand"]);
    assert!(few["notes"][0].as_str().unwrap().starts_with("few_clusters: 4 clusters"), "{few}");
}

#[test]
fn choices_have_a_price_coefficient_and_a_matrix() {
    let place = Place::with("t.csv", choices(600));
    let ask =
        ["fit-demand", "--table", "t.csv", "--choice", "pick", "--price", "price", "--attributes", "shown"];
    let (out, _) = place.ends(&[ask.as_slice(), &["--cluster", "home", "--json"]].concat(), 0);
    let report: Value = serde_json::from_str(&out).unwrap();
    let of = |key: &str| report["price"][key].as_f64().unwrap();
    assert!((of("value") + 1.0).abs() < 4.0 * of("se") && of("lo") < of("hi"), "{report}");
    assert_eq!((&report["n"], &report["n_clusters"]), (&600.into(), &60.into()));
    assert!(
        report["coefficients"]["shown"]["value"].is_number()
            && report["coefficients"]["constant:mate"]["se"].is_number()
    );
    assert!(
        report["log_likelihood"].as_f64().unwrap() > report["log_likelihood_of_shares"].as_f64().unwrap()
    );
    let matrix = report["elasticities"].as_array().unwrap();
    assert!(
        matrix.len() == 3 && matrix[1][1].as_f64().unwrap() < 0.0 && matrix[1][0].as_f64().unwrap() > 0.0
    );
    let (out, _) = place.ends(&ask, 0);
    assert!(out.contains("share of \\ price of") && out.contains("600 choices"), "{out}");
}

#[test]
fn a_report_is_written_beside_the_text() {
    let place = Place::with("t.csv", sales(200));
    let (out, _) = place.ends(&[&ASK, ["--json", "r.json"].as_slice()].concat(), 0);
    assert!(out.contains("all rows"), "{out}");
    assert!(
        serde_json::from_str::<Value>(&place.read("r.json")).unwrap()["pooled"]["elasticity"]["se"]
            .is_number()
    );
    let (out, _) = place.ends(&["fit-demand", "--help"], 0);
    assert!(out.contains("  nextbest fit-demand --table") && out.contains("Exit codes: 0"), "{out}");
}

/// Every command of the page is run on the real tables, and what stands below it there is what it answers.
#[test]
fn every_command_of_the_documentation_answers_as_shown() {
    let text = include_str!("../../../docs/demand.md");
    let mut n_run = 0;
    for block in text.split("```sh\n").skip(1) {
        let (command, rest) = block.split_once("\n```\n").unwrap();
        let words: Vec<&str> = command.split_whitespace().filter(|word| *word != "\\").skip(1).collect();
        let table = words[words.iter().position(|word| *word == "--table").unwrap() + 1];
        let Some(path) = data(table) else { continue };
        let place = Place::new();
        std::fs::copy(path, place.path(table)).unwrap();
        let (out, _) = place.ends(&words, 0);
        let shown = rest.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
        let tidy =
            |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n");
        assert_eq!(tidy(shown.trim_end()), tidy(out.trim_end()), "{command}");
        n_run += 1;
    }
    assert!(n_run >= 3 || data("oj.csv.gz").is_none(), "{n_run}");
}
