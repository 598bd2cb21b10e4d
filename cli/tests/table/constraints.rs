//! Monotone constraints and weights, as they are typed: what is kept, what is left out by name, what is refused.

use super::made::{Draw, Place, customers};

/// Probabilities of customers that are alike but for `column`, which takes `steps` rising values: a row per customer.
fn along(place: &Place, column: &str, n_customers: usize, steps: &[f64]) -> Vec<Vec<f64>> {
    let mut draw = Draw(77);
    let mut csv = "id,age,plan,member,since,spend\n".to_owned();
    for _ in 0..n_customers {
        let (age, spend) = (draw.unit() * 100.0 - 10.0, draw.unit() * 2_000.0 - 500.0);
        let plan = ["basic", "family", "pro", "unheard", ""][draw.below(5) as usize];
        let member = ["Yes", "No", ""][draw.below(3) as usize];
        let since = format!("20{:02}-06-01", draw.below(30));
        for &step in steps {
            let (age, spend) = if column == "age" { (step, spend) } else { (age, step) };
            csv += &format!("x,{age},{plan},{member},{since},{spend}\n");
        }
    }
    place.write("s.csv", csv);
    let args = ["score", "--artifact", "m.nba", "--table", "s.csv", "--out", "p.csv"];
    place.ends(&[&args[..], &["--key", "id"]].concat(), 0);
    let scores = place.read("p.csv");
    let p = scores.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap());
    p.collect::<Vec<f64>>().chunks(steps.len()).map(<[f64]>::to_vec).collect()
}

#[test]
fn a_probability_moves_along_a_column_as_it_was_told() {
    let made = customers(3_000, 8);
    let ages: Vec<f64> = (-40..320).map(|step| f64::from(step) * 0.5).collect();
    let amounts: Vec<f64> = (-50..150).map(|step| f64::from(step) * 10.3).collect();
    // What the rows say (older customers leave more often), its opposite, and a column that says nothing.
    for constraint in ["age=+1,spend=-1", "spend=+1,age=-1"] {
        let place = Place::with("t.csv", &made.csv);
        let (out, _) = place.fit(&["--key", "id", "--monotone", constraint], 0);
        let refusal = "a candidate is left out: smartcore_forest cannot keep a score from moving against";
        assert!(out.contains(refusal), "{out}");
        for (column, steps) in [("age", &ages), ("spend", &amounts)] {
            let falls = constraint.contains(&format!("{column}=-1"));
            for curve in along(&place, column, 30, steps) {
                let is_kept = |pair: &[f64]| if falls { pair[1] <= pair[0] } else { pair[1] >= pair[0] };
                assert!(curve.windows(2).all(is_kept), "{constraint} {column}: {curve:?}");
            }
        }
        let inspected = place.ends(&["inspect", "m.nba", "--json"], 0).0;
        assert!(inspected.contains("never lowers it"), "the artifact says what it promises: {inspected}");
    }
}

#[test]
fn constraints_that_cannot_be_meant_are_refused() {
    let place = Place::with("t.csv", &customers(400, 9).csv);
    for (constraint, message) in [
        ("spent=+1", "--monotone: t.csv has no column \"spent\"; did you mean \"spend\"?"),
        ("plan=+1", "--monotone: \"plan\" holds categories, which have no order"),
        ("left=+1", "\"left\" is named by --label and by --monotone; a column has one role"),
        ("age=2", "a constraint is COLUMN=+1 (never falls) or COLUMN=-1 (never rises)"),
        ("age", "a constraint is COLUMN=+1 (never falls) or COLUMN=-1 (never rises)"),
        ("=+1", "no column is named"),
        ("age=+1,age=-1", "--monotone: \"age\" is held to both directions"),
        ("id=+1", "--monotone: \"id\" is left out (400 different texts in 400 rows)"),
    ] {
        let (_, err) = place.fit(&["--monotone", constraint], 2);
        assert!(err.contains(message), "{constraint}: {message}\n{err}");
        assert!(!place.path("m.nba").exists());
    }
    let (_, err) = place.fit(&["--drop", "age", "--monotone", "age=+1"], 2);
    assert!(err.contains("\"age\" is named by --drop and by --monotone"), "{err}");
}

#[test]
fn a_candidate_that_cannot_weigh_rows_is_left_out_by_name() {
    let text = customers(1_000, 10).csv;
    let weighted = text.lines().enumerate().map(|(row, line)| match row {
        0 => format!("{line},w\n"),
        _ => format!("{line},{}\n", row % 3),
    });
    let place = Place::with("t.csv", weighted.collect::<String>());
    let report = place.fitted(&["--key", "id", "--weight-column", "w"]);
    for candidate in report["propensity"]["candidates"].as_array().unwrap() {
        let is_forest = candidate["learner"] == "smartcore_forest";
        assert_eq!(candidate["failure"].is_string(), is_forest, "{candidate}");
    }
    let place = Place::with("t.csv", place.read("t.csv"));
    let (out, _) = place.fit(&["--key", "id", "--weight-column", "w"], 0);
    assert!(out.contains("a candidate is left out: smartcore_forest cannot weight rows"), "{out}");
}
