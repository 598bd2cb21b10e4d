//! Uplift models through the door of the artifact: scores by hand, refusals by name.

use super::*;
use crate::uplift::{UpliftCalibration, UpliftCode};

const LINE: UpliftCalibration = UpliftCalibration {
    effect: 0.04,
    slope: 0.5,
    center: 0.25,
    effect_variance: 1e-4,
    slope_variance: 1e-2,
    covariance: 0.0,
    misfit: 0.0,
    range: (-1.5, 1.5),
    quantile: 2.0,
};

/// Trees for the treated less half as much for control: 0.5 (0.25 + recency + plan).
pub(super) fn parts(name: &str, calibration: UpliftCalibration) -> UpliftParts {
    let scorer = SealedScorer::blend(0.0, vec![(1.0, trees()), (-0.5, trees())]).unwrap();
    let golden = ROWS.map(|row| (row.to_vec(), calibration.effect + calibration.slope * (raw(row) - 0.25)));
    UpliftParts { metadata: model(name), scorer: Some(scorer), calibration, golden: golden.to_vec() }
}

fn raw(row: [f64; 2]) -> f64 {
    let recency = if row[0].is_finite() && row[0] > 1.5 { -1.0 } else { 1.0 };
    0.5 * (0.25 + recency + if row[1] == 2.0 { 0.5 } else { -0.25 })
}

fn with(parts: UpliftParts) -> Result<Artifact, ArtifactError> {
    let mut builder = builder();
    builder.uplift(parts);
    builder.seal()
}

#[test]
fn uplift_and_interval_are_those_by_hand() {
    let artifact = with(parts("mail", LINE)).unwrap();
    let model = artifact.uplifts().next().unwrap();
    for row in ROWS {
        assert!((model.raw(&row) - raw(row)).abs() < 1e-12, "{row:?}");
        let told = model.score(&row);
        let value = 0.04 + 0.5 * (raw(row) - 0.25);
        let reach = 2.0 * (1e-4 + 1e-2 * (raw(row) - 0.25).powi(2)).sqrt();
        assert!((told.value - value).abs() < 1e-12 && (told.hi - value - reach).abs() < 1e-12, "{told:?}");
    }
    // Raw 0.875: 0.3525 give or take 0.1266. Raw -0.5: -0.335 give or take 0.1513.
    assert_eq!(model.score(&[1.0, 2.0]).code, UpliftCode::Raises);
    assert_eq!(model.score(&[7.0, f64::NAN]).code, UpliftCode::Lowers);
    assert_eq!(model.score(&[]), model.score(&[f64::NAN, f64::NAN]));
    // Five golden rows besides the ten of the two propensities.
    assert_eq!(artifact.check_golden().unwrap().n_rows, 15);
    assert_eq!(artifact.golden_rows("mail").len(), 5);
    let json = serde_json::to_value(artifact.inspect()).unwrap();
    assert_eq!(json["metadata"]["models"][3]["kind"], "uplift");
    assert_eq!(
        (&json["scorers"][2]["model"], &json["scorers"][2]["scorer"]),
        (&"mail".into(), &"blend".into())
    );
    assert!(artifact.propensity("mail").is_none());
}

#[test]
fn one_effect_for_everybody_needs_no_scorer() {
    let constant = UpliftCalibration::constant(0.02, 0.005, 2.0);
    let golden = vec![(vec![1.0, 2.0], 0.02)];
    let parts = UpliftParts { metadata: model("mail"), scorer: None, calibration: constant, golden };
    let artifact = with(parts).unwrap();
    let model = artifact.uplifts().next().unwrap();
    assert!(model.is_constant() && model.summary().is_none());
    assert_eq!(model.score(&[1.0, 2.0]), model.score(&[f64::NAN, 9.0]));
    assert_eq!(artifact.check_golden().unwrap().n_rows, 11);
}

#[test]
fn a_wrong_golden_row_or_calibration_is_named() {
    let mut wrong = parts("mail", LINE);
    wrong.golden[1].1 += 1e-3;
    let mismatch = with(wrong).unwrap().check_golden().unwrap_err();
    assert_eq!((mismatch.model.as_str(), mismatch.row), ("mail", 1));
    let fault = with(parts("mail", UpliftCalibration { slope: -1.0, ..LINE })).unwrap_err();
    assert_eq!(fault.to_string(), "model \"mail\": the calibration's slope is -1; it is in 0 ..= 1e12");
}
