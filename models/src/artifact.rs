//! The sealed artifact (`.nba`): all models of one training run, opened in place.
//!
//! [`Artifact::from_bytes`] is the one door: it checks magic, version, length, a checksum over every byte, the feature
//! schema, and the structure of every model (bounds, child order, finiteness). Past it nothing can fail: models are
//! views into the bytes, scored without decoding. Reading the file is the caller's; writing goes through
//! [`ArtifactBuilder`], also here, so that reader and writer share one layout.

use std::sync::Arc;

use serde::Serialize;

use crate::pricing::{DemandModel, PurchaseModel};
use crate::propensity::blend::Member;
use crate::propensity::calibration::Calibration;
use crate::propensity::interval::ProbabilityInterval;
use crate::propensity::{
    BlendModel, Bytes, ForestModel, LinearModel, PropensityModel, Scorer, ScorerSummary, TreesModel,
};
use crate::uplift::{UpliftCalibration, UpliftModel};
use crate::value::LifetimeModel;

mod builder;
mod golden;
mod layout;
mod lifetime;
pub mod metadata;

pub use builder::{ArtifactBuilder, PropensityParts, SealedScorer, UpliftParts};
pub use golden::GOLDEN_TOLERANCE;
pub use layout::{FORMAT_VERSION, MAGIC, SectionKind};
pub use metadata::{Metadata, ModelKind, ModelMetadata};

/// Why bytes are no artifact for this project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// Another kind of file.
    #[error("not an artifact: the file does not start with the .nba signature")]
    Magic,
    /// Written by newer code.
    #[error("artifact format {found}, this version reads 1 to {newest}")]
    Version {
        /// The file's.
        found: u32,
        /// The newest this code reads.
        newest: u32,
    },
    /// Bytes are missing.
    #[error("truncated: {found} bytes of {expected}")]
    Truncated {
        /// Bytes there should be.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// Bytes stand behind the end.
    #[error("{found} bytes where the artifact ends after {expected}")]
    Trailing {
        /// Bytes there should be.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// Something was changed after sealing.
    #[error("damaged: the checksum of the content is {found:016x}, sealed was {expected:016x}")]
    Checksum {
        /// As sealed.
        expected: u64,
        /// Of what is there.
        found: u64,
    },
    /// Something was changed after sealing, and the checksum with it.
    #[error("damaged: the SHA-256 of the content is {found}, sealed was {expected}")]
    Digest {
        /// As sealed, in hex.
        expected: String,
        /// Of what is there, in hex.
        found: String,
    },
    /// The table of sections cannot be.
    #[error("a table of {0} sections does not fit the file")]
    Table(usize),
    /// A section that is not what it should be.
    #[error("section {section}: {message}")]
    Section {
        /// Its number.
        section: usize,
        /// What is wrong.
        message: String,
    },
    /// The metadata cannot be read.
    #[error("metadata: {0}")]
    Metadata(String),
    /// Trained on other features.
    #[error("the artifact was trained on feature schema {found}, the project has {expected}; train again")]
    Schema {
        /// The project's fingerprint.
        expected: String,
        /// The artifact's.
        found: String,
    },
    /// Fitted on a table, asked for a project's features.
    #[error(
        "the artifact was fitted on a table (nextbest fit), not on a project's features; nextbest score applies it"
    )]
    OfTable,
    /// A model whose parts are missing or wrong.
    #[error("model {model:?}: {message}")]
    Model {
        /// Its name.
        model: String,
        /// What is wrong.
        message: String,
    },
}

/// An open artifact: checked, immutable, cheap to clone.
#[derive(Clone, Debug)]
pub struct Artifact {
    bytes: Bytes,
    sha256: String,
    metadata: Arc<Metadata>,
    propensities: Vec<(PropensityModel, golden::Golden)>,
    demand: Option<DemandModel>,
    lifetime: Option<lifetime::Sealed>,
    uplifts: Vec<(UpliftModel, golden::Golden)>,
}

