//! The linear scorer: features become columns of mean 0 and spread 1, columns get coefficients, the sum is log-odds.
//!
//! The columns stand in the artifact as they are read (40 bytes each), with everything that preparing a feature
//! needs, so training and serving prepare by the same code: [`ColumnSpec::value`]. Nothing here fits anything.

use std::ops::Range;

use zerocopy::little_endian::{F64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::explain::Explained;
use super::{Bytes, Rows};

/// Prepared columns are held within this many standard deviations, so a wild value cannot rule a score alone.
pub const COLUMN_BOUND: f64 = 8.0;
/// Largest magnitude of the sum of all coefficients' magnitudes, plus the intercept.
const MARGIN_BOUND: f64 = 1e5;

/// How a feature becomes a column, before centring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transform {
    /// The number; `fill` (the training median) where it is missing.
    Value {
        /// Stands in for a missing number.
        fill: f64,
    },
    /// `sign(x) * ln(1 + |x|)`, for skewed quantities; `fill` where it is missing.
    SignedLog {
        /// Stands in for a missing number, before the logarithm.
        fill: f64,
    },
    /// 1 where the feature is missing, else 0.
    Missing,
    /// 1 where the feature is this category code, else 0.
    Equals {
        /// The code.
        code: f64,
    },
}

/// One column of the prepared row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColumnSpec {
    /// Which feature it is made of.
    pub feature: usize,
    /// How.
    pub transform: Transform,
    /// Mean of the transformed feature over the training rows.
    pub mean: f64,
    /// One over its standard deviation there; positive.
    pub inverse_scale: f64,
}

impl ColumnSpec {
    /// The transformed, not yet centred number of `row` (features; NaN or infinite is missing).
    #[must_use]
    pub fn transformed(&self, row: &[f64]) -> f64 {
        let x = row.get(self.feature).copied().filter(|x| x.is_finite());
        match self.transform {
            Transform::Value { fill } => x.unwrap_or(fill),
            Transform::SignedLog { fill } => signed_log(x.unwrap_or(fill)),
            Transform::Missing => f64::from(u8::from(x.is_none())),
            Transform::Equals { code } => f64::from(u8::from(x == Some(code))),
        }
    }

    /// The prepared number: centred, scaled, held within [`COLUMN_BOUND`].
    #[must_use]
    pub fn value(&self, row: &[f64]) -> f64 {
        ((self.transformed(row) - self.mean) * self.inverse_scale).clamp(-COLUMN_BOUND, COLUMN_BOUND)
    }
}

/// `sign(x) * ln(1 + |x|)`.
#[must_use]
pub fn signed_log(x: f64) -> f64 {
    x.signum() * x.abs().ln_1p()
}

/// A column as sealed.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Column {
    feature: U32,
    transform: U32,
    parameter: F64,
    mean: F64,
    inverse_scale: F64,
    coefficient: F64,
}

impl Column {
    fn pack(spec: &ColumnSpec, coefficient: f64) -> Self {
        let (transform, parameter) = match spec.transform {
            Transform::Value { fill } => (0, fill),
            Transform::SignedLog { fill } => (1, fill),
            Transform::Missing => (2, 0.0),
            Transform::Equals { code } => (3, code),
        };
        Self {
            feature: U32::new(u32::try_from(spec.feature).unwrap_or(u32::MAX)),
            transform: U32::new(transform),
            parameter: F64::new(parameter),
            mean: F64::new(spec.mean),
            inverse_scale: F64::new(spec.inverse_scale),
            coefficient: F64::new(coefficient),
        }
    }

    fn spec(&self) -> ColumnSpec {
        let parameter = self.parameter.get();
        let transform = match self.transform.get() {
            0 => Transform::Value { fill: parameter },
            1 => Transform::SignedLog { fill: parameter },
            2 => Transform::Missing,
            _ => Transform::Equals { code: parameter },
        };
        let (mean, inverse_scale) = (self.mean.get(), self.inverse_scale.get());
        ColumnSpec { feature: self.feature.get() as usize, transform, mean, inverse_scale }
    }
}

/// Why bytes are no linear model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LinearError {
    /// Not the intercept and a whole number of columns.
    #[error("{0} bytes are not an intercept and whole columns")]
    Length(usize),
    /// A column of a feature that is not there.
    #[error("column {column} reads feature {feature}, there are {n_features}")]
    Feature {
        /// Which column, from 0.
        column: usize,
        /// The feature it names.
        feature: usize,
        /// How many there are.
        n_features: usize,
    },
    /// A transform this version does not know.
    #[error("column {column} has the unknown transform {transform}")]
    Transform {
        /// Which column, from 0.
        column: usize,
        /// Its transform.
        transform: u32,
    },
    /// A number that is not finite or beyond its bound.
    #[error("column {0} (the intercept comes first) holds a number that is not finite or beyond its bound")]
    Number(usize),
    /// Features of one column are not together.
    #[error("column {0} stands apart from the other columns of its feature")]
    Order(usize),
}

