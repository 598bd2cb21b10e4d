//! `nextbest fit-demand` as it is typed: what it tells, what it refuses, and every command of its page.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "table/made.rs"]
#[expect(dead_code, reason = "shared with the tests of tables")]
mod made;
#[path = "fit_demand/bad_input.rs"]
mod bad_input;
#[path = "fit_demand/answers.rs"]
mod answers;

use made::Draw;

/// `units,price,brand,store,temp`: two brands in 12 stores, elasticities -2 and -3, some noise.
fn sales(n: usize) -> String {
    let mut draw = Draw(7);
    let mut csv = "units,price,brand,store,temp\n".to_owned();
    for row in 0..n {
        let (brand, elasticity) = [("mild", -2.0), ("hot", -3.0)][row % 2];
        let store = draw.below(12);
        let temp = 5.0 + 25.0 * draw.unit();
        let price = (3.0 + 2.0 * draw.unit()) * (1.0 + 0.01 * temp);
        let noise = 0.6 * (draw.unit() - 0.5);
        let units = (6.0 + elasticity * price.ln() + 0.1 * store as f64 + 0.02 * temp + noise).exp();
        csv += &format!("{units:.4},{price:.2},{brand},s{store},{temp:.1}\n");
    }
    csv
}

/// `pick,price.a,price.b,price_c...`: 600 choices by a logit with price coefficient -1.
fn choices(n: usize) -> String {
    let mut draw = Draw(9);
    let mut csv = "home,pick,price.tea,price.mate,price.cocoa,shown.tea,shown.mate,shown.cocoa\n".to_owned();
    for row in 0..n {
        let prices: Vec<f64> = (0..3).map(|_| 2.0 + 2.0 * draw.unit()).collect();
        let shown: Vec<u64> = (0..3).map(|_| draw.below(2)).collect();
        let worth = |at: usize| {
            let gumbel = -(-(1.0 - draw.unit()).max(1e-12).ln()).ln();
            -prices[at] + 0.5 * shown[at] as f64 + gumbel
        };
        let worths: Vec<f64> = (0..3).map(worth).collect();
        let best = (0..3).max_by(|&a, &b| worths[a].total_cmp(&worths[b])).unwrap();
        let texts: Vec<String> = prices.iter().map(|price| format!("{price:.2}")).collect();
        let shown: Vec<String> = shown.iter().map(u64::to_string).collect();
        let pick = ["tea", "mate", "cocoa"][best];
        csv += &format!("h{},{pick},{},{}\n", row % 60, texts.join(","), shown.join(","));
    }
    csv
}
