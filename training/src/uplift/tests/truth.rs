//! Effects that differ are found, and one that does not is left alone.

use super::super::assignment::Assignment;
use super::super::choose::{Contender, choose};
use super::super::crossfit::OutcomeTrees;
use super::super::line;
use super::super::study::of_fold;
use super::*;

/// The chosen method and its uplift of fresh rows, beside the truth of those.
fn told(law: Law, n: usize, seed: u64, methods: &[Method]) -> (Method, Vec<f64>, Vec<f64>) {
    let Made { trial, .. } = made(law, n, seed);
    let study = Study::of(&trial, Design::Randomised, methods, Seed(seed)).unwrap();
    let folds = (trial.fold_of_row.as_slice(), trial.n_folds);
    let constant = (Method::Constant, vec![0.0; n]);
    let raws = std::iter::once(&constant).chain(&study.raw);
    let contenders: Vec<Contender> =
        raws.map(|(method, raw)| Contender::new(*method, raw.clone(), &study.pseudo, folds)).collect();
    let (at, candidates) = choose(&contenders, &study.pseudo, folds.0, Choice::Auto);
    assert!(candidates[at].chosen && candidates[0].method == Method::Constant);
    let chosen = &contenders[at];
    let line = line::fit(&chosen.raw, &study.pseudo);
    let fresh = made(law, 4_000, seed + 1);
    let rows: Vec<&[f64]> = (0..4_000).map(|row| fresh.trial.dataset.row(row)).collect();
    let raw = match chosen.method {
        Method::Constant => vec![0.0; 4_000],
        method => study.effect(&trial, method).unwrap().of(&rows).unwrap(),
    };
    (chosen.method, raw.into_iter().map(|raw| line.apply(raw).value).collect(), fresh.effect)
}

/// Root mean squared error of the effect (PEHE: Hill 2011).
fn pehe(told: &[f64], truth: &[f64]) -> f64 {
    let squares = told.iter().zip(truth).map(|(told, truth)| (told - truth).powi(2));
    (squares.sum::<f64>() / told.len() as f64).sqrt()
}

/// The truth has a standard deviation of 0.2 / sqrt(3) = .115, which is what one effect for all misses. A learner alone
/// misses less than half of that; T, which adds up the errors of two models, less than two thirds.
#[test]
fn every_learner_recovers_an_effect_that_differs() {
    for method in Method::LEARNERS {
        let (chosen, told, truth) = told(COIN, 6_000, 11, &[method]);
        assert_eq!(chosen, method);
        let (missed, constant) = (pehe(&told, &truth), 0.2 / 3.0_f64.sqrt());
        println!("{}: misses {missed:.4}, one effect for all {constant:.4}", method.name());
        let share = if method == Method::T { 2.0 / 3.0 } else { 0.5 };
        assert!(missed < share * constant, "{method:?}: {missed}");
    }
}

/// Of twenty trials without differences most must be told so. A learner is taken where its gain exceeds one standard
/// error; gains of noise are below 0 on average, so that is rarer than the 16 % of a fair coin's tail for each of three
/// learners that err together. Twelve of twenty leave room for 40 %.
#[test]
fn one_effect_for_all_is_mostly_told_as_such() {
    let constant = (0..20)
        .filter(|seed| told(SAME_FOR_ALL, 1_500, 500 + 10 * seed, &Method::LEARNERS).0 == Method::Constant);
    let n = constant.count();
    assert!(n >= 12, "{n} of 20");
}

/// Features that tell the arms apart are found out, and a coin is not taken for them.
#[test]
fn a_coin_is_told_from_a_rule() {
    let mut rule = made(CONFOUNDED, 3_000, 21).trial;
    rule.probability = None;
    let study = Study::of(&rule, Design::Auto, &[], Seed(1)).unwrap();
    assert_eq!(study.assignment.basis, Basis::Estimated);
    // log-odds of 1.5 x, x uniform: the least probability is 1 / (1 + e^1.5) = .18.
    let overlap = study.assignment.overlap;
    assert!(overlap.least > 0.02 && overlap.largest < 0.98 && overlap.n_extreme == 0, "{overlap:?}");
    assert!(overlap.treated.1 > overlap.control.1);
    let coin = made(COIN, 3_000, 22).trial;
    let study = Study::of(&coin, Design::Auto, &[], Seed(1)).unwrap();
    assert_eq!(study.assignment.basis, Basis::Constant);
    assert!(study.assignment.auc.unwrap().value < 0.55);
}

#[test]
fn a_column_known_after_treatment_is_named() {
    use nextbest_models::table::{CellKind, TableColumn};
    let columns: Vec<TableColumn> = ["first", "second"]
        .map(|name| TableColumn { name: name.to_owned(), kind: CellKind::Number })
        .into_iter()
        .collect();
    let coin = made(COIN, 2_000, 31).trial;
    assert!(balance::differing(&coin, &columns).is_empty());
    let rule = made(CONFOUNDED, 2_000, 32).trial;
    let found = balance::differing(&rule, &columns);
    assert!(found.len() == 1 && found[0].column == "second" && found[0].z > 4.75, "{found:?}");
}

/// Every outcome of a fold turned round moves no raw score of that fold, of any learner, and moves those of others.
#[test]
fn no_outcome_touches_its_own_raw_score() {
    let trial = made(COIN, 1_500, 41).trial;
    let trees = OutcomeTrees::settle(&trial, Seed(3)).unwrap();
    let drawn = Assignment::Constant(0.5);
    let raw = |trial: &Trial, fold| {
        let told = of_fold(trial, fold, &drawn, &trees, &Method::LEARNERS).unwrap();
        (told.rows, told.raw)
    };
    let mut turned = trial.clone();
    for row in 0..trial.len() {
        turned.outcomes[row] ^= trial.fold_of_row[row] == 2;
    }
    assert_eq!(raw(&trial, 2), raw(&turned, 2));
    let (before, after) = (raw(&trial, 1), raw(&turned, 1));
    assert!(before.1.iter().zip(&after.1).all(|(before, after)| before != after));
}
