//! `nextbest report decisions` over a small simulated shop: nobody is counted twice or left out, and the page, the table
//! and the JSON tell the same.

use serde_json::Value;

use super::{nextbest, number, told};

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn rows<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().unwrap_or_else(|| panic!("{name} is no list"))
}

fn lost(action: &Value) -> u64 {
    rows(action, "losses").iter().map(|loss| count(&loss["n_customers"])).sum()
}

#[test]
fn every_customer_is_counted_once_for_each_action_and_shown_as_told() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    told(&["init", "my-shop"], place);
    let words =
        ["simulate", "--customers", "400", "--days", "240", "--seed", "11", "--out", "my-shop/data/log"];
    told(&words, place);
    told(&["import", "--project", "my-shop", "my-shop/data/log/events.parquet"], place);

    // No model is there: priors speak.
    let ask = |more: &[&str]| {
        let words = ["report", "decisions", "--project", "my-shop", "--json", "--out", "page.html"];
        let report: Value = serde_json::from_str(&told(&[&words, more].concat(), place)).unwrap();
        (report, std::fs::read_to_string(place.join("page.html")).unwrap())
    };
    let (report, page) = ask(&[]);
    assert!(report["artifact_sha256"].is_null());
    let n_customers = count(&report["n_customers"]);
    assert!(n_customers > 100, "{n_customers} customers tell little");
    counts_add_up(&report);
    shares_are_shares(&report);
    shown_as_told(&page, &report);
    let firsts = rows(&report, "actions").iter().filter(|action| count(&action["n_first"]) > 0).count();
    assert!(firsts >= 2, "a choice among {firsts} actions shows little");

    // The same customers are decided the same, and earlier on there were fewer of them.
    assert_eq!(ask(&[]).0, report);
    let (early, early_page) = ask(&["--as-of", "2025-05-01T00:00:00Z"]);
    assert_eq!(early["as_of"], "2025-05-01T00:00:00Z");
    assert!((1..n_customers).contains(&count(&early["n_customers"])));
    counts_add_up(&early);
    shares_are_shares(&early);
    shown_as_told(&early_page, &early);

    // Without --json a table of the same counts, and where the page lies.
    let table = told(&["report", "decisions", "--project", "my-shop"], place);
    for action in rows(&report, "actions") {
        let line =
            table.lines().find(|line| line.trim_start().starts_with(text(&action["action_id"]))).unwrap();
        let cells: Vec<&str> = line.split_whitespace().collect();
        let [survived, first] = ["n_survived", "n_first"].map(|name| count(&action[name]).to_string());
        assert_eq!(cells[1..3], [survived, first], "{line}");
    }
    assert!(table.contains("winners that change without a factor: Propensity"), "{table}");
    let path = place.join(table.lines().last().unwrap());
    assert_eq!(std::fs::read_to_string(path).unwrap(), page);
}

fn counts_add_up(report: &Value) {
    let n_customers = count(&report["n_customers"]);
    let actions = rows(report, "actions");
    assert_eq!(actions.len(), 10);
    for action in actions {
        assert_eq!(count(&action["n_survived"]) + lost(action), n_customers, "{action}");
        assert!(action["n_first"].as_u64() <= action["n_survived"].as_u64(), "{action}");
        assert_eq!(action["mean_priority"].is_null(), action["n_survived"] == 0, "{action}");
        let share = number(&action["share_first"]) * number(&report["n_customers"]);
        // A quotient of counts, multiplied back.
        assert!((share - number(&action["n_first"])).abs() < 1e-9, "{action}");
    }
    let of = |name: &str| report[name].as_object().unwrap().values().map(count).sum::<u64>();
    assert_eq!((of("outcomes"), of("stages")), (n_customers, n_customers));
    let n_first: u64 = actions.iter().map(|action| count(&action["n_first"])).sum();
    assert_eq!(report["outcomes"]["offer"], n_first, "one action is offered to whom anything is");
    let factors: Vec<&str> = rows(report, "sensitivity").iter().map(|one| text(&one["factor"])).collect();
    assert_eq!(factors, ["propensity", "context_weight", "value", "lever"]);
    let n_survivals: u64 = actions.iter().map(|action| count(&action["n_survived"])).sum();
    for one in rows(report, "sensitivity") {
        // Whoever has a choice has two actions or more.
        assert!(count(&one["n_changed"]) <= count(&one["n_choices"]), "{one}");
        assert!(2 * count(&one["n_choices"]) <= n_survivals, "{one}");
    }
}

