//! The door of the artifact: everything damaged, foreign or malformed is named; what passes can be scored.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::pricing::demand;
use crate::pricing::{DemandLevel, DemandRecord, Elasticity};
use crate::propensity::forest::NodeSpec;
use crate::propensity::linear::{ColumnSpec, Transform};
use crate::propensity::trees::{Tree, TreeNode};
use crate::propensity::{Calibration, ReasonSource};
use crate::units::{Seed, Timestamp};
use crate::uplift::UpliftCalibration;

mod lifetime;
mod realised;
mod scorers;
mod uplift;

fn column(feature: usize, transform: Transform) -> ColumnSpec {
    ColumnSpec { feature, transform, mean: 0.25, inverse_scale: 2.0 }
}

fn linear() -> SealedScorer {
    SealedScorer::linear(
        -0.5,
        &[
            (column(0, Transform::SignedLog { fill: 3.0 }), 0.75),
            (column(0, Transform::Missing), -0.125),
            (column(1, Transform::Equals { code: 2.0 }), 1.5),
        ],
    )
}

fn forest() -> SealedScorer {
    let split = NodeSpec::AtMost { feature: 0, bound: 1.5, missing_passes: true, child: 1 };
    let code = NodeSpec::Differs { feature: 1, code: 2.0, child: 3 };
    let first = vec![split, NodeSpec::Leaf(0.1), code, NodeSpec::Leaf(0.4), NodeSpec::Leaf(0.9)];
    let missing = NodeSpec::AtMost { feature: 1, bound: f64::INFINITY, missing_passes: false, child: 1 };
    let second = vec![missing, NodeSpec::Leaf(0.2), NodeSpec::Leaf(0.6)];
    SealedScorer::forest(&[first, second]).unwrap()
}

/// Two trees, each of two leaves: recency up to 1.5 or missing, and plan 2.
fn stumps() -> Vec<Tree> {
    let leaves = |passed, failed| {
        [TreeNode::Leaf { value: passed, cover: 30.0 }, TreeNode::Leaf { value: failed, cover: 10.0 }]
    };
    let (child, cover) = (1, 40.0);
    let recency = TreeNode::AtMost { feature: 0, bound: 1.5, missing_passes: true, child, cover };
    let plan = TreeNode::OneOf { feature: 1, codes: vec![2], missing_passes: false, child, cover };
    [(recency, leaves(1.0, -1.0)), (plan, leaves(0.5, -0.25))]
        .map(|(root, leaves)| [vec![root], leaves.to_vec()].concat())
        .to_vec()
}

fn trees() -> SealedScorer {
    SealedScorer::trees(0.25, &stumps()).unwrap()
}

fn blend() -> SealedScorer {
    SealedScorer::blend(0.125, vec![(0.75, linear()), (0.5, trees()), (-0.25, trees())]).unwrap()
}

fn model(name: &str) -> ModelMetadata {
    ModelMetadata {
        name: name.into(),
        kind: ModelKind::Propensity,
        learner: "hand".into(),
        label: None,
        response: None,
        purchase: None,
        counts: BTreeMap::from([("n_fit".to_owned(), 10)]),
        metrics: BTreeMap::from([("auc".to_owned(), 0.75)]),
        notes: vec![],
        sections: BTreeMap::new(),
    }
}

fn record(level: DemandLevel, name: &str, value: Option<f64>) -> DemandRecord {
    let interval = |value| Elasticity { value, se: 0.2, lo: value - 0.4, hi: value + 0.4 };
    DemandRecord {
        level,
        name: name.into(),
        category: (level == DemandLevel::Sku).then(|| "mugs".to_owned()),
        reference_price_minor: 1000,
        units_per_week: 12.5,
        elasticity: value.map(interval),
        own: None,
        purchase_probability: Some(0.05),
        n_weeks: 20,
        n_units: 250,
        n_shown: 5000,
        flags: vec!["pooled".into()],
    }
}

/// The scores by hand: columns of `linear`, calibrated by Platt(2, 0.5); trees of `forest`, uncalibrated.
fn by_hand(row: [f64; 2]) -> (f64, f64) {
    let z = |value: f64| ((value - 0.25) * 2.0).clamp(-8.0, 8.0);
    let x = if row[0].is_finite() { row[0] } else { 3.0 };
    let missing = if row[0].is_finite() { 0.0 } else { 1.0 };
    let is_two = if row[1] == 2.0 { 1.0 } else { 0.0 };
    let log = x.signum() * (1.0 + x.abs()).ln();
    let margin = -0.5 + 0.75 * z(log) - 0.125 * z(missing) + 1.5 * z(is_two);
    let first = if !row[0].is_finite() || row[0] <= 1.5 {
        0.1
    } else if row[1] == 2.0 {
        0.9
    } else {
        0.4
    };
    let second = if row[1].is_finite() { 0.2 } else { 0.6 };
    (1.0 / (1.0 + (-(2.0 * margin + 0.5)).exp()), (first + second) / 2.0)
}

