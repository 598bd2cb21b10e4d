//! Lifetime values against published figures, against the hypergeometric form, and against themselves.

use proptest::prelude::*;

use super::gamma::{digamma, ln_gamma};
use super::*;

/// Fader, Hardie and Lee (2005), table 2: CDNOW.
fn cdnow() -> BgNbd {
    BgNbd::new(0.243, 4.414, 0.793, 2.426).unwrap()
}

fn bought(x: f64, t_x: f64, age: f64) -> PurchaseSummary {
    PurchaseSummary::new(x, t_x, age).unwrap()
}

/// Two ways to one number: rounding of some hundred terms, and the integral's own bound of 1e-11.
fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-10 * expected.abs()
}

/// `2F1(a, b; c; z)` by its series, for `z` so small that it settles soon.
fn hypergeometric(a: f64, b: f64, c: f64, z: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 0..2_000 {
        let k = f64::from(k);
        term *= (a + k) * (b + k) / ((c + k) * (k + 1.0)) * z;
        sum += term;
    }
    sum
}

/// Fader, Hardie and Lee, "Implementing the BG/NBD model for customer base analysis in Excel" (2005): customer 1 of CDNOW,
/// 39 weeks ahead.
#[test]
fn the_published_customer_is_expected_to_buy_as_published() {
    let told = cdnow().expected_purchases(&bought(2.0, 30.43, 38.86), 39.0);
    assert!((told - 1.226).abs() < 5e-4, "{told}");
}

#[test]
fn expected_purchases_are_the_hypergeometric_form() {
    let [r, alpha, a, b] = cdnow().parameters();
    for (x, t_x, age, t) in [(2.0, 30.43, 38.86, 39.0), (0.0, 0.0, 20.0, 10.0), (26.0, 30.0, 31.0, 20.0)] {
        let of = bought(x, t_x, age);
        let (base, z) = (alpha + age, t / (alpha + age + t));
        let f = hypergeometric(r + x, b + x, a + b + x - 1.0, z);
        let alive = (a + b + x - 1.0) / (a - 1.0) * (1.0 - (base / (base + t)).powf(r + x) * f);
        let odds = if x > 0.0 { a / (b + x - 1.0) * (base / (alpha + t_x)).powf(r + x) } else { 0.0 };
        let expected = alive / (1.0 + odds);
        // The difference from 1 loses some digits of the published form.
        assert!((cdnow().expected_purchases(&of, t) - expected).abs() < 1e-9 * expected, "{x}");
    }
}

#[test]
fn the_sum_is_the_integral() {
    for shape in [0.05, 0.5, 3.0, 40.0] {
        for u in [1e-6, 0.01, 1.0, 5.0] {
            for a in [0.02, 0.5, 1.0, 3.0, 200.0] {
                for b in [0.1, 2.5, 50.0] {
                    let (sum, integral) =
                        (dropout::by_sum(shape, u, a, b), dropout::by_integral(shape, u, a, b));
                    assert!(near(sum, integral), "{shape} {u} {a} {b}: {sum} {integral}");
                }
            }
        }
    }
}

/// With `a` small nobody leaves: `A u` purchases; with `a = 2` and for ever, `E[1/p] = (a + b - 1) / (a - 1)`.
#[test]
fn the_limits_are_known() {
    let never = dropout::expected(3.0, 2.0, 1e-9, 5.0);
    assert!((never - 6.0).abs() < 1e-6, "{never}");
    let ever = dropout::expected(3.0, 1e12, 2.0, 5.0);
    assert!((ever - 6.0).abs() < 1e-6, "{ever}");
}

#[test]
fn frequencies_sum_to_one_and_have_the_expected_mean() {
    // a above 1 so that tails are short: what lies beyond 4000 is below 1e-9 times its own number.
    let model = BgNbd::new(0.8, 10.0, 3.0, 4.0).unwrap();
    let all = model.probabilities(40.0, 4_000);
    let (sum, mean) = all.iter().enumerate().fold((0.0, 0.0), |(s, m), (x, p)| (s + p, m + x as f64 * p));
    assert!((sum - 1.0).abs() < 1e-12, "{sum}");
    assert!((mean - model.expected_repeats(40.0)).abs() < 1e-9, "{mean}");
    assert_eq!(cdnow().probabilities(0.0, 3), [1.0, 0.0, 0.0]);
}

