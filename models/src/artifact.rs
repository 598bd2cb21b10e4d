//! The sealed artifact (`.nba`): all models of one training run, opened in place.
//!
//! [`Artifact::from_bytes`] is the one door: it checks magic, version, length, a checksum over every byte, the feature
//! schema, and the structure of every model (bounds, child order, finiteness). Past it nothing can fail: models are
//! views into the bytes, scored without decoding. Reading the file is the caller's; writing goes through
//! [`ArtifactBuilder`], also here, so that reader and writer share one layout.

use std::sync::Arc;

use serde::Serialize;

use crate::pricing::{DemandModel, PurchaseModel};
use crate::propensity::{Bytes, PropensityModel, ScorerSummary};
use crate::uplift::UpliftModel;
use crate::value::{LifetimeModel, LifetimeModels, RealisedModel};

mod builder;
mod door;
mod golden;
mod layout;
mod lifetime;
pub mod metadata;

pub use builder::{ArtifactBuilder, PropensityParts, RealisedParts, SealedScorer, UpliftParts};
pub use golden::GOLDEN_TOLERANCE;
pub use layout::{FORMAT_VERSION, MAGIC, SectionKind};
pub use metadata::{Metadata, ModelKind, ModelMetadata};

use door::{Door, read_metadata};

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
    realised: Option<(RealisedModel, golden::Golden)>,
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
        let (mut lifetime, mut realised, mut uplifts) = (None, None, Vec::new());
        for model in &metadata.models {
            let n_features = model.width(metadata.feature_names.len());
            let door = Door { bytes: &bytes, sections: &sections, n_features };
            match model.kind {
                ModelKind::Propensity => propensities.push(door.propensity(model)?),
                ModelKind::Demand => demand = Some(door.demand(model)?),
                ModelKind::LifetimeValue => lifetime = Some(door.lifetime(model)?),
                ModelKind::Uplift => uplifts.push(door.uplift(model)?),
                ModelKind::RealisedValue => realised = Some(door.realised(model)?),
            }
        }
        Ok(Self {
            metadata: Arc::new(metadata),
            bytes,
            sha256,
            propensities,
            demand,
            lifetime,
            realised,
            uplifts,
        })
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

    /// The model of realised value; where there is one, it tells lifetime values instead of [`Self::lifetime`].
    #[must_use]
    pub fn realised(&self) -> Option<&RealisedModel> {
        self.realised.as_ref().map(|(model, _)| model)
    }

    /// All that tells lifetime values.
    #[must_use]
    pub fn lifetime_models(&self) -> LifetimeModels<'_> {
        LifetimeModels { closed: self.lifetime(), realised: self.realised() }
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
        if let Some((model, golden)) = &self.realised {
            check.rows(model.name(), golden, |features| model.score(features).value_minor)?;
        }
        Ok(check)
    }

    /// The golden rows of propensity, uplift or realised-value model `name` with the scores its learner gave.
    #[must_use]
    pub fn golden_rows(&self, name: &str) -> Vec<(Vec<f64>, f64)> {
        let propensities = self.propensities.iter().map(|(model, golden)| (model.name(), golden));
        let uplifts = self.uplifts.iter().map(|(model, golden)| (model.name(), golden));
        let realised = self.realised.iter().map(|(model, golden)| (model.name(), golden));
        let found = propensities.chain(uplifts).chain(realised).find(|(known, _)| *known == name);
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
        let realised = self.realised.iter();
        let realised = realised.map(|(model, golden)| shape(model.name(), model.summary(), golden));
        propensities.chain(uplifts).chain(realised).collect()
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
    /// The largest difference between an expected and a computed probability, uplift or value.
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
    /// The shapes of its propensity and realised-value models, and of uplift models with a scorer.
    pub scorers: Vec<ModelShape<'a>>,
    /// SKUs of the demand model.
    pub n_skus: Option<usize>,
    /// The lifetime-value model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<&'a LifetimeModel>,
}

#[cfg(test)]
mod tests;
