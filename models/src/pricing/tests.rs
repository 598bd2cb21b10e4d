//! Prices stay inside their bounds, whatever the rules, costs and curves; faults name their line.

use proptest::prelude::*;

use super::demand::seal;
use super::*;
use crate::policy::control::Assignment;

/// Held out of nothing.
const EVERYBODY: Assignment = Assignment { policy: false, model: false };

const RULES: &str = r#"lock_minutes = 30
n_rungs = 21
rounding = "99"
[default]
floor_ratio = 0.8
ceiling_ratio = 1.2
cost_ratio = 0.5
min_margin_ratio = 0.05
[[sku]]
sku = "MUG"
category = "mugs"
list_price_minor = 1299
cost_minor = 610
[[sku]]
sku = "PAN"
list_price_minor = 3999
floor_minor = 3500
ceiling_minor = 4500
"#;

fn demand_of(elasticity: f64, probability: Option<f64>) -> DemandModel {
    let record = |level, name: &str| DemandRecord {
        level,
        name: name.into(),
        category: None,
        reference_price_minor: 1299,
        units_per_week: 10.0,
        elasticity: Some(Elasticity {
            value: elasticity,
            se: 0.1,
            lo: elasticity * 1.2,
            hi: elasticity * 0.8,
        }),
        own: None,
        purchase_probability: probability,
        n_weeks: 10,
        n_units: 100,
        n_shown: 1000,
        flags: vec![],
    };
    let bytes = seal(vec![record(DemandLevel::Sku, "MUG"), record(DemandLevel::Overall, "")]).unwrap();
    let range = 0..bytes.len();
    DemandModel::open(bytes.into(), range).unwrap()
}

fn ask(sku: &str) -> PriceRequest {
    PriceRequest { sku: sku.into(), ..PriceRequest::default() }
}

#[test]
fn the_quoted_price_earns_most_of_the_ladder() {
    let rules = PricingRules::parse(RULES).unwrap();
    // At elasticity -2 the best price is twice the cost, 1220; of prices ending in 99 the ladder has 1099 to 1499.
    let choice = choose_price(&rules, Some(&demand_of(-2.0, Some(0.05))), EVERYBODY, &ask("MUG")).unwrap();
    assert_eq!(
        (choice.basis, choice.model_price_minor, choice.quoted_price_minor),
        (PriceBasis::Model, 1220, 1199)
    );
    let prices: Vec<i64> = choice.ladder.iter().map(|rung| rung.price_minor).collect();
    assert_eq!(prices, [1099, 1199, 1299, 1399, 1499]);
    let rung = choice.ladder[1];
    let probability = 0.05 * (1199.0_f64 / 1299.0).powi(-2);
    assert!((rung.probability.unwrap().get() - probability).abs() < 1e-12);
    assert!((rung.expected_margin_minor - probability * (1199.0 - 610.0)).abs() < 1e-9);
    assert_eq!(choice.guardrails.last().map(|g| (g.code.as_str(), g.after_minor)), Some(("rounding", 1199)));
}

#[test]
fn inelastic_demand_ends_at_the_ceiling_and_elastic_at_the_floor() {
    let rules = PricingRules::parse(RULES).unwrap();
    let dear = choose_price(&rules, Some(&demand_of(-0.5, None)), EVERYBODY, &ask("MUG")).unwrap();
    assert_eq!((dear.quoted_price_minor, dear.guardrails[0].code.as_str()), (1499, "ceiling"));
    let cheap = choose_price(&rules, Some(&demand_of(-9.0, None)), EVERYBODY, &ask("MUG")).unwrap();
    assert_eq!((cheap.quoted_price_minor, cheap.guardrails[0].code.as_str()), (1099, "floor"));
}

