//! Intervals of a customer's lifetime value cover the true expectation as often as they promise.

use nextbest_models::value::{CustomerSummary, GammaGamma, LifetimeModel, SpendSummary};

use super::*;
use crate::lifetime::fit::{Cohort, bg_nbd, model, purchases, spend};

const N_RUNS: u32 = 400;

/// Cohorts of 2,000 drawn from known parameters, fitted, and asked of three customers: one who bought once, a steady and a
/// lapsed one. The share of 400 runs whose interval holds what the truth expects has a standard error of sqrt(.9 * .1 / 400) = .015:
/// 85.5 to 94.5 % is three of them either way, and twelve comparisons in all go beyond in one of forty tests.
#[test]
fn intervals_hold_the_true_expectation() {
    let (truth, spends) = (BgNbd::new(0.8, 6.0, 1.2, 3.0).unwrap(), GammaGamma::new(6.0, 4.0, 15.0).unwrap());
    let horizon = Horizon::new(52, 0.002, 0.5).unwrap();
    let true_model = LifetimeModel::new(TimeUnit::Week, truth, Some(spends), horizon);
    let asked = [(0.0, 0.0, None), (6.0, 33.0, Some(30.0)), (4.0, 9.0, Some(12.0))].map(|(x, t_x, mean)| {
        CustomerSummary {
            purchases: PurchaseSummary::new(x, t_x, 35.0).unwrap(),
            spend: mean.and_then(|mean| SpendSummary::new(x, mean).ok()),
            truncated: false,
        }
    });
    let (mut covered, mut width) = ([0_u32; 3], [0.0; 3]);
    for run in 0..N_RUNS {
        let mut rng = rng(70_000 + u64::from(run));
        let customers: Vec<CustomerSummary> = cohort(&truth, 2_000, 60_000 + u64::from(run))
            .into_iter()
            .map(|purchases| CustomerSummary {
                purchases,
                spend: if purchases.x() > 0.0 { draw::spend(&spends, purchases.x(), &mut rng) } else { None },
                truncated: false,
            })
            .collect();
        let (_, optimum) = purchases(Path::new("drawn"), &customers).unwrap();
        let (_, spend) = spend(&Cohort::folded(customers));
        let fitted = model(TimeUnit::Week, (bg_nbd(&optimum).unwrap(), &optimum), spend, horizon);
        for (at, of) in asked.iter().enumerate() {
            let told = fitted.interval(of).unwrap();
            let value = fitted.score(of).lifetime_value.unwrap();
            assert!(told.lo < value && value < told.hi && told.level == 0.9, "{told:?} {value}");
            let expected = true_model.score(of).lifetime_value.unwrap();
            covered[at] += u32::from(told.lo <= expected && expected <= told.hi);
            width[at] += (told.hi - told.lo) / value / f64::from(N_RUNS);
        }
    }
    let shares = covered.map(|n| f64::from(n) / f64::from(N_RUNS));
    eprintln!("once, steady, lapsed: {shares:?} of {N_RUNS}, widths {width:?}");
    assert!(shares.iter().all(|share| (0.855..=0.945).contains(share)), "{shares:?}");
    // And not by saying nothing.
    assert!(width.iter().all(|width| *width < 1.5), "{width:?}");
}

#[test]
fn without_errors_or_spend_there_is_no_interval() {
    let horizon = Horizon::new(52, 0.0, 0.5).unwrap();
    let plain = LifetimeModel::new(TimeUnit::Week, cdnow(), GammaGamma::new(6.0, 4.0, 15.0).ok(), horizon);
    let bought = PurchaseSummary::new(2.0, 30.0, 38.0).unwrap();
    let of = CustomerSummary { purchases: bought, spend: None, truncated: false };
    assert_eq!(plain.interval(&of), None);
    let customers = cohort(&cdnow(), 4_000, 4);
    let customers: Vec<_> = customers
        .into_iter()
        .map(|purchases| CustomerSummary { purchases, spend: None, truncated: false })
        .collect();
    let (_, optimum) = purchases(Path::new("drawn"), &customers).unwrap();
    let bare = model(TimeUnit::Week, (bg_nbd(&optimum).unwrap(), &optimum), None, horizon);
    assert!(bare.errors().is_some() && bare.interval(&of).is_none());
}
