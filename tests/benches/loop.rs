//! What the loop costs: replay, deciding, opening the artifact, HTTP through the embedded store, cold starts, packages.
//!
//! `make bench` packs the functions as they are shipped, runs this and prints one table. Absolute times are this
//! machine's; what is compared (one client and eight, plain and TLS) is measured interleaved in one run.
#![expect(clippy::print_stdout, reason = "the table is the product of a benchmark")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it cannot measure")]
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nextbest_functions::app::App;
use nextbest_functions::clock::Clock;
use nextbest_functions::keys::Role;
use nextbest_functions::local;
use nextbest_functions::store::Store;
use nextbest_models::artifact::Artifact;
use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::event::Event;
use nextbest_models::policy::{Question, Situation, decide};
use nextbest_models::project::{FILES, Project};
use nextbest_models::units::{Seed, Timestamp};
use nextbest_tests::runtime::{Lambda, gateway_request};
use nextbest_tests::{backend, fixture};
use nextbest_training::event_log::EventLog;
use nextbest_training::import::{Options, Rules, import};
use nextbest_training::{cutoff, seal, simulate, train};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const N_CUSTOMERS: u64 = 5_000;
const N_DAYS: i32 = 365;
const SEED: Seed = Seed(11);
const N_OPENS: usize = 200;
const N_REQUESTS: usize = 2_000;
const N_COLD_STARTS: usize = 21;

/// A trained shop in a folder of its own.
struct Shop {
    folder: tempfile::TempDir,
    project: Project,
    customers: Vec<(CustomerId, Vec<Event>)>,
    end: Timestamp,
}

