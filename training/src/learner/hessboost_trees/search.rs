//! How many trees, and by which configuration: a search on inner parts of the rows the learner was given.
//!
//! With few rows, each of a few inner parts is held out once, so that every row has a say; with more, one part is held
//! out; with many, the trees grown beside the held-out part are kept as they are, since a tenth more rows would change
//! little and growing them again would double the cost. The default configuration gives way only to one whose gain on the
//! held-out rows exceeds its paired standard error.

use std::num::NonZeroUsize;
use std::ops::Range;

use hessboost::data::{BinnedMatrix, DMatrix};
use hessboost::error::HessboostError;
use hessboost::model::BoostedModel;
use hessboost::training::{TrainResult, Trainer};
use nextbest_models::units::{Probability, Seed};

use super::HessboostTrees;
use super::columns::Columns;
use super::configuration::{self, Configuration, MAX_BINS, candidates};
use super::fitted::FittedTrees;
use crate::learner::{LearnError, Sample, Settled, monotone_note};
use crate::metrics;

/// Below this many rows every inner part is held out once.
const EVERY_PART_BELOW: usize = 20_000;
/// Inner parts.
const N_PARTS: u32 = 4;
/// Inner parts where one is held out and the rest is kept.
const N_PARTS_KEPT: u32 = 10;
/// Growing stops when the loss on the held-out rows has not improved for this many trees.
const PATIENCE: NonZeroUsize = NonZeroUsize::new(40).unwrap();

/// Between the seeds of a bag: far from those a caller would number by hand.
const BAG_STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Columns with the binned rows they were learned from.
struct Rows {
    columns: Columns,
    binned: BinnedMatrix,
}

/// One inner part held out, and what was grown beside it, by configuration.
struct HeldOut {
    rows: Rows,
    valid: DMatrix,
    outcomes: Vec<bool>,
    grown: Vec<Grown>,
}

struct Grown {
    model: BoostedModel,
    /// Loss on the held-out rows after each tree.
    losses: Vec<f64>,
}

/// Searches, then grows on all rows (or keeps what grew beside the held-out part).
pub(super) fn fit(
    learner: &HessboostTrees,
    sample: &Sample<'_>,
    seed: Seed,
) -> Result<FittedTrees, LearnError> {
    let n = sample.n_rows();
    let keep = n >= learner.keep_from;
    let tried = candidates(n, learner.budget);
    let parts = sample.parts_by_customer(if keep { N_PARTS_KEPT } else { N_PARTS }, seed);
    let n_held_out = if keep || n >= EVERY_PART_BELOW { 1 } else { N_PARTS };
    let mut held = Vec::new();
    for part in 0..n_held_out {
        held.extend(hold_out(learner, sample, &parts, part, tried.clone(), seed)?);
    }
    let all = configuration::all(learner.growth);
    let Some(settled) = settle(&held, tried.clone()) else {
        let usual = Settled { configuration: tried.start, n_rounds: all[tried.start].usual_rounds };
        return grow(learner, sample, usual, seed);
    };
    match held.pop() {
        Some(mut only) if keep => {
            let grown = only.grown.swap_remove(settled.configuration - tried.start);
            let notes = notes(learner, &only.rows.columns, &all[settled.configuration], settled, 1);
            FittedTrees::new(learner, only.rows.columns, vec![grown.model], settled, notes)
        }
        _ => {
            drop(held);
            grow(learner, sample, settled, seed)
        }
    }
}

