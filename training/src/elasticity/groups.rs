//! A table in, its elasticities out: all rows, every group, and groups drawn toward what groups have in common.

use std::collections::BTreeMap;

use super::design::{self, Design, MAX_CONTROL_LEVELS};
use super::dml::{self, CrossFit};
use super::enough::{Net, trees_refused};
use super::error::ElasticityError;
use super::names::Names;
use super::ols::{Clusters, Slope, slope};
use super::panel::{self, Panel};
use super::report::{ElasticityReport, GroupEstimate, Interval, PriceVariation, TooLittle, next};
use super::{ElasticityOptions, Method};
use crate::demand::estimate::{Population, normal_quantile, population, shrink};
use crate::metrics::Estimate;

/// Below so many clusters an interval is told with a warning.
const FEW_CLUSTERS: usize = 10;
/// Fewest groups that tell of each other.
const MIN_GROUPS: usize = 3;

/// Fits the table of `options`.
///
/// Logarithms on both sides make the slope the elasticity, `d ln q / d ln p`; with `linear` it is `d q / d p`, and the
/// elasticity is told at the means, `slope * mean p / mean q`, as if the means were known. With groups, each has its own
/// slope: by least squares also its own controls and levels, by double machine learning common trees that know the group.
pub fn fit(options: &ElasticityOptions) -> Result<ElasticityReport, ElasticityError> {
    fit_by(options, CrossFit::default())
}

/// [`fit`] with splits and trees as told.
pub(super) fn fit_by(
    options: &ElasticityOptions,
    cross_fit: CrossFit,
) -> Result<ElasticityReport, ElasticityError> {
    check(options)?;
    let panel = panel::read(options)?;
    for names in &panel.controls {
        if names.numbers.is_none() && names.levels.len() > MAX_CONTROL_LEVELS {
            let (column, found) = (names.column.clone(), names.levels.len());
            return Err(ElasticityError::TooManyLevels { column, found, bound: MAX_CONTROL_LEVELS });
        }
    }
    let (group_of, values) = panel.groups();
    let job = Job { options, panel: &panel, group_of: &group_of, n_groups: values.len() };
    let (pooled, mut groups) = match options.method {
        Method::Ols => job.by_ols(&values)?,
        Method::Dml => job.by_dml(&values, cross_fit)?,
    };
    let population = draw_together(&mut groups);
    Ok(job.report(pooled, groups, population))
}

fn check(options: &ElasticityOptions) -> Result<(), ElasticityError> {
    let adjusted = !options.controls.is_empty() || !options.fixed_effects.is_empty();
    let wrong = if options.linear && (options.log_quantity || options.log_price) {
        "--linear takes no logarithm: --log-quantity and --log-price say that there is one already"
    } else if options.linear && options.drop_nonpositive {
        "--linear takes no logarithm: there is nothing for --drop-nonpositive to leave out"
    } else if options.log_quantity && options.log_price && options.drop_nonpositive {
        "both columns are logarithms already: there is nothing for --drop-nonpositive to leave out"
    } else if options.method == Method::Dml && !adjusted {
        "--method dml takes out what controls tell: name --controls or --fixed-effects, or take --method ols"
    } else {
        return Ok(());
    };
    Err(ElasticityError::Options(wrong))
}

/// A table's rows with what is asked of them.
struct Job<'a> {
    options: &'a ElasticityOptions,
    panel: &'a Panel,
    group_of: &'a [u32],
    n_groups: usize,
}

type Told = (GroupEstimate, Vec<GroupEstimate>);

