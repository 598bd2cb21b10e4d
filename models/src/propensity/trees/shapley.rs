//! Exact reasons: path-dependent TreeSHAP (Lundberg et al. 2018, 2020) by quadrature.
//!
//! The players are the features. A leaf of value `v` whose path tests the features `D` is the product game
//! `v * prod_j (o_j if j joined, else z_j)`: `o_j` is 1 where the row goes the path's way at all tests of `j` on it, else
//! 0; `z_j` is the product of their cover ratios. Since the weight of a coalition of `s` others among `d` players is the
//! Beta integral `s! (d-1-s)! / d! = int_0^1 t^s (1-t)^(d-1-s) dt`, the Shapley value is
//!
//! ```text
//!   phi_i = v (o_i - z_i) int_0^1 prod_{j != i} f_j(t) dt,      f_j(t) = t o_j + (1 - t) z_j
//! ```
//!
//! a polynomial of degree `|D| - 1`, integrated exactly by Gauss-Legendre with `K >= |D| / 2` points; all factors lie in
//! 0 ..= 1. Leaves share their work (as in Linear TreeSHAP, Yu et al. 2022): at node `p` let `A` be the product of
//! the factors on the path to `p`, and `B` the sum over the leaves below of `v` times the factors gained below `p`. Let
//! `p` test feature `i`, let `(o, z)` be what the path has met of `i` so far ((1, 1) if nothing) and `(o_c, z_c)` what it
//! has on the way to child `c`. With `f` and `f_c` of these, the way to `c` gains the factor `g_c = f_c / f`, and
//!
//! ```text
//!   B = sum_c g_c B_c,      phi_i += int A / f * (sum_c (o_c - z_c) B_c - (o - z) B) dt
//! ```
//!
//! where the last term takes back what an earlier test of `i` is given for the leaves below `p`. Two passes over the
//! tests, forward for `A` and backward for `B`, give all values. Neither has a branch that depends on the row: a tree's
//! answers cannot be predicted. `z` is static, and held above 0 when sealed so that `f` can divide.

use zerocopy::little_endian::{F64, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::TreeNode;
use super::check::Sound;
use super::quadrature::Quadrature;

/// Shares of rows are held this far above 0, so that one divided by another stays a number.
const LEAST_SHARE: f64 = 1e-60;

/// A test as the reasons need it. Nodes are numbered within their tree.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Path {
    /// `z` on the way to the passed child, and to the failed one: the product of the cover ratios of all tests of the
    /// feature.
    passed: F64,
    failed: F64,
    /// Its node.
    at: U32,
    /// Its passed child.
    child: U32,
    /// The nearest node on the path right below another test of the feature; the root if there is none.
    earlier: U32,
    feature: U16,
    zero: U16,
}

/// What the reasons need of a tree.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    /// Its tests, in the order of their nodes.
    pub(super) tests: Vec<Path>,
    /// The largest number of different features on a path.
    pub(super) n_players: usize,
    /// The mean of the leaves, weighed by cover.
    pub(super) mean: f64,
}

impl Paths {
    /// Of a sound tree.
    pub(super) fn of(tree: &Sound<'_>) -> Self {
        let n_nodes = tree.nodes.len();
        let narrow = |number: usize| U32::new(u32::try_from(number).unwrap_or(u32::MAX));
        let (mut parents, mut players) = (vec![0; n_nodes], vec![0; n_nodes]);
        // The share of the training rows that come by, and `z` of the feature that the parent tests.
        let (mut shares, mut met) = (vec![1.0; n_nodes], vec![1.0; n_nodes]);
        let mut paths = Self { tests: Vec::with_capacity(n_nodes / 2), n_players: 0, mean: 0.0 };
        for (at, node) in tree.nodes.iter().enumerate() {
            let (Some(feature), Some(child)) = (node.feature(), node.child()) else {
                paths.mean += shares[at] * tree.leaf_value(at);
                paths.n_players = paths.n_players.max(players[at]);
                continue;
            };
            let ratio = ratio(&tree.nodes[child], &tree.nodes[child + 1]);
            let earlier = earlier(tree.nodes, &parents, at);
            for (side, ratio) in [(child, ratio), (child + 1, 1.0 - ratio)] {
                parents[side] = at;
                players[side] = players[at] + usize::from(earlier.is_none());
                shares[side] = shares[at] * ratio;
                met[side] = (earlier.map_or(1.0, |earlier| met[earlier]) * ratio).max(LEAST_SHARE);
            }
            paths.tests.push(Path {
                passed: F64::new(met[child]),
                failed: F64::new(met[child + 1]),
                at: narrow(at),
                child: narrow(child),
                earlier: narrow(earlier.unwrap_or(0)),
                feature: U16::new(u16::try_from(feature).unwrap_or(u16::MAX)),
                zero: U16::new(0),
            });
        }
        paths
    }
}

/// The share of rows that pass; half where no rows are known on either side.
fn ratio(passed: &TreeNode, failed: &TreeNode) -> f64 {
    // Halved first: the sum of two finite numbers need not be finite.
    let (passed, failed) = (passed.cover() / 2.0, failed.cover() / 2.0);
    let total = passed + failed;
    if total > 0.0 { passed / total } else { 0.5 }
}

/// The nearest node on the way to `node` whose parent tests the same feature.
fn earlier(nodes: &[TreeNode], parents: &[usize], node: usize) -> Option<usize> {
    let mut below = node;
    while below != 0 {
        let parent = parents[below];
        if nodes[parent].feature() == nodes[node].feature() {
            return Some(below);
        }
        below = parent;
    }
    None
}

