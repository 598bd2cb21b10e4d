//! Building mask tables: which words each bin of each axis leaves.

use zerocopy::little_endian::{U16, U32};

use super::axes::{Axes, BinTest, Rule};
use super::parts::{Part, Writer};
use super::tables::{BLOCK, Bin, CLEARS, LANES, Word};

/// Strides tried, from the quickest to score to the smallest table.
const STRIDES: [usize; 4] = [8, 16, 32, 64];
/// The first stride whose rows take at most this many bytes is taken: half of a usual second-level cache.
const ROWS_TARGET: usize = 512 << 10;
/// Tables with more bytes of rows than this are not built.
const ROWS_BOUND: usize = 8 << 20;

/// A test that clears bits of its tree's word where it fails.
#[derive(Clone, Debug)]
pub(super) struct Clearing {
    /// The tree.
    pub(super) tree: usize,
    /// When it passes.
    pub(super) test: BinTest,
    /// The bits a failure leaves.
    pub(super) keeps: u64,
}

impl Clearing {
    /// The border up to which numbers pass; none for a test of codes.
    const fn cut(&self) -> Option<usize> {
        match self.test.rule {
            Rule::UpTo(cut) => Some(cut),
            Rule::Among(_) => None,
        }
    }
}

/// Writes the tables of all `tests`, or nothing, and false, where they would be too large.
pub(super) fn build<W: Word>(axes: &Axes, n_trees: usize, tests: &[Clearing], writer: &mut Writer) -> bool {
    let n_axes = axes.axes.len();
    let mut groups: Vec<Vec<&Clearing>> = vec![Vec::new(); n_trees.div_ceil(BLOCK) * n_axes];
    for clearing in tests {
        groups[clearing.tree / BLOCK * n_axes + clearing.test.axis].push(clearing);
    }
    let n_bins = |group: usize| axes.axes[group % n_axes].n_bins();
    let n_bytes = |stride: usize| -> usize {
        let rows = groups.iter().enumerate().map(|(at, group)| {
            let whole_rows = group.iter().any(|clearing| clearing.cut().is_none());
            if whole_rows { n_bins(at) } else { group.len() / stride + 2 }
        });
        rows.sum::<usize>() * n_trees.min(BLOCK) * (W::BITS as usize / 8)
    };
    let stride = STRIDES.into_iter().find(|stride| n_bytes(*stride) <= ROWS_TARGET);
    let stride = stride.unwrap_or(STRIDES[STRIDES.len() - 1]);
    if n_bytes(stride) > ROWS_BOUND {
        return false;
    }
    let mut tables = Builder::<W>::new(stride, width(n_trees, 0));
    for (at, group) in groups.iter().enumerate() {
        tables.axis(n_bins(at), width(n_trees, at / n_axes), group);
    }
    tables.write(writer);
    true
}

/// Words of a row of `block`.
fn width(n_trees: usize, block: usize) -> usize {
    (n_trees - block * BLOCK).min(BLOCK).next_multiple_of(LANES)
}

struct Builder<W: Word> {
    stride: usize,
    bins: Vec<Bin>,
    rows: Vec<W::Sealed>,
    clear_trees: Vec<U16>,
    clear_words: Vec<W::Sealed>,
}

impl<W: Word> Builder<W> {
    /// Row 0 clears nothing: it stands in where fewer axes are left than are taken together.
    fn new(stride: usize, width: usize) -> Self {
        let (bins, rows) = (Vec::new(), vec![W::seal(u64::MAX); width]);
        Self { stride, bins, rows, clear_trees: Vec::new(), clear_words: Vec::new() }
    }

    fn axis(&mut self, n_bins: usize, width: usize, tests: &[&Clearing]) {
        let missing = n_bins - 1;
        if tests.iter().any(|clearing| clearing.cut().is_none()) {
            (0..missing).for_each(|bin| self.whole_row(bin, n_bins, width, tests));
        } else {
            self.falling(n_bins, width, tests);
        }
        self.whole_row(missing, n_bins, width, tests);
    }

    /// The known bins of a numeric axis: from each to the next, tests fail that passed.
    fn falling(&mut self, n_bins: usize, width: usize, tests: &[&Clearing]) {
        let mut tests = tests.to_vec();
        tests.sort_by_key(|clearing| clearing.cut());
        let (first_row, first_clear) = (self.rows.len(), self.clear_trees.len());
        let mut words = vec![u64::MAX; width];
        for (at, clearing) in tests.iter().enumerate() {
            if at % self.stride == 0 {
                self.row(&words);
            }
            words[clearing.tree % BLOCK] &= clearing.keeps;
            self.clear_trees.push(U16::new(u16::try_from(clearing.tree % BLOCK).unwrap_or(u16::MAX)));
            self.clear_words.push(W::seal(clearing.keeps));
        }
        self.row(&words);
        for bin in 0..n_bins - 1 {
            let failed = tests.partition_point(|clearing| clearing.cut() < Some(bin));
            // The last row stands behind all tests, whole run or not.
            let all = failed == tests.len();
            let run = if all { failed.div_ceil(self.stride) } else { failed / self.stride };
            let done = if all { failed } else { run * self.stride };
            self.bin(first_row + run * width, first_clear + done, failed - done);
        }
    }

    fn whole_row(&mut self, bin: usize, n_bins: usize, width: usize, tests: &[&Clearing]) {
        let mut words = vec![u64::MAX; width];
        for clearing in tests.iter().filter(|clearing| !clearing.test.passes(bin, n_bins)) {
            words[clearing.tree % BLOCK] &= clearing.keeps;
        }
        let row = self.rows.len();
        self.row(&words);
        self.bin(row, 0, 0);
    }

    fn row(&mut self, words: &[u64]) {
        self.rows.extend(words.iter().map(|&word| W::seal(word)));
    }

    fn bin(&mut self, row: usize, first_clear: usize, n_clears: usize) {
        let narrow = |number: usize| U32::new(u32::try_from(number).unwrap_or(u32::MAX));
        let (first_clear, n_clears) = (narrow(first_clear), narrow(n_clears));
        self.bins.push(Bin { row: narrow(row / LANES), first_clear, n_clears });
    }

    fn write(mut self, writer: &mut Writer) {
        // The last clears are read a whole run at a time, too.
        self.clear_trees.extend([U16::new(0); CLEARS]);
        self.clear_words.extend([W::seal(u64::MAX); CLEARS]);
        writer.put(Part::Bins, &self.bins);
        writer.put(Part::Rows, &self.rows);
        writer.put(Part::ClearTrees, &self.clear_trees);
        writer.put(Part::ClearWords, &self.clear_words);
    }
}
