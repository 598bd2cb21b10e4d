//! Quality in parts of the judged rows: by the levels of categories, and by quarters of the strongest quantity.
//!
//! Bias of a segment = mean predicted - observed share (calibration in the large). Its standard error is the one exact
//! probabilities would have, sqrt(sum p (1 - p)) / n, which does not vanish where no outcome was seen. A segment is flagged
//! where the bias exceeds three of them; of a hundred exact ones, about 0.3 would be. Segments of so few outcomes that the
//! normal approximation fails are never flagged.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Importance, Subject, code_of};
use crate::dataset::ColumnKind;
use crate::metrics::{Estimate, auc};

/// Categories looked at, the most important first.
const N_CATEGORIES: usize = 8;
/// Categories of more levels are left out.
const MAX_LEVELS: usize = 12;
/// Quarters need so many different bounds.
const N_QUARTERS: usize = 4;
/// Standard errors from which a bias is flagged.
const FLAGGED: f64 = 3.0;
/// Least variance of the number of outcomes for the normal approximation.
const LEAST_VARIANCE: f64 = 5.0;

/// One part of the judged rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Segment {
    /// The feature it is told by.
    pub feature: String,
    /// Which rows: a level, a range, or `missing`.
    pub level: String,
    /// Rows.
    pub n: usize,
    /// Rows with the outcome.
    pub n_positive: usize,
    /// Their share.
    pub rate: f64,
    /// Mean probability.
    pub predicted: f64,
    /// Mean probability - share, and the standard error exact probabilities would give it.
    pub bias: Estimate,
    /// Ranking within the segment; absent where one outcome is.
    pub auc: Option<Estimate>,
    /// Whether the bias is more than three standard errors.
    pub flagged: bool,
}

/// The segments of `subject`.
pub(super) fn measure(subject: &Subject<'_>, importance: &Importance) -> Vec<Segment> {
    let columns = subject.dataset.columns();
    let is_category =
        |&column: &usize| columns[column].kind == ColumnKind::Code || !levels(subject, column).is_empty();
    let mut order: Vec<usize> = importance.features.iter().map(|one| one.column).collect();
    let strongest = order.iter().copied().find(|column| !is_category(column));
    let others: Vec<usize> = (0..columns.len()).filter(|column| !order.contains(column)).collect();
    order.extend(others);
    let categories = order.iter().copied().filter(is_category);
    let categories: Vec<Vec<Segment>> =
        categories.filter_map(|column| by_level(subject, column)).take(N_CATEGORIES).collect();
    let quarters = strongest.map(|column| by_quarter(subject, column)).unwrap_or_default();
    categories.into_iter().flatten().chain(quarters).collect()
}

fn levels<'a>(subject: &Subject<'a>, column: usize) -> &'a [String] {
    subject.levels.get(column).map_or(&[], Vec::as_slice)
}

/// A segment for each level and one for missing; `None` where there are too many, or just one.
fn by_level(subject: &Subject<'_>, column: usize) -> Option<Vec<Segment>> {
    let mut places: BTreeMap<Option<u64>, Vec<usize>> = BTreeMap::new();
    for (at, prediction) in subject.predictions.iter().enumerate() {
        let code = code_of(subject.dataset.row(prediction.row)[column]);
        places.entry(code).or_default().push(at);
        if places.len() > MAX_LEVELS + 1 {
            return None;
        }
    }
    let texts = levels(subject, column);
    let name = |code: &Option<u64>| match code {
        None => "missing".to_owned(),
        Some(code) => {
            let text = usize::try_from(*code).ok().and_then(|code| texts.get(code));
            text.cloned().unwrap_or_else(|| format!("code {code}"))
        }
    };
    let mut segments: Vec<Segment> =
        places.iter().map(|(code, places)| segment(subject, column, name(code), places)).collect();
    // Missing, the least code, stands last.
    let n_missing = usize::from(places.contains_key(&None));
    segments.rotate_left(n_missing);
    (segments.len() > 1).then_some(segments)
}

/// A segment for each quarter of the known values, and one for missing.
fn by_quarter(subject: &Subject<'_>, column: usize) -> Vec<Segment> {
    let value = |at: usize| subject.dataset.row(subject.predictions[at].row)[column];
    let n = subject.predictions.len();
    let mut known: Vec<f64> = (0..n).map(value).filter(|value| value.is_finite()).collect();
    known.sort_by(f64::total_cmp);
    let Some(&highest) = known.last() else { return Vec::new() };
    let ends = (1..N_QUARTERS).map(|part| known[(known.len() * part / N_QUARTERS).saturating_sub(1)]);
    let mut ends: Vec<f64> = ends.filter(|end| *end < highest).collect();
    ends.dedup();
    let mut places = vec![Vec::new(); ends.len() + 2];
    for at in 0..n {
        let value = value(at);
        let part = if value.is_finite() { ends.partition_point(|end| *end < value) } else { ends.len() + 1 };
        places[part].push(at);
    }
    let name = |part: usize| match (part.checked_sub(1).and_then(|before| ends.get(before)), ends.get(part)) {
        _ if part > ends.len() => "missing".to_owned(),
        (None, None) => "known".to_owned(),
        (None, Some(end)) => format!("\u{2264} {}", short(*end)),
        (Some(start), None) => format!("> {}", short(*start)),
        (Some(start), Some(end)) => format!("> {} to {}", short(*start), short(*end)),
    };
    let held = places.iter().enumerate().filter(|(_, places)| !places.is_empty());
    held.map(|(part, places)| segment(subject, column, name(part), places)).collect()
}

/// Four digits that count.
fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = (3.0 - value.abs().log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn segment(subject: &Subject<'_>, column: usize, level: String, places: &[usize]) -> Segment {
    let probabilities: Vec<f64> = places.iter().map(|&at| subject.predictions[at].probability).collect();
    let outcomes: Vec<bool> = places.iter().map(|&at| subject.predictions[at].outcome).collect();
    let n = places.len().max(1) as f64;
    let n_positive = outcomes.iter().filter(|outcome| **outcome).count();
    let (rate, predicted) = (n_positive as f64 / n, probabilities.iter().sum::<f64>() / n);
    let variance: f64 = probabilities.iter().map(|p| p * (1.0 - p)).sum();
    let bias = Estimate { value: predicted - rate, se: variance.sqrt() / n };
    Segment {
        feature: subject.dataset.columns()[column].name.clone(),
        level,
        n: places.len(),
        n_positive,
        rate,
        predicted,
        bias,
        auc: auc(&probabilities, &outcomes),
        flagged: variance >= LEAST_VARIANCE && bias.value.abs() > FLAGGED * bias.se,
    }
}
