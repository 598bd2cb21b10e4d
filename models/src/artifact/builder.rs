//! Writing an artifact: sections are gathered, numbered, described, and sealed.
//!
//! Pure: gives bytes. What it wrote is opened again before it is handed out, so nothing that cannot be opened leaves.

use std::collections::BTreeMap;

use zerocopy::little_endian::F64;
use zerocopy::{FromBytes, IntoBytes};

use super::layout::{self, SectionKind};
use super::metadata::{Metadata, ModelKind, ModelMetadata};
use super::{Artifact, ArtifactError, golden, lifetime};
use crate::propensity::blend::{self, BlendError};
use crate::propensity::calibration::Calibration;
use crate::propensity::forest::{self, ForestError, NodeSpec};
use crate::propensity::interval::ProbabilityInterval;
use crate::propensity::linear::{self, ColumnSpec};
use crate::propensity::trees::{self, Tree, TreesError};
use crate::uplift::UpliftCalibration;
use crate::value::{CustomerSummary, LifetimeModel, RealisedLine, ValueScore};

/// A fitted scorer in its sealed form: what a learner hands over. A new kind of scorer adds a constructor.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedScorer(Sealed);

#[derive(Clone, Debug, PartialEq)]
enum Sealed {
    /// A section.
    Section(SectionKind, Vec<u8>),
    /// An intercept and weighed sections: a section more than there are members.
    Blend(f64, Vec<(f64, SectionKind, Vec<u8>)>),
}

impl SealedScorer {
    /// A linear scorer: intercept (log-odds), columns in the order of their features with their coefficients.
    #[must_use]
    pub fn linear(intercept: f64, columns: &[(ColumnSpec, f64)]) -> Self {
        Self(Sealed::Section(SectionKind::Linear, linear::seal(intercept, columns)))
    }

    /// A forest of trees over raw features, whose probabilities are averaged.
    pub fn forest(trees: &[Vec<NodeSpec>]) -> Result<Self, ForestError> {
        Ok(Self(Sealed::Section(SectionKind::Forest, forest::seal(trees)?)))
    }

    /// Additive trees over raw features: log-odds are `base` plus the value of the leaf of each tree.
    pub fn trees(base: f64, trees: &[Tree]) -> Result<Self, TreesError> {
        Ok(Self(Sealed::Section(SectionKind::Trees, trees::seal(base, trees)?)))
    }

    /// A blend: log-odds are `intercept` plus each member's, times its weight. Members are linear or trees.
    pub fn blend(intercept: f64, members: Vec<(f64, Self)>) -> Result<Self, BlendError> {
        let is_member =
            |scorer: &Self| matches!(scorer.0, Sealed::Section(SectionKind::Linear | SectionKind::Trees, _));
        let weights: Vec<(f64, bool)> =
            members.iter().map(|(weight, scorer)| (*weight, is_member(scorer))).collect();
        blend::check(intercept, &weights)?;
        let sections = members.into_iter().filter_map(|(weight, Self(sealed))| match sealed {
            Sealed::Section(kind, bytes) => Some((weight, kind, bytes)),
            Sealed::Blend(..) => None,
        });
        Ok(Self(Sealed::Blend(intercept, sections.collect())))
    }
}

/// All parts of one propensity model.
#[derive(Clone, Debug)]
pub struct PropensityParts {
    /// Described but for its sections, which are filled in here.
    pub metadata: ModelMetadata,
    /// What scores.
    pub scorer: SealedScorer,
    /// The linear model that gives the reasons of a scorer of another kind.
    pub companion: Option<SealedScorer>,
    /// Margin to probability.
    pub calibration: Calibration,
    /// Rows with the calibrated probability the learner itself gives.
    pub golden: Vec<(Vec<f64>, f64)>,
}

