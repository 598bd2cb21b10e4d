//! A customer's own price: what they are like moves it, within the parity of everybody's, and only where a market says so.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::*;
use crate::artifact::{
    Artifact, ArtifactBuilder, Metadata, ModelKind, ModelMetadata, PropensityParts, SealedScorer,
};
use crate::pricing::purchase::{PURCHASE, PriceBy, PurchaseLevels, PurchaseRule, PurchaseSpec, ShowingTally};
use crate::propensity::Calibration;
use crate::propensity::linear::{ColumnSpec, Transform};

/// Of customers with one feature, `taste`: at 0 the log-odds fall by 1 as the price doubles (times ln 2), at 1 by 7.
pub(super) static BUYERS: LazyLock<Artifact> = LazyLock::new(|| {
    let rule = PurchaseRule { horizon_days: 1, price_by: vec!["taste".to_owned()], max_rows: 1000 };
    let tally = ShowingTally { n_shown: 1000, n_bought: 50 };
    let spec = PurchaseSpec {
        rule,
        categories: vec!["mugs".to_owned()],
        price_by: vec![PriceBy { feature: 0, lo: 0.0, hi: 1.0 }],
        levels: PurchaseLevels::new(&BTreeMap::from([("MUG".to_owned(), (None, tally))])),
    };
    let column = |feature, coefficient| {
        let transform = Transform::Value { fill: 0.0 };
        (ColumnSpec { feature, transform, mean: 0.0, inverse_scale: 1.0 }, coefficient)
    };
    let mut builder = ArtifactBuilder::new(Metadata {
        name: "tiny".into(),
        schema_fingerprint: "ab".repeat(32),
        feature_names: vec!["taste".into()],
        trained_through: Timestamp::from_millis(1_700_000_000_000).unwrap(),
        code_version: "test".into(),
        seed: Seed(7),
        sources: BTreeMap::new(),
        table: None,
        models: vec![],
    });
    builder.propensity(PropensityParts {
        metadata: ModelMetadata {
            name: PURCHASE.into(),
            kind: ModelKind::Propensity,
            learner: "hand".into(),
            label: None,
            response: None,
            purchase: Some(spec),
            counts: BTreeMap::new(),
            metrics: BTreeMap::new(),
            notes: vec![],
            sections: BTreeMap::new(),
        },
        // The level, the price, and the price where taste is 1.
        scorer: SealedScorer::linear(0.0, &[column(2, 1.0), column(4, -1.0), column(6, -6.0)]),
        companion: None,
        calibration: Calibration::Identity,
        golden: vec![],
    });
    builder.seal().unwrap()
});

pub(super) fn person(taste: &f64) -> Person<'_> {
    Person { purchase: BUYERS.purchase().unwrap(), features: std::slice::from_ref(taste) }
}

fn open_market(parity_ratio: f64) -> MarketRules {
    MarketRules { personal_features: true, parity_ratio, ..MarketRules::default() }
}

fn asked(market: &MarketRules, taste: &f64) -> PriceChoice {
    let rules = PricingRules::parse(RULES).unwrap();
    let around = Circumstances { person: Some(person(taste)), ..first(market, EVERYBODY) };
    choose_price(&rules, Some(&demand_of(-2.0, Some(0.05))), &around, &ask("MUG")).unwrap()
}

#[test]
fn who_is_not_moved_by_a_price_is_asked_more_and_who_is_less() {
    let market = open_market(0.2);
    // Everybody is asked 1199, so that 959 to 1439 is near enough: of the ladder's prices 1099 to 1399. One rises in
    // worth up to the last; for the other 2 p(1099) (1099 - 610) is the most: its best price is 610 * 7 / 6 = 712.
    let (patient, sensitive) = (asked(&market, &0.0), asked(&market, &1.0));
    let told = |choice: &PriceChoice| (choice.basis, choice.quoted_price_minor, choice.everybody_price_minor);
    assert_eq!(told(&patient), (PriceBasis::Personal, 1399, Some(1199)));
    assert_eq!(told(&sensitive), (PriceBasis::Personal, 1099, Some(1199)));
    let standing = |choice: &PriceChoice| choice.standing.map(|standing| standing.price_minor);
    assert_eq!(
        (standing(&patient), standing(&sensitive)),
        (Some(1199), Some(1199)),
        "what stands is everybody's"
    );
    let odds = |p: crate::units::Probability| p.get() / (1.0 - p.get());
    // The level of the one SKU, shrunk to all.
    let share = (50.0 + 50.0 * 50.5 / 1001.0) / 1050.0;
    let expected = share / (1.0 - share) * (1399.0_f64 / 1299.0).powf(-1.0);
    assert!((odds(patient.purchase_probability.unwrap()) / expected - 1.0).abs() < 1e-12);
    let codes: Vec<&str> = patient.guardrails.iter().map(|guardrail| guardrail.code.as_str()).collect();
    assert_eq!(codes, ["rounding", "personal_demand", "segment_parity", "rounding"]);
    let rung = patient.ladder.iter().find(|rung| rung.price_minor == 1399).unwrap();
    let margin = rung.probability.unwrap().get() * (1399.0 - 610.0);
    assert!((rung.expected_margin_minor - margin).abs() < 1e-9);
}

