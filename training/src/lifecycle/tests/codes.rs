//! What cannot be told has a code and no number; the page shows what the JSON holds.

use serde_json::Value;

use super::*;
use crate::report::{interval, lifecycle_html};

fn codes(report: &LifecycleReport) -> BTreeMap<&str, Option<Code>> {
    report.metrics.iter().map(|metric| (metric.name, metric.measure.code)).collect()
}

/// Every number of the report is null or finite, and none stands beside a code.
fn check(report: &LifecycleReport) {
    for metric in &report.metrics {
        assert_ne!(metric.measure.estimate.is_some(), metric.measure.code.is_some(), "{}", metric.name);
    }
    let page = lifecycle_html(report);
    for stray in ["NaN", ">inf", "-inf"] {
        assert!(!page.contains(stray), "{stray}");
    }
}

#[test]
fn an_empty_log_has_codes_alone() {
    let report = look_at(&shop(), day(400), &[]);
    check(&report);
    assert_eq!((report.n_customers, report.from), (0, None));
    for (name, code) in codes(&report) {
        let expected = match name {
            "net_promoter_score" => Code::NoSurveys,
            "response_rate" | "opt_out_rate" => Code::NoContacts,
            _ => Code::NoCustomers,
        };
        assert_eq!(code, Some(expected), "{name}");
    }
    assert!(report.moves.is_empty() && report.churn.is_empty() && report.retention.cohorts.is_empty());
}

#[test]
fn one_customer_has_shares_but_neither_mean_nor_median() {
    let events = in_order(vec![
        made(1, 1, "order_placed", 0).event(),
        made(1, 2, "order_placed", 40).event(),
        made(1, 3, "order_placed", 200).event(),
    ]);
    let report = look_at(&shop(), day(300), &[events]);
    check(&report);
    let codes = codes(&report);
    assert_eq!(codes["purchase_frequency"], Some(Code::TooFew));
    assert_eq!(codes["time_between_orders"], Some(Code::TooFew));
    assert_eq!(counts(&report, "activation"), (Some(1), 1));
    // One of one: Wilson's lower bound is 1 / (1 + z^2).
    let one = metric(&report, "repeat_purchase_rate").measure.estimate.unwrap();
    assert!((one.lo - 1.0 / (1.0 + 1.959_964_f64.powi(2))).abs() < 1e-12 && one.hi > 1.0 - 1e-12);
}

#[test]
fn an_order_taken_back_whole_was_none_and_a_refund_leaves_it() {
    let bought = |back: &str| {
        in_order(vec![
            made(1, 1, "order_placed", 0).event(),
            made(1, 2, "order_placed", 10).event(),
            made(1, 3, back, 12).of(10).event(),
        ])
    };
    let repeaters = |back: &str| counts(&look_at(&shop(), day(300), &[bought(back)]), "repeat_purchase_rate");
    assert_eq!(repeaters("order_cancelled"), (Some(0), 1));
    assert_eq!(repeaters("refunded"), (Some(1), 1));
}

#[test]
fn what_has_not_matured_is_not_told() {
    let events = in_order(vec![
        made(1, 1, "order_placed", 0).event(),
        made(1, 2, "order_placed", 5).event(),
        made(1, 3, "contacted", 8).naming("d", "bundle").event(),
    ]);
    let report = look_at(&shop(), day(12), std::slice::from_ref(&events));
    check(&report);
    let told = codes(&report);
    assert_eq!(told["activation"], Some(Code::NotMatured), "though the second order is there already");
    assert_eq!(told["retention_month_1"], Some(Code::NotMatured));
    assert_eq!((told["churn"], told["not_churned"]), (Some(Code::LogTooShort), Some(Code::LogTooShort)));
    assert_eq!(told["purchase_frequency"], Some(Code::LogTooShort));
    assert_eq!(
        (told["response_rate"], told["opt_out_rate"]),
        (Some(Code::NoContacts), Some(Code::NoContacts))
    );
    assert!(report.moves.is_empty() && report.notes.iter().any(|note| note.contains("log_too_short")));
    // The first order was on day 0: its 60 days, today not included, are over at the start of day 61.
    let on = |at: i32| look_at(&shop(), day(at), std::slice::from_ref(&events));
    assert_eq!(codes(&on(60))["activation"], Some(Code::NotMatured));
    assert_eq!(counts(&on(61), "activation"), (Some(1), 1));
    // January and February have 59 days.
    assert_eq!(codes(&on(58))["retention_month_1"], Some(Code::NotMatured));
    assert_eq!(counts(&on(59), "retention_month_1"), (Some(0), 1));
}

#[test]
fn a_project_without_a_churn_label_says_so() {
    let mut project = shop();
    project.settings.labels.remove("churn");
    let report = look_at(&project, day(300), &[vec![made(1, 1, "order_placed", 0).event()]]);
    check(&report);
    assert_eq!(codes(&report)["churn"], Some(Code::NoChurnLabel));
}

#[test]
fn the_page_and_the_json_show_the_same_numbers() {
    let mut project = shop();
    project.settings.name = "tea & <sons>".to_owned();
    let report = look_at(&project, day(365), &truth::shop_of(250, 4));
    check(&report);
    let (page, json) = (lifecycle_html(&report), serde_json::to_value(&report).unwrap());
    assert!(page.contains("tea &amp; &lt;sons&gt;") && !page.contains("<script"));
    let metrics = json["metrics"].as_array().unwrap();
    for (metric, told) in report.metrics.iter().zip(metrics) {
        let (value, between) = interval(metric.unit, &metric.measure);
        assert!(page.contains(&format!("<td>{value}</td><td>{between}</td>")), "{}", metric.name);
        let number = told["estimate"]["value"].as_f64().unwrap();
        let shown: f64 = value.replace(" %", "").replace('\u{2212}', "-").parse().unwrap();
        let scale = if told["unit"] == "share" { 100.0 } else { 1.0 };
        // One decimal, two for orders: half a unit of the last.
        assert!((scale * number - shown).abs() <= 0.05 + 1e-9, "{}: {number} {shown}", metric.name);
        assert_eq!(told["code"], Value::Null);
    }
    for cohort in json["retention"]["cohorts"].as_array().unwrap() {
        let month = cohort["month"].as_str().unwrap();
        for (at, cell) in cohort["months"].as_array().unwrap().iter().enumerate() {
            let value = 100.0 * cell["estimate"]["value"].as_f64().unwrap();
            assert!(page.contains(&format!("{month}, month {}: {value:.1} %", at + 1)), "{month} {at}");
        }
    }
    for outside in ["http://", "https://", "url(", "@import", "<link", "<img", "src="] {
        assert!(!page.contains(outside), "{outside}");
    }
    for element in ["svg", "table", "div", "details", "ul", "h2", "small", "b>"] {
        let opened = page.matches(&format!("<{element}")).count();
        assert_eq!(opened, page.matches(&format!("</{element}")).count(), "{element}");
    }
}
