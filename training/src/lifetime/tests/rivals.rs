//! Trees of realised value: what is gathered of a log, who wins the contest, and what is sealed.

use nextbest_models::artifact::{Artifact, ArtifactBuilder, Metadata};
use nextbest_models::customer::CustomerId;
use nextbest_models::event::{Event, EventDraft, Reference};
use nextbest_models::project::Project;
use nextbest_models::units::{Money, Timestamp};
use nextbest_models::value::{CustomerSummary, GammaGamma};
use rand::RngExt as _;
use rand_distr::{Distribution as _, Exp1};

use super::*;
use crate::cutoff::fold;
use crate::dataset::{Column, Dataset};
use crate::lifetime::history::Moment;

const SETTINGS: &str = r#"
    name = "test"
    currency = "GBP"
    time_zone = "UTC"
    lateness_days = 7
    [activity]
    event = ["order_placed"]
    window_days = 90
    [labels.churn]
    kind = "absence"
    event = ["order_placed"]
    horizon_days = 40
    [responses.accepted]
    event = ["accepted"]
    horizon_days = 7
    [training]
    n_cutoffs = 3
    step_days = 20
    seed = 7
    [lifecycle]
    active_from_days = 3
    loyal_from_days = 8
    at_risk_days = 60
    defected_days = 120
"#;

fn project() -> Project {
    Project::read(|name| {
        Ok(match name {
            "nextbest.toml" => SETTINGS.to_owned(),
            "features.toml" => include_str!("../../../../examples/shop/features.toml").to_owned(),
            "pricing.toml" => include_str!("../../../../examples/retail/pricing.toml").to_owned(),
            _ => String::new(),
        })
    })
    .unwrap()
}

fn at(day: i32) -> Timestamp {
    "2025-01-01T12:00:00Z".parse::<Timestamp>().unwrap().plus_days(day)
}

/// An order of day `day`, or what takes one of day `back` back, known on day `known`.
fn event(number: usize, day: i32, known: i32, amount_minor: i64, back: Option<i32>) -> Event {
    EventDraft {
        event_id: format!("e{number}"),
        event_type: if back.is_some() { "order_cancelled" } else { "order_placed" }.to_owned(),
        occurred_at: Some(at(day)),
        known_at: Some(at(known)),
        customer_id: Some("c".to_owned()),
        quantity: Some(1),
        value: Some(Money { amount_minor, currency: "GBP".parse().unwrap() }),
        refers_to: back.map(|day| Reference { event_id: "r".to_owned(), occurred_at: at(day), whole: true }),
        ..EventDraft::default()
    }
    .try_into()
    .unwrap()
}