impl Job<'_> {
    /// The rows of each group.
    fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.n_groups];
        self.group_of.iter().enumerate().for_each(|(row, group)| members[*group as usize].push(row));
        members
    }

    fn by_ols(&self, values: &[Vec<String>]) -> Result<Told, ElasticityError> {
        let estimate = |panel: &Panel, design: &Design, group| {
            let Design { x, y, clusters, n_parameters, dropped } = design;
            let found = slope(x, y, clusters.as_ref(), *n_parameters);
            let net = Net { x, clusters: clusters.as_ref(), n_parameters: *n_parameters };
            let told = self.told(panel, group, &net, found, None);
            GroupEstimate { dropped_controls: dropped.clone(), ..told }
        };
        let all = design::net(self.panel, (self.n_groups > 1).then_some(self.group_of))?;
        let pooled = estimate(self.panel, &all, &[]);
        if self.options.by.is_empty() {
            return Ok((pooled, Vec::new()));
        }
        let mut groups = Vec::new();
        for (rows, values) in self.members().iter().zip(values) {
            let part = self.panel.rows(rows);
            groups.push(estimate(&part, &design::net(&part, None)?, values));
        }
        Ok((pooled, groups))
    }

    fn by_dml(&self, values: &[Vec<String>], cross_fit: CrossFit) -> Result<Told, ElasticityError> {
        let panel = self.panel;
        let whole = design::net(panel, (self.n_groups > 1).then_some(self.group_of))?;
        let refused = trees_refused(panel.len(), whole.clusters.as_ref());
        let splits = match refused {
            None => {
                let groups = (self.group_of, self.n_groups);
                dml::residuals(panel, &whole, groups, cross_fit, self.options.seed)?
            }
            Some(_) => Vec::new(),
        };
        let estimate = |rows: &[usize], n_absorbed: usize, group: &[String]| {
            let part = panel.rows(rows);
            let clusters = part.cluster.as_ref().map(|names| Clusters::new(&names.codes));
            let found = dml::median(&splits, rows, clusters.as_ref(), n_absorbed);
            let of_split = |split: &dml::Residuals| rows.iter().map(|&row| split.x[row]).collect();
            let x: Vec<f64> = splits.first().map_or(Vec::new(), of_split);
            let net = Net { x: &x, clusters: clusters.as_ref(), n_parameters: n_absorbed + 1 };
            self.told(&part, group, &net, found, refused.clone())
        };
        let (all, n_taken): (Vec<usize>, usize) = ((0..panel.len()).collect(), whole.n_parameters - 1);
        let pooled =
            GroupEstimate { dropped_controls: whole.dropped.clone(), ..estimate(&all, n_taken, &[]) };
        if self.options.by.is_empty() {
            return Ok((pooled, Vec::new()));
        }
        // What was taken out is common to all groups: each bears its share of it.
        let share = |rows: &[usize]| 1.max(n_taken * rows.len() / panel.len());
        let groups = self.members();
        let told = groups.iter().zip(values).map(|(rows, values)| estimate(rows, share(rows), values));
        Ok((pooled, told.collect()))
    }

    /// One group's estimate, or why it has none.
    fn told(
        &self,
        panel: &Panel,
        values: &[String],
        net: &Net<'_>,
        found: Option<Slope>,
        refused: Option<(TooLittle, String)>,
    ) -> GroupEstimate {
        let linear = self.options.linear;
        let mean = |column: &[f64]| column.iter().sum::<f64>() / column.len() as f64;
        let [price, quantity] = [mean(&panel.x), mean(&panel.y)];
        let unit = if linear { price.abs().max(f64::MIN_POSITIVE) } else { 1.0 };
        let centred: Vec<f64> = panel.x.iter().map(|x| x - price).collect();
        let price_variation =
            PriceVariation { log_sd: deviation(&centred) / unit, net_log_sd: deviation(net.x) / unit };
        let refused = refused.or_else(|| net.refused(panel.len(), price_variation));
        let interval = found.filter(|_| refused.is_none()).map(|slope| slope.interval());
        let (code, reason) = match (&refused, interval) {
            (Some((code, reason)), _) => (Some(*code), Some(reason.clone())),
            (None, None) => {
                (Some(TooLittle::TooFewRows), Some("no row is left beyond the parameters".to_owned()))
            }
            (None, Some(_)) => (None, None),
        };
        let columns = self.panel.by.iter().map(|names| names.column.clone());
        GroupEstimate {
            group: columns.zip(values.iter().cloned()).collect(),
            n: panel.len(),
            n_clusters: net.clusters.map(|clusters| clusters.n),
            price: price_variation,
            slope: interval.filter(|_| linear),
            elasticity: interval.map(|slope| if linear { slope.times(price / quantity) } else { slope }),
            shrunk: None,
            code,
            reason,
            dropped_controls: Vec::new(),
        }
    }

    fn report(
        &self,
        pooled: GroupEstimate,
        groups: Vec<GroupEstimate>,
        population: Option<Population>,
    ) -> ElasticityReport {
        let options = self.options;
        let kind = |names: &Names| match &names.numbers {
            Some(_) => "number".to_owned(),
            None => format!("{} names", names.levels.len()),
        };
        let controls = self.panel.controls.iter().map(|names| (names.column.clone(), kind(names)));
        let adjusted = !options.controls.is_empty() || !options.fixed_effects.is_empty();
        ElasticityReport {
            method: options.method,
            form: if options.linear { "linear" } else { "log_log" },
            n_rows: self.panel.n_rows,
            n_used: self.panel.len(),
            left_out: self.panel.left_out.clone(),
            controls: controls.collect(),
            next: next(&pooled, options.method, adjusted),
            notes: notes(&pooled, &groups),
            pooled,
            groups,
            population,
        }
    }
}

