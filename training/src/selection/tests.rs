//! From rows to a sealed model that scores as its learner does; and what is refused, by name.

use std::collections::BTreeMap;

use super::*;
use crate::dataset::Column;
use crate::learner::linfa_logistic::LinfaLogistic;
use crate::learner::smartcore_forest::SmartcoreForest;
use crate::learner::{self, Direction, MIN_PER_CLASS, Monotone, Sample};
use nextbest_models::artifact::{Artifact, ArtifactBuilder, Metadata, ModelKind, ModelMetadata};
use nextbest_models::customer::CustomerId;
use nextbest_models::propensity::{Calibration, ReasonSource};
use nextbest_models::units::{DAY_MS, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const NAMES: [&str; 6] = ["recency_days", "orders_90d", "spend", "plan", "nps", "same"];

fn cutoff(month: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + month * 30 * DAY_MS).unwrap()
}

/// A customer's features and the log-odds of leaving: skewed, categorical, missing and constant columns.
fn draw(rng: &mut ChaCha8Rng, bent: bool) -> ([f64; 6], f64) {
    let recency = rng.random_range(0.0..120.0_f64).floor();
    let orders = (rng.random_range(0.0..1.0_f64).powi(3) * 12.0).floor();
    let spend = (rng.random_range(0.0..9.0_f64)).exp();
    let plan = f64::from(rng.random_range(0..4_u32));
    let nps = if rng.random_bool(0.3) { f64::NAN } else { f64::from(rng.random_range(0..11_u32)) };
    let risk = match (bent, recency > 60.0, orders > 2.0) {
        (true, true, false) => 1.6,
        (true, ..) => -2.4,
        (false, ..) => 0.03 * (recency - 60.0) - 0.3 * orders - 0.2 * (spend.ln() - 4.5),
    };
    let code = [0.3, -0.4, 0.0, 0.8][plan as usize];
    let known = if nps.is_nan() { 0.5 } else { -0.12 * (nps - 5.0) };
    ([recency, orders, spend, plan, nps, 1.0], risk + code + known - 0.8)
}

fn columns() -> Vec<Column> {
    NAMES
        .iter()
        .map(|&name| if name == "plan" { Column::code(name) } else { Column::numeric(name) })
        .collect()
}

fn churn_like(n: usize, bent: bool, seed: u64) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut set = Dataset::new(columns(), vec!["churn".into()]).unwrap();
    for row in 0..n {
        let (features, log_odds) = draw(&mut rng, bent);
        let outcome = rng.random_bool(1.0 / (1.0 + (-log_odds).exp()));
        let id = CustomerId::new(format!("c{}", row / 3)).unwrap();
        set.push(id, cutoff((row % 3) as i64), &features, &[Some(outcome)]).unwrap();
    }
    set
}

fn split() -> Split {
    Split { fit: vec![cutoff(0)], calibrate: cutoff(1), test: cutoff(2) }
}

fn request(dataset: &Dataset) -> PropensityRequest<'_> {
    let validation = Validation::InTime(Parts::by_cutoff(dataset, "churn", &split()).unwrap());
    PropensityRequest {
        name: "churn",
        target: Target::Given,
        dataset,
        validation,
        split: Some(split()),
        seed: Seed(7),
    }
}

/// The request with rows in five folds, a customer's together.
fn folded(dataset: &Dataset) -> PropensityRequest<'_> {
    let fold_of_row = (0..dataset.n_rows()).map(|row| (row / 3 % 5) as u32).collect();
    let validation = Validation::Folds { fold_of_row, n_folds: 5 };
    PropensityRequest { validation, split: None, ..request(dataset) }
}

fn linear_or_forest() -> Vec<Box<dyn Learner>> {
    vec![Box::new(LinfaLogistic::default()), Box::new(SmartcoreForest::default())]
}

fn sealed(parts: PropensityParts) -> Artifact {
    let mut builder = ArtifactBuilder::new(Metadata {
        name: "test".into(),
        schema_fingerprint: "cd".repeat(32),
        feature_names: NAMES.map(str::to_owned).to_vec(),
        trained_through: cutoff(3),
        code_version: "test".into(),
        seed: Seed(7),
        sources: BTreeMap::new(),
        table: None,
        models: vec![],
    });
    builder.propensity(parts);
    builder.seal().unwrap()
}

