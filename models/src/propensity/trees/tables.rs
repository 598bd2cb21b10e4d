//! Mask tables: what a bin says about every tree at once.
//!
//! Each tree has one word. A failed test clears bits of it, a passed one nothing, so a row's words are the AND over its
//! bins, in any order (QuickScorer's closed form, Lucchese et al. 2015). Two kinds of word use this. In *mask rows* a
//! bit is a leaf, numbered with the passed side first: a failed test clears the leaves under its passed child, and the
//! lowest bit left is the leaf. In *symmetric* trees a bit is a level, and what is left is the number of the leaf.
//!
//! A row of words for every bin would be megabytes. The tests of a numeric axis fail one after another as the number
//! grows, so a row is stored at every `stride`-th test only, and a bin names its row and the clears that follow it.

use std::ops::{BitAnd, Range};

use zerocopy::little_endian::{F64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute_ref};

use super::Rows;
use super::axes::Axis;
use super::batch::Line;

/// Trees of one block of tables; their words fit the stack and the first cache.
pub(super) const BLOCK: usize = 512;
/// Words are ANDed this many at a time; rows are padded to a multiple.
pub(super) const LANES: usize = 32;
/// Axes whose rows are ANDed in one go, so that the words are loaded and stored less often.
const TOGETHER: usize = 4;
/// Axes that are binned before their rows are used: searches wait for memory, and these wait together.
const AHEAD: usize = 16;
/// Clears are applied this many at a time, those not asked for as no clears: how many are asked for is a number no
/// processor predicts, and a wrong guess costs more than they do.
pub(super) const CLEARS: usize = 8;

/// The unsigned integer a tree's state is kept in.
pub(super) trait Word: Copy + BitAnd<Output = Self> + IntoBytes + Immutable {
    /// The word as sealed.
    type Sealed: Copy + FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned;
    /// All bits.
    const ONES: Self;
    /// Bits of the word.
    const BITS: u32;
    /// The word that was sealed.
    fn open(sealed: Self::Sealed) -> Self;
    /// The sealed form of the low bits of `bits`.
    fn seal(bits: u64) -> Self::Sealed;
    /// The number of the leaf that the word stands for.
    fn leaf(self) -> usize;
    /// A line of nothing but this word.
    fn fill(self) -> Line;
    /// The words of a line.
    fn words(line: &Line) -> &[Self];
}

macro_rules! word {
    ($word:ty, $sealed:ty, $open:expr, $seal:expr, $leaf:expr) => {
        impl Word for $word {
            type Sealed = $sealed;
            const ONES: Self = <$word>::MAX;
            const BITS: u32 = <$word>::BITS;
            #[inline]
            fn open(sealed: Self::Sealed) -> Self {
                $open(sealed)
            }
            fn seal(bits: u64) -> Self::Sealed {
                $seal(bits as $word)
            }
            #[inline]
            fn leaf(self) -> usize {
                $leaf(self)
            }
            fn fill(self) -> Line {
                Line::of(&[self; size_of::<Line>() / size_of::<$word>()])
            }
            #[inline]
            fn words(line: &Line) -> &[Self] {
                let words: &[$word; size_of::<Line>() / size_of::<$word>()] = transmute_ref!(&line.0);
                words
            }
        }
    };
}

// No test clears the highest bit (the last leaf is under no passed child); setting it tells the compiler that the word
// is not 0, and does nothing else.
word!(u8, u8, |word| word, |bits| bits, usize::from);
word!(u16, U16, U16::get, U16::new, |word: u16| (word | 1 << 15).trailing_zeros() as usize);
word!(u32, U32, U32::get, U32::new, |word: u32| (word | 1 << 31).trailing_zeros() as usize);
word!(u64, U64, U64::get, U64::new, |word: u64| (word | 1 << 63).trailing_zeros() as usize);

/// What a bin selects: a row, and the clears that follow it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Bin {
    /// Where its row starts, in runs of [`LANES`] words.
    pub(super) row: U32,
    /// Its first clear.
    pub(super) first_clear: U32,
    /// How many.
    pub(super) n_clears: U32,
}

/// The tables of a section.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a, W: Word> {
    pub(super) n_trees: usize,
    pub(super) axes: &'a [Axis],
    pub(super) cuts: &'a [F64],
    /// Bins of all axes, once for each block of trees.
    pub(super) bins: &'a [Bin],
    pub(super) rows: &'a [[W::Sealed; LANES]],
    pub(super) clear_trees: &'a [U16],
    pub(super) clear_words: &'a [W::Sealed],
    /// Values of each tree's leaves.
    pub(super) leaves: &'a [F64],
    /// Leaves of a tree, there or not.
    pub(super) n_slots: usize,
    /// A tree's word before any test.
    pub(super) start: W,
}