#[test]
fn without_model_or_cost_the_list_price_stands() {
    let rules = PricingRules::parse(RULES).unwrap();
    let choice = choose_price(&rules, None, EVERYBODY, &ask("MUG")).unwrap();
    assert_eq!((choice.basis, choice.quoted_price_minor), (PriceBasis::NoDemand, 1299));
    assert!(choice.guardrails.is_empty() && choice.ladder.is_empty());
    let no_cost = PricingRules::parse(&RULES.replace("cost_ratio = 0.5\n", "")).unwrap();
    let choice = choose_price(&no_cost, Some(&demand_of(-2.0, None)), EVERYBODY, &ask("PAN")).unwrap();
    assert_eq!((choice.basis, choice.quoted_price_minor), (PriceBasis::NoCost, 3999));
}

#[test]
fn the_policy_control_gets_list_prices_and_the_model_control_the_average_of_all() {
    let rules = PricingRules::parse(RULES).unwrap();
    let record = |level, name: &str, value: f64| DemandRecord {
        level,
        name: name.into(),
        category: None,
        reference_price_minor: 1299,
        units_per_week: 10.0,
        elasticity: Some(Elasticity { value, se: 0.1, lo: value - 0.2, hi: value + 0.2 }),
        own: None,
        purchase_probability: None,
        n_weeks: 10,
        n_units: 100,
        n_shown: 0,
        flags: vec![],
    };
    let records = vec![record(DemandLevel::Sku, "MUG", -2.0), record(DemandLevel::Overall, "", -1.8)];
    let bytes = seal(records).unwrap();
    let range = 0..bytes.len();
    let demand = DemandModel::open(bytes.into(), range).unwrap();
    let price = |control| choose_price(&rules, Some(&demand), control, &ask("MUG")).unwrap();
    // Twice the cost of 610; 1.8 / 0.8 of it.
    assert_eq!(price(EVERYBODY).model_price_minor, 1220);
    let average = price(Assignment { policy: false, model: true });
    // 610 * 1.8 / 0.8 = 1372.5: a half that rounding may take either way.
    assert!((1372..=1373).contains(&average.model_price_minor), "{average:?}");
    for model in [false, true] {
        let held_out = price(Assignment { policy: true, model });
        assert_eq!((held_out.basis, held_out.quoted_price_minor), (PriceBasis::Control, 1299));
        assert!(held_out.ladder.is_empty() && held_out.elasticity.is_none());
    }
    // A list price outside the bounds is no price, for anybody.
    let low = PriceRequest { unit_cost_minor: Some(1300), ..ask("MUG") };
    let held_out = Assignment { policy: true, model: false };
    let choice = choose_price(&rules, Some(&demand), held_out, &low).unwrap();
    assert_eq!((choice.basis, choice.guardrails[0].code.as_str()), (PriceBasis::Control, "minimum_margin"));
}

#[test]
fn what_cannot_be_priced_says_why() {
    let rules = PricingRules::parse(RULES).unwrap();
    let refused = choose_price(&rules, None, EVERYBODY, &ask("HAT")).unwrap_err();
    assert_eq!(refused, PriceRefusal::NoListPrice { sku: "HAT".into() });
    let zero = PriceRequest { list_price_minor: Some(0), ..ask("HAT") };
    assert!(matches!(
        choose_price(&rules, None, EVERYBODY, &zero),
        Err(PriceRefusal::OutOfRange { value: 0, .. })
    ));
    let dear = PriceRequest { unit_cost_minor: Some(4400), ..ask("PAN") };
    let choice = choose_price(&rules, Some(&demand_of(-2.0, None)), EVERYBODY, &dear).unwrap();
    assert_eq!((choice.basis, choice.quoted_price_minor), (PriceBasis::Conflict, 3999));
    let conflict = choice.conflict.unwrap();
    assert_eq!((conflict.lower.as_str(), conflict.lower_minor), ("minimum_margin", 4632));
    assert_eq!((conflict.upper.as_str(), conflict.upper_minor), ("ceiling", 4500));
}

