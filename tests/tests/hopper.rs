//! The hopper: who is listed, what is held, what a claim says, and what races, faults and time leave behind.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nextbest_functions::app::App;
use nextbest_functions::clock::Clock;
use nextbest_functions::config::Config;
use nextbest_functions::decisions::record::Record;
use nextbest_functions::hopper::{self, Built, HopperError, Progress};
use nextbest_functions::keys::{NewKey, Role};
use nextbest_functions::local;
use nextbest_functions::store::{Draw, Series, Store, Subject};
use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::event::Event;
use nextbest_models::units::Timestamp;
use nextbest_tests::backend::{self, Backend};
use nextbest_tests::fault::{self, Fault};
use nextbest_tests::fixture::{self, key, now, order};
use reqwest::StatusCode;
use serde_json::{Value, json};

const CAMPAIGN: &str = "second_order.email";

/// Capacity for `mails` follow-ups and `calls` calls a night, a budget of `budget` follow-ups a day, one mail a week.
fn policy(mails: u32, calls: u32, budget: u32) -> String {
    format!(
        "[contact]\nreserve_minutes = 30\n[hopper]\nreserve_minutes = 600\n\
         [[hopper.campaign]]\naction = \"second_order\"\nchannel = \"email\"\nmax_contacts = {mails}\n\
         [[hopper.campaign]]\naction = \"stay_with_us\"\nmax_contacts = {calls}\n\
         [[cap]]\nid = \"week\"\nchannel = \"email\"\nmax = 1\nwindow_days = 7\n\
         [[budget]]\nid = \"day\"\ncampaign_type = \"follow_up\"\nperiod = \"day\"\nmax_contacts = {budget}\n"
    )
}

struct World {
    base: String,
    app: App,
    config: Config,
    keys: Vec<NewKey>,
    client: reqwest::Client,
    endpoint: String,
    folder: tempfile::TempDir,
    _backend: Backend,
}

impl World {
    async fn new(policy: &str) -> Self {
        Self::with(policy, |_, _| Fault::None).await
    }

