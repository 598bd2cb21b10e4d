//! Prices over HTTP: what cannot be priced, what the ledger knows, what stands, and what a person may be asked.

use std::sync::Mutex;
use std::time::Duration;

use nextbest_functions::events::shown::{Ledgers, note, note_in};
use nextbest_functions::keys::Role;
use nextbest_functions::store::PriceBook;
use nextbest_models::event::Event;
use nextbest_models::units::{DAY_MS, Timestamp};
use nextbest_tests::desk::{Desk, QUOTE, basket, price, redemption_path, world};
use nextbest_tests::fault::Fault;
use nextbest_tests::fixture::{self, now};
use nextbest_tests::world::World;
use serde_json::{Value, json};

#[tokio::test]
async fn what_cannot_be_priced_names_all_that_is_wrong() {
    let world = world("", "[market.GB]\nprior_price_days = 30\n").await;
    let desk = Desk::at(&world, now()).await;
    let ask = |items: Value, market: &str| json!({ "currency": "GBP", "market": market, "items": items });
    let item = |more: Value| {
        let mut item = json!({ "sku": "MUG" });
        more.as_object().unwrap().iter().for_each(|(name, value)| item[name] = value.clone());
        item
    };
    let many: Vec<Value> =
        (0..500).map(|n| json!({ "sku": format!("S{n}"), "list_price_minor": 100 })).collect();
    let cases = [
        (ask(json!([item(json!({ "unit_cost_minor": 5000 }))]), "GB"), "guardrails_conflict", "items[0].sku"),
        (
            ask(json!([item(json!({ "list_price_minor": 0 }))]), "GB"),
            "invalid_field",
            "items[0].list_price_minor",
        ),
        (ask(json!([item(json!({ "quantity": 0 }))]), "GB"), "invalid_field", "items[0].quantity"),
        (
            ask(json!([item(json!({ "quantity": 1_000_000_000 }))]), "GB"),
            "invalid_field",
            "items[0].quantity",
        ),
        (ask(json!([item(json!({ "stock": -1 }))]), "GB"), "invalid_field", "items[0].stock"),
        (
            ask(json!([item(json!({ "announced_percent": 100 }))]), "GB"),
            "invalid_field",
            "items[0].announced_percent",
        ),
        (
            ask(json!([item(json!({ "announced_percent": 20 }))]), "GB"),
            "invalid_field",
            "items[0].announced_percent",
        ),
        (ask(json!(many), "GB"), "invalid_field", "items"),
        (ask(json!([item(json!({}))]), "FR"), "invalid_field", "market"),
        (json!({ "currency": "EUR", "items": [{ "sku": "MUG" }] }), "invalid_field", "currency"),
        (ask(json!([{ "sku": "NEVER-HEARD-OF" }]), "GB"), "invalid_field", "items[0].list_price_minor"),
    ];
    for (body, code, path) in cases {
        let (status, problem) = desk.post(QUOTE, &body).await;
        assert_eq!(
            (status.as_u16(), &problem["code"], &problem["path"]),
            (422, &json!(code), &json!(path)),
            "{problem}"
        );
    }
    let both = json!([item(json!({ "quantity": 0 })), item(json!({ "stock": -1, "unit_cost_minor": -1 }))]);
    let (_, problem) = desk.post(QUOTE, &ask(both, "GB")).await;
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(3), "{problem}");
    let conflict = desk.post(QUOTE, &ask(json!([item(json!({ "unit_cost_minor": 5000 }))]), "GB")).await.1;
    let told = conflict["detail"].as_str().unwrap();
    assert!(
        told.contains("minimum_margin asks for at least 5264") && told.contains("ceiling for at most 1559"),
        "{told}"
    );
    // An SKU that pricing.toml does not know has a price all the same where the caller names a list price.
    let unknown = desk.quote(&ask(json!([{ "sku": "NEW", "list_price_minor": 1000 }]), "GB")).await;
    assert!(unknown["degraded"].as_array().unwrap().contains(&json!("unknown_sku:NEW")), "{unknown}");
}