/// Grows as settled, on all rows: as many ensembles as [`HessboostTrees::bag_size`] says, the first with the seed itself.
pub(super) fn grow(
    learner: &HessboostTrees,
    sample: &Sample<'_>,
    settled: Settled,
    seed: Seed,
) -> Result<FittedTrees, LearnError> {
    let rows = prepare(learner, sample, seed)?;
    let configuration = configuration::all(learner.growth)[settled.configuration];
    let constraints = learner.constraints(sample, &rows.columns)?;
    let failed = |error: HessboostError| learner.failed(&error);
    let mut models = Vec::new();
    for number in 0..learner.bag_size(settled, sample.n_rows()) {
        let seed = Seed(seed.0.wrapping_add((number as u64).wrapping_mul(BAG_STRIDE)));
        let parameters = configuration.parameters(constraints.clone(), seed).map_err(failed)?;
        let trainer = Trainer::new(&parameters, &rows.binned, settled.n_rounds);
        let TrainResult { model, .. } = trainer.train().map_err(failed)?;
        models.push(model);
    }
    let notes = notes(learner, &rows.columns, &configuration, settled, models.len());
    FittedTrees::new(learner, rows.columns, models, settled, notes)
}

fn notes(
    learner: &HessboostTrees,
    columns: &Columns,
    configuration: &Configuration,
    settled: Settled,
    n_models: usize,
) -> Vec<String> {
    let dropped = columns.dropped.iter().map(|(name, reason)| format!("column {name} dropped: {reason}"));
    let times = if n_models > 1 { format!("{n_models} x ") } else { String::new() };
    let grown = format!("{times}{} trees: {}", settled.n_rounds, configuration.describe());
    dropped.chain([grown]).chain(monotone_note(&learner.monotone)).collect()
}

/// Bins the rows of `sample`; rows of weight 0 teach nothing and are left out.
fn prepare(learner: &HessboostTrees, sample: &Sample<'_>, seed: Seed) -> Result<Rows, LearnError> {
    let weighted;
    let sample = match sample.weights() {
        Some(weights) if weights.contains(&0.0) => {
            weighted = sample.part(&(0..weights.len()).filter(|&at| weights[at] > 0.0).collect::<Vec<_>>());
            &weighted
        }
        _ => sample,
    };
    let columns = Columns::fit(sample, learner.growth);
    if columns.len() == 0 {
        let dropped = columns.dropped.iter();
        let dropped: Vec<String> =
            dropped.map(|(name, reason)| format!("column {name} dropped: {reason}")).collect();
        return Err(LearnError::NoColumns(dropped.join("; ")));
    }
    let cells = columns.training_cells(sample, seed);
    let matrix = labelled(cells, &columns, sample).map_err(|error| learner.failed(&error))?;
    let binned = BinnedMatrix::new(&matrix, MAX_BINS).map_err(|error| learner.failed(&error))?;
    Ok(Rows { columns, binned })
}

fn labelled(cells: Vec<f32>, columns: &Columns, sample: &Sample<'_>) -> Result<DMatrix, HessboostError> {
    let labels: Vec<f32> = sample.outcomes().iter().map(|&outcome| f32::from(u8::from(outcome))).collect();
    let matrix = DMatrix::from_dense_vec(cells, sample.n_rows(), columns.len())?
        .with_labels(&labels)?
        .with_feature_types(&columns.kinds())?;
    match sample.weights() {
        // Below the range of 32 bits a weight would become 0, which binned rows may not have.
        Some(weights) => matrix.with_weights(
            &weights.iter().map(|&w| (w as f32).clamp(f32::MIN_POSITIVE, f32::MAX)).collect::<Vec<_>>(),
        ),
        None => Ok(matrix),
    }
}

