//! Why a score is what it is: what each feature adds to the log-odds.
//!
//! Contributions are exact for linear models, trees (path-dependent TreeSHAP) and blends of them, and sum, with the
//! baseline, to the margin. They say what the *model* weighed, not what would happen if the customer changed: nothing
//! here is causal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which model the reasons describe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonSource {
    /// The model that gave the score.
    Model,
    /// A linear model of the same label and rows, sealed beside a scorer whose own reasons are not computed.
    LinearCompanion,
}

/// What one feature adds to the log-odds, against its mean over the training rows: of the feature for a linear model,
/// of what the trees make of it for trees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Its place in the row and among the feature names.
    pub feature: usize,
    /// Added to the log-odds; positive makes the outcome more likely.
    pub log_odds: f64,
    /// Whether the feature was missing in this row.
    pub missing: bool,
}

/// What a model makes of one row, beside the contributions that it adds up elsewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Explained {
    /// The row's log-odds.
    pub margin: f64,
    /// What the contributions add to: baseline and contributions sum to the margin.
    pub baseline: f64,
}

/// The reasons of one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Whose reasons these are.
    pub source: ReasonSource,
    /// Before calibration, the log-odds of a row at the training means for a linear model, the mean of the training
    /// rows' log-odds for trees, weighed from both for a blend.
    pub baseline: f64,
    /// `baseline` plus all contributions: the log-odds before calibration.
    pub margin: f64,
    /// One per feature the model uses, in the order of the features.
    pub contributions: Vec<Contribution>,
}

impl Explanation {
    /// The `n` contributions of the largest magnitude, largest first; ties keep the order of the features.
    #[must_use]
    pub fn strongest(&self, n: usize) -> Vec<Contribution> {
        let mut sorted = self.contributions.clone();
        sorted.sort_by(|a, b| b.log_odds.abs().total_cmp(&a.log_odds.abs()));
        sorted.truncate(n);
        sorted
    }

    /// The contributions with those of one group summed, so that correlated features read as one reason; the largest
    /// magnitude first, ties in the order of the features.
    ///
    /// `groups` names the group of each feature, by any number; a feature with none, or behind its end, stands alone.
    /// Shapley values of a group's members sum to what the group adds as their sum, not to the value it would have as
    /// one player: interactions with features outside are shared as the members share them.
    #[must_use]
    pub fn grouped(&self, groups: &[Option<usize>]) -> Vec<GroupedContribution> {
        let mut grouped: Vec<GroupedContribution> = Vec::new();
        let mut places = BTreeMap::new();
        for part in &self.contributions {
            let group = groups.get(part.feature).copied().flatten();
            let next = grouped.len();
            let place = group.map_or(next, |group| *places.entry(group).or_insert(next));
            if let Some(known) = grouped.get_mut(place) {
                known.features.push(part.feature);
                known.log_odds += part.log_odds;
                known.missing &= part.missing;
            } else {
                let (features, log_odds) = (vec![part.feature], part.log_odds);
                grouped.push(GroupedContribution { group, features, log_odds, missing: part.missing });
            }
        }
        grouped.sort_by(|a, b| b.log_odds.abs().total_cmp(&a.log_odds.abs()));
        grouped
    }
}

/// What a group of features adds to the log-odds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupedContribution {
    /// The group, or none for a feature that stands alone.
    pub group: Option<usize>,
    /// Its features that the model uses, ascending.
    pub features: Vec<usize>,
    /// Added to the log-odds; positive makes the outcome more likely.
    pub log_odds: f64,
    /// Whether all of its features were missing in this row.
    pub missing: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explanation() -> Explanation {
        let part = |feature, log_odds, missing| Contribution { feature, log_odds, missing };
        let contributions = vec![
            part(0, 0.25, true),
            part(2, -1.0, false),
            part(3, 0.5, true),
            part(5, 0.125, false),
            part(7, 0.5, true),
        ];
        Explanation { source: ReasonSource::Model, baseline: 1.0, margin: 1.375, contributions }
    }

    #[test]
    fn a_group_reads_as_one_reason() {
        let groups = [Some(9), None, None, Some(9), None, Some(4)];
        let grouped = explanation().grouped(&groups);
        let found: Vec<_> =
            grouped.iter().map(|g| (g.group, g.features.as_slice(), g.log_odds, g.missing)).collect();
        let expected = [
            (None, &[2][..], -1.0, false),
            (Some(9), &[0, 3][..], 0.75, true),
            (None, &[7][..], 0.5, true),
            (Some(4), &[5][..], 0.125, false),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_group_is_missing_only_where_all_of_it_is() {
        let grouped = explanation().grouped(&[Some(1), None, Some(1)]);
        assert_eq!((grouped[0].features.as_slice(), grouped[0].missing), (&[0, 2][..], false));
        assert!((grouped[0].log_odds + 0.75).abs() < f64::EPSILON);
    }

    #[test]
    fn without_groups_all_stand_alone_and_nothing_is_lost() {
        let explanation = explanation();
        let grouped = explanation.grouped(&[]);
        let strongest = explanation.strongest(usize::MAX);
        assert_eq!(grouped.len(), strongest.len());
        for (group, single) in grouped.iter().zip(strongest) {
            assert_eq!((group.features.as_slice(), group.log_odds), (&[single.feature][..], single.log_odds));
        }
    }
}
