//! Which candidate is taken: by log-loss, and of those that cannot be told apart, the simplest.

use crate::metrics::{self, Estimate};

/// A choice among candidates.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    /// The number of the one with the least loss.
    pub(crate) best: usize,
    /// The number of the one that is taken.
    pub(crate) chosen: usize,
    /// How far each is behind the best: mean and standard error of the differences row by row.
    pub(crate) behind: Vec<Option<Estimate>>,
}

/// Of candidates with `losses` row by row (none where one failed), the simplest first: the first whose mean is within
/// one standard error of the least. The error is that of the difference, row by row, to the best: candidates judged on
/// the same rows differ far less than either varies (the one-standard-error rule of Breiman et al. 1984, paired).
pub(crate) fn simplest_of_equals(losses: &[Option<&[f64]>]) -> Option<Choice> {
    let means =
        losses.iter().enumerate().filter_map(|(at, losses)| Some((at, metrics::mean((*losses)?).value)));
    let (best, _) = means.min_by(|a, b| a.1.total_cmp(&b.1))?;
    let least = losses[best]?;
    let behind = |losses: &Option<&[f64]>| {
        let differences: Vec<f64> = (*losses)?.iter().zip(least).map(|(loss, least)| loss - least).collect();
        Some(metrics::mean(&differences))
    };
    let behind: Vec<Option<Estimate>> = losses.iter().map(behind).collect();
    let chosen = behind.iter().position(|behind| behind.is_some_and(|behind| behind.value <= behind.se))?;
    Some(Choice { best, chosen, behind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simplest_that_cannot_be_told_from_the_best() {
        let best: Vec<f64> = (0..100).map(|k| f64::from(k % 10)).collect();
        // Always .1 more: no doubt. Now 1 more, now .9 less: .05 more, at a standard error of about .1.
        let worse: Vec<f64> = best.iter().map(|loss| loss + 0.1).collect();
        let equal: Vec<f64> =
            best.iter().enumerate().map(|(at, loss)| loss + if at % 2 == 0 { 1.0 } else { -0.9 }).collect();
        let choice = simplest_of_equals(&[Some(&worse), None, Some(&equal), Some(&best)]).unwrap();
        assert_eq!((choice.best, choice.chosen), (3, 2));
        assert_eq!(choice.behind[1], None);
        assert!((choice.behind[0].unwrap().value - 0.1).abs() < 1e-12);
        assert_eq!(simplest_of_equals(&[None, None]), None);
    }
}