/// Room for the reasons of one row, to be used again: nothing is allocated once it has grown.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// Of each node, `A` at the points; once its test is done, `A / f`.
    above: Vec<f64>,
    /// Of each node, `B` at the points.
    below: Vec<f64>,
    /// Of each test, the factors gained on the way to both children.
    gains: Vec<f64>,
    /// Of each node, `o` of the feature that its parent tests.
    met: Vec<f64>,
}

/// A tree as one row meets it.
pub(super) trait Game {
    /// The value of a leaf; any number for a test.
    fn value(&self, at: usize) -> f64;
    /// Whether the row passes the test at node `at`.
    fn passes(&self, at: usize) -> bool;
}

/// Adds the Shapley values of one tree of `n_nodes` by `add(feature, value)`.
///
/// Exact for up to 64 different features on a path; beyond, the rule of 32 points leaves out powers whose share is
/// below the rounding of the others.
pub(super) fn explain(
    game: &impl Game,
    n_nodes: usize,
    tests: &[Path],
    n_players: usize,
    scratch: &mut Scratch,
    add: &mut impl FnMut(usize, f64),
) {
    match n_players {
        0..=4 => explain_by::<2>(game, n_nodes, tests, scratch, add),
        5..=8 => explain_by::<4>(game, n_nodes, tests, scratch, add),
        9..=12 => explain_by::<6>(game, n_nodes, tests, scratch, add),
        13..=16 => explain_by::<8>(game, n_nodes, tests, scratch, add),
        17..=32 => explain_by::<16>(game, n_nodes, tests, scratch, add),
        _ => explain_by::<32>(game, n_nodes, tests, scratch, add),
    }
}

fn explain_by<const K: usize>(
    game: &impl Game,
    n_nodes: usize,
    tests: &[Path],
    scratch: &mut Scratch,
    add: &mut impl FnMut(usize, f64),
) {
    let above = points::<K>(&mut scratch.above, n_nodes);
    let below = points::<K>(&mut scratch.below, n_nodes);
    let gains = points::<K>(&mut scratch.gains, 2 * tests.len()).as_chunks_mut::<2>().0;
    scratch.met.clear();
    scratch.met.resize(n_nodes, 1.0);
    if let Some(root) = above.first_mut() {
        *root = Quadrature::<K>::RULE.weights;
    }
    for (at, below) in below.iter_mut().enumerate() {
        *below = [game.value(at); K];
    }
    for (test, gains) in tests.iter().zip(gains.iter_mut()) {
        test.descend(game, above, gains, &mut scratch.met);
    }
    for (test, gains) in tests.iter().zip(gains).rev() {
        test.ascend(above, gains, below, &scratch.met, add);
    }
}

/// The first `n` runs of `K` numbers of `room`, which grows where it must.
fn points<const K: usize>(room: &mut Vec<f64>, n: usize) -> &mut [[f64; K]] {
    if room.len() < n * K {
        room.resize(n * K, 0.0);
    }
    &mut room.as_chunks_mut::<K>().0[..n]
}

impl Path {
    #[inline]
    fn descend<const K: usize>(
        &self,
        game: &impl Game,
        above: &mut [[f64; K]],
        gains: &mut [[f64; K]; 2],
        met: &mut [f64],
    ) {
        let (at, child) = (self.at.get() as usize, self.child.get() as usize);
        let o = met.get(self.earlier.get() as usize).copied().unwrap_or(1.0);
        let passes = f64::from(u8::from(game.passes(at)));
        let (passed, failed) = (o * passes, o * (1.0 - passes));
        let (z_passed, z_failed) = (self.passed.get(), self.failed.get());
        let z = z_passed + z_failed;
        let Some(path) = above.get_mut(at) else { return };
        let mut ways = [[0.0; K]; 2];
        for k in 0..K {
            let t = Quadrature::<K>::RULE.points[k];
            let inverse = 1.0 / (t * o + (1.0 - t) * z);
            gains[0][k] = (t * passed + (1.0 - t) * z_passed) * inverse;
            gains[1][k] = (t * failed + (1.0 - t) * z_failed) * inverse;
            ways[0][k] = path[k] * gains[0][k];
            ways[1][k] = path[k] * gains[1][k];
            path[k] *= inverse;
        }
        if let Some(children) = above.get_mut(child..child + 2) {
            children.copy_from_slice(&ways);
        }
        if let Some(children) = met.get_mut(child..child + 2) {
            children.copy_from_slice(&[passed, failed]);
        }
    }

    #[inline]
    fn ascend<const K: usize>(
        &self,
        above: &[[f64; K]],
        gains: &[[f64; K]; 2],
        below: &mut [[f64; K]],
        met: &[f64],
        add: &mut impl FnMut(usize, f64),
    ) {
        let (at, child) = (self.at.get() as usize, self.child.get() as usize);
        let (Some(path), Some(&[passed, failed]), Some(&[o_passed, o_failed])) =
            (above.get(at), below.get(child..child + 2), met.get(child..child + 2))
        else {
            return;
        };
        let (z_passed, z_failed) = (self.passed.get(), self.failed.get());
        let rest = o_passed + o_failed - (z_passed + z_failed);
        let (mut sum, mut parts) = ([0.0; K], [0.0; K]);
        for k in 0..K {
            sum[k] = gains[0][k] * passed[k] + gains[1][k] * failed[k];
            let own = (o_passed - z_passed) * passed[k] + (o_failed - z_failed) * failed[k];
            parts[k] = path[k] * (own - rest * sum[k]);
        }
        if let Some(below) = below.get_mut(at) {
            *below = sum;
        }
        add(usize::from(self.feature.get()), parts.iter().sum());
    }
}
