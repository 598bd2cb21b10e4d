//! Exact reasons: path-dependent TreeSHAP (Lundberg et al. 2018, 2020) by quadrature, without divisions but where a
//! path tests a feature twice.
//!
//! The players are the features. A leaf of value `v` whose path tests the features `D` is the product game
//! `v * prod_j (o_j if j joined, else z_j)`: `o_j` is 1 where the row passes all tests of `j` on the path, else 0; `z_j` is
//! the product of their cover ratios. Since the weight of a coalition of `s` others among `d` players is the Beta
//! integral `s! (d-1-s)! / d! = int_0^1 t^s (1-t)^(d-1-s) dt`, the Shapley value is
//!
//! ```text
//!   phi_i = v (o_i - z_i) int_0^1 prod_{j != i} f_j(t) dt,      f_j(t) = t o_j + (1 - t) z_j
//! ```
//!
//! a polynomial of degree `|D| - 1`, integrated exactly by Gauss-Legendre with `K >= |D| / 2` points. All factors lie in
//! 0 ..= 1. Leaves share their work (as in Yang's Linear TreeSHAP, 2021): at node `p` let `A_p` be the product of the
//! factors on the path to `p`, and `B_p` the sum over the leaves below of `v` times the factors gained below `p`. With
//! `g_c` the factor gained on the way to child `c`, `A_c = A_p g_c` and `B_p = sum_c g_c B_c`. If `p` tests feature `i`,
//! which the path has met with `(o, z)` (with `(1, 1)` if never) and whose cover ratio toward the side that the row
//! takes (`h`, the other being `m`) is `r`, then
//!
//! ```text
//!   o = 1:  g_h = (t + (1-t) z r) / f,   g_m = (1-t) z (1-r) / f,   f = t + (1-t) z
//!           phi_i += int A_p / f * ((1 - z r) B_h - z (1-r) B_m - (1 - z) B_p) dt
//!   o = 0:  g_h = r,   g_m = 1 - r,   phi_i += 0
//! ```
//!
//! where the last term takes back what the feature's earlier test has been given for the leaves below `p`. Two passes
//! over a tree's nodes, forward for `A` and backward for `B`, give all values; numbers that are off because bytes were
//! changed give other numbers, and no read outside.

use zerocopy::little_endian::{F64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::TreeNode;
use super::check::Sound;
use super::quadrature::Quadrature;

/// No earlier test of the feature.
const NEVER: u32 = u32::MAX;

/// What a node's test means for the reasons.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Path {
    /// Share of the rows at the node that pass.
    ratio: F64,
    /// The nearest node on the path, in its tree, right below a test of the same feature; or [`NEVER`].
    earlier: U32,
    /// Makes the size a multiple of 8.
    zero: U32,
}

/// The paths of a sound tree: one for each node, with the largest number of different features on a path and the mean
/// of the leaves weighted by cover.
pub(super) fn paths(tree: &Sound<'_>) -> (Vec<Path>, usize, f64) {
    let n_nodes = tree.nodes.len();
    let narrow = |number: usize| u32::try_from(number).unwrap_or(NEVER);
    // For each node its parent's number, and the number of different features and the share of rows there.
    let (mut parents, mut players, mut shares) = (vec![0; n_nodes], vec![0; n_nodes], vec![1.0; n_nodes]);
    let (mut paths, mut mean) = (Vec::with_capacity(n_nodes), 0.0);
    for (at, node) in tree.nodes.iter().enumerate() {
        let mut path = Path { ratio: F64::new(0.5), earlier: U32::new(NEVER), zero: U32::new(0) };
        match node {
            TreeNode::Leaf { value, .. } => mean += shares[at] * value,
            TreeNode::AtMost { child, .. } | TreeNode::OneOf { child, .. } => {
                let ratio = ratio(&tree.nodes[*child], &tree.nodes[child + 1]);
                let earlier = earlier(tree.nodes, &parents, at);
                path.ratio = F64::new(ratio);
                path.earlier = U32::new(earlier.map_or(NEVER, narrow));
                for (side, ratio) in [(*child, ratio), (child + 1, 1.0 - ratio)] {
                    parents[side] = at;
                    players[side] = players[at] + usize::from(earlier.is_none());
                    shares[side] = shares[at] * ratio;
                }
            }
        }
        paths.push(path);
    }
    (paths, players.into_iter().max().unwrap_or(0), mean)
}

/// The share of rows that pass; half where no rows are known on either side.
fn ratio(passed: &TreeNode, failed: &TreeNode) -> f64 {
    let (passed, failed) = (passed.cover(), failed.cover());
    // Halved first: the sum of two finite numbers need not be finite.
    let total = passed / 2.0 + failed / 2.0;
    if total > 0.0 { passed / 2.0 / total } else { 0.5 }
}

fn earlier(nodes: &[TreeNode], parents: &[usize], node: usize) -> Option<usize> {
    let (feature, mut below) = (nodes[node].feature(), node);
    while below != 0 {
        let parent = parents[below];
        if nodes[parent].feature() == feature {
            return Some(below);
        }
        below = parent;
    }
    None
}

/// Room for the reasons of one row, to be used again: nothing is allocated after the first row.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    above: Vec<f64>,
    below: Vec<f64>,
    met: Vec<Met>,
}

/// What a path has met of the feature that was tested last.
#[derive(Clone, Copy, Debug)]
struct Met {
    /// `o`: all its tests so far are passed.
    passed: bool,
    /// `z`: the product of their cover ratios.
    share: f64,
}

/// A node's test, as this row meets it.
#[derive(Clone, Copy)]
struct Fork {
    feature: usize,
    /// Number, in the tree, of the child that the row takes, and of the other.
    hit: usize,
    miss: usize,
    /// Cover ratio toward `hit`.
    ratio: f64,
    earlier: Met,
}

