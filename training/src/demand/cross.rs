//! Cross-price effects: what the price of one SKU does to the units of the other SKUs of its category.
//!
//! `ln u_it = a_i + o_it - d_c * (sum over j != i of s_j o_jt) + w_t + g_c(t)`, with o what a SKU's own price does to its
//! units (e_i x_it and what is felt as a loss), s_j the share of j in the category's units: of the buyers who leave a SKU
//! the share d_c goes to its neighbours (diversion; Conlon & Mortimer 2021), to each as it sells (proportional draw, as in
//! a logit; Guadagni & Little 1983). The elasticity of i to the price of j is `-d_c e s_j`, e the category's own slope: on
//! average over j `k_c / n` with `k_c = -d_c e`, which is sealed. Own effects are held, w_t is what the other categories'
//! week was like, g_c a slow season (cosines above [`SEASON_WEEKS`] weeks). Prices of weeks that no experiment drew tell
//! nothing here: they follow the demand of the very SKUs they would be held responsible for.

use std::collections::BTreeMap;

use serde::Serialize;

use super::estimate::{Population, believed_spread, given_a_share, population_of_spread, shrink, updated};
use super::fit::Series;
use crate::metrics::Estimate;

/// Ups and downs of a category slower than this many weeks are season, not prices.
const SEASON_WEEKS: usize = 16;
/// Fewest weeks beyond those that the season takes.
const FREE_WEEKS: usize = 12;
/// Fewest units a category sells in a mean week: below, the logarithm of a count is not nearly normal.
const LEAST_UNITS: f64 = 20.0;
/// Mean diversion of categories beforehand: of the units a promotion brings 33 % (van Heerde, Gupta & Wittink 2003) to 75 % (Bell,
/// Chiang & Padmanabhan 1999) are taken from the same category.
const DIVERSION: Estimate = Estimate { value: 0.54, se: 0.21 };
/// Scale of the standard deviation between categories beforehand.
const DIVERSION_SPREAD: f64 = 0.15;
/// Rounds of proportional fitting between SKUs and weeks.
const ROUNDS: usize = 20;

/// The cross-price effect in one category: k of this file's formulas.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CrossEffect {
    /// What its own weeks tell.
    pub own: Estimate,
    /// After shrinking diversion toward the categories' mean, and that into 0 ..= 1.
    pub believed: Estimate,
    /// SKUs of the category.
    pub n_skus: usize,
    /// Weeks that told.
    pub n_weeks: usize,
}

impl CrossEffect {
    /// Percent change of a SKU's units per percent change of one neighbour's price, on average over the category.
    #[must_use]
    pub fn of_one(&self) -> Estimate {
        let n = self.n_skus.max(1) as f64;
        Estimate { value: self.believed.value / n, se: self.believed.se / n }
    }
}

/// A SKU with the slope that is held, percent per percent.
pub(super) struct Held<'s, 'a> {
    pub(super) series: &'s Series<'a>,
    pub(super) slope: f64,
}

/// The effects by category; none of those whose weeks cannot tell. `slope_se` is the standard error of the category's
/// mean own slope: an own slope that is held wrongly is taken for a cross effect of as much.
pub(super) fn effects(
    categories: &BTreeMap<&str, Vec<Held<'_, '_>>>,
    slope_se: impl Fn(&str) -> f64,
) -> BTreeMap<String, CrossEffect> {
    let groups: Vec<(&str, Group)> =
        categories.iter().filter_map(|(name, members)| Some((*name, Group::of(members)?))).collect();
    let told = groups.iter().enumerate().filter_map(|(at, (name, group))| {
        let others = groups.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, (_, group))| group);
        let (share, n_weeks) = group.diversion(&common(others))?;
        let share = Estimate { value: share.value, se: share.se.hypot(slope_se(name) / group.lost) };
        Some(Told { name: (*name).to_owned(), share, lost: group.lost, n_skus: group.n_skus, n_weeks })
    });
    believe(&told.collect::<Vec<_>>())
}

