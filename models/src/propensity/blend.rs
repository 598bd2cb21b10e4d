//! The blend: log-odds as a weighted sum of the log-odds of other models.
//!
//! Its members are sections of their own, linear or trees; the blend holds their numbers and weights. Reasons are added
//! up the same way, so they stay exact.

use zerocopy::little_endian::{F64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::explain::Explained;
use super::trees::Scratch;
use super::{LinearModel, Rows, TreesModel};

/// Largest magnitude of the intercept and of a weight.
const WEIGHT_BOUND: f64 = 1e3;
/// Most members.
pub const MAX_MEMBERS: usize = 64;

/// A member as sealed.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Entry {
    weight: F64,
    section: U32,
    zero: U32,
}

/// Why members are no blend, or bytes are none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BlendError {
    /// No member, or too many.
    #[error("{0} members; at least one and at most {MAX_MEMBERS}")]
    Members(usize),
    /// A weight, or the intercept, that is not finite or beyond its bound.
    #[error("weight {0} is not within {WEIGHT_BOUND} of 0")]
    Weight(f64),
    /// A member that is neither linear nor trees.
    #[error("member {0} is neither linear nor trees")]
    Kind(usize),
    /// Not the intercept and a whole number of members.
    #[error("{0} bytes are not an intercept and whole members")]
    Length(usize),
}

/// A model that a blend may weigh.
#[derive(Clone, Debug)]
pub enum Member {
    /// Coefficients.
    Linear(LinearModel),
    /// Additive trees.
    Trees(TreesModel),
}

impl Member {
    fn margin(&self, row: &[f64]) -> f64 {
        match self {
            Self::Linear(model) => model.margin(row),
            Self::Trees(model) => model.margin(row),
        }
    }

    /// The features it uses.
    pub(super) fn features(&self) -> Vec<usize> {
        match self {
            Self::Linear(model) => model.features().collect(),
            Self::Trees(model) => model.features().collect(),
        }
    }
}

/// A weighted sum of other models' log-odds.
#[derive(Clone, Debug)]
pub struct BlendModel {
    intercept: f64,
    members: Vec<(f64, Member)>,
}

/// Whether `intercept` and the members, each with its weight and whether it is linear or trees, make a blend.
pub(crate) fn check(intercept: f64, members: &[(f64, bool)]) -> Result<(), BlendError> {
    if members.is_empty() || members.len() > MAX_MEMBERS {
        return Err(BlendError::Members(members.len()));
    }
    let numbers = members.iter().map(|(weight, _)| *weight).chain([intercept]);
    if let Some(number) = numbers.into_iter().find(|number| !(-WEIGHT_BOUND..=WEIGHT_BOUND).contains(number))
    {
        return Err(BlendError::Weight(number));
    }
    members.iter().position(|(_, is_member)| !is_member).map_or(Ok(()), |at| Err(BlendError::Kind(at)))
}

/// The sealed form: the intercept, then each member's weight and section.
pub(crate) fn seal(intercept: f64, members: &[(f64, u32)]) -> Vec<u8> {
    let mut bytes = F64::new(intercept).as_bytes().to_vec();
    for &(weight, section) in members {
        let (weight, section) = (F64::new(weight), U32::new(section));
        bytes.extend_from_slice(Entry { weight, section, zero: U32::new(0) }.as_bytes());
    }
    bytes
}

impl BlendModel {
    /// Reads `section`; `open` opens the member in the section of that number, or says that it is none.
    pub(crate) fn open<E: From<BlendError>>(
        section: &[u8],
        mut open: impl FnMut(u32) -> Result<Option<Member>, E>,
    ) -> Result<Self, E> {
        let fault = || BlendError::Length(section.len());
        let (intercept, entries) = F64::ref_from_prefix(section).map_err(|_| fault())?;
        let entries = <[Entry]>::ref_from_bytes(entries).map_err(|_| fault())?;
        let weights: Vec<(f64, bool)> = entries.iter().map(|entry| (entry.weight.get(), true)).collect();
        check(intercept.get(), &weights)?;
        let members = entries.iter().enumerate().map(|(at, entry)| {
            let member = open(entry.section.get())?.ok_or(BlendError::Kind(at))?;
            Ok((entry.weight.get(), member))
        });
        Ok(Self { intercept: intercept.get(), members: members.collect::<Result<_, E>>()? })
    }

    /// The log-odds of `row` (features in the artifact's order; missing is NaN).
    #[must_use]
    pub fn margin(&self, row: &[f64]) -> f64 {
        self.members.iter().fold(self.intercept, |sum, (weight, member)| sum + weight * member.margin(row))
    }

    /// Sets `margins` to the log-odds of the rows, bit for bit what [`Self::margin`] gives for each.
    pub fn margins(&self, rows: Rows<'_>, margins: &mut [f64]) {
        const TOGETHER: usize = 256;
        for (run, margins) in margins.chunks_mut(TOGETHER).enumerate() {
            let rows = rows.from(run * TOGETHER);
            let mut own = [0.0; TOGETHER];
            margins.fill(self.intercept);
            for (weight, member) in &self.members {
                let own = &mut own[..margins.len()];
                match member {
                    Member::Linear(model) => model.margins(rows, own),
                    Member::Trees(model) => model.margins(rows, own),
                }
                margins.iter_mut().zip(own).for_each(|(margin, own)| *margin += weight * *own);
            }
        }
    }

    /// [`Self::margins`] of rows whose first `n_same` features are those of the first.
    pub(super) fn margins_alike(&self, rows: Rows<'_>, n_same: usize, margins: &mut [f64]) {
        margins.fill(self.intercept);
        let mut own = vec![0.0; margins.len()];
        for (weight, member) in &self.members {
            match member {
                Member::Linear(model) => model.margins(rows, &mut own),
                Member::Trees(model) => model.margins_alike(rows, n_same, &mut own),
            }
            margins.iter_mut().zip(&own).for_each(|(margin, own)| *margin += weight * own);
        }
    }

    /// The log-odds of `row`, bit for bit those of [`Self::margin`], and their baseline: the members' own, weighed. Adds
    /// what each feature adds to the log-odds to its place in `contributions`.
    pub fn explain(&self, row: &[f64], contributions: &mut [f64], scratch: &mut Scratch) -> Explained {
        let start = Explained { margin: self.intercept, baseline: self.intercept };
        self.members.iter().fold(start, |sum, (weight, member)| {
            let own = match member {
                Member::Linear(model) => model.explain(row, *weight, contributions),
                Member::Trees(model) => model.explain(row, *weight, contributions, scratch),
            };
            Explained {
                margin: sum.margin + weight * own.margin,
                baseline: sum.baseline + weight * own.baseline,
            }
        })
    }

    /// Weights and members.
    #[must_use]
    pub fn members(&self) -> &[(f64, Member)] {
        &self.members
    }
}
