//! One behaviour suite of the store, against every DynamoDB stand-in: the embedded server, MiniStack, DynamoDB Local.
//!
//! Each behaviour has a table of its own. Faults come from a proxy between store and stand-in.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![expect(clippy::print_stdout, reason = "which backend was held to what")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use nextbest_functions::store::{
    CALL_LIMIT, Change, Claim, Holder, LedgerKey, Listing, LogEntry, MAX_ITEM_BYTES, PriceBook, QuoteEntry,
    Redeemed, Series, Store, StoreError, StoredAnswer, StoredQuote, Subject, Versioned,
};
use nextbest_models::customer::{Applied, Customer, CustomerId};
use nextbest_models::event::{AttributeValue, Event};
use nextbest_models::feature::Schema;
use nextbest_models::lifecycle::{Cause, Stage, Transition};
use nextbest_models::pricing::Ledger;
use nextbest_models::units::Day;
use nextbest_tests::backend::{self, Backend};
use nextbest_tests::fault::{Fault, proxy, raw};
use nextbest_tests::fixture;
use nextbest_tests::fixture::{order, project};
use serde_json::{Value, json};

const WRITERS: u32 = 8;
const EVENTS_EACH: u32 = 25;
const N_LOADED: u32 = 1_000;

struct Bench {
    endpoint: String,
    store: Store,
    schema: Arc<Schema>,
}

impl Bench {
    async fn new(backend: &Backend, table: &str) -> Self {
        let store = Store::local(&backend.endpoint, table);
        store.create_table().await.expect("a table");
        Self { endpoint: backend.endpoint.clone(), store, schema: Arc::new(project().schema) }
    }

    /// The same table, through a proxy.
    async fn through(&self, plan: impl Fn(&str, usize) -> Fault + Send + Sync + 'static) -> Store {
        Store::local(&proxy(&self.endpoint, plan).await, self.store.table())
    }

    async fn fold(&self, store: &Store, event: &Event) -> (Applied, i64) {
        let subject = subject(event.customer_id.as_ref().unwrap().as_str());
        let fold = |customer: &mut Customer| {
            let answer = customer.apply(&self.schema, event).unwrap();
            (answer, answer != Applied::Duplicate)
        };
        let folded = store.fold(&subject, &self.schema, fixture::now(), fold).await.unwrap();
        (folded.answer, folded.version)
    }

    async fn get(&self, id: &str) -> Option<Customer> {
        let stored = self.store.customer(&subject(id), &self.schema).await.unwrap();
        stored.map(|stored| stored.customer)
    }

    fn offline<'a>(&self, id: &str, events: impl IntoIterator<Item = &'a Event>) -> Customer {
        let mut customer = Customer::new(CustomerId::new(id).unwrap(), &self.schema);
        for event in events {
            customer.apply(&self.schema, event).unwrap();
        }
        customer
    }
}

fn subject(id: &str) -> Subject {
    Subject::Customer(CustomerId::new(id).unwrap())
}