    /// Over the embedded store behind a proxy that does what `plan` says.
    async fn with(policy: &str, plan: impl Fn(&str, usize) -> Fault + Send + Sync + 'static) -> Self {
        let backend = backend::embedded();
        Store::local(&backend.endpoint, "nextbest").create_table().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        fixture::install(folder.path());
        let file = folder.path().join("policy.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        // A call costs 40; it is worth about 60.
        let text = text.replace("channel = \"phone\"", "channel = \"phone\"\ncost_minor = 40");
        std::fs::write(&file, format!("{policy}\n{text}")).unwrap();
        let proxy = fault::proxy(&backend.endpoint, plan).await;
        let (config, keys) = fixture::config(folder.path(), &Store::local(&proxy, "nextbest"));
        let (base, app) = serve(&config, &proxy, now()).await;
        let (client, endpoint) = (reqwest::Client::new(), backend.endpoint.clone());
        Self { base, app, config, keys, client, endpoint, folder, _backend: backend }
    }

    /// Another process over the same store, without faults, at `at`.
    async fn again(&self, at: Timestamp) -> (String, App) {
        serve(&self.config, &self.endpoint, at).await
    }

    /// The store without faults.
    fn clean(&self) -> Store {
        Store::local(&self.endpoint, "nextbest")
    }

    /// Customers `c0`, `c1`, ... with one order each and as many views as their number: the later, the likelier to order.
    async fn customers(&self, n: u32) {
        let schema = &self.app.project.schema;
        let customer = |number: u32| {
            let id = format!("c{number}");
            let mut customer = Customer::new(CustomerId::new(id.clone()).unwrap(), schema);
            customer.apply(schema, &order(&id, 1, 10, 2_000)).unwrap();
            for view in 0..number {
                customer
                    .apply(schema, &event(&id, &format!("view{view}"), "product_viewed", &json!({})))
                    .unwrap();
            }
            customer
        };
        let customers: Vec<Customer> = (0..n).map(customer).collect();
        self.clean().load_customers(schema, &customers).await.unwrap();
    }

    async fn fill(&self) -> Built {
        hopper::run(&self.app, &|_| ()).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = self.client.get(format!("{}{path}", self.base));
        let response = request.header("x-api-key", key(&self.keys, Role::Crm)).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn post(&self, base: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.client.post(format!("{base}{path}")).json(body);
        let response = request.header("x-api-key", key(&self.keys, Role::Crm)).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    /// The contacts of a list, read page by page.
    async fn contacts(&self, snapshot_id: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/hopper?snapshot_id={snapshot_id}&limit=2{cursor}");
            let (status, list) = self.get(&path).await;
            assert_eq!(status, 200, "{list}");
            all.extend(list["contacts"].as_array().unwrap().clone());
            match list["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }

    async fn claim(&self, snapshot_id: &str, contacts: &[&Value]) -> Vec<Value> {
        self.claim_at(&self.base, snapshot_id, contacts).await
    }

    async fn claim_at(&self, base: &str, snapshot_id: &str, contacts: &[&Value]) -> Vec<Value> {
        let ids: Vec<&Value> = contacts.iter().map(|contact| &contact["decision_id"]).collect();
        let path = format!("/v1/hopper/{snapshot_id}/claims");
        let (status, told) = self.post(base, &path, &json!({ "decision_ids": ids })).await;
        assert_eq!(status, 200, "{told}");
        told["results"].as_array().unwrap().clone()
    }

    async fn tell(&self, event: &Event) {
        let subject = Subject::Customer(event.customer_id.clone().unwrap());
        let schema = &self.app.project.schema;
        let fold = |customer: &mut Customer| (customer.apply(schema, event).unwrap(), true);
        self.clean().fold(&subject, schema, now(), fold).await.unwrap();
    }

    /// How many live listed contacts each customer holds at `at`.
    async fn held(&self, at: Timestamp) -> BTreeMap<String, usize> {
        let (mut held, store) = (BTreeMap::new(), self.clean());
        let mut scan = store.scan_customers(0, 1);
        while let Some(page) = scan.next(&self.app.project.schema).await.unwrap() {
            for stored in page {
                let live =
                    stored.reservations.iter().filter(|one| one.is_live(at) && one.is_listed()).count();
                if live > 0 {
                    held.insert(stored.customer.id().as_str().to_owned(), live);
                }
            }
        }
        held
    }

    /// Contacts made and held of a budget, and those of them that are only held.
    async fn drawn(&self, budget: &str) -> (i64, i64) {
        let state = self.clean().budget(&draw(budget)).await.unwrap();
        (state.n_contacts, state.held.values().map(|(n, _)| n).sum())
    }
}

async fn serve(config: &Config, endpoint: &str, at: Timestamp) -> (String, App) {
    let app = App::open(config, Store::local(endpoint, "nextbest"), Clock::fixed(at)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = local::router(app.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (base, app)
}

/// An event of yesterday.
fn event(customer: &str, id: &str, kind: &str, attributes: &Value) -> Event {
    let event = json!({
        "event_id": format!("{customer}-{id}"), "type": kind, "customer_id": customer,
        "occurred_at": now().plus_days(-1), "attributes": attributes,
    });
    serde_json::from_value(event).unwrap()
}

fn no_mail(customer: &str) -> Event {
    event(customer, "no", "consent_changed", &json!({ "granted": false, "channel": "email" }))
}

fn draw(budget: &str) -> Draw {
    Draw { budget_id: budget.to_owned(), period: now().day().start(), cost_minor: 0 }
}

fn capacity() -> String {
    format!("hopper#{CAMPAIGN}")
}

fn ids<'a>(contacts: &'a [Value], action: &str) -> Vec<&'a str> {
    let of = contacts.iter().filter(|contact| contact["action_id"] == action);
    of.map(|contact| contact["customer_id"].as_str().unwrap()).collect()
}

/// Ten hours and a slot of ten minutes and the grace of clocks later.
fn after_all() -> Timestamp {
    now().plus_millis((600 + 20) * 60_000)
}

#[tokio::test]
async fn the_worthiest_are_listed_held_logged_and_paged_through() {
    let world = World::new(&policy(5, 3, 100)).await;
    world.customers(20).await;
    let built = world.fill().await;
    let header = &built.header;
    assert_eq!((header.n_asked, header.n_listed), (20, 8));
    // Every customer is a candidate of both: mails to the likeliest, calls to others.
    for (campaign, n_listed) in header.campaigns.iter().zip([5, 3]) {
        let fallen: usize = campaign.fell.iter().map(|fell| fell.n_customers).sum();
        assert_eq!((campaign.n_listed, campaign.n_candidates + fallen), (n_listed, 20), "{campaign:?}");
        assert!(campaign.fell_late.is_empty());
    }
    assert!(header.expected_worth <= header.upper_bound && header.proven_share > 0.99, "{header:?}");
    assert_eq!((header.guarantee, &header.degraded), (0.5, &Vec::new()));

    let contacts = world.contacts(&built.snapshot_id).await;
    assert_eq!(ids(&contacts, "second_order"), ["c19", "c18", "c17", "c16", "c15"]);
    let customers: BTreeSet<&str> = contacts.iter().map(|one| one["customer_id"].as_str().unwrap()).collect();
    assert_eq!(customers.len(), 8, "one contact a customer");
    let ranks: Vec<u64> = contacts.iter().map(|one| one["rank"].as_u64().unwrap()).collect();
    assert_eq!(ranks, [1, 2, 3, 4, 5, 6, 7, 8]);

    // Every contact is a decision of the log, holds a reservation, and is made again bit for bit.
    for contact in &contacts {
        let id = contact["decision_id"].as_str().unwrap();
        let (status, logged) = world.get(&format!("/v1/decisions/{id}")).await;
        assert_eq!(status, 200, "{logged}");
        let record: Record = serde_json::from_value(logged["decision"].clone()).unwrap();
        assert_eq!(record.snapshot_id.as_ref(), Some(&built.snapshot_id));
        assert_eq!(record.replay(&world.app.project, world.app.artifact.as_ref()), Ok(Vec::new()));
        assert_eq!(record.reservations[0].expires_at, now().plus_millis(600 * 60_000));
    }
    assert_eq!(world.held(now()).await.len(), 8);
    assert_eq!((world.drawn(&capacity()).await, world.drawn("day").await), ((5, 5), (5, 5)));

    let only = format!("/v1/hopper?action=stay_with_us&limit=500&snapshot_id={}", built.snapshot_id);
    assert_eq!(world.get(&only).await.1["contacts"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn whoever_may_not_be_contacted_falls_where_a_live_decision_says() {
    let world = World::new(&policy(10, 0, 100)).await;
    world.customers(6).await;
    world.tell(&no_mail("c5")).await;
    world.tell(&event("c4", "obj", "attribute_set", &json!({ "objection": true }))).await;
    let mut contacted = event("c3", "seen", "contacted", &json!({}));
    contacted.channel = Some("email".to_owned());
    world.tell(&contacted).await;
    // A live decision holds the one mail a week of c2.
    let body = json!({ "customer_id": "c2", "context": { "channel": "email", "direction": "outbound" } });
    let (_, live) = world.post(&world.base, "/v1/decisions/next-best-action", &body).await;
    assert_eq!(live["outcome"], "offer", "{live}");

    let built = world.fill().await;
    let campaign = &built.header.campaigns[0];
    let fell: BTreeMap<String, usize> = campaign
        .fell
        .iter()
        .map(|fell| (json!(fell.code).as_str().unwrap().to_owned(), fell.n_customers))
        .collect();
    let expected = [("cap_reached", 2), ("no_consent", 1), ("objected", 1)];
    assert_eq!(fell, expected.map(|(code, n)| (code.to_owned(), n)).into());
    let contacts = world.contacts(&built.snapshot_id).await;
    assert_eq!(ids(&contacts, "second_order"), ["c1", "c0"]);
}

#[tokio::test]
async fn a_claim_asks_once_more_hands_out_once_and_frees_what_it_drops() {
    let world = World::new(&policy(5, 0, 100)).await;
    world.customers(8).await;
    let built = world.fill().await;
    let list = &built.snapshot_id;
    let contacts = world.contacts(list).await;
    let of = |customer: &str| contacts.iter().find(|one| one["customer_id"] == customer).unwrap();
    world.tell(&no_mail("c7")).await;
    world.tell(&event("c6", "obj", "attribute_set", &json!({ "objection": true }))).await;
    let mut contacted = event("c5", "seen", "contacted", &json!({}));
    contacted.channel = Some("email".to_owned());
    world.tell(&contacted).await;

    let stranger = json!({ "decision_id": "dec_none" });
    let asked = [of("c7"), of("c6"), of("c5"), of("c4"), &stranger];
    let told = world.claim(list, &asked).await;
    let fates: Vec<(&Value, &Value)> = told.iter().map(|one| (&one["status"], &one["code"])).collect();
    let (dropped, send) = (json!("dropped"), json!("send"));
    assert_eq!(
        fates,
        [
            (&dropped, &json!("no_consent")),
            (&dropped, &json!("objected")),
            (&dropped, &json!("cap_reached")),
            (&send, &Value::Null),
            (&dropped, &json!("unknown_decision")),
        ],
        "{told:?}"
    );
    assert_eq!((&told[0]["component"], &told[2]["component"]), (&json!("email"), &json!("week")));
    assert_eq!((&told[3]["customer_id"], &told[3]["channel"]), (&json!("c4"), &json!("email")));
    // Dropped ones are free for others at once; what was sent is made; one is still held.
    assert_eq!((world.drawn(&capacity()).await, world.drawn("day").await), ((2, 1), (2, 1)));
    assert_eq!(world.held(now()).await, BTreeMap::from([("c3".to_owned(), 1)]));

    let again = world.claim(list, &asked[..4]).await;
    let codes: Vec<&Value> = again.iter().map(|one| &one["code"]).collect();
    assert_eq!(
        codes,
        [&json!("released"), &json!("released"), &json!("released"), &json!("already_claimed")]
    );
    let (_, other) = world
        .post(
            &world.base,
            "/v1/hopper/hop_other/claims",
            &json!({ "decision_ids": [of("c3")["decision_id"]] }),
        )
        .await;
    assert_eq!(other["results"][0]["code"], "unknown_decision");
    // The contact is an outcome of its decision.
    let (_, logged) =
        world.get(&format!("/v1/decisions/{}", of("c4")["decision_id"].as_str().unwrap())).await;
    assert_eq!(logged["outcomes"][0]["type"], "contacted", "{logged}");

    // The freed places are filled by others, and by nobody who is listed or was contacted.
    let second = world.fill().await;
    let contacts = world.contacts(&second.snapshot_id).await;
    assert_eq!(ids(&contacts, "second_order"), ["c2", "c1", "c0"]);
    assert_eq!(world.drawn(&capacity()).await, (5, 4));
}

#[tokio::test]
async fn a_claim_under_an_idempotency_key_is_repeated_word_for_word() {
    let world = World::new(&policy(1, 0, 100)).await;
    world.customers(1).await;
    let list = world.fill().await.snapshot_id;
    let body = json!({ "decision_ids": [world.contacts(&list).await[0]["decision_id"]] });
    let mut told = Vec::new();
    for key_of_request in ["k-1", "k-1", "k-2"] {
        let request = world.client.post(format!("{}/v1/hopper/{list}/claims", world.base)).json(&body);
        let request = request.header("x-api-key", key(&world.keys, Role::Crm));
        let response = request.header("idempotency-key", key_of_request).send().await.unwrap();
        told.push(response.json::<Value>().await.unwrap()["results"][0]["status"].clone());
    }
    assert_eq!(told, [json!("send"), json!("send"), json!("dropped")]);
}

#[tokio::test]
async fn money_runs_out_before_places_do() {
    let calls = "[[hopper.campaign]]\naction = \"stay_with_us\"\nmax_contacts = 9\nmax_cost_minor = 130\n\
                 [[budget]]\nid = \"day\"\nchannel = \"phone\"\nperiod = \"day\"\nmax_cost_minor = 90\n";
    let world = World::new(calls).await;
    world.customers(5).await;
    let header = world.fill().await.header;
    let campaign = &header.campaigns[0];
    assert_eq!(
        (campaign.n_places, campaign.n_candidates, campaign.n_listed, campaign.cost_minor),
        (9, 5, 2, 80)
    );
    let drawn = world.clean().budget(&draw("hopper#stay_with_us")).await.unwrap();
    assert_eq!((drawn.n_contacts, drawn.cost_minor), (2, 80));
}

#[tokio::test]
async fn two_who_claim_the_same_do_not_both_get_it() {
    let world = Arc::new(World::new(&policy(3, 0, 100)).await);
    world.customers(3).await;
    let list = world.fill().await.snapshot_id;
    let contacts = world.contacts(&list).await;
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (world, list, contacts) = (world.clone(), list.clone(), contacts.clone());
        running.spawn(async move { world.claim(&list, &contacts.iter().collect::<Vec<_>>()).await });
    }
    let told: Vec<Value> = running.join_all().await.into_iter().flatten().collect();
    assert_eq!(told.iter().filter(|one| one["status"] == "send").count(), 3);
    assert_eq!(told.iter().filter(|one| one["code"] == "already_claimed").count(), 21);
    assert_eq!(world.drawn(&capacity()).await, (3, 0));
}

#[tokio::test]
async fn what_is_not_claimed_in_time_is_given_back_whole() {
    let world = World::new(&policy(4, 2, 100)).await;
    world.customers(10).await;
    let first = world.fill().await;
    let contacts = world.contacts(&first.snapshot_id).await;
    // The same night there is nothing left.
    let idle = world.fill().await;
    assert_eq!((idle.header.n_listed, idle.header.campaigns[0].n_places), (0, 0));
    let spoken: usize = idle.header.campaigns[0].fell.iter().map(|fell| fell.n_customers).sum();
    assert_eq!((spoken, idle.header.campaigns[0].n_candidates), (6, 4), "{:?}", idle.header);

    let (base, later) = world.again(after_all()).await;
    let told = world.claim_at(&base, &first.snapshot_id, &contacts.iter().collect::<Vec<_>>()).await;
    assert!(told.iter().all(|one| one["code"] == "expired"), "{told:?}");
    assert!(world.held(after_all()).await.is_empty());
    // The same day: the run gives back what expired, and lists as many again.
    assert_eq!(after_all().day(), now().day());
    let second = hopper::run(&later, &|_| ()).await.unwrap();
    assert_eq!((second.header.n_listed, second.header.campaigns[0].n_places), (6, 4));
    assert_eq!((world.drawn(&capacity()).await, world.drawn("day").await), ((4, 4), (4, 4)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_killed_half_way_leaves_what_expires_and_nobody_is_booked_twice() {
    // Ten transactions reach the store; with the eleventh the process ends.
    let (n_sent, killed) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Notify::new()));
    let kill = killed.clone();
    let plan = move |operation: &str, _: usize| {
        if operation == "TransactWriteItems" && n_sent.fetch_add(1, Ordering::SeqCst) >= 10 {
            kill.notify_one();
            return Fault::Fail;
        }
        Fault::None
    };
    let world = World::with(&policy(20, 0, 100), plan).await;
    world.customers(40).await;
    tokio::select! {
        _ = hopper::run(&world.app, &|_| ()) => panic!("it was killed before its end"),
        () = killed.notified() => {}
    }
    // Of ten, up to three were on their way when the process ended: they arrive, or they do not.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(world.clean().current_snapshot(Series::Hopper).await.unwrap(), None, "the pointer moves last");
    let dead_holds = world.held(now()).await;
    assert!((7..=10).contains(&dead_holds.len()), "{dead_holds:?}");

    let (_, app) = world.again(now()).await;
    let rerun = hopper::run(&app, &|_| ()).await.unwrap();
    // Together they fill the night once, each customer once.
    assert!((10..=13).contains(&rerun.header.n_listed), "{:?}", rerun.header);
    let held = world.held(now()).await;
    assert!(held.len() == 20 && held.values().all(|n| *n == 1), "{held:?}");
    assert_eq!((world.drawn(&capacity()).await, world.drawn("day").await), ((20, 20), (20, 20)));
    // When their time is over, everything is free.
    let (_, later) = world.again(after_all()).await;
    assert_eq!(hopper::run(&later, &|_| ()).await.unwrap().header.n_listed, 20);
    assert_eq!(world.drawn(&capacity()).await, (20, 20));
}

#[tokio::test]
async fn a_list_that_cannot_be_written_is_given_back_and_the_last_one_stays() {
    let broken = Arc::new(AtomicBool::new(false));
    let fails = broken.clone();
    let plan = move |operation: &str, _: usize| match operation {
        "BatchWriteItem" if fails.load(Ordering::SeqCst) => Fault::Fail,
        _ => Fault::None,
    };
    let world = World::with(&policy(4, 0, 100), plan).await;
    world.customers(3).await;
    let first = world.fill().await;
    assert_eq!(first.header.n_listed, 3);
    world.customers(3).await;
    broken.store(true, Ordering::SeqCst);
    let error = hopper::run(&world.app, &|_| ()).await.unwrap_err();
    assert!(matches!(error, HopperError::Store(_)), "{error}");
    assert_eq!(world.clean().current_snapshot(Series::Hopper).await.unwrap(), Some(first.snapshot_id));
    // Customers loaded anew hold nothing; of the budget there are the three of the first list alone.
    assert!(world.held(now()).await.is_empty());
    assert_eq!(world.drawn(&capacity()).await, (3, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_overshot_while_three_of_ten_calls_are_throttled() {
    let calls = Arc::new(AtomicUsize::new(0));
    let plan = move |operation: &str, _: usize| {
        let call = if operation == "CreateTable" { 9 } else { calls.fetch_add(1, Ordering::SeqCst) };
        match call * 7 % 10 {
            0 | 1 => Fault::Throttle,
            2 => Fault::LoseAnswer,
            _ => Fault::None,
        }
    };
    let world = World::with(&policy(20, 5, 18), plan).await;
    world.customers(60).await;
    let built = world.fill().await;
    let contacts = world.contacts(&built.snapshot_id).await;
    // The budget of 18 lies below the capacity of 20; every answer that was lost was found again.
    assert_eq!((ids(&contacts, "second_order").len(), ids(&contacts, "stay_with_us").len()), (18, 5));
    assert_eq!((world.drawn(&capacity()).await, world.drawn("day").await), ((18, 18), (18, 18)));
    let listed: BTreeSet<String> =
        contacts.iter().map(|one| one["customer_id"].as_str().unwrap().to_owned()).collect();
    let held: BTreeSet<String> = world.held(now()).await.into_keys().collect();
    assert_eq!(listed, held);
    assert_eq!(listed.len(), 23);
    let told = world.claim(&built.snapshot_id, &contacts.iter().collect::<Vec<_>>()).await;
    let n_sent = told.iter().filter(|one| one["status"] == "send").count();
    let n_retry = told.iter().filter(|one| one["status"] == "retry").count();
    assert_eq!(n_sent + n_retry, 23, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_at_the_same_time_share_capacity_and_budget() {
    let world = World::new(&policy(20, 6, 15)).await;
    world.customers(50).await;
    let (_, other) = world.again(now()).await;
    let (one, two) = tokio::join!(hopper::run(&world.app, &|_| ()), hopper::run(&other, &|_| ()));
    let (one, two) = (one.unwrap(), two.unwrap());
    let mut contacts = world.contacts(&one.snapshot_id).await;
    contacts.extend(world.contacts(&two.snapshot_id).await);
    assert_eq!((ids(&contacts, "second_order").len(), ids(&contacts, "stay_with_us").len()), (15, 6));
    let customers: BTreeSet<&str> = contacts.iter().map(|one| one["customer_id"].as_str().unwrap()).collect();
    assert_eq!(customers.len(), 21, "nobody stands on both");
    assert_eq!((world.drawn(&capacity()).await, world.drawn("day").await), ((15, 15), (15, 15)));
    assert!(world.held(now()).await.values().all(|n| *n == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_best_takes_the_place_of_whoever_falls_meanwhile() {
    let world = World::new(&policy(3, 0, 100)).await;
    world.customers(10).await;
    // Between asking and holding, the two worthiest change their minds.
    let progress = |progress: Progress| {
        if progress == Progress::Asked(10) {
            let change = async {
                world.tell(&no_mail("c9")).await;
                world.tell(&no_mail("c8")).await;
            };
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(change));
        }
    };
    let built = hopper::run(&world.app, &progress).await.unwrap();
    let campaign = &built.header.campaigns[0];
    assert_eq!((campaign.n_candidates, campaign.n_listed), (10, 3));
    let late: Vec<_> = campaign.fell_late.iter().map(|fell| (json!(fell.code), fell.n_customers)).collect();
    assert_eq!(late, [(json!("no_consent"), 2)]);
    assert_eq!(ids(&world.contacts(&built.snapshot_id).await, "second_order"), ["c7", "c6", "c5"]);
    // The bound is of all who were asked: those who fell are missing.
    assert!(built.header.proven_share < 1.0 && built.header.proven_share > 0.8, "{:?}", built.header);
}

#[tokio::test]
async fn an_export_is_csv_or_ndjson_and_a_cursor_ends_with_its_list() {
    let world = World::new(&policy(5, 0, 100)).await;
    assert_eq!(world.get("/v1/hopper").await.1["code"], "no_snapshot");
    world.customers(5).await;
    let built = world.fill().await;
    let read = async |query: &str| {
        let request = world.client.get(format!("{}/v1/hopper?{query}", world.base));
        request.header("x-api-key", key(&world.keys, Role::Crm)).send().await.unwrap()
    };
    let first = read("format=csv&limit=3").await;
    let header = |name: &str| first.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("content-type").unwrap(), "text/csv; charset=utf-8");
    assert_eq!(header("x-snapshot-id").as_ref(), Some(&built.snapshot_id));
    let cursor = header("x-next-cursor").unwrap();
    let text = first.text().await.unwrap();
    assert!(text.starts_with("rank,decision_id,customer_id,") && text.lines().count() == 4, "{text}");
    let rest = read(&format!("format=ndjson&cursor={cursor}")).await;
    assert!(rest.headers().get("x-next-cursor").is_none());
    let rows: Vec<Value> =
        rest.text().await.unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.iter().map(|row| row["rank"].as_u64().unwrap()).collect::<Vec<_>>(), [4, 5]);

    for (query, code) in [
        ("limit=0".to_owned(), "invalid_query"),
        ("format=xlsx".to_owned(), "invalid_query"),
        ("colour=red".to_owned(), "invalid_query"),
        (format!("action=stay_with_us&cursor={cursor}"), "invalid_cursor"),
        (format!("snapshot_id=hop_other&cursor={cursor}"), "invalid_cursor"),
        ("snapshot_id=hop_other".to_owned(), "unknown_snapshot"),
    ] {
        assert_eq!(world.get(&format!("/v1/hopper?{query}")).await.1["code"], code, "{query}");
    }
    // A list that is no longer kept leaves its cursors behind.
    let (base, _) = world.again(now().plus_days(hopper::KEEP_DAYS)).await;
    let request = world.client.get(format!("{base}/v1/hopper?cursor={cursor}"));
    let stale = request.header("x-api-key", key(&world.keys, Role::Crm)).send().await.unwrap();
    assert_eq!(
        (stale.status().as_u16(), stale.json::<Value>().await.unwrap()["code"].clone()),
        (404, json!("unknown_snapshot"))
    );
    let none = json!({ "decision_ids": [] });
    let (status, told) = world.post(&world.base, "/v1/hopper/x/claims", &none).await;
    assert_eq!((status.as_u16(), &told["path"]), (422, &json!("decision_ids")));
}

#[tokio::test]
async fn nobody_no_place_no_model_and_no_campaign() {
    // Nobody.
    let world = World::new(&policy(5, 2, 100)).await;
    let built = world.fill().await;
    assert_eq!((built.header.n_asked, built.header.n_listed, built.header.proven_share), (0, 0, 1.0));
    assert_eq!(world.get("/v1/hopper").await.1["contacts"], json!([]));
    // No place: everyone is asked, nobody listed.
    let world = World::new(&policy(0, 0, 100)).await;
    world.customers(4).await;
    let built = world.fill().await;
    assert_eq!((built.header.n_asked, built.header.n_listed), (4, 0));
    assert_eq!(built.header.campaigns[0].n_candidates, 4);
    assert!(world.held(now()).await.is_empty());
    // No model: the run fails by name, and the list stays.
    std::fs::remove_file(world.folder.path().join("artifacts/CURRENT")).unwrap();
    let (_, app) = world.again(now()).await;
    let error = hopper::run(&app, &|_| ()).await.unwrap_err();
    assert!(matches!(&error, HopperError::NoModel { action, .. } if action == "second_order"), "{error}");
    assert_eq!(world.clean().current_snapshot(Series::Hopper).await.unwrap(), Some(built.snapshot_id));
    // No campaign.
    let world = World::new("").await;
    assert!(matches!(hopper::run(&world.app, &|_| ()).await, Err(HopperError::NoCampaign)));
}