fn deviation(centred: &[f64]) -> f64 {
    if centred.is_empty() {
        return 0.0;
    }
    (centred.iter().map(|value| value * value).sum::<f64>() / centred.len() as f64).sqrt()
}

/// Shrinks each group's elasticity toward that of all groups, where there are enough; those without one get none.
fn draw_together(groups: &mut [GroupEstimate]) -> Option<Population> {
    let own = |group: &GroupEstimate| group.elasticity.map(|own| Estimate { value: own.value, se: own.se });
    let estimates: Vec<Estimate> = groups.iter().filter_map(own).collect();
    if estimates.len() < MIN_GROUPS {
        return None;
    }
    let population = population(&estimates)?;
    let z = normal_quantile(0.975);
    for group in groups.iter_mut() {
        let shrunk = own(group).map(|own| shrink(Some(own), &population));
        group.shrunk = shrunk.map(|shrunk| Interval::of(shrunk.value, shrunk.se, z));
    }
    Some(population)
}

fn notes(pooled: &GroupEstimate, groups: &[GroupEstimate]) -> Vec<String> {
    let mut notes = Vec::new();
    let few = groups
        .iter()
        .chain([pooled])
        .filter_map(|group| group.n_clusters.filter(|_| group.elasticity.is_some()));
    if let Some(fewest) = few.filter(|n| *n < FEW_CLUSTERS).min() {
        notes.push(format!(
            "few_clusters: {fewest} clusters where at least {FEW_CLUSTERS}, better 40, are wanted: intervals may be too narrow"
        ));
    }
    let mut dropped: BTreeMap<&str, usize> = BTreeMap::new();
    for name in groups.iter().chain([pooled]).flat_map(|group| &group.dropped_controls) {
        *dropped.entry(name).or_default() += 1;
    }
    let dropped: Vec<&str> = dropped.into_keys().take(20).collect();
    if !dropped.is_empty() {
        notes.push(format!(
            "collinear_controls: left out, in a group or everywhere, as the rest tells them already: {}",
            dropped.join(", ")
        ));
    }
    let n_without = groups.iter().filter(|group| group.elasticity.is_none()).count();
    if n_without > 0 {
        notes.push(format!("{n_without} of {} groups have no elasticity: each says why", groups.len()));
    }
    notes
}
