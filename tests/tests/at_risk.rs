//! The at-risk list with value and uplift: its orders, its curve in money, its filters, and who may take it away.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "at_risk/build.rs"]
mod build;

use nextbest_functions::keys::Role;
use nextbest_functions::snapshot::{self, Cutoff, Order, curve};
use nextbest_models::project::Project;
use nextbest_tests::fault::raw;
use nextbest_tests::fixture::{self, key, now, order_json};
use nextbest_tests::world::{World, post};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// 240 customers: the n-th ordered `n % 7 + 1` times, last `n % 170 + 1` days ago.
async fn shop() -> (World, String) {
    shop_with(&artifact()).await
}

fn artifact() -> Vec<u8> {
    fixture::saving_artifact(&fixture::project())
}

async fn shop_with(artifact: &[u8]) -> (World, String) {
    let world = World::new("").await;
    let base = fill(&world, artifact).await;
    (world, base)
}

/// The customers of [`shop`] in `world`, and their list; where it is answered.
async fn fill(world: &World, artifact: &[u8]) -> String {
    let path = world.folder.path().join("artifacts/mini.nba");
    std::fs::write(path, artifact).unwrap();
    for customers in (0..240_u32).collect::<Vec<_>>().chunks(60) {
        let events: Vec<Value> = customers
            .iter()
            .flat_map(|n| {
                (0..n % 7 + 1).map(move |order| {
                    let days = i32::try_from(n % 170 + 1 + order * 3).unwrap();
                    order_json(&format!("c{n}"), order, days, i64::from(1_000 + n * 37 % 4_000))
                })
            })
            .collect();
        assert_eq!(world.post("/v1/events", &json!({ "events": events })).await.0, 200);
    }
    let (base, app) = world.again(now()).await;
    snapshot::build(&app).await.unwrap();
    base
}

async fn get(world: &World, base: &str, path: &str) -> (StatusCode, Value) {
    let request =
        world.client.get(format!("{base}{path}")).header("x-api-key", key(&world.keys, Role::Retention));
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// All rows under `query`, a page at a time.
async fn all(world: &World, base: &str, query: &str) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, list) = get(world, base, &format!("/v1/at-risk?limit=37&{query}{cursor}")).await;
        assert_eq!(status, 200, "{list}");
        rows.extend(list["customers"].as_array().unwrap().iter().cloned());
        match list["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

#[tokio::test]
async fn every_order_lists_the_same_customers_by_its_own_number() {
    let (world, base) = shop().await;
    let number = |order: Order, row: &Value| match order {
        Order::NetSaveValue => row["net_save_value_minor"].as_f64(),
        Order::ValueAtRisk => row["value_at_risk_minor"].as_f64(),
        Order::ChurnProbability => row["churn_probability"]["value"].as_f64(),
        Order::LifetimeValue => row["clv"]["value_minor"].as_f64(),
        Order::SaveUplift => row["save_uplift"]["value"].as_f64(),
    };
    let mut everybody: Option<Vec<String>> = None;
    for order in Order::ALL {
        let rows = all(&world, &base, &format!("sort={}", order.as_str())).await;
        let ranks: Vec<u64> = rows.iter().map(|row| row["rank"].as_u64().unwrap()).collect();
        assert_eq!(ranks, (1..=rows.len() as u64).collect::<Vec<_>>());
        let numbers: Vec<f64> = rows.iter().map(|row| number(order, row).unwrap()).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] >= pair[1]), "{order:?}: {numbers:?}");
        let mut ids: Vec<String> =
            rows.iter().map(|row| row["customer_id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        assert_eq!(*everybody.get_or_insert_with(|| ids.clone()), ids);
    }
    // By hand: uplift is 5 points and one for each order; what saving brings is uplift times value less cost.
    for row in all(&world, &base, "sort=net_save_value").await {
        let uplift = row["save_uplift"]["value"].as_f64().unwrap();
        let [lo, hi] = ["lo", "hi"].map(|end| row["save_uplift"][end].as_f64().unwrap());
        assert!(
            (uplift - lo - 0.02).abs() < 1e-12 && (hi - uplift - 0.02).abs() < 1e-12,
            "two errors of .01"
        );
        let cost = row["recommended"]["cost_minor"].as_f64().unwrap_or(0.0);
        let net = uplift * row["clv"]["value_minor"].as_f64().unwrap() - cost;
        assert!((net - row["net_save_value_minor"].as_f64().unwrap()).abs() <= 0.5, "{row}");
        assert_eq!(row["clv"]["bought_once"], row["clv"]["p_alive"] == 1.0);
        let [lo, value, hi] =
            ["lo_minor", "value_minor", "hi_minor"].map(|end| row["clv"][end].as_i64().unwrap());
        assert!(0 < lo && lo < value && value < hi, "{row}");
        assert_eq!((&row["clv"]["basis"], &row["clv"]["level"]), (&"closed_form".into(), &0.9.into()));
    }
}

