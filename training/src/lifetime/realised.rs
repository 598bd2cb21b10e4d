//! Trees of realised value: what stands in where customers do not buy as the closed form says, if it errs less.
//!
//! Target: a customer's discounted margin in the weeks after a cut-off, `y = sum_w margin x value_w / (1 + d)^w`, in units of its
//! mean; squared loss, so that a tree's word is a mean. The contest is out of time: trees grown on what followed the first
//! cut-off, the closed form fitted on what was known by the second, and the mean of the first, each tell every active customer
//! what they bring after the second. Trees are sealed where their squared error is below that of both others by more than 1.96
//! standard errors of the paired differences (Diebold & Mariano 1995, here over customers, who are taken to be independent); then
//! they are grown anew on the second cut-off, the latest whose weeks are known.
//!
//! Where the log is shorter than three horizons, trees learn fewer weeks than the horizon has, and their value is stretched by what
//! the closed form says the horizon is worth in these weeks, summed over customers: an assumption that nothing here tests, and
//! noted. It misleads where the weeks learned from were not like those to come (a sale, a season), and squared errors are ruled by
//! the few who bring most.

use std::collections::BTreeMap;

use nextbest_models::artifact::{ModelKind, ModelMetadata, RealisedParts};
use nextbest_models::customer::stable_hash;
use nextbest_models::units::Seed;
use nextbest_models::value::{CustomerSummary, Horizon, LifetimeModel, RealisedLine, VALUE_LEVEL};
use rayon::prelude::*;

use super::bounds;
use super::contest::{RealisedCode, RealisedReport, ValueError};
use super::folded::fit_folded;
use super::history::{Cutoffs, Moment, ValueHistory, ValuePlan};
use crate::dataset::Dataset;
use crate::learner::hessboost_trees::quantity::{Budget, Loss, Quantities, grow, n_trees};
use crate::learner::{Fitted, LearnError};
use crate::metrics::mean;
use crate::table::fold_by_hash;

/// The name of the model in an artifact of a project.
pub const REALISED: &str = "realised_value";

/// Fewer active customers at either cut-off teach nothing that lasts.
const MIN_CUSTOMERS: usize = 500;
/// Most customers that trees are grown on, drawn evenly.
const MAX_CUSTOMERS: usize = 20_000;
/// Folds of customers for the bounds; one of them counts trees.
const N_FOLDS: u32 = 4;
/// Standard errors that make a difference.
const SURE: f64 = 1.959_963_984_540_054;
/// Customers whose scores travel in the artifact.
const N_GOLDEN: usize = 64;

/// Trees of some customers, with the unit they tell.
struct Grown {
    trees: Box<dyn Fitted>,
    unit_minor: f64,
}

/// Some customers of a moment, in the order of its rows.
struct Learned<'a> {
    moment: &'a Moment,
    rows: Vec<usize>,
    folds: Vec<u32>,
    unit_minor: f64,
    seed: Seed,
}

impl<'a> Learned<'a> {
    fn of(moment: &'a Moment, seed: Seed) -> Self {
        let n = moment.brought.len();
        let hashes: Vec<u64> = moment.dataset.customers().iter().map(|id| stable_hash(id.as_str())).collect();
        let mut rows: Vec<usize> = (0..n).collect();
        if n > MAX_CUSTOMERS {
            // By hash, so that a customer is drawn at both moments or at none.
            rows.sort_by_key(|row| hashes[*row]);
            rows.truncate(MAX_CUSTOMERS);
            rows.sort_unstable();
        }
        let folds = rows.iter().map(|row| fold_by_hash(hashes[*row], N_FOLDS, seed)).collect();
        let unit_minor = rows.iter().map(|row| moment.brought[*row]).sum::<f64>() / rows.len().max(1) as f64;
        Self { moment, rows, folds, unit_minor, seed }
    }

    /// Rows and targets of the customers that `keep` keeps, by fold.
    fn part(&self, keep: impl Fn(u32) -> bool) -> (Vec<usize>, Vec<f64>) {
        let kept = self.rows.iter().zip(&self.folds).filter(|(_, fold)| keep(**fold));
        kept.map(|(row, _)| (*row, self.moment.brought[*row] / self.unit_minor)).unzip()
    }

    fn budget(&self, n_trees: usize, n_rows: usize) -> Budget {
        // A hundredth of the customers a leaf, within bounds: amounts scatter by more than their mean.
        let min_rows = (n_rows as f64 / 100.0).clamp(20.0, 100.0);
        Budget { n_trees, depth: 3, rate: 0.08, min_rows, seed: self.seed }
    }

