//! Quantity and price net of what else is known: levels absorbed, controls taken out, what says nothing dropped by name.
//!
//! Levels are absorbed by alternating projections: each sweep takes every effect's means out in turn, until one moves no
//! column by more than [`TOLERANCE`] of its standard deviation (Guimaraes & Portugal 2010; the method is von Neumann's).
//! Controls are then taken out of each other, of price and of quantity by Gram-Schmidt, twice, which is enough for full
//! precision. The slope of what is left is that of the whole regression (Frisch, Waugh & Lovell).

use super::error::ElasticityError;
use super::names::Names;
use super::ols::Clusters;
use super::panel::Panel;

/// The last sweep moves no column by more than this many standard deviations.
pub(super) const TOLERANCE: f64 = 1e-9;
/// Most sweeps.
const MAX_SWEEPS: usize = 10_000;
/// Of a column's variance, what must be left of it to count: below, the others tell it.
const LEAST_LEFT: f64 = 1e-10;
/// Most names of a control.
pub(super) const MAX_CONTROL_LEVELS: usize = 200;

/// Price and quantity net of the rest.
#[derive(Clone, Debug)]
pub(super) struct Design {
    pub(super) x: Vec<f64>,
    pub(super) y: Vec<f64>,
    pub(super) clusters: Option<Clusters>,
    /// Parameters fitted: levels, controls, the slope.
    pub(super) n_parameters: usize,
    /// Controls that others tell already, as `column` or `column=name`.
    pub(super) dropped: Vec<String>,
}

/// Takes everything but price out of `panel`; `groups` has a level of its own where given.
pub(super) fn net(panel: &Panel, groups: Option<&[u32]>) -> Result<Design, ElasticityError> {
    let effects = effects(panel, groups);
    let (names, controls): (Vec<String>, Vec<Vec<f64>>) = panel.controls.iter().flat_map(columns).unzip();
    let scales: Vec<f64> = controls.iter().map(|column| squared_deviation(column)).collect();
    let mut all = controls;
    all.push(panel.x.clone());
    all.push(panel.y.clone());
    absorb(&mut all, &effects, panel)?;
    let (mut y, mut x) = (all.pop().unwrap_or_default(), all.pop().unwrap_or_default());
    let (mut kept, mut dropped): (Vec<Vec<f64>>, _) = (Vec::new(), Vec::new());
    for ((name, mut column), scale) in names.into_iter().zip(all).zip(scales) {
        take_out(&kept, &mut column);
        let left: f64 = column.iter().map(|value| value * value).sum();
        if left <= LEAST_LEFT * scale || left <= 0.0 {
            dropped.push(name);
            continue;
        }
        let norm = left.sqrt();
        column.iter_mut().for_each(|value| *value /= norm);
        kept.push(column);
    }
    take_out(&kept, &mut x);
    take_out(&kept, &mut y);
    let clusters = panel.cluster.as_ref().map(|names| Clusters::new(&names.codes));
    let n_parameters = n_levels(&effects, clusters.as_ref()) + kept.len() + 1;
    Ok(Design { x, y, clusters, n_parameters, dropped })
}

/// The levels that are taken out: every fixed effect, the groups, or one level for all rows.
pub(super) fn effects<'a>(panel: &'a Panel, groups: Option<&'a [u32]>) -> Vec<Vec<u32>> {
    let named = panel.effects.iter().map(|names| names.codes.clone());
    let mut effects: Vec<Vec<u32>> = named.chain(groups.map(<[u32]>::to_vec)).collect();
    if effects.is_empty() {
        effects.push(vec![0; panel.len()]);
    }
    effects
}

/// A control's columns: its number, or one per name that occurs, but for the first.
fn columns(names: &Names) -> Vec<(String, Vec<f64>)> {
    if let Some(column) = names.values() {
        return vec![(names.column.clone(), column)];
    }
    let mut present = names.codes.clone();
    present.sort_unstable();
    present.dedup();
    let indicator = |level: &u32| {
        let column = names.codes.iter().map(|code| f64::from(u8::from(code == level))).collect();
        (format!("{}={}", names.column, names.levels[*level as usize]), column)
    };
    present.iter().skip(1).map(indicator).collect()
}

