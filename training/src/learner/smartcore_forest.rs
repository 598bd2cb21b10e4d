//! A random forest by smartcore: its regressor on 0 and 1, whose leaf means are probabilities.
//!
//! The classifier only has votes, and both panic on NaN: columns are imputed before. Trees leave the library through
//! serde alone; they are read from there, renumbered so that siblings stand together after their parent, and the
//! imputation is folded into each test. The forest is grown in independent parts, which cores share.

use nextbest_models::artifact::SealedScorer;
use nextbest_models::propensity::forest::{NodeSpec, log_odds};
use nextbest_models::propensity::linear::{ColumnSpec, Transform};
use nextbest_models::units::Seed;
use rayon::prelude::*;
use serde::Deserialize;
use smartcore::ensemble::random_forest_regressor::{RandomForestRegressor, RandomForestRegressorParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;

use super::{Fitted, LearnError, Learner, Monotone, Sample, ScorerForm, dropped_note};
use crate::encoding::Encoding;

const NAME: &str = "smartcore_forest";

/// Its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmartcoreForest {
    /// Parts grown apart.
    pub n_parts: u16,
    /// Trees of each part.
    pub n_trees_per_part: u16,
    /// Deepest leaf.
    pub max_depth: u16,
    /// Fewest rows of a leaf.
    pub min_leaf_rows: usize,
    /// Most rows.
    pub max_rows: usize,
    /// Monotone constraints; with any, nothing is fitted, since averaged trees cannot promise them.
    pub monotone: Monotone,
}

impl Default for SmartcoreForest {
    fn default() -> Self {
        let monotone = Monotone::new();
        Self { n_parts: 4, n_trees_per_part: 12, max_depth: 9, min_leaf_rows: 20, max_rows: 20_000, monotone }
    }
}

type Forest = RandomForestRegressor<f64, f64, DenseMatrix<f64>, Vec<f64>>;

struct FittedForest {
    encoding: Encoding,
    parts: Vec<Forest>,
    trees: Vec<Vec<NodeSpec>>,
}

#[expect(clippy::needless_pass_by_value, reason = "errors and texts alike are told where they arise")]
fn failed(message: impl ToString) -> LearnError {
    LearnError::Library { learner: NAME, message: message.to_string() }
}

impl Learner for SmartcoreForest {
    fn name(&self) -> &'static str {
        NAME
    }

    fn max_rows(&self) -> usize {
        self.max_rows
    }

    fn fit(&self, sample: &Sample<'_>, seed: Seed) -> Result<Box<dyn Fitted>, LearnError> {
        if sample.dataset().weights().is_some() {
            return Err(LearnError::Weights(NAME));
        }
        if !self.monotone.is_empty() {
            return Err(LearnError::Unconstrained(NAME));
        }
        let encoding = Encoding::fit(sample.dataset(), sample.row_numbers());
        if encoding.trees.is_empty() {
            return Err(LearnError::NoColumns(dropped_note(&encoding).join("; ")));
        }
        let x = matrix(&encoding, &sample.rows())?;
        let y: Vec<f64> = sample.outcomes().iter().map(|&outcome| f64::from(u8::from(outcome))).collect();
        let grow = |part: u16| {
            // smartcore seeds tree k of a forest with seed + k: parts are kept far apart.
            let seed = seed.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(part) << 32);
            let parameters = RandomForestRegressorParameters::default()
                .with_n_trees(usize::from(self.n_trees_per_part))
                .with_max_depth(self.max_depth)
                .with_min_samples_leaf(self.min_leaf_rows)
                .with_min_samples_split(2 * self.min_leaf_rows)
                .with_m(((encoding.trees.len() as f64).sqrt().ceil() as usize).max(1))
                .with_seed(seed);
            Forest::fit(&x, &y, parameters).map_err(failed)
        };
        let parts: Vec<Forest> = (0..self.n_parts).into_par_iter().map(grow).collect::<Result<_, _>>()?;
        let mut trees = Vec::new();
        for part in &parts {
            trees.extend(read_trees(part, &encoding.trees)?);
        }
        Ok(Box::new(FittedForest { encoding, parts, trees }))
    }
}