/// 210 days, 8 weeks each: cut-offs on days 98 and 154.
#[test]
fn what_is_brought_is_what_stood_at_the_end_of_its_weeks() {
    let project = project();
    let start = "2025-01-01T00:00:00Z".parse::<Timestamp>().unwrap();
    let horizon = Horizon::new(8, 0.01, 0.5).unwrap();
    let plan = ValuePlan::new(horizon, start, start.plus_days(210));
    let mut events = vec![
        event(0, 80, 80, 1_000, None),
        event(1, 100, 100, 2_000, None),
        event(2, 120, 120, 4_000, None),
        // Takes the last one back in time.
        event(3, 150, 150, 4_000, Some(120)),
        event(4, 153, 153, 8_000, None),
        // Known after the second cut-off: not yet then.
        event(5, 152, 156, 16_000, None),
        event(6, 157, 158, 8_000, Some(153)),
        event(7, 160, 160, 500, None),
        // At the end of the last week, and behind the end of the log.
        event(8, 209, 209, 700, None),
        event(9, 209, 211, 9_000, None),
    ];
    events.sort_by_key(|event| (event.known(), event.occurred_at));
    let id = CustomerId::new("c").unwrap();
    let mut history = ValuePlan::empty(&project).unwrap();
    plan.replay(&project, &id, &events, &mut history).unwrap();
    let [fit, test] = &history.moments;
    let discounted = |parts: &[(f64, i32)]| -> f64 {
        parts.iter().map(|(value, week)| 0.5 * value * 1.01_f64.powi(-week)).sum()
    };
    // Days 2 and 55 after the first, 6 and 55 after the second.
    for (found, by_hand) in [
        (&fit.brought, discounted(&[(2_000.0, 1), (8_000.0, 8)])),
        (&test.brought, discounted(&[(500.0, 1), (700.0, 8)])),
    ] {
        assert!(found.len() == 1 && (found[0] - by_hand).abs() < 1e-9, "{found:?} {by_hand}");
    }
    // Features and summaries know what a fold up to the cut-off knows.
    for (moment, day) in [(fit, 98), (test, 154)] {
        let cutoff = start.plus_days(day);
        let (customer, _) = fold(&project.schema, &id, &events, cutoff);
        let features = project.schema.features(&customer, cutoff);
        let bits = |row: &[f64]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(moment.dataset.row(0)), bits(features.values()));
        let known = CustomerSummary::of(&customer, &project.schema, cutoff.day().plus(-1), TimeUnit::Week);
        assert_eq!(Some(moment.summaries[0]), known);
    }
    assert_eq!((history.by_test.len(), history.by_end.len()), (1, 1));
    // 90 days without an order: no row, but still a customer of the closed form.
    let mut lapsed = ValuePlan::empty(&project).unwrap();
    plan.replay(&project, &id, &[event(0, 2, 2, 1_000, None)], &mut lapsed).unwrap();
    assert_eq!(lapsed.moments[0].brought.len() + lapsed.moments[1].brought.len(), 0);
    assert_eq!((lapsed.by_test.len(), lapsed.by_end.len()), (1, 1));
    // 11 weeks have no third of 4.
    assert!(ValuePlan::new(horizon, start, start.plus_days(80)).cutoffs.is_none());
}

/// `n` customers whose weeks bring `1,000 (a + exponential - 1)` of feature `a`, times `signal`; their purchases say nothing of it.
fn made(n: usize, signal: f64, seed: u64) -> ValueHistory {
    let mut rng = rng(seed);
    let spend = GammaGamma::new(6.25, 3.74, 1_544.0).unwrap();
    let drawn = cohort(&cdnow(), n, seed);
    let summaries: Vec<CustomerSummary> = drawn
        .iter()
        .map(|purchases| CustomerSummary {
            purchases: *purchases,
            spend: draw::spend(&spend, purchases.x() + 1.0, &mut rng),
            truncated: false,
        })
        .collect();
    let mut moment = |day: i32| {
        let columns = vec![Column::numeric("a"), Column::numeric("b")];
        let mut dataset = Dataset::new(columns, Vec::new()).unwrap();
        let mut brought = Vec::new();
        for number in 0..n {
            let row: [f64; 2] = [rng.random_range(0.0..4.0), rng.random_range(0.0..4.0)];
            let chance: f64 = Exp1.sample(&mut rng);
            dataset.push(CustomerId::new(format!("c{number}")).unwrap(), at(day), &row, &[]).unwrap();
            brought.push(1_000.0 * (2.0 + signal * (row[0] - 2.0) + chance));
        }
        Moment { dataset, summaries: summaries.clone(), brought }
    };
    let moments = [moment(98), moment(154)];
    ValueHistory { moments, by_test: summaries.clone(), by_end: summaries }
}

fn plan(weeks: u32) -> ValuePlan {
    let start = at(0);
    ValuePlan::new(Horizon::new(weeks, 0.0, 0.5).unwrap(), start, start.plus_days(170))
}

fn sealed(plan: &ValuePlan, history: &ValueHistory) -> (ValueReport, Artifact) {
    let mut builder = ArtifactBuilder::new(Metadata {
        name: "test".to_owned(),
        schema_fingerprint: "ab".repeat(32),
        feature_names: ["a", "b"].map(str::to_owned).to_vec(),
        trained_through: at(170),
        code_version: "0".to_owned(),
        seed: Seed(1),
        sources: std::collections::BTreeMap::new(),
        table: None,
        models: Vec::new(),
    });
    // These customers buy as the closed form says, so the contest is asked for by name.
    let closed = fit_folded(plan.horizon, history.by_end.clone()).unwrap();
    builder.lifetime(closed.metadata, &closed.model, &closed.golden);
    let (told, parts) = realised::contest(plan, history, Some(&closed.model), Seed(1));
    parts.into_iter().for_each(|parts| builder.realised(parts));
    let report = ValueReport { realised_value: Some(told), ..ValueReport::default() };
    (report, builder.seal().unwrap())
}

