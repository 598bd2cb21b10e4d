//! Additive trees: log-odds that sum over the leaves a row ends in, with the exact reasons of every score.
//!
//! Learners hand over [`Tree`]s of plain nodes; [`seal`] checks them and picks the quickest of three layouts.
//! *Symmetric* and *mask* trees are not walked at all: each feature's value is binned once and selects a row of words,
//! one for every tree, whose AND names the leaves. Larger trees are *walked*, sixteen in step. Everything is computed
//! when sealed and checked when opened, so scoring cannot fail and allocates nothing. Nothing here fits.

use std::ops::Range;
use std::sync::Arc;

use zerocopy::little_endian::{F32, F64, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::explain::Explained;
use super::{Bytes, Rows};
use axes::{Axes, Axis};
use batch::Batch;
use nodes::{Grove, Node, Stem};
use parts::{Directory, Part, Writer};
use shapley::{Path, Paths};
use symmetric::N_SUMS;
use tables::{BLOCK, Bin, LANES, Tables, Word};

mod axes;
mod batch;
mod build;
mod check;
mod masks;
mod node;
mod nodes;
mod parts;
mod quadrature;
mod shapley;
mod symmetric;
mod tables;

pub use node::{Tree, TreeNode, TreesError};
pub use shapley::Scratch;

/// Features that a test may name.
pub const MAX_FEATURES: usize = 1 << 16;
/// Largest category code that a test may name.
pub const MAX_CODE: u32 = (1 << 20) - 1;
/// Most nodes of all trees together.
pub const MAX_NODES: usize = 1 << 26;
/// Largest magnitude of the base and of a leaf, in log-odds.
pub const MARGIN_BOUND: f64 = 1e6;

/// How trees are laid out, the quickest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Layout {
    Symmetric = 1,
    Masks16 = 2,
    Masks32 = 3,
    Masks64 = 4,
    Walker = 5,
}

impl Layout {
    const ALL: [Self; 5] = [Self::Symmetric, Self::Masks16, Self::Masks32, Self::Masks64, Self::Walker];

    /// Whether trees of so many leaves, explained by so many features, can be laid out so.
    const fn holds(self, n_slots: usize, n_reasons: usize) -> bool {
        match self {
            Self::Symmetric => n_slots.is_power_of_two() && n_slots <= 256 && n_reasons <= 8,
            Self::Masks16 => n_slots == 16 && n_reasons == 0,
            Self::Masks32 => n_slots == 32 && n_reasons == 0,
            Self::Masks64 => n_slots == 64 && n_reasons == 0,
            Self::Walker => n_slots == 0 && n_reasons == 0,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Symmetric => "symmetric",
            Self::Masks16 => "mask_rows_16",
            Self::Masks32 => "mask_rows_32",
            Self::Masks64 => "mask_rows_64",
            Self::Walker => "walker",
        }
    }
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    layout: U32,
    n_trees: U32,
    n_nodes: U32,
    /// Leaves of a tree in the table of leaves.
    n_slots: U32,
    /// Features of a tree in the table of reasons.
    n_reasons: U32,
    zero: U32,
    base: F64,
    /// The margin's mean over the training rows, by the trees' covers.
    baseline: F64,
}