/// What one category's weeks tell.
struct Told {
    name: String,
    /// Diversion.
    share: Estimate,
    /// The category's own slope, its sign turned.
    lost: f64,
    n_skus: usize,
    n_weeks: usize,
}

/// Empirical Bayes on diversion: each category toward the mean of all by the spread between them, the mean toward what studies
/// found ([`DIVERSION`]); each given that it lies in 0 ..= 1, for a dearer SKU sends none of its neighbours' buyers away and no
/// more than it loses to them.
fn believe(told: &[Told]) -> BTreeMap<String, CrossEffect> {
    let shares: Vec<Estimate> = told.iter().map(|told| told.share).collect();
    let Some(all) = population_of_spread(&shares, believed_spread(&shares, DIVERSION_SPREAD)) else {
        return BTreeMap::new();
    };
    let all = Population { mean: updated(DIVERSION, all.mean), ..all };
    let one = |told: &Told| {
        let Told { share, lost, n_skus, n_weeks, .. } = *told;
        let of_lost = |share: Estimate| Estimate { value: lost * share.value, se: lost * share.se };
        let believed = given_a_share(shrink(Some(share), &all));
        let (own, believed) = (of_lost(share), of_lost(believed));
        (told.name.clone(), CrossEffect { own, believed, n_skus, n_weeks })
    };
    told.iter().map(one).collect()
}

/// A SKU's weeks that an experiment priced, or its others.
struct Stratum {
    cells: Vec<Cell>,
    /// What a unit of it says of the week beside one of others: see [`Group::of`].
    weight: f64,
}

/// One SKU in one week.
struct Cell {
    week: i32,
    units: f64,
    /// What its own price does to the logarithm of its units.
    own: f64,
    /// Share times what its price sends away, about its mean; 0 where no experiment drew it.
    draw: f64,
}

/// One week of a category; sums are over SKUs by weight.
#[derive(Clone, Copy, Default)]
struct Week {
    units: f64,
    expected: f64,
    /// Logarithm of units over expected.
    effect: f64,
    /// What the neighbours' prices send, a mean over SKUs by weighted expected units.
    neighbours: f64,
}

struct Group {
    n_skus: usize,
    weeks: BTreeMap<i32, Week>,
    /// Sum of units.
    units: f64,
    /// Mean own slope by units, its sign turned: the share of buyers lost per unit of log price. Above 0.
    lost: f64,
}

impl Group {
    fn of(members: &[Held<'_, '_>]) -> Option<Self> {
        let per_week = |held: &Held<'_, '_>| {
            let units: i64 = held.series.weeks.iter().map(|week| week.units).sum();
            units as f64 / held.series.weeks.len() as f64
        };
        let total: f64 = members.iter().map(per_week).sum();
        if members.len() < 2 || total < LEAST_UNITS {
            return None;
        }
        // Weeks that an experiment priced and others have an intercept each: who sets prices by demand chooses his weeks.
        let strata = members.iter().flat_map(|held| {
            let share = per_week(held) / total;
            [true, false].map(|drawn| Stratum { cells: cells(held, share, drawn), weight: 1.0 })
        });
        let mut strata: Vec<Stratum> = strata.filter(|stratum| !stratum.cells.is_empty()).collect();
        let (weeks, spread) = fitted(&strata);
        // A SKU's own ups and downs leave a variance of mu + spread mu^2 of its mu units, as of a negative binomial: the
        // units of what sells much say less each.
        for stratum in &mut strata {
            let n = stratum.cells.len() as f64;
            let mean = stratum.cells.iter().map(|cell| cell.units).sum::<f64>() / n;
            stratum.weight = 1.0 / (1.0 + spread * mean);
        }
        let units = weeks.values().map(|week| week.units).sum();
        let lost = members.iter().map(|held| -held.slope * per_week(held)).sum::<f64>() / total;
        Some(Self { n_skus: members.len(), weeks: fitted(&strata).0, units, lost: lost.max(1e-9) })
    }

