//! Every number of the diagnostics against one worked out by hand or by brute force.

use std::collections::BTreeMap;

use nextbest_models::artifact::{ArtifactBuilder, Metadata, ModelKind, ModelMetadata};
use nextbest_models::artifact::{PropensityParts, SealedScorer};
use nextbest_models::customer::CustomerId;
use nextbest_models::propensity::linear::{ColumnSpec, Transform};
use nextbest_models::propensity::{Calibration, ReasonSource};
use nextbest_models::units::Timestamp;
use rand::RngExt;

use super::drift::{Bins, psi};
use super::reasons::{overlap, spearman};
use super::*;
use crate::dataset::Column;
use crate::metrics::{calibration_bins, quality, roc, wilson};
use crate::selection::{Parts, ValidationSummary};

fn near(found: f64, expected: f64) {
    // Sums of fewer than a hundred terms below 100: rounding stays far below 1e-12.
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
}

#[test]
fn precision_and_recall_by_hand() {
    // Thresholds .9: 1 of 1; .8 (two rows): 2 of 3; .1: 2 of 4.
    let found = curves::precision_recall(&[0.9, 0.8, 0.8, 0.1], &[true, false, true, false]);
    assert_eq!(found.points, [(0.5, 1.0), (1.0, 2.0 / 3.0), (1.0, 0.5)]);
    let ap = found.average_precision.unwrap();
    near(ap.value, 0.5 * 1.0 + 0.5 * (2.0 / 3.0));
    near(ap.se, (ap.value * (1.0 - ap.value) / 2.0).sqrt());
    near(found.base_rate, 0.5);
    assert_eq!(curves::precision_recall(&[0.2, 0.3], &[false, false]).average_precision, None);
}

#[test]
fn average_precision_of_constant_scores_is_the_base_rate() {
    let outcomes: Vec<bool> = (0..50).map(|at| at % 5 == 0).collect();
    let found = curves::precision_recall(&[0.3; 50], &outcomes);
    near(found.average_precision.unwrap().value, 0.2);
    assert_eq!(found.points, [(1.0, 0.2)]);
}

