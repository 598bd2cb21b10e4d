//! Additive trees and blends through the door of the artifact: scores and reasons by hand, refusals by name.

use super::*;
use crate::propensity::blend::BlendError;
use crate::propensity::{Explained, Rows, Scratch};
use crate::units::Probability;

#[test]
fn trees_and_blends_score_as_by_hand() {
    let artifact = larger().seal().unwrap();
    let model = |name| artifact.propensity(name).unwrap();
    let numbers: Vec<f64> = ROWS.concat();
    let mut probabilities = [Probability::from_log_odds(0.0); ROWS.len()];
    for row in ROWS {
        let recency = if row[0].is_finite() && row[0] > 1.5 { -1.0 } else { 1.0 };
        let by_trees = 0.25 + recency + if row[1] == 2.0 { 0.5 } else { -0.25 };
        assert!((model("trees").margin(&row) - by_trees).abs() < 1e-12, "{row:?}");
        let by_blend = 0.125 + 0.75 * model("churn").margin(&row) + 0.25 * by_trees;
        assert!((model("blend").margin(&row) - by_blend).abs() < 1e-12, "{row:?}");
    }
    for model in artifact.propensities() {
        model.score_many(Rows::new(&numbers, 2), &mut probabilities);
        for (row, probability) in ROWS.iter().zip(probabilities) {
            assert_eq!(
                model.score(row).get().to_bits(),
                probability.get().to_bits(),
                "{} {row:?}",
                model.name()
            );
        }
    }
}

#[test]
fn reasons_of_trees_and_blends_are_their_own_and_add_up() {
    let artifact = larger().seal().unwrap();
    let (trees, blend) = (artifact.propensity("trees").unwrap(), artifact.propensity("blend").unwrap());
    // Means over covers: (30 - 10) / 40 and (15 - 2.5) / 40.
    let reasons = trees.explain(&[1.0, f64::NAN]);
    assert!((reasons.baseline - (0.25 + 0.5 + 0.3125)).abs() < 1e-12);
    let added: Vec<f64> = reasons.contributions.iter().map(|part| part.log_odds).collect();
    // One feature a tree: what it adds is the leaf less the mean; both are exact in single precision.
    assert_eq!(added, [0.5, -0.5625]);
    assert!(!reasons.contributions[0].missing && reasons.contributions[1].missing);
    let mut scratch = Scratch::default();
    for row in ROWS {
        let reasons = blend.explain(&row);
        assert_eq!(reasons.source, ReasonSource::Model);
        let sum = reasons.baseline + reasons.contributions.iter().map(|part| part.log_odds).sum::<f64>();
        assert!((sum - reasons.margin).abs() < 1e-12 && (sum - blend.margin(&row)).abs() < 1e-12);
        let linear = artifact.propensity("churn").unwrap().explain(&row);
        let trees = trees.explain(&row);
        let mut added = [f64::NAN; 2];
        let (_, Explained { baseline, .. }) = blend.score_with_contributions(&row, &mut added, &mut scratch);
        assert!((baseline - (0.125 + 0.75 * linear.baseline + 0.25 * trees.baseline)).abs() < 1e-12);
        for ((added, linear), trees) in added.iter().zip(linear.contributions).zip(trees.contributions) {
            assert!((added - (0.75 * linear.log_odds + 0.25 * trees.log_odds)).abs() < 1e-12, "{row:?}");
        }
    }
}

#[test]
fn a_score_with_reasons_is_the_score_and_the_reasons() {
    let artifact = larger().seal().unwrap();
    for (model, row) in artifact.propensities().flat_map(|model| ROWS.map(|row| (model, row))) {
        let (probability, explanation) = model.score_and_explain(&row);
        assert_eq!(
            probability.get().to_bits(),
            model.score(&row).get().to_bits(),
            "{} {row:?}",
            model.name()
        );
        assert_eq!(explanation, model.explain(&row));
        if explanation.source == ReasonSource::Model {
            assert_eq!(explanation.margin.to_bits(), model.margin(&row).to_bits());
        }
    }
}

#[test]
fn summaries_name_layouts_and_sizes() {
    let artifact = larger().seal().unwrap();
    let summary = |name| artifact.propensity(name).unwrap().summary();
    let trees = summary("trees");
    assert_eq!((trees.scorer, trees.n_columns, trees.n_trees, trees.n_nodes), ("trees", 0, 2, 6));
    assert_eq!(trees.layouts, ["symmetric"]);
    let blend = summary("blend");
    assert_eq!((blend.scorer, blend.n_columns, blend.n_trees, blend.n_nodes), ("blend", 3, 4, 12));
    assert_eq!(blend.layouts, ["symmetric", "symmetric"]);
    assert!(summary("conversion").layouts.is_empty());
}

#[test]
fn what_cannot_be_blended_is_named() {
    let of = |members| SealedScorer::blend(0.0, members);
    assert_eq!(of(vec![]), Err(BlendError::Members(0)));
    assert_eq!(of(vec![(0.1, linear()); 65]), Err(BlendError::Members(65)));
    assert_eq!(of(vec![(0.5, linear()), (0.5, forest())]), Err(BlendError::Kind(1)));
    assert_eq!(of(vec![(0.5, blend())]), Err(BlendError::Kind(0)));
    assert_eq!(of(vec![(1e4, linear())]), Err(BlendError::Weight(1e4)));
    assert!(matches!(of(vec![(f64::NAN, linear())]), Err(BlendError::Weight(_))));
    assert!(matches!(SealedScorer::blend(f64::INFINITY, vec![(1.0, linear())]), Err(BlendError::Weight(_))));
}

#[test]
fn a_blend_of_sections_that_are_no_members_does_not_open() {
    let sections = larger().sections_for_test();
    let blend = sections.iter().position(|(kind, _)| *kind == SectionKind::Blend).unwrap();
    let forest = sections.iter().position(|(kind, _)| *kind == SectionKind::Forest).unwrap();
    // The intercept, the first member's weight, its section.
    let number = 16..20;
    for (section, expected) in [
        (forest, "member 0 is neither linear nor trees"),
        (blend, "member 0 is neither linear nor trees"),
        (0, "member 0 is neither linear nor trees"),
        (9999, "section 9999 is not there"),
    ] {
        let mut sections = sections.clone();
        sections[blend].1[number.clone()].copy_from_slice(&u32::try_from(section).unwrap().to_le_bytes());
        let error = Artifact::from_bytes(layout::seal(&sections), None).unwrap_err();
        assert!(
            matches!(&error, ArtifactError::Model { model, message }
            if model == "blend" && message.contains(expected)),
            "{section}: {error}"
        );
    }
    let mut cut = sections;
    cut[blend].1.pop();
    let error = Artifact::from_bytes(layout::seal(&cut), None).unwrap_err();
    assert!(error.to_string().contains("bytes are not an intercept and whole members"), "{error}");
}

#[test]
fn trees_of_features_that_are_not_there_do_not_open() {
    let mut trees = stumps();
    if let TreeNode::AtMost { feature, .. } = &mut trees[0][0] {
        *feature = 2;
    }
    let error = with_scorer(SealedScorer::trees(0.0, &trees).unwrap()).unwrap_err();
    assert!(error.to_string().contains("reads feature 2, there are 2"), "{error}");
}
