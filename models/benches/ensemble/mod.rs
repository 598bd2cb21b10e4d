//! Random ensembles for benchmarks: bounds at 255 quantiles of each feature, as histogram learners choose them, leaf-wise
//! splits of the widest leaf by turns, all by a fixed seed.

use std::collections::BTreeMap;

use nextbest_models::artifact::{
    Artifact, ArtifactBuilder, Metadata, ModelKind, ModelMetadata, PropensityParts, SealedScorer,
};
use nextbest_models::propensity::Calibration;
use nextbest_models::propensity::trees::{Tree, TreeNode};
use nextbest_models::units::{Seed, Timestamp};

const N_BORDERS: usize = 255;

#[derive(Clone, Copy)]
pub enum Shape {
    Levels(usize),
    Leaves(usize),
}

/// An artifact of these ensembles, by the name of the model.
pub fn seal(models: &[(&str, Vec<Tree>)], n_features: usize) -> Artifact {
    let mut builder = ArtifactBuilder::new(Metadata {
        name: "bench".into(),
        schema_fingerprint: "00".repeat(32),
        feature_names: (0..n_features).map(|at| format!("feature_{at}")).collect(),
        trained_through: Timestamp::from_millis(1_700_000_000_000).unwrap(),
        code_version: "bench".into(),
        seed: Seed(1),
        sources: BTreeMap::new(),
        table: None,
        models: vec![],
    });
    for (name, trees) in models {
        builder.propensity(PropensityParts {
            metadata: ModelMetadata {
                name: (*name).into(),
                kind: ModelKind::Propensity,
                learner: "random".into(),
                label: None,
                response: None,
                purchase: None,
                counts: BTreeMap::new(),
                metrics: BTreeMap::new(),
                notes: vec![],
                sections: BTreeMap::new(),
            },
            scorer: SealedScorer::trees(0.0, trees).unwrap(),
            companion: None,
            calibration: Calibration::Identity,
            golden: vec![],
        });
    }
    builder.seal().unwrap()
}

/// Xorshift (Marsaglia 2003).
pub struct Draw(pub u64);

impl Draw {
    /// A number in 0 .. `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    /// A tree of this shape.
    pub fn tree(&mut self, shape: Shape, n_features: usize) -> Tree {
        let mut tree = vec![TreeNode::Leaf { value: 0.0, cover: 1e4 }];
        match shape {
            Shape::Levels(depth) => {
                for _ in 0..depth {
                    let test = self.test(n_features);
                    for at in 0..tree.len() {
                        self.split(&mut tree, at, test);
                    }
                }
            }
            Shape::Leaves(n_leaves) => {
                for _ in 1..n_leaves {
                    // The wider of two leaves: unbalanced, yet no comb.
                    let leaves: Vec<usize> =
                        (0..tree.len()).filter(|&at| tree[at].child().is_none()).collect();
                    let (a, b) = (leaves[self.below(leaves.len())], leaves[self.below(leaves.len())]);
                    let at = if tree[a].cover() >= tree[b].cover() { a } else { b };
                    let test = self.test(n_features);
                    self.split(&mut tree, at, test);
                }
            }
        }
        tree
    }

    /// Feature, border, and whether a missing number passes.
    fn test(&mut self, n_features: usize) -> (usize, usize, bool) {
        (self.below(n_features), 1 + self.below(N_BORDERS), self.below(2) == 0)
    }

    fn split(&mut self, tree: &mut Tree, at: usize, (feature, border, missing_passes): (usize, usize, bool)) {
        if tree[at].child().is_some() {
            return;
        }
        let (cover, child, bound) = (tree[at].cover(), tree.len(), border as f64 / 256.0);
        for cover in [cover * bound, cover * (1.0 - bound)] {
            tree.push(TreeNode::Leaf { value: self.below(2001) as f64 / 1e4 - 0.1, cover });
        }
        tree[at] = TreeNode::AtMost { feature, bound, missing_passes, child, cover };
    }
}