const ROWS: [[f64; 2]; 5] =
    [[1.0, 2.0], [f64::NAN, 1.0], [40.0, 2.0], [7.0, f64::NAN], [f64::INFINITY, f64::NEG_INFINITY]];

fn builder() -> ArtifactBuilder {
    let mut builder = ArtifactBuilder::new(Metadata {
        name: "tiny".into(),
        schema_fingerprint: "ab".repeat(32),
        feature_names: vec!["recency".into(), "plan".into()],
        trained_through: Timestamp::from_millis(1_700_000_000_000).unwrap(),
        code_version: "test".into(),
        seed: Seed(7),
        sources: BTreeMap::new(),
        table: None,
        models: vec![],
    });
    let golden = |pick: fn((f64, f64)) -> f64| ROWS.map(|row| (row.to_vec(), pick(by_hand(row)))).to_vec();
    builder.propensity(PropensityParts {
        metadata: model("churn"),
        scorer: linear(),
        companion: None,
        calibration: Calibration::Platt { slope: 2.0, intercept: 0.5 },
        golden: golden(|scores| scores.0),
    });
    builder.propensity(PropensityParts {
        metadata: model("conversion"),
        scorer: forest(),
        companion: Some(linear()),
        calibration: Calibration::Identity,
        golden: golden(|scores| scores.1),
    });
    let records = vec![
        record(DemandLevel::Sku, "SKU-2", Some(-2.0)),
        record(DemandLevel::Sku, "SKU-1", None),
        record(DemandLevel::Category, "mugs", Some(-1.5)),
        record(DemandLevel::Overall, "", Some(-1.0)),
    ];
    builder.demand(model("demand"), demand::seal(records).unwrap());
    builder
}

/// With additive trees, a blend and an uplift model, too.
fn larger() -> ArtifactBuilder {
    let mut builder = builder();
    for (name, scorer) in [("trees", trees()), ("blend", blend())] {
        let (metadata, calibration) = (model(name), Calibration::Identity);
        builder.propensity(PropensityParts {
            metadata,
            scorer,
            companion: None,
            calibration,
            golden: vec![],
        });
    }
    builder.uplift(uplift::parts("uplift", UpliftCalibration::constant(0.1, 0.1, 2.0)));
    builder
}

fn artifact() -> Artifact {
    builder().seal().unwrap()
}

#[test]
fn scores_are_those_by_hand() {
    let artifact = artifact();
    for row in ROWS {
        let (churn, conversion) = by_hand(row);
        assert!((artifact.propensity("churn").unwrap().score(&row).get() - churn).abs() < 1e-12, "{row:?}");
        let found = artifact.propensity("conversion").unwrap().score(&row).get();
        assert!((found - conversion).abs() < 1e-12, "{row:?}: {found} {conversion}");
    }
    let check = artifact.check_golden().unwrap();
    assert!(check.n_rows == 10 && check.largest_difference < 1e-12);
    assert!(artifact.propensity("fraud").is_none());
}

#[test]
fn a_short_row_is_a_row_with_missing_features() {
    let artifact = artifact();
    for model in artifact.propensities() {
        assert_eq!(model.score(&[]), model.score(&[f64::NAN, f64::NAN]));
        assert_eq!(model.score(&[1.0]), model.score(&[1.0, f64::NAN, 5.0]));
    }
}

#[test]
fn reasons_sum_to_the_margin_of_the_model_they_name() {
    let artifact = artifact();
    let (churn, conversion) =
        (artifact.propensity("churn").unwrap(), artifact.propensity("conversion").unwrap());
    for row in ROWS {
        let reasons = churn.explain(&row);
        let sum = reasons.baseline + reasons.contributions.iter().map(|c| c.log_odds).sum::<f64>();
        assert!((sum - churn.margin(&row)).abs() < 1e-12);
        assert_eq!(reasons.source, ReasonSource::Model);
        let features: Vec<usize> = reasons.contributions.iter().map(|c| c.feature).collect();
        assert_eq!(features, [0, 1], "columns of one feature are one reason");
        assert_eq!(reasons.contributions[0].missing, !row[0].is_finite());
        let borrowed = conversion.explain(&row);
        assert_eq!(borrowed.source, ReasonSource::LinearCompanion);
        assert!((borrowed.margin - churn.margin(&row)).abs() < 1e-12);
        assert!(reasons.strongest(1)[0].log_odds.abs() >= reasons.strongest(2)[1].log_odds.abs());
    }
}

