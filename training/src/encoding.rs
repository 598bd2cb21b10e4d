//! From features to the columns learners read: what is imputed, scaled, logged and split into codes, made explicit.
//!
//! Fitted on training rows only. The result is a list of [`ColumnSpec`]s, the very ones the sealed scorer applies, so
//! a feature is prepared by one piece of code in training and in serving. Columns that say nothing are dropped and
//! named.

use std::collections::BTreeMap;

use nextbest_models::propensity::linear::{ColumnSpec, Transform};

use crate::dataset::{ColumnKind, Dataset};

/// Quantities more skewed than this are taken by their signed logarithm alone in a linear model.
const SKEW_BOUND: f64 = 2.0;
/// Quantities of at least this many distinct values are taken by their signed logarithm as well: a linear model then has
/// a bend to offer.
const MIN_DISTINCT: usize = 10;
/// At most this many codes of a category get a column, the most frequent.
const MAX_CODES: usize = 20;
/// A code in fewer rows than this gets none.
const MIN_CODE_ROWS: usize = 10;

/// The columns of one training set.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoding {
    /// For linear models: imputed, logged where skewed, as they are and logged elsewhere, mean 0 and spread 1.
    pub linear: Vec<ColumnSpec>,
    /// For trees: imputed only; order is all they read.
    pub trees: Vec<ColumnSpec>,
    /// Feature names left out, with the reason.
    pub dropped: Vec<(String, &'static str)>,
}

impl Encoding {
    /// Learns medians, means, spreads and codes from `rows` of `dataset`.
    #[must_use]
    pub fn fit(dataset: &Dataset, rows: &[usize]) -> Self {
        let mut encoding = Self { linear: Vec::new(), trees: Vec::new(), dropped: Vec::new() };
        for (feature, column) in dataset.columns().iter().enumerate() {
            let values: Vec<f64> =
                rows.iter().map(|&row| dataset.row(row).get(feature).copied().unwrap_or(f64::NAN)).collect();
            let transforms = match column.kind {
                ColumnKind::Numeric => numeric(&values),
                ColumnKind::Code => codes(&values),
            };
            match transforms {
                Ok(transforms) => encoding.add(feature, &values, &transforms),
                Err(reason) => encoding.dropped.push((column.name.clone(), reason)),
            }
        }
        encoding
    }

    fn add(&mut self, feature: usize, values: &[f64], transforms: &[Transform]) {
        for &transform in transforms {
            let raw = ColumnSpec { feature: 0, transform, mean: 0.0, inverse_scale: 1.0 };
            let tree = match transform {
                Transform::SignedLog { fill } => Transform::Value { fill },
                other => other,
            };
            let tree = ColumnSpec { feature, transform: tree, mean: 0.0, inverse_scale: 1.0 };
            if self.trees.last() != Some(&tree) {
                self.trees.push(tree);
            }
            let n = values.len() as f64;
            let of = |value: &f64| raw.transformed(std::slice::from_ref(value));
            let mean = values.iter().map(of).sum::<f64>() / n;
            let variance = values.iter().map(|value| (of(value) - mean).powi(2)).sum::<f64>() / n;
            let inverse_scale = variance.sqrt().recip();
            if inverse_scale.is_finite() {
                self.linear.push(ColumnSpec { feature, transform, mean, inverse_scale });
            }
        }
    }

    /// The prepared columns of `row` for a linear model.
    pub fn linear_values<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        self.linear.iter().map(|column| column.value(row))
    }

    /// The columns of `row` for trees.
    pub fn tree_values<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        self.trees.iter().map(|column| column.transformed(row))
    }
}

fn numeric(values: &[f64]) -> Result<Vec<Transform>, &'static str> {
    let mut known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    if known.is_empty() {
        return Err("missing in every row");
    }
    known.sort_by(f64::total_cmp);
    let any_missing = known.len() < values.len();
    let (first, last) = (known[0], known[known.len() - 1]);
    // A spread that rounding alone explains is none.
    let constant = last - first <= 1e-12 * first.abs().max(last.abs());
    if constant && !any_missing {
        return Err("constant");
    }
    let mut transforms = Vec::new();
    if !constant {
        let fill = known[known.len() / 2];
        let skewed = skewness(&known).abs() > SKEW_BOUND;
        let n_distinct = 1 + known.windows(2).filter(|pair| pair[0] < pair[1]).count();
        if !skewed {
            transforms.push(Transform::Value { fill });
        }
        if skewed || n_distinct >= MIN_DISTINCT {
            transforms.push(Transform::SignedLog { fill });
        }
    }
    if any_missing {
        transforms.push(Transform::Missing);
    }
    Ok(transforms)
}

