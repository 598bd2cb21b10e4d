//! Many rows: the tables once more, cut into slices of trees so narrow that a slice's rows stay in the first cache.
//!
//! One row reads each table row once, so its tables are made small: few rows, and clears that bring them up to date. Of
//! many rows each slice can have a row of its own for every bin that differs, a cache line each, and no clears: one AND
//! an axis. These slices take as long to make from the sealed tables as some thousand rows do, and as much memory again, so
//! they are made when that many rows were asked for, and kept. Words, and the order in which leaves are added, are
//! those of a single row: so is every bit of the result.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use zerocopy::little_endian::F64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Rows;
use super::axes::Axis;
use super::tables::{Sums, Tables, Word};

/// Rows in many-row calls after which slices are made.
const WORTH: usize = 4096;
/// Calls of fewer rows are scored row by row: slices pay by being used again while they are in the cache.
const FEW: usize = 16;
/// Rows scored together, whose bins and sums stay in the first cache beside a slice.
const TOGETHER: usize = 128;

/// Axes whose lines are ANDed in one go.
const ABREAST: usize = 4;

/// The words of a slice of trees: a cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u64; 8]);

impl Line {
    const N_BYTES: usize = size_of::<Self>();

    /// As many words as fit, which `words` are.
    pub(super) fn of<W: Word>(words: &[W]) -> Self {
        Self::read_from_bytes(words.as_bytes()).unwrap_or(Self([u64::MAX; 8]))
    }

    #[inline]
    fn and(&mut self, other: Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= other;
        }
    }
}

/// What each bin of each axis says about a few trees.
#[derive(Clone, Debug, Default)]
struct Slice {
    /// For each bin of all axes, which line.
    places: Vec<u16>,
    /// Neighbouring bins that say the same share one.
    lines: Vec<Line>,
}

impl Slice {
    /// Adds the next bin; false where there are more lines than a place can name.
    fn push(&mut self, line: Line) -> bool {
        if self.lines.last() != Some(&line) {
            self.lines.push(line);
        }
        u16::try_from(self.lines.len() - 1).map(|place| self.places.push(place)).is_ok()
    }
}

/// Tables in slices.
#[derive(Clone, Debug)]
pub(super) struct Slices(Vec<Slice>);

impl Slices {
    /// The tables' slices; none where a slice has too many different rows.
    fn of<W: Word>(tables: &Tables<'_, W>) -> Option<Self> {
        let n_bins = tables.cuts.len() + 2 * tables.axes.len();
        let mut all = Vec::new();
        for block in 0..tables.n_blocks() {
            let n_trees = tables.n_trees_of(block);
            let mut slices = vec![Slice::default(); (n_trees * size_of::<W>()).div_ceil(Line::N_BYTES)];
            for bin in tables.bins.get(block * n_bins..(block + 1) * n_bins)? {
                let words = tables.select(block, bin);
                let words = words.chunks_exact(Line::N_BYTES / size_of::<W>());
                if !slices.iter_mut().zip(words).all(|(slice, words)| slice.push(Line::of(words))) {
                    return None;
                }
            }
            all.extend(slices);
        }
        Some(Self(all))
    }

    /// Sets `margins` to the sum of each row's leaves.
    pub(super) fn sums<W: Word>(&self, tables: &Tables<'_, W>, rows: Rows<'_>, margins: &mut [f64]) {
        // Axes that fill up the last few have no bins.
        let mut bins = vec![[0; TOGETHER]; tables.axes.len().next_multiple_of(ABREAST)];
        for (run, margins) in margins.chunks_mut(TOGETHER).enumerate() {
            let rows = rows.from(run * TOGETHER);
            for (axis, bins) in tables.axes.iter().zip(&mut bins) {
                // The last run may be short: what is missing behind the rows is binned as missing.
                for (at, bins) in bins.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                    axis.bins(tables.cuts, rows, 8 * at, bins);
                }
            }
            let (mut lines, mut sums) = ([Line([0; 8]); TOGETHER], [Sums::default(); TOGETHER]);
            let (lines, sums) = (&mut lines[..margins.len()], &mut sums[..margins.len()]);
            let n_words = Line::N_BYTES / size_of::<W>();
            for (number, slice) in self.0.iter().enumerate() {
                lines.fill(W::fill(tables.start));
                slice.and(tables.axes, bins.as_chunks().0, lines);
                let first = number * n_words;
                let leaves = tables.leaves.get(first * tables.n_slots..).unwrap_or(&[]);
                add_leaves::<W>(lines, n_words.min(tables.n_trees - first), leaves, tables.n_slots, sums);
            }
            margins.iter_mut().zip(sums).for_each(|(margin, sums)| *margin = sums.total());
        }
    }
}

impl Slice {
    /// ANDs what the bins of each row say into its line; a few axes at a time, whose lines stay in the first cache.
    fn and(&self, axes: &[Axis], bins: &[[[u32; TOGETHER]; ABREAST]], rows: &mut [Line]) {
        let (mut places, lines) = (self.places.as_slice(), self.lines.as_slice());
        for (axes, bins) in axes.chunks(ABREAST).zip(bins) {
            let mut own = [&[][..]; ABREAST];
            for (axis, own) in axes.iter().zip(&mut own) {
                (*own, places) = places.split_at_checked(axis.n_bins()).unwrap_or((&[], &[]));
            }
            for (at, row) in rows.iter_mut().enumerate().take(TOGETHER) {
                let mut line = *row;
                for (places, bins) in own.iter().zip(bins) {
                    let place = places.get(bins[at] as usize);
                    if let Some(other) = place.and_then(|place| lines.get(usize::from(*place))) {
                        line.and(*other);
                    }
                }
                *row = line;
            }
        }
    }
}

/// Adds, for each row, the leaves that the words of its line name.
fn add_leaves<W: Word>(lines: &[Line], n_trees: usize, leaves: &[F64], n_slots: usize, sums: &mut [Sums]) {
    match n_slots {
        1 => add_by::<W, 1>(lines, n_trees, leaves, sums),
        2 => add_by::<W, 2>(lines, n_trees, leaves, sums),
        4 => add_by::<W, 4>(lines, n_trees, leaves, sums),
        8 => add_by::<W, 8>(lines, n_trees, leaves, sums),
        16 => add_by::<W, 16>(lines, n_trees, leaves, sums),
        32 => add_by::<W, 32>(lines, n_trees, leaves, sums),
        64 => add_by::<W, 64>(lines, n_trees, leaves, sums),
        128 => add_by::<W, 128>(lines, n_trees, leaves, sums),
        _ => add_by::<W, 256>(lines, n_trees, leaves, sums),
    }
}

fn add_by<W: Word, const N: usize>(lines: &[Line], n_trees: usize, leaves: &[F64], sums: &mut [Sums]) {
    for (line, sums) in lines.iter().zip(sums) {
        let words = W::words(line);
        sums.add_by::<W, N>(&words[..n_trees.min(words.len())], leaves);
    }
}

/// Slices of one model, made when they are worth it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    n_rows: AtomicUsize,
    slices: OnceLock<Option<Slices>>,
}

impl Batch {
    /// The slices to score `n_rows` more rows with, or none where the rows are better scored one by one.
    pub(super) fn slices<W: Word>(&self, tables: &Tables<'_, W>, n_rows: usize) -> Option<&Slices> {
        if n_rows < FEW {
            return None;
        }
        if self.slices.get().is_none() && self.n_rows.fetch_add(n_rows, Ordering::Relaxed) + n_rows < WORTH {
            return None;
        }
        self.slices.get_or_init(|| Slices::of(tables)).as_ref()
    }
}