#[test]
fn tenths_by_hand() {
    // 20 rows, probabilities falling; outcomes in rows 0, 1, 2, 5.
    let probabilities: Vec<f64> = (0..20).map(|at| 1.0 - f64::from(at) / 20.0).collect();
    let outcomes: Vec<bool> = (0..20).map(|at| [0, 1, 2, 5].contains(&at)).collect();
    let found = curves::deciles(&probabilities, &outcomes);
    assert_eq!(found.len(), 10);
    assert!(found.iter().all(|decile| decile.n == 2));
    assert_eq!(
        found.iter().map(|decile| decile.n_positive).collect::<Vec<_>>(),
        [2, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    );
    let second = found[1];
    near(second.rate, 0.5);
    near(second.lift.unwrap(), 0.5 / 0.2);
    near(second.share_of_rows, 0.2);
    near(second.share_of_positives.unwrap(), 0.75);
    near(second.cumulative_lift.unwrap(), 0.75 / 0.2);
    near(second.threshold, probabilities[3]);
    assert_eq!((second.lo, second.hi), wilson(1, 2));
    near(found[9].share_of_positives.unwrap(), 1.0);
}

#[test]
fn equal_probabilities_stay_in_one_tenth() {
    let probabilities: Vec<f64> = (0..20).map(|at| if at < 5 { 0.9 } else { 0.1 }).collect();
    let outcomes: Vec<bool> = (0..20).map(|at| at == 0).collect();
    let found = curves::deciles(&probabilities, &outcomes);
    assert_eq!(found.iter().map(|decile| decile.n).collect::<Vec<_>>(), [5, 15]);
    let none = curves::deciles(&probabilities, &[false; 20]);
    assert_eq!((none[0].lift, none[0].share_of_positives), (None, None));
    assert!(curves::deciles(&[], &[]).is_empty());
}

#[test]
fn the_histogram_holds_every_row_once() {
    let mut rng = random(Seed(3), 0);
    let probabilities: Vec<f64> = (0..500).map(|at| if at == 0 { 0.0 } else { rng.random() }).collect();
    let outcomes: Vec<bool> = probabilities.iter().map(|p| rng.random_bool(*p)).collect();
    let found = curves::histogram(&probabilities, &outcomes);
    let log_odds = |p: f64| (p / (1.0 - p)).ln();
    near(found.edges[0], log_odds(1e-4));
    for (bar, edges) in found.edges.windows(2).enumerate() {
        let last = bar + 1 == found.positives.len();
        let inside = |p: f64| {
            let margin = log_odds(p.clamp(1e-4, 1.0 - 1e-4));
            margin >= edges[0] && (margin < edges[1] || last)
        };
        let expected = |wanted: bool| {
            probabilities.iter().zip(&outcomes).filter(|(p, o)| **o == wanted && inside(**p)).count()
        };
        assert_eq!((found.positives[bar], found.negatives[bar]), (expected(true), expected(false)), "{bar}");
    }
    let alone = curves::histogram(&[0.5; 4], &[true, false, false, false]);
    assert_eq!((alone.positives.iter().sum::<usize>(), alone.negatives.iter().sum::<usize>()), (1, 3));
}

#[test]
fn net_values_by_hand() {
    let (probabilities, outcomes) = ([0.9, 0.5, 0.2, 0.05], [true, false, true, false]);
    let found = costs::measure(&probabilities, &outcomes, 10.0, 1.0);
    // .9: 9; .5: 9 - 1; .2: 8 + 9; .05: 17 - 1; each over 4 rows, told for 1,000.
    let values = [9.0, 8.0, 17.0, 16.0].map(|value| value * 250.0);
    for ((threshold, value), (p, expected)) in found.curve.iter().zip(probabilities.iter().zip(values)) {
        near(*threshold, *p);
        near(*value, expected);
    }
    assert_eq!(found.best.threshold, Some(0.2));
    near(found.best.share, 0.75);
    // Rows earn 9, -1, 9, 0: mean 4.25, variance (4.75^2 + 5.25^2 + 4.75^2 + 4.25^2) / 3.
    let variance = (2.0 * 4.75_f64.powi(2) + 5.25_f64.powi(2) + 4.25_f64.powi(2)) / 3.0;
    near(found.best.net_value.se, 1000.0 * (variance / 4.0).sqrt());
    // 16 of 17 is 94 %: only the best itself is near.
    assert_eq!(found.near_best, Some((0.2, 0.2)));
    // At cost / benefit = .1 the rows at .2 and above are acted on.
    assert_eq!((found.break_even.threshold, found.break_even.share), (Some(0.1), 0.75));
    near(found.everybody.net_value.value, 4000.0);
    assert_eq!(found.sensitivity.iter().map(|one| one.benefit).collect::<Vec<_>>(), [5.0, 10.0, 20.0]);
}

#[test]
fn acting_on_nobody_is_best_where_nothing_pays() {
    let found = costs::measure(&[0.3, 0.2], &[false, false], 10.0, 1.0);
    assert_eq!((found.best.threshold, found.best.share, found.best.net_value.value), (None, 0.0, 0.0));
    assert_eq!(found.near_best, None);
}

#[test]
fn the_index_by_hand() {
    let (found, n_bins) = psi(&[0, 30, 10], &[0, 10, 30]);
    // With half a row added: shares 30.5 / 41 and 10.5 / 41 each way round; the empty bin does not count.
    let (p, q) = (30.5_f64 / 41.0, 10.5_f64 / 41.0);
    near(found, 2.0 * (p - q) * (p / q).ln());
    assert_eq!(n_bins, 2);
    assert_eq!(psi(&[3, 4], &[3, 4]), (0.0, 2));
    assert!(psi(&[40, 0], &[0, 40]).0.is_finite());
}

#[test]
fn bins_are_tenths_of_what_was_fitted() {
    let values: Vec<f64> = (0..100).map(f64::from).chain([f64::NAN]).collect();
    let bins = Bins::quantiles(&values);
    let counts = bins.counts(&values);
    assert_eq!(counts, [[1].as_slice(), &[10; 10]].concat());
    assert_eq!(bins.counts(&[-5.0, 1e9, f64::NAN])[..2], [1, 1]);
    assert_eq!(bins.counts(&[-5.0, 1e9]).last(), Some(&1));
    // A flag that is nearly always set, and a quantity that nearly always is at its highest.
    let flag: Vec<f64> = (0..100).map(|at| f64::from(u8::from(at > 2))).collect();
    assert_eq!(Bins::quantiles(&flag).counts(&flag), [0, 3, 97]);
    let full: Vec<f64> = (0..400).map(|at| f64::from(at.min(20))).collect();
    assert_eq!(Bins::quantiles(&full).counts(&full), [0, 20, 380]);
    assert_eq!(Bins::quantiles(&[f64::NAN]).counts(&[1.0, f64::NAN]), [1, 1]);
}

#[test]
fn ranks_and_overlaps_by_hand() {
    near(spearman(&[3.0, 2.0, 1.0], &[30.0, 20.0, 10.0]), 1.0);
    near(spearman(&[3.0, 2.0, 1.0], &[1.0, 2.0, 3.0]), -1.0);
    // Rank differences 0, 1, 1, 0: 1 - 6 x 2 / (4 x 15).
    near(spearman(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]), 0.8);
    near(spearman(&[1.0, 1.0], &[1.0, 2.0]), 0.0);
    near(overlap(&[6.0, 5.0, 4.0, 3.0, 2.0, 1.0], &[1.0, 5.0, 4.0, 3.0, 2.0, 6.0]), 0.8);
}