#[test]
fn trees_that_err_less_are_sealed_and_cover_what_they_promise() {
    let (report, artifact) = sealed(&plan(8), &made(4_000, 1.0, 21));
    let told = report.realised_value.unwrap();
    assert_eq!((told.code, told.n_weeks, told.stretch), (RealisedCode::LessError, 8, Some(1.0)), "{told:?}");
    // The exponential alone has a deviation of 1,000; the mean's error also has that of a uniform of width 4, so its root is
    // 1000 sqrt(1 + 16 / 12) = 1528. A squared exponential error has a deviation of sqrt(8) times its mean: four standard errors
    // of a root over 4,000 are 4 sqrt(8 / 4000) / 2 = 9 %. Trees cannot err less, and lose some percent to chance.
    let rmse = |model: &str| told.error(model).unwrap().rmse;
    assert!((910.0..1_200.0).contains(&rmse("trees")), "{}", rmse("trees"));
    assert!((1_528.0 * 0.91..1_528.0 * 1.09).contains(&rmse("mean")), "{}", rmse("mean"));
    assert!(rmse("closed_form") > rmse("trees"));
    // 90 %, less or more four binomial errors of 4,000 and as much again for bounds of ten out of 200 by bin.
    let coverage = told.coverage.unwrap().value;
    assert!((coverage - 0.9).abs() < 4.0 * (0.09 / 4_000.0_f64).sqrt() * 2.0, "{coverage}");
    let check = artifact.check_golden().unwrap();
    assert!(check.n_rows > 64 && check.largest_difference < 1e-6, "{check:?}");
    let model = artifact.realised().unwrap();
    let [few, many] = [0.2, 3.8].map(|a| model.score(&[a, 2.0]));
    // 1,200 and 4,800 are true. Few trees, each on half of two columns, draw the ends to the middle, but not by half.
    assert!(many.value_minor - few.value_minor > 1_800.0, "{few:?} {many:?}");
    assert!(few.lo_minor <= few.value_minor && many.value_minor <= many.hi_minor);
}

#[test]
fn noise_is_left_to_the_closed_form_and_the_mean() {
    let (report, artifact) = sealed(&plan(8), &made(2_000, 0.0, 22));
    let told = report.realised_value.unwrap();
    assert_eq!(told.code, RealisedCode::NoLessError, "{told:?}");
    assert!(artifact.realised().is_none() && artifact.lifetime().is_some());
}

#[test]
fn a_longer_horizon_is_stretched_by_the_closed_form_or_not_at_all() {
    let history = made(2_000, 1.0, 23);
    let (report, artifact) = sealed(&plan(26), &history);
    let told = report.realised_value.unwrap();
    let ratio = told.stretch.unwrap();
    // 24 weeks in thirds of 8: between nothing more and as much every week.
    assert!(told.n_weeks == 8 && told.code == RealisedCode::LessError, "{told:?}");
    assert!(1.0 < ratio && ratio < 26.0 / 8.0, "{ratio}");
    let model = artifact.realised().unwrap();
    assert_eq!(model.line().stretch(), ratio);
    assert!(
        model.metadata().notes.iter().any(|note| note.starts_with("stretched: 8 weeks are learned, 26 told"))
    );
    let (alone, parts) = realised::contest(&plan(26), &history, None, Seed(1));
    assert!(alone.code == RealisedCode::NoStretch && parts.is_none(), "{alone:?}");
    let short = ValuePlan::new(Horizon::new(8, 0.0, 0.5).unwrap(), at(0), at(80));
    assert_eq!(realised::contest(&short, &history, None, Seed(1)).0.code, RealisedCode::LogTooShort);
    let few = made(400, 1.0, 24);
    assert_eq!(realised::contest(&plan(8), &few, None, Seed(1)).0.code, RealisedCode::TooFewCustomers);
}

#[test]
fn the_seed_decides_and_threads_do_not() {
    let told = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| sealed(&plan(8), &made(1_000, 1.0, 25)).1.sha256().to_owned())
    };
    assert_eq!(told(1), told(3));
}