    /// The slope of this category's week effects, less what was common, on what its neighbours' prices send.
    fn diversion(&self, common: &BTreeMap<i32, f64>) -> Option<(Estimate, usize)> {
        let of = |week: &i32| common.get(week).copied();
        let alone = common.is_empty();
        let rows = self.weeks.iter().filter_map(|(at, week)| {
            let effect = week.effect - if alone { 0.0 } else { of(at)? };
            Some((*at, week.neighbours, effect))
        });
        let rows: Vec<(i32, f64, f64)> = rows.collect();
        let slope = slope_beside_season(&rows)?;
        Some((slope, rows.len()))
    }
}

fn cells(held: &Held<'_, '_>, share: f64, drawn: bool) -> Vec<Cell> {
    let of = |at: usize| held.slope * held.series.x[at] + held.series.felt[at];
    let weeks = held.series.weeks.iter().enumerate().filter(|(_, week)| week.randomised == drawn);
    let weeks: Vec<_> = weeks.map(|(at, week)| (week, of(at))).collect();
    let mean = weeks.iter().map(|(_, own)| own).sum::<f64>() / weeks.len().max(1) as f64;
    let cell = |(week, own): (&&super::Observation, f64)| Cell {
        week: week.week,
        units: week.units as f64,
        own,
        draw: if drawn { -share * (own - mean) } else { 0.0 },
    };
    weeks.into_iter().map(cell).collect()
}

/// Levels of strata and effects of weeks by proportional fitting, own prices held; what neighbours' prices come to. And
/// the spread of units about what is fitted beyond Poisson's: the sum of (units - mu)^2 - mu over that of mu^2.
fn fitted(strata: &[Stratum]) -> (BTreeMap<i32, Week>, f64) {
    let mut weeks: BTreeMap<i32, Week> = BTreeMap::new();
    for Stratum { cells, weight } in strata {
        cells.iter().for_each(|cell| weeks.entry(cell.week).or_default().units += weight * cell.units);
    }
    let (mut over, mut square) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        weeks.values_mut().for_each(|week| (week.expected, week.neighbours) = (0.0, 0.0));
        (over, square) = (0.0, 0.0);
        for Stratum { cells, weight } in strata {
            let effect = |cell: &Cell| weeks.get(&cell.week).map_or(0.0, |week| week.effect);
            let exposure: f64 = cells.iter().map(|cell| (cell.own + effect(cell)).exp()).sum();
            let level = cells.iter().map(|cell| cell.units).sum::<f64>() / exposure;
            for cell in cells {
                let expected = level * cell.own.exp();
                let week = weeks.entry(cell.week).or_default();
                week.expected += weight * expected;
                week.neighbours -= weight * expected * cell.draw;
                let mu = expected * week.effect.exp();
                over += (cell.units - mu).powi(2) - mu;
                square += mu * mu;
            }
        }
        // Half a unit beside either keeps a week without sales finite, and takes away most of the logarithm's bias.
        weeks.values_mut().for_each(|week| week.effect = ((week.units + 0.5) / (week.expected + 0.5)).ln());
    }
    let mut draws: BTreeMap<i32, f64> = BTreeMap::new();
    let cells = strata.iter().flat_map(|stratum| &stratum.cells);
    cells.for_each(|cell| *draws.entry(cell.week).or_default() += cell.draw);
    for (at, week) in &mut weeks {
        let all = draws.get(at).copied().unwrap_or(0.0);
        week.neighbours = all + week.neighbours / week.expected.max(f64::MIN_POSITIVE);
    }
    (weeks, (over / square).max(0.0))
}

/// What a week was like in other categories: the mean of their effects, each about its own mean, by units.
fn common<'g>(groups: impl Iterator<Item = &'g Group>) -> BTreeMap<i32, f64> {
    let mut sums: BTreeMap<i32, (f64, f64)> = BTreeMap::new();
    for group in groups {
        let mean =
            group.weeks.values().map(|week| week.effect).sum::<f64>() / group.weeks.len().max(1) as f64;
        for (at, week) in &group.weeks {
            let sum = sums.entry(*at).or_default();
            *sum = (sum.0 + group.units * (week.effect - mean), sum.1 + group.units);
        }
    }
    sums.into_iter().map(|(at, (sum, units))| (at, sum / units)).collect()
}