    fn quantities<'b>(&'b self, rows: &'b [usize], targets: &'b [f64]) -> Quantities<'b> {
        Quantities { dataset: &self.moment.dataset, rows, targets, loss: Loss::Squared }
    }

    /// How many trees tell one fold best when grown on the others.
    fn count(&self) -> Result<usize, LearnError> {
        let ((ask, asked), (rows, targets)) = (self.part(|fold| fold == 0), self.part(|fold| fold != 0));
        let budget = self.budget(120, rows.len());
        n_trees(&self.quantities(&rows, &targets), &self.quantities(&ask, &asked), budget)
    }

    fn grow(&self, n_trees: usize, keep: impl Fn(u32) -> bool) -> Result<Grown, LearnError> {
        let (rows, targets) = self.part(keep);
        let trees = grow(&self.quantities(&rows, &targets), self.budget(n_trees, rows.len()))?;
        Ok(Grown { trees, unit_minor: self.unit_minor })
    }

    /// The line of trees grown on everybody, bounds by scores of trees grown without them.
    fn line(&self, n_trees: usize, stretch: f64) -> Result<RealisedLine, LearnError> {
        let of_fold = |fold: u32| -> Result<(Vec<f64>, Vec<f64>), LearnError> {
            let (asked, outcomes) = self.part(|one| one == fold);
            let grown = self.grow(n_trees, |one| one != fold)?;
            Ok((grown.trees.margins(&features(&self.moment.dataset, &asked))?, outcomes))
        };
        let folds: Result<Vec<_>, LearnError> = (0..N_FOLDS).into_par_iter().map(of_fold).collect();
        let (scores, outcomes): (Vec<_>, Vec<_>) = folds?.into_iter().unzip();
        let knots = bounds::fit(&scores.concat(), &outcomes.concat(), VALUE_LEVEL);
        RealisedLine::new(VALUE_LEVEL, self.unit_minor, stretch, &knots)
            .map_err(|fault| LearnError::Library { learner: REALISED, message: fault.to_string() })
    }
}

fn features<'a>(dataset: &'a Dataset, rows: &[usize]) -> Vec<&'a [f64]> {
    rows.iter().map(|row| dataset.row(*row)).collect()
}

/// Holds trees, the closed form and the mean against what came after the second cut-off; parts to be sealed where trees err
/// less. `closed` is the closed form of the whole log.
pub(super) fn contest(
    plan: &ValuePlan,
    history: &ValueHistory,
    closed: Option<&LifetimeModel>,
    seed: Seed,
) -> (RealisedReport, Option<RealisedParts>) {
    let untold = |code, reason: String| (RealisedReport::untold(code, reason, plan.cutoffs, history), None);
    let Some(cutoffs) = plan.cutoffs else {
        let reason = "a third of the log is shorter than 4 weeks: nothing to learn what customers bring from";
        return untold(RealisedCode::LogTooShort, reason.to_owned());
    };
    let [fit, test] = &history.moments;
    let n = fit.brought.len().min(test.brought.len());
    if n < MIN_CUSTOMERS {
        let reason = format!("{n} customers were active at a cut-off; {MIN_CUSTOMERS} are needed");
        return untold(RealisedCode::TooFewCustomers, reason);
    }
    let learned = [fit, test].map(|moment| Learned::of(moment, seed));
    if learned.iter().any(|one| one.unit_minor <= 0.0) {
        let reason = "customers brought nothing after a cut-off, on balance".to_owned();
        return untold(RealisedCode::TooFewCustomers, reason);
    }
    let stretch = stretch(plan.horizon, cutoffs.n_weeks, closed, &test.summaries);
    match run(plan, cutoffs, history, &learned, stretch) {
        Ok(told) => told,
        Err(error) => untold(RealisedCode::NotLearned, error.to_string()),
    }
}

/// What `horizon` is worth in its first weeks, summed over `customers`, by the closed form; none where it is longer and
/// nothing tells.
fn stretch(
    horizon: Horizon,
    n_weeks: u32,
    closed: Option<&LifetimeModel>,
    customers: &[CustomerSummary],
) -> Option<f64> {
    if horizon.n_units() == n_weeks {
        return Some(1.0);
    }
    let short = Horizon::new(n_weeks, horizon.discount_rate(), horizon.margin()).ok()?;
    let (long, short) = (closed?, closed?.clone().over(short));
    let worth = |model: &LifetimeModel| -> f64 {
        customers
            .par_iter()
            .map(|of| model.score(of).lifetime_value.unwrap_or(0.0))
            .collect::<Vec<_>>()
            .iter()
            .sum()
    };
    Some(worth(long) / worth(&short)).filter(|ratio| ratio.is_finite() && *ratio >= 1.0)
}