#[test]
fn demand_falls_back_from_sku_to_category_to_all() {
    let artifact = artifact();
    let demand = artifact.demand().unwrap();
    assert_eq!(demand.n_skus(), 2);
    let own = demand.curve("SKU-2", None, 900).unwrap();
    assert_eq!((own.level, own.reference_price_minor), (DemandLevel::Sku, 1000));
    // Elasticity -2, and half its variance times the squared log ratio on top, for it is not known exactly.
    let uncertain = (0.5 * (own.elasticity.se * 2.0_f64.ln()).powi(2)).exp();
    assert!((own.relative(2000) - 0.25 * uncertain).abs() < 1e-12);
    assert!((own.purchase_probability(500).unwrap().get() - 0.2 * uncertain).abs() < 1e-12);
    let pooled = demand.curve("SKU-1", None, 900).unwrap();
    assert_eq!((pooled.level, pooled.reference_price_minor), (DemandLevel::Category, 900));
    assert_eq!(demand.curve("SKU-9", None, 900).unwrap().level, DemandLevel::Overall);
    assert_eq!(demand.record(DemandLevel::Sku, "SKU-1").unwrap(), record(DemandLevel::Sku, "SKU-1", None));
    assert_eq!(demand.records().count(), 4);
}

#[test]
fn any_flipped_bit_is_found() {
    let bytes = artifact().as_bytes().to_vec();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(Artifact::from_bytes(damaged, None).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn any_truncation_is_found_and_named() {
    let bytes = artifact().as_bytes().to_vec();
    for length in 1..bytes.len() {
        let error = Artifact::from_bytes(bytes[..length].to_vec(), None).unwrap_err();
        assert!(matches!(error, ArtifactError::Truncated { .. }), "{length}: {error}");
    }
    assert!(matches!(Artifact::from_bytes(Vec::<u8>::new(), None), Err(ArtifactError::Magic)));
    let longer = [bytes, vec![0]].concat();
    assert!(matches!(Artifact::from_bytes(longer, None), Err(ArtifactError::Trailing { .. })));
}

#[test]
fn foreign_files_are_named() {
    let zip =
        b"PK\x03\x04 and more bytes than a header would need to be read as one, all of them foreign".to_vec();
    assert!(matches!(Artifact::from_bytes(zip, None), Err(ArtifactError::Magic)));
    let mut newer = artifact().as_bytes().to_vec();
    newer[8] += 1;
    let error = Artifact::from_bytes(newer, None).unwrap_err();
    assert_eq!(error, ArtifactError::Version { found: FORMAT_VERSION + 1, newest: FORMAT_VERSION });
    let other = Artifact::from_bytes(artifact().as_bytes().to_vec(), Some("other")).unwrap_err();
    assert!(matches!(other, ArtifactError::Schema { expected, .. } if expected == "other"));
}

#[test]
fn the_same_parts_give_the_same_bytes() {
    assert_eq!(artifact().as_bytes(), artifact().as_bytes());
    assert_eq!(artifact().sha256().len(), 64);
}

fn with_scorer(scorer: SealedScorer) -> Result<Artifact, ArtifactError> {
    let mut builder = builder();
    builder.propensity(PropensityParts {
        metadata: model("extra"),
        scorer,
        companion: None,
        calibration: Calibration::Identity,
        golden: vec![],
    });
    builder.seal()
}

#[test]
fn malformed_models_do_not_open() {
    let leaf = NodeSpec::Leaf(0.5);
    let split = |feature, child| NodeSpec::AtMost { feature, bound: 0.0, missing_passes: false, child };
    let trees = [
        vec![split(0, 0), leaf, leaf],
        vec![split(0, 2), leaf, leaf],
        vec![split(2, 1), leaf, leaf],
        vec![NodeSpec::Leaf(1.5)],
        vec![NodeSpec::Leaf(f64::NAN)],
        vec![NodeSpec::Differs { feature: 0, code: f64::NAN, child: 1 }, leaf, leaf],
    ];
    for tree in trees {
        let error = with_scorer(SealedScorer::forest(std::slice::from_ref(&tree)).unwrap()).unwrap_err();
        assert!(
            matches!(&error, ArtifactError::Model { model, .. } if model == "extra"),
            "{tree:?}: {error}"
        );
    }
    assert!(SealedScorer::forest(&[]).is_err());
    let value = Transform::Value { fill: 0.0 };
    let columns = [
        (column(2, value), 1.0),
        (column(0, value), f64::NAN),
        (column(0, Transform::Value { fill: f64::INFINITY }), 1.0),
        (ColumnSpec { inverse_scale: 0.0, ..column(0, value) }, 1.0),
        (column(0, value), 1e200),
    ];
    for column in columns {
        let error = with_scorer(SealedScorer::linear(0.0, &[column])).unwrap_err();
        assert!(matches!(error, ArtifactError::Model { .. }), "{column:?}: {error}");
    }
    let apart = [(column(1, value), 1.0), (column(0, value), 1.0)];
    assert!(with_scorer(SealedScorer::linear(0.0, &apart)).is_err());
}

#[test]
fn demand_that_does_not_fall_with_price_cannot_be_sealed() {
    assert!(
        demand::seal(vec![record(DemandLevel::Sku, "a", Some(-0.3))]).is_err(),
        "interval reaches above 0"
    );
    assert!(demand::seal(vec![record(DemandLevel::Sku, "a", Some(f64::NAN))]).is_err());
    assert!(demand::seal(vec![record(DemandLevel::Sku, "a", Some(-25.0))]).is_err());
    let twice = vec![record(DemandLevel::Sku, "a", None), record(DemandLevel::Sku, "a", None)];
    let mut builder = builder();
    builder.demand(model("demand"), demand::seal(twice).unwrap());
    assert!(matches!(builder.seal(), Err(ArtifactError::Model { .. })));
}

proptest! {
    /// Whatever stands in a section under a right digest either does not open, or scores.
    #[test]
    fn what_opens_scores(
        seed in prop::collection::vec((any::<u16>(), any::<u8>()), 1..12),
        row in prop::array::uniform2(prop_oneof![any::<f64>(), -5.0..5.0f64]),
    ) {
        let mut sections = larger().sections_for_test();
        for (at, byte) in seed {
            let n = sections.len();
            let (_, content) = &mut sections[usize::from(at) % n];
            let length = content.len().max(1);
            if let Some(place) = content.get_mut(usize::from(at / 7) % length) {
                *place = byte;
            }
        }
        if let Ok(artifact) = Artifact::from_bytes(layout::seal(&sections), None) {
            for model in artifact.propensities() {
                prop_assert!((0.0..=1.0).contains(&model.score(&row).get()));
                prop_assert!(model.margin(&row).is_finite());
                prop_assert!(model.explain(&row).margin.is_finite());
            }
            for model in artifact.uplifts() {
                let told = model.score(&row);
                prop_assert!(-1.0 <= told.lo && told.lo <= told.value);
                prop_assert!(told.value <= told.hi && told.hi <= 1.0);
            }
            if let Some(curve) = artifact.demand().and_then(|demand| demand.curve("SKU-2", None, 900)) {
                prop_assert!(curve.elasticity.value < 0.0);
                prop_assert!(curve.purchase_probability(1200).is_none_or(|p| (0.0..=1.0).contains(&p.get())));
            }
            let _ = artifact.check_golden();
        }
    }
}

#[test]
fn a_table_s_columns_are_the_models_features_or_the_file_does_not_open() {
    use crate::table::{CellKind, LabelValue, MissingTokens, TableColumn, TableSchema};
    let column = |name: &str| TableColumn { name: name.to_owned(), kind: CellKind::Number };
    let table = |second: &str| TableSchema {
        key: None,
        label: LabelValue { column: "left".to_owned(), value: "1".to_owned() },
        time_column: None,
        columns: vec![column("recency"), column(second)],
        left_out: vec![],
        missing: MissingTokens::with(&[]),
    };
    let sealed = |table: TableSchema| {
        let own = artifact().metadata().clone();
        let schema_fingerprint = table.fingerprint();
        ArtifactBuilder::new(Metadata { schema_fingerprint, table: Some(table), ..own }).seal()
    };
    let artifact = sealed(table("plan")).unwrap();
    assert_eq!(artifact.metadata().table, Some(table("plan")));
    let of_project = Artifact::from_bytes(artifact.as_bytes().to_vec(), Some("other"));
    assert_eq!(of_project.unwrap_err(), ArtifactError::OfTable);
    assert!(matches!(sealed(table("tariff")), Err(ArtifactError::Metadata(_))));
}