/// The sealed form of `base` (log-odds) and `trees`.
///
/// All nodes of a level asking the same, and at most eight levels, makes a tree symmetric; up to 64 leaves fit mask
/// rows; all others, and those whose tables would take more than 8 MiB, are walked.
pub fn seal(base: f64, trees: &[Tree]) -> Result<Vec<u8>, TreesError> {
    let sound = check::check(base, trees)?;
    let axes = Axes::of(&sound);
    let paths: Vec<Paths> = sound.iter().map(Paths::of).collect();
    let mut writer = Writer::default();
    let (layout, n_slots, n_reasons) =
        if let Some((n_slots, n_reasons)) = symmetric::write(&sound, &paths, &axes, &mut writer) {
            (Layout::Symmetric, n_slots, n_reasons)
        } else {
            nodes::write(&sound, &paths, &mut writer);
            match masks::write(&sound, &axes, &mut writer) {
                Some(16) => (Layout::Masks16, 16, 0),
                Some(32) => (Layout::Masks32, 32, 0),
                Some(n_slots) => (Layout::Masks64, n_slots, 0),
                None => (Layout::Walker, 0, 0),
            }
        };
    writer.put(Part::Features, &axes.features());
    if layout == Layout::Walker {
        writer.put::<F64>(Part::Leaves, &[]);
    } else {
        writer.put(Part::Axes, &axes.axes);
        writer.put(Part::Cuts, &axes.cuts);
    }
    let narrow = |number: usize| U32::new(u32::try_from(number).unwrap_or(u32::MAX));
    let header = Header {
        layout: U32::new(layout as u32),
        n_trees: narrow(trees.len()),
        n_nodes: narrow(trees.iter().map(Vec::len).sum()),
        n_slots: narrow(n_slots),
        n_reasons: narrow(n_reasons),
        zero: U32::new(0),
        base: F64::new(base),
        baseline: F64::new(base + paths.iter().map(|paths| paths.mean).sum::<f64>()),
    };
    writer.put(Part::Header, &[header]);
    Ok(writer.finish())
}

/// Additive trees inside an artifact.
#[derive(Clone, Debug)]
pub struct TreesModel {
    bytes: Bytes,
    range: Range<usize>,
    directory: Box<Directory>,
    layout: Layout,
    header: Header,
    batch: Arc<Batch>,
}

impl TreesModel {
    pub(crate) fn open(bytes: &Bytes, range: Range<usize>, n_features: usize) -> Result<Self, TreesError> {
        let section = bytes.get(range.clone()).unwrap_or(&[]);
        let directory = Box::new(Directory::open(section)?);
        directory.check::<Header>(Part::Header, "header", 1)?;
        let header = directory.get::<Header>(section, Part::Header).first().copied();
        let header = header.ok_or(TreesError::Section { part: "header", n_bytes: section.len() })?;
        let number = header.layout.get();
        let layout = Layout::ALL.into_iter().find(|layout| *layout as u32 == number);
        let layout = layout.ok_or(TreesError::Layout(number))?;
        let model = Self { bytes: bytes.clone(), range, directory, layout, header, batch: Arc::default() };
        model.check(n_features)?;
        Ok(model)
    }

    fn check(&self, n_features: usize) -> Result<(), TreesError> {
        let (n_trees, n_nodes) = self.size();
        let (n_slots, n_reasons) = (self.header.n_slots.get() as usize, self.header.n_reasons.get() as usize);
        if n_trees == 0 || n_trees > n_nodes || n_nodes > MAX_NODES {
            return Err(TreesError::Size { n_trees, n_nodes });
        }
        if !self.layout.holds(n_slots, n_reasons) {
            return Err(TreesError::Section { part: "tables", n_bytes: n_slots });
        }
        let (base, baseline) = (self.header.base.get(), self.header.baseline.get());
        if !check::within(base) || !baseline.is_finite() {
            return Err(TreesError::Base(base));
        }
        let features = self.part::<U32>(Part::Features);
        if let Some(feature) = features.iter().map(|f| f.get() as usize).find(|f| *f >= n_features) {
            return Err(TreesError::Feature { tree: 0, node: 0, feature, n_features });
        }
        if self.layout != Layout::Walker {
            self.check_tables(n_trees, n_slots)?;
        }
        if self.layout == Layout::Symmetric {
            self.directory.check::<U16>(Part::ReasonFeatures, "reason features", n_trees * n_reasons)?;
            return self.directory.check::<F32>(Part::ReasonValues, "reasons", n_trees * n_slots * n_reasons);
        }
        self.directory.check::<Stem>(Part::Stems, "stems", n_trees)?;
        self.directory.check::<Node>(Part::Nodes, "nodes", n_nodes)?;
        self.directory.check::<Path>(Part::Paths, "paths", (n_nodes - n_trees) / 2)?;
        self.grove().check(self.layout == Layout::Walker)
    }

