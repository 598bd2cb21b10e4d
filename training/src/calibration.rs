//! Fitting calibrations on rows the model did not see, and choosing among them.
//!
//! A shift of the log-odds, for a base rate that moved and nothing else; Platt's map by linfa's Newton method; isotonic regression by pooling adjacent violators (linfa-linear's takes no
//! interpolation). The choice is by cross-validated log-loss with folds by customer, and moves to a richer map only
//! where that gains more than one standard error.

use linfa::ParamGuard;
use linfa::composing::platt_scaling::{Platt, platt_newton_method};
use ndarray::ArrayView1;
use nextbest_models::propensity::Calibration;
use nextbest_models::units::Probability;
use serde::Serialize;

use crate::metrics::{Estimate, losses, mean};

/// Folds of the choice.
const N_FOLDS: u32 = 5;
/// Fewest rows of an isotonic step.
const MIN_STEP_ROWS: usize = 20;

/// One calibration that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CalibrationCandidate {
    /// identity, shift, platt, isotonic.
    pub method: &'static str,
    /// Its cross-validated log-loss, in nats.
    pub log_loss: Estimate,
}

/// What [`choose`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationChoice {
    /// How the chosen map was fitted.
    pub method: &'static str,
    /// The chosen map, fitted on all rows.
    pub calibration: Calibration,
    /// Probability of each row by the chosen method, fitted without the row's fold.
    pub probabilities: Vec<f64>,
    /// Loss of each row at that probability.
    pub losses: Vec<f64>,
    /// Everything tried.
    pub candidates: Vec<CalibrationCandidate>,
}

/// `margins` (log-odds) moved by one number: the maximum-likelihood intercept beside a slope of 1, at which the mean
/// probability is the share of outcomes (Elkan 2001 on a changed base rate). `None` where one outcome is absent, or
/// no intercept is the best.
#[must_use]
pub fn shift(margins: &[f64], outcomes: &[bool]) -> Option<Calibration> {
    const MAX_STEPS: usize = 100;
    /// Most a step moves: where nearly all probabilities are 0 or 1 the curvature says nothing.
    const MAX_STEP: f64 = 1.0;
    let n_positive = outcomes.iter().filter(|outcome| **outcome).count();
    if n_positive == 0 || n_positive == outcomes.len() {
        return None;
    }
    let mut intercept = 0.0;
    for _ in 0..MAX_STEPS {
        let (mut expected, mut curvature) = (0.0, 0.0);
        for margin in margins {
            let p = Probability::from_log_odds(margin + intercept).get();
            expected += p;
            curvature += p * (1.0 - p);
        }
        let step = ((n_positive as f64 - expected) / curvature).clamp(-MAX_STEP, MAX_STEP);
        if !step.is_finite() {
            return None;
        }
        intercept += step;
        if step.abs() < 1e-9 {
            break;
        }
    }
    let map = Calibration::Platt { slope: 1.0, intercept };
    Calibration::from_numbers(&map.to_numbers()).ok()
}

/// Platt's map of `margins` (log-odds): Lin, Lin & Weng (2007). `None` where it does not converge or would fall.
#[must_use]
pub fn platt(margins: &[f64], outcomes: &[bool]) -> Option<Calibration> {
    let parameters = Platt::<f64, ()>::params().check().ok()?;
    let (a, b) =
        platt_newton_method(ArrayView1::from(margins), ArrayView1::from(outcomes), &parameters).ok()?;
    // linfa's is 1 / (1 + exp(a x + b)).
    let map = Calibration::Platt { slope: -a, intercept: -b };
    Calibration::from_numbers(&map.to_numbers()).ok()
}

/// Isotonic regression of outcomes on `margins`, with straight lines between the middles of its steps.
#[must_use]
pub fn isotonic(margins: &[f64], outcomes: &[bool]) -> Option<Calibration> {
    let mut order: Vec<usize> = (0..margins.len()).collect();
    order.sort_by(|&a, &b| margins[a].total_cmp(&margins[b]));
    // A step: rows, sum of margins, sum of outcomes.
    let mut steps: Vec<(f64, f64, f64)> = Vec::new();
    let mut open = (0.0, 0.0, 0.0);
    for (place, &at) in order.iter().enumerate() {
        open = (open.0 + 1.0, open.1 + margins[at], open.2 + f64::from(u8::from(outcomes[at])));
        let tied = order.get(place + 1).is_some_and(|&next| margins[next] == margins[at]);
        if tied || (open.0 < MIN_STEP_ROWS as f64 && place + 1 < order.len()) {
            continue;
        }
        steps.push(open);
        open = (0.0, 0.0, 0.0);
        while let [.., before, last] = steps[..]
            && before.2 / before.0 >= last.2 / last.0
        {
            steps.truncate(steps.len() - 2);
            steps.push((before.0 + last.0, before.1 + last.1, before.2 + last.2));
        }
    }
    // No step is surer than one more row of either outcome would leave it over all rows.
    let floor = 1.0 / (margins.len() as f64 + 2.0);
    let mut numbers = vec![2.0];
    for (n, margin, positive) in steps {
        numbers.extend([margin / n, (positive / n).clamp(floor, 1.0 - floor)]);
    }
    Calibration::from_numbers(&numbers).ok()
}