/// All parts of one uplift model.
#[derive(Clone, Debug)]
pub struct UpliftParts {
    /// Described but for its sections, which are filled in here.
    pub metadata: ModelMetadata,
    /// What scores: its margin is a difference of probabilities. None where the effect is the same for everybody.
    pub scorer: Option<SealedScorer>,
    /// Raw score to uplift and interval.
    pub calibration: UpliftCalibration,
    /// Rows with the uplift the learner itself gives.
    pub golden: Vec<(Vec<f64>, f64)>,
}

/// All parts of a model of realised value.
#[derive(Clone, Debug)]
pub struct RealisedParts {
    /// Described but for its sections, which are filled in here.
    pub metadata: ModelMetadata,
    /// What scores: its margin is an amount, in units of the mean.
    pub scorer: SealedScorer,
    /// Scores to amounts.
    pub line: RealisedLine,
    /// Rows with the amount the learner itself gives, in minor units.
    pub golden: Vec<(Vec<f64>, f64)>,
}

/// Gathers models and seals them.
#[derive(Clone, Debug)]
pub struct ArtifactBuilder {
    metadata: Metadata,
    sections: Vec<(SectionKind, Vec<u8>)>,
}

impl ArtifactBuilder {
    /// Starts with `metadata`, whose models are replaced by those added.
    #[must_use]
    pub fn new(mut metadata: Metadata) -> Self {
        metadata.models.clear();
        Self { metadata, sections: Vec::new() }
    }

    /// Adds a propensity model.
    pub fn propensity(&mut self, parts: PropensityParts) {
        let mut metadata = parts.metadata;
        metadata.kind = ModelKind::Propensity;
        let mut roles = BTreeMap::from([("scorer".to_owned(), self.scorer(parts.scorer))]);
        if let Some(companion) = parts.companion {
            roles.insert("companion".to_owned(), self.scorer(companion));
        }
        let calibration = sealed_numbers(&parts.calibration.to_numbers());
        roles.insert("calibration".to_owned(), self.section(SectionKind::Calibration, calibration));
        let width = metadata.width(self.metadata.feature_names.len());
        let golden = golden::seal(width, &parts.golden);
        roles.insert("golden".to_owned(), self.section(SectionKind::Golden, golden));
        metadata.sections = roles;
        self.metadata.models.push(metadata);
    }

    /// Adds an uplift model.
    pub fn uplift(&mut self, parts: UpliftParts) {
        let mut metadata = parts.metadata;
        metadata.kind = ModelKind::Uplift;
        let mut roles = BTreeMap::new();
        if let Some(scorer) = parts.scorer {
            roles.insert("scorer".to_owned(), self.scorer(scorer));
        }
        let calibration = sealed_numbers(&parts.calibration.to_numbers());
        roles.insert("uplift".to_owned(), self.section(SectionKind::Uplift, calibration));
        let width = metadata.width(self.metadata.feature_names.len());
        let golden = golden::seal(width, &parts.golden);
        roles.insert("golden".to_owned(), self.section(SectionKind::Golden, golden));
        metadata.sections = roles;
        self.metadata.models.push(metadata);
    }

    /// Adds the model of realised value, which tells lifetime values instead of the closed form.
    pub fn realised(&mut self, parts: RealisedParts) {
        let mut metadata = parts.metadata;
        metadata.kind = ModelKind::RealisedValue;
        let mut roles = BTreeMap::from([("scorer".to_owned(), self.scorer(parts.scorer))]);
        let line = sealed_numbers(&parts.line.to_numbers());
        roles.insert("realised".to_owned(), self.section(SectionKind::RealisedValue, line));
        let width = metadata.width(self.metadata.feature_names.len());
        let golden = golden::seal(width, &parts.golden);
        roles.insert("golden".to_owned(), self.section(SectionKind::Golden, golden));
        metadata.sections = roles;
        self.metadata.models.push(metadata);
    }

    /// Adds an interval to the propensity model that was added last; nothing where there is none.
    pub fn interval(&mut self, interval: &ProbabilityInterval) {
        let section = self.section(SectionKind::Interval, sealed_numbers(&interval.to_numbers()));
        let mut models = self.metadata.models.iter_mut();
        if let Some(last) = models.rfind(|model| model.kind == ModelKind::Propensity) {
            last.sections.insert("interval".to_owned(), section);
        }
    }

