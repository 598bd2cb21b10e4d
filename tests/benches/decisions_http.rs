//! Decisions over HTTP beside the same service in Python (tests/peers/decisions), in turns, over one embedded store; and quotes.
//!
//! `decisions_http --bench PYTHON NEXTBEST FOLDER` (scripts/peers.sh) makes a shop in FOLDER, loads it into an embedded store
//! that runs in a process of its own, starts both services, and prints a section in Markdown. CPU time is that of the
//! service's process alone, as the kernel counts it, so that neither the store nor the callers are anybody's.
#![expect(clippy::print_stdout, reason = "the section is the product of a benchmark")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it cannot measure")]
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nextbest_functions::keys::sha256_hex;
use nextbest_functions::store::Store;
use nextbest_models::units::Timestamp;
use nextbest_tests::backend::free_port;
use nextbest_tests::embedded::Embedded;
use serde_json::{Value, json};

const N_CLIENTS: usize = 8;
const N_ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(3);
const N_CUSTOMERS: &str = "4000";
const TABLE: &str = "nextbest";
const PYTHON_KEY: &str = "a key of the benchmark";
/// The targets.
const MAX_P99_MS: f64 = 5.0;
/// Between two questions of one client, where the machine is not to be saturated: 200 questions a second in all.
const PACE: Duration = Duration::from_millis(40);
const MIN_TIMES: f64 = 15.0;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["store", path] => store(Path::new(path)),
        [python, nextbest, folder] => measure(python, nextbest, Path::new(folder)),
        // `cargo test --benches` only wants to know that this compiles.
        _ => {}
    }
}

/// This process is the store until its standard input ends.
fn store(path: &Path) {
    let embedded = Embedded::start(path, None).unwrap();
    println!("{}", embedded.endpoint());
    let _ended = std::io::stdin().read_to_end(&mut Vec::new());
}

/// A process of ours, ended when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that ended by itself needs no end.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// What it says until `last` is satisfied with a line.
    fn says(&mut self, last: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        for line in BufReader::new(self.0.stdout.as_mut().unwrap()).lines().map(Result::unwrap) {
            lines.push(line);
            if lines.last().is_some_and(|line| last(line)) {
                break;
            }
        }
        lines
    }

    /// CPU time of all its threads so far, in seconds.
    fn cpu_seconds(&self, ticks_a_second: f64) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        // Fields behind the name, which may hold anything: user and system time are the 14th and 15th of all.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / ticks_a_second
    }
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A service and what it is asked.
struct Service {
    name: &'static str,
    process: Process,
    url: String,
    key: String,
    /// Of a checkout page; the service in Python has none.
    checkout_key: String,
    /// What a customer's nth question is.
    body: fn(&str, usize) -> Value,
}

fn decision(customer: &str, _: usize) -> Value {
    json!({ "customer_id": customer, "max_actions": 2, "explain": "none", "defer_activation": true })
}

/// Another basket each time: one that was quoted already would only be read.
fn quote(customer: &str, nth: usize) -> Value {
    let sku = format!(
        "{}-{:02}",
        ["COFFEE", "TEA", "MUGS", "KITCHEN", "GARDEN", "GIFTS"][nth / 10 % 6],
        nth % 10 + 1
    );
    let items = json!([{ "sku": sku, "quantity": 1 + nth / 60 }]);
    json!({ "customer_id": customer, "currency": "GBP", "market": "GB", "channel": "web", "items": items })
}

/// What one round told.
#[derive(Default)]
struct Round {
    latencies_ms: Vec<f64>,
    seconds: f64,
    cpu_seconds: f64,
}

