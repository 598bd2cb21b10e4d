//! Everything that a price can depend on, drawn: the promises that hold whatever it is.

use proptest::prelude::*;

use super::*;

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
    demand: Demand,
    ledger: Ledger,
    locked_minor: Option<i64>,
    taste: Option<f64>,
    recent: Option<RecentDemand>,
    seed: u64,
}

impl Scene {
    fn around<'a>(&'a self, market: &'a MarketRules) -> Circumstances<'a> {
        Circumstances {
            ledger: Some(&self.ledger),
            locked_minor: self.locked_minor,
            person: self.taste.as_ref().map(personal::person),
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
        prop::option::of(0.0..1.0f64),
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
            let (locked_minor, taste, recent, seed) = rest;
            Scene {
                rules,
                request: PriceRequest {
                    sku: "NEW".into(),
                    list_price_minor: Some(list),
                    unit_cost_minor: Some(cost),
                    stock,
                    competitor_price_minor: competitor,
                    announced_percent: announced,
                    announced_since: None,
                },
                demand: demand_of(elasticity, base),
                ledger,
                locked_minor,
                taste,
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
        let market = MarketRules { personal_features: true, ..MarketRules::default() };
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
        if let Some(everybody) = choice.everybody_price_minor {
            prop_assert!(scene.taste.is_some() && choice.basis == PriceBasis::Personal);
            if request.competitor_price_minor.is_none() && request.announced_percent.is_none() {
                let ratio = market.parity_ratio;
                prop_assert!(near(price, everybody as f64 * (1.0 - ratio), everybody as f64 * (1.0 + ratio), fixed));
            }
        } else if let Some(locked) = scene.locked_minor {
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
