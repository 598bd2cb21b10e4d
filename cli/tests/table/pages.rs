//! What is written for people: the report as a page, and every command of docs/tables.md.

use super::made::{Place, customers};

#[test]
fn a_page_stands_alone_and_escapes_names() {
    let csv = customers(1_600, 11).csv.replacen("spend", "<b>spend", 1);
    let place = Place::with("t.csv", csv);
    let (out, _) = place.fit(&["--key", "id", "--report", "r.html", "--json", "r.json"], 0);
    assert!(
        out.contains("left out: key")
            && out.contains("\"?\" taken as missing")
            && out.contains("sealed into m.nba"),
        "{out}"
    );
    let page = place.read("r.html");
    assert!(
        page.contains("&lt;b&gt;spend") && !page.contains("<b>spend") && !page.contains("src="),
        "{page}"
    );
    assert!(page.contains("YYYY-MM-DD as days since 1970-01-01"));
    let report: serde_json::Value = serde_json::from_str(&place.read("r.json")).unwrap();
    assert!(page.contains(&report["artifact_sha256"].as_str().unwrap()[..16]));
}

#[test]
fn every_command_of_the_documentation_runs() {
    let text = include_str!("../../../docs/tables.md");
    let place = Place::with("customers.csv", customers(2_500, 12).csv.replace("left", "churned"));
    let mut n_run = 0;
    for line in text.lines().filter(|line| line.starts_with("nextbest ")) {
        let command = line.split('#').next().unwrap();
        let args: Vec<&str> = command.split_whitespace().skip(1).collect();
        place.ends(&args, 0);
        n_run += 1;
    }
    assert!(n_run >= 4, "{n_run}");
}

#[test]
fn help_ends_with_examples() {
    for command in ["fit", "score"] {
        let (out, _) = Place::new().ends(&[command, "--help"], 0);
        assert!(out.contains(&format!("  nextbest {command} --")) && out.contains("Exit codes: 0"), "{out}");
    }
}
