//! Counting is exact and order-free; slopes recover a truth that made the data; where nothing can be told, none is.

use super::*;
use crate::metrics::Estimate;
use nextbest_models::event::EventDraft;
use nextbest_models::pricing::DemandLevel;
use nextbest_models::units::{DAY_MS, Money, Timestamp};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, Poisson};

fn event(kind: &str, day: i32, quantity: i64, amount_minor: i64) -> Event {
    let draft = EventDraft {
        event_id: "e".into(),
        event_type: kind.into(),
        occurred_at: Some(Timestamp::from_millis(i64::from(day) * DAY_MS).unwrap()),
        customer_id: Some("c".into()),
        sku: Some("A".into()),
        quantity: Some(quantity),
        value: Some(Money { amount_minor, currency: "GBP".parse().unwrap() }),
        ..EventDraft::default()
    };
    Event::try_from(draft).unwrap()
}

fn table(events: &[Event]) -> DemandTable {
    let mut table = DemandTable::new("GBP".parse().unwrap(), RandomisedRule::default());
    events.iter().for_each(|event| table.observe(event));
    table
}

#[test]
fn events_become_weeks() {
    let mut shown = event("price_shown", 15_000, 1, 500);
    shown
        .attributes
        .insert("price_rule".into(), nextbest_models::event::AttributeValue::Text("experiment".into()));
    let refund = event("refunded", 15_000, 1, 400);
    let events = [event("order_placed", 15_000, 4, 1600), shown, refund, event("page_viewed", 15_000, 1, 9)];
    let found = table(&events).observations();
    assert_eq!(found.len(), 1);
    let week = &found[0];
    assert_eq!((week.week, week.units, week.n_orders, week.n_shown), (0, 3, 1, 1));
    assert!((week.price_minor - 450.0).abs() < 1e-12, "mean of 400 and 500");
    assert!(week.randomised, "the one price that says how it was set says drawn");
    let mut by_hand = event("price_shown", 15_000, 1, 500);
    let rule = nextbest_models::event::AttributeValue::Text("manager".into());
    by_hand.attributes.insert("price_rule".into(), rule);
    let mixed = [events.to_vec(), vec![by_hand]].concat();
    assert!(!table(&mixed).observations()[0].randomised, "one price was not drawn");
    let mut other = event("order_placed", 15_000, 1, 100);
    other.value = Some(Money { amount_minor: 100, currency: "EUR".parse().unwrap() });
    assert_eq!(table(&[other]).n_other_currency(), 1);
}

#[test]
fn weeks_start_where_prices_move() {
    let events: Vec<Event> = (0..70)
        .map(|day| event("order_placed", 15_003 + day, 1, 100 + i64::from(day / 7 % 3) * 10))
        .collect();
    let found = table(&events).observations();
    assert_eq!(found.len(), 10);
    assert!(found.iter().all(|week| week.price_minor.fract() == 0.0 && week.units == 7), "{found:?}");
}

proptest! {
    #[test]
    fn counting_does_not_depend_on_order_or_parts(
        rows in prop::collection::vec((0..3usize, 0..40i32, 1..9i64, 1..9000i64), 1..60),
        cut in 0..60usize,
    ) {
        let kinds = ["order_placed", "price_shown", "order_cancelled"];
        let events: Vec<Event> =
            rows.iter().map(|&(kind, day, quantity, amount)| event(kinds[kind], 15_000 + day, quantity, amount)).collect();
        let (left, right) = events.split_at(cut.min(events.len()));
        let mut parts = table(right);
        parts.merge(table(left));
        prop_assert_eq!(parts.observations(), table(&events).observations());
    }
}