    /// Adds the demand model, in the form [`crate::pricing::demand::seal`] gives.
    pub fn demand(&mut self, mut metadata: ModelMetadata, sealed: Vec<u8>) {
        metadata.kind = ModelKind::Demand;
        let section = self.section(SectionKind::Demand, sealed);
        metadata.sections = BTreeMap::from([("demand".to_owned(), section)]);
        self.metadata.models.push(metadata);
    }

    /// Adds the lifetime-value model, with customers and what it told of them when it was fitted.
    pub fn lifetime(
        &mut self,
        metadata: ModelMetadata,
        model: &LifetimeModel,
        golden: &[(CustomerSummary, ValueScore)],
    ) {
        let golden: Vec<_> = golden.iter().map(|(of, score)| (*of, Vec::new(), *score)).collect();
        self.lifetime_with(metadata, model, &golden);
    }

    /// The same of a model with covariates, whose values stand beside each customer.
    pub fn lifetime_with(
        &mut self,
        mut metadata: ModelMetadata,
        model: &LifetimeModel,
        golden: &[(CustomerSummary, Vec<f64>, ValueScore)],
    ) {
        metadata.kind = ModelKind::LifetimeValue;
        let section = self.section(SectionKind::LifetimeValue, lifetime::seal(model));
        metadata.sections = BTreeMap::from([("lifetime".to_owned(), section)]);
        for (role, rows) in lifetime::ROLES.into_iter().zip(lifetime::golden_rows(golden)) {
            let section = self.section(SectionKind::Golden, golden::seal(lifetime::width(model), &rows));
            metadata.sections.insert(role.to_owned(), section);
        }
        self.metadata.models.push(metadata);
    }

    /// The sealed file; opened once to make sure that it opens. The same parts give the same bytes.
    pub fn seal(self) -> Result<Artifact, ArtifactError> {
        let fingerprint = self.metadata.schema_fingerprint.clone();
        Artifact::from_bytes(layout::seal(&self.all_sections()?), Some(&fingerprint))
    }

    fn all_sections(self) -> Result<Vec<(SectionKind, Vec<u8>)>, ArtifactError> {
        let json = serde_json::to_vec(&self.metadata).map_err(|e| ArtifactError::Metadata(e.to_string()))?;
        let mut sections = vec![(SectionKind::Metadata, json)];
        sections.extend(self.sections);
        Ok(sections)
    }

    /// The sections as they would be sealed, to be tampered with.
    #[cfg(test)]
    pub(super) fn sections_for_test(self) -> Vec<(SectionKind, Vec<u8>)> {
        self.all_sections().unwrap()
    }

    /// The number of the scorer's section, which stands behind its members'.
    fn scorer(&mut self, SealedScorer(sealed): SealedScorer) -> u32 {
        match sealed {
            Sealed::Section(kind, bytes) => self.section(kind, bytes),
            Sealed::Blend(intercept, members) => {
                let numbered =
                    members.into_iter().map(|(weight, kind, bytes)| (weight, self.section(kind, bytes)));
                let members: Vec<(f64, u32)> = numbered.collect();
                self.section(SectionKind::Blend, blend::seal(intercept, &members))
            }
        }
    }

    fn section(&mut self, kind: SectionKind, bytes: Vec<u8>) -> u32 {
        self.sections.push((kind, bytes));
        // Section 0 is the metadata.
        u32::try_from(self.sections.len()).unwrap_or(u32::MAX)
    }
}

fn sealed_numbers(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|&number| F64::new(number).as_bytes().to_vec()).collect()
}

/// The numbers of a section that holds nothing else.
pub(super) fn numbers(bytes: &[u8]) -> Option<Vec<f64>> {
    let numbers = <[F64]>::ref_from_bytes(bytes).ok()?;
    Some(numbers.iter().map(|number| number.get()).collect())
}
