//! What an artifact says of itself: provenance, labels, counts, metrics, and where its models' sections stand.
//!
//! Sealed as JSON so that people and other languages can read it. Fields are only ever added, with a default, so
//! files of every earlier version stay readable.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::policy::response::ResponseSpec;
use crate::pricing::PurchaseSpec;
use crate::project::LabelRule;
use crate::table::TableSchema;
use crate::units::{Seed, Timestamp};

/// What kind of model a part of the artifact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// P(outcome | customer): scorer, calibration, reasons.
    Propensity,
    /// Units and purchase probability by price, per SKU.
    Demand,
    /// P(alive), purchases to come and what they are worth, per customer.
    LifetimeValue,
    /// The difference an action makes to P(outcome | customer).
    Uplift,
    /// What a customer will bring, learned from realised margin.
    RealisedValue,
}

/// One model of the artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelMetadata {
    /// `churn`, `conversion`, `demand`, ...: unique in the artifact.
    pub name: String,
    /// What kind of model.
    pub kind: ModelKind,
    /// The learner that made it: `linfa_logistic`, `smartcore_forest`, `log_linear_shrunk`.
    pub learner: String,
    /// The outcome it predicts, for a propensity.
    #[serde(default)]
    pub label: Option<LabelRule>,
    /// Of a response model: its rows are features with an offer's columns behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseSpec>,
    /// Of a purchase model: its rows are features with the columns of an item and its price behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purchase: Option<PurchaseSpec>,
    /// Rows and positives used: `n_train`, `n_train_positive`, `n_test`, ...
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// Measured on rows the model, its calibration and its choice never saw: `auc`, `log_loss`, `brier`,
    /// `calibration_error`, `base_rate`, each with `_se` where one is known.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// What a reader should know: columns dropped, rows sampled, cut-offs left out.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Section numbers by role: `scorer`, `companion`, `calibration`, `interval`, `golden`, `demand`, `uplift`,
    /// `realised`, `lifetime`, and `golden_*` of the latter.
    #[serde(default)]
    pub sections: BTreeMap<String, u32>,
}

impl ModelMetadata {
    /// How many numbers a row of this model has, in an artifact over `n_features` features.
    #[must_use]
    pub fn width(&self, n_features: usize) -> usize {
        let offer = self.response.as_ref().map_or(0, |response| response.n_columns);
        n_features + offer + self.purchase.as_ref().map_or(0, PurchaseSpec::n_columns)
    }

    /// Whether a row is a customer's features and nothing more.
    #[must_use]
    pub const fn is_of_customers(&self) -> bool {
        self.response.is_none() && self.purchase.is_none()
    }
}

/// What the whole artifact says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The project's name.
    pub name: String,
    /// Of the feature schema it was trained on; it opens only for that one.
    pub schema_fingerprint: String,
    /// The features of a row, in order.
    pub feature_names: Vec<String>,
    /// Nothing known at or after this instant went in; [`Timestamp::MIN`] where a table has no time column.
    pub trained_through: Timestamp,
    /// Version of the code that wrote it.
    pub code_version: String,
    /// Of every random choice.
    pub seed: Seed,
    /// SHA-256 in hex of what it was made from, by name: project files, the event log.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
    /// How the rows of a table are read, where the models were fitted on one and not on a project's features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableSchema>,
    /// The models.
    pub models: Vec<ModelMetadata>,
}
