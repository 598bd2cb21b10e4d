//! What a model file says of its features: names, and the levels behind category codes.

use hessboost::model::BoostedModel;
use nextbest_models::table::{CellKind, TableColumn};
use serde_json::Value;

use super::ForeignError;

/// The features of a foreign model.
pub(super) struct Columns {
    columns: Vec<TableColumn>,
    /// Categories without levels in the file: their cells must be the codes the model was trained with.
    coded: Vec<String>,
}

impl Columns {
    /// From the file, or named by `given`.
    pub(super) fn read(
        bytes: &[u8],
        learner: &str,
        model: &BoostedModel,
        given: Option<&[String]>,
    ) -> Result<Self, ForeignError> {
        let n_features = model.n_features();
        let (found, mut levels) =
            if learner == "lightgbm" { lightgbm(bytes)? } else { xgboost(bytes, n_features) };
        let names = given.map_or(found, <[String]>::to_vec);
        if names.len() != n_features {
            return Err(ForeignError::Names(format!(
                "{} names for the {n_features} features of the model{}",
                names.len(),
                if given.is_none() { "; name them with --features" } else { "" }
            )));
        }
        if let Some(name) =
            names.iter().enumerate().find_map(|(at, name)| names[..at].contains(name).then_some(name))
        {
            return Err(ForeignError::Names(format!("the feature {name:?} stands twice")));
        }
        levels.resize(n_features, None);
        let tested = categorical(model);
        let mut coded = Vec::new();
        let column = |(at, name): (usize, String)| {
            let kind = match levels[at].take() {
                Some(levels) => CellKind::Category { levels, other: false },
                None => {
                    coded.extend(tested[at].then(|| name.clone()));
                    CellKind::Number
                }
            };
            TableColumn { name, kind }
        };
        let columns = names.into_iter().enumerate().map(column).collect();
        Ok(Self { columns, coded })
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let note = |name: &String| {
            format!(
                "{name} is a category whose levels the file does not name: its cells are read as the codes it was trained with"
            )
        };
        self.coded.iter().map(note).collect()
    }

    pub(super) fn into_columns(self) -> Vec<TableColumn> {
        self.columns
    }
}

type Found = (Vec<String>, Vec<Option<Vec<String>>>);

/// Which features are tested as categories.
fn categorical(model: &BoostedModel) -> Vec<bool> {
    let mut tested = vec![false; model.n_features()];
    for node in model.trees().iter().flat_map(|tree| tree.nodes()).filter(|node| node.is_categorical) {
        tested[node.split_feature as usize] = true;
    }
    tested
}

/// Names from the header; levels from what pandas left behind, where it is clear to which features they belong.
fn lightgbm(bytes: &[u8]) -> Result<Found, ForeignError> {
    let text = String::from_utf8_lossy(bytes);
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let words = |key: &str| value(key).unwrap_or_default().split_ascii_whitespace();
    let names: Vec<String> = words("feature_names=").map(str::to_owned).collect();
    // A category lists its codes, "3:0:1"; a quantity its range, "[0:1]"; a feature without use says "none".
    let infos: Vec<&str> = words("feature_infos=").collect();
    let mut levels = vec![None; names.len()];
    let lists: Vec<Value> =
        value("pandas_categorical:").and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    if lists.is_empty() {
        return Ok((names, levels));
    }
    let is_category = |info: &&&str| !info.starts_with('[') && **info != "none";
    if infos.iter().filter(is_category).count() != lists.len() {
        let message = "the file names levels of more features than it uses, and not which; train without unused categories, \
            or with codes instead of pandas categories";
        return Err(ForeignError::Names(message.to_owned()));
    }
    let places = infos.iter().enumerate().filter(|(_, info)| is_category(info)).map(|(at, _)| at);
    for (at, list) in places.zip(&lists) {
        levels[at] = Some(list.as_array().into_iter().flatten().map(level).collect());
    }
    Ok((names, levels))
}

fn level(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Names and levels of a JSON file; a UBJSON file, and one without names, has `f0`, `f1`, ...
fn xgboost(bytes: &[u8], n_features: usize) -> Found {
    let file: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let learner = &file["learner"];
    let names = learner["feature_names"].as_array().into_iter().flatten();
    let names: Vec<String> = names.filter_map(Value::as_str).map(str::to_owned).collect();
    let names = if names.is_empty() { (0..n_features).map(|at| format!("f{at}")).collect() } else { names };
    let lists = learner["gradient_booster"]["model"]["cats"]["enc"].as_array().into_iter().flatten();
    (names, lists.map(xgboost_levels).collect())
}

/// The levels of one feature: texts laid end to end as bytes, with the offset of each.
fn xgboost_levels(list: &Value) -> Option<Vec<String>> {
    let numbers =
        |key: &str| -> Option<Vec<u64>> { list[key].as_array()?.iter().map(Value::as_u64).collect() };
    let (offsets, bytes) = (numbers("offsets")?, numbers("values")?);
    let bytes: Vec<u8> = bytes.into_iter().map(|byte| u8::try_from(byte).ok()).collect::<Option<_>>()?;
    let text = |pair: &[u64]| {
        let range = usize::try_from(pair[0]).ok()?..usize::try_from(pair[1]).ok()?;
        String::from_utf8(bytes.get(range)?.to_vec()).ok()
    };
    let levels: Vec<String> = offsets.windows(2).map(text).collect::<Option<_>>()?;
    (!levels.is_empty()).then_some(levels)
}
