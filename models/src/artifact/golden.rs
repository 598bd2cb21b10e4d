//! Golden rows: features with the score the learner itself gave them, sealed beside each model.
//!
//! They prove on any machine, at any later time, that the artifact still scores as the learner did.

use std::ops::Range;

use zerocopy::little_endian::{F64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::propensity::Bytes;

/// Largest difference between an expected and a computed score.
pub const GOLDEN_TOLERANCE: f64 = 1e-6;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Counts {
    n_rows: U32,
    n_features: U32,
}

/// Golden rows inside an artifact.
#[derive(Clone, Debug)]
pub(super) struct Golden {
    bytes: Bytes,
    range: Range<usize>,
}

/// The sealed form: counts, then per row its features and its expected score.
#[must_use]
pub(super) fn seal(n_features: usize, rows: &[(Vec<f64>, f64)]) -> Vec<u8> {
    let narrow = |number: usize| U32::new(u32::try_from(number).unwrap_or(u32::MAX));
    let mut bytes = Counts { n_rows: narrow(rows.len()), n_features: narrow(n_features) }.as_bytes().to_vec();
    for (row, expected) in rows {
        for at in 0..n_features {
            bytes.extend_from_slice(F64::new(row.get(at).copied().unwrap_or(f64::NAN)).as_bytes());
        }
        bytes.extend_from_slice(F64::new(*expected).as_bytes());
    }
    bytes
}

impl Golden {
    /// Checks counts and length; the error is a sentence.
    pub(super) fn open(bytes: Bytes, range: Range<usize>, n_features: usize) -> Result<Self, String> {
        let golden = Self { bytes, range };
        let slice = golden.slice();
        let Ok((counts, rest)) = Counts::ref_from_prefix(slice) else {
            return Err(format!("{} bytes are no golden rows", slice.len()));
        };
        let (n_rows, width) = (counts.n_rows.get() as usize, counts.n_features.get() as usize);
        if width != n_features || n_rows.checked_mul(8 * (width + 1)) != Some(rest.len()) {
            return Err(format!(
                "{} bytes are not {n_rows} golden rows of {n_features} features",
                rest.len()
            ));
        }
        Ok(golden)
    }

    fn slice(&self) -> &[u8] {
        self.bytes.get(self.range.clone()).unwrap_or(&[])
    }

    /// The rows with their expected scores.
    pub(super) fn rows(&self) -> Vec<(Vec<f64>, f64)> {
        let Ok((counts, rest)) = Counts::ref_from_prefix(self.slice()) else { return Vec::new() };
        let numbers = <[F64]>::ref_from_bytes(rest).unwrap_or(&[]);
        let chunks = numbers.chunks_exact(counts.n_features.get() as usize + 1);
        let row = |chunk: &[F64]| -> Option<(Vec<f64>, f64)> {
            let (expected, features) = chunk.split_last()?;
            Some((features.iter().map(|number| number.get()).collect(), expected.get()))
        };
        chunks.filter_map(row).collect()
    }
}