/// Chooses a calibration for `margins` of rows the model did not see. `folds` tells rows of a kind apart (a stable
/// hash of the customer): rows of one number are left out together.
#[must_use]
pub fn choose(margins: &[f64], outcomes: &[bool], folds: &[u32]) -> CalibrationChoice {
    type Method = fn(&[f64], &[bool]) -> Option<Calibration>;
    let methods: [(&str, Method); 4] = [
        ("identity", |_, _| Some(Calibration::Identity)),
        ("shift", shift),
        ("platt", platt),
        ("isotonic", isotonic),
    ];
    let mut candidates = Vec::new();
    let untouched = apply(&Calibration::Identity, margins);
    let mut best = CalibrationChoice {
        method: "identity",
        calibration: Calibration::Identity,
        losses: losses(&untouched, outcomes),
        probabilities: untouched,
        candidates: Vec::new(),
    };
    for (method, fit) in methods {
        let Some(left_out) = cross_validated(margins, outcomes, folds, fit) else { continue };
        let losses = losses(&left_out, outcomes);
        candidates.push(CalibrationCandidate { method, log_loss: mean(&losses) });
        let gains: Vec<f64> = best.losses.iter().zip(&losses).map(|(before, after)| before - after).collect();
        let gain = mean(&gains);
        if gain.value > gain.se
            && let Some(calibration) = fit(margins, outcomes)
        {
            let (probabilities, candidates) = (left_out, Vec::new());
            best = CalibrationChoice { method, calibration, probabilities, losses, candidates };
        }
    }
    CalibrationChoice { candidates, ..best }
}

fn apply(calibration: &Calibration, margins: &[f64]) -> Vec<f64> {
    margins.iter().map(|&margin| calibration.apply(margin).get()).collect()
}

/// The probability of each row by a map fitted without its fold.
fn cross_validated(
    margins: &[f64],
    outcomes: &[bool],
    folds: &[u32],
    fit: fn(&[f64], &[bool]) -> Option<Calibration>,
) -> Option<Vec<f64>> {
    let mut found = vec![0.0; margins.len()];
    for fold in 0..N_FOLDS {
        let (out, kept): (Vec<usize>, Vec<usize>) =
            (0..margins.len()).partition(|&at| folds.get(at).copied().unwrap_or(0) % N_FOLDS == fold);
        let pick = |rows: &[usize]| -> (Vec<f64>, Vec<bool>) {
            rows.iter().map(|&at| (margins[at], outcomes[at])).unzip()
        };
        if out.is_empty() {
            continue;
        }
        let (margins_kept, outcomes_kept) = pick(&kept);
        let map = fit(&margins_kept, &outcomes_kept)?;
        out.iter().for_each(|&at| found[at] = map.apply(margins[at]).get());
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn drawn(n: usize, seed: u64, truth: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<bool>, Vec<u32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let margins: Vec<f64> = (0..n).map(|_| rng.random_range(-3.0..3.0)).collect();
        let outcomes = margins.iter().map(|&margin| rng.random_bool(truth(margin))).collect();
        (margins, outcomes, (0..n).map(|_| rng.random_range(0..1000_u32)).collect())
    }

    fn logistic(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    #[test]
    fn platt_finds_slope_and_intercept() {
        let (margins, outcomes, _) = drawn(20_000, 3, |x| logistic(0.6 * x - 1.0));
        let Some(Calibration::Platt { slope, intercept }) = platt(&margins, &outcomes) else { panic!() };
        // Fisher information per row, E[p(1-p) (1, x^2)], is about (.17, .40) here: standard errors .017 and .011;
        // four of them, and linfa's stopping rule of 1e-5 per row in the gradient on top.
        assert!((slope - 0.6).abs() < 0.045 && (intercept + 1.0).abs() < 0.07, "{slope} {intercept}");
    }

    #[test]
    fn a_shift_meets_the_share_of_outcomes() {
        let (margins, outcomes, _) = drawn(2_000, 5, |x| logistic(x + 2.0));
        let map = shift(&margins, &outcomes).unwrap();
        let mean = margins.iter().map(|&margin| map.apply(margin).get()).sum::<f64>() / 2_000.0;
        let share = outcomes.iter().filter(|outcome| **outcome).count() as f64 / 2_000.0;
        // A last step below 1e-9, at a slope of at most 1/4.
        assert!((mean - share).abs() < 1e-9, "{mean} {share}");
        assert_eq!(shift(&margins, &[true; 2_000]), None);
        // A separable set has no finite optimum.
        assert_eq!(shift(&[800.0, -800.0, 1.0], &[true, false, true]), None);
    }

    #[test]
    fn isotonic_is_exact_on_steps() {
        let margins: Vec<f64> = (0..400).map(f64::from).collect();
        let outcomes: Vec<bool> = (0..400).map(|k| if k < 200 { k % 10 == 0 } else { k % 10 != 0 }).collect();
        let map = isotonic(&margins, &outcomes).unwrap();
        assert!((map.apply(0.0).get() - 0.1).abs() < 1e-12);
        assert!((map.apply(399.0).get() - 0.9).abs() < 1e-12);
    }

    #[test]
    fn the_choice_needs_a_gain() {
        let (margins, outcomes, folds) = drawn(5_000, 4, logistic);
        assert_eq!(choose(&margins, &outcomes, &folds).calibration, Calibration::Identity);
        let (margins, outcomes, folds) = drawn(5_000, 4, |x| logistic(0.4 * x - 2.0));
        assert_eq!(choose(&margins, &outcomes, &folds).method, "platt");
        let (margins, outcomes, folds) = drawn(5_000, 4, |x| logistic(x - 0.5));
        assert_eq!(choose(&margins, &outcomes, &folds).method, "shift");
        let (margins, outcomes, folds) = drawn(20_000, 4, |x| if x < 0.5 { 0.02 } else { 0.5 });
        let choice = choose(&margins, &outcomes, &folds);
        assert_eq!((choice.method, choice.calibration.name()), ("isotonic", "isotonic"));
        assert_eq!(choice.candidates.len(), 4);
    }
}