impl Artifact {
    /// Opens `bytes`, for the features of `expected_schema` (their fingerprint in hex) if one is given.
    ///
    /// They are used where they are, nothing is copied: a `Vec<u8>` that was read, or [`Bytes`] that own a mapping.
    pub fn from_bytes(bytes: impl Into<Bytes>, expected_schema: Option<&str>) -> Result<Self, ArtifactError> {
        Self::open(bytes.into(), expected_schema)
    }

    fn open(bytes: Bytes, expected_schema: Option<&str>) -> Result<Self, ArtifactError> {
        let (sections, sha256) = layout::open(&bytes)?;
        let metadata = read_metadata(&bytes, &sections)?;
        if let Some(expected) = expected_schema
            && expected != metadata.schema_fingerprint
        {
            if metadata.table.is_some() {
                return Err(ArtifactError::OfTable);
            }
            let found = metadata.schema_fingerprint.clone();
            return Err(ArtifactError::Schema { expected: expected.to_owned(), found });
        }
        let (mut propensities, mut demand) = (Vec::new(), None);
        let (mut lifetime, mut uplifts) = (None, Vec::new());
        for model in &metadata.models {
            let n_features = model.width(metadata.feature_names.len());
            let door = Door { bytes: &bytes, sections: &sections, n_features };
            match model.kind {
                ModelKind::Propensity => propensities.push(door.propensity(model)?),
                ModelKind::Demand => demand = Some(door.demand(model)?),
                ModelKind::LifetimeValue => lifetime = Some(door.lifetime(model)?),
                ModelKind::Uplift => uplifts.push(door.uplift(model)?),
            }
        }
        Ok(Self { metadata: Arc::new(metadata), bytes, sha256, propensities, demand, lifetime, uplifts })
    }

    /// SHA-256 of the content, in hex: the artifact's identity in answers and logs.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What it says of itself.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The features of a row, in order.
    #[must_use]
    pub fn feature_names(&self) -> &[String] {
        &self.metadata.feature_names
    }

    /// The propensity model of label `name`.
    #[must_use]
    pub fn propensity(&self, name: &str) -> Option<&PropensityModel> {
        self.propensities().find(|model| model.name() == name)
    }

    /// All propensity models, in the order they were sealed.
    pub fn propensities(&self) -> impl Iterator<Item = &PropensityModel> {
        self.propensities.iter().map(|(model, _)| model)
    }