#[test]
fn one_time_buyers_are_alive_by_assumption_and_say_so() {
    assert_eq!(cdnow().p_alive(&bought(0.0, 0.0, 500.0)), PAlive::NoRepeat);
    let PAlive::Known(p) = cdnow().p_alive(&bought(26.0, 1.0, 38.86)) else { panic!() };
    assert!(p < 1e-6, "26 purchases in a week and none in 38: {p}");
}

#[test]
fn digamma_is_the_derivative_of_ln_gamma() {
    let euler = 0.577_215_664_901_532_9;
    assert!((digamma(1.0) + euler).abs() < 1e-15);
    assert!((digamma(0.5) + euler + 2.0 * std::f64::consts::LN_2).abs() < 4e-15);
    for x in [0.01, 0.7, 4.0, 33.0, 1e5] {
        // Central differences: h^2 / 6 of the third derivative, 1/x^2 + 2/x^3 at most, and rounding of ln Γ over h.
        let h = 1e-4 * x;
        let slope = (ln_gamma(x + h) - ln_gamma(x - h)) / (2.0 * h);
        let bound = 1e-8 * (1.0 + 1.0 / x) + 4.0 * f64::EPSILON * ln_gamma(x).abs().max(1.0) / h;
        assert!((digamma(x) - slope).abs() < bound, "{x}");
    }
}

#[test]
fn spend_is_drawn_to_the_population() {
    // Fader and Hardie (2013), CDNOW: p 6.25, q 3.74, v 15.44 give a population mean of 35.2.
    let model = GammaGamma::new(6.25, 3.74, 15.44).unwrap();
    let population = model.expected_spend(None).unwrap();
    assert!((population - 6.25 * 15.44 / 2.74).abs() < 1e-12);
    let one = model.expected_spend(Some(&SpendSummary::new(1.0, 100.0).unwrap())).unwrap();
    let many = model.expected_spend(Some(&SpendSummary::new(50.0, 100.0).unwrap())).unwrap();
    assert!(population < one && one < many && many < 100.0);
    let pence = model.in_unit(100.0).unwrap();
    let in_pence = pence.expected_spend(Some(&SpendSummary::new(1.0, 10_000.0).unwrap())).unwrap();
    assert!((in_pence - 100.0 * one).abs() < 1e-9);
    assert_eq!(GammaGamma::new(2.0, 0.5, 1.0).unwrap().expected_spend(None), None);
}

#[test]
fn a_lifetime_value_is_the_discounted_margin_of_what_follows() {
    let (purchases, spend) = (bought(2.0, 30.43, 38.86), SpendSummary::new(2.0, 22.35).ok());
    let of = CustomerSummary { purchases, spend, truncated: false };
    let gamma_gamma = GammaGamma::new(6.25, 3.74, 15.44).ok();
    let model = |discount| {
        LifetimeModel::new(TimeUnit::Week, cdnow(), gamma_gamma, Horizon::new(39, discount, 0.5).unwrap())
    };
    let (plain, discounted) = (model(0.0).score(&of), model(0.01).score(&of));
    let value = 0.5 * plain.expected_purchases * plain.expected_spend.unwrap();
    assert!(near(plain.lifetime_value.unwrap(), value));
    assert!(near(plain.expected_purchases, discounted.expected_purchases));
    let ratio = discounted.lifetime_value.unwrap() / value;
    assert!((1.01_f64.powi(-39)..1.01_f64.powi(-1)).contains(&ratio), "{ratio}");
    let bare = LifetimeModel::new(TimeUnit::Week, cdnow(), None, *model(0.0).horizon()).score(&of);
    assert_eq!((bare.lifetime_value, bare.spend_code), (None, Some(ScoreCode::NoSpendModel)));
}

