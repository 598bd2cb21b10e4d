//! Several hundred decisions of every kind over HTTP, and each of them made again from the log.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nextbest_functions::decisions::record::Record;
use nextbest_models::artifact::Artifact;
use nextbest_models::project::Project;
use serde_json::{Value, json};

const N_DECISIONS: usize = 300;

/// `nextbest serve` on a free port; stopped when dropped.
struct Served {
    process: Child,
    base: String,
    keys: BTreeMap<String, String>,
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that ended by itself needs no end.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

impl Served {
    fn start(project: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nextbest"));
        command.args(["serve", "--port", "0", "--project"]).arg(project);
        let mut process = command.env_remove("AWS_ENDPOINT_URL").stdout(Stdio::piped()).spawn().unwrap();
        let (mut base, mut keys) = (None, BTreeMap::new());
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        for line in lines.map(Result::unwrap) {
            if let Some(address) = line.strip_prefix("listening on ") {
                base = address.split(' ').next().map(str::to_owned);
            }
            if let Some((role, key)) =
                line.trim().strip_prefix("export ").and_then(|key| key.split_once("_KEY="))
            {
                keys.insert(role.to_lowercase(), key.to_owned());
            }
            if keys.len() == 4 {
                break;
            }
        }
        Self { process, base: base.expect("it says where it listens"), keys }
    }

    async fn ask(&self, client: &reqwest::Client, role: &str, path: &str, body: Option<&Value>) -> Value {
        let url = format!("{}{path}", self.base);
        let request = match body {
            Some(body) => client.post(url).json(body),
            None => client.get(url),
        };
        let response = request.header("x-api-key", &self.keys[role]).send().await.unwrap();
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        // Of what is deferred a cap may have been reached meanwhile: an answer like any other.
        assert!(status.is_success() || answer["code"] == "cap_reached", "{path} {body:?}: {answer}");
        answer
    }
}

/// The `n`th question: each part goes round at a pace of its own, so that they meet in many ways.
fn question(n: usize, customers: &[String], actions: &[String]) -> Value {
    let one = |list: &[Value], n: usize| list[n % list.len()].clone();
    let texts = |names: &[&str]| names.iter().map(|name| json!(name)).collect::<Vec<_>>();
    let mut body = json!({
        "context": { "attributes": { "basket_minor": (n % 7) * 900, "device": one(&texts(&["mobile", "desktop"]), n) } },
        "max_actions": 1 + n % 4,
        "explain": one(&texts(&["none", "codes", "full"]), n),
        "mode": one(&texts(&["live", "live", "shadow"]), n / 2),
        "defer_activation": n.is_multiple_of(5),
    });
    match n % 25 {
        23 => body["anonymous_id"] = json!(format!("visitor-{n}")),
        24 => body["customer_id"] = json!(format!("nobody-{n}")),
        _ => body["customer_id"] = json!(customers[n * 7 % customers.len()]),
    }
    if !n.is_multiple_of(3) {
        body["context"]["channel"] = one(&texts(&["email", "push", "web", "phone", "post"]), n / 3);
        body["context"]["direction"] = one(&texts(&["inbound", "outbound"]), n / 2);
    }
    match n % 11 {
        1 => body["context"]["placement"] = json!("basket"),
        2 => body["candidate_actions"] = json!(actions.iter().step_by(2).collect::<Vec<_>>()),
        3 => body["excluded_actions"] = json!(actions.iter().skip(1).step_by(2).collect::<Vec<_>>()),
        4 => body["consent"] = json!({ "email": n.is_multiple_of(2), "phone": true, "post": false }),
        _ => {}
    }
    body
}

/// Decides, activates some of what was deferred, and replays all; `report` is what the demo told.
pub fn every_decision(folder: &Path, report: &Value) {
    let project = Project::read(|file| std::fs::read_to_string(folder.join(file))).unwrap();
    let current = std::fs::read_to_string(folder.join("artifacts/CURRENT")).unwrap();
    let artifact = std::fs::read(folder.join("artifacts").join(current.trim())).unwrap();
    let artifact = Artifact::from_bytes(artifact, Some(project.schema.fingerprint())).unwrap();
    let server = Served::start(folder);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Nobody said what time it is; the log ended in January 2026, and there the clock starts: the list of then is served.
    let client = reqwest::Client::new();
    let list = runtime.block_on(server.ask(&client, "retention", "/v1/at-risk?limit=1", None));
    assert_eq!(list["as_of"], report["load"]["as_of"]);
    let ids = runtime.block_on(decide_and_replay(&server, &project, &artifact));

    // The command does the same from the store itself, once the server has let go of it.
    drop(server);
    let mut command = Command::new(env!("CARGO_BIN_EXE_nextbest"));
    command.args(["replay", &ids[ids.len() / 2], "--project"]).arg(folder).env_remove("AWS_ENDPOINT_URL");
    let replayed = command.output().unwrap();
    let told = String::from_utf8_lossy(&replayed.stdout).into_owned();
    assert!(replayed.status.success() && told.contains("the same, bit for bit"), "{told}");
}

async fn decide_and_replay(server: &Served, project: &Project, artifact: &Artifact) -> Vec<String> {
    let client = reqwest::Client::new();
    let list = server.ask(&client, "retention", "/v1/at-risk?limit=200", None).await;
    let customers = list["customers"].as_array().unwrap().iter();
    let customers: Vec<String> =
        customers.map(|row| row["customer_id"].as_str().unwrap().to_owned()).collect();
    let actions: Vec<String> = project.policy.actions().map(|action| action.id.clone()).collect();
    let (mut ids, mut outcomes, mut offered) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for n in 0..N_DECISIONS {
        let body = question(n, &customers, &actions);
        let decision = server.ask(&client, "crm", "/v1/decisions/next-best-action", Some(&body)).await;
        let id = decision["decision_id"].as_str().unwrap().to_owned();
        *outcomes.entry(decision["outcome"].to_string()).or_insert(0) += 1;
        for action in decision["actions"].as_array().unwrap() {
            *offered.entry(action["action_id"].to_string()).or_insert(0) += 1;
        }
        let is_offer = decision["outcome"] == "offer";
        if body["defer_activation"] == true && body["mode"] == "live" && is_offer && n.is_multiple_of(2) {
            let path = format!("/v1/decisions/{id}/activate");
            let activated = server.ask(&client, "crm", &path, Some(&json!({}))).await;
            // What is held when it is activated is decided again, and logged.
            ids.push(activated["held_by"].as_str().unwrap().to_owned());
        }
        ids.push(id);
    }
    // A round of one answer would prove little.
    assert!(outcomes.len() >= 2 && offered.len() >= 4, "{outcomes:?} {offered:?}");
    assert!(ids.len() > N_DECISIONS, "some were deferred and activated");
    for id in &ids {
        let logged = server.ask(&client, "crm", &format!("/v1/decisions/{id}"), None).await;
        let record: Record = serde_json::from_value(logged["decision"].clone()).unwrap();
        assert_eq!(record.replay(project, Some(artifact)), Ok(Vec::new()), "{id}");
    }
    ids
}