/// Least squares of y on x beside a constant and slow cosines of the week; rows are (week, x, y). A first pass tells how
/// much of a week's rest the next inherits, a second takes that off (Cochrane & Orcutt 1949): prices are drawn anew each
/// week, what they are told from fades slowly. `None` where few weeks are left over.
fn slope_beside_season(rows: &[(i32, f64, f64)]) -> Option<Estimate> {
    let (_, rest) = freed_slope(rows, 0.0)?;
    let pairs = || rest.windows(2).filter(|pair| pair[1].0 == pair[0].0 + 1);
    let square: f64 = pairs().map(|pair| pair[0].1 * pair[0].1).sum();
    let kept =
        if square > 1e-18 { pairs().map(|pair| pair[0].1 * pair[1].1).sum::<f64>() / square } else { 0.0 };
    freed_slope(rows, kept.clamp(0.0, 0.9)).map(|(slope, _)| slope)
}

/// The slope by Frisch & Waugh (1933): x and y are freed of the season first; `kept` of the week before is taken off all.
/// Standard error HC3 (MacKinnon & White 1985). And what is left of y, by week.
fn freed_slope(rows: &[(i32, f64, f64)], kept: f64) -> Option<(Estimate, Vec<(i32, f64)>)> {
    let (first, last) = (rows.first()?.0, rows.last()?.0);
    let length = f64::from(last - first + 1);
    let n_cosines = 2 * rows.len() / SEASON_WEEKS;
    let pairs: Vec<_> = rows.windows(2).filter(|pair| pair[1].0 == pair[0].0 + 1).collect();
    if pairs.len() < n_cosines + FREE_WEEKS {
        return None;
    }
    let column = |of: &dyn Fn(&(i32, f64, f64)) -> f64| -> Vec<f64> {
        pairs.iter().map(|pair| of(&pair[1]) - kept * of(&pair[0])).collect()
    };
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for k in 0..=n_cosines {
        let phase = std::f64::consts::PI * k as f64 / length;
        let mut wave = column(&|row| (phase * (f64::from(row.0 - first) + 0.5)).cos());
        basis.iter().for_each(|earlier| free_of(&mut wave, earlier));
        let norm = dot(&wave, &wave).sqrt();
        if norm > 1e-6 {
            basis.push(wave.iter().map(|value| value / norm).collect());
        }
    }
    let (mut x, mut y) = (column(&|row| row.1), column(&|row| row.2));
    for earlier in &basis {
        free_of(&mut x, earlier);
        free_of(&mut y, earlier);
    }
    let sxx = dot(&x, &x);
    if sxx <= 1e-12 * pairs.len() as f64 {
        return None;
    }
    let value = dot(&x, &y) / sxx;
    let rest: Vec<f64> = x.iter().zip(&y).map(|(x, y)| y - value * x).collect();
    let meat = x.iter().zip(&rest).enumerate().map(|(at, (x, rest))| {
        let leverage = x * x / sxx + basis.iter().map(|column| column[at] * column[at]).sum::<f64>();
        (x * rest / (1.0 - leverage).max(0.05)).powi(2)
    });
    let se = meat.sum::<f64>().sqrt() / sxx;
    let by_week = pairs.iter().zip(rest).map(|(pair, rest)| (pair[1].0, rest)).collect();
    Some((Estimate { value, se }, by_week))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Takes the part along `unit` (of length 1) out of `column`.
fn free_of(column: &mut [f64], unit: &[f64]) {
    let along = dot(column, unit);
    column.iter_mut().zip(unit).for_each(|(value, unit)| *value -= along * unit);
}

#[cfg(test)]
mod tests;