fn shares_are_shares(report: &Value) {
    let is_share = |value: &Value| assert!((0.0..=1.0).contains(&number(value)), "{value}");
    let is_interval = |share: &Value| {
        if share.is_null() {
            return;
        }
        let [value, lo, hi] = ["value", "lo", "hi"].map(|name| {
            is_share(&share[name]);
            number(&share[name])
        });
        // Of none and of all the bound is the share itself, but for rounding.
        let within = lo <= value + f64::EPSILON && value <= hi + f64::EPSILON;
        assert!(within && lo < hi, "{share}");
    };
    rows(report, "actions").iter().for_each(|action| is_share(&action["share_first"]));
    rows(report, "sensitivity").iter().for_each(|one| is_interval(&one["share"]));
    is_share(&report["mean_choice_probability"]);
    let groups = rows(report, "control");
    assert_eq!(groups.len(), 2);
    for group in groups {
        is_interval(&group["share"]);
        is_share(&group["p_value"]);
        is_share(&group["share_asked"]);
    }
}

/// Every action's row and what it lost, every factor's row and every stage's: the numbers of the JSON.
fn shown_as_told(page: &str, report: &Value) {
    let has = |shown: &str| assert!(page.contains(shown), "{shown}");
    let percent = |value: &Value| format!("{:.1} %", 100.0 * number(value));
    let share = |share: &Value| {
        if share.is_null() {
            return "\u{2013}".to_owned();
        }
        let [value, lo, hi] = ["value", "lo", "hi"].map(|name| percent(&share[name]));
        format!("{value} <small>({lo} to {hi})</small>")
    };
    let words = |name: &Value| text(name).replace('_', " ");
    has(&format!("<b>{}</b><span>customers decided</span>", report["n_customers"]));
    for action in rows(report, "actions") {
        has(&format!(
            "<td>{}</td><td class=text>{}</td><td>{}</td><td>{}</td><td>{}</td>",
            text(&action["action_id"]),
            words(&action["campaign_type"]),
            action["n_survived"],
            action["n_first"],
            percent(&action["share_first"]),
        ));
        has(&format!("{}: {} lost", text(&action["action_id"]), lost(action)));
        for loss in rows(action, "losses").iter().take(6) {
            has(&format!(
                "<td>{}</td><td class=text>{}</td><td class=text>{}</td><td>{}</td>",
                words(&loss["stage"]),
                text(&loss["component"]),
                words(&loss["code"]),
                loss["n_customers"],
            ));
        }
    }
    for one in rows(report, "sensitivity") {
        let (factor, n_changed) = (words(&one["factor"]), &one["n_changed"]);
        has(&format!("<td>{factor}</td><td>{n_changed}</td><td>{}</td>", share(&one["share"])));
    }
    for group in rows(report, "control") {
        let (name, n_members) = (text(&group["group"]), &group["n_members"]);
        let asked = percent(&group["share_asked"]);
        has(&format!(
            "<td>{name}</td><td>{asked}</td><td>{n_members}</td><td>{}</td>",
            share(&group["share"])
        ));
    }
    for (stage, n) in report["stages"].as_object().unwrap() {
        has(&format!("<td>{}</td><td>{n}</td>", stage.replace('_', " ")));
    }
    assert!(!page.contains("src="), "the page stands alone");
}

#[test]
fn a_wrong_call_ends_with_2_and_a_missing_log_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let nowhere = nextbest(&["report", "decisions", "--project", "nowhere"], place);
    assert_eq!(nowhere.status.code(), Some(2));
    told(&["init", "my-shop"], place);
    let no_log = nextbest(&["report", "decisions", "--project", "my-shop"], place);
    assert_eq!(no_log.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&no_log.stderr).contains("nextbest import"));
    let no_time = nextbest(&["report", "decisions", "--project", "my-shop", "--as-of", "yesterday"], place);
    assert_eq!(no_time.status.code(), Some(2));
}