const WEIGHTS: [f64; 7] = [2.0, -1.0, 0.5, 0.25, 0.1, 0.05, 0.0];

/// A linear model of seven features of mean 0, sealed.
fn artifact() -> Artifact {
    let columns: Vec<(ColumnSpec, f64)> = WEIGHTS
        .iter()
        .enumerate()
        .map(|(feature, &weight)| {
            (
                ColumnSpec {
                    feature,
                    transform: Transform::Value { fill: 0.0 },
                    mean: 0.0,
                    inverse_scale: 1.0,
                },
                weight,
            )
        })
        .collect();
    let parts = PropensityParts {
        metadata: ModelMetadata {
            name: "churn".into(),
            kind: ModelKind::Propensity,
            learner: "linfa_logistic".into(),
            label: None,
            response: None,
            purchase: None,
            counts: BTreeMap::from([("n_fit".to_owned(), 2000)]),
            metrics: BTreeMap::from([("auc".to_owned(), 0.75)]),
            notes: vec![],
            sections: BTreeMap::new(),
        },
        scorer: SealedScorer::linear(-1.0, &columns),
        companion: None,
        calibration: Calibration::Identity,
        golden: vec![],
    };
    let mut builder = ArtifactBuilder::new(Metadata {
        name: "<b>shop</b>".into(),
        schema_fingerprint: "cd".repeat(32),
        feature_names: (0..WEIGHTS.len()).map(|at| format!("f{at}")).collect(),
        trained_through: Timestamp::MIN,
        code_version: "test".into(),
        seed: Seed(7),
        sources: BTreeMap::from([("<i>table</i>".to_owned(), "ef".repeat(32))]),
        table: None,
        models: vec![],
    });
    builder.propensity(parts);
    builder.seal().unwrap()
}

struct Case {
    dataset: Dataset,
    validation: Validation,
    predictions: Vec<Prediction>,
    report: PropensityReport,
    artifact: Artifact,
    levels: Vec<Vec<String>>,
}

impl Case {
    /// 2,000 rows fitted on and 2,000 tested on; feature 0 is a code of three levels, 1 moves by half its spread between
    /// the parts, 5 is missing in every fourth row. Outcomes follow the model's own probabilities.
    fn new(in_time: bool) -> Self {
        let name = |at: usize| format!("f{at} <u>");
        let columns = (0..WEIGHTS.len())
            .map(|at| if at == 0 { Column::code(name(at)) } else { Column::numeric(name(at)) });
        let mut dataset = Dataset::new(columns.collect(), vec!["churn".into()]).unwrap();
        let (artifact, mut rng) = (artifact(), random(Seed(5), 0));
        let model = artifact.propensity("churn").unwrap();
        let mut predictions = Vec::new();
        for row in 0..4000_usize {
            let mut features: Vec<f64> = WEIGHTS.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
            features[0] = (row % 3) as f64;
            features[1] += if row < 2000 { 0.0 } else { 0.3 };
            features[5] = if row % 4 == 0 { f64::NAN } else { features[5] };
            let probability = model.score(&features).get();
            let outcome = rng.random_bool(probability);
            let id = CustomerId::new(format!("c{row}")).unwrap();
            dataset.push(id, Timestamp::MIN, &features, &[Some(outcome)]).unwrap();
            predictions.push(Prediction { row, probability, outcome });
        }
        let labelled = dataset.labelled("churn").unwrap();
        let part = |rows: std::ops::Range<usize>| crate::dataset::Labelled {
            outcomes: labelled.outcomes[rows.clone()].to_vec(),
            rows: rows.collect(),
        };
        let validation = if in_time {
            predictions.drain(..2000);
            Validation::InTime(Parts { fit: part(0..2000), calibrate: part(0..0), test: part(2000..4000) })
        } else {
            Validation::Folds { fold_of_row: (0..4000).map(|row| row % 5).collect(), n_folds: 5 }
        };
        let report = report(&predictions);
        let levels = vec![vec!["none".to_owned(), "<em>".to_owned()]];
        Self { dataset, validation, predictions, report, artifact, levels }
    }

