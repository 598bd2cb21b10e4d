//! What is told and sealed: the JSON's shape, scores of the artifact, the page, and the commands of docs/uplift.md.

use serde_json::Value;

use super::made::{Place, data};
use super::mails;

const ASK: [&str; 11] = [
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
];

fn json(place: &Place, more: &[&str]) -> Value {
    let (out, err) = place.ends(&[&ASK, more, &["--json"]].concat(), 0);
    assert_eq!(err, "", "no bar where there is no terminal");
    serde_json::from_str(&out).unwrap()
}

fn scores(place: &Place) -> Vec<Vec<f64>> {
    let score = ["score", "--artifact", "m.nba", "--table", "t.csv", "--key", "id", "--out", "s.csv"];
    place.ends(&score, 0);
    let text = place.read("s.csv");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("key,uplift,lo,hi"));
    lines.map(|line| line.split(',').skip(1).map(|cell| cell.parse().unwrap()).collect()).collect()
}

#[test]
fn what_is_told_and_sealed_is_scored_and_verified() {
    let place = Place::with("t.csv", mails(4_000));
    let more =
        ["--treatment-probability", "p", "--out", "m.nba", "--report", "r.html", "--predictions", "p.csv"];
    let report = json(&place, &more);
    let [n, neither, used] = ["n_rows", "n_neither", "n_used"].map(|key| report[key].as_u64().unwrap());
    assert!(n == 4_000 && neither + used == n && (700..900).contains(&neither), "{report}");
    assert_eq!(
        (&report["assignment"]["basis"], &report["assignment"]["auc"]),
        (&"column".into(), &Value::Null)
    );
    // A mail does 0.3 for 25 of 51 ages: 0.147.
    let adjusted = &report["effect"]["adjusted"];
    let of = |key: &str| adjusted[key].as_f64().unwrap();
    assert!((of("value") - 0.147).abs() < 3.0 * of("se") && of("lo") < of("value"), "{adjusted}");
    assert!(
        report["effect"]["difference_of_means"]["value"].as_f64().unwrap() > of("hi"),
        "it was sent to the willing"
    );
    assert!(report["learner"] != "constant" && report["code"].is_null(), "{}", report["candidates"]);
    assert_eq!(report["candidates"].as_array().unwrap().len(), 4);
    assert_eq!(report["ranking"]["deciles"].as_array().unwrap().len(), 10);
    assert!(report["ranking"]["qini"]["lo"].as_f64().unwrap() > 0.0);
    let rows = scores(&place);
    assert_eq!(rows.len(), 4_000);
    assert!(rows.iter().all(|row| -1.0 <= row[1] && row[1] <= row[0] && row[0] <= row[2] && row[2] <= 1.0));
    let (out, _) = place.ends(&["verify", "m.nba"], 0);
    assert!(out.contains("64 golden rows score as their learners did"), "{out}");
    let (out, _) = place.ends(&["inspect", "m.nba"], 0);
    assert!(out.contains("calibration uplift") && out.contains("uplift of bought by mail=sent"), "{out}");
    assert!(
        place.read("r.html").contains("Uplift curve")
            && place.read("p.csv").lines().count() as u64 == used + 1
    );
    let (_, err) = place
        .ends(&["score", "--artifact", "m.nba", "--table", "t.csv", "--reasons", "2", "--out", "x.csv"], 2);
    assert!(err.contains("the artifact holds uplift, which has an interval and no reasons"), "{err}");
}

