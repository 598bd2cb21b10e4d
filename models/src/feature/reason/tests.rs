//! The list by hand: sums, order, what is missing, every fault at its place.

use super::*;
use crate::propensity::{Contribution, ReasonSource};

const FEATURES: [&str; 6] = ["orders_30d", "tenure", "orders_90d", "views", "carts", "support"];

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    reason: Vec<ReasonSpec>,
}

fn list(text: &str) -> Result<ReasonList, Vec<ReasonFault>> {
    let file: File = toml::from_str(text).unwrap();
    ReasonList::new(file.reason, &FEATURES.map(str::to_owned))
}

fn good() -> ReasonList {
    let text = r#"
        [[reason]]
        code = "browsing"
        text = "Browsing"
        features = ["views", "carts"]
        [[reason]]
        code = "ordering"
        text = "Orders"
        raises = "Orders speak for it"
        lowers = "Orders speak against it"
        features = ["orders_90d", "orders_30d"]
    "#;
    list(text).unwrap()
}

/// The explanation of a model that adds (feature, log-odds, missing) to a baseline of 1/2.
fn explanation(parts: &[(usize, f64, bool)]) -> Explanation {
    let part = |&(feature, log_odds, missing)| Contribution { feature, log_odds, missing };
    let margin = 0.5 + parts.iter().map(|part| part.1).sum::<f64>();
    let contributions = parts.iter().map(part).collect();
    Explanation { source: ReasonSource::Model, baseline: 0.5, margin, contributions }
}

#[test]
fn a_reason_sums_its_features_and_the_rest_stand_alone() {
    let list = good();
    let codes: Vec<&str> = list.reasons().iter().map(Reason::code).collect();
    assert_eq!(codes, ["browsing", "ordering", "tenure", "support"]);
    let explanation = explanation(&[(0, -1.0, false), (1, 0.5, true), (2, -0.25, true), (3, 0.125, false)]);
    let named = list.name_contributions(&explanation);
    let expected = [
        NamedContribution {
            code: "ordering",
            text: Some("Orders speak against it"),
            features: vec!["orders_30d", "orders_90d"],
            direction: Direction::Lowers,
            log_odds: -1.25,
            missing: false,
        },
        NamedContribution {
            code: "tenure",
            text: None,
            features: vec!["tenure"],
            direction: Direction::Raises,
            log_odds: 0.5,
            missing: true,
        },
        // The model does not use `carts`, and browsing has no text for a direction.
        NamedContribution {
            code: "browsing",
            text: Some("Browsing"),
            features: vec!["views"],
            direction: Direction::Raises,
            log_odds: 0.125,
            missing: false,
        },
    ];
    assert_eq!(named, expected);
    let sum = explanation.baseline + named.iter().map(|part| part.log_odds).sum::<f64>();
    assert!((sum - explanation.margin).abs() < f64::EPSILON, "all numbers are short binary fractions");
}

#[test]
fn ties_keep_the_order_of_the_list_and_not_of_the_features() {
    let list = good();
    let explanation = explanation(&[
        (0, 0.5, false),
        (1, 0.25, false),
        (2, -0.25, false),
        (3, -0.125, false),
        (4, -0.125, false),
        (5, -0.25, false),
    ]);
    let named = list.name_contributions(&explanation);
    let found: Vec<(&str, f64)> = named.iter().map(|part| (part.code, part.log_odds)).collect();
    assert_eq!(found, [("browsing", -0.25), ("ordering", 0.25), ("tenure", 0.25), ("support", -0.25)]);
}

#[test]
fn a_reason_is_missing_where_every_feature_of_it_is() {
    let list = good();
    let missing = |first: bool, second: bool| {
        let explanation = explanation(&[(0, 1.0, first), (2, 1.0, second)]);
        list.name_contributions(&explanation)[0].missing
    };
    assert_eq!([missing(true, true), missing(true, false), missing(false, true)], [true, false, false]);
}

#[test]
fn without_a_list_a_feature_is_its_own_code() {
    let list = list("").unwrap();
    let explanation = explanation(&[(0, 0.25, false), (2, -1.0, true)]);
    let named = list.name_contributions(&explanation);
    let strongest = explanation.strongest(2);
    assert_eq!(named.len(), strongest.len());
    for (named, single) in named.iter().zip(strongest) {
        let name = FEATURES[single.feature];
        assert_eq!((named.code, named.text, named.features.as_slice()), (name, None, &[name][..]));
        assert_eq!((named.log_odds, named.missing), (single.log_odds, single.missing));
    }
}

#[test]
fn faults_come_all_at_once_at_their_places() {
    let text = r#"
        [[reason]]
        code = "Ordering"
        text = " "
        features = ["orders_30d", "orders_31d"]
        [[reason]]
        code = "tenure"
        text = "Orders"
        raises = ""
        features = ["orders_90d", "orders_30d", "orders_90d"]
        [[reason]]
        code = "tenure"
        text = "Nothing"
        features = []
    "#;
    let faults = list(text).unwrap_err();
    let found: Vec<(usize, &str)> =
        faults.iter().map(|fault| (text[..fault.at].matches('\n').count(), fault.message.as_str())).collect();
    let expected = [
        (2, "reason \"Ordering\": a code takes lower-case letters, digits and _"),
        (3, "reason \"Ordering\": text has 0 characters, outside 1 ..= 200"),
        (4, "reason \"Ordering\": \"orders_31d\" is no feature of this file"),
        (6, "reason \"tenure\": a feature has this name, and the reason does not hold it"),
        (8, "reason \"tenure\": raises has 0 characters, outside 1 ..= 200"),
        (9, "reason \"tenure\": feature \"orders_30d\" is in reason \"Ordering\" already"),
        (9, "reason \"tenure\": feature \"orders_90d\" is in reason \"tenure\" already"),
        (11, "two reasons have the code \"tenure\""),
        (13, "reason \"tenure\": features names none"),
    ];
    assert_eq!(found, expected);
}
