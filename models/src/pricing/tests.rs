//! Prices by hand: what each rule, curve and circumstance does to one item. Beside it `scene` draws everything at once,
//! and `faults` is about pricing.toml.

use super::demand::seal;
use super::*;
use crate::policy::control::Assignment;
use crate::units::{DAY_MS, Seed, Timestamp};

mod faults;
mod personal;
mod scene;

/// Held out of nothing.
const EVERYBODY: Assignment = Assignment { policy: false, model: false };

/// The first time anything is shown, to `control`.
fn first<'a>(market: &'a MarketRules, control: Assignment) -> Circumstances<'a> {
    Circumstances {
        now: Timestamp::from_millis(1_767_225_600_000).unwrap(),
        market,
        control,
        ledger: None,
        locked_minor: None,
        recent: None,
        person: None,
        seed: Seed(1),
    }
}

fn price(
    rules: &PricingRules,
    demand: Option<&Demand>,
    control: Assignment,
    request: &PriceRequest,
) -> Result<PriceChoice, PriceRefusal> {
    choose_price(rules, demand, &first(&MarketRules::default(), control), request)
}

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

fn demand_of(elasticity: f64, probability: Option<f64>) -> Demand {
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
    Demand::of(&PricingRules::parse(RULES).unwrap(), &DemandModel::open(bytes.into(), range).unwrap())
}

fn ask(sku: &str) -> PriceRequest {
    PriceRequest { sku: sku.into(), ..PriceRequest::default() }
}

#[test]
fn the_quoted_price_earns_most_of_the_ladder() {
    let rules = PricingRules::parse(RULES).unwrap();
    // At elasticity -2 the best price is twice the cost, 1220; of prices ending in 99 the ladder has 1099 to 1499.
    let choice = price(&rules, Some(&demand_of(-2.0, Some(0.05))), EVERYBODY, &ask("MUG")).unwrap();
    assert_eq!(
        (choice.basis, choice.model_price_minor, choice.quoted_price_minor),
        (PriceBasis::Model, 1220, 1199)
    );
    let prices: Vec<i64> = choice.ladder.iter().map(|rung| rung.price_minor).collect();
    assert_eq!(prices, [1099, 1199, 1299, 1399, 1499]);
    let rung = choice.ladder[1];
    let log = (1199.0_f64 / 1299.0).ln();
    let probability = 0.05 * (-2.0 * log + 0.5 * 0.01 * log * log).exp();
    assert!((rung.probability.unwrap().get() - probability).abs() < 1e-12);
    assert!((rung.expected_margin_minor - probability * (1199.0 - 610.0)).abs() < 1e-9);
    assert_eq!(choice.guardrails.last().map(|g| (g.code.as_str(), g.after_minor)), Some(("rounding", 1199)));
}

#[test]
fn inelastic_demand_ends_at_the_ceiling_and_elastic_at_the_floor() {
    let rules = PricingRules::parse(RULES).unwrap();
    let dear = price(&rules, Some(&demand_of(-0.5, None)), EVERYBODY, &ask("MUG")).unwrap();
    assert_eq!((dear.quoted_price_minor, dear.guardrails[0].code.as_str()), (1499, "ceiling"));
    let cheap = price(&rules, Some(&demand_of(-9.0, None)), EVERYBODY, &ask("MUG")).unwrap();
    assert_eq!((cheap.quoted_price_minor, cheap.guardrails[0].code.as_str()), (1099, "floor"));
}