    fn check_tables(&self, n_trees: usize, n_slots: usize) -> Result<(), TreesError> {
        let (axes, cuts) = (self.part::<Axis>(Part::Axes), self.part::<F64>(Part::Cuts));
        let mut first = 0;
        for (at, axis) in axes.iter().enumerate() {
            if !axis.follows(first) {
                return Err(TreesError::Section { part: "axes", n_bytes: at * size_of::<Axis>() });
            }
            first += axis.n_bins() - 2;
        }
        self.directory.check::<F64>(Part::Cuts, "cuts", first)?;
        let n_bins = n_trees.div_ceil(BLOCK) * (cuts.len() + 2 * axes.len());
        self.directory.check::<Bin>(Part::Bins, "bins", n_bins)?;
        let has_rows = match self.layout {
            Layout::Symmetric => self.tables::<u8>().has_rows(),
            Layout::Masks16 => self.tables::<u16>().has_rows(),
            Layout::Masks32 => self.tables::<u32>().has_rows(),
            Layout::Masks64 | Layout::Walker => self.tables::<u64>().has_rows(),
        };
        if !has_rows {
            return Err(TreesError::Section { part: "rows", n_bytes: self.part::<u8>(Part::Rows).len() });
        }
        self.directory.check::<F64>(Part::Leaves, "leaves", n_trees * n_slots)?;
        let leaves = self.part::<F64>(Part::Leaves);
        match check::beyond(leaves) {
            Some(node) => Err(TreesError::Value { tree: node / n_slots, node, value: leaves[node].get() }),
            None => Ok(()),
        }
    }

    fn part<T: FromBytes + Immutable + KnownLayout + Unaligned>(&self, part: Part) -> &[T] {
        self.directory.get(self.bytes.get(self.range.clone()).unwrap_or(&[]), part)
    }