fn measure(python: &str, nextbest: &str, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let shop = folder.join("shop");
    let mut store = Process::start(
        Command::new(std::env::current_exe().unwrap()).arg("store").arg(folder.join("store.sqlite")),
    );
    let endpoint = store.says(|_| true).remove(0);
    let run = |arguments: &[&str]| output(environment(Command::new(nextbest).args(arguments), &endpoint));
    let project = shop.to_str().unwrap();
    run(&["init", project]);
    output(Command::new(nextbest).args([
        "demo",
        "--once",
        "--port",
        "0",
        "--customers",
        N_CUSTOMERS,
        "--project",
        project,
    ]));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(Store::local(&endpoint, TABLE).create_table()).unwrap();
    let loaded: Value = serde_json::from_str(&run(&["load", "--json", "--project", project])).unwrap();
    let as_of: Timestamp = loaded["as_of"].as_str().unwrap().parse().unwrap();
    let (peer, shapes) = python_service(python, nextbest, folder, &endpoint, as_of);
    let mut services = [nextbest_service(nextbest, &shop, &endpoint, as_of), peer];
    let customers = std::fs::read_to_string(folder.join("customers.txt")).unwrap();
    let customers: Vec<&str> = customers.lines().collect();
    let ticks_a_second: f64 = output(Command::new("getconf").arg("CLK_TCK")).parse().unwrap();
    let mut rounds = [const { Vec::new() }; 2];
    for round in 0..=N_ROUNDS {
        for turn in 0..services.len() {
            let at = (turn + round) % services.len();
            let told = runtime.block_on(ask(&services[at], &customers, ticks_a_second, None));
            // The first round only warms up.
            if round > 0 {
                rounds[at].push(told);
            }
        }
    }
    let paced = told(&paced(&runtime, &services[0], &customers, ticks_a_second));
    println!("{}", section(&services, &rounds, &shapes, &paced));
    let ours = &mut services[0];
    ours.url = ours.url.replace("decisions/next-best-action", "prices/quote");
    (ours.key, ours.body) = (ours.checkout_key.clone(), quote);
    let rounds: Vec<Round> = (0..=N_ROUNDS)
        .map(|_| runtime.block_on(ask(ours, &customers, ticks_a_second, None)))
        .skip(1)
        .collect();
    let paced = told(&self::paced(&runtime, ours, &customers, ticks_a_second));
    println!("{}", quotes(&told(&rounds), &paced));
}

/// Rounds at a pace.
fn paced(
    runtime: &tokio::runtime::Runtime,
    service: &Service,
    customers: &[&str],
    ticks_a_second: f64,
) -> Vec<Round> {
    (0..N_ROUNDS).map(|_| runtime.block_on(ask(service, customers, ticks_a_second, Some(PACE)))).collect()
}

/// `command` with the store of the benchmark and its credentials.
fn environment<'a>(command: &'a mut Command, endpoint: &str) -> &'a mut Command {
    let credentials =
        [("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local"), ("AWS_REGION", "us-east-1")];
    command.envs(credentials).env("AWS_ENDPOINT_URL", endpoint).env("NEXTBEST_TABLE", TABLE)
}

fn nextbest_service(nextbest: &str, shop: &Path, endpoint: &str, now: Timestamp) -> Service {
    let mut command = Command::new(nextbest);
    let command = command.args(["serve", "--port", "0", "--now", &now.to_string(), "--project"]).arg(shop);
    let mut process = Process::start(environment(command, endpoint));
    let lines = process.says(|line| line.contains("ADMIN_KEY="));
    let after = |text: &str| lines.iter().find_map(|line| Some(line.split_once(text)?.1.to_owned())).unwrap();
    let base = after("listening on ").split(' ').next().unwrap().to_owned();
    Service {
        name: "nextbest",
        process,
        url: format!("{base}/v1/decisions/next-best-action"),
        key: after("export CRM_KEY="),
        checkout_key: after("export CHECKOUT_KEY="),
        body: decision,
    }
}

