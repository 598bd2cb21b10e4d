//! The list of reasons as a part of the project folder: its faults by file and line, what changing it leaves alone, and
//! that an example's list loses nothing of a score.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};

use nextbest_models::artifact::{
    Artifact, ArtifactBuilder, Metadata, ModelKind, ModelMetadata, PropensityParts, SealedScorer,
};
use nextbest_models::policy::response::OFFER_COLUMNS;
use nextbest_models::project::{Project, ProjectFaults};
use nextbest_models::propensity::Calibration;
use nextbest_models::propensity::linear::{ColumnSpec, Transform};
use nextbest_models::propensity::trees::TreeNode;
use nextbest_models::units::{Seed, Timestamp};

const SHOP: [(&str, &str); 4] = [
    ("nextbest.toml", include_str!("../../examples/shop/nextbest.toml")),
    ("features.toml", include_str!("../../examples/shop/features.toml")),
    ("policy.toml", include_str!("../../examples/shop/policy.toml")),
    ("pricing.toml", include_str!("../../examples/shop/pricing.toml")),
];
const RETAIL: [(&str, &str); 4] = [
    ("nextbest.toml", include_str!("../../examples/retail/nextbest.toml")),
    ("features.toml", include_str!("../../examples/retail/features.toml")),
    ("policy.toml", include_str!("../../examples/retail/policy.toml")),
    ("pricing.toml", include_str!("../../examples/retail/pricing.toml")),
];

/// The shop with another features.toml.
fn shop_with(features: &str) -> Result<Project, ProjectFaults> {
    let text = |file: &str| SHOP.iter().find(|(name, _)| *name == file).unwrap().1;
    Project::read(|file| Ok(if file == "features.toml" { features } else { text(file) }.to_owned()))
}

fn shop() -> Project {
    shop_with(SHOP[1].1).unwrap()
}

/// A blend over all features of `project`: linear in each, and a tree of the first and the last.
fn artifact(project: &Project) -> Artifact {
    let n_features = project.schema.n_features();
    let columns = (0_u32..).take(n_features).map(|n| {
        let transform = Transform::Value { fill: 0.5 };
        let coefficient = (f64::from(n * 7 % 5) - 2.25) / 8.0;
        (ColumnSpec { feature: n as usize, transform, mean: 1.0, inverse_scale: 0.25 }, coefficient)
    });
    let linear = SealedScorer::linear(-0.75, &columns.collect::<Vec<_>>());
    let at_most = |feature, bound, child, cover| TreeNode::AtMost {
        feature,
        bound,
        missing_passes: true,
        child,
        cover,
    };
    let leaf = |value, cover| TreeNode::Leaf { value, cover };
    let tree = vec![
        at_most(0, 1.5, 1, 32.0),
        at_most(n_features - 1, 0.5, 3, 16.0),
        leaf(-0.5, 16.0),
        leaf(0.75, 8.0),
        leaf(0.25, 8.0),
    ];
    let trees = SealedScorer::trees(0.125, &[tree]).unwrap();
    let mut builder = ArtifactBuilder::new(Metadata {
        name: "shop".to_owned(),
        schema_fingerprint: project.schema.fingerprint().to_owned(),
        feature_names: project.schema.names().to_vec(),
        trained_through: "2026-02-01T00:00:00Z".parse::<Timestamp>().unwrap(),
        code_version: "0.1.0".to_owned(),
        seed: Seed(7),
        sources: BTreeMap::new(),
        table: None,
        models: Vec::new(),
    });
    builder.propensity(PropensityParts {
        metadata: ModelMetadata {
            name: "churn".to_owned(),
            kind: ModelKind::Propensity,
            learner: "by hand".to_owned(),
            label: None,
            response: None,
            purchase: None,
            counts: BTreeMap::new(),
            metrics: BTreeMap::new(),
            notes: Vec::new(),
            sections: BTreeMap::new(),
        },
        scorer: SealedScorer::blend(0.0, vec![(0.5, linear), (0.5, trees)]).unwrap(),
        companion: None,
        calibration: Calibration::Identity,
        golden: Vec::new(),
    });
    builder.seal().unwrap()
}

#[test]
fn an_examples_reasons_and_the_baseline_sum_to_the_margin() {
    let project = shop();
    let (n_features, artifact) = (project.schema.n_features(), artifact(&project));
    let model = artifact.propensity("churn").unwrap();
    for row in 0_u32..50 {
        let value = |n: u32| match (row * 31 + n * 17) % 7 {
            0 => f64::NAN,
            other => f64::from(other) - 1.0,
        };
        let row: Vec<f64> = (0_u32..).take(n_features).map(value).collect();
        let explanation = model.explain(&row);
        let named = project.reasons.name_contributions(&explanation);
        let sum = explanation.baseline + named.iter().map(|part| part.log_odds).sum::<f64>();
        // Each of the additions on either way rounds at most by half a last place of the largest sum on it.
        let parts = explanation.contributions.iter().map(|part| part.log_odds.abs());
        let magnitude = explanation.baseline.abs() + parts.sum::<f64>();
        let additions = f64::from(u32::try_from(4 * n_features).unwrap());
        assert!((sum - model.margin(&row)).abs() <= additions * f64::EPSILON * magnitude, "{row:?}");

        assert!(named.is_sorted_by(|a, b| a.log_odds.abs() >= b.log_odds.abs()));
        let told: BTreeSet<&str> = named.iter().flat_map(|part| part.features.iter().copied()).collect();
        assert_eq!(told.len(), n_features, "every feature is told of once");
        for part in &named {
            let at = |name: &&str| project.schema.names().iter().position(|known| known == name).unwrap();
            assert_eq!(part.missing, part.features.iter().all(|name| row[at(name)].is_nan()), "{part:?}");
        }
    }
}