fn main() {
    // `cargo test --benches` only wants to know that this compiles.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let shop = Shop::new();
    println!("simulated shop: {N_CUSTOMERS} customers, {N_DAYS} days, seed {}", SEED.0);
    let states = replay(&shop);
    let artifact = open_artifact(&shop);
    decisions(&shop, &states, &artifact);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let backend = backend::embedded();
        let store = Store::local(&backend.endpoint, "nextbest");
        store.create_table().await.unwrap();
        store.load_customers(&shop.project.schema, &states).await.unwrap();
        http(&shop, &store).await;
        cold_starts(&shop, &backend.endpoint).await;
    });
    packages();
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let example = root().join("examples/shop");
        for file in FILES {
            std::fs::copy(example.join(file), folder.path().join(file)).unwrap();
        }
        let project = Project::read(|file| std::fs::read_to_string(example.join(file))).unwrap();
        let start = simulate::DEFAULT_START.parse().unwrap();
        let options = simulate::Options::new(N_CUSTOMERS, N_DAYS, SEED, start).unwrap();
        let out = folder.path().join("simulated");
        simulate::write(&options, project.settings.currency, &out, true, &|_| ()).unwrap();
        let rules = Rules::from(&project.settings);
        let files = [out.join("events.parquet")];
        let events = folder.path().join("events");
        import(rules, &files, &events, &Options::default(), &|_| ControlFlow::Continue(())).unwrap();
        let log = EventLog::open(&events).unwrap();
        let trained = train::train(&project, &log, None, &|| ()).unwrap();
        seal::write(&folder.path().join("artifacts"), &trained).unwrap();
        let end = trained.report.trained_through;
        let customers = (0..log.n_buckets()).flat_map(|bucket| log.customers(bucket).unwrap());
        Self { customers: customers.map(Result::unwrap).collect(), folder, project, end }
    }

    fn artifact(&self) -> PathBuf {
        let artifacts = self.folder.path().join("artifacts");
        let current = std::fs::read_to_string(artifacts.join(seal::CURRENT)).unwrap();
        artifacts.join(current.trim())
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn row(what: &str, figures: &str) {
    println!("{what:<52} {figures}");
}

/// The `share` quantile of `times`, in the order statistics' nearest rank.
fn quantile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    let rank = (share * times.len() as f64).ceil() as usize;
    times[rank.clamp(1, times.len()) - 1]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Folds every event of every customer, on one thread.
fn replay(shop: &Shop) -> Vec<Customer> {
    let n_events: usize = shop.customers.iter().map(|(_, events)| events.len()).sum();
    let began = Instant::now();
    let fold =
        |(id, events): &(CustomerId, Vec<Event>)| cutoff::fold(&shop.project.schema, id, events, shop.end).0;
    let states: Vec<Customer> = shop.customers.iter().map(fold).collect();
    let seconds = began.elapsed().as_secs_f64();
    row("replay, one thread", &format!("{:.0} events/s ({n_events} events)", n_events as f64 / seconds));
    states
}

fn open_artifact(shop: &Shop) -> Artifact {
    let bytes = std::fs::read(shop.artifact()).unwrap();
    let fingerprint = shop.project.schema.fingerprint();
    let mut times: Vec<Duration> = (0..N_OPENS)
        .map(|_| {
            let bytes = bytes.clone();
            let began = Instant::now();
            black_box(Artifact::from_bytes(bytes, Some(fingerprint)).unwrap());
            began.elapsed()
        })
        .collect();
    let median = micros(quantile(&mut times, 0.5));
    row("artifact: open, check seal and structure", &format!("{median:.0} us ({} kB)", bytes.len() / 1000));
    Artifact::from_bytes(bytes, Some(fingerprint)).unwrap()
}

/// Features and decision of every customer, in this process.
fn decisions(shop: &Shop, states: &[Customer], artifact: &Artifact) {
    let question = Question { max_actions: 1, ..Question::default() };
    let mut times: Vec<Duration> = states
        .iter()
        .map(|customer| {
            let began = Instant::now();
            let blank = Situation::of(&shop.project, customer, true, shop.end, Seed(1));
            let situation = blank.scored(&shop.project, artifact);
            black_box(decide(&shop.project.policy, &situation, &question));
            began.elapsed()
        })
        .collect();
    let (p50, p99) = (micros(quantile(&mut times, 0.5)), micros(quantile(&mut times, 0.99)));
    row("decision in process: features, scores, choice", &format!("p50 {p50:.1} us, p99 {p99:.1} us"));
}

/// Next best actions over HTTP, each reading the customer and logging the decision; 1 and 8 clients in turns.
async fn http(shop: &Shop, store: &Store) {
    let (config, keys) = fixture::config(shop.folder.path(), store);
    let app = App::open(&config, store.clone(), Clock::fixed(shop.end)).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/v1/decisions/next-best-action", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, local::router(app)).await });
    let key = fixture::key(&keys, Role::Crm).to_owned();
    let ids: Arc<Vec<String>> = Arc::new(shop.customers.iter().map(|(id, _)| id.to_string()).collect());
    let mut times = [Vec::new(), Vec::new()];
    let mut took = [Duration::ZERO; 2];
    for turn in 0..4 {
        for (at, n_clients) in [1, 8].into_iter().enumerate() {
            let began = Instant::now();
            let clients = (0..n_clients).map(|client| {
                let (url, key, ids) = (url.clone(), key.clone(), Arc::clone(&ids));
                let n_requests = N_REQUESTS / 4 / n_clients;
                let first = (turn * 8 + client) * n_requests;
                tokio::spawn(async move { ask(&url, &key, &ids, first, n_requests).await })
            });
            for client in clients.collect::<Vec<_>>() {
                times[at].extend(client.await.unwrap());
            }
            took[at] += began.elapsed();
        }
    }
    for (at, n_clients) in [1, 8].into_iter().enumerate() {
        let rate = times[at].len() as f64 / took[at].as_secs_f64();
        let (p50, p99) = (quantile(&mut times[at], 0.5), quantile(&mut times[at], 0.99));
        let figures =
            format!("{rate:.0}/s, p50 {:.2} ms, p99 {:.2} ms", micros(p50) / 1e3, micros(p99) / 1e3);
        row(&format!("next best action over HTTP, {n_clients} client(s)"), &figures);
    }
}

async fn ask(url: &str, key: &str, ids: &[String], first: usize, n_requests: usize) -> Vec<Duration> {
    let client = reqwest::Client::new();
    let mut times = Vec::with_capacity(n_requests);
    for at in first..first + n_requests {
        let body = json!({ "customer_id": ids[at % ids.len()], "max_actions": 1 });
        let began = Instant::now();
        let answer = client.post(url).header("x-api-key", key).json(&body).send().await.unwrap();
        assert!(answer.status().is_success());
        black_box(answer.bytes().await.unwrap());
        times.push(began.elapsed());
    }
    times
}

/// From exec to the first decision, artifact loaded, store asked: plain and over TLS in turns.
async fn cold_starts(shop: &Shop, endpoint: &str) {
    let folder = tempfile::tempdir().unwrap();
    let binary = unpack(&package("next-best-action"), folder.path());
    let store = Store::local(endpoint, "nextbest");
    let (config, keys) = fixture::config(shop.folder.path(), &store);
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let bundle = folder.path().join("bundle.pem");
    std::fs::write(&bundle, certificate.cert.pem()).unwrap();
    let secure = tls_front(endpoint, &certificate).await;
    let customer = shop.customers[0].0.as_str();
    let body = json!({ "customer_id": customer, "max_actions": 1 }).to_string();
    let header = [("x-api-key", fixture::key(&keys, Role::Crm))];
    let payload = gateway_request("POST", "/v1/decisions/next-best-action", "", &header, Some(&body));
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..N_COLD_STARTS {
        for (at, endpoint) in [endpoint, &secure].into_iter().enumerate() {
            let variables = [
                ("NEXTBEST_PROJECT", shop.folder.path().display().to_string()),
                ("NEXTBEST_TABLE", "nextbest".to_owned()),
                ("NEXTBEST_API_KEYS", config.keys.to_string()),
                ("NEXTBEST_QUOTE_KEYS", fixture::QUOTE_KEYS.to_owned()),
                ("AWS_ENDPOINT_URL", endpoint.to_owned()),
                ("SSL_CERT_FILE", bundle.display().to_string()),
                ("SSL_CERT_DIR", folder.path().join("none").display().to_string()),
            ];
            let began = Instant::now();
            let lambda = Lambda::start(&binary, &variables).await;
            let answer = lambda.invoke(&payload).await.unwrap();
            times[at].push(began.elapsed());
            assert_eq!(answer["statusCode"], 200, "{answer}");
            let decision: serde_json::Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
            assert_eq!(decision["degraded"], json!([]), "the store answered");
        }
    }
    for (at, what) in ["cold start, exec to first decision, plain", "cold start, exec to first decision, TLS"]
        .iter()
        .enumerate()
    {
        let (p50, most) = (quantile(&mut times[at], 0.5), quantile(&mut times[at], 1.0));
        row(what, &format!("median {:.1} ms, most {:.1} ms", micros(p50) / 1e3, micros(most) / 1e3));
    }
}

/// A listener that speaks TLS and hands on to `endpoint`; gives its URL.
async fn tls_front(endpoint: &str, certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> String {
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let behind = endpoint.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let (Ok(mut front), Ok(mut back)) =
                    (acceptor.accept(stream).await, TcpStream::connect(behind).await)
                else {
                    return;
                };
                // A function that ends closes its connections without a farewell.
                let _closed = tokio::io::copy_bidirectional(&mut front, &mut back).await;
            });
        }
    });
    url
}

