//! Between what the outcome of a score lies: quantiles of the outcomes of like scores, by models that did not see them.
//!
//! Customers are cut into bins of equal count by score. Of the `n` of a bin, the `k`-th least outcome with `k = floor((n + 1) (1 -
//! level) / 2)` and the `k`-th greatest are its bounds: if customers are exchangeable within the bin, the outcome of one more
//! lies between the two with a probability of at least `level`, whatever its distribution (split conformal prediction by
//! category: Vovk, Gammerman & Shafer 2005, "Algorithmic learning in a random world", 4.5). It is an interval of the outcome
//! of one customer, not of a mean.
//!
//! Scores are cross-fitted, so that every customer has one of trees grown without them; those of the sealed trees, which saw a
//! fold more, are taken to be alike (Barber, Candes, Ramdas & Tibshirani 2021, "Predictive inference with the jackknife+",
//! prove 1 - 2 (1 - level) for a close relative). It misleads where the weeks to come are not like those learned from: the
//! report tells how many outcomes of later weeks lay inside.

use nextbest_models::value::realised::RealisedKnot;

/// Least customers of a bin: ten in either tail of 90 %.
const MIN_ROWS: usize = 200;
/// Most bins.
const MAX_BINS: usize = 20;

/// Bounds that cover with probability `level`, by the `scores` of rows with these `outcomes`; in no particular order. Nothing
/// without rows.
pub(super) fn fit(scores: &[f64], outcomes: &[f64], level: f64) -> Vec<RealisedKnot> {
    let mut rows: Vec<(f64, f64)> = scores.iter().copied().zip(outcomes.iter().copied()).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let n_bins = (rows.len() / MIN_ROWS).clamp(1, MAX_BINS);
    let mut starts: Vec<usize> = Vec::new();
    for bin in 0..n_bins {
        let score = rows.get(bin * rows.len() / n_bins).map_or(f64::NAN, |row| row.0);
        // Equal scores are not told apart: they open one bin.
        let start = rows.partition_point(|row| row.0 < score);
        if start < rows.len() && starts.last().is_none_or(|last| *last < start) {
            starts.push(start);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([rows.len()]);
    let knot = |(start, end): (&usize, usize)| {
        let mut outcomes: Vec<f64> = rows[*start..end].iter().map(|row| row.1).collect();
        outcomes.sort_by(f64::total_cmp);
        // A level is rounded, a rank is whole. Too few for the level: the whole range, which covers less.
        let k = ((outcomes.len() + 1) as f64 * 0.5 * (1.0 - level) + 1e-9).floor().max(1.0) as usize;
        RealisedKnot { from: rows[*start].0, lo: outcomes[k - 1], hi: outcomes[outcomes.len() - k] }
    };
    starts.iter().zip(ends).map(knot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextbest_models::value::{RealisedLine, VALUE_LEVEL};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Exp1};

    /// Most bring nothing, the others an exponential amount about their score: what a shop's weeks look like.
    fn outcome(score: f64, rng: &mut ChaCha8Rng) -> f64 {
        let amount: f64 = Exp1.sample(rng);
        if rng.random_bool(0.4) { score * amount / 0.4 } else { 0.0 }
    }

    #[test]
    fn outcomes_are_covered_as_often_as_promised() {
        let mut rng = ChaCha8Rng::seed_from_u64(41);
        let (mut covered, mut below, n_asked) = (0_u32, 0_u32, 100);
        let n_draws = 200;
        for _ in 0..n_draws {
            let scores: Vec<f64> = (0..2_000).map(|_| rng.random_range(0.1..3.0)).collect();
            let outcomes: Vec<f64> = scores.iter().map(|&score| outcome(score, &mut rng)).collect();
            let line =
                RealisedLine::new(VALUE_LEVEL, 1.0, 1.0, &fit(&scores, &outcomes, VALUE_LEVEL)).unwrap();
            for _ in 0..n_asked {
                let score = rng.random_range(0.1..3.0);
                let (told, found) = (line.apply(score), outcome(score, &mut rng));
                covered += u32::from(told.lo_minor <= found && found <= told.hi_minor);
                below += u32::from(found <= told.hi_minor);
            }
        }
        let n = f64::from(n_draws * n_asked);
        // Nothing is below 0, so the lower tail, of ties at 0, covers whole: 95 % is what the upper bound leaves. Bounds
        // of one draw are shared by 100 outcomes; their own scatter, a beta's of 10 in 201, is sqrt(.05 * .95 / 202) = .015
        // a bin, of ten bins and 200 draws .0004; with sqrt(.05 * .95 / n) = .0015 four errors are .0065. By the rank,
        // floor(201 * .05) = 10 of 201, the share is .9502.
        let share = f64::from(covered) / n;
        assert!((share - 0.9502).abs() < 0.0065 && covered == below, "{share}");
    }

    #[test]
    fn ranks_are_those_by_hand_and_equal_scores_share_a_bin() {
        // 399 outcomes 1 to 399 of one score: the 20th of 400 ranks from either end.
        let outcomes: Vec<f64> = (1..=399).map(f64::from).collect();
        let told = fit(&[0.5; 399], &outcomes, 0.9);
        assert_eq!(told, [RealisedKnot { from: 0.5, lo: 20.0, hi: 380.0 }]);
        let scores: Vec<f64> = (0..1_000).map(|row| if row < 700 { 0.0 } else { f64::from(row) }).collect();
        let told = fit(&scores, &scores, 0.9);
        assert_eq!(told.iter().map(|knot| knot.from).collect::<Vec<_>>(), [0.0, 800.0], "{told:?}");
        assert!(fit(&[], &[], 0.9).is_empty());
    }
}