    /// The model of what one customer buys at a price.
    #[must_use]
    pub fn purchase(&self) -> Option<PurchaseModel<'_>> {
        self.propensities().find_map(PurchaseModel::of)
    }

    /// The demand model.
    #[must_use]
    pub const fn demand(&self) -> Option<&DemandModel> {
        self.demand.as_ref()
    }

    /// The lifetime-value model.
    #[must_use]
    pub fn lifetime(&self) -> Option<&LifetimeModel> {
        self.lifetime.as_ref().map(|sealed| &sealed.model)
    }

    /// All uplift models, in the order they were sealed.
    pub fn uplifts(&self) -> impl Iterator<Item = &UpliftModel> {
        self.uplifts.iter().map(|(model, _)| model)
    }

    /// The file, as it was read.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Computes the SHA-256 of the content, which opening takes from the header, and compares.
    pub fn check_digest(&self) -> Result<(), ArtifactError> {
        layout::check_digest(&self.bytes)
    }

    /// Scores the golden rows of every model and compares with what the learner gave.
    pub fn check_golden(&self) -> Result<GoldenCheck, GoldenMismatch> {
        let mut check = GoldenCheck { n_rows: 0, largest_difference: 0.0 };
        for (model, golden) in &self.propensities {
            check.rows(model.name(), golden, |features| model.score(features).get())?;
        }
        for (model, golden) in &self.uplifts {
            check.rows(model.name(), golden, |features| model.score(features).value)?;
        }
        if let Some(lifetime) = &self.lifetime {
            lifetime.check(&mut check)?;
        }
        Ok(check)
    }

    /// The golden rows of propensity or uplift model `name` with the scores its learner gave.
    #[must_use]
    pub fn golden_rows(&self, name: &str) -> Vec<(Vec<f64>, f64)> {
        let propensities = self.propensities.iter().map(|(model, golden)| (model.name(), golden));
        let uplifts = self.uplifts.iter().map(|(model, golden)| (model.name(), golden));
        let found = propensities.chain(uplifts).find(|(known, _)| *known == name);
        found.map(|(_, golden)| golden.rows()).unwrap_or_default()
    }

    fn shapes(&self) -> Vec<ModelShape<'_>> {
        let shape = |model, scorer, golden: &golden::Golden| ModelShape {
            model,
            scorer,
            n_golden_rows: golden.rows().len(),
        };
        let propensities = self.propensities.iter();
        let propensities = propensities.map(|(model, golden)| shape(model.name(), model.summary(), golden));
        let uplifts = self.uplifts.iter();
        let uplifts =
            uplifts.filter_map(|(model, golden)| Some(shape(model.name(), model.summary()?, golden)));
        propensities.chain(uplifts).collect()
    }

    /// All there is to tell, for people and programs.
    #[must_use]
    pub fn inspect(&self) -> Inspection<'_> {
        Inspection {
            format_version: FORMAT_VERSION,
            sha256: &self.sha256,
            n_bytes: self.bytes.len(),
            metadata: &self.metadata,
            scorers: self.shapes(),
            n_skus: self.demand.as_ref().map(DemandModel::n_skus),
            lifetime: self.lifetime(),
        }
    }
}

/// What [`Artifact::check_golden`] found in order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GoldenCheck {
    /// Rows compared, over all models.
    pub n_rows: usize,
    /// The largest difference between an expected and a computed probability or uplift.
    pub largest_difference: f64,
}

impl GoldenCheck {
    /// Takes the golden rows of model `name`, which `score` scores.
    fn rows(
        &mut self,
        name: &str,
        golden: &golden::Golden,
        score: impl Fn(&[f64]) -> f64,
    ) -> Result<(), GoldenMismatch> {
        for (row, (features, expected)) in golden.rows().into_iter().enumerate() {
            let found = score(&features);
            let difference = (found - expected).abs();
            if difference.is_nan() || difference > GOLDEN_TOLERANCE {
                return Err(GoldenMismatch { model: name.to_owned(), row, expected, found });
            }
            self.n_rows += 1;
            self.largest_difference = self.largest_difference.max(difference);
        }
        Ok(())
    }
}

/// A golden row that does not score as the learner scored it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("model {model:?} gives golden row {row} {found}, its learner gave {expected}")]
pub struct GoldenMismatch {
    /// The model.
    pub model: String,
    /// The row, from 0.
    pub row: usize,
    /// The learner's probability.
    pub expected: f64,
    /// The artifact's.
    pub found: f64,
}

/// The shape of a model that scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelShape<'a> {
    /// Its name.
    pub model: &'a str,
    /// Scorer, calibration and size.
    #[serde(flatten)]
    pub scorer: ScorerSummary,
    /// Golden rows that travel with it.
    pub n_golden_rows: usize,
}

/// What `nextbest inspect` shows.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection<'a> {
    /// The newest format this code writes.
    pub format_version: u32,
    /// Identity.
    pub sha256: &'a str,
    /// Size of the file.
    pub n_bytes: usize,
    /// What it says of itself.
    pub metadata: &'a Metadata,
    /// The shapes of its propensity models, and of uplift models with a scorer.
    pub scorers: Vec<ModelShape<'a>>,
    /// SKUs of the demand model.
    pub n_skus: Option<usize>,
    /// The lifetime-value model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<&'a LifetimeModel>,
}

