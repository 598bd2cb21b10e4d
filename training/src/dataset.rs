//! A training set: one row of features per customer and cut-off, with the outcomes that followed.
//!
//! Filled by the cut-off replay or from a table, read by learners and metrics. Features are finite numbers or NaN
//! (missing); labels may be absent, where a customer is outside a label's population or its horizon has not run out.
//! Nothing here knows how features are made, and nothing is imputed or scaled: that belongs to the learners.

use nextbest_models::customer::CustomerId;
use nextbest_models::units::Timestamp;

/// What the numbers of a column mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColumnKind {
    /// A quantity: order and distance mean something.
    #[default]
    Numeric,
    /// A code of a category: only equality means something.
    Code,
}

/// One feature column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The feature's name, unique in the set.
    pub name: String,
    /// Quantity or code.
    pub kind: ColumnKind,
}

impl Column {
    /// A column of quantities.
    pub fn numeric(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: ColumnKind::Numeric }
    }

    /// A column of category codes.
    pub fn code(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: ColumnKind::Code }
    }
}

/// Why rows do not make a [`Dataset`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatasetError {
    /// No feature columns.
    #[error("a training set needs at least one feature column")]
    NoColumns,
    /// Two columns of one name.
    #[error("the column {0:?} stands twice")]
    DuplicateColumn(String),
    /// A row of the wrong width.
    #[error("row {row} has {found} features, the set has {expected} columns")]
    Width {
        /// Row number, from 0.
        row: usize,
        /// Features in it.
        found: usize,
        /// Columns of the set.
        expected: usize,
    },
    /// A row with the wrong number of labels.
    #[error("row {row} has {found} labels, the set has {expected}")]
    Labels {
        /// Row number, from 0.
        row: usize,
        /// Labels in it.
        found: usize,
        /// Labels of the set.
        expected: usize,
    },
    /// An infinite feature; missing is NaN.
    #[error("row {row}: {column} is infinite; a feature is a finite number, or NaN where it is missing")]
    Infinite {
        /// Row number, from 0.
        row: usize,
        /// Name of the column.
        column: String,
    },
    /// A weight that is no weight.
    #[error("row {row}: the weight {weight} is not a finite number >= 0")]
    Weight {
        /// Row number, from 0.
        row: usize,
        /// The weight, as text.
        weight: String,
    },
    /// Sets of different columns or labels cannot be joined.
    #[error("the two sets differ in their columns or labels")]
    Incompatible,
    /// A label nobody defined.
    #[error("no label is named {0:?}; there are {1:?}")]
    UnknownLabel(String, Vec<String>),
}

/// Rows of features with their outcomes. All per-row vectors have the same length.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    columns: Vec<Column>,
    label_names: Vec<String>,
    values: Vec<f64>,
    labels: Vec<Vec<Option<bool>>>,
    weights: Option<Vec<f64>>,
    cutoffs: Vec<Timestamp>,
    customers: Vec<CustomerId>,
}

/// The rows that carry one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// Row numbers in the set, ascending.
    pub rows: Vec<usize>,
    /// The outcome of each of `rows`.
    pub outcomes: Vec<bool>,
}

