//! What a rule costs: evaluated, next to the interpreter of the `cel` crate in the same run, and parsed at a start.
//!
//! Facts are random, by a fixed seed, one in twenty unknown, and differ from call to call. Run by
//! `cargo bench -p nextbest-models --bench rules`.
#![expect(clippy::print_stdout, reason = "the table is the product of a benchmark")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it cannot measure")]
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use cel::{Context, Program, Value};
use nextbest_models::policy::expression::{Facts, Formula, Rule, Truth, Vocabulary};

const N_ROWS: usize = 1_024;
/// Calls of one measurement: few, so that most measurements are not interrupted.
const RUN: usize = 64;
const MEASURED: Duration = Duration::from_millis(300);
const N_RULES: usize = 90;

const RULES: [&str; 4] = [
    r#"features.orders_90d > 2 && customer.stage in ["active","loyal"]"#,
    "consent.email && scores.churn >= 0.4",
    r#"has(features.value) && features.value / max(features.orders_90d, 1.0) > 1.5 && !(context.channel.startsWith("web") || consent.sms)"#,
    r#"features.orders_90d >= 1 && features.value > 1 && scores.churn < 0.8 && customer.stage != "lost" && consent.email && context.channel in ["email","web"]"#,
];
const FORMULA: &str =
    "scores.churn * features.value * (consent.email ? 1.2 : 1.0) + 0.1 * features.orders_90d";
const STAGES: [&str; 4] = ["new", "active", "loyal", "lost"];
const CHANNELS: [&str; 3] = ["web", "email", "push"];

struct Row {
    numbers: [f64; 3],
    flags: [Option<bool>; 2],
    texts: [Option<&'static str>; 2],
}

impl Row {
    fn facts(&self) -> Facts<'_> {
        Facts { numbers: &self.numbers, flags: &self.flags, texts: &self.texts }
    }
}

fn main() {
    // `cargo test --benches` only wants to know that this compiles.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let vocabulary = vocabulary();
    start(&vocabulary);
    let mut draw = Draw(0x5eed_0b57);
    let rows: Vec<Row> = (0..N_ROWS).map(|_| draw.row()).collect();
    let contexts: Vec<Context<'_, '_>> = rows.iter().map(|row| context(row, &vocabulary)).collect();
    println!("\np50 ns of an evaluation\n\n| rule | compiled | interpreted | ratio |\n|---|---|---|---|");
    for text in RULES {
        let rule = Rule::parse(text, &vocabulary).unwrap();
        let compiled = per_call(|at| rule.holds(&rows[at].facts()) == Truth::Yes);
        report(text, compiled, &contexts);
    }
    let formula = Formula::parse(FORMULA, &vocabulary).unwrap();
    report(FORMULA, per_call(|at| formula.value(&rows[at].facts()).is_some()), &contexts);
    let rules: Vec<Rule> = (0..N_RULES).map(|at| Rule::parse(&numbered(at), &vocabulary).unwrap()).collect();
    let all =
        per_call(|at| rules.iter().filter(|rule| rule.holds(&rows[at].facts()) == Truth::Yes).count() > 9);
    println!("\n{N_RULES} rules on one customer: {:.2} us", all / 1e3);
}

/// Parsing: the very first rule, then as many as a policy may have, and one by one.
fn start(vocabulary: &Vocabulary) {
    let parse = |text: &str| {
        let start = Instant::now();
        black_box(Rule::parse(text, vocabulary).unwrap());
        start.elapsed().as_secs_f64() * 1e6
    };
    println!("first parse: {:.1} us", parse(RULES[0]));
    let texts: Vec<String> = (0..N_RULES).map(numbered).collect();
    let all: f64 = texts.iter().map(|text| parse(text)).sum();
    println!("next {N_RULES} parses: {all:.0} us");
    for text in RULES {
        let mut times: Vec<f64> = (0..501).map(|_| parse(text)).collect();
        times.sort_by(f64::total_cmp);
        println!("p50 of a parse: {:.2} us: {text}", times[250]);
    }
}

/// One of a policy's rules, no two the same.
fn numbered(at: usize) -> String {
    format!("{} && features.value != {at}.5", RULES[at % RULES.len()])
}

fn report(text: &str, compiled: f64, contexts: &[Context<'_, '_>]) {
    let program = Program::compile(text).unwrap();
    let interpreted = per_call(|at| program.execute(&contexts[at]).is_ok());
    println!(
        "| `{}` | {compiled:.1} | {interpreted:.0} | {:.0} |",
        text.replace('|', "\\|"),
        interpreted / compiled
    );
}

/// The median over runs, each call for another row.
fn per_call(mut call: impl FnMut(usize) -> bool) -> f64 {
    let mut times = Vec::new();
    let deadline = Instant::now() + MEASURED;
    while Instant::now() < deadline {
        for first in (0..N_ROWS).step_by(RUN) {
            let start = Instant::now();
            black_box((first..first + RUN).filter(|at| call(*at)).count());
            times.push(start.elapsed());
        }
    }
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e9 / RUN as f64
}

fn vocabulary() -> Vocabulary {
    Vocabulary::new()
        .number("features.orders_90d")
        .number("features.value")
        .number("scores.churn")
        .flag("consent.email")
        .flag("consent.sms")
        .text("customer.stage", Some(STAGES.map(str::to_owned).to_vec()))
        .text("context.channel", Some(CHANNELS.map(str::to_owned).to_vec()))
}

/// The same row as the interpreter wants it: what is unknown is missing.
fn context(row: &Row, vocabulary: &Vocabulary) -> Context<'static, 'static> {
    let numbers = vocabulary.numbers().iter().zip(row.numbers).filter(|(_, value)| !value.is_nan());
    let numbers = numbers.map(|(name, value)| (name, Value::Float(value)));
    let flags = vocabulary.flags().iter().zip(row.flags);
    let flags = flags.filter_map(|(name, value)| Some((name, Value::Bool(value?))));
    let texts = vocabulary.texts().iter().zip(row.texts);
    let texts = texts.filter_map(|(name, value)| Some((name, Value::from(value?))));
    let mut groups: HashMap<&str, HashMap<String, Value>> =
        ["features", "scores", "consent", "customer", "context"].map(|group| (group, HashMap::new())).into();
    for (name, value) in numbers.chain(flags).chain(texts) {
        let (group, member) = name.split_once('.').unwrap();
        groups.get_mut(group).unwrap().insert(member.to_owned(), value);
    }
    let mut context = Context::default();
    for (group, members) in groups {
        context.add_variable_from_value(group, members);
    }
    context.add_function("max", cel::functions::max).unwrap();
    context
}

/// Xorshift (Marsaglia 2003).
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    fn known<T>(&mut self, value: T) -> Option<T> {
        (self.below(20) > 0).then_some(value)
    }

    fn row(&mut self) -> Row {
        let drawn = [self.below(6) as f64, self.below(1_000) as f64 / 100.0, self.below(100) as f64 / 100.0];
        let (email, sms) = (self.below(2) == 0, self.below(2) == 0);
        let (stage, channel) = (STAGES[self.below(4)], CHANNELS[self.below(3)]);
        Row {
            numbers: drawn.map(|number| self.known(number).unwrap_or(f64::NAN)),
            flags: [self.known(email), self.known(sms)],
            texts: [self.known(stage), self.known(channel)],
        }
    }
}