/// Weeks of a shop with known elasticities. A manager, where there is one, follows the demand shock.
fn shop(n_skus: usize, n_weeks: i32, manager: bool, seed: u64) -> (Vec<Observation>, Vec<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (spread, shocks) = (Normal::new(-2.2, 0.5).unwrap(), Normal::new(0.0, 0.3).unwrap());
    let (mut found, mut truth) = (Vec::new(), Vec::new());
    let season: Vec<f64> = (0..n_weeks).map(|week| 0.3 * (f64::from(week) / 8.0).sin()).collect();
    for sku in 0..n_skus {
        let elasticity: f64 = f64::min(spread.sample(&mut rng), -0.3);
        truth.push(elasticity);
        for week in 0..n_weeks {
            let shock = if manager { shocks.sample(&mut rng) } else { 0.0 };
            let randomised = !manager || week % 2 == 0;
            let arm = [0.85, 0.92, 1.0, 1.08, 1.15][rng.random_range(0..5)];
            let price = 1000.0 * if randomised { arm } else { f64::exp(0.5 * shock) };
            let log_units = 3.5 + season[week as usize] + shock + elasticity * (price / 1000.0_f64).ln();
            let units = Poisson::new(log_units.exp()).unwrap().sample(&mut rng) as i64;
            found.push(Observation {
                sku: format!("S{sku:03}"),
                week,
                price_minor: price,
                units,
                n_orders: units as u64,
                n_shown: 400,
                randomised,
            });
        }
    }
    (found, truth)
}

/// What a manager may know when setting a week's price.
#[derive(Clone, Copy, Default)]
struct Known {
    /// By how much, in logarithms, last week's sales exceeded what its price lets one expect.
    sold: f64,
    /// The demand shock behind it.
    shock: f64,
    /// What is new in the shock of the week itself.
    news: f64,
}

/// Weeks of a shop whose demand shocks persist (AR(1), memory 0.8) and whose manager prices by `follows`, with some
/// whim; nothing is randomised.
fn managed(
    n_skus: usize,
    n_weeks: i32,
    follows: fn(Known) -> f64,
    seed: u64,
) -> (Vec<Observation>, Vec<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let normal = |sd: f64| Normal::new(0.0, sd).unwrap();
    let (mut found, mut truth) = (Vec::new(), Vec::new());
    for sku in 0..n_skus {
        let elasticity = f64::min(-2.2 + normal(0.5).sample(&mut rng), -0.3);
        truth.push(elasticity);
        let mut known = Known { shock: normal(0.33).sample(&mut rng), ..Known::default() };
        for week in 0..n_weeks {
            known.news = normal(0.2).sample(&mut rng);
            let log_price = follows(known) + normal(0.08).sample(&mut rng);
            let expected = 3.5 + 0.3 * (f64::from(week) / 8.0).sin() + elasticity * log_price;
            let shock = 0.8 * known.shock + known.news;
            let units = Poisson::new((expected + shock).exp()).unwrap().sample(&mut rng) as i64;
            known = Known { sold: (units.max(1) as f64).ln() - expected, shock, news: 0.0 };
            found.push(Observation {
                sku: format!("S{sku:03}"),
                week,
                price_minor: 1000.0 * log_price.exp(),
                units,
                n_orders: units as u64,
                n_shown: 400,
                randomised: false,
            });
        }
    }
    (found, truth)
}

fn category(sku: &str) -> Option<String> {
    Some(if sku < "S020" { "mugs" } else { "pans" }.to_owned())
}

/// How many of the true elasticities lie in their 95 % intervals.
fn covered(report: &DemandReport, truth: &[f64]) -> usize {
    let skus = report.records.iter().filter(|record| record.level == DemandLevel::Sku);
    let inside = |(record, truth): &(&nextbest_models::pricing::DemandRecord, &f64)| {
        record.elasticity.is_some_and(|e| e.lo <= **truth && **truth <= e.hi)
    };
    skus.zip(truth).filter(inside).count()
}