impl Dataset {
    /// An empty set with these feature columns and named labels (`["churn", "conversion"]`).
    pub fn new(columns: Vec<Column>, label_names: Vec<String>) -> Result<Self, DatasetError> {
        if columns.is_empty() {
            return Err(DatasetError::NoColumns);
        }
        let mut names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(DatasetError::DuplicateColumn(pair[0].to_owned()));
        }
        let labels = vec![Vec::new(); label_names.len()];
        let (values, cutoffs, customers) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { columns, label_names, values, labels, weights: None, cutoffs, customers })
    }

    /// Adds a row: the features of `customer` as known at `cutoff`, and one outcome per label (`None`: not in its
    /// population, or not yet known). The set is unchanged on error.
    pub fn push(
        &mut self,
        customer: CustomerId,
        cutoff: Timestamp,
        features: &[f64],
        labels: &[Option<bool>],
    ) -> Result<(), DatasetError> {
        let row = self.n_rows();
        if features.len() != self.columns.len() {
            return Err(DatasetError::Width { row, found: features.len(), expected: self.columns.len() });
        }
        if labels.len() != self.label_names.len() {
            return Err(DatasetError::Labels { row, found: labels.len(), expected: self.label_names.len() });
        }
        if let Some(at) = features.iter().position(|value| value.is_infinite()) {
            return Err(DatasetError::Infinite { row, column: self.columns[at].name.clone() });
        }
        self.values.extend_from_slice(features);
        self.labels.iter_mut().zip(labels).for_each(|(column, &label)| column.push(label));
        if let Some(weights) = &mut self.weights {
            weights.push(1.0);
        }
        self.cutoffs.push(cutoff);
        self.customers.push(customer);
        Ok(())
    }

    /// Makes room for `n_rows` more rows, so that a known number of them is not copied while they come in.
    pub fn reserve(&mut self, n_rows: usize) {
        self.values.reserve_exact(n_rows.saturating_mul(self.columns.len()));
        self.labels.iter_mut().for_each(|label| label.reserve_exact(n_rows));
        self.cutoffs.reserve_exact(n_rows);
        self.customers.reserve_exact(n_rows);
    }

    /// Keeps the columns for which `keep` is true, one per column, in place.
    pub fn keep_columns(&mut self, keep: &[bool]) -> Result<(), DatasetError> {
        let width = self.columns.len();
        if keep.len() != width {
            return Err(DatasetError::Width { row: 0, found: keep.len(), expected: width });
        }
        let kept: Vec<usize> = (0..width).filter(|&column| keep[column]).collect();
        if kept.is_empty() {
            return Err(DatasetError::NoColumns);
        }
        // A kept number only ever moves forward, to a place already read.
        for row in 0..self.n_rows() {
            for (to, &from) in kept.iter().enumerate() {
                self.values[row * kept.len() + to] = self.values[row * width + from];
            }
        }
        self.values.truncate(self.n_rows() * kept.len());
        self.columns = kept.iter().map(|&column| self.columns[column].clone()).collect();
        Ok(())
    }

    /// Appends the rows of `other`, which has the same columns and labels: how buckets computed apart come together.
    pub fn append(&mut self, other: Self) -> Result<(), DatasetError> {
        if self.columns != other.columns || self.label_names != other.label_names {
            return Err(DatasetError::Incompatible);
        }
        if self.weights.is_some() || other.weights.is_some() {
            let ones = |n| vec![1.0; n];
            let (mine, theirs) = (self.n_rows(), other.n_rows());
            let mut weights = self.weights.take().unwrap_or_else(|| ones(mine));
            weights.extend(other.weights.unwrap_or_else(|| ones(theirs)));
            self.weights = Some(weights);
        }
        self.values.extend(other.values);
        self.labels.iter_mut().zip(other.labels).for_each(|(mine, theirs)| mine.extend(theirs));
        self.cutoffs.extend(other.cutoffs);
        self.customers.extend(other.customers);
        Ok(())
    }

    /// Sets one weight (>= 0) per row; without, every row weighs 1.
    pub fn set_weights(&mut self, weights: Vec<f64>) -> Result<(), DatasetError> {
        if weights.len() != self.n_rows() {
            let (row, found) = (self.n_rows().min(weights.len()), weights.len());
            return Err(DatasetError::Width { row, found, expected: self.n_rows() });
        }
        if let Some(row) = weights.iter().position(|weight| !weight.is_finite() || *weight < 0.0) {
            return Err(DatasetError::Weight { row, weight: weights[row].to_string() });
        }
        self.weights = Some(weights);
        Ok(())
    }

    /// The number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.customers.len()
    }

    /// The feature columns, in the order of every row.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The labels' names, in the order given to [`Self::new`].
    #[must_use]
    pub fn label_names(&self) -> &[String] {
        &self.label_names
    }

    /// The features of row `row`, one per column; empty past the end.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f64] {
        let width = self.columns.len();
        self.values.get(row * width..(row + 1) * width).unwrap_or(&[])
    }

    /// The moment each row's features were known at.
    #[must_use]
    pub fn cutoffs(&self) -> &[Timestamp] {
        &self.cutoffs
    }

    /// Whose row each is.
    #[must_use]
    pub fn customers(&self) -> &[CustomerId] {
        &self.customers
    }

    /// The weights, where any were set.
    #[must_use]
    pub fn weights(&self) -> Option<&[f64]> {
        self.weights.as_deref()
    }

    /// The rows that carry label `name`, with their outcomes.
    pub fn labelled(&self, name: &str) -> Result<Labelled, DatasetError> {
        let at = self
            .label_names
            .iter()
            .position(|label| label == name)
            .ok_or_else(|| DatasetError::UnknownLabel(name.to_owned(), self.label_names.clone()))?;
        let pairs = self.labels[at].iter().enumerate();
        let (rows, outcomes) = pairs.filter_map(|(row, label)| Some((row, (*label)?))).unzip();
        Ok(Labelled { rows, outcomes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Dataset {
        Dataset::new(vec![Column::numeric("a"), Column::code("b")], vec!["churn".into()]).unwrap()
    }

    fn push(set: &mut Dataset, features: &[f64], labels: &[Option<bool>]) -> Result<(), DatasetError> {
        let cutoff = Timestamp::from_millis(0).unwrap();
        set.push(CustomerId::new("c").unwrap(), cutoff, features, labels)
    }

    #[test]
    fn a_row_that_does_not_fit_changes_nothing() {
        let mut set = empty();
        assert_eq!(
            push(&mut set, &[1.0], &[None]),
            Err(DatasetError::Width { row: 0, found: 1, expected: 2 })
        );
        assert_eq!(
            push(&mut set, &[1.0, 2.0], &[]),
            Err(DatasetError::Labels { row: 0, found: 0, expected: 1 })
        );
        assert!(matches!(
            push(&mut set, &[1.0, f64::INFINITY], &[None]),
            Err(DatasetError::Infinite { row: 0, column }) if column == "b"
        ));
        assert_eq!(set, empty());
    }

    #[test]
    fn labels_absent_are_left_out() {
        let mut set = empty();
        push(&mut set, &[1.0, f64::NAN], &[None]).unwrap();
        push(&mut set, &[2.0, 0.0], &[Some(true)]).unwrap();
        let mut other = empty();
        push(&mut other, &[3.0, 0.0], &[Some(false)]).unwrap();
        set.append(other).unwrap();
        let churn = set.labelled("churn").unwrap();
        assert_eq!((churn.rows, churn.outcomes), (vec![1, 2], vec![true, false]));
        assert!(matches!(set.labelled("chrun"), Err(DatasetError::UnknownLabel(..))));
        assert_eq!(set.row(2), [3.0, 0.0]);
    }

    #[test]
    fn columns_are_dropped_in_place() {
        let mut set = empty();
        set.reserve(2);
        push(&mut set, &[1.0, 2.0], &[None]).unwrap();
        push(&mut set, &[3.0, 4.0], &[Some(true)]).unwrap();
        assert_eq!(set.keep_columns(&[false, false]), Err(DatasetError::NoColumns));
        assert!(matches!(set.keep_columns(&[true]), Err(DatasetError::Width { found: 1, .. })));
        set.keep_columns(&[false, true]).unwrap();
        assert_eq!((set.row(0), set.row(1), set.row(2)), ([2.0].as_slice(), [4.0].as_slice(), [].as_slice()));
        assert_eq!(set.columns(), [Column::code("b")]);
    }

    #[test]
    fn columns_are_unique() {
        let twice = vec![Column::numeric("a"), Column::numeric("a")];
        assert_eq!(Dataset::new(twice, vec![]), Err(DatasetError::DuplicateColumn("a".into())));
    }
}
