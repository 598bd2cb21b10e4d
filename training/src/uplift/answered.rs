//! An effect that differs by who answers: `tau(x) = effect - (q(x) - mean q)`, `q = P(answer | x) P(label | x)`.
//!
//! A contact that is answered keeps the label away from who would else have been of it; one that is not does to everybody the
//! same. So much is known before any data, and answers are seen where effects are not: the model of answers knows from every
//! contact what single outcomes, an effect of a hundredth beside a deviation of a half, do not tell of customers. Only the mean
//! effect is learned from outcomes. The slope is 1 where who answers would no sooner have come by themselves than the features
//! say, and less where they would; its variance is that of the uniform law on 0 to 1.

use std::collections::BTreeSet;

use nextbest_models::artifact::Artifact;
use nextbest_models::uplift::UpliftCalibration;

use super::effect::quantile;
use crate::dataset::Dataset;
use crate::elasticity::Interval;
use crate::metrics;

/// Variance of a number of which nothing is known but that it lies in 0 ..= 1.
const SLOPE_VARIANCE: f64 = 1.0 / 12.0;

/// What is known of the answers to contacts of a rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answers {
    mean: f64,
    range: (f64, f64),
}

impl Answers {
    /// Of those contacts in `dataset` (features, then the columns of an offer) whose action, in `column`, has one of `codes`: by
    /// the models `answer` and `label` of `artifact`; none without these, or without such contacts.
    #[must_use]
    pub fn of(
        artifact: &Artifact,
        (answer, label): (&str, &str),
        dataset: &Dataset,
        (column, codes): (usize, &BTreeSet<usize>),
    ) -> Option<Self> {
        let (answer, label) = (artifact.propensity(answer)?, artifact.propensity(label)?);
        let told = (0..dataset.n_rows()).map(|row| dataset.row(row)).filter(|row| {
            codes.iter().any(|code| row.get(column).is_some_and(|found| *found == *code as f64))
        });
        let told = told.map(|row| answer.score(row).get() * label.score(&row[..column]).get());
        Self::new(&told.collect::<Vec<f64>>())
    }

    /// Of contacts whose `q` are these; none without any.
    #[must_use]
    pub fn new(q: &[f64]) -> Option<Self> {
        let (low, high) =
            q.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), q| (low.min(*q), high.max(*q)));
        (!q.is_empty()).then(|| Self { mean: metrics::mean(q).value, range: (low, high) })
    }

    /// The line from `-q` to uplift, through the mean `effect`.
    #[must_use]
    pub(super) fn line(&self, effect: Interval) -> UpliftCalibration {
        UpliftCalibration {
            slope: 1.0,
            center: -self.mean,
            slope_variance: SLOPE_VARIANCE,
            range: (-self.range.1, -self.range.0),
            ..UpliftCalibration::constant(effect.value.clamp(-1.0, 1.0), effect.se, quantile())
        }
    }
}
