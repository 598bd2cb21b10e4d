//! A model of realised value through the door of the artifact: amounts by hand, refusals by name.

use super::*;
use crate::artifact::layout;
use crate::value::RealisedLine;
use crate::value::realised::RealisedKnot;

/// Of the trees' 0.25 + recency + plan, in thousands, times 2.
fn value(row: [f64; 2]) -> f64 {
    let recency = if row[0].is_finite() && row[0] > 1.5 { -1.0 } else { 1.0 };
    let plan = if row[1] == 2.0 { 0.5 } else { -0.25 };
    2_000.0 * f64::max(0.25 + recency + plan, 0.0)
}

fn with(stretch: f64) -> ArtifactBuilder {
    let knots = [RealisedKnot { from: 0.0, lo: 0.0, hi: 1.5 }, RealisedKnot { from: 1.5, lo: 0.5, hi: 4.0 }];
    let mut builder = builder();
    builder.realised(RealisedParts {
        metadata: model("realised_value"),
        scorer: trees(),
        line: RealisedLine::new(0.9, 1_000.0, stretch, &knots).unwrap(),
        golden: ROWS.map(|row| (row.to_vec(), value(row))).to_vec(),
    });
    builder
}

#[test]
fn amounts_are_those_by_hand() {
    let artifact = with(2.0).seal().unwrap();
    let model = artifact.realised().unwrap();
    for row in ROWS {
        assert!((model.score(&row).value_minor - value(row)).abs() < 1e-9, "{row:?}");
    }
    // 1.75 lies in the second bin, -1 below the first.
    let (much, none) = (model.score(&[1.0, 2.0]), model.score(&[7.0, 1.0]));
    assert_eq!([much.value_minor, much.lo_minor, much.hi_minor], [3_500.0, 1_000.0, 8_000.0]);
    assert_eq!([none.value_minor, none.lo_minor, none.hi_minor], [0.0, 0.0, 3_000.0]);
    // Five golden rows besides the ten of the two propensities.
    assert_eq!(artifact.check_golden().unwrap().n_rows, 15);
    let json = serde_json::to_value(artifact.inspect()).unwrap();
    assert_eq!(json["metadata"]["models"][3]["kind"], "realised_value");
    assert_eq!(json["scorers"][2]["calibration"], "realised");
    assert!(super::artifact().realised().is_none() && artifact.lifetime().is_none());
}

#[test]
fn golden_rows_of_another_line_do_not_score() {
    assert_eq!(with(2.1).seal().unwrap().check_golden().unwrap_err().model, "realised_value");
}

#[test]
fn a_section_that_is_no_line_is_named() {
    let mut sections = with(2.0).sections_for_test();
    let at = sections.iter().position(|(kind, _)| *kind == SectionKind::RealisedValue).unwrap();
    // The unit, the second number.
    sections[at].1[8..16].copy_from_slice(&(-1.0_f64).to_le_bytes());
    let told = Artifact::from_bytes(layout::seal(&sections), None).unwrap_err().to_string();
    assert_eq!(
        told,
        "model \"realised_value\": the realised value's unit is -1; it is above 0, at most 1e12"
    );
}