async fn suite(name: &str, backend: &Backend) {
    let bench = |table: &'static str| Bench::new(backend, table);
    versions_count_writes(bench("versions").await).await;
    println!("{name}: versions count writes, duplicates write nothing");
    races_lose_nothing(bench("races").await).await;
    println!("{name}: {WRITERS} writers of one customer lose nothing");
    a_lost_answer_is_recognised(bench("lost").await).await;
    println!("{name}: a write whose answer was lost counts once");
    a_bulk_load_gets_all_in(bench("bulk").await).await;
    println!("{name}: {N_LOADED} customers loaded through unprocessed items and throttles");
    a_batch_that_stays_unprocessed_is_named(bench("stuck").await).await;
    println!("{name}: a batch that stays unprocessed is named");
    long_answers_are_paged(bench("paging").await).await;
    println!("{name}: more than a megabyte of outcomes is paged through");
    expired_items_are_hidden(bench("expiry").await).await;
    println!("{name}: TTL is on, and expired items are hidden");
    a_quote_is_kept_with_what_it_changes_or_not_at_all(bench("quotes").await).await;
    println!("{name}: a quote is kept with what it changes, or not at all");
    of_many_redemptions_one_holds(bench("redemptions").await).await;
    println!("{name}: of 64 redemptions one holds, and the others are told");
    orders_are_counted_where_they_stand(bench("orders").await).await;
    println!("{name}: orders are counted where they stand");
    bytes_survive(bench("bytes").await).await;
    println!("{name}: binary state survives, items that are too large are refused");
    one_claim_wins(bench("claims").await).await;
    println!("{name}: of {WRITERS} claims one wins");
    a_torn_snapshot_is_never_seen(bench("snapshots").await).await;
    println!("{name}: a torn snapshot is never seen");
    changes_of_stage_are_logged_once(bench("stages").await).await;
    println!("{name}: changes of stage are logged once, in order");
    a_missing_table_is_named(backend).await;
    println!("{name}: a missing table is named");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_server_keeps_the_promises() {
    suite("embedded", &backend::embedded()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ministack_keeps_the_promises() {
    match backend::ministack() {
        Some(backend) => suite("MiniStack", &backend).await,
        None => println!("skipped: MiniStack is not installed; scripts/python-tools.sh installs it"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dynamodb_local_keeps_the_promises() {
    match backend::dynamodb_local() {
        Some(backend) => suite("DynamoDB Local", &backend).await,
        None => println!("skipped: DynamoDB Local needs Java 17, Maven and Maven Central"),
    }
}

async fn versions_count_writes(bench: Bench) {
    let (first, second) = (order("c", 1, 3, 500), order("c", 2, 2, 700));
    assert_eq!(bench.get("c").await, None);
    assert_eq!(bench.fold(&bench.store, &first).await, (Applied::Accepted, 1));
    assert_eq!(bench.fold(&bench.store, &second).await, (Applied::Accepted, 2));
    assert_eq!(bench.fold(&bench.store, &first).await, (Applied::Duplicate, 2));
    assert_eq!(bench.get("c").await.unwrap(), bench.offline("c", [&first, &second]));
    // A visitor of the same id is somebody else.
    let visitor = Subject::Visitor(CustomerId::new("c").unwrap());
    assert_eq!(bench.store.customer(&visitor, &bench.schema).await.unwrap(), None);
}

async fn races_lose_nothing(bench: Bench) {
    let bench = Arc::new(bench);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let bench = bench.clone();
        writers.spawn(async move {
            for n in 0..EVENTS_EACH {
                let event = order("c", writer * EVENTS_EACH + n, 1, i64::from(n));
                let (answer, _) = bench.fold(&bench.store, &event).await;
                assert_ne!(answer, Applied::Duplicate);
            }
        });
    }
    writers.join_all().await;
    let all: Vec<Event> =
        (0..WRITERS * EVENTS_EACH).map(|n| order("c", n, 1, i64::from(n % EVENTS_EACH))).collect();
    let stored = bench.store.customer(&subject("c"), &bench.schema).await.unwrap().unwrap();
    assert_eq!(stored.version, i64::from(WRITERS * EVENTS_EACH));
    assert_eq!(stored.customer, bench.offline("c", &all));
}

async fn a_lost_answer_is_recognised(bench: Bench) {
    // The first PutItem is done and its answer lost: the SDK sends it again and meets its own write.
    let lost = std::sync::atomic::AtomicBool::new(false);
    let store = bench
        .through(move |operation, _| {
            let first = operation == "PutItem" && !lost.swap(true, std::sync::atomic::Ordering::SeqCst);
            if first { Fault::LoseAnswer } else { Fault::None }
        })
        .await;
    let event = order("c", 1, 1, 500);
    assert_eq!(bench.fold(&store, &event).await, (Applied::Accepted, 1));
    assert_eq!(bench.get("c").await.unwrap().n_events(), 1);
}

async fn a_bulk_load_gets_all_in(bench: Bench) {
    let customers: Vec<Customer> = (0..N_LOADED)
        .map(|n| {
            let id = format!("c{n}");
            bench.offline(&id, [&order(&id, 1, 10, 500), &order(&id, 2, 5, 600)])
        })
        .collect();
    let store = bench
        .through(|operation, call| match (operation, call % 4) {
            ("BatchWriteItem", 0) => Fault::Unprocessed { n_written: 10 },
            ("BatchWriteItem", 1) => Fault::Throttle,
            ("BatchWriteItem", 2) => Fault::Unprocessed { n_written: 0 },
            _ => Fault::None,
        })
        .await;
    let loaded = store.load_customers(&bench.schema, &customers).await.unwrap();
    assert_eq!(loaded.n_items, customers.len());
    assert!(loaded.n_resent > 0);

    let mut seen = BTreeSet::new();
    for segment in 0..3 {
        let mut scan = bench.store.scan_customers(segment, 3);
        while let Some(page) = scan.next(&bench.schema).await.unwrap() {
            for stored in page {
                assert_eq!(stored.version, 1);
                assert!(customers.contains(&stored.customer));
                assert!(seen.insert(stored.customer.id().clone()), "seen once");
            }
        }
    }
    assert_eq!(seen.len(), customers.len());
}

async fn a_batch_that_stays_unprocessed_is_named(bench: Bench) {
    let store = bench
        .through(|operation, _| match operation {
            "BatchWriteItem" => Fault::Unprocessed { n_written: 0 },
            _ => Fault::None,
        })
        .await;
    let customers = [bench.offline("a", []), bench.offline("b", [])];
    let error = store.load_customers(&bench.schema, &customers).await.unwrap_err();
    assert!(matches!(error, StoreError::Unprocessed { n_items: 2, .. }), "{error}");
}

async fn long_answers_are_paged(bench: Bench) {
    let document = json!({ "answer": "offer", "priority": 0.1 + 0.2 });
    let text = document.to_string();
    let entry = LogEntry {
        decision_id: "dec_1",
        customer_id: "c",
        document: &text,
        expires_at_seconds: i64::MAX / 1000,
    };
    bench.store.log_decision(&entry).await.unwrap();
    // 64 texts of 256 bytes each, 100 times: more than the megabyte one page holds.
    let attributes = (0..64).map(|n| (format!("a{n}"), AttributeValue::Text("x".repeat(256))));
    let attributes: BTreeMap<_, _> = attributes.collect();
    let outcomes: Vec<Event> = (0..100)
        .map(|n| Event {
            decision_id: Some("dec_1".into()),
            attributes: attributes.clone(),
            ..order("c", n, 1, 1)
        })
        .collect();
    for _ in 0..2 {
        bench.store.attach_outcomes(&outcomes, i64::MAX / 1000).await.unwrap();
    }
    let logged = bench.store.decision("dec_1", 0).await.unwrap().unwrap();
    assert_eq!(logged.document, document);
    assert_eq!(logged.outcomes.len(), outcomes.len());
    assert_eq!(bench.store.decision("dec_2", 0).await.unwrap(), None);
}

async fn expired_items_are_hidden(bench: Bench) {
    let table = bench.store.table();
    let ttl = raw(&bench.endpoint, "DescribeTimeToLive", &json!({ "TableName": table })).await;
    assert_eq!(ttl["TimeToLiveDescription"]["AttributeName"], "ttl", "{ttl}");
    assert!(ttl["TimeToLiveDescription"]["TimeToLiveStatus"].as_str().unwrap().starts_with("ENABL"));

    // Far in the future for the stand-in, which sweeps by its own clock.
    let expires = 4_000_000_000;
    let document = json!({ "price": 999 });
    bench.store.put_quote(&quote("q", &document, expires)).await.unwrap();
    let kept = StoredQuote { document, redemption: None };
    assert_eq!(bench.store.quote("q", expires - 1).await.unwrap(), Some(kept));
    assert_eq!(bench.store.quote("q", expires).await.unwrap(), None);
    let key = json!({ "TableName": table, "Key": { "pk": { "S": "quote#q" }, "sk": { "S": "quote" } } });
    let item = raw(&bench.endpoint, "GetItem", &key).await["Item"].clone();
    assert_eq!(item["ttl"], json!({ "N": "4000000000" }));
    assert_eq!(item["format"], json!({ "N": "1" }));
}

const fn quote<'a>(quote_id: &'a str, document: &'a Value, expires_at_seconds: i64) -> QuoteEntry<'a> {
    QuoteEntry { quote_id, document, expires_at_seconds }
}

async fn a_quote_is_kept_with_what_it_changes_or_not_at_all(bench: Bench) {
    let (store, expires) = (&bench.store, 4_000_000_000);
    let key = |sku: &str| LedgerKey { sku: sku.into(), market: "GB".into(), channel: "web".into() };
    let holder = Holder::Customer("c".into());
    let read = async || -> PriceBook<Vec<String>> {
        store.price_book([key("A"), key("B")], Some(&holder), None).await.unwrap()
    };
    let book = read().await;
    assert!(book.ledgers.values().all(|ledger| ledger.version == 0) && book.locks.version == 0);
    let mut ledger = Ledger::default();
    ledger.show(999, fixture::now());
    let changes = |before: i64| {
        let promised = vec!["q1".to_owned()];
        [
            Change::of_ledger(&key("A"), &ledger, before).unwrap(),
            Change::of_locks(&holder, &promised, before, expires).unwrap(),
        ]
    };
    let document = json!({ "price": 999 });
    assert!(store.keep_quote(&quote("q1", &document, expires), &changes(0)).await.unwrap());
    // Another who read the same before: nothing of theirs is written.
    assert!(!store.keep_quote(&quote("q2", &document, expires), &changes(0)).await.unwrap());
    assert_eq!(store.quote("q2", 0).await.unwrap(), None);
    let book = read().await;
    assert_eq!(book.ledgers[&key("A")], Versioned { value: ledger.clone(), version: 1 });
    assert_eq!((book.ledgers[&key("B")].version, book.locks.value), (0, vec!["q1".to_owned()]));
    assert!(store.keep_quote(&quote("q2", &document, expires), &changes(1)).await.unwrap());
}

async fn of_many_redemptions_one_holds(bench: Bench) {
    let (store, document) = (bench.store.clone(), json!({ "price": 999 }));
    store.put_quote(&quote("q", &document, 4_000_000_000)).await.unwrap();
    let mut running = tokio::task::JoinSet::new();
    for order in 0..64 {
        let store = store.clone();
        running.spawn(async move { (order, store.redeem("q", &json!({ "order": order })).await.unwrap()) });
    }
    let answers = running.join_all().await;
    let won: Vec<i32> =
        answers.iter().filter(|(_, answer)| *answer == Redeemed::Now).map(|(order, _)| *order).collect();
    assert_eq!(won.len(), 1);
    let before = Redeemed::Before(json!({ "order": won[0] }));
    assert_eq!(
        answers.iter().filter(|(_, answer)| *answer == before).count(),
        63,
        "the others are told who won"
    );
    assert_eq!(store.quote("q", 0).await.unwrap().unwrap().redemption, Some(json!({ "order": won[0] })));
    assert_eq!(store.redeem("none", &json!({})).await.unwrap(), Redeemed::Gone);
}

async fn orders_are_counted_where_they_stand(bench: Bench) {
    let mut running = tokio::task::JoinSet::new();
    for hour in 0..24 {
        let store = bench.store.clone();
        let units =
            BTreeMap::from([(("A".to_owned(), 490_000 + hour % 3), 2), (("B".to_owned(), 490_000), 1)]);
        running.spawn(async move { store.count_orders(&units).await.unwrap() });
    }
    running.join_all().await;
    let counted = bench.store.orders("A", 490_000, 490_001).await.unwrap();
    assert_eq!(counted, [(490_000, 16), (490_001, 16)]);
    assert_eq!(bench.store.orders("B", 480_000, 499_999).await.unwrap(), [(490_000, 24)]);
    assert_eq!(bench.store.orders("A", 490_003, 499_999).await.unwrap(), []);
}

async fn bytes_survive(bench: Bench) {
    let events: Vec<Event> = (0..300).map(|n| order("c", n, 300 - n as i32, i64::from(n) * 7)).collect();
    let customer = bench.offline("c", &events);
    bench.store.load_customers(&bench.schema, [&customer]).await.unwrap();
    let stored = bench.get("c").await.unwrap();
    assert_eq!(stored.to_bytes(), customer.to_bytes());
    assert_eq!(stored, customer);

    let large = json!("x".repeat(MAX_ITEM_BYTES));
    let error = bench.store.put_quote(&quote("q", &large, 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { bound: MAX_ITEM_BYTES, .. }), "{error}");
    // One that just fits passes: our size is not above the store's own.
    let large = json!("x".repeat(MAX_ITEM_BYTES - 200));
    bench.store.put_quote(&quote("q", &large, i64::MAX / 1000)).await.unwrap();
    assert_eq!(bench.store.quote("q", 0).await.unwrap().unwrap().document, large);
}

async fn one_claim_wins(bench: Bench) {
    let store = &bench.store;
    let now = 4_000_000_000;
    let mut claims = tokio::task::JoinSet::new();
    for n in 0..WRITERS {
        let store = store.clone();
        claims.spawn(async move { store.claim_answer("key", "body", &format!("t{n}"), now).await.unwrap() });
    }
    let claims = claims.join_all().await;
    let ours: Vec<&String> = claims
        .iter()
        .filter_map(|claim| if let Claim::Ours(token) = claim { Some(token) } else { None })
        .collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(claims.iter().filter(|claim| **claim == Claim::InProgress).count(), WRITERS as usize - 1);

    let answer = StoredAnswer { status: 200, body: "{\"a\":1}".into() };
    store.keep_answer("key", "body", "stranger", &answer, now).await.unwrap();
    assert_eq!(store.claim_answer("key", "body", "x", now).await.unwrap(), Claim::InProgress);
    store.keep_answer("key", "body", ours[0], &answer, now).await.unwrap();
    assert_eq!(store.claim_answer("key", "body", "x", now).await.unwrap(), Claim::Answered(answer));
    assert_eq!(store.claim_answer("key", "other", "x", now).await.unwrap(), Claim::OtherBody);

    assert_eq!(store.claim_answer("dead", "body", "t", now).await.unwrap(), Claim::Ours("t".into()));
    let later = now + 61;
    assert_eq!(store.claim_answer("dead", "body", "u", later).await.unwrap(), Claim::Ours("u".into()));
    store.release_answer("dead", "u").await.unwrap();
    assert_eq!(store.claim_answer("dead", "other", "v", later).await.unwrap(), Claim::Ours("v".into()));
}

async fn a_torn_snapshot_is_never_seen(bench: Bench) {
    let rows: Vec<u32> = (0..250).collect();
    let expires = 4_000_000_000;
    assert_eq!(bench.store.current_snapshot(Series::AtRisk).await.unwrap(), None);
    let of = |snapshot_id, order| Listing { series: Series::AtRisk, snapshot_id, order };
    // Two orders of one snapshot, one of them in two goes.
    assert_eq!(bench.store.put_pages(of("one", "up"), 0, &rows, expires).await.unwrap(), 5);
    let down: Vec<u32> = rows.iter().rev().copied().collect();
    assert_eq!(bench.store.put_pages(of("one", "down"), 0, &down[..200], expires).await.unwrap(), 4);
    assert_eq!(bench.store.put_pages(of("one", "down"), 4, &down[200..], expires).await.unwrap(), 1);
    assert_eq!(bench.store.current_snapshot(Series::AtRisk).await.unwrap(), None, "not before it is whole");
    bench.store.publish_snapshot(Series::AtRisk, "one", &"header", expires).await.unwrap();
    let failing = bench
        .through(
            |operation, call| {
                if operation == "BatchWriteItem" && call > 0 { Fault::Fail } else { Fault::None }
            },
        )
        .await;
    let many: Vec<u32> = (0..20_000).collect();
    let error = failing.put_pages(of("two", "up"), 0, &many, expires).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert_eq!(bench.store.current_snapshot(Series::AtRisk).await.unwrap().as_deref(), Some("one"));

    for (order, expected) in [("up", &rows), ("down", &down)] {
        let mut read = Vec::new();
        for page in 0.. {
            match bench.store.snapshot_page::<u32>(of("one", order), page).await.unwrap() {
                Some(rows) => read.extend(rows),
                None => break,
            }
        }
        assert_eq!(read, *expected, "{order}");
    }
    let header: Option<String> =
        bench.store.snapshot_header(Series::AtRisk, "one", expires - 1).await.unwrap();
    assert_eq!(header.as_deref(), Some("header"));
    assert_eq!(bench.store.snapshot_header::<String>(Series::AtRisk, "one", expires).await.unwrap(), None);
}

async fn changes_of_stage_are_logged_once(bench: Bench) {
    let day = |number: i32| Day::from_number(20_000 + number);
    let change = |number: i32, from: Option<Stage>, to: Stage, cause: Cause| {
        (CustomerId::new("c").unwrap(), Transition { day: day(number), from, to, cause })
    };
    let changes = [
        change(0, None, Stage::New, Cause::QualifyingEvent),
        change(61, Some(Stage::New), Stage::AtRisk, Cause::Silence),
        change(61, Some(Stage::AtRisk), Stage::Activating, Cause::Returned),
    ];
    let now = day(70).start().as_millis() / 1000;
    for _ in 0..2 {
        bench.store.put_transitions(&changes, now + 1).await.unwrap();
    }
    let id = CustomerId::new("c").unwrap();
    let logged = bench.store.stage_changes(&id, now).await.unwrap();
    let told: BTreeSet<_> =
        logged.iter().map(|event| (event.occurred_at, event.text("to").unwrap())).collect();
    let expected = changes.iter().map(|(_, change)| (change.day.start(), change.to.as_str()));
    assert_eq!((logged.len(), told), (3, expected.collect()));
    assert_eq!((logged[0].text("from"), logged[0].text("cause")), (None, Some("qualifying_event")));
    assert!(logged.is_sorted_by_key(|event| event.occurred_at));
    // They are no customer.
    assert_eq!(bench.get("c").await, None);
    let page = bench.store.scan_customers(0, 1).next(&bench.schema).await.unwrap().unwrap();
    assert!(page.is_empty());
    assert!(bench.store.stage_changes(&id, now + 1).await.unwrap().is_empty(), "their time is over");
}

async fn a_missing_table_is_named(backend: &Backend) {
    let store = Store::local(&backend.endpoint, "never_made");
    let schema = project().schema;
    let error = store.customer(&subject("c"), &schema).await.unwrap_err();
    assert!(matches!(&error, StoreError::NoTable { table } if table == "never_made"), "{error}");
}

#[tokio::test]
async fn a_store_that_is_away_or_silent_is_named_in_bounded_time() {
    let away = format!("http://127.0.0.1:{}", backend::free_port());
    // Takes connections and never says a word.
    let silent = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let silent_at = format!("http://{}", silent.local_addr().unwrap());
    for endpoint in [away, silent_at] {
        let store = Store::local(&endpoint, "nextbest");
        let schema = project().schema;
        let subject = subject("c");
        let call = store.customer(&subject, &schema);
        // One second beyond the limit for a machine under load.
        let ended = tokio::time::timeout(CALL_LIMIT + std::time::Duration::from_secs(1), call).await;
        let error = ended.expect("bounded").unwrap_err();
        assert!(matches!(&error, StoreError::Unreachable { operation: "GetItem", .. }), "{error}");
        assert!(error.is_transient());
    }
}