/// The service in Python, once it answers, and the shapes of its models.
fn python_service(
    python: &str,
    nextbest: &str,
    folder: &Path,
    endpoint: &str,
    now: Timestamp,
) -> (Service, String) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/decisions");
    let (shop, table, inspection) =
        (folder.join("shop"), folder.join("table.csv"), folder.join("inspection.json"));
    output(Command::new(nextbest).arg("dataset").arg("--project").arg(&shop).arg("--out").arg(&table));
    let artifact = std::fs::read_to_string(shop.join("artifacts/CURRENT")).unwrap();
    let artifact = shop.join("artifacts").join(artifact.trim());
    let inspected = output(Command::new(nextbest).args(["inspect", "--json"]).arg(artifact));
    std::fs::write(&inspection, inspected).unwrap();
    let policy = sha256_hex(&std::fs::read(shop.join("policy.toml")).unwrap());
    let mut seed = Command::new(python);
    let seed = seed.arg(scripts.join("seed.py")).args([&table, &inspection]).args([endpoint, TABLE, &policy]);
    let shapes = output(seed.arg(folder)).replace('\n', "; ");
    let port = free_port();
    let mut service = Command::new(python);
    let service =
        service.arg(scripts.join("service.py")).arg(port.to_string()).args([endpoint, TABLE]).arg(folder);
    let process =
        Process::start(service.arg(sha256_hex(PYTHON_KEY.as_bytes())).arg(now.as_millis().to_string()));
    // It starts in seconds; a minute without an answer is a failure.
    let listening = |_: &usize| {
        std::thread::sleep(Duration::from_millis(100));
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    };
    assert!((0..600).any(|at| listening(&at)), "the service in Python does not start");
    let url = format!("http://127.0.0.1:{port}/v1/decisions/next-best-action");
    let name = "FastAPI + LightGBM + boto3";
    let (key, checkout_key) = (PYTHON_KEY.to_owned(), String::new());
    (Service { name, process, url, key, checkout_key, body: decision }, shapes)
}

/// All clients, each over one connection and one question at a time, for a round: as fast as they are answered, or at a
/// pace, when what a question waits for the one before counts as its own time.
async fn ask(service: &Service, customers: &[&str], ticks_a_second: f64, pace: Option<Duration>) -> Round {
    let (cpu, begun) = (service.process.cpu_seconds(ticks_a_second), Instant::now());
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..N_CLIENTS {
        let (url, key, body) = (service.url.clone(), service.key.clone(), service.body);
        let client_number = u32::try_from(client).unwrap();
        let own: Vec<String> =
            customers.iter().skip(client).step_by(N_CLIENTS).map(|id| (*id).to_owned()).collect();
        clients.spawn(async move {
            let http = reqwest::Client::new();
            let mut latencies = Vec::new();
            for (nth, id) in own.iter().cycle().enumerate() {
                let body = body(id, nth);
                let mut asked = Instant::now();
                if let Some(pace) = pace {
                    let due =
                        begun + pace * u32::try_from(nth).unwrap() + pace * client_number / N_CLIENTS as u32;
                    let late = due < asked;
                    tokio::time::sleep_until(due.into()).await;
                    // The timer's own delay, up to 1 ms, is nobody's; that of the question before is the service's.
                    asked = if late { due } else { Instant::now() };
                }
                let response = http.post(&url).header("x-api-key", &key).json(&body).send().await.unwrap();
                assert!(response.status().is_success(), "{}", response.text().await.unwrap());
                let answer: Value = response.json().await.unwrap();
                latencies.push(asked.elapsed().as_secs_f64() * 1e3);
                assert_eq!(answer["degraded"], json!([]), "{answer}");
                if begun.elapsed() > ROUND {
                    break;
                }
            }
            latencies
        });
    }
    let latencies_ms = clients.join_all().await.concat();
    let seconds = begun.elapsed().as_secs_f64();
    Round { latencies_ms, seconds, cpu_seconds: service.process.cpu_seconds(ticks_a_second) - cpu }
}

/// Medians over rounds, of one service.
struct Told {
    p50_ms: f64,
    p99_ms: f64,
    a_second: f64,
    cpu_us: f64,
}