/// Rows as a hostile caller would send them: missing, infinite, unseen codes, numbers far outside the training rows.
fn random_rows(n: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let cell = |rng: &mut ChaCha8Rng, value: f64| match rng.random_range(0..20_u32) {
        0..3 => f64::NAN,
        3 => f64::INFINITY,
        4 => -value * 1e6,
        5 => rng.random_range(-1e9..1e9),
        _ => value,
    };
    (0..n)
        .map(|_| {
            let (features, _) = draw(&mut rng, false);
            features.iter().map(|&value| cell(&mut rng, value)).collect()
        })
        .collect()
}

#[test]
fn the_artifact_scores_as_its_learner_on_ten_thousand_random_rows() {
    let data = churn_like(9_000, false, 21);
    let all: Vec<usize> = (0..data.n_rows()).collect();
    let outcomes = data.labelled("churn").unwrap().outcomes;
    let sample = Sample::checked(&data, Labelled { rows: all, outcomes }, "fit", "churn").unwrap();
    let rows = random_rows(10_000, 22);
    let views: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    let knots = Calibration::from_numbers(&[2.0, -2.0, 0.05, 0.0, 0.3, 1.5, 0.8]).unwrap();
    let maps = [Calibration::Identity, Calibration::Platt { slope: 0.8, intercept: -0.2 }, knots];
    for learner in learner::all() {
        let fitted = learner.fit(&sample, Seed(3)).unwrap();
        let margins = fitted.margins(&views).unwrap();
        for calibration in &maps {
            let parts = PropensityParts {
                metadata: ModelMetadata {
                    name: "churn".into(),
                    kind: ModelKind::Propensity,
                    learner: learner.name().into(),
                    label: None,
                    response: None,
                    purchase: None,
                    counts: BTreeMap::new(),
                    metrics: BTreeMap::new(),
                    notes: vec![],
                    sections: BTreeMap::new(),
                },
                scorer: fitted.seal().unwrap(),
                companion: None,
                calibration: calibration.clone(),
                golden: vec![],
            };
            let artifact = sealed(parts);
            let model = artifact.propensity("churn").unwrap();
            let own = margins.iter().map(|&margin| calibration.apply(margin).get());
            let worst =
                own.zip(&rows).map(|(own, row)| (own - model.score(row).get()).abs()).fold(0.0, f64::max);
            assert!(worst <= 1e-6, "{} {}: {worst}", learner.name(), calibration.name());
        }
    }
}

#[test]
fn a_straight_truth_is_learned_upright_and_explained() {
    let data = churn_like(12_000, false, 5);
    let trained = train(&request(&data), &learner::all()).unwrap();
    let report = &trained.report;
    assert_eq!(trained.parts.metadata.learner, "linfa_logistic");
    // The log-odds themselves rank the test rows at AUC .80; linfa's inverted class would give .20.
    assert!(report.test.auc.unwrap().value > 0.77, "{:?}", report.test);
    assert!(report.test.base_rate < 0.5, "the outcome is the rarer class, which linfa calls negative");
    assert!(
        report.test.calibration_error < 3.0 * report.test.calibration_error_by_chance,
        "{:?}",
        report.test
    );
    let chosen = report.candidates.iter().find(|candidate| candidate.chosen).unwrap();
    assert!(chosen.notes.contains(&"column same dropped: constant".to_owned()));
    let artifact = sealed(trained.parts);
    assert_eq!(artifact.check_golden().unwrap().n_rows, 64);
    let model = artifact.propensity("churn").unwrap();
    let (stale, fresh) = ([110.0, 0.0, 20.0, 3.0, 0.0, 1.0], [2.0, 9.0, 5000.0, 1.0, 10.0, 1.0]);
    assert!(model.score(&stale).get() > 0.7 && model.score(&fresh).get() < 0.1);
    let reasons = model.explain(&stale);
    assert_eq!((reasons.source, reasons.strongest(1)[0].feature), (ReasonSource::Model, 0));
    assert!(reasons.strongest(1)[0].log_odds > 0.0);
}

