//! A section in parts: a directory of byte ranges behind the header, each part starting at a multiple of 8.
//!
//! Parts are named by their place in [`Part`]; a new part is a new name at the end.

use std::ops::Range;

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::TreesError;

/// The parts of a section of trees, in the order they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Counts, base and layout.
    Header,
    /// Features the trees test, ascending, u32.
    Features,
    /// What rows are binned by.
    Axes,
    /// Borders and codes of the axes, f64.
    Cuts,
    /// What each bin of each axis selects in the tables.
    Bins,
    /// Table rows.
    Rows,
    /// Trees of the clears, u16.
    ClearTrees,
    /// Words of the clears.
    ClearWords,
    /// Leaf values, f64.
    Leaves,
    /// Features of the slots of the reasons' table, u16.
    ReasonFeatures,
    /// The reasons' table, f32.
    ReasonValues,
    /// Where each tree stands among the nodes.
    Stems,
    /// Nodes.
    Nodes,
    /// What the reasons need of each node.
    Paths,
    /// Codes of the categorical tests, u32.
    Codes,
}

/// How many parts there are.
const N_PARTS: usize = Part::Codes as usize + 1;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Span {
    offset: U64,
    n_bytes: U64,
}

/// The parts of a section being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer {
    parts: [Vec<u8>; N_PARTS],
}

impl Writer {
    /// Sets `part`.
    pub(super) fn put<T: IntoBytes + Immutable>(&mut self, part: Part, content: &[T]) {
        self.parts[part as usize] = content.as_bytes().to_vec();
    }

    /// The section: directory, then parts.
    pub(super) fn finish(&self) -> Vec<u8> {
        let (mut spans, mut body) = (Vec::new(), Vec::new());
        for part in &self.parts {
            let offset = N_PARTS * size_of::<Span>() + body.len();
            spans.push(Span { offset: U64::new(offset as u64), n_bytes: U64::new(part.len() as u64) });
            body.extend_from_slice(part);
            body.resize(body.len().next_multiple_of(8), 0);
        }
        [spans.as_bytes(), &body].concat()
    }
}

/// Where the parts of a section stand.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    parts: [Range<usize>; N_PARTS],
}

impl Directory {
    /// Reads the directory of `section`; every part lies inside it.
    pub(super) fn open(section: &[u8]) -> Result<Self, TreesError> {
        let whole = TreesError::Section { part: "directory", n_bytes: section.len() };
        let (spans, _) = <[Span]>::ref_from_prefix_with_elems(section, N_PARTS).map_err(|_| whole.clone())?;
        let mut parts = [const { 0..0 }; N_PARTS];
        for (part, span) in parts.iter_mut().zip(spans) {
            let start = usize::try_from(span.offset.get()).map_err(|_| whole.clone())?;
            let n_bytes = usize::try_from(span.n_bytes.get()).map_err(|_| whole.clone())?;
            let end = start.checked_add(n_bytes).filter(|end| *end <= section.len()).ok_or(whole.clone())?;
            *part = start..end;
        }
        Ok(Self { parts })
    }

    /// The elements of `part`; none where its bytes are not whole elements, which [`Self::check`] excludes.
    pub(super) fn get<'a, T>(&self, section: &'a [u8], part: Part) -> &'a [T]
    where
        T: FromBytes + Immutable + KnownLayout + Unaligned,
    {
        let bytes = section.get(self.parts[part as usize].clone()).unwrap_or(&[]);
        <[T]>::ref_from_bytes(bytes).unwrap_or(&[])
    }

    /// Whether `part` holds `n` elements of type `T`.
    pub(super) fn check<T>(&self, part: Part, name: &'static str, n: usize) -> Result<(), TreesError> {
        let n_bytes = self.parts[part as usize].len();
        if n.checked_mul(size_of::<T>()) == Some(n_bytes) {
            return Ok(());
        }
        Err(TreesError::Section { part: name, n_bytes })
    }
}