fn told(rounds: &[Round]) -> Told {
    let over = |number: &dyn Fn(&Round) -> f64| quantile(rounds.iter().map(number).collect(), 0.5);
    let n = |round: &Round| round.latencies_ms.len() as f64;
    Told {
        p50_ms: over(&|round| quantile(round.latencies_ms.clone(), 0.5)),
        p99_ms: over(&|round| quantile(round.latencies_ms.clone(), 0.99)),
        a_second: over(&|round| n(round) / round.seconds),
        cpu_us: over(&|round| 1e6 * round.cpu_seconds / n(round)),
    }
}

/// The verdicts on the 99th percentile: at a pace, and where callers, service and store fill the machine.
fn latency(saturated_p99_ms: f64, paced: &Told) -> String {
    let verdict = |p99: f64| if p99 <= MAX_P99_MS { "met" } else { "not met" };
    let (p99, a_second) = (paced.p99_ms, N_CLIENTS as f64 / PACE.as_secs_f64());
    format!(
        "Target p99 at most {MAX_P99_MS} ms: {} at {a_second:.0} requests a second (p50 {:.2} ms, p99 {p99:.2} ms), {} where callers, \
         service and store fill the two cores ({saturated_p99_ms:.2} ms).\n\n",
        verdict(p99),
        paced.p50_ms,
        verdict(saturated_p99_ms),
    )
}

fn quotes(told: &Told, paced: &Told) -> String {
    format!(
        "\n## Quotes over HTTP\n\nThe same service and store, {N_CLIENTS} clients, a basket of its own each time: ledger and promises are \
         read at once, the quote is signed and kept with what it changes; medians of {N_ROUNDS} rounds.\n\n\
         | p50, ms | p99, ms | requests per second | CPU per request, us |\n|---|---|---|---|\n| {:.2} | {:.2} | {:.0} | {:.0} |\n\n{}",
        told.p50_ms,
        told.p99_ms,
        told.a_second,
        told.cpu_us,
        latency(told.p99_ms, paced).trim_end(),
    )
}

fn quantile(mut numbers: Vec<f64>, share: f64) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[((numbers.len() - 1) as f64 * share).round() as usize]
}

fn section(services: &[Service], rounds: &[Vec<Round>], shapes: &str, paced: &Told) -> String {
    let all: Vec<Told> = rounds.iter().map(|rounds| told(rounds)).collect();
    let mut text = format!(
        "## Decisions over HTTP, beside the same service in Python\n\n\
         {N_CLIENTS} clients that keep their connections, the shop's policy, one embedded store in a process of its own; \
         medians of {N_ROUNDS} rounds of {} s in turns. Both read the customer's item, score churn and conversion, decide, and write \
         a log item; neither explains or holds contacts (`defer_activation`). In Python (tests/peers/decisions: uvicorn, uvloop, \
         orjson) features stand ready in the item, nextbest computes them; models there: {shapes}. CPU is the service's process \
         alone.\n\n| |",
        ROUND.as_secs()
    );
    services.iter().for_each(|service| _ = write!(text, " {} |", service.name));
    text += "\n|---|---|---|";
    let mut row = |name: &str, number: &dyn Fn(&Told) -> String| {
        let cells: Vec<String> = all.iter().map(number).collect();
        let _infallible = write!(text, "\n| {name} | {} |", cells.join(" | "));
    };
    row("p50, ms", &|told| format!("{:.2}", told.p50_ms));
    row("p99, ms", &|told| format!("{:.2}", told.p99_ms));
    row("requests per second", &|told| format!("{:.0}", told.a_second));
    row("CPU per request, us", &|told| format!("{:.0}", told.cpu_us));
    row("requests per second and core", &|told| format!("{:.0}", 1e6 / told.cpu_us));
    let (p99, times) = (all[0].p99_ms, all[1].cpu_us / all[0].cpu_us);
    let verdict = |met: bool| if met { "met" } else { "not met" };
    let _infallible = write!(
        text,
        "\n\n{}Target at least {MIN_TIMES} times the requests per second and core: {} ({times:.1} times).",
        latency(p99, paced),
        verdict(times >= MIN_TIMES)
    );
    text
}