fn matrix(encoding: &Encoding, rows: &[&[f64]]) -> Result<DenseMatrix<f64>, LearnError> {
    let (n, width) = (rows.len(), encoding.trees.len());
    let mut values = vec![0.0; n * width];
    for (at, row) in rows.iter().enumerate() {
        encoding.tree_values(row).enumerate().for_each(|(column, value)| values[column * n + at] = value);
    }
    if values.iter().any(|value| !value.is_finite()) {
        return Err(failed("a prepared column is not finite"));
    }
    DenseMatrix::new(n, width, values, true).map_err(failed)
}

impl Fitted for FittedForest {
    fn margins(&self, rows: &[&[f64]]) -> Result<Vec<f64>, LearnError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let x = matrix(&self.encoding, rows)?;
        let mut sums = vec![0.0; rows.len()];
        for part in &self.parts {
            let means = part.predict(&x).map_err(failed)?;
            sums.iter_mut().zip(means).for_each(|(sum, mean)| *sum += mean);
        }
        let n = self.parts.len() as f64;
        Ok(sums.into_iter().map(|sum| log_odds(sum / n)).collect())
    }

    fn seal(&self) -> Result<SealedScorer, LearnError> {
        SealedScorer::forest(&self.trees).map_err(failed)
    }

    fn form(&self) -> ScorerForm {
        ScorerForm::Averaged
    }

    fn notes(&self) -> Vec<String> {
        let nodes: usize = self.trees.iter().map(Vec::len).sum();
        let mut notes = dropped_note(&self.encoding);
        notes.push(format!("{} trees of {nodes} nodes", self.trees.len()));
        notes
    }
}

/// What smartcore's serde form holds, as far as it is needed.
#[derive(Deserialize)]
struct SerializedForest {
    forest_regressor: SerializedTrees,
}

#[derive(Deserialize)]
struct SerializedTrees {
    trees: Vec<SerializedTree>,
}

#[derive(Deserialize)]
struct SerializedTree {
    nodes: Vec<SerializedNode>,
}

#[derive(Deserialize)]
struct SerializedNode {
    output: f64,
    split_feature: usize,
    split_value: Option<f64>,
    true_child: Option<usize>,
    false_child: Option<usize>,
}

fn read_trees(forest: &Forest, columns: &[ColumnSpec]) -> Result<Vec<Vec<NodeSpec>>, LearnError> {
    // Through a value, not a text: numbers keep every bit.
    let value = serde_json::to_value(forest).map_err(failed)?;
    let forest: SerializedForest = serde_json::from_value(value).map_err(failed)?;
    forest.forest_regressor.trees.iter().map(|tree| renumber(&tree.nodes, columns)).collect()
}

/// Breadth first: siblings side by side, children after parents.
fn renumber(nodes: &[SerializedNode], columns: &[ColumnSpec]) -> Result<Vec<NodeSpec>, LearnError> {
    let absent = || failed("a serialised tree names a node or column that is not there");
    let mut order = vec![0];
    let mut sealed = Vec::with_capacity(nodes.len());
    while let Some(&at) = order.get(sealed.len()) {
        let node = nodes.get(at).ok_or_else(absent)?;
        sealed.push(match (node.true_child, node.false_child, node.split_value) {
            (Some(passed), Some(fails), Some(bound)) if order.len() <= nodes.len() => {
                let child = order.len();
                order.extend([passed, fails]);
                test(columns.get(node.split_feature).ok_or_else(absent)?, bound, child)
            }
            (None, ..) => NodeSpec::Leaf(node.output.clamp(0.0, 1.0)),
            _ => return Err(absent()),
        });
    }
    Ok(sealed)
}

/// The test `column <= bound` on the raw feature.
fn test(column: &ColumnSpec, bound: f64, child: usize) -> NodeSpec {
    let feature = column.feature;
    match column.transform {
        Transform::Value { fill } | Transform::SignedLog { fill } => {
            NodeSpec::AtMost { feature, bound, missing_passes: fill <= bound, child }
        }
        // The column is 1 where missing: `1 <= bound` fails, and every number passes.
        Transform::Missing => {
            NodeSpec::AtMost { feature, bound: f64::INFINITY, missing_passes: bound >= 1.0, child }
        }
        Transform::Equals { code } => NodeSpec::Differs { feature, code, child },
    }
}