/// Every learner, through the file: golden rows within 1e-6, and the same bytes from the same call.
#[test]
fn every_learner_seals_what_it_predicts() {
    let place = Place::with("t.csv", mails(1_500));
    for (learner, scorer) in [("t", "blend"), ("x", "blend"), ("dr", "trees"), ("best", ""), ("constant", "")]
    {
        let more = ["--learner", learner, "--design", "observed", "--fold-column", "fold", "--out"];
        let [first, second] = ["m.nba", "n.nba"]
            .map(|out| json(&place, &[&more, [out].as_slice()].concat())["artifact_sha256"].clone());
        assert_eq!(first, second, "{learner}");
        place.ends(&["verify", "m.nba"], 0);
        let (out, _) = place.ends(&["inspect", "m.nba", "--json"], 0);
        let inspected: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(inspected["metadata"]["models"][0]["kind"], "uplift");
        if !scorer.is_empty() {
            assert_eq!(inspected["scorers"][0]["scorer"], scorer, "{learner}");
        }
    }
    let report = json(&place, &["--learner", "constant", "--out", "m.nba"]);
    assert_eq!((&report["ranking"], &report["code"]), (&Value::Null, &"constant_effect".into()));
    let rows = scores(&place);
    assert!(rows.iter().all(|row| row == &rows[0]));
}

#[test]
fn an_outcome_may_be_named_by_its_value() {
    let csv = mails(1_500);
    let yes_no: String = csv
        .lines()
        .enumerate()
        .map(|(at, line)| {
            let mut cells: Vec<&str> = line.split(',').collect();
            if at > 0 {
                cells[5] = if cells[5] == "1" { "yes" } else { "no" };
            }
            cells.join(",") + "\n"
        })
        .collect();
    let effect = |csv: String, outcome: &str| {
        let place = Place::with("t.csv", csv);
        let ask: Vec<&str> = ASK.iter().map(|word| if *word == "bought" { outcome } else { word }).collect();
        let (out, _) = place.ends(&[ask.as_slice(), &["--learner", "constant", "--json"]].concat(), 0);
        serde_json::from_str::<Value>(&out).unwrap()["effect"].clone()
    };
    assert_eq!(effect(csv, "bought"), effect(yes_no, "bought=yes"));
}

#[test]
fn a_column_that_differs_between_the_arms_is_named() {
    let csv: String = mails(2_000)
        .lines()
        .map(|line| {
            let opened = if line.starts_with("id") {
                "opened"
            } else if line.contains("sent") {
                "1"
            } else {
                "0"
            };
            format!("{line},{opened}\n")
        })
        .collect();
    let place = Place::with("t.csv", csv);
    let (out, _) = place.ends(&[&ASK, ["--drop", "p,plan", "--design", "randomised"].as_slice()].concat(), 0);
    assert!(out.contains("differ between the arms") && out.contains("opened ("), "{out}");
    assert!(out.contains("First look at the columns that differ between the arms"), "{out}");
}

#[test]
fn help_ends_with_examples() {
    let (out, _) = Place::new().ends(&["fit-uplift", "--help"], 0);
    assert!(out.contains("  nextbest fit-uplift --table") && out.contains("Exit codes: 0"), "{out}");
}

/// Every command of the page is run on the real tables, and what stands below it there is what it answers.
#[test]
fn every_command_of_the_documentation_answers_as_shown() {
    let text = include_str!("../../../docs/uplift.md");
    let place = Place::new();
    let mut n_run = 0;
    for block in text.split("```sh\n").skip(1) {
        let (commands, rest) = block.split_once("\n```\n").unwrap();
        let mut told = String::new();
        for command in commands.lines() {
            let words = words(command);
            let words: Vec<&str> = words.iter().map(String::as_str).skip(1).collect();
            if let Some(table) = words.iter().position(|word| *word == "--table").map(|at| words[at + 1]) {
                let Some(path) = data(table) else { return };
                std::fs::copy(path, place.path(table)).unwrap();
            }
            told += &place.ends(&words, 0).0;
        }
        let shown = rest.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
        let tidy =
            |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n");
        assert_eq!(tidy(shown.trim_end()), tidy(told.trim_end()), "{commands}");
        n_run += 1;
    }
    assert!(n_run >= 3, "{n_run}");
}

/// The words of a command, as a shell splits them: blanks inside double quotes belong to a word.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    for letter in command.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            letter => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
