//! The page holds the numbers of the report, is whole by itself, and lets no name break out.

use std::collections::BTreeMap;

use nextbest_models::pricing::Elasticity;
use nextbest_models::units::{Seed, Timestamp};

use super::*;
use crate::demand::DemandOptions;
use crate::metrics::{calibration_bins, quality, roc};
use crate::selection::BlendMember;

fn report() -> TrainingReport {
    let probabilities: Vec<f64> = (0..500).map(|k| f64::from(k) / 500.0).collect();
    let outcomes: Vec<bool> = (0..500).map(|k| (k * 7919) % 500 < k).collect();
    let test = quality(&probabilities, &outcomes);
    let candidate = |learner, chosen, failure: Option<&str>| Candidate {
        learner,
        chosen,
        failure: failure.map(str::to_owned),
        n_fit: 12_345,
        choice_log_loss: Some(test.log_loss),
        behind_best: Some(Estimate { value: 0.01234, se: 0.00567 }),
        calibration: Some("platt"),
        calibrations: vec![],
        members: vec![BlendMember { learner: "linfa_logistic", weight: 0.625 }],
        test: Some(test.clone()),
        notes: vec!["column same dropped: constant".into()],
    };
    let propensity = PropensityReport {
        name: "churn".into(),
        label: None,
        validation: ValidationSummary::Folds { n_folds: 5, n_scored: 2 },
        split: None,
        counts: BTreeMap::new(),
        candidates: vec![
            candidate("linfa_logistic", true, None),
            candidate("smartcore_forest", false, Some("gave <up>")),
        ],
        calibration_bins: calibration_bins(&probabilities, &outcomes),
        roc: roc(&probabilities, &outcomes, 50),
        test,
        diagnostics: None,
    };
    let record = DemandRecord {
        level: DemandLevel::Sku,
        name: "<script>alert(1)</script>".into(),
        category: None,
        reference_price_minor: 1299,
        units_per_week: 4.25,
        elasticity: Some(Elasticity { value: -2.0, se: 0.2, lo: -2.4, hi: -1.6 }),
        own: Some((-2.2, 0.3)),
        purchase_probability: Some(0.0525),
        n_weeks: 50,
        n_units: 212,
        n_shown: 4000,
        flags: vec![],
    };
    TrainingReport {
        name: "shop & <sons>".into(),
        artifact_sha256: "ab".repeat(32),
        trained_through: Timestamp::from_millis(1_700_000_000_000).unwrap(),
        seed: Seed(7),
        cutoffs: vec![],
        n_rows: 1_234_567,
        n_customers: 20_000,
        n_events: 999,
        n_refused: 0,
        propensities: vec![propensity],
        demand: Some(DemandReport {
            options: DemandOptions::default(),
            randomised_only: true,
            n_observations: 100,
            n_randomised: 50,
            n_estimated: 1,
            n_too_little: 0,
            plain: None,
            debiased: None,
            overall: None,
            categories: BTreeMap::new(),
            grounding: None,
            loss: None,
            cross: BTreeMap::new(),
            records: vec![record],
            notes: vec![],
        }),
        lifetime_value: None,
        realised_value: None,
        uplifts: vec![],
        notes: vec![],
    }
}

#[test]
fn names_are_escaped_and_numbers_shown() {
    let page = html(&report());
    assert!(
        !page.contains("<script")
            && page.contains("&lt;script&gt;")
            && page.contains("shop &amp; &lt;sons&gt;")
    );
    assert!(page.contains("1,234,567") && page.contains("12,345") && page.contains("gave &lt;up&gt;"));
    assert!(page.contains("-2.00 (-2.40 to -1.60)") && page.contains("5.25 %"));
    assert!(page.contains("0.0123 \u{b1} 0.0057") && page.contains("0.625 of linfa_logistic"));
    assert!(page.contains("rows of 2 of 5 folds"));
    let auc = report().propensities[0].test.auc.unwrap().value;
    assert!(page.contains(&format!("{auc:.3}")));
}

#[test]
fn the_page_is_whole_by_itself() {
    let page = html(&report());
    for outside in ["http://", "https://", "url(", "@import", "<link", "<img", "src="] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
    for element in ["svg", "table", "div", "details", "ul", "h2"] {
        let (opened, closed) =
            (page.matches(&format!("<{element}")).count(), page.matches(&format!("</{element}>")).count());
        assert_eq!(opened, closed, "{element}");
    }
    for stray in ["NaN", "=inf", ">inf", "=\"inf", "-inf"] {
        let place = page.find(stray).map(|at| page[at.saturating_sub(80)..at + 20].to_owned());
        assert_eq!(place, None);
    }
}

#[test]
fn ticks_are_round_and_inside() {
    let found = plot::ticks((0.0, 1.0));
    assert_eq!(found.len(), 6);
    assert!(
        found
            .iter()
            .zip([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
            .all(|(tick, expected)| (tick - expected).abs() < 1e-12)
    );
    assert!(plot::ticks((-3.7, 0.0)).iter().all(|tick| (-3.7..=0.0).contains(tick)));
}
