//! Own slopes: what a SKU's own price does to its units, week effects and what is felt as a loss held.
//!
//! `ln u_it = a_i + e_i x_it - d L_it + r R_it + w_t + g_ct`, by Poisson regression under shocks (`shocks`), w and the category's
//! season g from `weeks`, R that part of it which no experiment drew: x the log price over reference, R the price that buyers
//! are used to (an exponential mean of earlier weeks'), L = max(0, x - R) what they feel as a loss (Hardie, Johnson & Fader
//! 1993). A price that lasts is got used to, so e is what a lasting price does; without L a year of prices drawn anew each
//! week would tell of their first week alone, and call demand too elastic. d is common to all SKUs and told by the kink at
//! R, for R beside it takes up whatever earlier prices have to do with today's demand; so prices that follow demand alike both
//! ways tell it too, as far as they agree with drawn ones. `grounding` says what the slopes e of such weeks are good for.

use super::estimate::{given_negative, population, updated, widened};
use super::fit::{DemandOptions, Series, Which};
use super::grounding::{self, Grounding};
use super::shocks::{Moments, Shocks};
use super::weeks::{Sums, Weeks};
use crate::metrics::Estimate;

/// Share of what one is used to that is kept from week to week; studies of brands find 0.6 to 0.9 (Briesch et al. 1997).
const MEMORY: f64 = 0.8;
/// What a loss does beside the slope, as a share of it, beforehand: buyers weigh losses about 1.5 times as much as gains (Neumann &
/// Böckenholt 2014).
const LOSS: Estimate = Estimate { value: 0.5, se: 0.4 };
/// Fewest weeks over all SKUs that tell of losses: some for each SKU's own level and slope, and as many again.
const LOSS_WEEKS: usize = 200;

/// What is common to all SKUs.
#[derive(Clone, Copy, Debug, Default)]
struct Shared {
    used_to: f64,
    loss: f64,
    shocks: Shocks,
}

/// The weeks of one kind, and what they tell.
struct Kind {
    which: Which,
    shared: Shared,
    /// What a loss does, once a round has told it.
    loss: Option<Estimate>,
    /// Of each SKU, with what its slope takes up per unit of loss left out.
    slopes: Vec<Option<(Estimate, f64)>>,
}

impl Kind {
    fn new(which: Which) -> Self {
        Self { which, shared: Shared::default(), loss: None, slopes: Vec::new() }
    }

    /// One round, which `learns` of losses and shocks or holds them; what it says of the weeks.
    fn round(&mut self, series: &[Series<'_>], weeks: &Weeks, learns: bool, options: &DemandOptions) -> Sums {
        let round = Round::of(series, self.which, options, weeks, self.shared);
        if learns {
            self.shared.shocks = round.moments.shocks();
            if let Some((step, se)) = round.step() {
                self.shared.used_to += step[0];
                self.shared.loss += step[1];
                self.loss = Some(Estimate { value: self.shared.loss, se });
            }
        }
        self.slopes = round.slopes;
        round.sums
    }
}

/// What is told of all SKUs' slopes beside each one's own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Common {
    /// The effect of losses as estimated, where the weeks tell one.
    pub(super) loss: Option<Estimate>,
    /// What weeks outside an experiment added.
    pub(super) grounding: Option<Grounding>,
    /// Standard error that all slopes share, beside that of each.
    pub(super) shared_se: f64,
}