/// The package of a function, as scripts/package.sh leaves it.
fn package(function: &str) -> PathBuf {
    let path = root().join("target/lambda").join(function).join("bootstrap.zip");
    assert!(path.exists(), "{} is missing: `make bench` packs it first", path.display());
    path
}

fn unpack(package: &Path, folder: &Path) -> PathBuf {
    let unpacked = Command::new("python3").args(["-m", "zipfile", "-e"]).arg(package).arg(folder).status();
    assert!(unpacked.unwrap().success());
    let binary = folder.join("bootstrap");
    assert!(Command::new("chmod").arg("+x").arg(&binary).status().unwrap().success());
    binary
}

/// Sizes of the function alone and of what the zip holds besides: the project's files and artifact.
fn packages() {
    const SIZES: &str = "import sys, zipfile\n\
        sizes = {i.filename: i.compress_size for i in zipfile.ZipFile(sys.argv[1]).infolist()}\n\
        print(sizes['bootstrap'], sum(sizes.values()) - sizes['bootstrap'])";
    for function in ["events", "next-best-action", "price", "at-risk", "score", "snapshot", "hopper"] {
        let sizes = Command::new("python3").args(["-c", SIZES]).arg(package(function)).output().unwrap();
        let sizes = String::from_utf8(sizes.stdout).unwrap();
        let mut megabytes = sizes.split_whitespace().map(|n_bytes| n_bytes.parse::<f64>().unwrap() / 1e6);
        let (binary, project) = (megabytes.next().unwrap(), megabytes.next().unwrap());
        row(&format!("package of {function}, zipped"), &format!("{binary:.2} MB + {project:.2} MB project"));
    }
}
