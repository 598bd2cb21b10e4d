//! The at-risk list: how many customers a core scores in a second, and what a page costs at any length of the list.
//!
//! `at_risk --bench NEXTBEST FOLDER [N...]` makes a shop in FOLDER with NEXTBEST, scores its customers in process, lays N
//! generated customers out in every order, asks for pages of lists as long, and for the console's page of the last. Prints a
//! section in Markdown.
#![expect(clippy::print_stdout, reason = "the section is the product of a benchmark")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it cannot measure")]
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use nextbest_functions::app::App;
use nextbest_functions::clock::Clock;
use nextbest_functions::keys::Role;
use nextbest_functions::local;
use nextbest_functions::snapshot::{self, AtRisk, Cutoff, Header, Order, Population, curve_of};
use nextbest_functions::store::{Listing, Series, Store, StoredCustomer};
use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::units::Timestamp;
use nextbest_tests::embedded::Embedded;
use nextbest_tests::fixture;
use nextbest_training::cutoff::fold;
use nextbest_training::event_log::EventLog;

const N_CLIENTS: usize = 8;
const N_PAGES: usize = 400;
const N_ROUNDS: usize = 5;
const N_RENDERED: usize = 50;
/// The targets.
const MIN_A_SECOND: f64 = 200_000.0;
const MAX_P99_MS: f64 = 10.0;
const MAX_PAGE_BYTES: usize = 100_000;
const MAX_PAGE_MS: f64 = 100.0;
/// From so many on, memory is not to grow.
const FLAT_FROM: usize = 100_000;
const EXPIRES: i64 = 4_000_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [nextbest, folder, lengths @ ..] = arguments.as_slice() else {
        // `cargo test --benches` only wants to know that this compiles.
        return;
    };
    if let ("--lay-out", [length]) = (nextbest.as_str(), lengths) {
        return lay_out(Path::new(folder), length.parse().unwrap());
    }
    let lengths: Vec<usize> = lengths.iter().map(|length| length.parse().unwrap()).collect();
    let shop = Path::new(folder).join("shop");
    if !shop.exists() {
        run(Command::new(nextbest).arg("init").arg(&shop));
        run(Command::new(nextbest).args(["demo", "--once", "--port", "0", "--project"]).arg(&shop));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    println!("## The at-risk list\n");
    let (customers, as_of) = states(&shop);
    let store = Embedded::start(&Path::new(folder).join("bench.sqlite"), None).unwrap();
    let table = Store::local(store.endpoint(), "bench");
    // A table of an earlier run is as good.
    let _there = runtime.block_on(table.create_table());
    let (app, key) = app(&shop, &table, as_of);
    scoring(&app, &customers);
    let rows: Vec<AtRisk> =
        customers.iter().filter_map(|state| snapshot::score(&app, &stored(&app, state))).take(1000).collect();
    let lengths: &[usize] = if lengths.is_empty() { &[10_000, 1_000_000] } else { &lengths };
    laid_out(Path::new(folder), &rows, lengths);
    let base = runtime.block_on(serve(&app));
    pages(&runtime, (&base, &key), &table, &rows, lengths);
    runtime.block_on(console(&base, &key));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The states of the shop's customers as they are stored, at the end of its log.
fn states(shop: &Path) -> (Vec<Vec<u8>>, Timestamp) {
    let project =
        nextbest_models::project::Project::read(|file| std::fs::read_to_string(shop.join(file))).unwrap();
    let log = EventLog::open(shop.join("data/events")).unwrap();
    let as_of = log.manifest().total.last_known_at.unwrap().day().plus(1).start();
    let mut states = Vec::new();
    for bucket in 0..log.n_buckets() {
        for group in log.customers(bucket).unwrap() {
            let (id, events) = group.unwrap();
            states.push(fold(&project.schema, &id, &events, as_of).0.to_bytes());
        }
    }
    (states, as_of)
}

/// The service, and the key of who pulls the list.
fn app(shop: &Path, store: &Store, now: Timestamp) -> (App, String) {
    let (config, keys) = fixture::config(shop, store);
    let app = App::open(&config, store.clone(), Clock::fixed(now)).unwrap();
    (app, fixture::key(&keys, Role::Retention).to_owned())
}

fn stored(app: &App, state: &[u8]) -> StoredCustomer {
    let customer = Customer::from_bytes(state, &app.project.schema).unwrap();
    StoredCustomer { customer, version: 1, reservations: Vec::new() }
}

/// Customers a second on one core, from stored bytes to rows; beside it, in turns, how many come as far as their state and their
/// features, without a score.
fn scoring(app: &App, customers: &[Vec<u8>]) {
    let now = app.clock.now();
    let features = |state: &Vec<u8>| {
        let stored = stored(app, state);
        black_box(app.project.schema.features(&stored.customer, now));
    };
    let mut rates = [const { Vec::new() }; 3];
    let mut n_rows = 0;
    for _ in 0..N_ROUNDS {
        rates[0].push(rate(customers, |state| drop(black_box(stored(app, state)))));
        rates[1].push(rate(customers, features));
        n_rows = 0;
        rates[2].push(rate(customers, |state| {
            n_rows += usize::from(snapshot::score(app, &stored(app, state)).is_some());
        }));
    }
    let [decoded, featured, scored] = rates.map(median);
    println!(
        "Scoring on one core, from stored bytes to rows with churn and its reasons, lifetime value, uplift, and what the policy \
         would offer: {scored:.0} customers a second ({} customers, {n_rows} of them active, {} bytes each). Target at least \
         {MIN_A_SECOND:.0}: {}. {decoded:.0} a second are decoded and no more, {featured:.0} decoded with their features.\n",
        customers.len(),
        customers.iter().map(Vec::len).sum::<usize>() / customers.len(),
        verdict(scored >= MIN_A_SECOND),
    );
}

/// Customers a second.
fn rate(customers: &[Vec<u8>], each: impl FnMut(&Vec<u8>)) -> f64 {
    let begun = Instant::now();
    customers.iter().for_each(each);
    customers.len() as f64 / begun.elapsed().as_secs_f64()
}

/// What it takes to bring rows into all orders, each length in a process of its own.
fn laid_out(folder: &Path, rows: &[AtRisk], lengths: &[usize]) {
    let file = folder.join("rows.json");
    std::fs::write(&file, serde_json::to_vec(rows).unwrap()).unwrap();
    println!("| customers laid out in five orders | most memory, MB | customers a second |\n|---|---|---|");
    let mut most = Vec::new();
    for &length in lengths {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let told = command.arg("--lay-out").arg(&file).arg(length.to_string()).output().unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        let (memory, rate) = told.trim().split_once(' ').unwrap();
        println!("| {length} | {memory} | {rate} |");
        if length >= FLAT_FROM {
            most.push(memory.parse::<f64>().unwrap());
        }
    }
    println!();
    if let [first, .., last] = most.as_slice() {
        println!("Memory from {FLAT_FROM} to the longest: {:.2} times. Target: flat.\n", last / first);
    }
}

/// Lays `length` rows out, and tells the process's most resident memory in MB, and rows a second.
fn lay_out(file: &Path, length: usize) {
    let rows: Vec<AtRisk> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let begun = Instant::now();
    let mut laid = snapshot::Rows::new(Order::ALL);
    for at in 0..length {
        let row = &rows[at % rows.len()];
        // Spread over the whole order, as customers are.
        let moved = (at.wrapping_mul(0x9E37_79B9) % 1_000_003) as i64 - 500_000;
        laid.push(AtRisk {
            customer_id: CustomerId::new(format!("C{at:08}")).unwrap(),
            churn_probability: (row.churn_probability + moved as f64 * 1e-9).clamp(0.0, 1.0),
            value_at_risk_minor: row.value_at_risk_minor + moved,
            ..row.clone()
        })
        .unwrap();
    }
    let mut n_read = 0;
    for listed in laid.in_order() {
        let (_, mut rows) = listed.unwrap();
        loop {
            let page = rows.take(2500).unwrap();
            n_read += page.len();
            if page.is_empty() {
                break;
            }
        }
        assert_eq!(rows.curve().last().unwrap().n_customers, length);
    }
    assert_eq!(n_read % length, 0);
    let rate = length as f64 / begun.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kb: f64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("{:.0} {rate:.0}", kb / 1024.0);
}

/// Pages of 50 by 8 clients at a time, of lists of generated customers.
fn pages(
    runtime: &tokio::runtime::Runtime,
    (base, key): (&str, &str),
    table: &Store,
    rows: &[AtRisk],
    lengths: &[usize],
) {
    println!("| customers in the list | p50, ms | p99, ms |\n|---|---|---|");
    let mut worst: f64 = 0.0;
    let ids: Vec<String> = lengths.iter().map(|length| format!("bench-{length}")).collect();
    ids.iter().zip(lengths).for_each(|(id, length)| runtime.block_on(generate(table, id, rows, *length)));
    // In turns, behind a round that warms the service up.
    let round = |_| ids.iter().map(|id| runtime.block_on(ask(base, key, id))).collect::<Vec<_>>();
    let asked: Vec<Vec<(f64, f64)>> = (0..=N_ROUNDS).map(round).skip(1).collect();
    for (at, length) in lengths.iter().enumerate() {
        let p50 = median(asked.iter().map(|round| round[at].0).collect());
        let p99 = median(asked.iter().map(|round| round[at].1).collect());
        worst = worst.max(p99);
        println!("| {length} | {p50:.2} | {p99:.2} |");
    }
    println!(
        "\n{N_CLIENTS} clients on two cores with the service and the embedded store, {N_PAGES} pages of 50 each, one after \
         the other; medians of {N_ROUNDS} rounds in turns. Target p99 at most {MAX_P99_MS} ms: {}.",
        verdict(worst <= MAX_P99_MS)
    );
}

async fn generate(table: &Store, id: &str, rows: &[AtRisk], length: usize) {
    if table.snapshot_header::<Header>(Series::AtRisk, id, 0).await.unwrap().is_some() {
        return;
    }
    let order = Order::ValueAtRisk;
    let listing = |order| Listing { series: Series::AtRisk, snapshot_id: id, order };
    let mut page = 0;
    let mut batch = Vec::new();
    for at in 0..length {
        let customer_id = CustomerId::new(format!("C{at:08}")).unwrap();
        batch.push(AtRisk { customer_id, ..rows[at % rows.len()].clone() });
        if batch.len() == 5000 || at + 1 == length {
            page += table.put_pages(listing(order.as_str()), page, &batch, EXPIRES).await.unwrap();
            batch.clear();
        }
    }
    let curve: Vec<Cutoff> =
        (1..=100).map(|k| Cutoff { n_customers: length * k / 100, ..Cutoff::default() }).collect();
    table.put_page(listing(curve_of(order)), &curve, EXPIRES).await.unwrap();
    let population =
        Population { definition: "generated".into(), n_known: length, n_active: length, n_held_out: 0 };
    let header = Header {
        as_of: Timestamp::MIN,
        churn_definition: None,
        population,
        orders: vec![order],
        quality: std::collections::BTreeMap::new(),
        interval_level: None,
        artifact_sha256: String::new(),
    };
    table.publish_snapshot(Series::AtRisk, id, &header, EXPIRES).await.unwrap();
}

/// The console's first page of the newest list, as a browser that has nothing yet gets it, with what it brings along.
async fn console(base: &str, key: &str) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let form = client
        .post(format!("{base}/console/sign-in"))
        .header("origin", base)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("key={key}&next=/console/at-risk"));
    let signed_in = form.send().await.unwrap();
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    // As browsers ask; the client unpacks nothing, so that what is counted is what was sent.
    let get = async |path: &str| {
        let asked = Instant::now();
        let request = client.get(format!("{base}{path}")).header("cookie", &cookie);
        let answer = request.header("accept-encoding", "gzip").send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let bytes = answer.bytes().await.unwrap();
        (bytes, asked.elapsed().as_secs_f64() * 1e3)
    };
    let (page, first_ms) = get("/console/at-risk").await;
    let (css, script) =
        (get("/console/assets/console.css").await.0, get("/console/assets/htmx.min.js").await.0);
    let mut times = Vec::new();
    for _ in 0..N_RENDERED {
        times.push(get("/console/at-risk").await.1);
    }
    let again_ms = median(times);
    let n_bytes = page.len() + css.len() + script.len();
    println!(
        "\nThe console's first page of the longest list: {:.0} kB (page {:.0}, style {:.0}, script {:.0}), answered in \
         {first_ms:.1} ms at first and {again_ms:.1} ms after. Target under {} kB and {MAX_PAGE_MS} ms: {}.",
        n_bytes as f64 / 1e3,
        page.len() as f64 / 1e3,
        css.len() as f64 / 1e3,
        script.len() as f64 / 1e3,
        MAX_PAGE_BYTES / 1000,
        verdict(n_bytes < MAX_PAGE_BYTES && first_ms < MAX_PAGE_MS),
    );
}