fn read_metadata(bytes: &Bytes, sections: &[layout::Section]) -> Result<Metadata, ArtifactError> {
    let first = sections.first().filter(|section| section.kind == SectionKind::Metadata as u32);
    let json = first.and_then(|section| bytes.get(section.range.clone()));
    let json = json.ok_or_else(|| ArtifactError::Metadata("section 0 is none".to_owned()))?;
    let metadata: Metadata =
        serde_json::from_slice(json).map_err(|error| ArtifactError::Metadata(error.to_string()))?;
    if let Some(table) = &metadata.table
        && (table.feature_names() != metadata.feature_names
            || table.fingerprint() != metadata.schema_fingerprint)
    {
        return Err(ArtifactError::Metadata("the table's columns are not the models' features".to_owned()));
    }
    Ok(metadata)
}

/// Why a section does not open, as it will be told.
type Fault = Box<dyn std::error::Error>;

/// What is needed to open a model's sections.
struct Door<'a> {
    bytes: &'a Bytes,
    sections: &'a [layout::Section],
    n_features: usize,
}

impl Door<'_> {
    #[expect(clippy::needless_pass_by_value, reason = "errors and texts alike are told where they arise")]
    fn fault(model: &ModelMetadata, message: impl ToString) -> ArtifactError {
        ArtifactError::Model { model: model.name.clone(), message: message.to_string() }
    }

    fn section(&self, model: &ModelMetadata, role: &str) -> Result<&layout::Section, ArtifactError> {
        let number = model.sections.get(role);
        let number = number.ok_or_else(|| Self::fault(model, format!("has no {role} section")))?;
        self.sections
            .get(*number as usize)
            .ok_or_else(|| Self::fault(model, format!("its {role} section {number} is not there")))
    }

    fn expect(
        &self,
        model: &ModelMetadata,
        role: &str,
        kind: SectionKind,
    ) -> Result<std::ops::Range<usize>, ArtifactError> {
        let section = self.section(model, role)?;
        if section.kind == kind as u32 {
            return Ok(section.range.clone());
        }
        Err(Self::fault(model, format!("its {role} section is of kind {}, not {kind:?}", section.kind)))
    }

    fn linear(&self, model: &ModelMetadata, role: &str) -> Result<LinearModel, ArtifactError> {
        let range = self.expect(model, role, SectionKind::Linear)?;
        LinearModel::open(self.bytes, range, self.n_features).map_err(|e| Self::fault(model, e))
    }

    fn scorer(&self, model: &ModelMetadata) -> Result<Scorer, ArtifactError> {
        let section = self.section(model, "scorer")?;
        match self.member(section).map_err(|e| Self::fault(model, e))? {
            Some(Member::Linear(linear)) => return Ok(Scorer::Linear(linear)),
            Some(Member::Trees(trees)) => return Ok(Scorer::Trees(trees)),
            None => {}
        }
        if section.kind == SectionKind::Forest as u32 {
            let forest = ForestModel::open(self.bytes.clone(), section.range.clone(), self.n_features);
            return forest.map(Scorer::Forest).map_err(|e| Self::fault(model, e));
        }
        if section.kind == SectionKind::Blend as u32 {
            let bytes = self.bytes.get(section.range.clone()).unwrap_or(&[]);
            let open = |number: u32| match self.sections.get(number as usize) {
                Some(section) => self.member(section),
                None => Err(format!("its member section {number} is not there").into()),
            };
            return BlendModel::open(bytes, open).map(Scorer::Blend).map_err(|e| Self::fault(model, e));
        }
        Err(Self::fault(model, format!("its scorer is of the unknown section kind {}", section.kind)))
    }

    /// The model in `section` if it is of a kind that a blend may weigh.
    fn member(&self, section: &layout::Section) -> Result<Option<Member>, Fault> {
        let range = section.range.clone();
        Ok(match section.kind {
            kind if kind == SectionKind::Linear as u32 => {
                Some(Member::Linear(LinearModel::open(self.bytes, range, self.n_features)?))
            }
            kind if kind == SectionKind::Trees as u32 => {
                Some(Member::Trees(TreesModel::open(self.bytes, range, self.n_features)?))
            }
            _ => None,
        })
    }

    fn propensity(&self, model: &ModelMetadata) -> Result<(PropensityModel, golden::Golden), ArtifactError> {
        let scorer = self.scorer(model)?;
        let has_companion = model.sections.contains_key("companion");
        let companion = has_companion.then(|| self.linear(model, "companion")).transpose()?;
        let range = self.expect(model, "calibration", SectionKind::Calibration)?;
        let calibration = builder::numbers(self.bytes.get(range).unwrap_or(&[]));
        let calibration =
            calibration.ok_or_else(|| Self::fault(model, "its calibration is not whole numbers"))?;
        let calibration = Calibration::from_numbers(&calibration).map_err(|e| Self::fault(model, e))?;
        let range = self.expect(model, "golden", SectionKind::Golden)?;
        let golden = golden::Golden::open(self.bytes.clone(), range, self.n_features);
        let golden = golden.map_err(|message| Self::fault(model, message))?;
        let sealed = PropensityModel::new(Arc::new(model.clone()), scorer, companion, calibration);
        Ok((sealed.with_interval(self.interval(model)?), golden))
    }

    fn uplift(&self, model: &ModelMetadata) -> Result<(UpliftModel, golden::Golden), ArtifactError> {
        let has_scorer = model.sections.contains_key("scorer");
        let scorer = has_scorer.then(|| self.scorer(model)).transpose()?;
        let range = self.expect(model, "uplift", SectionKind::Uplift)?;
        let numbers = builder::numbers(self.bytes.get(range).unwrap_or(&[]));
        let numbers = numbers.ok_or_else(|| Self::fault(model, "its calibration is not whole numbers"))?;
        let calibration = UpliftCalibration::from_numbers(&numbers).map_err(|e| Self::fault(model, e))?;
        let range = self.expect(model, "golden", SectionKind::Golden)?;
        let golden = golden::Golden::open(self.bytes.clone(), range, self.n_features);
        let golden = golden.map_err(|message| Self::fault(model, message))?;
        Ok((UpliftModel::new(Arc::new(model.clone()), scorer, calibration), golden))
    }

    fn interval(&self, model: &ModelMetadata) -> Result<Option<ProbabilityInterval>, ArtifactError> {
        if !model.sections.contains_key("interval") {
            return Ok(None);
        }
        let range = self.expect(model, "interval", SectionKind::Interval)?;
        let numbers = builder::numbers(self.bytes.get(range).unwrap_or(&[]));
        let numbers = numbers.ok_or_else(|| Self::fault(model, "its interval is not whole numbers"))?;
        ProbabilityInterval::from_numbers(&numbers).map(Some).map_err(|e| Self::fault(model, e))
    }

    fn demand(&self, model: &ModelMetadata) -> Result<DemandModel, ArtifactError> {
        let range = self.expect(model, "demand", SectionKind::Demand)?;
        DemandModel::open(self.bytes.clone(), range).map_err(|e| Self::fault(model, e))
    }

    fn lifetime(&self, model: &ModelMetadata) -> Result<lifetime::Sealed, ArtifactError> {
        let range = self.expect(model, "lifetime", SectionKind::LifetimeValue)?;
        let golden = |role: &str| {
            let range = self.expect(model, role, SectionKind::Golden)?;
            let golden = golden::Golden::open(self.bytes.clone(), range, lifetime::N_COLUMNS);
            golden.map_err(|message| Self::fault(model, message))
        };
        let golden = [golden(lifetime::ROLES[0])?, golden(lifetime::ROLES[1])?, golden(lifetime::ROLES[2])?];
        let bytes = self.bytes.get(range).unwrap_or(&[]);
        lifetime::Sealed::open(&model.name, bytes, golden).map_err(|e| Self::fault(model, e))
    }
}

#[cfg(test)]
mod tests;