#[test]
fn without_model_or_cost_the_list_price_stands() {
    let rules = PricingRules::parse(RULES).unwrap();
    let choice = price(&rules, None, EVERYBODY, &ask("MUG")).unwrap();
    assert_eq!((choice.basis, choice.quoted_price_minor), (PriceBasis::NoDemand, 1299));
    assert!(choice.guardrails.is_empty() && choice.ladder.is_empty());
    let no_cost = PricingRules::parse(&RULES.replace("cost_ratio = 0.5\n", "")).unwrap();
    let choice = price(&no_cost, Some(&demand_of(-2.0, None)), EVERYBODY, &ask("PAN")).unwrap();
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
    let demand = Demand::of(&rules, &DemandModel::open(bytes.into(), range).unwrap());
    let ask_of = |control| price(&rules, Some(&demand), control, &ask("MUG")).unwrap();
    // Twice the cost of 610; 1.8 / 0.8 of it.
    assert_eq!(ask_of(EVERYBODY).model_price_minor, 1220);
    let average = ask_of(Assignment { policy: false, model: true });
    // 610 * 1.8 / 0.8 = 1372.5: a half that rounding may take either way.
    assert!((1372..=1373).contains(&average.model_price_minor), "{average:?}");
    for model in [false, true] {
        let held_out = ask_of(Assignment { policy: true, model });
        assert_eq!((held_out.basis, held_out.quoted_price_minor), (PriceBasis::Control, 1299));
        assert!(held_out.ladder.is_empty() && held_out.elasticity.is_none());
    }
    // A list price outside the bounds is no price, for anybody.
    let low = PriceRequest { unit_cost_minor: Some(1300), ..ask("MUG") };
    let held_out = Assignment { policy: true, model: false };
    let choice = price(&rules, Some(&demand), held_out, &low).unwrap();
    assert_eq!((choice.basis, choice.guardrails[0].code.as_str()), (PriceBasis::Control, "minimum_margin"));
}

#[test]
fn what_cannot_be_priced_says_why() {
    let rules = PricingRules::parse(RULES).unwrap();
    let refused = price(&rules, None, EVERYBODY, &ask("HAT")).unwrap_err();
    assert_eq!(refused, PriceRefusal::NoListPrice { sku: "HAT".into() });
    let zero = PriceRequest { list_price_minor: Some(0), ..ask("HAT") };
    assert!(matches!(price(&rules, None, EVERYBODY, &zero), Err(PriceRefusal::OutOfRange { value: 0, .. })));
    let dear = PriceRequest { unit_cost_minor: Some(4400), ..ask("PAN") };
    let refused = price(&rules, Some(&demand_of(-2.0, None)), EVERYBODY, &dear).unwrap_err();
    let PriceRefusal::Conflict { conflict, .. } = refused else { panic!("{refused:?}") };
    assert_eq!((conflict.lower.as_str(), conflict.lower_minor), ("minimum_margin", 4632));
    assert_eq!((conflict.upper.as_str(), conflict.upper_minor), ("ceiling", 4500));
}

#[test]
fn a_price_stands_until_it_is_due_and_then_moves_by_one_step() {
    let text = RULES.replace(
        "min_margin_ratio = 0.05\n",
        "min_margin_ratio = 0.05\nmax_step_ratio = 0.1\ncool_down_hours = 24\n",
    );
    let (rules, market, demand) =
        (PricingRules::parse(&text).unwrap(), MarketRules::default(), demand_of(-2.0, None));
    let mut around = first(&market, EVERYBODY);
    let mut ledger = Ledger::default();
    let since = around.now.plus_millis(-DAY_MS / 2);
    ledger.show(1499, since);
    ledger.standing = Some(Standing { price_minor: 1499, since, reviewed: since, tilt: 0.0 });
    around.ledger = Some(&ledger);
    let stands = choose_price(&rules, Some(&demand), &around, &ask("MUG")).unwrap();
    assert_eq!(
        (stands.basis, stands.quoted_price_minor, stands.standing),
        (PriceBasis::Standing, 1499, None)
    );
    assert!(stands.guardrails.iter().any(|guardrail| guardrail.code == "cool_down"));
    around.now = around.now.plus_millis(DAY_MS);
    let moved = choose_price(&rules, Some(&demand), &around, &ask("MUG")).unwrap();
    // 1499 less a tenth is 1349; the ladder's next price above is 1399.
    assert_eq!((moved.basis, moved.quoted_price_minor), (PriceBasis::Model, 1399));
    assert_eq!(
        moved.standing.map(|standing| (standing.price_minor, standing.since)),
        Some((1399, around.now))
    );
    around.locked_minor = Some(1249);
    let locked = choose_price(&rules, Some(&demand), &around, &ask("MUG")).unwrap();
    assert_eq!((locked.basis, locked.quoted_price_minor, locked.standing), (PriceBasis::Locked, 1249, None));
}