#[tokio::test]
async fn realised_value_tells_without_a_closed_form() {
    let (world, base) = shop_with(&fixture::realised_artifact(&fixture::project())).await;
    let rows = all(&world, &base, "sort=lifetime_value").await;
    assert!(!rows.is_empty());
    for row in rows {
        let clv = &row["clv"];
        // By hand: orders of the last 90 days are 0 to 7; a value beyond its bounds widens them.
        let (orders, left) = (
            (clv["value_minor"].as_i64().unwrap() - 2_000) / 1_000,
            clv["value_minor"].as_i64().unwrap() % 1_000,
        );
        assert!((0..=7).contains(&orders) && left == 0, "{row}");
        assert_eq!(clv["lo_minor"], 0);
        assert_eq!(clv["hi_minor"].as_i64().unwrap(), 8_000.max(clv["value_minor"].as_i64().unwrap()));
        assert_eq!((&clv["basis"], &clv["level"]), (&"realised_value".into(), &0.9.into()));
        assert!(clv["p_alive"].is_null() && clv["expected_purchases"].is_null(), "{row}");
        assert!(
            row["net_save_value_minor"]["value"].is_null() || row["net_save_value_minor"].is_null(),
            "{row}"
        );
    }
}

#[tokio::test]
async fn the_curve_sums_what_the_list_says_and_the_best_length_keeps_its_bounds() {
    let (world, base) = shop().await;
    let rows = all(&world, &base, "sort=net_save_value").await;
    let (_, list) = get(&world, &base, "/v1/at-risk?limit=1").await;
    assert_eq!(list["sort"], "net_save_value", "the most useful is the default");
    let points: Vec<Cutoff> = serde_json::from_value(list["cutoff_curve"].clone()).unwrap();
    assert_eq!(points.last().unwrap().n_customers, rows.len());
    for point in &points {
        let first = &rows[..point.n_customers];
        let churners: f64 = first.iter().map(|row| row["churn_probability"]["value"].as_f64().unwrap()).sum();
        assert!((churners - point.expected_churners).abs() < 1e-6);
        assert!((churners + point.expected_others - point.n_customers as f64).abs() < 1e-6);
        let reached = first
            .iter()
            .filter(|row| row["recommended"].is_object() && row["experiment"]["control"] == false);
        assert_eq!(reached.clone().count(), point.n_contacted);
        let net: i64 = reached.clone().map(|row| row["net_save_value_minor"].as_i64().unwrap()).sum();
        assert_eq!(Some(net), point.net_value_minor);
        let cost: i64 = reached.map(|row| row["recommended"]["cost_minor"].as_i64().unwrap()).sum();
        assert_eq!(cost, point.cost_minor);
    }
    let best = |capacity, budget| curve::best(&points, capacity, budget);
    let free = best(None, None).unwrap();
    assert!(points.iter().all(|point| point.net_value_minor <= free.net_value_minor));
    let few = best(Some(20), None).unwrap();
    assert!(few.n_contacted <= 20 && few.net_value_minor <= free.net_value_minor);
    let (_, bounded) = get(&world, &base, "/v1/at-risk?limit=1&capacity=20").await;
    assert_eq!(bounded["best_cutoff"], serde_json::to_value(few).unwrap());
    let (_, none) = get(&world, &base, "/v1/at-risk?limit=1&capacity=0").await;
    assert_eq!(none["best_cutoff"], json!({ "value": null, "code": "nothing_is_worth_its_cost" }));
}