    fn diagnostics(&self) -> Diagnostics {
        diagnose(&Subject {
            dataset: &self.dataset,
            validation: &self.validation,
            predictions: &self.predictions,
            report: &self.report,
            artifact: &self.artifact,
            model: self.artifact.propensity("churn").unwrap(),
            levels: &self.levels,
        })
    }
}

fn report(predictions: &[Prediction]) -> PropensityReport {
    let probabilities: Vec<f64> = predictions.iter().map(|p| p.probability).collect();
    let outcomes: Vec<bool> = predictions.iter().map(|p| p.outcome).collect();
    PropensityReport {
        name: "churn".into(),
        label: None,
        validation: ValidationSummary::InTime,
        split: None,
        counts: BTreeMap::new(),
        candidates: vec![],
        test: quality(&probabilities, &outcomes),
        calibration_bins: calibration_bins(&probabilities, &outcomes),
        roc: roc(&probabilities, &outcomes, 50),
        diagnostics: None,
    }
}

#[test]
fn importance_of_a_linear_model_is_weight_times_magnitude() {
    let case = Case::new(true);
    let found = case.diagnostics();
    assert_eq!((found.importance.source, found.importance.n_rows), (ReasonSource::Model, 2000));
    // The weight 0 adds nothing; the model's reference is a feature of 0, so |contribution| = |weight x value|.
    assert_eq!((found.importance.n_used, found.stability.n_features), (6, 6));
    let mut total = 0.0;
    for one in &found.importance.features {
        let model = case.artifact.propensity("churn").unwrap();
        let of = |row: usize| {
            let explained = model.explain(case.dataset.row(row));
            explained.contributions.iter().find(|c| c.feature == one.column).unwrap().log_odds.abs()
        };
        let mean = (2000..4000).map(of).sum::<f64>() / 2000.0;
        // The sum of 2,000 terms in another order.
        assert!((one.mean_abs.value - mean).abs() < 1e-10);
        total += one.share;
    }
    near(total, 1.0);
    assert!(
        found.importance.features.windows(2).all(|pair| pair[0].mean_abs.value >= pair[1].mean_abs.value)
    );
    let (ranks, top) = (found.stability.rank_correlation.unwrap(), found.stability.top_overlap.unwrap());
    assert!(ranks.lo <= ranks.value && ranks.value <= ranks.hi && ranks.value > 0.9, "{ranks:?}");
    assert!(top.value == 1.0 && top.lo >= 0.8, "{top:?}");
}

#[test]
fn a_feature_that_moved_is_named_and_no_other() {
    let Drift::Measured { n_fit, n_test, features } = Case::new(true).diagnostics().drift else { panic!() };
    assert_eq!((n_fit, n_test), (2000, 2000));
    assert_eq!(features[0].feature, "f1 <u>");
    assert!(features[0].beyond_chance && features[0].psi > 0.1);
    for other in &features[1..] {
        // Chi-square of d degrees over 1,000: mean d, variance 2 d; six features stay within four standard deviations.
        let freedom = (other.n_bins - 1) as f64;
        near(other.by_chance, freedom / 1000.0);
        assert!(other.psi < (freedom + 4.0 * (2.0 * freedom).sqrt()) / 1000.0, "{other:?}");
    }
    let missing = features.iter().find(|one| one.feature == "f5 <u>").unwrap();
    assert_eq!((missing.missing_fit, missing.missing_test, missing.n_bins), (0.25, 0.25, 11));
    assert_eq!(Case::new(false).diagnostics().drift, Drift::Omitted { code: "rows_in_folds" });
}