/// A linear model inside an artifact.
#[derive(Clone, Debug)]
pub struct LinearModel {
    bytes: Bytes,
    range: Range<usize>,
}

/// The sealed form of a linear model: intercept, then columns in the order of their features.
#[must_use]
pub fn seal(intercept: f64, columns: &[(ColumnSpec, f64)]) -> Vec<u8> {
    let mut bytes = F64::new(intercept).as_bytes().to_vec();
    columns.iter().for_each(|(spec, coefficient)| {
        bytes.extend_from_slice(Column::pack(spec, *coefficient).as_bytes());
    });
    bytes
}

impl LinearModel {
    pub(crate) fn open(bytes: &Bytes, range: Range<usize>, n_features: usize) -> Result<Self, LinearError> {
        let slice = bytes.get(range.clone()).unwrap_or(&[]);
        let (Ok((intercept, _)), true) =
            (F64::ref_from_prefix(slice), slice.len() % size_of::<Column>() == 8)
        else {
            return Err(LinearError::Length(slice.len()));
        };
        let mut total = intercept.get().abs();
        let model = Self { bytes: bytes.clone(), range };
        let mut last = 0;
        for (at, column) in model.columns().iter().enumerate() {
            let (feature, transform) = (column.feature.get() as usize, column.transform.get());
            if feature >= n_features {
                return Err(LinearError::Feature { column: at, feature, n_features });
            }
            if transform > 3 {
                return Err(LinearError::Transform { column: at, transform });
            }
            if feature < last {
                return Err(LinearError::Order(at));
            }
            last = feature;
            let numbers = [column.parameter, column.mean, column.inverse_scale, column.coefficient];
            let scale = column.inverse_scale.get();
            if numbers.iter().any(|number| !number.get().is_finite()) || scale <= 0.0 {
                return Err(LinearError::Number(at + 1));
            }
            total += column.coefficient.get().abs();
        }
        // NaN is no number below the bound either.
        if total.is_finite() && total <= MARGIN_BOUND { Ok(model) } else { Err(LinearError::Number(0)) }
    }

    fn slice(&self) -> &[u8] {
        self.bytes.get(self.range.clone()).unwrap_or(&[])
    }

    fn intercept(&self) -> f64 {
        F64::ref_from_prefix(self.slice()).map_or(0.0, |(intercept, _)| intercept.get())
    }

    fn columns(&self) -> &[Column] {
        let columns = self.slice().get(8..).unwrap_or(&[]);
        <[Column]>::ref_from_bytes(columns).unwrap_or(&[])
    }

    /// The log-odds of `row` (features in the artifact's order; missing is NaN).
    #[must_use]
    pub fn margin(&self, row: &[f64]) -> f64 {
        let terms = self.columns().iter().map(|column| column.coefficient.get() * column.spec().value(row));
        self.intercept() + terms.sum::<f64>()
    }

    /// Sets `margins` to the log-odds of the rows, bit for bit what [`Self::margin`] gives for each.
    pub fn margins(&self, rows: Rows<'_>, margins: &mut [f64]) {
        margins.iter_mut().enumerate().for_each(|(at, margin)| *margin = self.margin(rows.row(at)));
    }

    /// The log-odds of `row`, bit for bit those of [`Self::margin`], and their baseline: the log-odds of a row at the
    /// training means. Adds `weight` times what each feature adds to the log-odds to its place in `contributions`.
    pub fn explain(&self, row: &[f64], weight: f64, contributions: &mut [f64]) -> Explained {
        let term = |column: &Column| {
            let spec = column.spec();
            let term = column.coefficient.get() * spec.value(row);
            if let Some(contribution) = contributions.get_mut(spec.feature) {
                *contribution += weight * term;
            }
            term
        };
        let terms = self.columns().iter().map(term);
        Explained { margin: self.intercept() + terms.sum::<f64>(), baseline: self.intercept() }
    }

    /// The features of its columns, ascending.
    pub fn features(&self) -> impl Iterator<Item = usize> {
        let mut last = None;
        let features = self.columns().iter().map(|column| column.feature.get() as usize);
        features.filter(move |feature| last.replace(*feature) != Some(*feature))
    }

    /// The number of columns.
    #[must_use]
    pub fn n_columns(&self) -> usize {
        self.columns().len()
    }
}