fn codes(values: &[f64]) -> Result<Vec<Transform>, &'static str> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    let known = values.iter().filter(|value| value.is_finite());
    // -0.0 and 0.0 are one code; adding 0.0 makes them one bit pattern too.
    known.for_each(|value| *counts.entry((value + 0.0).to_bits()).or_default() += 1);
    let n_known: usize = counts.values().sum();
    if n_known == 0 {
        return Err("missing in every row");
    }
    if counts.len() == 1 && n_known == values.len() {
        return Err("constant");
    }
    let mut frequent: Vec<(u64, usize)> = counts.into_iter().filter(|(_, n)| *n >= MIN_CODE_ROWS).collect();
    frequent.sort_by_key(|&(bits, n)| (std::cmp::Reverse(n), bits));
    // Of two codes one column says all there is to say.
    let keep = if frequent.len() == 2 && n_known == values.len() { 1 } else { MAX_CODES };
    frequent.truncate(keep);
    let mut transforms: Vec<Transform> =
        frequent.iter().map(|&(bits, _)| Transform::Equals { code: f64::from_bits(bits) }).collect();
    if n_known < values.len() {
        transforms.push(Transform::Missing);
    }
    if transforms.is_empty() { Err("every code is rare") } else { Ok(transforms) }
}

/// The third standardised moment; 0 without spread.
fn skewness(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let moment = |power: i32| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>() / n;
    let (second, third) = (moment(2), moment(3));
    if second > 0.0 { third / second.powf(1.5) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Column;
    use nextbest_models::customer::CustomerId;
    use nextbest_models::propensity::linear::signed_log;
    use nextbest_models::units::Timestamp;

    fn set(columns: Vec<Column>, rows: &[&[f64]]) -> Dataset {
        let mut set = Dataset::new(columns, vec![]).unwrap();
        for row in rows {
            set.push(CustomerId::new("c").unwrap(), Timestamp::from_millis(0).unwrap(), row, &[]).unwrap();
        }
        set
    }

    #[test]
    fn what_says_nothing_is_dropped_and_named() {
        let columns = ["same", "never", "gaps", "good"].map(Column::numeric).to_vec();
        let nan = f64::NAN;
        let data = set(columns, &[&[1.0, nan, 2.0, 1.0], &[1.0, nan, nan, 2.0], &[1.0, nan, 2.0, 4.0]]);
        let encoding = Encoding::fit(&data, &[0, 1, 2]);
        assert_eq!(encoding.dropped, [("same".into(), "constant"), ("never".into(), "missing in every row")]);
        let kinds: Vec<_> = encoding.linear.iter().map(|column| (column.feature, column.transform)).collect();
        assert_eq!(kinds, [(2, Transform::Missing), (3, Transform::Value { fill: 2.0 })]);
        let mean = (1.0 + 2.0 + 4.0) / 3.0;
        assert!((encoding.linear[1].mean - mean).abs() < 1e-15);
    }

    #[test]
    fn skewed_quantities_are_logged_for_the_linear_model_alone() {
        let values: Vec<f64> = (0..200).map(|k| (f64::from(k) / 20.0).exp()).collect();
        let logged: Vec<f64> = values.iter().map(|&value| signed_log(value)).collect();
        assert!(skewness(&values) > SKEW_BOUND && skewness(&logged).abs() < SKEW_BOUND);
        let rows: Vec<&[f64]> = values.iter().map(std::slice::from_ref).collect();
        let encoding = Encoding::fit(&set(vec![Column::numeric("x")], &rows), &(0..200).collect::<Vec<_>>());
        assert!(matches!(encoding.linear[0].transform, Transform::SignedLog { .. }));
        assert!(matches!(encoding.trees[0].transform, Transform::Value { .. }));
    }

    #[test]
    fn other_quantities_are_offered_both_ways() {
        let values: Vec<f64> = (0..30).map(f64::from).collect();
        let rows: Vec<&[f64]> = values.iter().map(std::slice::from_ref).collect();
        let encoding = Encoding::fit(&set(vec![Column::numeric("x")], &rows), &(0..30).collect::<Vec<_>>());
        let kinds: Vec<_> = encoding.linear.iter().map(|column| column.transform).collect();
        assert_eq!(kinds, [Transform::Value { fill: 15.0 }, Transform::SignedLog { fill: 15.0 }]);
        assert_eq!(encoding.trees.len(), 1, "order is all that trees read");
    }

    #[test]
    fn codes_become_columns_by_frequency() {
        let values: Vec<f64> = (0..60).map(|k| f64::from([1, 1, 1, 2, 2, 3][k % 6])).collect();
        assert_eq!(codes(&values).unwrap(), [1.0, 2.0, 3.0].map(|code| Transform::Equals { code }).to_vec());
        let two: Vec<f64> = (0..60).map(|k| f64::from(u8::from(k % 3 == 0))).collect();
        assert_eq!(codes(&two).unwrap(), [Transform::Equals { code: 0.0 }]);
        assert_eq!(codes(&[4.0; 30]), Err("constant"));
    }
}