fn run(
    plan: &ValuePlan,
    cutoffs: Cutoffs,
    history: &ValueHistory,
    [fit, test]: &[Learned<'_>; 2],
    stretch: Option<f64>,
) -> Result<(RealisedReport, Option<RealisedParts>), LearnError> {
    let n_trees = fit.count()?;
    let grown = fit.grow(n_trees, |_| true)?;
    let outcomes = &test.moment.brought;
    let rows: Vec<usize> = (0..outcomes.len()).collect();
    let scores = grown.trees.margins(&features(&test.moment.dataset, &rows))?;
    let by_trees: Vec<f64> = scores.iter().map(|score| grown.unit_minor * score.max(0.0)).collect();
    let by_mean = vec![mean(&fit.moment.brought).value; outcomes.len()];
    let by_closed = by_closed(plan.horizon, cutoffs.n_weeks, history);
    let told = [("trees", Some(&by_trees)), ("closed_form", by_closed.as_ref()), ("mean", Some(&by_mean))];
    let errors: Vec<ValueError> = told
        .into_iter()
        .filter_map(|(model, values)| Some(ValueError::of(model, values?, &by_trees, outcomes)))
        .collect();
    let less = errors.iter().skip(1).all(|error| error.excess.value > SURE * error.excess.se);
    let line = fit.line(n_trees, 1.0)?;
    let inside = scores.iter().zip(outcomes).map(|(score, outcome)| {
        let told = line.apply(*score);
        f64::from(u8::from(told.lo_minor <= *outcome && *outcome <= told.hi_minor))
    });
    let coverage = mean(&inside.collect::<Vec<_>>());
    let (code, reason) = match (less, stretch) {
        (false, _) => {
            (RealisedCode::NoLessError, "trees of realised value do not surely err less".to_owned())
        }
        (true, None) => {
            let reason = format!(
                "trees err less over {} weeks, but no closed form says what {} are worth in these",
                cutoffs.n_weeks,
                plan.horizon.n_units()
            );
            (RealisedCode::NoStretch, reason)
        }
        (true, Some(_)) => {
            (RealisedCode::LessError, "trees of realised value err less out of time".to_owned())
        }
    };
    let report = RealisedReport {
        n_trees,
        errors,
        coverage: Some(coverage),
        stretch,
        ..RealisedReport::untold(code, reason, plan.cutoffs, history)
    };
    let parts = match (code, stretch) {
        (RealisedCode::LessError, Some(stretch)) => Some(parts(plan.horizon, test, stretch, &report)?),
        _ => None,
    };
    Ok((report, parts))
}

/// What the closed form of everybody known by the second cut-off tells of the active ones; none where it is not fitted, or tells
/// no value.
fn by_closed(horizon: Horizon, n_weeks: u32, history: &ValueHistory) -> Option<Vec<f64>> {
    let horizon = Horizon::new(n_weeks, horizon.discount_rate(), horizon.margin()).ok()?;
    let model = fit_folded(horizon, history.by_test.clone()).ok()?.model;
    history.moments[1].summaries.par_iter().map(|of| model.score(of).lifetime_value).collect()
}

/// Trees of the latest weeks that are known, for the artifact.
fn parts(
    horizon: Horizon,
    learned: &Learned<'_>,
    stretch: f64,
    report: &RealisedReport,
) -> Result<RealisedParts, LearnError> {
    let grown = learned.grow(report.n_trees, |_| true)?;
    let line = learned.line(report.n_trees, stretch)?;
    let step = learned.rows.len().div_ceil(N_GOLDEN).max(1);
    let rows: Vec<usize> = learned.rows.iter().copied().step_by(step).collect();
    let rows = features(&learned.moment.dataset, &rows);
    let scores = grown.trees.margins(&rows)?;
    let golden = rows.iter().zip(scores).map(|(row, score)| (row.to_vec(), line.apply(score).value_minor));
    let golden = golden.collect();
    let mut metrics = BTreeMap::from([("stretch".to_owned(), stretch)]);
    for error in &report.errors {
        metrics.insert(format!("{}_rmse", error.model), error.rmse);
        metrics.insert(format!("{}_mae", error.model), error.mae);
    }
    metrics.extend(report.coverage.map(|share| ("coverage".to_owned(), share.value)));
    let mut notes = vec![format!("{}: in place of the closed form, which misfits", report.reason)];
    if stretch > 1.0 {
        notes.push(stretched(report.n_weeks, horizon.n_units(), stretch));
    }
    let metadata = ModelMetadata {
        name: REALISED.to_owned(),
        kind: ModelKind::RealisedValue,
        learner: "hessboost_realised".to_owned(),
        label: None,
        response: None,
        purchase: None,
        counts: BTreeMap::from([
            ("n_train".to_owned(), learned.rows.len() as u64),
            ("n_test".to_owned(), report.n_customers[1] as u64),
            ("n_weeks".to_owned(), u64::from(report.n_weeks)),
            ("horizon_weeks".to_owned(), u64::from(horizon.n_units())),
        ]),
        metrics,
        notes,
        sections: BTreeMap::new(),
    };
    Ok(RealisedParts { metadata, scorer: grown.trees.seal()?, line, golden })
}

/// What a stretched value rests on.
fn stretched(n_weeks: u32, horizon: u32, stretch: f64) -> String {
    format!(
        "stretched: {n_weeks} weeks are learned, {horizon} told: times {stretch:.3}, as the closed form says; coverage is known of \
         {n_weeks} weeks alone"
    )
}