#[test]
fn a_bent_truth_takes_the_forest_with_linear_reasons() {
    let data = churn_like(12_000, true, 6);
    let trained = train(&request(&data), &linear_or_forest()).unwrap();
    assert_eq!(trained.parts.metadata.learner, "smartcore_forest");
    let losses: Vec<f64> =
        trained.report.candidates.iter().map(|c| c.choice_log_loss.unwrap().value).collect();
    assert!(losses[1] < losses[0]);
    let artifact = sealed(trained.parts);
    artifact.check_golden().unwrap();
    let model = artifact.propensity("churn").unwrap();
    assert_eq!(model.explain(&[90.0, 0.0, 20.0, 3.0, 0.0, 1.0]).source, ReasonSource::LinearCompanion);
}

#[test]
fn training_is_deterministic() {
    let data = churn_like(3_000, true, 8);
    let bytes = |seed| {
        let trained =
            train(&PropensityRequest { seed: Seed(seed), ..request(&data) }, &learner::all()).unwrap();
        sealed(trained.parts).as_bytes().to_vec()
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2), "the forest's draw depends on the seed");
}

#[test]
fn rows_beyond_the_cap_are_thinned_by_seed() {
    let data = churn_like(3_000, false, 9);
    let labelled = data.labelled("churn").unwrap();
    let sample = Sample::checked(&data, labelled, "fit", "churn").unwrap();
    let thin = sample.thinned(1_000, Seed(4));
    assert_eq!((thin.n_rows(), sample.thinned(5_000, Seed(4)).n_rows()), (1_000, 3_000));
    assert_eq!(thin.row_numbers(), sample.thinned(1_000, Seed(4)).row_numbers());
    assert_ne!(thin.row_numbers(), sample.thinned(1_000, Seed(5)).row_numbers());
    assert!(thin.row_numbers().is_sorted());
}

