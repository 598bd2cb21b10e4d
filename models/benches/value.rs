//! What a lifetime value costs in process: P(alive), purchases to come, spend, and 52 discounted weeks.
//!
//! Run by `cargo bench -p nextbest-models --bench value`.
#![expect(clippy::print_stdout, reason = "the table is the product of a benchmark")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it cannot measure")]
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

use std::hint::black_box;
use std::time::Instant;

use nextbest_models::value::{
    BgNbd, CustomerSummary, GammaGamma, Horizon, LifetimeModel, PurchaseSummary, SpendSummary, TimeUnit,
};

const N_ROUNDS: usize = 41;
const N_CUSTOMERS: u32 = 2_000;

fn main() {
    // `cargo test --benches` only wants to know that this compiles.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let bg_nbd = BgNbd::new(0.2426, 4.4135, 0.7929, 2.4258).unwrap();
    let gamma_gamma = GammaGamma::new(6.25, 3.74, 15.44).ok();
    let model = |discount| {
        LifetimeModel::new(TimeUnit::Week, bg_nbd, gamma_gamma, Horizon::new(52, discount, 0.3).unwrap())
    };
    let customers: Vec<CustomerSummary> = (0..N_CUSTOMERS).map(customer).collect();
    println!("{N_CUSTOMERS} customers with 0 to 20 repeats, 52 weeks ahead; p50 of {N_ROUNDS} rounds\n");
    println!("| | ns a customer |\n|---|---|");
    let told = |name: &str, ns: f64| println!("| {name} | {ns:.0} |");
    told("P(alive)", measure(&customers, |of| bg_nbd.p_alive(&of.purchases).get()));
    told("purchases in 52 weeks", measure(&customers, |of| bg_nbd.expected_purchases(&of.purchases, 52.0)));
    let (plain, discounted) = (model(0.0), model(0.002));
    told("all, not discounted", measure(&customers, |of| plain.score(of).lifetime_value.unwrap_or(0.0)));
    told(
        "all, discounted by week",
        measure(&customers, |of| discounted.score(of).lifetime_value.unwrap_or(0.0)),
    );
}

/// Ages of half a year to a year; every second one bought once.
fn customer(number: u32) -> CustomerSummary {
    let age = 26.0 + f64::from(number % 27);
    let x = f64::from(if number.is_multiple_of(2) { 0 } else { number / 2 % 21 });
    let t_x = if x > 0.0 { age * f64::from(1 + number % 9) / 10.0 } else { 0.0 };
    CustomerSummary {
        purchases: PurchaseSummary::new(x, t_x, age).unwrap(),
        spend: SpendSummary::new(x.max(1.0), 35.0).ok(),
        truncated: false,
    }
}

fn measure(customers: &[CustomerSummary], told: impl Fn(&CustomerSummary) -> f64) -> f64 {
    let mut rounds: Vec<f64> = (0..N_ROUNDS)
        .map(|_| {
            let began = Instant::now();
            customers.iter().for_each(|of| {
                black_box(told(black_box(of)));
            });
            began.elapsed().as_secs_f64() * 1e9 / customers.len() as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[N_ROUNDS / 2]
}