/// Serves `app` on loopback; where.
async fn serve(app: &App) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = local::router(app.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

/// What a client looks at.
#[derive(serde::Deserialize)]
struct Asked<'a> {
    customers: Vec<serde::de::IgnoredAny>,
    next_cursor: Option<&'a str>,
}

/// Median and 99th percentile, in milliseconds.
async fn ask(base: &str, key: &str, id: &str) -> (f64, f64) {
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..N_CLIENTS {
        let (first, key) = (format!("{base}/v1/at-risk?limit=50&snapshot_id={id}"), key.to_owned());
        clients.spawn(async move {
            let http = reqwest::Client::new();
            let (mut latencies, mut url) = (Vec::new(), first.clone());
            for _ in 0..N_PAGES {
                let asked = Instant::now();
                let answer = http.get(&url).header("x-api-key", &key).send().await.unwrap();
                let bytes = answer.bytes().await.unwrap();
                latencies.push(asked.elapsed().as_secs_f64() * 1e3);
                // What clients do with a page is not what it costs; and they are on the same cores.
                let answer: Asked<'_> = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(answer.customers.len(), 50);
                url = match answer.next_cursor {
                    Some(cursor) => format!("{first}&cursor={cursor}"),
                    None => first.clone(),
                };
            }
            latencies
        });
    }
    let mut latencies = clients.join_all().await.concat();
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    (at(0.5), at(0.99))
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "not met" }
}