#[test]
fn what_is_no_summary_or_model_is_refused() {
    let refused = |x, t_x, age| PurchaseSummary::new(x, t_x, age).unwrap_err();
    assert!(matches!(refused(-1.0, 0.0, 1.0), SummaryFault::Number { name: "x", .. }));
    assert!(matches!(refused(0.0, 0.0, f64::NAN), SummaryFault::Number { name: "T", .. }));
    assert_eq!(refused(1.5, 1.0, 2.0), SummaryFault::Fraction(1.5));
    assert_eq!(refused(1.0, 3.0, 2.0), SummaryFault::AfterEnd { t_x: 3.0, age: 2.0 });
    assert_eq!(refused(1.0, 0.0, 2.0), SummaryFault::NoTime(1.0));
    assert_eq!(refused(0.0, 1.0, 2.0), SummaryFault::NoRepeat(1.0));
    assert!(SpendSummary::new(2.0, 0.0).is_err() && SpendSummary::new(0.0, 2.0).is_err());
    let fault = BgNbd::new(1.0, 2.0, f64::INFINITY, 1.0).unwrap_err();
    assert_eq!(fault.to_string(), "a is inf; it must be a finite number above 0");
    assert!(Horizon::new(0, 0.0, 1.0).is_err() && Horizon::new(1, -0.1, 1.0).is_err());
    assert!(Horizon::new(1, 0.0, 1.1).is_err());
    for json in [r#"{"r":1,"alpha":0,"a":1,"b":1}"#, r#"{"r":1,"alpha":1,"a":1}"#] {
        assert!(serde_json::from_str::<BgNbd>(json).is_err(), "{json}");
    }
}

/// The delta method by hand where only spend is unsure: `V` moves with `p`, `q`, `v` as `E[spend]` does.
#[test]
fn an_interval_is_the_delta_method() {
    let gamma_gamma = GammaGamma::new(6.25, 3.74, 15.44).unwrap();
    let spend = SpendSummary::new(2.0, 22.35).unwrap();
    let of = CustomerSummary { purchases: bought(2.0, 30.43, 38.86), spend: Some(spend), truncated: false };
    let horizon = Horizon::new(39, 0.01, 0.5).unwrap();
    let covariance = [[0.02, 0.01, -0.005], [0.01, 0.03, 0.02], [-0.005, 0.02, 0.04]];
    let plain = LifetimeModel::new(TimeUnit::Week, cdnow(), Some(gamma_gamma), horizon);
    let model = plain.clone().with_errors(ParameterErrors::new([[0.0; 4]; 4], Some(covariance)).unwrap());
    let step = 1e-5;
    let slope = |at: usize| {
        let beside = |by: f64| {
            let mut parameters = gamma_gamma.parameters();
            parameters[at] *= f64::exp(by);
            let [p, q, v] = parameters;
            GammaGamma::new(p, q, v).unwrap().expected_spend(Some(&spend)).unwrap().ln()
        };
        (beside(step) - beside(-step)) / (2.0 * step)
    };
    let g = [slope(0), slope(1), slope(2)];
    // Central differences: h^2 = 1e-10 of a third derivative about 1, and 1e-16 over h.
    for (analytic, g) in gamma_gamma.log_gradient(Some(&spend)).unwrap().into_iter().zip(g) {
        assert!((analytic - g).abs() < 1e-9, "{analytic} {g}");
    }
    let variance: f64 =
        (0..3).flat_map(|i| (0..3).map(move |j| (i, j))).map(|(i, j)| g[i] * covariance[i][j] * g[j]).sum();
    let (told, value) = (model.interval(&of).unwrap(), model.score(&of).lifetime_value.unwrap());
    let reach = (1.644_853_626_951_472_7 * variance.sqrt()).exp();
    assert!((told.hi / value - reach).abs() < 1e-8 && (value / told.lo - reach).abs() < 1e-8, "{told:?}");
    let read: LifetimeModel = serde_json::from_str(&serde_json::to_string(&model).unwrap()).unwrap();
    assert_eq!(read, model);
    assert!(plain.interval(&of).is_none());
    let mut wrong = covariance;
    wrong[0][1] = 0.1;
    let fault = ParameterErrors::new([[0.0; 4]; 4], Some(wrong)).unwrap_err();
    assert_eq!((fault.model, fault.row, fault.column), ("gamma_gamma", 0, 1));
    assert!(ParameterErrors::new([[f64::NAN; 4]; 4], None).is_err());
}

