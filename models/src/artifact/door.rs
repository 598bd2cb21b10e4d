//! The door: opens each model's sections, and says of which model what does not open.

use std::sync::Arc;

use super::layout::{self, SectionKind};
use super::{ArtifactError, Metadata, ModelMetadata, builder, golden, lifetime};
use crate::policy::response::{N_CODES, OFFER_COLUMNS};
use crate::pricing::DemandModel;
use crate::propensity::blend::Member;
use crate::propensity::calibration::Calibration;
use crate::propensity::interval::ProbabilityInterval;
use crate::propensity::{BlendModel, Bytes, ForestModel, LinearModel, PropensityModel, Scorer, TreesModel};
use crate::uplift::{UpliftCalibration, UpliftModel};
use crate::value::{RealisedLine, RealisedModel};

pub(super) fn read_metadata(bytes: &Bytes, sections: &[layout::Section]) -> Result<Metadata, ArtifactError> {
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
    let columns = |model: &ModelMetadata| model.response.as_ref().map(|response| response.n_columns);
    for model in &metadata.models {
        if let Some(found) = columns(model).filter(|n| !(N_CODES..=OFFER_COLUMNS.len()).contains(n)) {
            let message = format!(
                "it reads {found} columns of an offer, this version makes {N_CODES} to {}",
                OFFER_COLUMNS.len()
            );
            return Err(ArtifactError::Model { model: model.name.clone(), message });
        }
    }
    Ok(metadata)
}

/// Why a section does not open, as it will be told.
type Fault = Box<dyn std::error::Error>;

/// What is needed to open a model's sections.
pub(super) struct Door<'a> {
    pub(super) bytes: &'a Bytes,
    pub(super) sections: &'a [layout::Section],
    pub(super) n_features: usize,
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

    pub(super) fn propensity(
        &self,
        model: &ModelMetadata,
    ) -> Result<(PropensityModel, golden::Golden), ArtifactError> {
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

    pub(super) fn uplift(
        &self,
        model: &ModelMetadata,
    ) -> Result<(UpliftModel, golden::Golden), ArtifactError> {
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

    pub(super) fn realised(
        &self,
        model: &ModelMetadata,
    ) -> Result<(RealisedModel, golden::Golden), ArtifactError> {
        let scorer = self.scorer(model)?;
        let range = self.expect(model, "realised", SectionKind::RealisedValue)?;
        let numbers = builder::numbers(self.bytes.get(range).unwrap_or(&[]));
        let numbers =
            numbers.ok_or_else(|| Self::fault(model, "its realised section is not whole numbers"))?;
        let line = RealisedLine::from_numbers(&numbers).map_err(|e| Self::fault(model, e))?;
        let range = self.expect(model, "golden", SectionKind::Golden)?;
        let golden = golden::Golden::open(self.bytes.clone(), range, self.n_features);
        let golden = golden.map_err(|message| Self::fault(model, message))?;
        Ok((RealisedModel::new(Arc::new(model.clone()), scorer, line), golden))
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

    pub(super) fn demand(&self, model: &ModelMetadata) -> Result<DemandModel, ArtifactError> {
        let range = self.expect(model, "demand", SectionKind::Demand)?;
        DemandModel::open(self.bytes.clone(), range).map_err(|e| Self::fault(model, e))
    }

    pub(super) fn lifetime(&self, model: &ModelMetadata) -> Result<lifetime::Sealed, ArtifactError> {
        let range = self.expect(model, "lifetime", SectionKind::LifetimeValue)?;
        let bytes = self.bytes.get(range).unwrap_or(&[]);
        let opened = lifetime::read(bytes).map_err(|message| Self::fault(model, message))?;
        let golden = |role: &str| {
            let range = self.expect(model, role, SectionKind::Golden)?;
            let golden = golden::Golden::open(self.bytes.clone(), range, lifetime::width(&opened));
            golden.map_err(|message| Self::fault(model, message))
        };
        let golden = [golden(lifetime::ROLES[0])?, golden(lifetime::ROLES[1])?, golden(lifetime::ROLES[2])?];
        Ok(lifetime::Sealed::new(&model.name, opened, golden))
    }
}