#[tokio::test]
async fn filters_bind_their_cursor_and_what_cannot_be_asked_is_named() {
    let (world, base) = shop().await;
    let high = all(&world, &base, "band=high").await;
    assert!(!high.is_empty() && high.iter().all(|row| row["band"] == "high"));
    let reached = all(&world, &base, "contactable=email").await;
    assert!(
        reached
            .iter()
            .all(|row| row["contactable"]["channels"].as_array().unwrap().contains(&json!("email")))
    );
    let (_, list) = get(&world, &base, "/v1/at-risk?limit=1&sort=churn_probability").await;
    let cursor = list["next_cursor"].as_str().unwrap();
    let (status, problem) = get(&world, &base, &format!("/v1/at-risk?cursor={cursor}")).await;
    assert_eq!((status.as_u16(), &problem["code"]), (400, &json!("invalid_cursor")), "of another order");
    for (query, path) in [
        ("sort=age", "sort"),
        ("band=huge", "band"),
        ("budget_minor=-1", "budget_minor"),
        ("limit=0", "limit"),
        ("limit=1000000", "limit"),
        ("min_risk=1.5", "min_risk"),
    ] {
        let (status, problem) = get(&world, &base, &format!("/v1/at-risk?{query}")).await;
        assert_eq!((status.as_u16(), &problem["path"]), (400, &json!(path)), "{query}: {problem}");
    }
}

#[tokio::test]
async fn an_export_leaves_control_groups_out_counts_them_and_says_who_took_it() {
    let (world, base) = shop().await;
    let post = async |body: &Value| {
        let request = world.client.post(format!("{base}/v1/at-risk/exports"));
        let response =
            request.header("x-api-key", key(&world.keys, Role::Retention)).json(body).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    let (status, export) = post(&json!({ "n_customers": 1_000, "sort": "value_at_risk" })).await;
    assert_eq!(status, 201, "{export}");
    let rows = all(&world, &base, "sort=value_at_risk").await;
    let held_out = rows.iter().filter(|row| row["experiment"]["control"] == true).count();
    let reached = rows
        .iter()
        .filter(|row| row["experiment"]["control"] == false && row["contactable"]["code"].is_null());
    assert_eq!(export["n_held_out"], held_out);
    assert_eq!(export["n_exported"], reached.clone().count());
    assert_eq!(export["exported_by"], "retention");
    let download = async |base: &str| {
        let url = format!("{base}{}", export["download"].as_str().unwrap());
        world.client.get(url).header("x-api-key", key(&world.keys, Role::Retention)).send().await.unwrap()
    };
    let csv = download(&base).await.text().await.unwrap();
    let ids: Vec<&str> = csv.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    let expected: Vec<&str> = reached.map(|row| row["customer_id"].as_str().unwrap()).collect();
    assert_eq!(ids, expected);
    // A day later it is over, and says so.
    let (later, _) = world.again(now().plus_days(1)).await;
    let gone = download(&later).await;
    assert_eq!(gone.status(), 410);
    assert_eq!(gone.json::<Value>().await.unwrap()["code"], "export_expired");
    let (status, _) = get(&world, &base, "/v1/at-risk/exports/exp_guessed").await;
    assert_eq!(status, 404);
    for n_customers in [0, 20_001] {
        let (status, problem) = post(&json!({ "n_customers": n_customers })).await;
        assert_eq!((status.as_u16(), &problem["path"]), (422, &json!("n_customers")), "{problem}");
    }
}

/// A customer whose state is taken out of the store between build and page: the list is as of its moment, to the last rank, and
/// whoever asks of the customer is told that nothing is known.
#[tokio::test]
async fn a_customer_erased_after_the_build_moves_nobody() {
    let (world, base) = shop().await;
    let before = all(&world, &base, "").await;
    let erased = before[20]["customer_id"].as_str().unwrap();
    let key = json!({ "pk": { "S": format!("customer#{erased}") }, "sk": { "S": "state" } });
    let delete = json!({ "TableName": "nextbest", "Key": key, "ReturnValues": "ALL_OLD" });
    let told = raw(&world.endpoint, "DeleteItem", &delete).await;
    assert!(told["Attributes"].is_object(), "it was there: {told}");
    assert_eq!(all(&world, &base, "").await, before);
    let (status, problem) = world.post("/v1/scores", &json!({ "customer_id": erased })).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("unknown_customer")));
    // The next list is without them.
    let (_, app) = world.again(now()).await;
    snapshot::build(&app).await.unwrap();
    let after = all(&world, &base, "").await;
    assert_eq!(after.len(), before.len() - 1);
    assert!(after.iter().all(|row| row["customer_id"] != erased));
}

