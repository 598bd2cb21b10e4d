//! A real table: IBM's Telco churn, from the optional data folder.

use super::made::{Place, column, data};

#[test]
fn telco_churn_is_fitted_and_scored() {
    let Some(file) = data("telco_churn.csv.gz") else { return };
    let (place, table) = (Place::new(), file.to_str().unwrap());
    let fit = ["fit", "--table", table, "--key", "customerID", "--label", "Churn=Yes", "--out", "churn.nba"];
    let (out, _) = place.ends(&[fit.as_slice(), &["--json", "-"]].concat(), 0);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["n_rows"], &report["n_positive"]), (&7043.into(), &1869.into()));
    assert_eq!(column(&report, "customerID")["left_out"], "key");
    let total = column(&report, "TotalCharges");
    assert_eq!((&total["kind"], &total["n_missing"]), (&"number".into(), &11.into()));
    assert_eq!(column(&report, "Contract")["n_levels"], 3);
    assert_eq!(column(&report, "Partner")["kind"], "boolean");
    assert_eq!(report["suspected_leaks"].as_array().unwrap().len(), 0);
    let auc = &report["propensity"]["test"]["auc"];
    let (value, se) = (auc["value"].as_f64().unwrap(), auc["se"].as_f64().unwrap());
    // Published clean figures are .842 to .847; other folds differ by sampling error.
    assert!((value - 0.845).abs() < 4.0 * se, "{value} {se}");
    let score =
        ["score", "--artifact", "churn.nba", "--table", table, "--key", "customerID", "--reasons", "3"];
    place.ends(&[score.as_slice(), &["--out", "s.csv"]].concat(), 0);
    let scores = place.read("s.csv");
    assert_eq!(scores.lines().count(), 7_044);
    assert!(scores.starts_with("key,probability,reason_1,reason_2,reason_3\n7590-VHVEG,0."));
}