#[tokio::test]
async fn the_ledger_knows_what_was_shown_and_what_may_be_claimed() {
    let world = world("", "[market.GB]\n[market.US]\nprior_price_days = 0\ndisclosure = \"none\"\n").await;
    let desk = Desk::at(&world, now()).await;
    let ask = |customer: &str, market: &str| json!({ "customer_id": customer, "currency": "GBP", "market": market, "channel": "web", "items": [{ "sku": "MUG" }] });
    let first = desk.quote(&ask("a", "GB")).await;
    assert_eq!(
        first["items"][0]["legal"]["discount_claim"],
        json!({ "allowed": false, "max_percent": 0, "code": "no_prior_price" })
    );
    // Prices that were shown elsewhere come by events; the lowest counts, in whatever order they arrive.
    let shown = |n: u32, days: i32, minor: i64| {
        json!({ "event_id": format!("shown-{n}"), "type": "price_shown", "occurred_at": now().plus_days(-days),
                "customer_id": "b", "sku": "MUG", "quantity": 2, "channel": "web",
                "value": { "amount_minor": 2 * minor, "currency": "GBP" }, "attributes": { "market": "GB" } })
    };
    let events = json!({ "events": [shown(1, 5, 1499), shown(2, 12, 1399), shown(3, 40, 999)] });
    for status in ["accepted", "duplicate"] {
        let (_, told) = world.post_as(Role::Checkout, "/v1/events", &events).await;
        assert_eq!(told["results"][0]["status"], status, "{told}");
    }
    let legal = desk.quote(&ask("c", "GB")).await["items"][0]["legal"].clone();
    // 1199 against 1399: 14.3 %, rounded down.
    assert_eq!(legal["lowest_prior_minor"], 1399);
    assert_eq!(legal["discount_claim"], json!({ "allowed": true, "max_percent": 14, "code": null }));
    let elsewhere = desk.quote(&ask("c", "US")).await;
    assert_eq!(
        elsewhere["items"][0]["legal"]["lowest_prior_minor"], 1299,
        "there a claim is on the list price"
    );
    assert_eq!(elsewhere["legal"]["prior_price_days"], 0);
    // An announced discount is kept, and one that the ledger does not bear is refused by the pair.
    let announced = |percent: i64| json!({ "currency": "GBP", "market": "GB", "channel": "web", "items": [{ "sku": "MUG", "announced_percent": percent }] });
    // 1399 less a fifth is 1119; prices end in 99.
    assert_eq!(price(&desk.quote(&announced(20)).await), 1099);
    let (status, problem) = desk.post(QUOTE, &announced(40)).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("guardrails_conflict")));
    assert!(problem["detail"].as_str().unwrap().contains("prior_price for at most 839"), "{problem}");
}

