//! From a table to a sealed uplift model: survey, refuse, fill, guard, study, choose, calibrate, seal.

use std::collections::BTreeMap;

use nextbest_models::artifact::{Artifact, ArtifactBuilder, Metadata, ModelKind, ModelMetadata, UpliftParts};
use nextbest_models::table::LabelValue;
use nextbest_models::uplift::UpliftCalibration;

use super::balance;
use super::choose::{Contender, UpliftCandidate, choose};
use super::curve::Ranking;
use super::effect::{Arm, AverageEffect};
use super::error::{Refused, UpliftError};
use super::learners::{Effect, Method};
use super::line;
use super::refuse::{outcome, refusal, refuse_lopsided, refuse_too_few};
use super::report::{LineReport, NoRanking, UpliftReport, next};
use super::study::Study;
use super::table::{self, Arms};
use super::trial::Trial;
use super::{Choice, Design, UpliftOptions};
use crate::import::read::hash;
use crate::table::{PartCount, SplitReport, SuspectedLeak, UNDATED, leaks};

/// Golden rows sealed with a model.
const N_GOLDEN: usize = 64;

/// A finished fit.
#[derive(Debug)]
pub struct FittedUplift {
    /// To be written where the caller wants it.
    pub artifact: Artifact,
    /// What there is to tell.
    pub report: UpliftReport,
    /// Every row, told by models that had not seen it.
    pub predictions: Vec<KeyedUplift>,
}

/// A row's uplift by a model that had not seen it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyedUplift {
    /// The row's key, or its number.
    pub key: String,
    /// Predicted.
    pub uplift: f64,
    /// Whether it was treated.
    pub treated: bool,
    /// What happened.
    pub outcome: bool,
    /// Its doubly robust pseudo-outcome.
    pub pseudo: f64,
}

/// Fits uplift on the table that `options` name, and seals what is chosen.
pub fn fit(options: &UpliftOptions) -> Result<FittedUplift, UpliftError> {
    let (table_sha256, _) = hash(&options.table)?;
    let surveyed = table::survey(options)?;
    let [control, treated] = surveyed.outcomes.map(|[without, with]| Arm::of(without + with, with));
    refuse_too_few(options, &treated, &control)?;
    let mut arms = surveyed.fill(options)?;
    let suspected_leaks = without_leaks(&mut arms)?;
    let refused = |refused: Refused| match refused {
        Refused::Because(code, reason) => refusal(code, reason, &treated, &control),
        Refused::Learn(error) => error.into(),
    };
    refuse_lopsided(&arms.trial).map_err(refused)?;
    let drawn = options.design != Design::Observed && arms.trial.probability.is_none();
    let differing =
        if drawn { balance::differing(&arms.trial, &arms.inferred.schema.columns) } else { Vec::new() };
    let methods = match options.learner {
        Choice::Auto | Choice::Best => Method::LEARNERS.to_vec(),
        Choice::Only(Method::Constant) => Vec::new(),
        Choice::Only(method) => vec![method],
    };
    let study = Study::of(&arms.trial, options.design, &methods, options.seed).map_err(refused)?;
    let chosen = Chosen::of(options.learner, &arms.trial, &study)?;
    let average = AverageEffect::of((&treated, &control), &study.pseudo, &study.shares);
    let ranked = chosen.method != Method::Constant;
    let ranking =
        ranked.then(|| Ranking::of(&chosen.contender.values, &study.pseudo, &arms.trial.fold_of_row));
    let artifact = sealed(options, &arms, &chosen, &average, ranking.as_ref(), &table_sha256)?;
    let predictions = predictions(&arms.trial, &study, &chosen);
    let named = |label: &LabelValue| format!("{}={}", label.column, label.value);
    let report = UpliftReport {
        name: options.name.clone(),
        table: options.table.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        table_sha256,
        treated: named(&options.treated),
        control: named(&options.control),
        outcome: outcome(options),
        n_rows: arms.counts.n_rows,
        n_neither: arms.counts.n_neither,
        n_without_outcome: arms.counts.n_without_outcome,
        n_used: arms.trial.len() as u64,
        treated_arm: treated,
        control_arm: control,
        next: next(chosen.method, &average, study.assignment.basis, &differing),
        assignment: study.assignment,
        effect: average,
        learner: chosen.method,
        candidates: chosen.candidates,
        line: ranked.then(|| LineReport::of(&chosen.line)),
        ranking,
        code: (!ranked).then_some(NoRanking::ConstantEffect),
        columns: arms.inferred.columns,
        suspected_leaks,
        differing,
        split: split(&arms.trial, arms.split),
        seed: options.seed,
        schema_fingerprint: artifact.metadata().schema_fingerprint.clone(),
        artifact_sha256: artifact.sha256().to_owned(),
    };
    Ok(FittedUplift { artifact, report, predictions })
}

/// Leaves out columns that alone nearly decide the outcome, unless they are kept by name.
fn without_leaks(arms: &mut Arms) -> Result<Vec<SuspectedLeak>, UpliftError> {
    let Arms { trial, inferred, roles, .. } = arms;
    let columns = &inferred.schema.columns;
    let leaks = leaks(&trial.dataset, columns, &trial.outcomes, &trial.fold_of_row, trial.n_folds);
    let keep = inferred.without(&leaks, roles);
    if !keep.contains(&true) {
        return Err(inferred.nothing_left().into());
    }
    trial.dataset.keep_columns(&keep)?;
    Ok(leaks)
}

