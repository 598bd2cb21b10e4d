//! Every artifact format ever released stays readable: one small file of each, sealed by the code of its time.
//!
//! The expected numbers were worked out by hand from the parameters the file was sealed with (a linear model with
//! Platt calibration, a forest of two trees with linear reasons, four demand records), so reader and file are checked
//! against something that is neither.

use nextbest_models::artifact::{Artifact, ArtifactError};
use nextbest_models::pricing::DemandLevel;
use nextbest_models::propensity::ReasonSource;

const V1: &[u8] = include_bytes!("../fixtures/formats/v1.nba");

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