/// An action for everybody of the list, worth what they will still bring.
const KEEP: &str = "[[action]]\nid = \"keep\"\ncampaign_type = \"prevent_defection\"\npropensity = \"churn\"\n\
    stages = [\"new\", \"activating\", \"active\", \"loyal\", \"advocate\", \"at_risk\", \"recovered\", \"defected\"]\n\
    value = { formula = \"customer.lifetime_value_minor\" }\n\
    [[action.treatment]]\nid = \"keep_mail\"\nchannel = \"email\"\n";
const LIFETIME: &str = "\n[lifetime_value]\nhorizon_weeks = 52\ndiscount_rate = 0.0\nmargin = 0.5\n";

#[tokio::test]
async fn a_formula_is_given_the_lifetime_value_of_the_list_and_a_replay_tells_it_again() {
    for artifact in [artifact(), fixture::realised_artifact(&fixture::project())] {
        let world = World::new(KEEP).await;
        let settings = world.folder.path().join("nextbest.toml");
        let text = std::fs::read_to_string(&settings).unwrap() + LIFETIME;
        std::fs::write(&settings, text).unwrap();
        let base = fill(&world, &artifact).await;
        let (_, app) = world.again(now()).await;
        let rows = all(&world, &base, "sort=lifetime_value").await;
        assert!(rows.len() > 100, "{}", rows.len());
        for row in rows.iter().step_by(20) {
            let body = json!({ "customer_id": row["customer_id"], "candidate_actions": ["keep"] });
            let crm = key(&world.keys, Role::Crm);
            let (status, decision) =
                post(&world.client, &base, crm, "/v1/decisions/next-best-action", &body).await;
            assert_eq!(status, 200, "{decision}");
            let record = world.record(&decision).await;
            let (told, listed) = (record.situation.lifetime_value_minor, &row["clv"]["value_minor"]);
            assert!(told.is_some() && told == listed.as_i64(), "{told:?} is not {listed}");
            assert_eq!(Some(record.decision.actions[0].factors.value), listed.as_f64());
            assert_eq!(record.replay(&app.project, app.artifact.as_ref()), Ok(Vec::new()));
        }
    }
}

/// A shop that calls to win back, and learned who answers: log-odds of -2 and 0.3 more for each order of the last 90 days.
const CALL_BACK: &str = "[[action]]\nid = \"come_back\"\ncampaign_type = \"recovery\"\npropensity = \"accepted\"\n\
    stages = [\"new\", \"activating\", \"active\", \"loyal\", \"advocate\", \"at_risk\", \"recovered\", \"defected\"]\n\
    value = { fixed_minor = 900000 }\n[[action.treatment]]\nid = \"come_back_call\"\nchannel = \"phone\"\n";
const SAVE_BY_ANSWERS: &str =
    "\n[uplifts.save]\nlabel = \"churn\"\ncampaign_type = [\"recovery\"]\nanswer = \"accepted\"\n";

#[tokio::test]
async fn uplift_through_answers_differs_by_who_answers_and_would_leave() {
    let world = World::new(CALL_BACK).await;
    let settings = world.folder.path().join("nextbest.toml");
    let text = std::fs::read_to_string(&settings).unwrap() + SAVE_BY_ANSWERS;
    std::fs::write(&settings, text).unwrap();
    let folder = world.folder.path().to_owned();
    let project = Project::read(|file| std::fs::read_to_string(folder.join(file))).unwrap();
    let base = fill(&world, &fixture::answered_artifact(&project)).await;
    let rows = all(&world, &base, "sort=save_uplift").await;
    let mut n = 0;
    for row in &rows {
        assert_eq!(row["recommended"]["action_id"], "come_back", "{row}");
        let number: i64 = row["customer_id"].as_str().unwrap()[1..].parse().unwrap();
        let days = (0..number % 7 + 1).map(|order| number % 170 + 1 + order * 3);
        // Where the window ends is not what is asked here.
        if days.clone().any(|days| (88..=91).contains(&days)) {
            continue;
        }
        let orders = days.filter(|days| *days < 88).count() as f64;
        let answers = 1.0 / (1.0 + (2.0 - 0.3 * orders).exp());
        let q = answers * row["churn_probability"]["value"].as_f64().unwrap();
        let uplift = 0.02 + (q.clamp(0.0, 0.5) - 0.1);
        let told = row["save_uplift"]["value"].as_f64().unwrap();
        assert!((told - uplift).abs() < 1e-6, "{told} is not {uplift}: {row}");
        n += 1;
    }
    assert!(n > 100, "{n}");
}
