//! Every artifact format ever released stays readable: one small file of each, sealed by the code of its time.
//!
//! The expected numbers were worked out by hand from the parameters the file was sealed with (a linear model with
//! Platt calibration, a forest of two trees with linear reasons, four demand records), so reader and file are checked
//! against something that is neither.

use nextbest_models::artifact::{Artifact, ArtifactError};
use nextbest_models::pricing::DemandLevel;
use nextbest_models::propensity::ReasonSource;
use nextbest_models::value::{CustomerSummary, PurchaseSummary, SpendSummary, TimeUnit};

const V1: &[u8] = include_bytes!("../fixtures/formats/v1.nba");
/// Format 2, with the first form of a lifetime-value model.
const LIFETIME_1: &[u8] = include_bytes!("../fixtures/formats/lifetime-1.nba");

#[test]
fn format_1_opens_and_scores() {
    let artifact = Artifact::from_bytes(V1.to_vec(), Some(&"ab".repeat(32))).unwrap();
    assert_eq!(artifact.feature_names(), ["recency", "plan"]);
    assert_eq!(artifact.metadata().seed.0, 7);
    let check = artifact.check_golden().unwrap();
    assert_eq!(check.n_rows, 10);
    assert!(check.largest_difference < 1e-12, "{check:?}");

    // Columns are (value - 0.25) * 2: ln 2 gives 0.886294, not missing -0.5, plan 2 gives 1.5. Margin
    // -0.5 + 0.75 * 0.886294 + 0.125 * 0.5 + 1.5 * 1.5 = 2.477221; Platt 2 and 0.5 make log-odds 5.454441.
    let churn = artifact.propensity("churn").unwrap();
    assert!((churn.margin(&[1.0, 2.0]) - 2.477_221).abs() < 1e-6);
    assert!((churn.score(&[1.0, 2.0]).get() - 0.995_741).abs() < 1e-6);

    // Trees: recency missing passes (0.1); plan known (0.2).
    let conversion = artifact.propensity("conversion").unwrap();
    assert!((conversion.score(&[f64::NAN, 1.0]).get() - 0.15).abs() < 1e-12);
    assert!((conversion.score(&[40.0, 2.0]).get() - 0.55).abs() < 1e-12);
    assert_eq!(conversion.explain(&[40.0, 2.0]).source, ReasonSource::LinearCompanion);

    let demand = artifact.demand().unwrap();
    let curve = demand.curve("SKU-2", None, 1000).unwrap();
    assert_eq!(curve.level, DemandLevel::Sku);
    // Elasticity -2, with half its variance times the squared log ratio on top.
    let uncertain = (0.5 * (curve.elasticity.se * 2.0_f64.ln()).powi(2)).exp();
    assert!((curve.relative(2000) - 0.25 * uncertain).abs() < 1e-12);
}

#[test]
fn format_1_does_not_open_for_other_features() {
    let error = Artifact::from_bytes(V1.to_vec(), Some("other")).unwrap_err();
    assert!(matches!(error, ArtifactError::Schema { .. }), "{error}");
}

/// The expected numbers are those of the published formulas, with scipy's hypergeometric function.
#[test]
fn the_first_lifetime_model_opens_and_scores() {
    let artifact = Artifact::from_bytes(LIFETIME_1.to_vec(), None).unwrap();
    let check = artifact.check_golden().unwrap();
    assert!(check.n_rows > 100 && check.largest_difference < 1e-12, "{check:?}");
    let model = artifact.lifetime().unwrap();
    assert_eq!((model.unit(), model.horizon().n_units()), (TimeUnit::Week, 26));
    let purchases = PurchaseSummary::new(2.0, 30.43, 38.86).unwrap();
    let spend = SpendSummary::new(2.0, 22.35).ok();
    let told = model.score(&CustomerSummary { purchases, spend, truncated: false });
    assert!((told.p_alive - 0.623_381_687_828).abs() < 1e-12);
    // Near a = 1 the published form loses four digits of sixteen.
    assert!((told.expected_purchases - 0.837_713_143_9).abs() < 1e-9);
    assert!((told.expected_spend.unwrap() - 24.842_161_604_8).abs() < 1e-9);
    assert!((told.lifetime_value.unwrap() - 8.014_497_803_5).abs() < 1e-8);
}