/// Grows every configuration beside `part`; nothing where either side lacks an outcome.
fn hold_out(
    learner: &HessboostTrees,
    sample: &Sample<'_>,
    parts: &[u32],
    part: u32,
    tried: Range<usize>,
    seed: Seed,
) -> Result<Option<HeldOut>, LearnError> {
    let (out, kept): (Vec<usize>, Vec<usize>) = (0..parts.len()).partition(|&at| parts[at] == part);
    let (out, kept) = (sample.part(&out), sample.part(&kept));
    let both = |sample: &Sample<'_>| (1..sample.n_rows()).contains(&sample.n_positive());
    if !both(&out) || !both(&kept) {
        return Ok(None);
    }
    let rows = prepare(learner, &kept, seed)?;
    let mut cells = Vec::with_capacity(out.n_rows() * rows.columns.len());
    out.rows().iter().for_each(|row| rows.columns.fill(row, &mut cells));
    let failed = |error: HessboostError| learner.failed(&error);
    let valid = labelled(cells, &rows.columns, &out).map_err(failed)?;
    let constraints = learner.constraints(sample, &rows.columns)?;
    let mut grown = Vec::with_capacity(tried.len());
    for configuration in &configuration::all(learner.growth)[tried] {
        let parameters = configuration.parameters(constraints.clone(), seed).map_err(failed)?;
        let trainer = Trainer::new(&parameters, &rows.binned, configuration.max_rounds);
        let trainer = trainer.eval(&valid, "held out").early_stopping_rounds(PATIENCE);
        let TrainResult { model, history, .. } = trainer.train().map_err(failed)?;
        let losses = history.rounds().filter_map(|round| round.values().last().copied()).collect();
        grown.push(Grown { model, losses });
    }
    Ok(Some(HeldOut { rows, valid, outcomes: out.outcomes().to_vec(), grown }))
}

/// The configuration and the number of trees; `None` where nothing could be held out.
fn settle(held: &[HeldOut], tried: Range<usize>) -> Option<Settled> {
    let mut best: Option<(Settled, Vec<f64>)> = None;
    for (place, configuration) in tried.enumerate() {
        let curves = held.iter().map(|held| (held.outcomes.len(), &held.grown[place].losses));
        let n_rounds = best_round(&curves.collect::<Vec<_>>())?;
        let losses: Option<Vec<Vec<f64>>> = held.iter().map(|held| losses(held, place, n_rounds)).collect();
        let (settled, losses) = (Settled { configuration, n_rounds }, losses?.concat());
        let better = best.as_ref().is_none_or(|(_, before)| {
            let gain: Vec<f64> = before.iter().zip(&losses).map(|(before, after)| before - after).collect();
            let gain = metrics::mean(&gain);
            gain.value > gain.se
        });
        if better {
            best = Some((settled, losses));
        }
    }
    best.map(|(settled, _)| settled)
}

/// After how many trees the loss over all held-out rows is least. A curve that stopped earlier stays at its last value.
fn best_round(curves: &[(usize, &Vec<f64>)]) -> Option<usize> {
    let longest = curves.iter().map(|(_, losses)| losses.len()).max()?;
    let at = |round: usize| -> f64 {
        let of = |(n, losses): &(usize, &Vec<f64>)| {
            losses.get(round).or(losses.last()).map_or(f64::INFINITY, |loss| *n as f64 * loss)
        };
        curves.iter().map(of).sum()
    };
    (0..longest).min_by(|&a, &b| at(a).total_cmp(&at(b))).map(|round| round + 1)
}

/// The loss of each held-out row after `n_rounds` trees.
fn losses(held: &HeldOut, place: usize, n_rounds: usize) -> Option<Vec<f64>> {
    let model = &held.grown[place].model;
    let margins = model.predict_margin(&held.valid, ..n_rounds.min(model.num_boost_rounds())).ok()?;
    let probabilities: Vec<f64> =
        margins.as_slice().iter().map(|&margin| Probability::from_log_odds(margin.into()).get()).collect();
    Some(metrics::losses(&probabilities, &held.outcomes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_those_of_the_least_summed_loss() {
        let (first, second) = (vec![0.6, 0.5, 0.55], vec![0.7, 0.65, 0.6, 0.5, 0.52]);
        // Alone, 2 and 4; together, weighted by rows: 10 * .55 + 30 * .5 is the least.
        assert_eq!(best_round(&[(10, &first)]), Some(2));
        assert_eq!(best_round(&[(10, &first), (30, &second)]), Some(4));
        assert_eq!(best_round(&[(1000, &first), (1, &second)]), Some(2));
        assert_eq!(best_round(&[]), None);
    }
}