/// A tree to be explained: its test results and leaves come from where the caller keeps them.
pub(super) trait Game {
    /// The value of node `at` if it is a leaf, else its feature, its passed child, and whether the row passes.
    fn node(&self, at: usize) -> Result<f64, (usize, usize, bool)>;
}

/// Adds the Shapley values of one tree to `add(feature, value)`; `n_players` is what [`paths`] gave.
pub(super) fn explain(
    game: &impl Game,
    paths: &[Path],
    n_players: usize,
    scratch: &mut Scratch,
    add: &mut impl FnMut(usize, f64),
) {
    match n_players {
        0..=4 => explain_by::<2>(game, paths, scratch, add),
        5..=8 => explain_by::<4>(game, paths, scratch, add),
        9..=12 => explain_by::<6>(game, paths, scratch, add),
        13..=16 => explain_by::<8>(game, paths, scratch, add),
        17..=32 => explain_by::<16>(game, paths, scratch, add),
        _ => explain_by::<32>(game, paths, scratch, add),
    }
}

fn explain_by<const K: usize>(
    game: &impl Game,
    paths: &[Path],
    scratch: &mut Scratch,
    add: &mut impl FnMut(usize, f64),
) {
    let n_nodes = paths.len();
    scratch.above.resize(scratch.above.len().max(n_nodes * K), 0.0);
    scratch.below.resize(scratch.below.len().max(n_nodes * K), 0.0);
    scratch.met.clear();
    scratch.met.resize(n_nodes, Met { passed: true, share: 1.0 });
    let above = &mut scratch.above.as_chunks_mut::<K>().0[..n_nodes];
    let below = &mut scratch.below.as_chunks_mut::<K>().0[..n_nodes];
    if let Some(root) = above.first_mut() {
        *root = Quadrature::<K>::RULE.weights;
    }
    for (at, path) in paths.iter().enumerate() {
        if let Err(test) = game.node(at) {
            descend(&Fork::new(test, path, &scratch.met), at, above, &mut scratch.met);
        }
    }
    for (at, path) in paths.iter().enumerate().rev() {
        below[at] = match game.node(at) {
            Ok(value) => [value; K],
            Err(test) => ascend(&Fork::new(test, path, &scratch.met), &above[at], below, add),
        };
    }
}

impl Fork {
    #[inline]
    fn new((feature, child, passes): (usize, usize, bool), path: &Path, met: &[Met]) -> Self {
        let earlier = match path.earlier.get() {
            NEVER => None,
            earlier => met.get(earlier as usize).copied(),
        };
        let ratio = path.ratio.get();
        let (hit, miss) = if passes { (child, child + 1) } else { (child + 1, child) };
        let ratio = if passes { ratio } else { 1.0 - ratio };
        Self { feature, hit, miss, ratio, earlier: earlier.unwrap_or(Met { passed: true, share: 1.0 }) }
    }

    /// `g_h`, `g_m` and `1 / f` at the points of the rule, where the feature's earlier tests are passed.
    #[inline]
    fn gains<const K: usize>(&self) -> [[f64; K]; 3] {
        let points = &Quadrature::<K>::RULE.points;
        let z = self.earlier.share;
        let inverse = if z == 1.0 { [1.0; K] } else { points.map(|t| 1.0 / (t + (1.0 - t) * z)) };
        let (mut hit, mut miss) = ([0.0; K], [0.0; K]);
        for k in 0..K {
            let rest = (1.0 - points[k]) * z;
            hit[k] = (points[k] + rest * self.ratio) * inverse[k];
            miss[k] = rest * (1.0 - self.ratio) * inverse[k];
        }
        [hit, miss, inverse]
    }
}

#[inline]
fn descend<const K: usize>(fork: &Fork, at: usize, above: &mut [[f64; K]], met: &mut [Met]) {
    let path = above[at];
    let (hit, miss) = if fork.earlier.passed {
        let [hit, miss, _] = fork.gains::<K>();
        (hit, miss)
    } else {
        ([fork.ratio; K], [1.0 - fork.ratio; K])
    };
    let sides =
        [(fork.hit, hit, fork.earlier.passed, fork.ratio), (fork.miss, miss, false, 1.0 - fork.ratio)];
    for (side, gain, passed, ratio) in sides {
        if let (Some(above), Some(met)) = (above.get_mut(side), met.get_mut(side)) {
            for k in 0..K {
                above[k] = path[k] * gain[k];
            }
            *met = Met { passed, share: fork.earlier.share * ratio };
        }
    }
}

#[inline]
fn ascend<const K: usize>(
    fork: &Fork,
    above: &[f64; K],
    below: &[[f64; K]],
    add: &mut impl FnMut(usize, f64),
) -> [f64; K] {
    let nothing = [0.0; K];
    let (hit, miss) = (below.get(fork.hit).unwrap_or(&nothing), below.get(fork.miss).unwrap_or(&nothing));
    let mut sum = [0.0; K];
    if !fork.earlier.passed {
        for k in 0..K {
            sum[k] = fork.ratio * hit[k] + (1.0 - fork.ratio) * miss[k];
        }
        return sum;
    }
    let [gain_hit, gain_miss, inverse] = fork.gains::<K>();
    let z = fork.earlier.share;
    let mut parts = [0.0; K];
    for k in 0..K {
        sum[k] = gain_hit[k] * hit[k] + gain_miss[k] * miss[k];
        let own = (1.0 - z * fork.ratio) * hit[k] - z * (1.0 - fork.ratio) * miss[k] - (1.0 - z) * sum[k];
        parts[k] = above[k] * inverse[k] * own;
    }
    add(fork.feature, parts.iter().sum());
    sum
}