/// Rules against every unit: within the bound they were chosen by, and the rounding of 52 terms.
#[test]
fn discounted_purchases_are_those_unit_by_unit() {
    for (x, t_x, age) in
        [(0.0, 0.0, 0.0), (0.0, 0.0, 4.0), (2.0, 30.43, 38.86), (26.0, 30.0, 31.0), (400.0, 300.0, 310.0)]
    {
        for (n_units, rate) in [(52, 0.002), (26, 0.05), (520, 0.001)] {
            let purchases = bought(x, t_x, age);
            let of = CustomerSummary { purchases, spend: SpendSummary::new(1.0, 1.0).ok(), truncated: false };
            let horizon = Horizon::new(n_units, rate, 1.0).unwrap();
            let spend = GammaGamma::new(6.25, 3.74, 15.44).unwrap();
            let told = LifetimeModel::new(TimeUnit::Week, cdnow(), Some(spend), horizon).score(&of);
            let (mut before, mut sum) = (0.0, 0.0);
            for unit in 1..=n_units {
                let until = cdnow().expected_purchases(&purchases, f64::from(unit));
                sum += (until - before) / (1.0 + rate).powi(i32::try_from(unit).unwrap());
                before = until;
            }
            let found = told.lifetime_value.unwrap() / told.expected_spend.unwrap();
            // Both ways lean on purchases that are within 1e-11 of theirs.
            assert!((found - sum).abs() < 1e-10 * sum, "{x} {age} {n_units}: {found} {sum}");
        }
    }
}

proptest! {
    /// Whatever passes the door is scored: finite, within bounds, and more time never brings fewer purchases.
    #[test]
    fn nothing_past_the_door_fails(
        logs in prop::array::uniform4(-6.0..9.0_f64), x in 0_u32..2_000, share in 0.001..1.0_f64,
        age in 0.001..5_000.0_f64, mean in 0.01..1e6_f64, n_units in 1_u32..600,
    ) {
        let [r, alpha, a, b] = logs.map(f64::exp);
        let model = BgNbd::new(r, alpha, a, b).unwrap();
        let purchases = bought(f64::from(x), if x == 0 { 0.0 } else { share * age }, age);
        prop_assert!(model.log_likelihood(&purchases).is_finite());
        let p = model.p_alive(&purchases).get();
        prop_assert!((0.0..=1.0).contains(&p));
        let [half, whole] = [0.5, 1.0].map(|part| model.expected_purchases(&purchases, part * f64::from(n_units)));
        let most = (r + f64::from(x)) / (alpha + age) * f64::from(n_units);
        prop_assert!(0.0 <= half && half <= whole * (1.0 + 1e-9) && whole <= most * (1.0 + 1e-9), "{half} {whole} {most}");
        let model = LifetimeModel::new(TimeUnit::Week, model, GammaGamma::new(r, alpha, a).ok(), Horizon::new(n_units, 0.01, 0.3).unwrap());
        let score = model.score(&CustomerSummary { purchases, spend: SpendSummary::new(2.0, mean).ok(), truncated: false });
        prop_assert!(score.lifetime_value.is_none_or(|value| value.is_finite() && value >= 0.0), "{score:?}");
        let read: LifetimeModel = serde_json::from_str(&serde_json::to_string(&model).unwrap()).unwrap();
        prop_assert_eq!(read, model);
    }
}