#[test]
fn the_examples_have_words_for_every_feature_in_both_directions() {
    use nextbest_models::feature::reason::Direction::{Lowers, Raises};
    for files in [SHOP, RETAIL] {
        let text = |file: &str| files.iter().find(|(name, _)| *name == file).unwrap().1.to_owned();
        let project = Project::read(|file| Ok(text(file))).unwrap();
        let mut n_named = 0;
        for reason in project.reasons.reasons() {
            let (raises, lowers) = (reason.text(Raises).unwrap(), reason.text(Lowers).unwrap());
            assert!(raises.ends_with("it more likely") && lowers.ends_with("it less likely"), "{reason:?}");
            n_named += reason.features().len();
        }
        let n_offer = if project.settings.responses.is_empty() { 0 } else { OFFER_COLUMNS.len() };
        assert_eq!(n_named, project.schema.n_features() + n_offer);
    }
}

#[test]
fn other_words_and_groups_ask_for_no_training() {
    let before = shop();
    let sealed = artifact(&before).as_bytes().to_vec();
    let features = SHOP[1].1;
    let reworded = features.replace("How much they spend makes it", "Their spending makes it");
    let regrouped = features.replace("\"views_30d\", ", "");
    let without = features.split("[[reason]]").next().unwrap();
    for changed in [&reworded, &regrouped, without] {
        assert_ne!(changed, features);
        let after = shop_with(changed).unwrap();
        assert_eq!(after.schema.fingerprint(), before.schema.fingerprint());
        assert!(Artifact::from_bytes(sealed.clone(), Some(after.schema.fingerprint())).is_ok());
        // What was decided under the other words is told apart.
        assert_ne!(after.sha256["features.toml"], before.sha256["features.toml"]);
        assert_ne!(after.fingerprint(), before.fingerprint());
    }
    // A feature's own change does.
    let widened = features.replace("window_days = 30\n", "window_days = 31\n");
    assert_ne!(shop_with(&widened).unwrap().schema.fingerprint(), before.schema.fingerprint());
}

#[test]
fn faults_name_file_line_and_value() {
    let features = SHOP[1].1;
    let header = features.lines().count() + 2;
    let cases = [
        ("code = \"support\"\ntext = \"a\"\nfeatures = []", 1, "two reasons have the code \"support\""),
        (
            "code = \"views_30d\"\ntext = \"a\"\nfeatures = []",
            1,
            "reason \"views_30d\": a feature has this name, and the reason does not hold it",
        ),
        (
            "code = \"Über\"\ntext = \"a\"\nfeatures = []",
            1,
            "reason \"Über\": a code takes lower-case letters, digits and _",
        ),
        (
            "code = \"x\"\ntext = \"\"\nfeatures = []",
            2,
            "reason \"x\": text has 0 characters, outside 1 ..= 200",
        ),
        ("code = \"x\"\ntext = \"a\"\nfeatures = []", 3, "reason \"x\": features names none"),
        (
            "code = \"x\"\ntext = \"a\"\nfeatures = [\n  \"tenure\",\n]",
            4,
            "reason \"x\": feature \"tenure\" is in reason \"tenure\" already",
        ),
        (
            "code = \"x\"\ntext = \"a\"\nfeatures = [\n  \"tenur\",\n]",
            4,
            "reason \"x\": \"tenur\" is no feature of this file",
        ),
        ("code = \"x\"\nfeatures = []", 0, "missing field `text`"),
        ("code = \"x\"\ntext = \"a\"\nlower = \"b\"\nfeatures = []", 3, "unknown field `lower`"),
    ];
    for (reason, line, expected) in cases {
        let faults = shop_with(&format!("{features}\n[[reason]]\n{reason}")).unwrap_err();
        let place = format!("features.toml:{}:", header + line);
        let told = faults.to_string();
        assert!(
            told.lines().any(|one| one.starts_with(&place) && one.contains(expected)),
            "{told} is not {place} {expected}"
        );
    }

    // Faults of features and of reasons come together.
    let both = features.replacen("kind = \"distinct\"\n", "kind = \"trend\"\nhalf_life_days = 0.1\n", 1);
    let told = shop_with(&both.replace("[\"support_90d\"]", "[\"support\"]")).unwrap_err().to_string();
    assert!(told.contains("half_life_days 0.1") && told.contains("\"support\" is no feature"), "{told}");
}

#[test]
fn the_reason_in_the_readme_is_one() {
    let readme = include_str!("../../README.md");
    let example = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let features = SHOP[1].1.split("[[reason]]").next().unwrap();
    let project = shop_with(&format!("{features}\n{example}")).unwrap();
    assert_eq!(project.reasons.find("order_frequency").unwrap().features().len(), 4);
}