fn refused(outcome: impl Fn(usize) -> bool, n: usize) -> LearnError {
    let mut set = Dataset::new(columns(), vec!["churn".into()]).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for row in 0..n {
        let id = CustomerId::new("c").unwrap();
        set.push(id, cutoff((row % 3) as i64), &draw(&mut rng, false).0, &[Some(outcome(row))]).unwrap();
    }
    match train(&request(&set), &learner::all()) {
        Err(TrainError::Learn { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_teaches_nothing_is_refused_by_name() {
    assert!(matches!(refused(|_| true, 0), LearnError::NoRows { part: "fit", .. }));
    assert!(matches!(refused(|_| false, 900), LearnError::OneClass { part: "fit", outcome: false, .. }));
    assert!(matches!(refused(|_| true, 900), LearnError::OneClass { outcome: true, .. }));
    // Rows 0, 3, 6, ... are fitted on; 49 of them have the outcome.
    let few = refused(|row| row % 3 != 0 || row < 49 * 3, 900);
    assert!(matches!(few, LearnError::TooFew { part: "fit", found: 49, outcome: true, .. }), "{few}");
    let text = few.to_string();
    assert!(
        text.contains("49 rows have churn = true") && text.contains(&MIN_PER_CLASS.to_string()),
        "{text}"
    );
}

#[test]
fn columns_without_content_are_refused_by_every_learner() {
    let mut set =
        Dataset::new(vec![Column::numeric("same"), Column::numeric("never")], vec!["churn".into()]).unwrap();
    for row in 0..600 {
        let id = CustomerId::new("c").unwrap();
        set.push(id, cutoff(row % 3), &[1.0, f64::NAN], &[Some(row % 2 == 0)]).unwrap();
    }
    let Err(TrainError::Learn { source, .. }) = train(&request(&set), &learner::all()) else { panic!() };
    assert_eq!(
        source.to_string(),
        "no column is left to learn from: column same dropped: constant; column never dropped: missing in every row"
    );
    let mut weighted = churn_like(600, false, 2);
    weighted.set_weights(vec![2.0; 600]).unwrap();
    let forest: Vec<Box<dyn Learner>> = vec![Box::new(SmartcoreForest::default())];
    let Err(TrainError::Learn { source, .. }) = train(&request(&weighted), &forest) else { panic!() };
    assert_eq!(source, LearnError::Weights("smartcore_forest"));
}

#[test]
fn one_learner_that_fails_does_not_stop_the_other() {
    let data = churn_like(3_000, false, 10);
    let broken = LinfaLogistic { alpha: -1.0, ..LinfaLogistic::default() };
    let learners: Vec<Box<dyn Learner>> = vec![Box::new(broken), Box::new(SmartcoreForest::default())];
    let trained = train(&request(&data), &learners).unwrap();
    assert_eq!(trained.parts.metadata.learner, "smartcore_forest");
    assert!(
        trained.report.candidates[0].failure.as_ref().is_some_and(|text| text.contains("linfa_logistic"))
    );
    let artifact = sealed(trained.parts);
    let reasons = artifact.propensity("churn").unwrap().explain(&[1.0; 6]);
    assert!(
        reasons.contributions.is_empty(),
        "without a linear companion there are no reasons, not false ones"
    );
}

#[test]
fn a_bent_truth_takes_added_trees() {
    let data = churn_like(12_000, true, 6);
    let trained = train(&request(&data), &learner::all()).unwrap();
    let report = &trained.report;
    let named = |name: &str| report.candidates.iter().find(|candidate| candidate.learner == name).unwrap();
    let chosen = report.candidates.iter().find(|candidate| candidate.chosen).unwrap();
    assert!(chosen.learner.starts_with("hessboost") || chosen.learner == BLEND, "{}", chosen.learner);
    // The linear model cannot bend: what it lacks is no accident.
    let behind = named("linfa_logistic").behind_best.unwrap();
    assert!(behind.value > 4.0 * behind.se, "{behind:?}");
    let artifact = sealed(trained.parts);
    assert_eq!(artifact.check_golden().unwrap().n_rows, 64);
}

#[test]
fn folds_report_rows_by_models_that_did_not_see_them() {
    let data = churn_like(3_000, true, 12);
    let trained = train(&folded(&data), &learner::all()).unwrap();
    let report = &trained.report;
    assert_eq!(report.validation, ValidationSummary::Folds { n_folds: 5, n_scored: 5 });
    assert_eq!((report.test.n, trained.predictions.len()), (3_000, 3_000));
    assert_eq!((report.counts["n_fit"], report.counts["n_test"]), (3_000, 3_000));
    assert!(trained.predictions.iter().enumerate().all(|(at, told)| told.row == at));
    let probabilities: Vec<f64> = trained.predictions.iter().map(|told| told.probability).collect();
    let outcomes: Vec<bool> = trained.predictions.iter().map(|told| told.outcome).collect();
    assert_eq!(crate::metrics::quality(&probabilities, &outcomes), report.test);
    let artifact = sealed(trained.parts);
    assert_eq!(artifact.check_golden().unwrap().n_rows, 64);
}

/// The probabilities of the rows of one fold when outcomes of that fold are turned round: nothing moves but what is chosen
/// over all folds, so each candidate is asked alone.
#[test]
fn no_outcome_touches_its_own_out_of_fold_score() {
    let data = churn_like(1_500, true, 13);
    let mut turned = Dataset::new(columns(), vec!["churn".into()]).unwrap();
    for row in 0..data.n_rows() {
        let outcome = data.labelled("churn").unwrap().outcomes[row];
        let label = if row / 3 % 5 == 2 { !outcome } else { outcome };
        turned
            .push(data.customers()[row].clone(), data.cutoffs()[row], data.row(row), &[Some(label)])
            .unwrap();
    }
    for learner in 0..learner::all().len() {
        let margins = |set: &Dataset| -> Vec<f64> {
            let learners = vec![learner::all().swap_remove(learner)];
            let request = folded(set);
            let all = set.labelled("churn").unwrap();
            let contest = Contest::hold(&request, all, &learners).unwrap();
            contest.contenders[0].1.as_ref().unwrap().margins.clone()
        };
        let (before, after) = (margins(&data), margins(&turned));
        let moved = (0..1_500).filter(|&row| before[row] != after[row]);
        let (own, others): (Vec<usize>, Vec<usize>) = moved.partition(|row| row / 3 % 5 == 2);
        assert!(own.is_empty(), "learner {learner}: {} rows of the fold moved", own.len());
        assert!(others.len() > 1_000, "learner {learner}: the other folds learn from it");
    }
}

#[test]
fn the_test_is_told_by_a_model_of_the_past_and_the_present_is_sealed() {
    let set = churn_like(1_800, false, 11);
    let mut flipped = Dataset::new(columns(), vec!["churn".into()]).unwrap();
    let all = set.labelled("churn").unwrap();
    for (&row, &outcome) in all.rows.iter().zip(&all.outcomes) {
        let at = set.cutoffs()[row];
        let outcome = if at == split().test { !outcome } else { outcome };
        flipped.push(set.customers()[row].clone(), at, set.row(row), &[Some(outcome)]).unwrap();
    }
    let linear: Vec<Box<dyn Learner>> = vec![Box::new(LinfaLogistic::default())];
    let [told, of_flipped] = [&set, &flipped].map(|set| train(&request(set), &linear).unwrap());
    let said = |trained: &TrainedPropensity| -> Vec<f64> {
        trained.predictions.iter().map(|one| one.probability).collect()
    };
    assert_eq!(said(&told), said(&of_flipped), "what happened in the test changes no number it is judged by");
    assert_eq!((told.report.counts["n_fit"], told.report.counts["n_fit_used"]), (600, 1_800));
    let row = random_rows(1, 5).remove(0);
    let [scored, other] = [told, of_flipped].map(|trained| {
        let artifact = sealed(trained.parts);
        artifact.propensity("churn").unwrap().score(&row).get()
    });
    assert!(scored != other, "the latest rows count in what is sealed");
}

#[test]
fn folds_that_are_none_are_refused() {
    let data = churn_like(600, false, 14);
    let refused = |fold_of_row: Vec<u32>, n_folds| {
        let validation = Validation::Folds { fold_of_row, n_folds };
        match train(&PropensityRequest { validation, ..request(&data) }, &linear_or_forest()) {
            Err(TrainError::Learn { source, .. }) => source,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(vec![0; 600], 1), LearnError::Folds { expected: 600, found: 600, n_folds: 1 });
    assert_eq!(refused(vec![0; 599], 5), LearnError::Folds { expected: 600, found: 599, n_folds: 5 });
    assert_eq!(refused(vec![7; 600], 5), LearnError::Folds { expected: 600, found: 0, n_folds: 5 });
    // One fold holds every row: nothing is left to fit.
    assert!(matches!(
        refused(vec![3; 600], 5),
        LearnError::OneClass { part: "all folds but one", n_rows: 0, .. }
    ));
}

#[test]
fn of_many_rows_two_folds_are_scored() {
    let mut set = Dataset::new(vec![Column::numeric("x")], vec!["churn".into()]).unwrap();
    for row in 0..MANY_ROWS {
        let id = CustomerId::new(format!("c{row}")).unwrap();
        set.push(id, cutoff(0), &[(row % 9) as f64], &[Some(row * 7919 % 11 < row % 9)]).unwrap();
    }
    let fold_of_row = (0..MANY_ROWS).map(|row| (row % 4) as u32).collect();
    let validation = Validation::Folds { fold_of_row, n_folds: 4 };
    let request = PropensityRequest {
        name: "churn",
        target: Target::Given,
        dataset: &set,
        validation,
        split: None,
        seed: Seed(7),
    };
    let learners: Vec<Box<dyn Learner>> = vec![Box::new(LinfaLogistic::default())];
    let trained = train(&request, &learners).unwrap();
    assert_eq!(trained.report.validation, ValidationSummary::Folds { n_folds: 4, n_scored: 2 });
    assert_eq!((trained.report.counts["n_fit"], trained.report.test.n), (100_000, 50_000));
    assert!(trained.predictions.iter().all(|told| told.row % 4 < 2));
}

#[test]
fn weights_and_constraints_are_refused_by_name_by_those_that_cannot() {
    let mut data = churn_like(3_000, true, 15);
    data.set_weights((0..3_000).map(|row| f64::from(row % 4)).collect()).unwrap();
    let weighted = train(&request(&data), &learner::all()).unwrap();
    let falling = Monotone::from([("orders_90d".to_owned(), Direction::Decreasing)]);
    let plain = churn_like(3_000, true, 15);
    let constrained = train(&request(&plain), &learner::constrained(&falling)).unwrap();
    for (trained, why) in [(weighted, "weight"), (constrained, "monotone")] {
        for candidate in &trained.report.candidates {
            let failure = candidate.failure.as_deref().unwrap_or_default();
            let refuses = candidate.learner == "smartcore_forest";
            assert_eq!(failure.contains(why), refuses, "{}: {failure}", candidate.learner);
        }
        sealed(trained.parts).check_golden().unwrap();
    }
}
