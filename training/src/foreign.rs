//! A model trained elsewhere, sealed as ours: LightGBM text, XGBoost JSON and UBJSON with a binary outcome.
//!
//! hessboost reads the formats and refuses, by name, what it cannot score exactly; here its nodes become the tests of our
//! trees, names and category levels become the schema by which tables are scored, and golden rows with the prediction of
//! the model as read travel along. Nothing is fitted.

use std::collections::BTreeMap;

use hessboost::model::{BoostedModel, ModelFormat};
use nextbest_models::artifact::{
    Artifact, ArtifactBuilder, ArtifactError, Metadata, ModelKind, ModelMetadata, PropensityParts,
    SealedScorer,
};
use nextbest_models::digest::sha256_hex;
use nextbest_models::propensity::Calibration;
use nextbest_models::propensity::trees::{Tree, TreesError};
use nextbest_models::table::{LabelValue, MissingTokens, TableColumn, TableSchema};
use nextbest_models::units::{Probability, Seed, Timestamp};

use names::Columns;

mod names;
mod nodes;

/// Golden rows sealed with the model.
const N_GOLDEN: usize = 64;
/// Objectives whose margin is the log-odds of one outcome.
const OBJECTIVES: [&str; 2] = ["binary:logistic", "reg:logistic"];

/// Why a file cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// No such format.
    #[error("neither a LightGBM text model nor an XGBoost JSON or UBJSON model")]
    Format,
    /// The reader refuses it.
    #[error("{0}")]
    Library(#[from] hessboost::error::HessboostError),
    /// It predicts something else.
    #[error(
        "the objective is {0:?}; only models of one yes-or-no outcome are taken: LightGBM's binary, XGBoost's binary:logistic"
    )]
    Objective(String),
    /// It is no sum of trees.
    #[error("{0}")]
    Shape(&'static str),
    /// Its names cannot be read, or do not fit.
    #[error("{0}")]
    Names(String),
    /// Its trees cannot be sealed.
    #[error(transparent)]
    Trees(#[from] TreesError),
    /// What was sealed does not open.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

/// What to call the model, and the table it scores.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The model's name.
    pub name: String,
    /// The outcome it predicts.
    pub label: LabelValue,
    /// The column that names a row, if any.
    pub key: Option<String>,
    /// Names of the features in the model's order, instead of those in the file.
    pub features: Option<Vec<String>>,
}

/// Reads the model in `bytes` and seals it.
pub fn import(bytes: &[u8], options: &ImportOptions) -> Result<Artifact, ForeignError> {
    let format = ModelFormat::detect(bytes);
    let learner = match format {
        Some(ModelFormat::LightgbmText) => "lightgbm",
        Some(ModelFormat::XgboostJson | ModelFormat::XgboostUbjson) => "xgboost",
        _ => return Err(ForeignError::Format),
    };
    let model = BoostedModel::decode(bytes, format.ok_or(ForeignError::Format)?)?;
    check(&model)?;
    let columns = Columns::read(bytes, learner, &model, options.features.as_deref())?;
    let exact = if learner == "lightgbm" { nodes::thresholds(bytes) } else { Vec::new() };
    let trees = model.trees().iter().enumerate();
    let trees: Vec<_> =
        trees.map(|(at, tree)| nodes::tree(tree, exact.get(at).map_or(&[], Vec::as_slice))).collect();
    let scorer = SealedScorer::trees(f64::from(model.base_score()), &trees)?;
    let metadata = ModelMetadata {
        name: options.name.clone(),
        kind: ModelKind::Propensity,
        learner: learner.to_owned(),
        label: None,
        response: None,
        purchase: None,
        counts: BTreeMap::new(),
        metrics: BTreeMap::new(),
        notes: columns.notes(),
        sections: BTreeMap::new(),
    };
    let golden = golden(&model, &trees)?;
    let mut builder = ArtifactBuilder::new(described(bytes, options, columns.into_columns()));
    let (companion, calibration) = (None, Calibration::Identity);
    builder.propensity(PropensityParts { metadata, scorer, companion, calibration, golden });
    Ok(builder.seal()?)
}

fn check(model: &BoostedModel) -> Result<(), ForeignError> {
    let objective = model.objective().name();
    if !OBJECTIVES.contains(&objective) || model.n_outputs() != 1 {
        return Err(ForeignError::Objective(objective.to_owned()));
    }
    if model.linear().is_some() || model.trees().is_empty() {
        return Err(ForeignError::Shape("the model has no trees; only tree boosters are taken"));
    }
    if model.trees().iter().any(|tree| tree.linear_leaves().is_some() || tree.is_vector_leaf()) {
        return Err(ForeignError::Shape(
            "the model's leaves hold linear models or vectors, which are not supported",
        ));
    }
    if model.tree_weights().any(|weight| weight != 1.0) {
        return Err(ForeignError::Shape("the model weights its trees (dart), which is not supported"));
    }
    Ok(())
}

fn described(bytes: &[u8], options: &ImportOptions, columns: Vec<TableColumn>) -> Metadata {
    let schema = TableSchema {
        key: options.key.clone(),
        label: options.label.clone(),
        time_column: None,
        columns,
        left_out: Vec::new(),
        missing: MissingTokens::with(&[]),
    };
    Metadata {
        name: options.name.clone(),
        schema_fingerprint: schema.fingerprint(),
        feature_names: schema.feature_names(),
        trained_through: Timestamp::MIN,
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: Seed(0),
        sources: BTreeMap::from([("model".to_owned(), sha256_hex(bytes))]),
        table: Some(schema),
        models: Vec::new(),
    }
}

/// Rows around the bounds of the model's own tests, missing values included, with the prediction of the model as read.
fn golden(model: &BoostedModel, trees: &[Tree]) -> Result<Vec<(Vec<f64>, f64)>, ForeignError> {
    let values = nodes::tested_values(trees, model.n_features());
    let cell = |row: usize, feature: usize| {
        let known = &values[feature];
        // Strides that share no factor with most lengths: rows differ in every feature.
        let at = (row * (2 * feature + 7) + feature) % (known.len() + 1);
        known.get(at).copied().unwrap_or(f32::NAN)
    };
    let row = |row: usize| -> Result<(Vec<f64>, f64), ForeignError> {
        let cells: Vec<f32> = (0..model.n_features()).map(|feature| cell(row, feature)).collect();
        let margin = model.predict_margin_row(&cells, ..)?;
        let expected = Probability::from_log_odds(f64::from(margin)).get();
        Ok((cells.into_iter().map(f64::from).collect(), expected))
    };
    (0..N_GOLDEN).map(row).collect()
}