#[test]
fn randomised_prices_give_the_truth_back() {
    let (observations, truth) = shop(40, 52, false, 1);
    let report = fit(&observations, category, DemandOptions::default()).unwrap().report;
    assert!(report.randomised_only && report.n_estimated == 40);
    let mean = truth.iter().sum::<f64>() / 40.0;
    let overall = report.overall.unwrap();
    assert!((overall.mean.value - mean).abs() < 3.0 * overall.mean.se, "{overall:?} {mean}");
    // 95 % of 40 is 38, standard deviation 1.4: three of them below is 33.9.
    assert!(covered(&report, &truth) >= 34, "{}", covered(&report, &truth));
    // Shrinking pays: the squared error is below that of the SKUs' own estimates.
    let errors =
        report.records.iter().filter(|r| r.level == DemandLevel::Sku).zip(&truth).map(|(record, truth)| {
            let (own, believed) = (record.own.unwrap().0, record.elasticity.unwrap().value);
            ((own - truth).powi(2), (believed - truth).powi(2))
        });
    let (own, believed) = errors.fold((0.0, 0.0), |sum, error| (sum.0 + error.0, sum.1 + error.1));
    assert!(believed < own, "{believed} {own}");
}

#[test]
fn a_manager_who_sees_demand_misleads_only_the_plain_slope() {
    let (observations, truth) = shop(40, 104, true, 2);
    let report = fit(&observations, category, DemandOptions::default()).unwrap().report;
    let mean = truth.iter().sum::<f64>() / 40.0;
    let (plain, overall) = (report.plain.unwrap(), report.overall.unwrap());
    assert!(plain.value - mean > 5.0 * plain.se, "the plain slope is biased toward zero: {plain:?} {mean}");
    assert!(report.randomised_only);
    assert!((overall.mean.value - mean).abs() < 3.0 * overall.mean.se, "{overall:?} {mean}");
    assert!(covered(&report, &truth) >= 34, "{}", covered(&report, &truth));
}

/// The mean of the true elasticities beside what is told of it.
struct Slopes {
    truth: f64,
    plain: Estimate,
    debiased: Estimate,
    /// SKUs whose own interval holds their truth.
    n_inside: usize,
}

fn slopes(follows: fn(Known) -> f64, seed: u64) -> (Slopes, DemandReport) {
    let (observations, truth) = managed(40, 104, follows, seed);
    let report = fit(&observations, category, DemandOptions::default()).unwrap().report;
    let mean = truth.iter().sum::<f64>() / 40.0;
    let (plain, debiased) = (report.plain.unwrap(), report.debiased.unwrap());
    let skus = report.records.iter().filter(|record| record.level == DemandLevel::Sku);
    let inside = |(record, truth): &(&nextbest_models::pricing::DemandRecord, &f64)| {
        record.own.is_some_and(|(value, se)| (value - **truth).abs() < 1.96 * se)
    };
    let n_inside = skus.zip(&truth).filter(inside).count();
    eprintln!(
        "truth {mean:.2}, plain {plain:.2?}, de-biased {debiased:.2?}, {n_inside} of 40 own intervals cover"
    );
    (Slopes { truth: mean, plain, debiased, n_inside }, report)
}

/// A price that followed the sales of the week before is as good as drawn once they are known: of three seeds each lies
/// within 3 standard errors. The true slopes vary by 0.5, so that their sample mean is off by another 0.5 / sqrt(40) = 0.08
/// from the mean weighted by each SKU's whims.
#[test]
fn a_price_that_followed_the_sales_before_is_debiased() {
    for seed in [21, 22, 23] {
        let (Slopes { truth, plain, debiased, n_inside }, report) = slopes(|known| 0.4 * known.sold, seed);
        // 95 % of 40 is 38, standard deviation 1.4: three of them below is 33.9.
        assert!(n_inside >= 34, "{n_inside}");
        assert!(plain.value - truth > 5.0 * plain.se, "{plain:?} {truth}");
        assert!((debiased.value - truth).abs() < 3.0 * debiased.se.hypot(0.08), "{debiased:?} {truth}");
        let overall = report.overall.unwrap().mean;
        assert!((overall.value - truth).abs() < 0.3 * (plain.value - truth), "{overall:?} {truth}");
        assert!(
            report.notes.iter().any(|note| note.starts_with("debiased: ") && note.contains("within a week"))
        );
    }
}