#[tokio::test]
async fn a_discount_goes_on_at_its_price_and_is_nobody_elses() {
    let world = world("", "[market.GB]\n").await;
    let ask = |customer: &str, since: Option<Timestamp>, percent: Option<i64>| {
        let item = json!({ "sku": "MUG", "announced_percent": percent, "announced_since": since });
        json!({ "customer_id": customer, "currency": "GBP", "market": "GB", "items": [item] })
    };
    let (before, start) = (now().plus_days(-1), now());
    let usual = price(&Desk::at(&world, before).await.quote(&ask("a", None, None)).await);
    let sale = Desk::at(&world, start).await.quote(&ask("b", Some(start), Some(8))).await;
    assert_eq!((usual, price(&sale)), (1199, 1099));
    let next_day = Desk::at(&world, start.plus_days(1)).await;
    let goes_on = next_day.quote(&ask("c", Some(start), Some(8))).await;
    assert_eq!(price(&goes_on), 1099, "not 8 % of what was 8 % off already");
    assert_eq!(goes_on["items"][0]["legal"]["lowest_prior_minor"], usual);
    assert_eq!(
        price(&next_day.quote(&ask("d", None, None)).await),
        usual,
        "who was announced nothing pays as before"
    );
    for (since, percent) in
        [(Some(start.plus_days(9)), Some(8)), (Some(start.plus_days(-500)), Some(8)), (Some(start), None)]
    {
        let (status, problem) = next_day.post(QUOTE, &ask("e", since, percent)).await;
        assert_eq!(
            (status.as_u16(), &problem["path"]),
            (422, &json!("items[0].announced_since")),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn a_load_adds_to_the_ledgers_and_takes_nothing_from_them() {
    let world = world("", "").await;
    let desk = Desk::at(&world, now()).await;
    let quoted = price(&desk.quote(&basket("a")).await);
    let shown = |minor: i64, days: i32| {
        let event = json!({ "event_id": "e", "type": "price_shown", "occurred_at": now().plus_days(-days), "customer_id": "b",
                            "sku": "MUG", "value": { "amount_minor": minor, "currency": "GBP" } });
        serde_json::from_value::<Event>(event).unwrap()
    };
    let mut loaded = Ledgers::new();
    [shown(1399, 20), shown(1499, 3)].iter().for_each(|event| note_in(&mut loaded, event));
    assert_eq!(note(&world.app.store, &loaded).await.unwrap(), 1);
    assert_eq!(note(&world.app.store, &loaded).await.unwrap(), 0, "loaded again, nothing is new");
    let key = loaded.keys().next().unwrap().clone();
    let book: PriceBook<()> = world.app.store.price_book([key.clone()], None, None).await.unwrap();
    let ledger = &book.ledgers[&key].value;
    assert_eq!(ledger.prices.keys().copied().collect::<Vec<_>>(), [quoted, 1399, 1499]);
    assert_eq!(ledger.standing.map(|standing| standing.price_minor), Some(quoted));
}

/// The calls of the store that two quotes of one basket by different customers take, a price that stands and one not due.
#[tokio::test]
async fn a_quote_is_one_read_and_one_write_and_asks_for_orders_only_when_a_price_is_due() {
    let calls: &'static Mutex<Vec<String>> = Box::leak(Box::default());
    let plan = |operation: &str, _: usize| {
        calls.lock().unwrap().push(operation.to_owned());
        Fault::None
    };
    let world = World::with("", Duration::from_secs(20), plan).await;
    let rest =
        "[demand_reaction]\nhalf_life_hours = 12\nreaction = 1\nmax_tilt_ratio = 0.2\nprior_units = 1\n";
    let file = world.folder.path().join("pricing.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("[default]\n", "[default]\ncool_down_hours = 24\n") + rest).unwrap();
    let (base, _) = world.through_faults(now()).await;
    let desk = Desk { world: &world, base };
    let told = async |customer: &str| {
        calls.lock().unwrap().clear();
        desk.quote(&basket(customer)).await;
        calls.lock().unwrap().clone()
    };
    assert_eq!(told("a").await, ["BatchGetItem", "Query", "TransactWriteItems"]);
    assert_eq!(told("b").await, ["BatchGetItem", "TransactWriteItems"]);
    assert_eq!(told("b").await, ["BatchGetItem", "GetItem"], "the same quote again is only read");
}

#[tokio::test]
async fn no_feature_of_a_customer_moves_a_price() {
    let world = world("", "").await;
    // One is new, one bought a lot and often: everything the models see of them differs.
    world.order(&["new".to_owned()]).await;
    for order in 2..30 {
        let events = [fixture::order_json("loyal", order, i32::try_from(order).unwrap(), 90_000)];
        assert_eq!(world.post("/v1/events", &json!({ "events": events })).await.0, 200);
    }
    let scores = |customer: &str| json!({ "customer_id": customer });
    let churn =
        async |customer: &str| world.post("/v1/scores", &scores(customer)).await.1["propensities"][0].clone();
    assert_ne!(churn("new").await, churn("loyal").await, "the models tell them apart");
    let desk = Desk::at(&world, now()).await;
    let told = async |customer: Option<&str>| {
        let mut quote = desk.quote(&json!({ "customer_id": customer, "currency": "GBP", "items": [{ "sku": "MUG" }, { "sku": "LAMP" }] })).await;
        (quote["items"].take(), quote["legal"].take(), quote["total"].take())
    };
    let anyone = told(None).await;
    assert_eq!(told(Some("new")).await, anyone);
    assert_eq!(told(Some("loyal")).await, anyone);
    assert_eq!(anyone.1["personalised"], false);
}

#[tokio::test]
async fn where_a_market_allows_it_a_customer_has_their_own_price_near_everybodys() {
    let calls: &'static Mutex<Vec<String>> = Box::leak(Box::default());
    let plan = |operation: &str, _: usize| {
        calls.lock().unwrap().push(operation.to_owned());
        Fault::None
    };
    let world = World::with("", Duration::from_secs(20), plan).await;
    let markets = "[market.US-NY]\nprior_price_days = 0\ndisclosure = \"new_york\"\npersonal_features = true\n\
                   parity_ratio = 0.1\n[market.GB]\n";
    let file = world.folder.path().join("pricing.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\nrounding = \"99\"", "\nrounding = \"none\"") + markets).unwrap();
    // Nobody who ordered ten times is moved much by a price; who ordered once is.
    world.order(&["new".to_owned()]).await;
    let ordered = |customer: &'static str| {
        (2..14).map(move |order| fixture::order_json(customer, order, i32::try_from(order).unwrap(), 5_000))
    };
    let events: Vec<Value> = ordered("loyal").chain(ordered("objects")).collect();
    assert_eq!(world.post("/v1/events", &json!({ "events": events })).await.0, 200);
    let objection = json!([{ "event_id": "x", "type": "attribute_set", "occurred_at": now().plus_days(-1),
        "customer_id": "objects", "attributes": { "objection": true } }]);
    assert_eq!(world.post("/v1/events", &json!({ "events": objection })).await.0, 200);
    let (base, _) = world.through_faults(now()).await;
    let desk = Desk { world: &world, base };
    let told = async |customer: Option<&str>, market: &str| {
        calls.lock().unwrap().clear();
        let body = json!({ "customer_id": customer, "currency": "GBP", "market": market, "items": [{ "sku": "MUG" }] });
        desk.quote(&body).await
    };
    let everybody = price(&told(None, "US-NY").await);
    let loyal = told(Some("loyal"), "US-NY").await;
    assert_eq!(
        *calls.lock().unwrap(),
        ["BatchGetItem", "TransactWriteItems"],
        "the customer comes with the batch"
    );
    let new = told(Some("new"), "US-NY").await;
    for quote in [&loyal, &new] {
        assert_eq!(quote["items"][0]["basis"], "personal", "{quote}");
        assert_eq!(quote["items"][0]["everybody_price_minor"], everybody);
        assert_eq!(quote["legal"]["personalised"], true);
        assert_eq!(
            quote["legal"]["disclosure"],
            "THIS PRICE WAS SET BY AN ALGORITHM USING YOUR PERSONAL DATA"
        );
        let ladder = quote["items"][0]["ladder"].as_array().unwrap();
        let odds: Vec<f64> = ladder.iter().map(|rung| rung["probability"].as_f64().unwrap()).collect();
        assert!(odds.windows(2).all(|pair| pair[1] < pair[0]), "{odds:?}");
    }
    let within = |quote: &Value| (price(quote) - everybody).abs() * 10 <= everybody;
    assert!(price(&new) < everybody && everybody < price(&loyal) && within(&new) && within(&loyal));
    // What was promised stays personal; whoever objected, nobody in particular, and other markets know no such price.
    let mut again = basket("loyal");
    (again["market"], again["items"][0]["quantity"]) = (json!("US-NY"), json!(3));
    let locked = desk.quote(&again).await;
    assert_eq!((&locked["items"][0]["basis"], price(&locked)), (&json!("locked"), price(&loyal)));
    assert_eq!(locked["legal"]["personalised"], true);
    for (customer, market) in [(Some("objects"), "US-NY"), (Some("nobody"), "US-NY"), (Some("loyal"), "GB")] {
        let quote = told(customer, market).await;
        assert_eq!(price(&quote), everybody, "{customer:?} {market}: {quote}");
        assert_eq!(quote["legal"]["personalised"], false);
        assert_eq!(quote["items"][0].get("everybody_price_minor"), None);
    }
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_an_absent_store_promises_nothing() {
    let world = world("", "").await;
    let desk = Desk::at(&world, now()).await;
    let mut dry = basket("c1");
    dry["mode"] = json!("dry_run");
    let shown = desk.quote(&dry).await;
    assert_eq!(shown["signature"], json!({ "value": null, "code": "dry_run" }));
    assert_eq!(price(&shown), 1199);
    let (status, _) =
        desk.post(&redemption_path(&shown), &json!({ "signature": "x", "order_id": "o" })).await;
    assert_eq!(status, 422);
    assert_eq!(world.app.store.quote(shown["quote_id"].as_str().unwrap(), 0).await.unwrap(), None);
    let first = desk.quote(&basket("c1")).await;
    assert_eq!(
        first["items"][0]["legal"]["discount_claim"]["code"], "no_prior_price",
        "the ledger is still empty"
    );
}

#[tokio::test]
async fn prices_stand_for_their_cool_down_and_follow_orders_after_it() {
    let rest =
        "[demand_reaction]\nhalf_life_hours = 12\nreaction = 1\nmax_tilt_ratio = 0.2\nprior_units = 1\n";
    let world = world("cool_down_hours = 24\nmax_step_ratio = 0.2", rest).await;
    let standing = price(&Desk::at(&world, now()).await.quote(&basket("a")).await);
    let orders: Vec<Value> = (100..200)
        .map(|order| {
            let mut event = fixture::order_json("b", order, 0, 1_299);
            (event["sku"], event["quantity"]) = (json!("MUG"), json!(1));
            event
        })
        .collect();
    let desk = Desk::at(&world, now().plus_millis(3_600_000)).await;
    let (status, told) = desk.post("/v1/events", &json!({ "events": orders })).await;
    assert_eq!((status.as_u16(), &told["counts"]["accepted"]), (200, &json!(100)), "{told}");
    let rush = desk.quote(&basket("c")).await;
    assert_eq!((&rush["items"][0]["basis"], price(&rush)), (&json!("standing"), standing));
    let reviewed = Desk::at(&world, now().plus_millis(DAY_MS)).await.quote(&basket("d")).await;
    let item = &reviewed["items"][0];
    assert!(item["demand_index"].as_f64().unwrap() > 5.0, "{item}");
    assert!(price(&reviewed) > standing, "{item}");
    assert_eq!(item["guardrails"][0]["code"], "demand_index", "{item}");
}