#[test]
fn scarce_stock_is_not_sold_cheaply_and_ageing_stock_is_cleared() {
    let with = |terms: &str| {
        let text = RULES.replace("[default]\n", &format!("[default]\n{terms}\n"));
        PricingRules::parse(&text).unwrap()
    };
    let demand = demand_of(-2.0, None);
    let of = |rules: &PricingRules, stock| {
        let request = PriceRequest { stock: Some(stock), ..ask("MUG") };
        price(rules, Some(&demand), EVERYBODY, &request).unwrap()
    };
    // Ten a week at 1299: in four weeks 45 would go at the optimum of 1220.
    let scarce = with("restock_days = 28");
    assert_eq!(of(&scarce, 100).quoted_price_minor, 1199, "enough is there");
    // 32 units last four weeks at 1299 (40 / 32)^(1/2) = 1452.
    assert_eq!(of(&scarce, 32).quoted_price_minor, 1499);
    let told: Vec<String> = of(&scarce, 32).guardrails.iter().map(|g| g.code.clone()).collect();
    assert_eq!(told, ["stock", "rounding"]);
    let ageing = with("clear_within_days = 28");
    assert_eq!(of(&ageing, 30).quoted_price_minor, 1199, "they will be gone in time");
    // 55 units go in four weeks at 1299 (40 / 55)^(1/2) = 1108.
    assert_eq!(of(&ageing, 55).quoted_price_minor, 1099);
}

#[test]
fn recent_demand_tilts_a_price_that_is_due() {
    let text = RULES.replace("rounding = \"99\"", "rounding = \"none\"")
        + "[demand_reaction]\nhalf_life_hours = 24\nreaction = 1\nmax_tilt_ratio = 0.1\nprior_units = 1\n";
    let (rules, market, demand) =
        (PricingRules::parse(&text).unwrap(), MarketRules::default(), demand_of(-2.0, None));
    let of = |units| {
        let recent = Some(RecentDemand { units, hours: 34.6 });
        let around = Circumstances { recent, ..first(&market, EVERYBODY) };
        choose_price(&rules, Some(&demand), &around, &ask("MUG")).unwrap()
    };
    let (quiet, usual, busy) = (of(0.0), of(34.6 / 168.0 * 10.0), of(30.0));
    assert!(
        quiet.quoted_price_minor < usual.quoted_price_minor
            && usual.quoted_price_minor < busy.quoted_price_minor
    );
    assert!((usual.demand_index.unwrap() - 1.0).abs() < 1e-12 && usual.guardrails.len() <= 1, "{usual:?}");
    assert_eq!(busy.guardrails[0].code, "demand_index");
    assert!(busy.standing.unwrap().tilt > 0.0);
}

#[test]
fn prices_are_explored_as_often_as_they_say() {
    let market = MarketRules::default();
    for exploration in [rules::PriceExploration::Thompson, rules::PriceExploration::Epsilon { epsilon: 0.4 }]
    {
        let mut rules = PricingRules::parse(RULES).unwrap();
        rules.exploration = exploration;
        let demand = demand_of(-2.0, Some(0.05));
        let of = |seed| {
            let around = Circumstances { seed: Seed(seed), ..first(&market, EVERYBODY) };
            choose_price(&rules, Some(&demand), &around, &ask("MUG")).unwrap()
        };
        let n_seeds = 20_000;
        let ladder = of(0).ladder;
        let mut counts = vec![0; ladder.len()];
        for seed in 0..n_seeds {
            let price = of(seed).quoted_price_minor;
            counts[ladder.iter().position(|rung| rung.price_minor == price).unwrap()] += 1;
        }
        for (count, rung) in counts.iter().zip(&ladder) {
            let p = rung.choice_probability;
            let error = (p * (1.0 - p) / n_seeds as f64).sqrt();
            // Five standard errors: by chance once in some hundred thousand such tests.
            assert!((f64::from(*count) / n_seeds as f64 - p).abs() <= 5.0 * error, "{count} {p}");
        }
    }
}

/// [`RULES`] with a cup beside the mug.
fn with_a_cup() -> PricingRules {
    let cup = "[[sku]]\nsku = \"CUP\"\ncategory = \"mugs\"\nlist_price_minor = 1299\ncost_minor = 299\n";
    PricingRules::parse(&(RULES.to_owned() + cup)).unwrap()
}