/// The words of one block of trees.
pub(super) type Words<W> = [W; BLOCK];

impl<'a, W: Word> Tables<'a, W> {
    pub(super) fn n_blocks(&self) -> usize {
        self.n_trees.div_ceil(BLOCK)
    }

    /// Trees of `block`.
    pub(super) fn n_trees_of(&self, block: usize) -> usize {
        (self.n_trees - block * BLOCK).min(BLOCK)
    }

    /// The words of the trees of `block` for `row`.
    #[inline]
    pub(super) fn words<'w>(&self, block: usize, row: &[f64], words: &'w mut Words<W>) -> &'w [W] {
        words[..self.n_trees_of(block).next_multiple_of(LANES)].fill(self.start);
        self.narrow(block, 0..self.axes.len(), row, words)
    }

    /// What the bins of `row` on these axes leave of `words`.
    #[inline]
    fn narrow<'w>(&self, block: usize, axes: Range<usize>, row: &[f64], words: &'w mut Words<W>) -> &'w [W] {
        let n_trees = self.n_trees_of(block);
        let n_bins = self.cuts.len() + 2 * self.axes.len();
        let axes_before = axes.start;
        let axes = self.axes.get(axes).unwrap_or(&[]);
        let mut first_bin = block * n_bins + axes.first().map_or(0, |axis| axis.first_bin(axes_before));
        for axes in axes.chunks(AHEAD) {
            let mut bins = [None; AHEAD];
            for (axis, bin) in axes.iter().zip(&mut bins) {
                *bin = self.bins.get(first_bin + axis.bin(self.cuts, row));
                first_bin += axis.n_bins();
            }
            let runs = &mut words.as_chunks_mut().0[..n_trees.div_ceil(LANES)];
            for bins in bins.as_chunks::<TOGETHER>().0.iter().take(axes.len().div_ceil(TOGETHER)) {
                self.and_rows(*bins, runs);
            }
            bins.iter().flatten().for_each(|bin| self.clear(bin, words));
        }
        &words[..n_trees]
    }

    /// ANDs the rows of some bins into `words`; where there is no bin, that of the first once more.
    #[inline]
    fn and_rows(&self, bins: [Option<&Bin>; TOGETHER], words: &mut [[W; LANES]]) {
        let [a, b, c, d] = bins.map(|bin| self.row(bin.or(bins[0]), words.len()));
        for ((((word, a), b), c), d) in words.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            for lane in 0..LANES {
                let (ab, cd) = (W::open(a[lane]) & W::open(b[lane]), W::open(c[lane]) & W::open(d[lane]));
                word[lane] = word[lane] & ab & cd;
            }
        }
    }

    fn row(&self, bin: Option<&Bin>, n_runs: usize) -> &[[W::Sealed; LANES]] {
        let row = bin.and_then(|bin| self.rows.get(bin.row.get() as usize..)?.get(..n_runs));
        row.unwrap_or(&[])
    }

    /// Applies the clears that follow the row of `bin`.
    #[inline]
    fn clear(&self, bin: &Bin, words: &mut Words<W>) {
        let (first, n_clears) = (bin.first_clear.get() as usize, bin.n_clears.get() as usize);
        for done in (0..n_clears.min(self.clear_trees.len())).step_by(CLEARS) {
            let clears = first + done..first + done + CLEARS;
            let (Some(trees), Some(masks)) = (
                self.clear_trees.get(clears.clone()).and_then(|trees| trees.as_array::<CLEARS>()),
                self.clear_words.get(clears).and_then(|masks| masks.as_array::<CLEARS>()),
            ) else {
                return;
            };
            for at in 0..CLEARS {
                let mask = if done + at < n_clears { W::open(masks[at]) } else { W::ONES };
                // A tree's place in its block is below its size; the remainder tells the compiler.
                let word = &mut words[usize::from(trees[at].get()) % BLOCK];
                *word = *word & mask;
            }
        }
    }

    /// What `bin` of `block` leaves of the words of the block's trees, all bits where its axis says nothing.
    pub(super) fn select(&self, block: usize, bin: &Bin) -> Words<W> {
        let mut words = [W::ONES; BLOCK];
        let n_runs = self.n_trees_of(block).div_ceil(LANES);
        for (words, row) in words.as_chunks_mut().0.iter_mut().zip(self.row(Some(bin), n_runs)) {
            *words = row.map(W::open);
        }
        self.clear(bin, &mut words);
        words
    }

    /// Whether all rows that the bins name are there.
    pub(super) fn has_rows(&self) -> bool {
        let n_bins = self.cuts.len() + 2 * self.axes.len();
        (0..self.n_blocks()).all(|block| {
            let bins = self.bins.get(block * n_bins..(block + 1) * n_bins).unwrap_or(&[]);
            let last = bins.iter().map(|bin| bin.row.get()).max().unwrap_or(0);
            last as usize + self.n_trees_of(block).div_ceil(LANES) <= self.rows.len()
        })
    }

    /// The sum of the values of the leaves that `row` ends in.
    pub(super) fn sum(&self, row: &[f64]) -> f64 {
        let (mut words, mut sums) = ([W::ONES; BLOCK], Sums::default());
        for block in 0..self.n_blocks() {
            let words = self.words(block, row, &mut words);
            sums.add(words, self.leaves_of(block), self.n_slots);
        }
        sums.total()
    }

    /// Sets `sums` to [`Self::sum`] of each row; all agree in their first `n_same` features.
    pub(super) fn sums_alike(&self, rows: Rows<'_>, n_same: usize, sums: &mut [f64]) {
        let n_shared = self.axes.partition_point(|axis| axis.feature() < n_same);
        let mut partial = vec![Sums::default(); sums.len()];
        let (mut shared, mut own) = ([W::ONES; BLOCK], [W::ONES; BLOCK]);
        for block in 0..self.n_blocks() {
            let n_words = self.n_trees_of(block).next_multiple_of(LANES);
            shared[..n_words].fill(self.start);
            self.narrow(block, 0..n_shared, rows.row(0), &mut shared);
            for (at, partial) in partial.iter_mut().enumerate() {
                own[..n_words].copy_from_slice(&shared[..n_words]);
                let words = self.narrow(block, n_shared..self.axes.len(), rows.row(at), &mut own);
                partial.add(words, self.leaves_of(block), self.n_slots);
            }
        }
        sums.iter_mut().zip(partial).for_each(|(sum, partial)| *sum = partial.total());
    }

    /// The leaves of the trees from `block` on.
    pub(super) fn leaves_of(&self, block: usize) -> &'a [F64] {
        self.leaves.get(block * BLOCK * self.n_slots..).unwrap_or(&[])
    }
}