#[test]
fn parity_bounds_it_and_a_market_that_does_not_allow_it_is_not_asked() {
    for taste in [0.0, 1.0] {
        let none = open_market(0.0);
        assert_eq!(asked(&none, &taste).quoted_price_minor, 1199);
        let closed = MarketRules::default();
        let choice = asked(&closed, &taste);
        assert_eq!((choice.basis, choice.everybody_price_minor), (PriceBasis::Model, None));
        let everybodys = price(
            &PricingRules::parse(RULES).unwrap(),
            Some(&demand_of(-2.0, Some(0.05))),
            EVERYBODY,
            &ask("MUG"),
        );
        assert_eq!(Ok(choice), everybodys, "no bit of the answer depends on the person");
    }
}

#[test]
fn who_is_held_out_or_was_promised_a_price_has_none_of_their_own() {
    let (rules, demand, market) =
        (PricingRules::parse(RULES).unwrap(), demand_of(-2.0, None), open_market(0.2));
    let of = |control, locked_minor| {
        let around = Circumstances { person: Some(person(&0.0)), locked_minor, ..first(&market, control) };
        choose_price(&rules, Some(&demand), &around, &ask("MUG")).unwrap()
    };
    let policy = Assignment { policy: true, model: false };
    let model = Assignment { policy: false, model: true };
    assert_eq!(of(policy, None).basis, PriceBasis::Control);
    assert_ne!(of(model, None).basis, PriceBasis::Personal);
    assert_eq!(
        (of(EVERYBODY, Some(1249)).basis, of(EVERYBODY, Some(1249)).quoted_price_minor),
        (PriceBasis::Locked, 1249)
    );
}

#[test]
fn the_choice_probability_is_that_of_the_draws_that_lead_there() {
    let mut rules = PricingRules::parse(RULES).unwrap();
    rules.exploration = rules::PriceExploration::Epsilon { epsilon: 0.5 };
    let (demand, market) = (demand_of(-2.0, None), open_market(0.08));
    let of = |seed, person| {
        let around = Circumstances { person, seed: Seed(seed), ..first(&market, EVERYBODY) };
        choose_price(&rules, Some(&demand), &around, &ask("MUG")).unwrap()
    };
    // 8 % is not a whole step of the ladder, but where it is 1299 and above: the patient is asked one step more there.
    let mut seen = BTreeMap::new();
    for seed in 0..200 {
        let (everybodys, own) = (of(seed, None), of(seed, Some(person(&0.0))));
        assert_eq!(own.everybody_price_minor, Some(everybodys.quoted_price_minor));
        let before = seen.insert(own.quoted_price_minor, own.choice_probability);
        assert!(before.is_none_or(|before| (before - own.choice_probability).abs() < 1e-12));
    }
    // Every price that can come of a draw came in 200 (the rarest has probability .1: missed in .9^200), and they share 1.
    assert!((seen.values().sum::<f64>() - 1.0).abs() < 1e-12, "{seen:?}");
}

/// Whom a price moves as it moves everybody is asked what everybody is, neighbours or none: log-odds that fall by 2.105 at a
/// probability of .05 are an elasticity of -2 there and within 3 % of it up to a third above, which moves the best price by 2 %.
#[test]
fn who_is_like_everybody_is_asked_what_everybody_is() {
    let (mut rules, market) = (with_a_cup(), open_market(0.5));
    (rules.rounding, rules.n_rungs) = (Rounding::None, 400);
    rules.skus.iter_mut().for_each(|sku| (sku.terms.floor_ratio, sku.terms.ceiling_ratio) = (0.5, 2.0));
    for cross in [None, Some(0.3), Some(0.6)] {
        let demand = Demand::of(&rules, with_neighbours(-2.0, cross).model());
        let taste = (2.0 / 0.95 - 1.0) / 6.0;
        let around = Circumstances { person: Some(person(&taste)), ..first(&market, EVERYBODY) };
        let choice = choose_price(&rules, Some(&demand), &around, &ask("MUG")).unwrap();
        let everybody = choice.everybody_price_minor.unwrap();
        assert!(everybody < choice.ceiling_minor && everybody > choice.floor_minor, "{cross:?} {everybody}");
        let ratio = choice.quoted_price_minor as f64 / everybody as f64;
        assert!((ratio - 1.0).abs() < 0.02, "{cross:?} {everybody} {ratio}");
    }
}
