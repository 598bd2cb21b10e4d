//! Writing an artifact: sections are gathered, numbered, described, and sealed.
//!
//! Pure: gives bytes. What it wrote is opened again before it is handed out, so nothing that cannot be opened leaves.

use std::collections::BTreeMap;

use zerocopy::little_endian::F64;
use zerocopy::{FromBytes, IntoBytes};

use super::layout::{self, SectionKind};
use super::metadata::{Metadata, ModelKind, ModelMetadata};
use super::{Artifact, ArtifactError, golden};
use crate::propensity::calibration::Calibration;
use crate::propensity::forest::{self, ForestError, NodeSpec};
use crate::propensity::linear::{self, ColumnSpec};

/// A fitted scorer in its sealed form: what a learner hands over. A new kind of scorer adds a constructor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedScorer {
    kind: SectionKind,
    bytes: Vec<u8>,
}

impl SealedScorer {
    /// A linear scorer: intercept (log-odds), columns in the order of their features with their coefficients.
    #[must_use]
    pub fn linear(intercept: f64, columns: &[(ColumnSpec, f64)]) -> Self {
        Self { kind: SectionKind::Linear, bytes: linear::seal(intercept, columns) }
    }

    /// A forest of trees over raw features.
    pub fn forest(trees: &[Vec<NodeSpec>]) -> Result<Self, ForestError> {
        Ok(Self { kind: SectionKind::Forest, bytes: forest::seal(trees)? })
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
        let mut roles =
            BTreeMap::from([("scorer".to_owned(), self.section(parts.scorer.kind, parts.scorer.bytes))]);
        if let Some(companion) = parts.companion {
            roles.insert("companion".to_owned(), self.section(companion.kind, companion.bytes));
        }
        let numbers = parts.calibration.to_numbers();
        let calibration = numbers.iter().flat_map(|&number| F64::new(number).as_bytes().to_vec()).collect();
        roles.insert("calibration".to_owned(), self.section(SectionKind::Calibration, calibration));
        let golden = golden::seal(self.metadata.feature_names.len(), &parts.golden);
        roles.insert("golden".to_owned(), self.section(SectionKind::Golden, golden));
        metadata.sections = roles;
        self.metadata.models.push(metadata);
    }

    /// Adds the demand model, in the form [`crate::pricing::demand::seal`] gives.
    pub fn demand(&mut self, mut metadata: ModelMetadata, sealed: Vec<u8>) {
        metadata.kind = ModelKind::Demand;
        let section = self.section(SectionKind::Demand, sealed);
        metadata.sections = BTreeMap::from([("demand".to_owned(), section)]);
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

    fn section(&mut self, kind: SectionKind, bytes: Vec<u8>) -> u32 {
        self.sections.push((kind, bytes));
        // Section 0 is the metadata.
        u32::try_from(self.sections.len()).unwrap_or(u32::MAX)
    }
}

/// The numbers of a section that holds nothing else.
pub(super) fn numbers(bytes: &[u8]) -> Option<Vec<f64>> {
    let numbers = <[F64]>::ref_from_bytes(bytes).ok()?;
    Some(numbers.iter().map(|number| number.get()).collect())
}
