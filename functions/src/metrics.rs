//! Counts of answers and of what they lacked, by code.
//!
//! On Lambda each lack is a line of CloudWatch's embedded metric format among the logs, and CloudWatch counts; a server on
//! one machine counts itself and shows it at `/metrics`. Of a code such as `no_demand:MUG` the first word counts, so that
//! there are few metrics however many products there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use nextbest_models::units::Timestamp;
use serde_json::{Value, json};

use crate::app::App;
use crate::route::Function;

/// The target of log events whose message is a whole line in the embedded metric format.
pub const TARGET: &str = "nextbest_metrics";
/// The namespace in CloudWatch.
const NAMESPACE: &str = "nextbest";

/// The counts of this process since it started.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<BTreeMap<&'static str, Counts>>);

#[derive(Debug, Default)]
struct Counts {
    n_answers: u64,
    degraded: BTreeMap<String, u64>,
}

/// GET /metrics, of a server on one machine.
pub fn routes() -> Router<App> {
    Router::new().route("/metrics", get(show))
}

async fn show(State(app): State<App>) -> Response {
    ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], app.metrics.text()).into_response()
}

impl Metrics {
    /// Counts an answer of `function`, given at `now`, that lacked what `degraded` names; each code once.
    pub fn answered(&self, function: Function, degraded: &[String], now: Timestamp) {
        let codes: BTreeSet<&str> = degraded.iter().map(|code| first_word(code)).collect();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = all.entry(function.as_str()).or_default();
        counts.n_answers += 1;
        for code in codes {
            *counts.degraded.entry(code.to_owned()).or_default() += 1;
            tracing::info!(target: TARGET, "{}", line(function, code, now));
        }
    }

    /// The counts in Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> String {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = head("nextbest_answers_total", "Answers of decisions and prices.");
        for (function, counts) in all.iter() {
            let n_answers = counts.n_answers;
            let _infallible = writeln!(text, "nextbest_answers_total{{function=\"{function}\"}} {n_answers}");
        }
        text += &head("nextbest_degraded_total", "Answers that lacked something, by what.");
        for (function, counts) in all.iter() {
            for (code, n) in &counts.degraded {
                let labels = format!("function=\"{function}\",code=\"{code}\"");
                let _infallible = writeln!(text, "nextbest_degraded_total{{{labels}}} {n}");
            }
        }
        text
    }
}

fn head(name: &str, help: &str) -> String {
    format!("# HELP {name} {help}\n# TYPE {name} counter\n")
}

fn first_word(code: &str) -> &str {
    code.split(':').next().unwrap_or(code)
}

/// One degraded answer in the embedded metric format.
fn line(function: Function, code: &str, now: Timestamp) -> Value {
    json!({
        "_aws": {
            "Timestamp": now.as_millis(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["function", "code"]],
                "Metrics": [{ "Name": "degraded", "Unit": "Count" }],
            }],
        },
        "function": function.as_str(),
        "code": code,
        "degraded": 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_each_of_its_codes_once() {
        let metrics = Metrics::default();
        let codes = ["no_demand:MUG", "no_demand:LAMP", "store_slow"].map(str::to_owned);
        metrics.answered(Function::Price, &codes, Timestamp::MIN);
        metrics.answered(Function::Price, &[], Timestamp::MIN);
        let text = metrics.text();
        let counts: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            counts,
            [
                "nextbest_answers_total{function=\"price\"} 2",
                "nextbest_degraded_total{function=\"price\",code=\"no_demand\"} 1",
                "nextbest_degraded_total{function=\"price\",code=\"store_slow\"} 1",
            ]
        );
    }
}
