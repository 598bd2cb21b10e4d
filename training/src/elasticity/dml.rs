//! Double machine learning of the partially linear model `y = theta(g) x + g(controls) + e` (Chernozhukov et al. 2018).
//!
//! Levels and straight lines are taken out first, since trees would need a leaf for each level and many for a line. Trees
//! then learn what is left of `E[y | controls]` and `E[x | controls]` on other folds than they are asked about, and theta
//! is the slope of what they leave of y on what they leave of x: a score that errors of the trees move only by their
//! product (Neyman-orthogonal, by partialling out: Robinson 1988). Folds never divide a cluster; several splits are drawn
//! and the median told. Assumes that controls hold all that moved price and demand together, and that price still moved
//! once they are known.
//!
//! Where prices follow demand, `E[y | controls]` is nearly flat, as the dearer price takes back what demand gave, and trees
//! find nothing to learn in it. So they learn `y - theta_0 x` in its place, with a first theta_0, and
//! `E[y | controls] = E[y - theta_0 x | controls] + theta_0 E[x | controls]`.

use nextbest_models::units::Seed;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::design::{self, Design};
use super::error::ElasticityError;
use super::names::Names;
use super::nuisance::{self, Budget, Features, Parts};
use super::ols::{Clusters, Slope, slope};
use super::panel::Panel;

/// How splits are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct CrossFit {
    /// Folds of a split; each is told by trees grown on the others.
    pub(super) n_folds: usize,
    /// Splits, an odd number: their median is one of them.
    pub(super) n_splits: usize,
    pub(super) budget: Budget,
}

impl Default for CrossFit {
    fn default() -> Self {
        Self { n_folds: 5, n_splits: 5, budget: Budget::default() }
    }
}

/// What controls leave of price and quantity in one split.
pub(super) struct Residuals {
    pub(super) x: Vec<f64>,
    pub(super) y: Vec<f64>,
}

/// The residuals of every split, `straight` being what straight lines leave; `groups` are each row's number and how many
/// there are.
pub(super) fn residuals(
    panel: &Panel,
    straight: &Design,
    groups: (&[u32], usize),
    cross_fit: CrossFit,
    seed: Seed,
) -> Result<Vec<Residuals>, ElasticityError> {
    let features = features(panel, groups)?;
    let clusters = match &panel.cluster {
        Some(names) => Clusters::new(&names.codes),
        None => Clusters { of_row: (0..panel.len() as u32).collect(), n: panel.len() },
    };
    let n_folds = cross_fit.n_folds.min(clusters.n);
    let trees = Trees {
        features: &features,
        clusters: &clusters,
        n_folds,
        seed,
        budget: Budget { seed, ..cross_fit.budget },
    };
    let (x, y) = (&straight.x, &straight.y);
    // Split 0 settles how many trees are grown, and a first theta; it has no further say.
    let (n_x, n_y) = (trees.settle(x)?, trees.settle(y)?);
    let first =
        slope(&trees.left(0, x, n_x)?, &trees.left(0, y, n_y)?, None, 1).map_or(0.0, |slope| slope.value);
    let rest: Vec<f64> = y.iter().zip(x).map(|(y, x)| y - first * x).collect();
    let n_rest = trees.settle(&rest)?;
    let of_split = |split| {
        let (x, rest) = (trees.left(split, x, n_x)?, trees.left(split, &rest, n_rest)?);
        let y = rest.iter().zip(&x).map(|(rest, x)| rest + first * x).collect();
        Ok(Residuals { x, y })
    };
    (1..=cross_fit.n_splits).map(of_split).collect()
}

/// What trees see; numbers also net of levels, where there are any.
fn features(panel: &Panel, groups: (&[u32], usize)) -> Result<Features, ElasticityError> {
    let several = groups.1 > 1;
    let levels = several || !panel.effects.is_empty();
    let mut absorbed: Vec<Vec<f64>> =
        panel.controls.iter().filter(|_| levels).filter_map(Names::values).collect();
    design::absorb(&mut absorbed, &design::effects(panel, several.then_some(groups.0)), panel)?;
    Ok(Features::new(panel, groups, &absorbed))
}

/// How trees are grown, and on which rows.
struct Trees<'a> {
    features: &'a Features,
    clusters: &'a Clusters,
    n_folds: usize,
    seed: Seed,
    budget: Budget,
}

impl Trees<'_> {
    /// How many trees `target` takes: the median over folds of the number that tells a fold best.
    fn settle(&self, target: &[f64]) -> Result<usize, ElasticityError> {
        let job = |parts: &Parts<'_>| nuisance::n_trees(self.features, target, parts, self.budget);
        let mut counts: Vec<usize> = self.by_fold(0, job)?.into_iter().map(|(_, n)| n).collect();
        counts.sort_unstable();
        Ok(counts[counts.len() / 2])
    }

    /// What `n_trees` trees, grown on other folds, leave of `target`.
    fn left(&self, split: usize, target: &[f64], n_trees: usize) -> Result<Vec<f64>, ElasticityError> {
        let job = |parts: &Parts<'_>| nuisance::expected(self.features, target, parts, self.budget, n_trees);
        let mut left = target.to_vec();
        for (rows, told) in self.by_fold(split, job)? {
            rows.into_iter().zip(told).for_each(|(row, told)| left[row] -= told);
        }
        Ok(left)
    }

    /// `job` for every fold of `split`, on the rows of the others and on its own; its own rows beside the answer.
    fn by_fold<T: Send>(
        &self,
        split: usize,
        job: impl Fn(&Parts<'_>) -> hessboost::error::Result<T> + Sync,
    ) -> Result<Vec<(Vec<usize>, T)>, ElasticityError> {
        let folds = deal(self.clusters.n, self.n_folds, self.seed, split);
        let of_fold = |fold: usize| {
            let inside = |row: &usize| folds[self.clusters.of_row[*row] as usize] == fold;
            let (ask, grow): (Vec<usize>, Vec<usize>) = (0..self.clusters.of_row.len()).partition(inside);
            let told = job(&Parts { grow: &grow, ask: &ask })?;
            Ok((ask, told))
        };
        (0..self.n_folds).into_par_iter().map(of_fold).collect()
    }
}

/// A fold for every cluster: shuffled, then dealt in turn.
fn deal(n_clusters: usize, n_folds: usize, seed: Seed, split: usize) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.0);
    rng.set_stream(split as u64);
    let mut folds: Vec<usize> = (0..n_clusters).map(|at| at % n_folds).collect();
    folds.shuffle(&mut rng);
    folds
}

/// The slope among `rows` in every split, and the median of them: `theta` their median, its variance the median of
/// `se_s^2 + (theta_s - theta)^2` (Chernozhukov et al. 2018, definition 3.3). `n_absorbed` parameters were taken out by
/// straight lines; those of trees are not counted, which cross-fitting makes up for.
pub(super) fn median(
    splits: &[Residuals],
    rows: &[usize],
    clusters: Option<&Clusters>,
    n_absorbed: usize,
) -> Option<Slope> {
    let of = |column: &[f64]| rows.iter().map(|&row| column[row]).collect::<Vec<f64>>();
    let slopes = splits.iter().map(|split| slope(&of(&split.x), &of(&split.y), clusters, n_absorbed + 1));
    let slopes: Vec<Slope> = slopes.collect::<Option<_>>()?;
    let value = middle(slopes.iter().map(|one| one.value).collect())?;
    let variance = middle(slopes.iter().map(|one| one.se.powi(2) + (one.value - value).powi(2)).collect())?;
    Some(Slope { value, se: variance.sqrt(), freedom: slopes[0].freedom })
}

fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
