//! Covariates: gradients against differences, coefficients found again, and the way from a table to its scores.

use nextbest_models::value::CustomerSummary;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use super::*;
use crate::lifetime::covariates::{Standardised, Varied};
use crate::lifetime::optimum::Objective;

const BASE: [f64; 4] = [0.8, 6.0, 1.2, 3.0];
/// By unit of `u` (deviation 10 about 50) and of `w` (0 or 1): rate, leave_a, leave_b.
const TRUTH: [[f64; 3]; 2] = [[0.04, 0.05, -0.02], [-0.6, 0.0, 0.0]];

fn values(rng: &mut ChaCha8Rng) -> [f64; 2] {
    let normal: f64 = StandardNormal.sample(rng);
    [50.0 + 10.0 * normal, f64::from(u8::from(rng.random_bool(0.5)))]
}

/// The parameters of a customer, by the definition.
fn parameters([u, w]: [f64; 2]) -> [f64; 4] {
    let sum = |part: usize| TRUTH[0][part] * (u - 50.0) + TRUTH[1][part] * (w - 0.5);
    let [r, alpha, a, b] = BASE;
    [r, alpha * (-sum(0)).exp(), a * sum(1).exp(), b * sum(2).exp()]
}

fn moved(n: usize, seed: u64) -> (Vec<CustomerSummary>, Vec<f64>) {
    let mut rng = rng(seed);
    let mut all = (Vec::new(), Vec::new());
    for at in 0..n {
        let values = values(&mut rng);
        let [r, alpha, a, b] = parameters(values);
        let model = BgNbd::new(r, alpha, a, b).unwrap();
        let age = 27.0 + 12.0 * at as f64 / n as f64;
        let purchases = draw::customer(&model, age, &mut rng).unwrap();
        all.0.push(CustomerSummary { purchases, spend: None, truncated: false });
        all.1.extend(values);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Central differences are off by h^2 times a third derivative and by rounding over h: about 1e-6 of the numbers here.
    #[test]
    fn gradients_are_differences(logs in prop::array::uniform10(-1.0..1.5_f64), seed in 0_u64..1_000) {
        let (customers, values) = moved(100, seed);
        let z = Standardised::of(&values, 2).unwrap();
        let varied = Varied { customers: &customers, z: &z };
        let (value, gradient) = varied.at(&logs);
        for (at, gradient) in gradient.into_iter().enumerate() {
            let beside = |by: f64| {
                let mut logs = logs;
                logs[at] += by;
                varied.at(&logs).0
            };
            let slope = (beside(1e-5) - beside(-1e-5)) / 2e-5;
            prop_assert!((slope - gradient).abs() < 1e-6 * (value.abs() + gradient.abs()), "{at}: {slope} {gradient}");
        }
        // Without coefficients it is the likelihood without covariates.
        let plain = std::array::from_fn(|at| if at < 4 { logs[at] } else { 0.0 });
        let single: f64 = {
            let [r, alpha, a, b] = std::array::from_fn(|at| logs[at].exp());
            let model = BgNbd::new(r, alpha, a, b).unwrap();
            customers.iter().map(|of| model.log_likelihood(&of.purchases)).sum()
        };
        let found: (f64, [f64; 10]) = varied.at(&plain);
        prop_assert!((found.0 - single).abs() < 1e-10 * single.abs());
    }
}

/// 20,000 customers: every coefficient within four of its own standard errors, which are small beside what moves.
#[test]
fn coefficients_are_found_again() {
    let (customers, values) = moved(20_000, 31);
    let z = Standardised::of(&values, 2).unwrap();
    let grouped = grouped::purchases(customers.iter().map(|of| &of.purchases));
    let without = optimum::find(&grouped, grouped.n, [0.0, 1.0, 0.0, 0.0]).unwrap();
    let names = ["u", "w"].map(str::to_owned);
    let found = covariates::fit(&customers, &names, &z, &without).unwrap();
    for (at, one) in found.report.covariates.iter().enumerate() {
        for (interval, truth) in [&one.rate, &one.leave_a, &one.leave_b].into_iter().zip(TRUTH[at]) {
            // Told by a deviation of these customers.
            let truth = truth * one.sd;
            assert!((interval.value - truth).abs() < 4.0 * interval.se, "{} {interval:?} {truth}", one.name);
            assert!(interval.se < 0.15, "{interval:?}");
        }
    }
    // The parameters are those of a customer with the means of these.
    let means = [z.moments[0].0, z.moments[1].0];
    for (interval, truth) in found.parameters.into_iter().zip(parameters(means)) {
        assert!((interval.value - truth).abs() < 4.0 * interval.se, "{interval:?} {truth}");
    }
    assert!(found.report.p_value < 1e-6 && found.report.degrees_of_freedom == 6, "{:?}", found.report);
}

/// Covariates that say nothing: the likelihood ratio is chi-square with 3 degrees of freedom, so its mean over 60 cohorts is
/// 3 give or take four of sqrt(2 x 3 / 60) = .32.
#[test]
fn what_says_nothing_adds_what_chance_adds() {
    let model = BgNbd::new(0.8, 6.0, 1.2, 3.0).unwrap();
    let mut sum = 0.0;
    for run in 0..60 {
        let customers: Vec<CustomerSummary> = cohort(&model, 2_000, 500 + run)
            .into_iter()
            .map(|purchases| CustomerSummary { purchases, spend: None, truncated: false })
            .collect();
        let mut rng = rng(900 + run);
        let values: Vec<f64> = customers.iter().map(|_| StandardNormal.sample(&mut rng)).collect();
        let z = Standardised::of(&values, 1).unwrap();
        let grouped = grouped::purchases(customers.iter().map(|of| &of.purchases));
        let without = optimum::find(&grouped, grouped.n, [0.0, 1.0, 0.0, 0.0]).unwrap();
        let found = covariates::fit(&customers, &["u".to_owned()], &z, &without).unwrap();
        sum += found.report.likelihood_ratio;
    }
    assert!((sum / 60.0 - 3.0).abs() < 4.0 * (6.0_f64 / 60.0).sqrt(), "{}", sum / 60.0);
}

fn table(customers: &[CustomerSummary], values: &[f64]) -> String {
    let mut csv = "key,x,t_x,T,u,w\n".to_owned();
    for (at, (of, values)) in customers.iter().zip(values.chunks(2)).enumerate() {
        let of = of.purchases;
        csv += &format!("k{at},{},{},{},{},{}\n", of.x(), of.t_x(), of.age(), values[0], values[1]);
    }
    csv
}

#[test]
fn a_table_is_scored_by_the_covariates_it_was_fitted_with() {
    let (customers, values) = moved(3_000, 32);
    let (_dir, path) = file(&table(&customers, &values));
    let source = SummaryTable { covariates: vec!["u".to_owned(), "w".to_owned()], ..summary(&path) };
    let fitted = fit(&options(Source::Summary(source))).unwrap();
    let told = fitted.report.covariates.unwrap();
    assert_eq!(told.covariates.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["u", "w"]);
    assert_eq!(fitted.report.goodness_of_fit.code, Some("too_few_cells"));
    let expected: f64 = fitted.report.goodness_of_fit.frequencies.iter().map(|cell| cell.expected).sum();
    assert!((expected - 3_000.0).abs() < 1e-6, "{expected}");
    let check = fitted.artifact.check_golden().unwrap();
    assert!(check.n_rows > 100 && check.largest_difference < 1e-12, "{check:?}");
    let model = fitted.artifact.lifetime().unwrap();
    let mut out = Vec::new();
    let asked = LifetimeScoreOptions { source: Source::Summary(summary(&path)), key: Some("key".to_owned()) };
    score(&fitted.artifact, &asked, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let (line, of) = (text.lines().nth(8).unwrap(), &customers[7]);
    let purchases: f64 = line.split(',').nth(3).unwrap().parse().unwrap();
    assert_eq!(purchases, model.of(&values[14..16]).score(of).expected_purchases);
    assert_ne!(purchases, model.score(of).expected_purchases);
    let asked = LifetimeScoreOptions { source: Source::Transactions(transactions(&path)), key: None };
    let refused = score(&fitted.artifact, &asked, &mut Vec::new()).unwrap_err();
    assert!(refused.is_wrong_call() && refused.to_string().contains("the model asks for u, w"), "{refused}");
}

#[test]
fn columns_that_are_no_covariates_are_named() {
    let told = |csv: &str, names: &[&str]| {
        let (_dir, path) = file(csv);
        let covariates = names.iter().map(|name| (*name).to_owned()).collect();
        let source = SummaryTable { covariates, ..summary(&path) };
        fit(&options(Source::Summary(source))).unwrap_err().to_string()
    };
    let (customers, values) = moved(500, 33);
    let whole = table(&customers, &values);
    let broken = whole.replacen(&format!(",{}\n", values[1]), ",\n", 1);
    assert!(told(&broken, &["u", "w"]).contains("w: 1 row is not a finite number (row 2:\"\")"));
    assert!(told(&whole, &["u", "u"]).contains("--covariate and --covariate name one column, \"u\""));
    assert!(told(&whole, &["v"]).contains("--covariate"), "{}", told(&whole, &["v"]));
    assert!(told(&whole, &["u"; 7].map(|_| "u")).contains("name one column"));
    let constant =
        whole.lines().map(|line| format!("{line},1\n")).collect::<String>().replacen(",1\n", ",c\n", 1);
    assert!(told(&constant, &["c"]).contains("the covariate c is the same in every row"));
}
