//! Prices stay inside their bounds, whatever the rules, costs and curves; faults name their line.

use proptest::prelude::*;

use super::demand::seal;
use super::*;
use crate::policy::control::Assignment;
use crate::units::{DAY_MS, Seed, Timestamp};

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
        everybody_minor: None,
        seed: Seed(1),
    }
}

fn price(
    rules: &PricingRules,
    demand: Option<&DemandModel>,
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
    let demand = DemandModel::open(bytes.into(), range).unwrap();
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
    let never = lines(&RULES.replace("min_margin_ratio = 0.05", "min_margin_ratio = 0.7"));
    assert!(never[0].1.contains("minimum_margin asks for at least 1666667"), "{never:?}");
    let garden =
        "[[category]]\ncategory = \"mugs\"\nfloor_ratio = 1.0\nceiling_ratio = 1.0\nmin_margin_ratio = 0.6\n";
    let by_category = lines(&format!("{RULES}{garden}"));
    assert_eq!((by_category.len(), by_category[0].0), (1, 10), "the SKU of that category: {by_category:?}");
    let band =
        lines(&RULES.replace("[default]\n", "[default]\ncompetitor_band = [1.1, 0.9]\nmax_step_ratio = 0\n"));
    assert_eq!(band.iter().map(|fault| fault.0).collect::<Vec<_>>(), [5, 6], "{band:?}");
    let other = lines(&format!("{RULES}[exploration]\nkind = \"softmax\"\n"));
    assert!(other[0].1.contains("softmax"), "{other:?}");
    let reaction =
        "[demand_reaction]\nhalf_life_hours = 0\nreaction = 2\nmax_tilt_ratio = 0.1\nprior_units = 1\n";
    assert_eq!(lines(&format!("{RULES}{reaction}")).len(), 2);
    let market = lines(&format!("{RULES}[market.GB]\nprior_price_days = 400\nparity_ratio = 2\n"));
    assert_eq!(market.len(), 2, "{market:?}");
    let personal = lines(&format!("{RULES}[market.GB]\npersonal_features = true\n"));
    assert!(personal[0].1.contains("no price model takes features of a person yet"), "{personal:?}");
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

/// Everything that a price can depend on, drawn.
#[derive(Clone, Debug)]
struct Scene {
    rules: PricingRules,
    request: PriceRequest,
    demand: DemandModel,
    ledger: Ledger,
    locked_minor: Option<i64>,
    everybody_minor: Option<i64>,
    recent: Option<RecentDemand>,
    seed: u64,
}

impl Scene {
    fn around<'a>(&'a self, market: &'a MarketRules) -> Circumstances<'a> {
        Circumstances {
            ledger: Some(&self.ledger),
            locked_minor: self.locked_minor,
            everybody_minor: self.everybody_minor,
            recent: self.recent,
            seed: Seed(self.seed),
            ..first(market, EVERYBODY)
        }
    }
}

fn scene() -> impl Strategy<Value = Scene> {
    let amount = || 100..20_000i64;
    let rules =
        (rounding(), 2..40u32, 0.0..0.6f64, prop::option::of(0.01..0.5f64), prop::option::of(1..72u32));
    let exploration = prop_oneof![
        Just(rules::PriceExploration::None),
        Just(rules::PriceExploration::Thompson),
        (0.0..1.0f64).prop_map(|epsilon| rules::PriceExploration::Epsilon { epsilon }),
    ];
    let stock = (prop::option::of(0..500i64), prop::option::of(1..60u32), prop::option::of(1..60u32));
    let asked = (amount(), 0..15_000i64, prop::option::of(amount()), prop::option::of(1..60u8), stock);
    let shown = prop::option::of((amount(), 0..100i64, -0.2..0.2f64));
    let rest = (
        prop::option::of(amount()),
        prop::option::of(amount()),
        prop::option::of(0.0..90.0f64),
        any::<u64>(),
    );
    (rules, exploration, asked, shown, -8.0..-0.1f64, prop::option::of(0.0..1.0f64), rest).prop_map(
        |(
            (rounding, n_rungs, margin, step, rest_hours),
            exploration,
            asked,
            shown,
            elasticity,
            base,
            rest,
        )| {
            let (list, cost, competitor, announced, (stock, restock, clear)) = asked;
            let mut rules = PricingRules::parse(RULES).unwrap();
            (rules.rounding, rules.n_rungs, rules.exploration) = (rounding, n_rungs, exploration);
            rules.default = Terms {
                min_margin_ratio: margin,
                max_step_ratio: step,
                cool_down_hours: rest_hours,
                competitor_band: Some([0.9, 1.1]),
                restock_days: restock,
                clear_within_days: clear,
                ..rules.default
            };
            let [half_life_hours, reaction, max_tilt_ratio, prior_units] = [24.0, 1.0, 0.2, 5.0];
            rules.demand_reaction =
                Some(rules::DemandReaction { half_life_hours, reaction, max_tilt_ratio, prior_units });
            let mut ledger = Ledger::default();
            if let Some((price, hours, tilt)) = shown {
                let since = first(&MarketRules::default(), EVERYBODY).now.plus_millis(-hours * 3_600_000);
                ledger.show(list, since.plus_days(-10));
                ledger.show(price, since);
                ledger.standing = Some(Standing { price_minor: price, since, reviewed: since, tilt });
            }
            let (locked_minor, everybody_minor, recent, seed) = rest;
            Scene {
                rules,
                request: PriceRequest {
                    sku: "NEW".into(),
                    list_price_minor: Some(list),
                    unit_cost_minor: Some(cost),
                    stock,
                    competitor_price_minor: competitor,
                    announced_percent: announced,
                },
                demand: demand_of(elasticity, base),
                ledger,
                locked_minor,
                everybody_minor,
                recent: recent.map(|units| RecentDemand { units, hours: 30.0 }),
                seed,
            }
        },
    )
}

/// Whether `price` lies in `lo ..= hi`, or as near to it as `within` allows.
fn near(price: i64, lo: f64, hi: f64, within: (i64, i64)) -> bool {
    let clamp = |edge: f64| (edge.round() as i64).clamp(within.0, within.1);
    (clamp(lo)..=clamp(hi)).contains(&price)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The price satisfies every guardrail, or the pair that conflicts is named: checked against the rules themselves,
    /// not against what the code made of them.
    #[test]
    fn a_price_keeps_every_guardrail_or_names_the_pair_that_conflicts(scene in scene()) {
        let market = MarketRules::default();
        let (terms, request) = (scene.rules.default, &scene.request);
        let (list, cost) = (request.list_price_minor.unwrap() as f64, request.unit_cost_minor.unwrap() as f64);
        let choice = match choose_price(&scene.rules, Some(&scene.demand), &scene.around(&market), request) {
            Ok(choice) => choice,
            Err(PriceRefusal::Conflict { conflict, .. }) => {
                prop_assert!(conflict.lower_minor > conflict.upper_minor && conflict.lower != conflict.upper);
                return Ok(());
            }
            Err(PriceRefusal::NoPriorPrice { .. }) => {
                prop_assert!(request.announced_percent.is_some() && scene.ledger.prices.is_empty());
                return Ok(());
            }
            Err(other) => return Err(TestCaseError::fail(format!("{other}"))),
        };
        let price = choice.quoted_price_minor;
        let fixed = (choice.floor_minor, choice.ceiling_minor);
        prop_assert!(fixed.0 <= price && price <= fixed.1);
        prop_assert!(price as f64 >= (list * terms.floor_ratio).round() && price as f64 <= (list * terms.ceiling_ratio).round());
        // One unit of rounding in the division that made the bound.
        prop_assert!(price as f64 - cost >= terms.min_margin_ratio * price as f64 - 1e-6 * price as f64);
        if let Some(locked) = scene.locked_minor {
            prop_assert_eq!(price, locked);
        } else if let Some(standing) = scene.ledger.standing {
            let last = standing.price_minor as f64;
            if let Some(step) = terms.max_step_ratio {
                prop_assert!(near(price, last * (1.0 - step), last * (1.0 + step), fixed));
            }
            let rest = i64::from(terms.cool_down_hours.unwrap_or(0)) * 3_600_000;
            if scene.around(&market).now < standing.reviewed.plus_millis(rest) {
                prop_assert!(near(price, last, last, fixed), "it stands until it is due");
            }
        } else if let Some(competitor) = request.competitor_price_minor {
            prop_assert!(near(price, competitor as f64 * 0.9, competitor as f64 * 1.1, fixed));
        } else if let Some(everybody) = scene.everybody_minor {
            let ratio = market.parity_ratio;
            prop_assert!(near(price, everybody as f64 * (1.0 - ratio), everybody as f64 * (1.0 + ratio), fixed));
        }
        if let Some(percent) = request.announced_percent {
            let now = scene.around(&market).now;
            let since = scene.ledger.standing.map(|standing| standing.since).filter(|_| choice.standing.is_none());
            let prior = scene.ledger.lowest_minor(since.unwrap_or(now), 30).unwrap();
            prop_assert!(price * 100 <= prior * (100 - i64::from(percent)));
        }
        for pair in choice.guardrails.windows(2) {
            prop_assert_eq!(pair[0].after_minor, pair[1].before_minor);
        }
        let moved = choice.guardrails.first().map_or(price, |guardrail| guardrail.before_minor);
        prop_assert_eq!(moved, choice.model_price_minor);
        prop_assert_eq!(choice.guardrails.last().map_or(price, |guardrail| guardrail.after_minor), price);
    }

    #[test]
    fn rungs_rise_in_price_fall_in_demand_and_share_one_probability(scene in scene()) {
        let market = MarketRules::default();
        let Ok(choice) = choose_price(&scene.rules, Some(&scene.demand), &scene.around(&market), &scene.request) else {
            return Ok(());
        };
        prop_assert!(choice.ladder.windows(2).all(|pair| pair[0].price_minor < pair[1].price_minor));
        prop_assert!(choice.ladder.windows(2).all(|pair| pair[0].probability >= pair[1].probability));
        let sum: f64 = choice.ladder.iter().map(|rung| rung.choice_probability).sum();
        prop_assert!(sum == 0.0 || (sum - 1.0).abs() < 1e-12);
        if sum > 0.0 {
            let own = choice.ladder.iter().find(|rung| rung.price_minor == choice.quoted_price_minor).unwrap();
            prop_assert!(own.choice_probability > 0.0 && own.choice_probability == choice.choice_probability);
        }
    }

    /// Without exploration, demand, stock and history, the rung of the largest expected margin is quoted.
    #[test]
    fn the_best_rung_is_quoted(scene in scene()) {
        let (market, mut rules) = (MarketRules::default(), scene.rules.clone());
        rules.exploration = rules::PriceExploration::None;
        let request = PriceRequest { stock: None, competitor_price_minor: None, announced_percent: None, ..scene.request.clone() };
        let Ok(choice) = choose_price(&rules, Some(&scene.demand), &first(&market, EVERYBODY), &request) else {
            return Ok(());
        };
        let best = choice.ladder.iter().map(|rung| rung.expected_margin_minor).fold(f64::MIN, f64::max);
        let own = choice.ladder.iter().find(|rung| rung.price_minor == choice.quoted_price_minor).unwrap();
        // A probability is cut off at 1, the worth of a rung is not.
        let cut = choice.ladder.iter().any(|rung| rung.probability.is_some_and(|p| p.get() >= 1.0));
        prop_assert!(cut || own.expected_margin_minor >= best - 1e-9 * best.abs());
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

#[test]
fn what_neighbours_gain_counts() {
    let text = RULES.to_owned()
        + "[[sku]]\nsku = \"CUP\"\ncategory = \"mugs\"\nlist_price_minor = 1299\ncost_minor = 299\n";
    let rules = PricingRules::parse(&text).unwrap();
    let record = |level, name: &str, own| DemandRecord {
        level,
        name: name.into(),
        category: None,
        reference_price_minor: 1299,
        units_per_week: 10.0,
        elasticity: (level != DemandLevel::Cross).then_some(Elasticity {
            value: -2.5,
            se: 0.0,
            lo: -2.6,
            hi: -2.4,
        }),
        own,
        purchase_probability: None,
        n_weeks: 10,
        n_units: 100,
        n_shown: 0,
        flags: vec![],
    };
    let model = |cross: Option<f64>| {
        let mut records = vec![record(DemandLevel::Sku, "MUG", None), record(DemandLevel::Sku, "CUP", None)];
        records.extend(cross.map(|cross| record(DemandLevel::Cross, "mugs", Some((cross, 0.1)))));
        let bytes = seal(records).unwrap();
        let range = 0..bytes.len();
        DemandModel::open(bytes.into(), range).unwrap()
    };
    let quoted = |cross| price(&rules, Some(&model(cross)), EVERYBODY, &ask("MUG")).unwrap();
    let (alone, beside) = (quoted(None), quoted(Some(0.8)));
    // Alone 610 * 2.5 / 1.5 = 1017, below the lowest rung; what CUP gains (0.8 * 1000 a unit) makes a dearer one better.
    assert_eq!(alone.quoted_price_minor, 1099);
    assert!(beside.quoted_price_minor > alone.quoted_price_minor, "{beside:?}");
}