/// Partial sums: adding is a chain of dependent steps, and eight chains run side by side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums([f64; 8]);

impl Sums {
    /// Adds the leaves of trees that have `n_slots` each.
    pub(super) fn add<W: Word>(&mut self, words: &[W], leaves: &[F64], n_slots: usize) {
        match n_slots {
            1 => self.add_by::<W, 1>(words, leaves),
            2 => self.add_by::<W, 2>(words, leaves),
            4 => self.add_by::<W, 4>(words, leaves),
            8 => self.add_by::<W, 8>(words, leaves),
            16 => self.add_by::<W, 16>(words, leaves),
            32 => self.add_by::<W, 32>(words, leaves),
            64 => self.add_by::<W, 64>(words, leaves),
            128 => self.add_by::<W, 128>(words, leaves),
            _ => self.add_by::<W, 256>(words, leaves),
        }
    }

    /// With a number of leaves known to the compiler, a power of 2, no look-up needs a check.
    #[inline]
    pub(super) fn add_by<W: Word, const N: usize>(&mut self, words: &[W], leaves: &[F64]) {
        let look_up = |word: W, leaves: &[F64; N]| leaves[word.leaf() % N].get();
        let (words, last_words) = words.as_chunks::<8>();
        let (leaves, last_leaves) = leaves.as_chunks::<N>().0.as_chunks::<8>();
        let mut sums = self.0;
        for (words, leaves) in words.iter().zip(leaves) {
            for lane in 0..8 {
                sums[lane] += look_up(words[lane], &leaves[lane]);
            }
        }
        let last = leaves.get(words.len()).map_or(last_leaves, |leaves| leaves);
        for ((sum, word), leaves) in sums.iter_mut().zip(last_words).zip(last) {
            *sum += look_up(*word, leaves);
        }
        self.0 = sums;
    }

    /// The sum of the partial sums, in pairs.
    pub(super) fn total(self) -> f64 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + b) + (c + d)) + ((e + f) + (g + h))
    }
}