fn squared_deviation(column: &[f64]) -> f64 {
    let mean = column.iter().sum::<f64>() / column.len() as f64;
    column.iter().map(|value| (value - mean).powi(2)).sum()
}

/// Takes the means by every effect out of every column.
pub(super) fn absorb(
    columns: &mut [Vec<f64>],
    effects: &[Vec<u32>],
    panel: &Panel,
) -> Result<(), ElasticityError> {
    let sizes: Vec<Vec<f64>> = effects.iter().map(|codes| counts(codes)).collect();
    for column in columns {
        let deviation = (squared_deviation(column) / column.len() as f64).sqrt().max(f64::MIN_POSITIVE);
        let (mut moved, mut sweeps) = (f64::INFINITY, 0);
        while moved > TOLERANCE && sweeps < MAX_SWEEPS {
            moved = 0.0;
            for (codes, sizes) in effects.iter().zip(&sizes) {
                let most = project(column, codes, sizes);
                moved = f64::max(moved, most / deviation);
            }
            sweeps += 1;
            if effects.len() == 1 {
                moved = 0.0;
            }
        }
        if moved > TOLERANCE {
            let names: Vec<&str> = panel.effects.iter().map(|names| names.column.as_str()).collect();
            let columns = names.join(", ");
            return Err(ElasticityError::NotAbsorbed { columns, sweeps, moved, bound: TOLERANCE });
        }
    }
    Ok(())
}

fn counts(codes: &[u32]) -> Vec<f64> {
    let n = codes.iter().max().map_or(0, |most| *most as usize + 1);
    let mut counts = vec![0.0; n];
    codes.iter().for_each(|code| counts[*code as usize] += 1.0);
    counts
}

/// Takes each level's mean out; the largest of them.
fn project(column: &mut [f64], codes: &[u32], sizes: &[f64]) -> f64 {
    let mut means = vec![0.0; sizes.len()];
    column.iter().zip(codes).for_each(|(value, code)| means[*code as usize] += value);
    means.iter_mut().zip(sizes).filter(|(_, size)| **size > 0.0).for_each(|(mean, size)| *mean /= size);
    column.iter_mut().zip(codes).for_each(|(value, code)| *value -= means[*code as usize]);
    means.iter().fold(0.0, |most, mean| f64::max(most, mean.abs()))
}

/// Takes the directions `kept`, of length 1 and at right angles, out of `column`.
fn take_out(kept: &[Vec<f64>], column: &mut [f64]) {
    for _ in 0..2 {
        for direction in kept {
            let share: f64 = direction.iter().zip(column.iter()).map(|(d, value)| d * value).sum();
            column.iter_mut().zip(direction).for_each(|(value, d)| *value -= share * d);
        }
    }
}

/// Parameters that levels took: all of the first effect, all but one of each other; those that lie within clusters are
/// not counted (Cameron & Miller 2015, III.B), but one for the mean always is.
fn n_levels(effects: &[Vec<u32>], clusters: Option<&Clusters>) -> usize {
    let counted = effects.iter().filter(|codes| !clusters.is_some_and(|clusters| nested(codes, clusters)));
    let levels = counted.map(|codes| counts(codes).iter().filter(|size| **size > 0.0).count());
    levels.fold(1, |sum, n| sum + n - 1)
}

/// Whether no level meets two clusters.
fn nested(codes: &[u32], clusters: &Clusters) -> bool {
    let mut cluster_of = vec![None; counts(codes).len()];
    codes
        .iter()
        .zip(&clusters.of_row)
        .all(|(code, cluster)| *cluster_of[*code as usize].get_or_insert(*cluster) == *cluster)
}
