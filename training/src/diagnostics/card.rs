//! The model card: what the model is, what it was made from, what it is for, and what its numbers do not say.
//!
//! After Mitchell et al., Model Cards for Model Reporting (2019). Everything that identifies the model is read from the
//! sealed artifact itself, so the card cannot tell of another one.

use std::collections::BTreeMap;

use nextbest_models::artifact::ModelMetadata;
use nextbest_models::event::EventType;
use nextbest_models::policy::response::ResponseSpec;
use nextbest_models::pricing::PurchaseSpec;
use nextbest_models::project::{LabelKind, LabelRule};
use nextbest_models::table::TableSchema;
use nextbest_models::units::{Seed, Timestamp};
use serde::Serialize;

use super::Subject;
use crate::cutoff::Split;
use crate::selection::ValidationSummary;

/// What the model is for.
const INTENDED_USE: [&str; 2] = [
    "To score rows of the population it was fitted on, described by the same features, known at the moment of scoring.",
    "To rank or choose customers for an action by a probability, beside rules that decide who may be contacted.",
];

/// What the numbers do not say.
const LIMITS: [&str; 5] = [
    "Nothing here is causal: a probability says who is likely to have the outcome, not whom an action changes; a \
     contribution says what the model weighed, not what would happen if the feature changed.",
    "Numbers hold for rows like the judged ones; where the population, its features or the meaning of the outcome move, \
     they must be measured anew.",
    "Standard errors take rows as independent; rows that share a customer, a household or a time make them too small.",
    "A segment that is not listed was not looked at. Equal quality over listed segments is no proof of fairness.",
    "It is not made for decisions with legal or similarly significant effects on a person.",
];

/// What the model is, and is for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelCard {
    /// The model's name.
    pub name: String,
    /// The project or table model it is part of.
    pub project: String,
    /// The outcome, in words.
    pub outcome: String,
    /// Every candidate of the contest.
    pub candidates: Vec<&'static str>,
    /// The one that was sealed.
    pub learner: String,
    /// Its calibration.
    pub calibration: &'static str,
    /// Features of a row.
    pub n_features: usize,
    /// How the numbers came about.
    pub validation: ValidationSummary,
    /// The cut-offs of the parts.
    pub split: Option<Split>,
    /// Rows and positives of each part.
    pub counts: BTreeMap<String, u64>,
    /// Measured on judged rows.
    pub metrics: BTreeMap<String, f64>,
    /// Nothing known at or after this instant went in; absent where rows have no time.
    pub trained_through: Option<Timestamp>,
    /// SHA-256 of everything it was made from.
    pub sources: BTreeMap<String, String>,
    /// Of the schema it reads rows by.
    pub schema_fingerprint: String,
    /// SHA-256 of the artifact.
    pub artifact_sha256: String,
    /// Version of the code.
    pub code_version: String,
    /// Of every random choice.
    pub seed: Seed,
    /// What it is for.
    pub intended_use: [&'static str; 2],
    /// What the numbers do not say.
    pub limits: [&'static str; 5],
}

/// The card of `subject`.
pub(super) fn of(subject: &Subject<'_>) -> ModelCard {
    let (whole, model) = (subject.artifact.metadata(), subject.model.metadata());
    ModelCard {
        name: model.name.clone(),
        project: whole.name.clone(),
        outcome: outcome(model, whole.table.as_ref()),
        candidates: subject.report.candidates.iter().map(|candidate| candidate.learner).collect(),
        learner: model.learner.clone(),
        calibration: subject.model.calibration().name(),
        n_features: model.width(whole.feature_names.len()),
        validation: subject.report.validation,
        split: subject.report.split.clone(),
        counts: model.counts.clone(),
        metrics: model.metrics.clone(),
        trained_through: Some(whole.trained_through).filter(|through| *through > Timestamp::MIN),
        sources: whole.sources.clone(),
        schema_fingerprint: whole.schema_fingerprint.clone(),
        artifact_sha256: subject.artifact.sha256().to_owned(),
        code_version: whole.code_version.clone(),
        seed: whole.seed,
        intended_use: INTENDED_USE,
        limits: LIMITS,
    }
}

fn outcome(model: &ModelMetadata, table: Option<&TableSchema>) -> String {
    if let Some(PurchaseSpec { rule, .. }) = &model.purchase {
        return format!("order_placed of the product within {} days of its price_shown", rule.horizon_days);
    }
    match (&model.label, &model.response, table) {
        (Some(label), _, _) => in_words(label),
        (None, Some(ResponseSpec { rule, .. }), _) => {
            format!("{} within {} days of a contact", either(&rule.event), rule.horizon_days)
        }
        (None, None, Some(table)) => format!("{} is {}", table.label.column, table.label.value),
        (None, None, None) => "given with the rows".to_owned(),
    }
}

fn either(events: &[EventType]) -> String {
    events.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// `no order within 90 days`.
pub(crate) fn in_words(label: &LabelRule) -> String {
    let absence = if label.kind == LabelKind::Absence { "no " } else { "" };
    format!("{absence}{} within {} days", either(&label.event), label.horizon_days)
}