    fn tables<W: Word>(&self) -> Tables<'_, W> {
        let n_slots = self.header.n_slots.get() as usize;
        // The word of a symmetric tree is the number of a leaf, of any other a set of leaves.
        let leaves = if self.layout == Layout::Symmetric { (n_slots - 1) as u64 } else { u64::MAX };
        Tables {
            n_trees: self.header.n_trees.get() as usize,
            axes: self.part(Part::Axes),
            cuts: self.part(Part::Cuts),
            bins: self.part(Part::Bins),
            rows: self.part::<W::Sealed>(Part::Rows).as_chunks::<LANES>().0,
            clear_trees: self.part(Part::ClearTrees),
            clear_words: self.part(Part::ClearWords),
            leaves: self.part(Part::Leaves),
            n_slots,
            start: W::open(W::seal(leaves)),
        }
    }

    fn grove(&self) -> Grove<'_> {
        Grove {
            stems: self.part(Part::Stems),
            nodes: self.part(Part::Nodes),
            paths: self.part(Part::Paths),
            codes: self.part(Part::Codes),
        }
    }

    /// The log-odds of `row` (features in the artifact's order; missing is NaN).
    #[must_use]
    pub fn margin(&self, row: &[f64]) -> f64 {
        self.header.base.get()
            + match self.layout {
                Layout::Symmetric => self.tables::<u8>().sum(row),
                Layout::Masks16 => self.tables::<u16>().sum(row),
                Layout::Masks32 => self.tables::<u32>().sum(row),
                Layout::Masks64 => self.tables::<u64>().sum(row),
                Layout::Walker => self.grove().sum(row),
            }
    }

    /// Sets `margins` to the log-odds of the rows, bit for bit what [`Self::margin`] gives for each.
    ///
    /// From some thousand rows on, in one call or several, tables for many rows are made of those for one, and kept as
    /// long as the model: this takes milliseconds once, and as much memory again as the artifact.
    pub fn margins(&self, rows: Rows<'_>, margins: &mut [f64]) {
        match self.layout {
            Layout::Symmetric => self.sums::<u8>(rows, margins),
            Layout::Masks16 => self.sums::<u16>(rows, margins),
            Layout::Masks32 => self.sums::<u32>(rows, margins),
            Layout::Masks64 => self.sums::<u64>(rows, margins),
            Layout::Walker => self.grove().sums(rows, margins),
        }
        let base = self.header.base.get();
        margins.iter_mut().for_each(|margin| *margin += base);
    }

    /// [`Self::margins`] of rows whose first `n_same` features are those of the first, bit for bit.
    pub(super) fn margins_alike(&self, rows: Rows<'_>, n_same: usize, margins: &mut [f64]) {
        match self.layout {
            Layout::Symmetric => self.tables::<u8>().sums_alike(rows, n_same, margins),
            Layout::Masks16 => self.tables::<u16>().sums_alike(rows, n_same, margins),
            Layout::Masks32 => self.tables::<u32>().sums_alike(rows, n_same, margins),
            Layout::Masks64 => self.tables::<u64>().sums_alike(rows, n_same, margins),
            Layout::Walker => self.grove().sums(rows, margins),
        }
        let base = self.header.base.get();
        margins.iter_mut().for_each(|margin| *margin += base);
    }

    fn sums<W: Word>(&self, rows: Rows<'_>, margins: &mut [f64]) {
        let tables = self.tables::<W>();
        match self.batch.slices(&tables, margins.len()) {
            Some(slices) => slices.sums(&tables, rows, margins),
            None => margins.iter_mut().enumerate().for_each(|(at, sum)| *sum = tables.sum(rows.row(at))),
        }
    }

    /// The log-odds of `row`, bit for bit those of [`Self::margin`], and their baseline: the mean log-odds over the
    /// training rows by the trees' covers. Adds `weight` times what each feature adds to the log-odds to its place in
    /// `contributions`: path-dependent TreeSHAP, exact.
    ///
    /// Baseline and contributions sum to the margin but for rounding: a few units in the last place, and for symmetric
    /// trees, whose reasons are kept in single precision, a share of 2^-24 of the sum of their magnitudes.
    pub fn explain(
        &self,
        row: &[f64],
        weight: f64,
        contributions: &mut [f64],
        scratch: &mut Scratch,
    ) -> Explained {
        let baseline = self.header.baseline.get();
        if self.layout != Layout::Symmetric {
            self.grove().explain(row, scratch, |feature, value| add(contributions, feature, weight * value));
            return Explained { margin: self.margin(row), baseline };
        }
        let (tables, reasons) = (self.tables::<u8>(), self.reasons());
        let base = self.header.base.get();
        if self.part::<U32>(Part::Features).last().is_some_and(|last| last.get() as usize >= N_SUMS) {
            let add = |feature, value| add(contributions, feature, weight * value);
            return Explained { margin: base + tables.explain(row, &reasons, add), baseline };
        }
        let mut sums = [0.0; N_SUMS];
        let sum = tables.explain(row, &reasons, |feature, value| sums[feature % N_SUMS] += value);
        contributions.iter_mut().zip(sums).for_each(|(contribution, sum)| *contribution += weight * sum);
        Explained { margin: base + sum, baseline }
    }

    fn reasons(&self) -> symmetric::Reasons<'_> {
        let (features, values) = (self.part(Part::ReasonFeatures), self.part(Part::ReasonValues));
        symmetric::Reasons { features, values, n_reasons: self.header.n_reasons.get() as usize }
    }

    /// The features that some tree tests, ascending.
    pub fn features(&self) -> impl Iterator<Item = usize> {
        self.part::<U32>(Part::Features).iter().map(|feature| feature.get() as usize)
    }

    /// Trees and nodes.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.header.n_trees.get() as usize, self.header.n_nodes.get() as usize)
    }

    /// How the trees are laid out: `symmetric`, `mask_rows_16`, `_32` or `_64` (by the bits of a word), `walker`.
    #[must_use]
    pub const fn layout(&self) -> &'static str {
        self.layout.name()
    }
}

fn add(contributions: &mut [f64], feature: usize, value: f64) {
    if let Some(contribution) = contributions.get_mut(feature) {
        *contribution += value;
    }
}

#[cfg(test)]
mod tests;