/// Fits each SKU's slope.
pub(super) fn own_slopes(
    series: &mut [Series<'_>],
    randomised_only: bool,
    options: &DemandOptions,
) -> Common {
    let mut kinds = match randomised_only {
        true => vec![Kind::new(Which::Drawn), Kind::new(Which::Undrawn)],
        false => vec![Kind::new(Which::All)],
    };
    let mut weeks = Weeks::default();
    let mut rounds = |kinds: &mut [Kind], learns, n_rounds| {
        for _ in 0..n_rounds {
            let sums: Vec<Sums> =
                kinds.iter_mut().map(|kind| kind.round(series, &weeks, learns, options)).collect();
            weeks = weeks.told(&sums, options);
        }
    };
    // Without drawn prices nothing holds what is told of losses against.
    if randomised_only {
        rounds(&mut kinds, true, 2 * options.week_rounds);
    }
    let told = kinds[0].loss.map(|drawn| match kinds.get(1).and_then(|undrawn| undrawn.loss) {
        Some(undrawn) => updated(drawn, as_sure_as_it_agrees(undrawn, drawn)),
        None => drawn,
    });
    let slope = -population(&told_slopes(&kinds[0].slopes)).map_or(0.0, |all| all.mean.value).min(0.0);
    let share = shares(&kinds[0].slopes);
    let [loss, unsure] = if randomised_only { believed(told, slope, share) } else { [0.0; 2] };
    kinds.iter_mut().for_each(|kind| kind.shared.loss = loss);
    rounds(&mut kinds, false, options.week_rounds + 1);
    for (series, slope) in series.iter_mut().zip(&kinds[0].slopes) {
        series.own = slope.map(|(own, _)| own);
        let used_to = series.used_to(MEMORY);
        let losses = series.x.iter().zip(used_to).map(|(x, (used_to, _))| (x - used_to).max(0.0));
        series.felt = losses.map(|felt| -loss * felt).collect();
    }
    let observed = kinds.get(1).map(|undrawn| undrawn.slopes.iter().map(|slope| Some(slope.as_ref()?.0)));
    let grounding = observed.and_then(|observed| grounding::take(series, &observed.collect::<Vec<_>>()));
    let of_losses = unsure * shares(&kinds[0].slopes);
    let of_bias = grounding.map_or(0.0, |grounding| grounding.weight * grounding.bias.mean.se);
    Common { loss: told, grounding, shared_se: of_losses.hypot(of_bias) }
}

/// `undrawn` with the error that its disagreement with `drawn` beyond chance shows: who marks down alone, say, makes a kink of
/// demand itself.
fn as_sure_as_it_agrees(undrawn: Estimate, drawn: Estimate) -> Estimate {
    let chance = undrawn.se.powi(2) + drawn.se.powi(2);
    widened(undrawn, ((undrawn.value - drawn.value).powi(2) - chance).max(0.0).sqrt())
}

fn told_slopes(slopes: &[Option<(Estimate, f64)>]) -> Vec<Estimate> {
    slopes.iter().flatten().map(|(slope, _)| *slope).collect()
}

/// What a mean slope takes up per unit of loss left out.
fn shares(slopes: &[Option<(Estimate, f64)>]) -> f64 {
    let shares = slopes.iter().flatten().map(|(_, share)| share);
    shares.clone().sum::<f64>() / shares.count().max(1) as f64
}

/// What is felt as a loss takes buyers away, or none: its effect and the error of that, believed given that. Where the weeks do not
/// tell one it is what studies found, and what they found is a share of the lasting slope, which `slope` (its sign turned) then
/// exceeds by `share` of the loss.
fn believed(loss: Option<Estimate>, slope: f64, share: f64) -> [f64; 2] {
    let lasting = if loss.is_some() { slope } else { slope / (1.0 + LOSS.value * share.max(0.0)) };
    let before = Estimate { value: LOSS.value * lasting, se: LOSS.se * lasting };
    let loss = match loss {
        Some(loss) if slope > 0.0 => updated(before, loss),
        Some(loss) => loss,
        None => before,
    };
    let [value, se, ..] = given_negative(Estimate { value: -loss.value, se: loss.se });
    [-value, se]
}

/// One pass over all SKUs: slopes given what is shared, and what the rest says of what is shared.
#[derive(Default)]
struct Round {
    slopes: Vec<Option<(Estimate, f64)>>,
    sums: Sums,
    n_weeks: usize,
    moments: Moments,
    gradient: [f64; 2],
    curvature: [f64; 3],
    /// Sums of squared gradients by week, for the sandwich.
    squares: [f64; 3],
}

impl Round {
    fn of(
        series: &[Series<'_>],
        which: Which,
        options: &DemandOptions,
        weeks: &Weeks,
        shared: Shared,
    ) -> Self {
        let mut round = Self::default();
        for series in series {
            let slope =
                enough(series, which, options).then(|| round.one(series, which, weeks, shared)).flatten();
            round.slopes.push(slope);
        }
        round
    }

    fn one(
        &mut self,
        series: &Series<'_>,
        which: Which,
        weeks: &Weeks,
        shared: Shared,
    ) -> Option<(Estimate, f64)> {
        let used = series.used(which);
        let column = |of: &dyn Fn(usize) -> f64| -> Vec<f64> { used.iter().map(|&at| of(at)).collect() };
        let used_to = series.used_to(MEMORY);
        let units = column(&|at| series.weeks[at].units as f64);
        let x = column(&|at| series.x[at]);
        let known = column(&|at| used_to[at].1);
        let loss = column(&|at| (series.x[at] - used_to[at].0).max(0.0));
        let numbers: Vec<i32> = used.iter().map(|&at| series.weeks[at].week).collect();
        let felt = known.iter().zip(&loss).map(|(r, loss)| shared.used_to * r - shared.loss * loss);
        let category = series.category.as_ref();
        let effect: Vec<f64> = numbers.iter().map(|week| weeks.effect(category, *week)).collect();
        let offsets: Vec<f64> = felt.zip(&effect).map(|(felt, effect)| felt + effect).collect();
        let fit = shared.shocks.fit(&numbers, &units, &x, &offsets)?;
        for (at, week) in numbers.iter().enumerate() {
            self.sums.add(category, *week, units[at], fit.means[at] / effect[at].exp());
        }
        self.moments.add(&numbers, &units, &fit.means, shared.shocks);
        let whitened = |column: &[f64]| shared.shocks.whitened(&numbers, &fit.means, column);
        let (known, _) = fit.freed(whitened(&known));
        let (loss, share) = fit.freed(whitened(&loss));
        for ((rest, k), l) in fit.rest.iter().zip(known).zip(loss) {
            let l = -l;
            self.gradient = [self.gradient[0] + rest * k, self.gradient[1] + rest * l];
            for (sums, factor) in [(&mut self.curvature, 1.0), (&mut self.squares, rest * rest)] {
                *sums = [sums[0] + factor * k * k, sums[1] + factor * k * l, sums[2] + factor * l * l];
            }
        }
        self.n_weeks += used.len();
        Some((fit.slope, share))
    }

    /// Newton's step for what is shared, and the standard error of the effect of losses (White 1980).
    fn step(&self) -> Option<([f64; 2], f64)> {
        let ([a, b, c], [p, q, r]) = (self.curvature, self.squares);
        let det = a * c - b * b;
        let [g, h] = self.gradient;
        let bounded = |step: f64| step.clamp(-1.0, 1.0);
        if self.n_weeks < LOSS_WEEKS || c <= 0.0 {
            return None;
        }
        // Where every week was drawn nothing of what buyers are used to was left by other prices: losses stand alone.
        if a <= 1e-9 * c {
            return Some(([0.0, bounded(h / c)], r.sqrt() / c));
        }
        if det <= 1e-9 * a * c {
            return None;
        }
        let step = [bounded((c * g - b * h) / det), bounded((a * h - b * g) / det)];
        Some((step, (b * b * p - 2.0 * a * b * q + a * a * r).max(0.0).sqrt() / det))
    }
}

/// Whether the weeks `used` vary and sell enough to tell a slope.
pub(super) fn enough(series: &Series<'_>, which: Which, options: &DemandOptions) -> bool {
    let used = series.used(which);
    let units: i64 = used.iter().map(|&at| series.weeks[at].units).sum();
    let n = used.len() as f64;
    let mean = used.iter().map(|&at| series.x[at]).sum::<f64>() / n;
    let sd = (used.iter().map(|&at| (series.x[at] - mean).powi(2)).sum::<f64>() / n).sqrt();
    used.len() >= options.min_weeks && units >= options.min_units && sd >= options.min_log_price_sd
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Normal, Poisson};

    use crate::demand::{DemandOptions, DemandReport, Observation, fit};

    const N_SKUS: usize = 40;

    /// Two years of prices drawn each week for three blocks of four weeks in four and set by a manager who sees demand,
    /// whose shocks last, in the fourth; buyers with an elasticity of -2 and `loss` beside it, who are used to 0.75 of what
    /// they were used to the week before.
    fn shop(loss: f64, seed: u64) -> Vec<Observation> {
        shop_of(loss, seed, |sku, week| (week / 4 + sku) % 4 != 0)
    }

    /// The same, prices drawn where `is_drawn` of SKU and week says so.
    fn shop_of(loss: f64, seed: u64, is_drawn: impl Fn(usize, usize) -> bool) -> Vec<Observation> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shocks = Normal::new(0.0, 0.2).unwrap();
        let mut found = Vec::new();
        for sku in 0..N_SKUS {
            let (mut used_to, mut shock) = (0.0_f64, 0.0);
            for week in 0..104 {
                let drawn = is_drawn(sku, week);
                shock = 0.6 * shock + shocks.sample(&mut rng);
                let arms = [0.85, 0.92, 1.0, 1.08, 1.15];
                let log = if drawn { f64::ln(arms[rng.random_range(0..5)]) } else { 0.3 * shock };
                let log_units = 4.0 + shock - 2.0 * log - loss * (log - used_to).max(0.0);
                let units = Poisson::new(log_units.exp()).unwrap().sample(&mut rng) as i64;
                used_to = 0.75 * used_to + 0.25 * log;
                found.push(Observation {
                    sku: format!("S{sku:03}"),
                    week: i32::try_from(week).unwrap(),
                    price_minor: 1000.0 * log.exp(),
                    units,
                    n_orders: units as u64,
                    n_shown: 0,
                    randomised: drawn,
                });
            }
        }
        found
    }

    fn report(loss: f64, seed: u64) -> DemandReport {
        fit(&shop(loss, seed), |_| None, DemandOptions::default()).unwrap().report
    }

    /// Within 4 standard errors of the truth, in several shops; the mean slope, whose error holds that of the loss (about a
    /// half of it, the slope of a loss on a price), is that of a price that lasts.
    #[test]
    fn losses_are_told_apart_from_lasting_prices() {
        for seed in 1..=3 {
            let report = report(1.2, seed);
            let (loss, mean) = (report.loss.unwrap(), report.overall.unwrap().mean);
            assert!((loss.value - 1.2).abs() < 4.0 * loss.se, "{loss:?}");
            let se = mean.se.hypot(0.5 * loss.se);
            assert!((mean.value + 2.0).abs() < 4.0 * se, "{mean:?} {loss:?}");
            assert!(
                mean.value > -2.6 + se,
                "-2.6 is what a year of first weeks would say: {mean:?} {loss:?}"
            );
        }
    }

    /// The same of a shop whose every week was drawn.
    #[test]
    fn losses_are_told_where_every_week_was_drawn() {
        for seed in 7..=9 {
            let drawn = shop_of(1.2, seed, |_, _| true);
            let report = fit(&drawn, |_| None, DemandOptions::default()).unwrap().report;
            let (loss, mean) = (report.loss.unwrap(), report.overall.unwrap().mean);
            assert!((loss.value - 1.2).abs() < 4.0 * loss.se, "{loss:?}");
            assert!((mean.value + 2.0).abs() < 4.0 * mean.se, "{mean:?} {loss:?}");
        }
    }

    /// Of 160 drawn weeks none is told, and what studies found is taken off, as far as it is sure: the mean slope is that of a price
    /// that lasts, not the -2.5 of first weeks, within its error in each of ten shops.
    #[test]
    fn where_few_weeks_are_drawn_losses_are_what_studies_found() {
        let (mut off, mut first_weeks) = (Vec::new(), Vec::new());
        for seed in 11..=20 {
            let few = |row: &Observation| row.sku.as_str() < "S008" && row.week < 20;
            let drawn: Vec<Observation> = shop_of(1.0, seed, |_, _| true).into_iter().filter(few).collect();
            let report = fit(&drawn, |_| None, DemandOptions::default()).unwrap().report;
            assert!(report.loss.is_none() && report.notes.iter().any(|note| note.contains("studies found")));
            let mean = report.overall.unwrap().mean;
            assert!((mean.value + 2.0).abs() < 4.0 * mean.se, "{mean:?}");
            off.push(mean.value + 2.0);
            first_weeks.push(mean.value + 2.5);
        }
        let (off, first_weeks) = (crate::metrics::mean(&off), crate::metrics::mean(&first_weeks));
        assert!(off.value.abs() < first_weeks.value.abs(), "{off:?} {first_weeks:?}");
    }

    #[test]
    fn without_losses_none_is_told_and_slopes_stay() {
        for seed in 4..=6 {
            let report = report(0.0, seed);
            let (loss, mean) = (report.loss.unwrap(), report.overall.unwrap().mean);
            assert!(loss.value.abs() < 4.0 * loss.se, "{loss:?}");
            assert!((mean.value + 2.0).abs() < 4.0 * mean.se.hypot(0.5 * loss.se), "{mean:?} {loss:?}");
        }
    }
}