#[test]
fn faults_name_their_lines() {
    let lines = |text: &str| -> Vec<(usize, String)> {
        let faults = PricingRules::parse(text).unwrap_err();
        faults.into_iter().map(|fault| (fault.line.unwrap_or(0), fault.message)).collect()
    };
    let found = lines(
        &RULES.replace("n_rungs = 21", "n_rungs = 1").replace("ceiling_ratio = 1.2", "ceiling_ratio = 0.9"),
    );
    assert_eq!(found.iter().map(|fault| fault.0).collect::<Vec<_>>(), [2, 6]);
    assert!(found[0].1.contains("n_rungs = 1 lies outside 2 ..= 200"), "{found:?}");
    let conflict = lines(&RULES.replace("floor_minor = 3500", "floor_minor = 4600"));
    assert_eq!(conflict[0].0, 15);
    assert!(conflict[0].1.contains("floor asks for at least 4600, ceiling for at most 4500"), "{conflict:?}");
    assert_eq!(lines(&RULES.replace("\"PAN\"", "\"MUG\""))[0].0, 15);
    let typo = lines(&RULES.replace("rounding = ", "ronding = "));
    assert!(typo[0].0 == 3 && typo[0].1.contains("ronding"), "{typo:?}");
    assert!(lines("lock_minutes = \"soon\"")[0].1.contains("expected u32"));
}

fn rounding() -> impl Strategy<Value = Rounding> {
    prop_oneof![
        Just(Rounding::None),
        Just(Rounding::NinetyNine),
        Just(Rounding::NinetyFive),
        Just(Rounding::Ten)
    ]
}

proptest! {
    #[test]
    fn a_model_price_keeps_every_guardrail(
        list in 1..2_000_000i64,
        cost in 0..2_000_000i64,
        elasticity in -12.0..-0.05f64,
        shown in prop::option::of(0.0..1.0f64),
        rounding in rounding(),
        n_rungs in 2..60u32,
        min_margin_ratio in 0.0..0.9f64,
    ) {
        let mut rules = PricingRules::parse(RULES).unwrap();
        (rules.rounding, rules.n_rungs, rules.default.min_margin_ratio) = (rounding, n_rungs, min_margin_ratio);
        let request = PriceRequest { sku: "NEW".into(), list_price_minor: Some(list), unit_cost_minor: Some(cost) };
        let choice = choose_price(&rules, Some(&demand_of(elasticity, shown)), EVERYBODY, &request).unwrap();
        let price = choice.quoted_price_minor;
        if choice.basis == PriceBasis::Conflict {
            let conflict = choice.conflict.unwrap();
            prop_assert!(conflict.lower_minor > conflict.upper_minor && price == list);
        } else {
            prop_assert!(choice.floor_minor <= price && price <= choice.ceiling_minor);
            // One unit of rounding in the division that made the bound.
            prop_assert!((price - cost) as f64 >= min_margin_ratio * price as f64 - 1e-6 * price as f64);
            let best = choice.ladder.iter().map(|rung| rung.expected_margin_minor).fold(f64::MIN, f64::max);
            let own = choice.ladder.iter().find(|rung| rung.price_minor == price).unwrap();
            prop_assert!(own.expected_margin_minor >= best);
            prop_assert!(choice.ladder.windows(2).all(|pair| pair[0].price_minor < pair[1].price_minor));
            prop_assert!(choice.ladder.windows(2).all(|pair| pair[0].probability >= pair[1].probability));
            let moved = choice.guardrails.first().map_or(price, |guardrail| guardrail.before_minor);
            prop_assert_eq!(moved, choice.model_price_minor);
            for pair in choice.guardrails.windows(2) {
                prop_assert_eq!(pair[0].after_minor, pair[1].before_minor);
            }
        }
    }

    #[test]
    fn rounded_prices_have_their_ending(price in 1..10_000_000i64, rounding in rounding()) {
        let (down, up) = (rounding.down(price), rounding.up(price));
        prop_assert!(down <= price && price <= up && up - down <= 100);
        for rounded in [down, up] {
            match rounding {
                Rounding::None => prop_assert_eq!(rounded, price),
                Rounding::NinetyNine => prop_assert_eq!(rounded.rem_euclid(100), 99),
                Rounding::NinetyFive => prop_assert_eq!(rounded.rem_euclid(100), 95),
                Rounding::Ten => prop_assert_eq!(rounded % 10, 0),
            }
        }
    }
}