fn split(trial: &Trial, (by, column): (&'static str, Option<String>)) -> SplitReport {
    let part = |fold: u32| {
        let (rows, _) = trial.split(fold);
        let n_positive = rows.iter().filter(|&&row| trial.outcomes[row]).count();
        PartCount { name: format!("fold {}", fold + 1), n_rows: rows.len(), n_positive }
    };
    SplitReport { by, column, parts: (0..trial.n_folds).map(part).collect() }
}

/// What is sealed, and what it was chosen from.
pub(super) struct Chosen {
    pub(super) method: Method,
    pub(super) contender: Contender,
    pub(super) candidates: Vec<UpliftCandidate>,
    pub(super) line: UpliftCalibration,
    /// None of a constant effect.
    pub(super) effect: Option<Effect>,
}

impl Chosen {
    pub(super) fn of(learner: Choice, trial: &Trial, study: &Study) -> Result<Self, UpliftError> {
        let folds = (trial.fold_of_row.as_slice(), trial.n_folds);
        let constant = [(Method::Constant, vec![0.0; trial.len()])];
        let raws = constant.iter().chain(&study.raw);
        let contender =
            |(method, raw): &(Method, Vec<f64>)| Contender::new(*method, raw.clone(), &study.pseudo, folds);
        let mut contenders: Vec<Contender> = raws.map(contender).collect();
        let (at, candidates) = choose(&contenders, &study.pseudo, folds.0, learner);
        let contender = contenders.swap_remove(at);
        let line = line::fit(&contender.raw, &study.pseudo);
        let method = contender.method;
        let effect = if method == Method::Constant { None } else { Some(study.effect(trial, method)?) };
        Ok(Self { method, contender, candidates, line, effect })
    }
}

fn predictions(trial: &Trial, study: &Study, chosen: &Chosen) -> Vec<KeyedUplift> {
    let customers = trial.dataset.customers();
    let keyed = |row: usize| KeyedUplift {
        key: customers[row].as_str().to_owned(),
        uplift: chosen.contender.values[row],
        treated: trial.treated[row],
        outcome: trial.outcomes[row],
        pseudo: study.pseudo[row],
    };
    (0..trial.len()).map(keyed).collect()
}

fn sealed(
    options: &UpliftOptions,
    arms: &Arms,
    chosen: &Chosen,
    average: &AverageEffect,
    ranking: Option<&Ranking>,
    table_sha256: &str,
) -> Result<Artifact, UpliftError> {
    let (trial, schema) = (&arms.trial, &arms.inferred.schema);
    let n_treated = trial.n_treated() as u64;
    let mut metrics = BTreeMap::from([
        ("effect".to_owned(), average.adjusted.value),
        ("effect_se".to_owned(), average.adjusted.se),
    ]);
    if let Some(ranking) = ranking {
        metrics.insert("qini".to_owned(), ranking.qini.value);
        metrics.insert("qini_se".to_owned(), ranking.qini.se);
    }
    let arm = |label: &LabelValue| format!("{}={}", label.column, label.value);
    let metadata = ModelMetadata {
        name: options.name.clone(),
        kind: ModelKind::Uplift,
        learner: chosen.method.name().to_owned(),
        label: None,
        response: None,
        purchase: None,
        counts: BTreeMap::from([
            ("n_treated".to_owned(), n_treated),
            ("n_control".to_owned(), trial.len() as u64 - n_treated),
        ]),
        metrics,
        notes: vec![format!(
            "uplift of {} by {} against {}",
            outcome(options),
            arm(&options.treated),
            arm(&options.control)
        )],
        sections: BTreeMap::new(),
    };
    let mut builder = ArtifactBuilder::new(Metadata {
        name: options.name.clone(),
        schema_fingerprint: schema.fingerprint(),
        feature_names: schema.feature_names(),
        trained_through: UNDATED,
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: options.seed,
        sources: BTreeMap::from([("table".to_owned(), table_sha256.to_owned())]),
        table: Some(schema.clone()),
        models: Vec::new(),
    });
    let scorer = chosen.effect.as_ref().map(Effect::seal).transpose()?;
    builder.uplift(UpliftParts {
        metadata,
        scorer,
        calibration: chosen.line,
        golden: golden(trial, chosen)?,
    });
    Ok(builder.seal()?)
}

/// Rows, evenly drawn, with the uplift that the library's own prediction comes to.
pub(super) fn golden(trial: &Trial, chosen: &Chosen) -> Result<Vec<(Vec<f64>, f64)>, UpliftError> {
    let n = N_GOLDEN.min(trial.len());
    let rows: Vec<&[f64]> = (0..n).map(|at| trial.dataset.row(at * trial.len() / n)).collect();
    let raw = match &chosen.effect {
        Some(effect) => effect.of(&rows)?,
        // The features alone tell no answer.
        None if chosen.method == Method::Answered => vec![f64::NAN; rows.len()],
        None => vec![0.0; rows.len()],
    };
    Ok(rows.iter().zip(raw).map(|(row, raw)| (row.to_vec(), chosen.line.apply(raw).value)).collect())
}