/// Mug and cup alike, at an elasticity of `value`, and what one's price does to the other.
fn with_neighbours(value: f64, cross: Option<f64>) -> Demand {
    let record = |level, name: &str, own| DemandRecord {
        level,
        name: name.into(),
        category: None,
        reference_price_minor: 1299,
        units_per_week: 10.0,
        elasticity: (level != DemandLevel::Cross).then_some(Elasticity {
            value,
            se: 0.0,
            lo: value - 0.1,
            hi: value + 0.1,
        }),
        own,
        purchase_probability: None,
        n_weeks: 10,
        n_units: 100,
        n_shown: 0,
        flags: vec![],
    };
    let mut records = vec![record(DemandLevel::Sku, "MUG", None), record(DemandLevel::Sku, "CUP", None)];
    records.extend(cross.map(|cross| record(DemandLevel::Cross, "mugs", Some((cross, 0.1)))));
    let bytes = seal(records).unwrap();
    let range = 0..bytes.len();
    Demand::of(&with_a_cup(), &DemandModel::open(bytes.into(), range).unwrap())
}

#[test]
fn what_neighbours_gain_counts() {
    let rules = with_a_cup();
    let quoted = |cross| price(&rules, Some(&with_neighbours(-2.5, cross)), EVERYBODY, &ask("MUG")).unwrap();
    let (alone, beside) = (quoted(None), quoted(Some(0.8)));
    // Alone 610 * 2.5 / 1.5 = 1017, below the lowest rung; what the cup brings instead makes a dearer one better.
    assert_eq!(alone.quoted_price_minor, 1099);
    assert!(beside.quoted_price_minor > alone.quoted_price_minor, "{beside:?}");
    // And it is they who are said to do it, from the price it would have alone.
    assert!(alone.guardrails.iter().all(|step| step.code != "neighbours"), "{alone:?}");
    let first = beside.guardrails.first().unwrap();
    assert_eq!((first.code.as_str(), first.before_minor), ("neighbours", 1017));
    assert_eq!(alone.model_price_minor, 1017);
}

#[test]
fn only_everybodys_price_stands() {
    let (rules, demand) = (PricingRules::parse(RULES).unwrap(), demand_of(-2.0, None));
    let market = MarketRules { prior_price_days: 0, ..MarketRules::default() };
    let stands = |request: PriceRequest| {
        choose_price(&rules, Some(&demand), &first(&market, EVERYBODY), &request).unwrap().standing
    };
    assert_eq!(stands(ask("MUG")).map(|standing| standing.price_minor), Some(1199));
    // The list price and cost of pricing.toml, and stock, are the same for all.
    let same = PriceRequest {
        list_price_minor: Some(1299),
        unit_cost_minor: Some(610),
        stock: Some(9),
        ..ask("MUG")
    };
    assert!(stands(same).is_some());
    assert_eq!(stands(PriceRequest { announced_percent: Some(15), ..ask("MUG") }), None);
    assert_eq!(stands(PriceRequest { list_price_minor: Some(1499), ..ask("MUG") }), None);
    assert_eq!(stands(PriceRequest { unit_cost_minor: Some(700), ..ask("MUG") }), None);
}

#[test]
fn a_discount_that_goes_on_is_claimed_on_what_was_shown_before_it() {
    let (rules, market, demand) =
        (PricingRules::parse(RULES).unwrap(), MarketRules::default(), demand_of(-2.0, None));
    let now = first(&market, EVERYBODY).now;
    let mut ledger = Ledger::default();
    ledger.show(1499, now.plus_days(-9));
    ledger.show(1199, now.plus_days(-2));
    let around = Circumstances { ledger: Some(&ledger), ..first(&market, EVERYBODY) };
    let price_of = |announced_since| {
        let request = PriceRequest { announced_percent: Some(20), announced_since, ..ask("MUG") };
        choose_price(&rules, Some(&demand), &around, &request)
    };
    // 1499 less a fifth is 1199: the second day costs what the first did.
    assert_eq!(price_of(Some(now.plus_days(-2))).unwrap().quoted_price_minor, 1199);
    // One that begins now is on 1199, and a fifth off that lies below the floor of 1039.
    let refused = price_of(None).unwrap_err();
    assert!(refused.to_string().contains("prior_price for at most 959"), "{refused}");
}