/// A manager who sees the demand itself knows more than sales tell, which count it with an error of 1 / sqrt(33): what is
/// left of the bias is less than half.
#[test]
fn a_price_that_followed_demand_itself_is_debiased_in_part() {
    for seed in [31, 32, 33] {
        let (Slopes { truth, plain, debiased, .. }, _) = slopes(|known| 0.4 * known.shock, seed);
        assert!(
            (debiased.value - truth).abs() < 0.5 * (plain.value - truth),
            "{debiased:?} {plain:?} {truth}"
        );
    }
}

/// What is new within the week is in no week before: most of the bias stays, and the note says so.
#[test]
fn shocks_within_the_week_still_bias_and_the_report_says_so() {
    let (Slopes { truth, debiased, .. }, report) = slopes(|known| 0.4 * (0.8 * known.shock + known.news), 41);
    assert!(debiased.value - truth > 5.0 * debiased.se, "{debiased:?} {truth}");
    assert!(report.notes.iter().any(|note| note.contains("shocks within a week")));
}

#[test]
fn weeks_without_sales_leave_the_plain_slopes_with_a_note() {
    let (mut observations, _) = managed(40, 104, |known| 0.4 * known.sold, 51);
    observations.iter_mut().filter(|week| week.week % 10 == 0).for_each(|week| week.units = 0);
    let report = fit(&observations, category, DemandOptions::default()).unwrap().report;
    assert!(report.debiased.is_none() && report.overall.is_some());
    assert!(report.notes.iter().any(|note| note.starts_with("not_debiased: ")), "{:?}", report.notes);
}

#[test]
fn units_and_purchases_are_anchored_at_the_reference_price() {
    let (mut observations, _) = shop(2, 52, false, 3);
    observations.iter_mut().for_each(|week| week.price_minor = 1000.0);
    let report = fit(&observations, |_| None, DemandOptions::default()).unwrap().report;
    assert_eq!((report.n_estimated, report.overall), (0, None));
    for record in &report.records {
        assert_eq!(record.elasticity, None, "a price that never moved tells no elasticity");
        assert!(record.flags.contains(&"variation_too_small".to_owned()));
    }
    let sku = report.records.iter().find(|record| record.name == "S000").unwrap();
    let units: i64 = observations.iter().filter(|week| week.sku == "S000").map(|week| week.units).sum();
    assert!((sku.units_per_week - units as f64 / 52.0).abs() < 1e-9);
    assert!((sku.purchase_probability.unwrap() - units as f64 / (400.0 * 52.0)).abs() < 1e-12);
    assert_eq!(sku.reference_price_minor, 1000);
}

#[test]
fn a_rising_slope_is_believed_negative_and_flagged() {
    let (mut observations, _) = shop(1, 52, false, 4);
    for week in &mut observations {
        week.units = (30.0 * (week.price_minor / 1000.0).powi(3)) as i64;
    }
    let report = fit(&observations, |_| None, DemandOptions::default()).unwrap().report;
    let record = report.records.iter().find(|record| record.name == "S000").unwrap();
    assert!(record.own.unwrap().0 > 2.0, "its own data rise");
    let believed = record.elasticity.unwrap();
    assert!(believed.value < 0.0 && believed.hi < 0.0 && believed.lo < believed.value);
    assert!(record.flags.contains(&"sign_truncated".to_owned()));
}

#[test]
fn nothing_sold_is_no_model() {
    assert_eq!(fit(&[], |_| None, DemandOptions::default()).unwrap_err(), FitError::NoSales);
    let (mut observations, _) = shop(2, 10, false, 5);
    observations.iter_mut().for_each(|week| week.units = 0);
    assert_eq!(fit(&observations, |_| None, DemandOptions::default()).unwrap_err(), FitError::NoSales);
}