#[test]
fn segments_by_brute_force() {
    let case = Case::new(true);
    let segments = case.diagnostics().segments;
    let levels: Vec<&str> = segments.iter().map(|one| one.level.as_str()).collect();
    assert_eq!(levels[..3], ["none", "<em>", "code 2"]);
    // The strongest quantity is feature 1, in quarters.
    assert_eq!((segments.len(), segments[3].feature.as_str()), (7, "f1 <u>"));
    assert!(segments[3..].iter().all(|one| one.n == 500));
    for (code, one) in segments[..3].iter().enumerate() {
        let rows: Vec<&Prediction> = case.predictions.iter().filter(|p| p.row % 3 == code).collect();
        let n = rows.len() as f64;
        let predicted = rows.iter().map(|p| p.probability).sum::<f64>() / n;
        let n_positive = rows.iter().filter(|p| p.outcome).count();
        assert_eq!((one.n, one.n_positive), (rows.len(), n_positive));
        near(one.bias.value, predicted - n_positive as f64 / n);
        near(one.bias.se, rows.iter().map(|p| p.probability * (1.0 - p.probability)).sum::<f64>().sqrt() / n);
        // Probabilities are exact: no bias beyond four standard errors.
        assert!(one.bias.value.abs() < 4.0 * one.bias.se && one.auc.unwrap().value > 0.5);
    }
}

#[test]
fn a_biased_segment_is_flagged() {
    let mut case = Case::new(true);
    for prediction in case.predictions.iter_mut().filter(|p| p.row % 3 == 1) {
        prediction.probability *= 0.7;
    }
    let segments = case.diagnostics().segments;
    let flagged: Vec<&str> =
        segments[..3].iter().filter(|one| one.flagged).map(|one| one.level.as_str()).collect();
    assert_eq!(flagged, ["<em>"]);
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    for in_time in [true, false] {
        let text = || serde_json::to_string(&Case::new(in_time).diagnostics()).unwrap();
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(text(), alone.install(text));
    }
}

#[test]
fn few_rows_and_one_outcome_give_finite_numbers() {
    for (n, outcome) in [(0, true), (1, true), (2, false)] {
        let mut case = Case::new(true);
        case.predictions.truncate(n);
        case.predictions.iter_mut().for_each(|p| p.outcome = outcome);
        // JSON has no NaN: it would read null where a number is due.
        let json = serde_json::to_value(case.diagnostics()).unwrap();
        assert!(json["costs"]["best"]["net_value"]["se"].is_number());
        assert!(
            json["importance"]["features"].as_array().unwrap().iter().all(|one| one["share"].is_number())
        );
        assert!(json["drift"]["features"].as_array().unwrap().iter().all(|one| one["psi"].is_number()));
    }
}

#[test]
fn page_and_json_agree_and_names_are_escaped() {
    for in_time in [true, false] {
        let case = Case::new(in_time);
        let found = case.diagnostics();
        let mut report = case.report.clone();
        report.diagnostics = Some(found.clone());
        let page = crate::report::propensity_section(&report);
        for raw in ["<u>", "<em>", "<b>shop", "<i>", "NaN", "inf%"] {
            assert!(!page.contains(raw), "{raw}");
        }
        assert!(
            page.contains("f0 &lt;u&gt;") && page.contains("&lt;em&gt;") && page.contains("&lt;b&gt;shop")
        );
        let json = serde_json::to_value(&report).unwrap();
        let number = |path: &str| json.pointer(&format!("/diagnostics/{path}")).unwrap().as_f64().unwrap();
        let mut told = vec![
            format!("{:.3}", number("precision_recall/average_precision/value")),
            format!("{:.2}", number("deciles/0/lift")),
            format!("{:.0} \u{b1}", number("costs/best/net_value/value")),
            format!("{:.3} \u{b1}", number("importance/features/0/mean_abs/value")),
            format!("{:.2} (", number("stability/rank_correlation/value")),
            format!("{:.1} %", 100.0 * number("segments/1/predicted")),
            json["diagnostics"]["card"]["artifact_sha256"].as_str().unwrap().to_owned(),
        ];
        if in_time {
            told.push(format!("{:.4}", number("drift/features/0/psi")));
        } else {
            told.push(json["diagnostics"]["drift"]["code"].as_str().unwrap().to_owned());
        }
        for text in told {
            assert!(page.contains(&text), "{text}");
        }
        for element in ["svg", "table", "div", "details", "ul", "tr", "td", "rect"] {
            let opened =
                page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
            assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
        }
    }
}
